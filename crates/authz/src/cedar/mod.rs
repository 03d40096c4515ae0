//! Cedar policies for an API: read and validated whole, indexed by action, asked per exchange.
//!
//! What policies see is described in `docs/access.md`: the principal is a `User`, a `Service` or `Anonymous`, the action an
//! operation, the resource the API, the context the request.

mod facts;
mod load;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod uses;

pub use facts::{Body, Facts};
pub use load::{Options, PolicyText};

use std::sync::Arc;

use bartizan_model::diagnostic::Place;
use cedar_policy::{Authorizer, Decision, Effect, Entities, Entity, EntityUid, PolicyId, PolicySet, Request};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::actions::ActionId;
use facts::Needs;

/// Policies of one API at most: far more than anybody reads, and each may have to be evaluated.
pub const MAX_POLICIES: usize = 10_000;

/// One policy as it is told.
#[derive(Clone, Debug)]
pub struct PolicyInfo {
    /// Its `@id`, or the name of its file and its number there.
    pub id: Arc<str>,
    /// Where it begins.
    pub place: Place,
    /// Whether it forbids.
    pub forbids: bool,
    /// What decided, for findings and events: the policy and its place.
    pub told: Arc<str>,
    /// Its `@description`, if it has one.
    pub description: Option<Arc<str>>,
    /// Whether it has conditions beyond principal, action and resource.
    pub conditional: bool,
    /// Whether it is bound to a role or to one caller by its scope.
    pub bound: bool,
}

/// The policies of an API.
pub struct Policies {
    list: Vec<PolicyInfo>,
    numbers: HashMap<PolicyId, u32>,
    buckets: Vec<Bucket>,
    /// The bucket of each action.
    by_action: Vec<u32>,
    /// What Cedar has to know of each action: its groups.
    actions: Vec<(EntityUid, Entity)>,
    api: EntityUid,
    authorizer: Authorizer,
}

/// The policies that apply to some actions, and what they read.
struct Bucket {
    set: PolicySet,
    members: Vec<u32>,
    needs: Needs,
}

/// What policies say of a request.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// The policies that permit it, where none forbids it.
    pub permits: SmallVec<[u32; 4]>,
    /// The policies that forbid it.
    pub forbids: SmallVec<[u32; 4]>,
    /// Policies that could not be evaluated, and why. A permit among them permits nothing.
    pub errors: Vec<(u32, String)>,
}

impl Policies {
    /// The policy with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&PolicyInfo> {
        self.list.get(number as usize)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The numbers of the policies that may apply to an action.
    #[must_use]
    pub fn applicable(&self, action: ActionId) -> &[u32] {
        self.bucket(action).map_or(&[], |bucket| &bucket.members)
    }

    /// Whether the policies of an action read the request's body.
    #[must_use]
    pub fn needs_body(&self, action: ActionId) -> bool {
        self.bucket(action).is_some_and(|bucket| bucket.needs.body)
    }

    /// Whether some policy may permit something to a caller without a role that it names.
    #[must_use]
    pub fn may_permit_strangers(&self) -> bool {
        self.list.iter().any(|info| !info.forbids && !info.bound)
    }

    /// What the policies say of a request.
    #[must_use]
    pub fn judge(&self, action: ActionId, facts: &Facts<'_>) -> Judged {
        let Some(bucket) = self.bucket(action).filter(|bucket| !bucket.members.is_empty()) else {
            return Judged::default();
        };
        self.evaluate(action, facts, &bucket.needs, &bucket.set, &bucket.members)
    }

    /// What each policy that may apply says by itself, for whoever asks why.
    #[must_use]
    pub fn explain(&self, action: ActionId, facts: &Facts<'_>) -> Vec<(u32, Judged)> {
        let Some(bucket) = self.bucket(action) else { return Vec::new() };
        let alone = |&number: &u32| {
            let info = self.get(number)?;
            let policy = bucket.set.policy(&PolicyId::new(&*info.id))?.clone();
            let set = PolicySet::from_policies([policy]).ok()?;
            Some((number, self.evaluate(action, facts, &bucket.needs, &set, &[number])))
        };
        bucket.members.iter().filter_map(alone).collect()
    }

    fn bucket(&self, action: ActionId) -> Option<&Bucket> {
        self.buckets.get(*self.by_action.get(action.index())? as usize)
    }

    fn evaluate(
        &self,
        action: ActionId,
        facts: &Facts<'_>,
        needs: &Needs,
        set: &PolicySet,
        members: &[u32],
    ) -> Judged {
        let failed = |why: String| Judged {
            errors: members.first().map(|&number| (number, why)).into_iter().collect(),
            ..Judged::default()
        };
        let Some((uid, entity)) = self.actions.get(action.index()) else {
            return failed("the action is not known".to_owned());
        };
        let (principal, context) = match facts.of(needs) {
            Ok(facts) => facts,
            Err(why) => return failed(why),
        };
        let who = principal.uid();
        let entities = match Entities::from_entities([principal, entity.clone()], None) {
            Ok(entities) => entities,
            Err(error) => return failed(error.to_string()),
        };
        let request = match Request::new(who, uid.clone(), self.api.clone(), context, None) {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        let response = self.authorizer.is_authorized(&request, set, &entities);
        let mut judged = Judged::default();
        let deciding = response.diagnostics().reason().filter_map(|id| self.numbers.get(id).copied());
        match response.decision() {
            Decision::Allow => judged.permits.extend(deciding),
            Decision::Deny => judged.forbids.extend(deciding),
        }
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            if let Some(&number) = self.numbers.get(error.policy_id()) {
                judged.errors.push((number, error.inner().to_string()));
            }
        }
        // The sets that Cedar answers have no order.
        judged.permits.sort_unstable();
        judged.forbids.sort_unstable();
        judged.errors.sort_by_key(|(number, _)| *number);
        judged
    }
}

/// Whether the effect is to forbid.
fn forbids(effect: Effect) -> bool {
    effect == Effect::Forbid
}
