//! The guards of one API in process: what the gateway does between a request's head and its response's, without a network.

mod elsewhere;
mod world;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bartizan_contract::Description;
use bartizan_guards::{
    Clearance, Guards, HeldBody, Sections,
    identity::{
        self,
        certificate::{self, CLIENT_CERT, CLIENT_CERT_CHAIN},
        federation::{self, Mapping},
    },
    ownership::{self, Instead, Ownership},
    rate_limit::table::LimitTable,
};
use bartizan_model::{
    ClientCertificate, Clock, CompileContext, Diagnostics, Finding, Guard, Mode, Mounted, Period, Phase,
    Principal, Profile, ResponseHead, Services, Stop, Timestamp, Transaction, Verdict, Witness,
    compile::{ApiSpec, IssuerSpec, KeySource, TokenProfile},
    revocation::{Revocation, Revoked},
    services::{ApiKeyRecord, ClientKeyRecord, KeyLimit, Revocations},
};
use bartizan_pattern::template::PathRouter;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Map, Value};

use self::{
    elsewhere::{Answers, Decisions},
    world::{api_keys, factors, issuers},
};
use crate::{
    case::{Head, Response},
    support::{self, FixedClients, FixedFactors, FixedKeys, Sequence, StillClock, TestFiles},
};

/// One API with its operations.
pub struct Gate {
    clock: Arc<StillClock>,
    contract: Option<Description>,
    operations: Vec<(String, Guards)>,
    api: Guards,
}

/// What exists besides the policy: API keys, revocations, and what others answer who are asked.
#[derive(Default)]
pub struct World {
    pub keys: Value,
    pub revoked: Value,
    pub answers: Value,
    pub decisions: Value,
    pub clients: Value,
}

/// A fixed deny-list.
struct Listed(Vec<Revocation>);

impl Revocations for Listed {
    fn find(&self, principal: &Principal, now: Timestamp) -> Option<Revoked> {
        let named = |entry: &Revocation| match entry.kind {
            Revoked::Token => principal.credential_id.as_ref() == Some(&entry.value),
            Revoked::Subject => principal.subject == entry.value,
            Revoked::Session => principal.session.as_ref() == Some(&entry.value),
            Revoked::Issuer => true,
        };
        let found = self.0.iter().find(|entry| {
            entry.issuer == principal.issuer
                && named(entry)
                && Revocation::holds(entry.issued_before, entry.until, principal, now)
        });
        found.map(|entry| entry.kind)
    }

    fn note_retired(&self, _: &str, _: &str, _: &str, _: bool, _: Timestamp) {}
}

/// The certificates of a PEM file, as a handshake brings them.
pub fn certificate(file: &Path) -> Arc<ClientCertificate> {
    let pem = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
    let all: Vec<&[u8]> = all.iter().map(AsRef::as_ref).collect();
    let (leaf, chain) = all.split_first().unwrap();
    Arc::new(certificate::read(leaf, chain, Witness::Handshake).unwrap())
}

/// Enrolled clients.
fn clients(list: &Value) -> FixedClients {
    let mut clients = FixedClients::default();
    for entry in list.as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let moment = |field: &str| entry[field].as_u64().map(Timestamp::from_seconds);
        let record = ClientKeyRecord {
            id: text("id").into(),
            client: text("client").into(),
            algorithm: text("algorithm").into(),
            public_key: text("public_key").into(),
            created: Timestamp::from_seconds(1),
            expires: moment("expires"),
            revoked: moment("revoked"),
            successor: None,
        };
        clients.0.insert(text("id").to_owned(), Arc::new(record));
    }
    clients
}

fn revocations(list: &Value) -> Result<Vec<Revocation>, String> {
    let entry = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let moment = |field: &str| entry[field].as_u64().map(Timestamp::from_seconds);
        Ok(Revocation {
            kind: Revoked::named(text("kind")).ok_or("a revocation without `kind`")?,
            issuer: text("issuer").into(),
            value: text("value").into(),
            issued_before: moment("issued_before"),
            until: moment("until"),
            reason: String::new(),
            created: Timestamp(0),
            by: String::new(),
        })
    };
    list.as_array().into_iter().flatten().map(entry).collect()
}

/// How an exchange ended.
pub struct Ended {
    pub status: StatusCode,
    pub verdict: Verdict,
    pub reason: Option<&'static str>,
    pub findings: Vec<Finding>,
    pub headers: HeaderMap,
    pub forwarded: Option<HeaderMap>,
    pub principal: Option<String>,
    pub body: Vec<u8>,
}

impl Ended {
    pub fn summary(&self) -> String {
        let details: Vec<_> = self.findings.iter().map(|f| f.detail.as_ref()).collect();
        format!(
            "{} {} {:?} [{}]",
            self.status.as_u16(),
            self.verdict.as_str(),
            self.reason,
            details.join("; ")
        )
    }
}

impl Gate {
    pub fn new(document: &Value, world: &World, directory: &Path) -> Result<Self, String> {
        let clock = StillClock::new();
        let limits = Arc::new(LimitTable::new(1 << 12, &Sequence::new()));
        let services = Services {
            factors: Arc::new(FixedFactors::new(factors(&world.keys))),
            revocations: Arc::new(Listed(revocations(&world.revoked)?)),
            introspection: Arc::new(Answers(world.answers.clone())),
            decision_points: Arc::new(Decisions(world.decisions.clone())),
            client_keys: Arc::new(clients(&world.clients)),
            ..support::services(Arc::clone(&clock), limits, api_keys(&world.keys))
        };
        let api = document.pointer("/apis/0").ok_or("the excerpt has no `apis:`")?;
        let name = api["name"].as_str().ok_or("the API has no name")?;
        let contract = support::contract(api["contract"].as_str(), directory)?;
        let mut compiler = Compiler {
            spec: contract.as_ref().map_or_else(|| Ok(ApiSpec::default()), support::spec)?,
            services,
            files: TestFiles { directory: Some(directory.to_owned()), ..TestFiles::default() },
            issuers: issuers(&document["issuers"])?,
            name: name.to_owned(),
            mode: mode(&api["mode"])?.unwrap_or_default(),
            profile: if document["profile"] == "strict" { Profile::Strict } else { Profile::Balanced },
            blocks: blocks(api, &format!("api:{name}")),
            problems: Diagnostics::new(),
        };
        let guards = Guards::compile(&mut compiler);
        let shared = compiler.blocks.clone();
        let mut operations = Vec::new();
        for operation in api["operations"].as_array().into_iter().flatten() {
            let label = operation["match"].as_str().ok_or("an operation without `match`")?.to_owned();
            compiler.blocks =
                laid_over(shared.clone(), blocks(operation, &format!("operation:{name} {label}")));
            operations.push((label, Guards::compile(&mut compiler)));
        }
        if compiler.problems.has_errors() {
            return Err(compiler.problems.to_string());
        }
        Ok(Gate { clock, contract, operations, api: guards })
    }

    pub fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub fn exchange(
        &self,
        head: &Head,
        from: IpAddr,
        upstream: &Response,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> Ended {
        let mut transaction = support::transaction();
        transaction.certificate = certificate.cloned();
        transaction.started = self.clock.now();
        transaction.ticks = self.clock.monotonic();
        transaction.client.ip = from;
        transaction.client.peer.set_ip(from);
        let request = &mut transaction.request;
        request.method = head.method.clone();
        request.scheme = head.scheme;
        request.host = head.host.clone();
        request.port = head.port;
        request.path = head.path.clone();
        request.query = head.query.clone();
        request.headers = head.headers.clone();
        request.content_length = Some(head.content_length);
        // Nobody here is a trusted proxy.
        for name in [CLIENT_CERT, CLIENT_CERT_CHAIN] {
            if let Some(value) = request.headers.remove(&name) {
                request.removed.push((name, value));
            }
        }

        if let Some(contract) = &self.contract {
            let named = contract.operations.iter().find(|operation| {
                let mut router = PathRouter::new();
                router.insert(&operation.template, ()).unwrap();
                let get = operation.method == http::Method::GET && head.method == http::Method::HEAD;
                (operation.method == head.method || get) && router.find(&head.path).is_some()
            });
            if let Some(operation) = named {
                transaction.operation = Arc::clone(&operation.spec.label);
            }
        }
        let label = format!("{} {}", head.method, head.path);
        let found = self.operations.iter().find(|(name, _)| *name == label);
        let guards = found.map_or(&self.api, |(_, guards)| guards);
        let stop = support::now(clear(guards, &mut transaction, head.body.clone().into())).err();
        let mut body = upstream.body.clone();
        let stop = stop.or_else(|| match inspect(guards, &mut transaction, upstream) {
            Ok(other) => {
                body = other.map_or_else(|| body.clone(), |bytes| bytes.to_vec());
                None
            }
            Err(stop) => Some(stop),
        });

        let mut forwarded = None;
        let (mut response, verdict, reason) = match stop {
            None => {
                let mut headers = transaction.request.headers.clone();
                for name in &transaction.consumed_headers {
                    headers.remove(name);
                }
                forwarded = Some(headers);
                let Response { status, mut headers, .. } = upstream.clone();
                if body != upstream.body {
                    ownership::describe(&mut headers, &body);
                }
                (ResponseHead { status, headers, from_upstream: true }, Verdict::Allow, None)
            }
            Some(Stop::Answer { answer, .. }) => {
                let answer = *answer;
                body = answer.body.to_vec();
                let head =
                    ResponseHead { status: answer.status, headers: answer.headers, from_upstream: false };
                (head, Verdict::Allow, None)
            }
            Some(Stop::Denial(denial)) => {
                body.clear();
                let mut headers = HeaderMap::new();
                headers.insert(http::header::CONTENT_TYPE, "application/problem+json".parse().unwrap());
                for (name, value) in denial.headers {
                    headers.append(name, value);
                }
                let head = ResponseHead { status: denial.info.status, headers, from_upstream: false };
                (head, denial.info.verdict, Some(denial.info.code))
            }
        };
        for (name, value) in &transaction.response_headers {
            response.headers.append(name.clone(), value.clone());
        }
        guards.response_headers(&transaction, &mut response);
        guards.settle(&mut transaction);
        Ended {
            status: response.status,
            verdict,
            reason,
            findings: transaction.findings,
            headers: response.headers,
            forwarded,
            body,
            principal: transaction.principal.map(|p| p.subject.to_string()),
        }
    }
}

async fn clear(guards: &Guards, transaction: &mut Transaction, body: Bytes) -> Result<Clearance, Stop> {
    let ip_access = guards.ip_access.request_headers(transaction).await?;
    let address_limits = guards.address_limits.request_headers(transaction).await?;
    let request_limits = guards.request_limits.begin(transaction).await?;
    let cors = guards.cors.request_headers(transaction).await?;
    let identity = guards.identity.begin(transaction).await?;
    if guards.identity.active().is_none() {
        identity::notice_exposed(transaction);
    }
    let session = guards.session.request_headers(transaction).await?;
    let step_up = guards.step_up.request_headers(transaction).await?;
    let access = guards.access.begin(transaction).await?;
    let ownership = guards.ownership.open(transaction).await?;
    let rate_limit = guards.rate_limit.open(transaction).await?;
    let security_headers = guards.security_headers.request_headers(transaction).await?;
    let contract = guards.contract.open(transaction).await?;
    let waf = guards.waf.open(transaction).await?;
    let needed = [
        request_limits.needs_body(),
        identity.needs_body(),
        access.needs_body(),
        ownership.needs_body(),
        rate_limit.needs_body(),
        contract.needs_body(),
        waf.needs_body(),
    ];
    let needed = needed.into_iter().flatten().max();
    let limit = needed.unwrap_or(usize::MAX);
    let held = HeldBody::new(body.slice(..body.len().min(limit)), body.len() <= limit);
    let mut held = held.described(&transaction.request.headers);
    if let Some(limits) = guards.request_limits.active() {
        held = held.within(limits.body_limits());
    }
    let request_limits =
        guards.request_limits.finish(request_limits, transaction, |limits, _| limits.request_body(&held))?;
    let identity =
        guards.identity.finish(identity, transaction, |identity, of| identity.request_body(of, &held))?;
    let contract = guards
        .contract
        .request_body(contract, transaction, |contract, of| contract.request_body(of, &held))?;
    let access = guards.access.finish(access, transaction, |access, of| access.request_body(of, &held))?;
    let ownership = guards
        .ownership
        .request_body(ownership, transaction, |ownership, of| ownership.request_body(of, &held))?;
    let rate_limit = guards
        .rate_limit
        .request_body(rate_limit, transaction, |limits, of| limits.request_body(of, &held))?;
    let waf = guards.waf.request_body(waf, transaction, |waf, of| waf.request_body(of, &held))?;
    if let Some(guard) = guards.ownership.active().filter(|_| guards.ownership.enforces(transaction)) {
        guard.whole_answer(transaction);
    }
    let response_contract = guards.response_contract.request_headers(transaction).await?;
    Ok(Clearance {
        contract,
        response_contract,
        ip_access,
        address_limits,
        request_limits,
        cors,
        identity,
        session,
        step_up,
        access,
        ownership,
        rate_limit,
        security_headers,
        waf,
    })
}

/// What guards say of the response, and what is sent in place of its body.
fn inspect(
    guards: &Guards,
    transaction: &mut Transaction,
    upstream: &Response,
) -> Result<Option<Bytes>, Stop> {
    let Response { status, headers, body } = upstream.clone();
    let head = ResponseHead { status, headers, from_upstream: true };
    guards.session.response(transaction, Phase::ResponseHeaders, |s, of| s.response_head(of, &head))?;
    let (waf, ownership) = (&guards.waf, &guards.ownership);
    ownership.response(transaction, Phase::ResponseHeaders, |owner, of| owner.response_head(of, &head))?;
    instead(ownership, transaction)?;
    waf.response(transaction, Phase::ResponseHeaders, |waf, of| waf.response_head(of, &head))?;
    let promised = &guards.response_contract;
    promised.response(transaction, Phase::ResponseHeaders, |own, of| own.response_head(of, &head))?;
    let owned = ownership.active().and_then(|ownership| ownership.needs_response_body(transaction));
    let ruled = waf.active().and_then(|waf| waf.needs_response_body(transaction));
    let held = |limit: usize| {
        let bytes = Bytes::copy_from_slice(&body[..body.len().min(limit)]);
        HeldBody::new(bytes, body.len() <= limit).described(&head.headers)
    };
    if let Some(limit) = owned {
        let held = held(limit);
        ownership
            .response(transaction, Phase::ResponseBody, |owner, of| owner.response_body(of, &head, &held))?;
    }
    if let Some(limit) = promised.active().and_then(|own| own.needs_response_body(transaction)) {
        let held = held(limit);
        promised.response(transaction, Phase::ResponseBody, |own, of| own.response_body(of, &held))?;
    }
    if let Some(limit) = ruled {
        let held = held(limit);
        waf.response(transaction, Phase::ResponseBody, |waf, of| waf.response_body(of, &held))?;
    }
    if let Some(own) = promised.active().filter(|_| promised.enforces(transaction))
        && let Some(body) = own.edits(transaction).body
    {
        return Ok(Some(body));
    }
    instead(ownership, transaction)
}

fn instead(ownership: &Mounted<Ownership>, transaction: &mut Transaction) -> Result<Option<Bytes>, Stop> {
    let Some(guard) = ownership.active().filter(|_| ownership.enforces(transaction)) else { return Ok(None) };
    match guard.instead(transaction) {
        None => Ok(None),
        Some(Instead::Answer(answer)) => Err(Stop::Answer { guard: Ownership::ID, answer }),
        Some(Instead::Body(bytes)) => Ok(Some(bytes)),
    }
}

/// A guard's block, and where each entry of it was written.
#[derive(Clone)]
struct Block {
    value: Value,
    scopes: Vec<String>,
    scope: String,
}

type Blocks = BTreeMap<String, Block>;

/// The guard blocks of an API or an operation.
fn blocks(owner: &Value, scope: &str) -> Blocks {
    let guards = owner["guards"].as_object().cloned().unwrap_or_default();
    let identity = owner.get("identity").map(|value| ("identity".to_owned(), value.clone()));
    let entries = |value: &Value| value.get("limits").unwrap_or(value).as_array().map_or(0, Vec::len);
    let block = |value: Value| Block {
        scopes: vec![scope.to_owned(); entries(&value)],
        scope: scope.to_owned(),
        value,
    };
    guards.into_iter().chain(identity).map(|(id, value)| (id, block(value))).collect()
}

fn laid_over(mut below: Blocks, above: Blocks) -> Blocks {
    for (id, block) in above {
        match below.get_mut(&id) {
            Some(base) => merge(base, block),
            None => drop(below.insert(id, block)),
        }
    }
    below
}

fn merge(base: &mut Block, above: Block) {
    match (&mut base.value, above.value) {
        (Value::Array(entries), Value::Array(new)) => {
            for (entry, scope) in new.into_iter().zip(above.scopes) {
                match entries.iter().position(|old| old["name"] == entry["name"]) {
                    Some(index) => {
                        entries[index] = entry;
                        base.scopes[index] = scope;
                    }
                    None => {
                        entries.push(entry);
                        base.scopes.push(scope);
                    }
                }
            }
        }
        (Value::Object(old), Value::Object(new)) => old.extend(new),
        (old, new) => *old = new,
    }
}

struct Compiler {
    spec: ApiSpec,
    services: Services,
    files: TestFiles,
    issuers: BTreeMap<Arc<str>, Arc<IssuerSpec>>,
    name: String,
    mode: Mode,
    profile: Profile,
    blocks: Blocks,
    problems: Diagnostics,
}

impl Sections for Compiler {
    fn mount<G: Guard>(&mut self) -> Mounted<G> {
        let Some(block) = self.blocks.get(G::ID) else { return Mounted::absent() };
        let mut value = block.value.clone();
        let written = value.as_object_mut().and_then(|map| map.remove("mode")).unwrap_or_default();
        // A list that carries a mode is written `{ mode, limits }`.
        if let Some(limits) = value.as_object_mut().and_then(|map| map.remove("limits")) {
            value = limits;
        }
        let scope = |path: &str| {
            let index = path.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
            index.and_then(|index| block.scopes.get(index)).unwrap_or(&block.scope).clone()
        };
        let context = CompileContext {
            spec: &self.spec,
            api: &self.name,
            operation: None,
            profile: self.profile,
            issuers: &self.issuers,
            services: &self.services,
            files: &self.files,
            scope: &scope,
        };
        let guard = serde_json::from_value(value)
            .map_err(|error| bartizan_model::Diagnostic::error(G::ID, error.to_string()).into())
            .and_then(|config| G::compile(config, &context));
        match (guard, mode(&written)) {
            (Ok(guard), Ok(own)) => Mounted::new(Arc::new(guard), own.unwrap_or(self.mode)),
            (Err(problems), _) => {
                self.problems.extend(problems);
                Mounted::absent()
            }
            (_, Err(error)) => {
                self.problems.push(bartizan_model::Diagnostic::error(G::ID, error));
                Mounted::absent()
            }
        }
    }
}

fn mode(value: &Value) -> Result<Option<Mode>, String> {
    // A plain `off` is a boolean to readers of YAML 1.1.
    if value == &Value::Bool(false) {
        return Ok(Some(Mode::Off));
    }
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}
