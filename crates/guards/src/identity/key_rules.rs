//! What an operation demands of API keys beyond being valid: an age, a rate, and few enough clients that bring the same one.

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CompileContext, Denial, Guard as _, Mode, Phase, Principal, Timestamp, Transaction,
    services::{ApiKeyRecord, ApiKeys, LimitStore},
};
use http::HeaderName;

use super::{
    Challenges, Identity, Refusal, api_key,
    config::{ApiKey, Older},
    reason::{Rejection, Why},
};
use crate::{client_print::ClientPrint, digest, rate_limit::LimitFields, remembered::Remembered};

/// Keys whose clients are counted; more than that many in use at once are not, the least used first.
const KEYS: usize = 16_384;

/// In which time clients of one key are counted together.
const HOUR: Duration = Duration::from_secs(3_600);

/// The most clients of one key that can be told apart: what one key may cost in memory.
pub(super) const MOST_CLIENTS: u32 = 256;

/// The rules of every field that holds a key, each the strictest of the entries that name it.
pub(super) struct KeyRules {
    fields: Vec<(HeaderName, Rules)>,
    keys: Arc<dyn ApiKeys>,
    limits: Arc<dyn LimitStore>,
    seen: Arc<KeysSeen>,
}

#[derive(Clone, Copy)]
struct Rules {
    max_age: Option<Duration>,
    older: Older,
    remind: Duration,
    clients: u32,
}

impl Rules {
    fn of(config: &ApiKey) -> Self {
        Rules {
            max_age: config.max_age.map(|age| age.0),
            older: config.older,
            remind: config.remind.0,
            clients: config.clients,
        }
    }
}

/// A key that is in force and young enough.
pub(super) struct ValidKey {
    pub principal: Arc<Principal>,
    record: Arc<ApiKeyRecord>,
}

impl std::fmt::Debug for ValidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidKey").field("id", &self.record.id).finish_non_exhaustive()
    }
}

impl KeyRules {
    pub(super) fn new(context: &CompileContext<'_>, fields: &[(HeaderName, ApiKey)]) -> Self {
        let mut all: Vec<(HeaderName, Rules)> = Vec::new();
        for (name, config) in fields {
            let rules = Rules::of(config);
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => {
                    known.max_age = known.max_age.into_iter().chain(rules.max_age).min();
                    known.clients = known.clients.min(rules.clients);
                    if rules.older == Older::Refuse {
                        known.older = Older::Refuse;
                    }
                }
                None => all.push((name.clone(), rules)),
            }
        }
        KeyRules {
            fields: all,
            keys: Arc::clone(&context.services.api_keys),
            limits: Arc::clone(&context.services.limits),
            seen: context.services.kept.of::<KeysSeen>(),
        }
    }

    /// The greatest age that is accepted in any field.
    pub(super) fn max_age(&self) -> Option<Duration> {
        self.fields.iter().filter_map(|(_, rules)| rules.max_age).min()
    }

    /// Verifies the key that this field presents.
    pub(super) fn verify(
        &self,
        text: &str,
        field: &HeaderName,
        transaction: &Transaction,
    ) -> Result<ValidKey, Rejection> {
        // A probe looks keys up among its own.
        let keys = transaction.scratch.as_ref().map_or(&self.keys, |scratch| &scratch.api_keys);
        let (record, principal) = api_key::verify(text, &**keys, transaction.started)?;
        let rules = self.of(field);
        if rules.older == Older::Refuse && is_older(&record, rules.max_age, transaction.started) {
            return Err(about(&record, Why::KeyTooOld));
        }
        Ok(ValidKey { principal, record })
    }

    /// Takes the request from the key's own limit, and notices what is odd about its use.
    pub(super) fn used(
        &self,
        field: &HeaderName,
        key: &ValidKey,
        transaction: &mut Transaction,
    ) -> Result<(), Rejection> {
        // Neither probes nor questions count.
        if transaction.probe {
            return Ok(());
        }
        let record = &key.record;
        self.take(record, transaction)?;
        self.keys.used(&record.id, transaction.started);
        let rules = self.of(field);
        let now = transaction.started;
        let print = ClientPrint::of(transaction).number();
        let id = digest::sha256(&[record.id.as_bytes()]);
        let noticed = self.seen.0.with(id, Seen::default, |seen| {
            let due = end_of(record, rules.max_age).filter(|end| now.plus(rules.remind) >= *end);
            [
                seen.client(print, rules.clients, now).then_some(Why::KeyShared),
                due.filter(|_| seen.reminds(now)).map(|end| Why::KeyDue(end.since(now).as_secs() / 86_400)),
            ]
        });
        for why in noticed.into_iter().flatten().flatten() {
            tell(transaction, about(record, why));
        }
        if is_older(record, rules.max_age, now) {
            tell(transaction, about(record, Why::KeyTooOld));
        }
        Ok(())
    }

    fn take(&self, record: &ApiKeyRecord, transaction: &mut Transaction) -> Result<(), Rejection> {
        let Some(limit) = record.limit else { return Ok(()) };
        let seeds = self.limits.seeds().map(u64::to_be_bytes);
        let hash = digest::of_parts(&[seeds.as_flattened(), b"api key", record.id.as_bytes()]);
        let counter = hash.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte));
        let decision = self.limits.take(counter, limit.quota(), 1, transaction.ticks);
        LimitFields::new("api-key", limit.quota()).append(decision, &mut transaction.response_headers);
        if decision.allowed {
            Ok(())
        } else {
            let wait = decision.retry_after;
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            Err(about(record, Why::KeyLimit(seconds)))
        }
    }

    fn of(&self, field: &HeaderName) -> Rules {
        let found = self.fields.iter().find(|(name, _)| name == field);
        found.map_or_else(|| Rules::of(&ApiKey::default()), |(_, rules)| *rules)
    }
}

fn about(record: &ApiKeyRecord, why: Why) -> Rejection {
    Rejection { why, issuer: None, key: Some(Arc::clone(&record.id)) }
}

/// A finding that stops nothing, whatever the guard's mode.
fn tell(transaction: &mut Transaction, rejection: Rejection) {
    let refusal = Refusal { rejection, challenges: Arc::new(Challenges::default()) };
    transaction.find(Denial::of(Identity::ID, &refusal).finding(Phase::RequestHeaders, Mode::Monitor));
}

fn is_older(record: &ApiKeyRecord, max_age: Option<Duration>, now: Timestamp) -> bool {
    max_age.is_some_and(|age| record.created.plus(age) <= now)
}

/// When the key has to be replaced: it ends, or is too old.
fn end_of(record: &ApiKeyRecord, max_age: Option<Duration>) -> Option<Timestamp> {
    // Whoever rotated it knows.
    if record.successor.is_some() {
        return None;
    }
    max_age.map(|age| record.created.plus(age)).into_iter().chain(record.expires).min()
}

/// Who brought each key in the last hour.
struct KeysSeen(Remembered<Seen>);

impl Default for KeysSeen {
    fn default() -> Self {
        KeysSeen(Remembered::new(KEYS))
    }
}

#[derive(Default)]
struct Seen {
    /// Each client with the time of its last use, not in order; never more than are counted.
    clients: Vec<(u64, Timestamp)>,
    shared_told: Option<Timestamp>,
    due_told: Option<Timestamp>,
}

impl Seen {
    /// Notes a client; answers whether `most` or more have brought the key within an hour, which is told once an hour.
    fn client(&mut self, print: u64, most: u32, now: Timestamp) -> bool {
        let most = usize::try_from(most.min(MOST_CLIENTS)).unwrap_or(0);
        if most == 0 {
            return false;
        }
        if let Some((_, last)) = self.clients.iter_mut().find(|(known, _)| *known == print) {
            *last = now;
        } else {
            if self.clients.len() >= most {
                self.clients.retain(|(_, last)| now.since(*last) < HOUR);
            }
            if self.clients.len() >= most
                && let Some(oldest) = self.clients.iter_mut().min_by_key(|(_, last)| *last)
            {
                *oldest = (print, now);
            } else {
                self.clients.push((print, now));
            }
        }
        if self.clients.len() < most || is_recent(self.shared_told, now) {
            return false;
        }
        let within = self.clients.iter().filter(|(_, last)| now.since(*last) < HOUR).count();
        let shared = within >= most;
        if shared {
            self.shared_told = Some(now);
        }
        shared
    }

    /// Whether it is time to remind, which is once an hour.
    fn reminds(&mut self, now: Timestamp) -> bool {
        let due = !is_recent(self.due_told, now);
        if due {
            self.due_told = Some(now);
        }
        due
    }
}

fn is_recent(told: Option<Timestamp>, now: Timestamp) -> bool {
    told.is_some_and(|told| now.since(told) < HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_clients_in_any_hour_are_told_once() {
        let mut seen = Seen::default();
        let at = |second| Timestamp::from_seconds(1_000_000 + second);
        // One client each 73 s: the fiftieth comes 3,577 s after the first.
        let told: Vec<u64> = (0..120).filter(|n| seen.client(*n, 50, at(n * 73))).collect();
        assert_eq!(told, [49, 99], "the second time an hour later");
        assert_eq!(seen.clients.len(), 50, "no more are kept");
        let mut slow = Seen::default();
        assert!(!(0..500).any(|n| slow.client(n, 50, at(n * 74))), "49 clients within any hour");
        let mut few = Seen::default();
        assert!(!(0..10_000).any(|n| few.client(n % 49, 50, at(n))), "the same ones count once");
    }
}
