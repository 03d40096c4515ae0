//! Credentials that should not be sent this way: passwords, and tokens in the URL. They are noticed wherever they come, also
//! where nobody verifies credentials.

use std::sync::Arc;

use bartizan_model::{Denial, Guard, Mode, Phase, Transaction};
use smallvec::SmallVec;

use super::{
    Identity,
    challenge::Challenges,
    presented,
    reason::{Refusal, Why},
};

/// What a request exposes. `access_token` in the query counts where it is not a form of credential that is verified
/// (`by_name`).
pub(super) fn found(transaction: &Transaction, by_name: bool) -> SmallVec<[Why; 2]> {
    let request = &transaction.request;
    let in_query = request.query.as_deref().is_some_and(|query| {
        by_name && presented::has_token_in_query(query) || presented::has_jwt_in_query(query)
    });
    let basic = presented::is_basic(&request.headers);
    let all = [(in_query, Why::TokenInQuery), (basic, Why::BasicCredentials)];
    all.into_iter().filter_map(|(found, why)| found.then_some(why)).collect()
}

/// Leaves a finding for each.
pub(super) fn tell(
    transaction: &mut Transaction,
    found: impl IntoIterator<Item = Why>,
    challenges: &Arc<Challenges>,
) {
    for why in found {
        let refusal = Refusal { rejection: why.into(), challenges: Arc::clone(challenges) };
        let denial = Denial::of(Identity::ID, &refusal);
        transaction.find(denial.finding(Phase::RequestHeaders, Mode::Monitor));
    }
}

/// Leaves a finding for each password and token that a request exposes, for an operation whose credentials nobody verifies
/// (RFC 6750 section 5.3, RFC 7617 section 4).
pub fn notice(transaction: &mut Transaction) {
    let found = found(transaction, true);
    if !found.is_empty() {
        tell(transaction, found, &Arc::default());
    }
}
