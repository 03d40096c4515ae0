//! What the tests of policies share: services that do nothing, and short ways to compile.

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    Clock, Diagnostic, Diagnostics, Services, Timestamp, TokenKey,
    redacted::KeyedHash,
    services::{
        ApiKeyRecord, ApiKeys, BoxFuture, Document, DocumentSource, Documents, LimitDecision, LimitStore,
        Quota, Random,
    },
};
use bartizan_policy::{CompileOptions, Loaded, Rejected, Source};

struct Nothing;

impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl LimitStore for Nothing {
    fn take(&self, _: u128, _: Quota, _: u32, _: Duration) -> LimitDecision {
        LimitDecision {
            allowed: true,
            remaining: 1,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
        }
    }
}

impl Documents for Nothing {
    fn watch(&self, _: &DocumentSource) {}
    fn latest(&self, _: &DocumentSource) -> Option<Document> {
        None
    }
    fn refetch<'a>(&'a self, _: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        Box::pin(std::future::ready(None))
    }
}

impl ApiKeys for Nothing {
    fn find(&self, _: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        None
    }
    fn is_revoked(&self, _: &str) -> bool {
        false
    }
    fn used(&self, _: &str, _: Timestamp) {}
}

impl Random for Nothing {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl KeyedHash for Nothing {
    fn hash(&self, input: &[u8]) -> u64 {
        input.len() as u64
    }
}

pub fn services() -> Services {
    let nothing = Arc::new(Nothing);
    Services {
        clock: nothing.clone(),
        limits: nothing.clone(),
        documents: nothing.clone(),
        api_keys: nothing.clone(),
        random: nothing.clone(),
        tokens: TokenKey::new(nothing),
    }
}

/// Compiles a text called `bartizan.yaml`.
pub fn compile(text: &str) -> Result<Loaded, Box<Rejected>> {
    bartizan_policy::compile(&Source::inline("bartizan.yaml", text), &CompileOptions::new(&services()))
}

/// Compiles a text that must be good.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn good(text: &str) -> Loaded {
    compile(text).unwrap_or_else(|rejected| panic!("{rejected}\n---\n{text}"))
}

/// The diagnostics of a text that must be refused.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn bad(text: &str) -> Diagnostics {
    match compile(text) {
        Ok(_) => panic!("this compiled:\n{text}"),
        Err(rejected) => rejected.diagnostics,
    }
}

/// The diagnostic whose message contains a text.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn about<'d>(diagnostics: &'d Diagnostics, text: &str) -> &'d Diagnostic {
    diagnostics
        .0
        .iter()
        .find(|diagnostic| diagnostic.message.contains(text))
        .unwrap_or_else(|| panic!("nothing says `{text}`:\n{diagnostics}"))
}

/// Line and column of a diagnostic.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn place(diagnostic: &Diagnostic) -> (u32, u32) {
    diagnostic.place.as_ref().map_or((0, 0), |place| (place.line, place.column))
}
