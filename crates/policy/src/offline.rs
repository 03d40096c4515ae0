//! Services for compiling a policy where nothing is served: `check`, `diff`, `init`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bartizan_model::{
    Clock, Services, Timestamp, TokenKey,
    decision_point::NoPointAsked,
    introspection::NobodyAsked,
    redacted::KeyedHash,
    revocation::NothingRevoked,
    services::{
        ApiKeyRecord, ApiKeys, BoxFuture, ClientKeyRecord, ClientKeys, Document, DocumentSource, Documents,
        Kept, LimitDecision, LimitStore, NoFactors, Quota, Random, Replay, Use,
    },
};

/// Services that fetch nothing, count nothing and know no keys.
#[must_use]
pub fn services() -> Services {
    let offline = Arc::new(Offline);
    Services {
        clock: offline.clone(),
        limits: offline.clone(),
        documents: offline.clone(),
        api_keys: offline.clone(),
        factors: Arc::new(NoFactors),
        kept: Kept::default(),
        client_keys: offline.clone(),
        replay: offline.clone(),
        revocations: Arc::new(NothingRevoked),
        introspection: Arc::new(NobodyAsked),
        decision_points: Arc::new(NoPointAsked),
        usage: Arc::new(bartizan_model::services::NoUsage),
        random: offline.clone(),
        tokens: TokenKey::new(offline),
    }
}

struct Offline;

impl Clock for Offline {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of commands that serve nothing")]
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_seconds(elapsed.as_secs())
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl LimitStore for Offline {
    fn take(&self, _: u128, quota: Quota, _: u32, _: Duration) -> LimitDecision {
        LimitDecision {
            allowed: true,
            remaining: quota.burst,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
        }
    }
}

impl Documents for Offline {
    fn watch(&self, _: &DocumentSource) {}

    fn latest(&self, _: &DocumentSource) -> Option<Document> {
        None
    }

    fn refetch<'a>(&'a self, _: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        Box::pin(std::future::ready(None))
    }
}

impl ApiKeys for Offline {
    fn find(&self, _: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        None
    }

    fn is_revoked(&self, _: &str) -> bool {
        false
    }

    fn used(&self, _: &str, _: Timestamp) {}
}

impl ClientKeys for Offline {
    fn find(&self, _: &str) -> Option<Arc<ClientKeyRecord>> {
        None
    }

    fn used(&self, _: &str, _: Timestamp) {}
}

impl Replay for Offline {
    fn take(&self, _: u128, _: Timestamp, _: Timestamp) -> Use {
        Use::First
    }
}

impl Random for Offline {
    fn fill(&self, buffer: &mut [u8]) {
        // Nothing is served with what is made of it; a failing source leaves zeros.
        let _ = aws_lc_rs::rand::fill(buffer);
    }
}

impl KeyedHash for Offline {
    fn hash(&self, input: &[u8]) -> u64 {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input);
        digest.as_ref().iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
    }
}
