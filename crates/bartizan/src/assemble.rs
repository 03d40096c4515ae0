//! Puts the rooms together: the services that the guards of a running gateway are given.

use std::sync::Arc;

use bartizan_guards::{
    identity::replay::ReplayTable,
    rate_limit::table::{DEFAULT_CAPACITY, LimitTable},
};
use bartizan_model::{
    Clock, Services,
    services::{ApiKeys, ClientKeys, DecisionPoints, Documents, Introspection, Kept, LimitStore},
};
use bartizan_store::{State, system::SystemRandom};

/// The services of a running gateway.
pub fn services(
    clock: &Arc<dyn Clock>,
    state: &State,
    limits: &Arc<LimitTable>,
    documents: Arc<dyn Documents>,
    introspection: Arc<dyn Introspection>,
    decision_points: Arc<dyn DecisionPoints>,
) -> Services {
    let limits: Arc<dyn LimitStore> = Arc::<LimitTable>::clone(limits);
    let api_keys: Arc<dyn ApiKeys> = Arc::<bartizan_store::KeyIndex>::clone(state.store.key_index());
    let client_keys: Arc<dyn ClientKeys> =
        Arc::<bartizan_store::ClientIndex>::clone(state.store.client_index());
    Services {
        clock: Arc::clone(clock),
        limits,
        documents,
        api_keys,
        factors: Arc::new(state.store.factor_index().opened_by(Arc::clone(&state.sealer))),
        kept: Kept::default(),
        client_keys,
        replay: Arc::new(ReplayTable::default()),
        revocations: Arc::<bartizan_store::DenyList>::clone(state.store.deny_list()),
        introspection,
        decision_points,
        usage: Arc::<bartizan_store::UsageIndex>::clone(state.store.usage_index()),
        random: Arc::new(SystemRandom),
        tokens: state.tokens.clone(),
    }
}

/// The table of limits.
pub fn limits() -> Arc<LimitTable> {
    Arc::new(LimitTable::new(DEFAULT_CAPACITY, &SystemRandom))
}
