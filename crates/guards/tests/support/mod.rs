//! What guards need from outside, for tests: a clock that stands still, no network, files of one directory.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::panic, clippy::expect_used, reason = "tests assert")]

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_contract::{Description, check, yaml::Budget};
use bartizan_model::{
    Client, Clock, CompileContext, Diagnostics, EventId, FileReference, Files, Guard, Outcome, Profile,
    Redacted, Scheme, SecretReference, Services, Timestamp, TokenKey, Transaction,
    compile::{ApiSpec, CompiledContract, IssuerSpec},
    decision_point::NoPointAsked,
    introspection::NobodyAsked,
    redacted::KeyedHash,
    revocation::NothingRevoked,
    services::{
        ApiKeyRecord, ApiKeys, BoxFuture, ClientKeyRecord, ClientKeys, Document, DocumentSource, Documents,
        Factors, Kept, LimitDecision, LimitStore, NoFactors, Quota, Random, Replay, Totp, TotpHash, Use,
    },
    transaction::CanonicalRequest,
};
use http::{HeaderMap, Method, Version};

/// 2026-01-01T00:00:00Z: the time at which cases begin.
pub const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// A clock that moves when told.
pub struct StillClock(AtomicU64);

impl StillClock {
    pub fn new() -> Arc<Self> {
        Arc::new(StillClock(AtomicU64::new(0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        START.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// Numbers that look random and are the same in each run (splitmix64).
pub struct Sequence(AtomicU64);

impl Sequence {
    pub fn new() -> Self {
        Sequence(AtomicU64::new(1))
    }

    pub fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Random for Sequence {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }
}

/// No remote document is ever there.
pub struct NoDocuments;

impl Documents for NoDocuments {
    fn watch(&self, _: &DocumentSource) {}

    fn latest(&self, _: &DocumentSource) -> Option<Document> {
        None
    }

    fn refetch<'a>(&'a self, _: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        Box::pin(std::future::ready(None))
    }
}

/// Limits that are never reached.
pub struct NoLimits;

impl LimitStore for NoLimits {
    fn take(&self, _: u128, quota: Quota, _: u32, _: Duration) -> LimitDecision {
        LimitDecision {
            allowed: true,
            remaining: quota.burst,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
        }
    }
}

/// API keys by their hash.
#[derive(Default)]
pub struct FixedKeys(pub HashMap<[u8; 32], Arc<ApiKeyRecord>>);

impl ApiKeys for FixedKeys {
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        self.0.get(hash).cloned()
    }

    fn used(&self, _: &str, _: Timestamp) {}

    fn is_revoked(&self, _: &str) -> bool {
        false
    }
}

/// Keys of enrolled clients by their id.
#[derive(Default)]
pub struct FixedClients(pub HashMap<String, Arc<ClientKeyRecord>>);

impl ClientKeys for FixedClients {
    fn find(&self, id: &str) -> Option<Arc<ClientKeyRecord>> {
        self.0.get(id).cloned()
    }

    fn used(&self, _: &str, _: Timestamp) {}
}

/// What was used once, for ever.
#[derive(Default)]
pub struct UsedOnce(std::sync::Mutex<std::collections::HashSet<u128>>);

impl Replay for UsedOnce {
    fn take(&self, key: u128, _: Timestamp, _: Timestamp) -> Use {
        if self.0.lock().unwrap().insert(key) { Use::First } else { Use::Again }
    }
}

/// Second factors by owner, and the step of the last code with the attempts since.
#[derive(Default)]
pub struct FixedFactors(pub HashMap<String, Vec<u8>>, Mutex<HashMap<String, (u64, u32)>>);

impl FixedFactors {
    pub fn new(secrets: HashMap<String, Vec<u8>>) -> Self {
        FixedFactors(secrets, Mutex::default())
    }
}

impl Factors for FixedFactors {
    fn totp(&self, owner: &str) -> Option<Totp> {
        let secret = self.0.get(owner)?.clone();
        Some(Totp { secret: Redacted::new(secret), hash: TotpHash::Sha1 })
    }

    fn attempt(&self, owner: &str, _: Timestamp) -> Result<(), Duration> {
        let mut state = self.1.lock().expect("no test panics while it holds this");
        let (_, attempts) = state.entry(owner.to_owned()).or_default();
        *attempts += 1;
        if *attempts > 5 { Err(Duration::from_secs(30)) } else { Ok(()) }
    }

    fn accept(&self, owner: &str, step: u64) -> bool {
        let mut state = self.1.lock().expect("no test panics while it holds this");
        let (last, attempts) = state.entry(owner.to_owned()).or_default();
        let fresh = step > *last;
        if fresh {
            (*last, *attempts) = (step, 0);
        }
        fresh
    }
}

struct Fold;

impl KeyedHash for Fold {
    fn hash(&self, input: &[u8]) -> u64 {
        input.iter().fold(7, |h, &b| h.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(b))
    }
}

/// Services around a store of limits.
pub fn services(clock: Arc<StillClock>, limits: Arc<dyn LimitStore>, keys: FixedKeys) -> Services {
    Services {
        clock,
        limits,
        documents: Arc::new(NoDocuments),
        api_keys: Arc::new(keys),
        factors: Arc::new(NoFactors),
        kept: Kept::default(),
        client_keys: Arc::new(FixedClients::default()),
        replay: Arc::new(UsedOnce::default()),
        revocations: Arc::new(NothingRevoked),
        introspection: Arc::new(NobodyAsked),
        decision_points: Arc::new(NoPointAsked),
        usage: Arc::new(bartizan_model::services::NoUsage),
        random: Arc::new(Sequence::new()),
        tokens: TokenKey::new(Arc::new(Fold)),
    }
}

/// Services of which a guard needs none.
pub fn idle_services() -> Services {
    services(StillClock::new(), Arc::new(NoLimits), FixedKeys::default())
}

/// Files given in memory, and below a directory.
#[derive(Default)]
pub struct TestFiles {
    pub given: BTreeMap<String, Vec<u8>>,
    pub directory: Option<PathBuf>,
}

impl TestFiles {
    fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.given.get(name) {
            return Ok(bytes.clone());
        }
        let Some(directory) = &self.directory else { return Err(format!("`{name}` does not exist")) };
        std::fs::read(directory.join(name)).map_err(|error| format!("`{name}` cannot be read: {error}"))
    }
}

impl Files for TestFiles {
    fn read(&self, reference: &FileReference) -> Result<Arc<[u8]>, String> {
        self.bytes(&reference.0).map(Into::into)
    }

    fn list(&self, folder: &FileReference) -> Result<Vec<String>, String> {
        let inside = |path: &String| path.strip_prefix(&format!("{}/", folder.0)).map(str::to_owned);
        let mut names: Vec<String> = self.given.keys().filter_map(inside).collect();
        if let Some(entries) =
            self.directory.as_ref().and_then(|at| std::fs::read_dir(at.join(&folder.0)).ok())
        {
            names.extend(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()));
        }
        if names.is_empty() { Err(format!("`{}` does not exist", folder.0)) } else { Ok(names) }
    }

    fn secret(&self, reference: &SecretReference) -> Result<Redacted<String>, String> {
        let name = match reference {
            SecretReference::Env(name) => return Err(format!("environment variable `{name}` is not set")),
            SecretReference::File(name) => name,
        };
        let text = String::from_utf8(self.bytes(name)?).map_err(|_| format!("`{name}` is not text"))?;
        Ok(Redacted::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

/// Compiles one guard that needs nothing from outside.
pub fn compile_alone<G: Guard>(config: serde_json::Value) -> Result<G, Diagnostics> {
    compile(config, &idle_services(), &TestFiles::default())
}

/// Compiles one guard for the API `shop`.
pub fn compile<G: Guard>(
    config: serde_json::Value,
    services: &Services,
    files: &TestFiles,
) -> Result<G, Diagnostics> {
    compile_in(config, services, files, &|_| "api:shop".to_owned())
}

/// Compiles one guard whose entries are written in the scopes that `scope` says.
pub fn compile_in<G: Guard>(
    config: serde_json::Value,
    services: &Services,
    files: &TestFiles,
    scope: &dyn Fn(&str) -> String,
) -> Result<G, Diagnostics> {
    compile_with(config, services, files, scope, &[])
}

/// The contract that an API names, `file:NAME` in a folder.
pub fn contract(named: Option<&str>, folder: &Path) -> Result<Option<Description>, String> {
    let Some(name) = named.and_then(|named| named.strip_prefix("file:")) else { return Ok(None) };
    let bytes = std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
    let read = Description::read_one(&bytes, name, Budget::CONTRACT);
    read.map(|(description, _)| Some(description)).map_err(|problems| problems.to_string())
}

/// What guards are told of an API with a contract.
pub fn spec(contract: &Description) -> Result<ApiSpec, String> {
    let checks = check::compile(contract).map_err(|problems| problems.to_string())?;
    Ok(ApiSpec {
        operations: contract.operations.iter().map(|operation| operation.spec.clone()).collect(),
        contract: Some(CompiledContract(Arc::new(checks))),
        ..ApiSpec::default()
    })
}

/// Compiles one guard where the document names these issuers.
pub fn compile_with<G: Guard>(
    config: serde_json::Value,
    services: &Services,
    files: &TestFiles,
    scope: &dyn Fn(&str) -> String,
    issuers: &[IssuerSpec],
) -> Result<G, Diagnostics> {
    compile_as(config, &bartizan_model::compile::UNKNOWN_API, services, files, scope, issuers)
}

/// Compiles one guard for an API of which this is known.
pub fn compile_for<G: Guard>(
    config: serde_json::Value,
    spec: &ApiSpec,
    files: &TestFiles,
) -> Result<G, Diagnostics> {
    compile_as(config, spec, &idle_services(), files, &|_| "api:shop".to_owned(), &[])
}

fn compile_as<G: Guard>(
    config: serde_json::Value,
    spec: &ApiSpec,
    services: &Services,
    files: &TestFiles,
    scope: &dyn Fn(&str) -> String,
    issuers: &[IssuerSpec],
) -> Result<G, Diagnostics> {
    let config = serde_json::from_value(config)
        .map_err(|error| bartizan_model::Diagnostic::error("", error.to_string()))?;
    let issuers: BTreeMap<Arc<str>, Arc<IssuerSpec>> =
        issuers.iter().map(|spec| (Arc::clone(&spec.name), Arc::new(spec.clone()))).collect();
    let context = CompileContext {
        spec,
        api: "shop",
        operation: None,
        profile: Profile::Balanced,
        issuers: &issuers,
        services,
        files,
        scope,
    };
    G::compile(config, &context)
}

/// A plain `GET /` of `198.51.100.1` to `http://api.test`.
pub fn transaction() -> Transaction {
    let ip = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    Transaction {
        id: EventId::new(START, 1),
        started: START,
        ticks: Duration::ZERO,
        client: Client { ip, peer: SocketAddr::new(ip, 40_000) },
        certificate: None,
        outer_scheme: None,
        request: CanonicalRequest {
            method: Method::GET,
            scheme: Scheme::Http,
            host: "api.test".to_owned(),
            port: None,
            path: "/".to_owned(),
            query: None,
            sent: None,
            headers: HeaderMap::new(),
            removed: Vec::new(),
            version: Version::HTTP_11,
            content_length: Some(0),
        },
        api: "shop".into(),
        operation: "unknown".into(),
        principal: None,
        hello: None,
        risk: 0,
        allowed_by: Vec::new(),
        findings: Vec::new(),
        findings_dropped: 0,
        response_headers: HeaderMap::new(),
        consumed_headers: Vec::new(),
        memory: bartizan_model::Memory::default(),
        monitor_all: false,
        guard_mode: bartizan_model::Mode::Enforce,
        score: None,
        probe: false,
        scratch: None,
        trace: None,
    }
}

/// Runs a future that waits for nothing.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("a guard waits for something that never comes")
}

/// The reason code of a refusal, if it is one.
pub fn code<R: bartizan_model::Reason>(outcome: &Outcome<R>) -> Option<&'static str> {
    match outcome {
        Outcome::Continue | Outcome::Answer(_) => None,
        Outcome::Challenge(reason) | Outcome::Deny(reason) => Some(reason.info().code),
    }
}
