//! Puts the rooms together: the services that guards are given, for a running gateway and for commands that only look.

use std::{sync::Arc, time::Duration};

use bartizan_guards::rate_limit::table::{DEFAULT_CAPACITY, LimitTable};
use bartizan_model::{
    Clock, Services, Timestamp, TokenKey,
    redacted::KeyedHash,
    services::{
        ApiKeyRecord, ApiKeys, BoxFuture, Document, DocumentSource, Documents, LimitDecision, LimitStore,
        Quota, Random as _,
    },
};
use bartizan_store::{
    State,
    system::{HmacHash, SystemClock, SystemRandom},
};

/// The services of a running gateway.
pub fn services(
    clock: &Arc<dyn Clock>,
    state: &State,
    limits: &Arc<LimitTable>,
    documents: Arc<dyn Documents>,
) -> Services {
    let limits: Arc<dyn LimitStore> = Arc::<LimitTable>::clone(limits);
    let api_keys: Arc<dyn ApiKeys> = Arc::<bartizan_store::KeyIndex>::clone(state.store.key_index());
    Services {
        clock: Arc::clone(clock),
        limits,
        documents,
        api_keys,
        random: Arc::new(SystemRandom),
        tokens: state.tokens.clone(),
    }
}

/// The table of limits.
pub fn limits() -> Arc<LimitTable> {
    Arc::new(LimitTable::new(DEFAULT_CAPACITY, &SystemRandom))
}

/// Services for compiling a policy without running it: they count nothing, fetch nothing and know no key.
pub fn idle_services() -> Services {
    let mut key = [0_u8; 32];
    SystemRandom.fill(&mut key);
    let hash: Arc<dyn KeyedHash> = Arc::new(HmacHash::new(&key));
    Services {
        clock: Arc::new(SystemClock::default()),
        limits: Arc::new(Idle),
        documents: Arc::new(Idle),
        api_keys: Arc::new(Idle),
        random: Arc::new(SystemRandom),
        tokens: TokenKey::new(hash),
    }
}

struct Idle;

impl LimitStore for Idle {
    fn take(&self, _: u128, quota: Quota, _: u32, _: Duration) -> LimitDecision {
        LimitDecision {
            allowed: true,
            remaining: quota.burst,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
        }
    }
}

impl Documents for Idle {
    fn watch(&self, _: &DocumentSource) {}

    fn latest(&self, _: &DocumentSource) -> Option<Document> {
        None
    }

    fn refetch<'a>(&'a self, _: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        Box::pin(std::future::ready(None))
    }
}

impl ApiKeys for Idle {
    fn find(&self, _: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        None
    }

    fn is_revoked(&self, _: &str) -> bool {
        false
    }

    fn used(&self, _: &str, _: Timestamp) {}
}
