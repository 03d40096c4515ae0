//! The way of one exchange, top to bottom. Read [`exchange`] and [`decide`] and you know the product.

use std::sync::Arc;

use bartizan_guards::{
    Clearance, HeldBody,
    contract::Contract,
    identity::{
        self, Identity,
        certificate::{self, CLIENT_CERT, CLIENT_CERT_CHAIN},
        signature::digest,
    },
    ownership,
    request_limits::RequestLimits,
};
use bartizan_model::{
    Answer, CanonicalRequest, Client, Denial, Finding, Memory, Mode, Mounted, Phase, Scheme, Severity, Stop,
    Transaction, Verdict, address::canonical as canonical_ip, transaction::Step,
};
use bartizan_pattern::path::PathRules;
use bartizan_policy::snapshot::{Api, Found, UnknownOperations};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;

use crate::{
    body::{ReplyBody, linger},
    client_body::ClientBody,
    client_trust,
    connection::{Begun, Connection, Refusal},
    forward::{self, Onward},
    gateway::Gateway,
    ingress::{
        address,
        canonical::{self, Head, HeadLimits, SERVER},
    },
    metadata,
    record::{BodyMeter, Record},
    respond,
    upstream::Upstream,
};

/// Serves one request on a connection.
pub async fn exchange(
    gateway: &Arc<Gateway>,
    connection: &Arc<Connection>,
    redirect_to: Option<u16>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let (mut parts, incoming) = request.into_parts();
    let version = parts.version;
    let mut record = begin(gateway, connection, &parts);
    if let Some(port) = redirect_to {
        let normalized = normalize(&mut record, &mut parts);
        linger(version, incoming);
        return match normalized {
            Ok(_) if record.transaction.request.path == SERVER => respond::stop(record, server_options()),
            Ok(_) => respond::redirect(record, port),
            Err(stop) => respond::stop(record, stop),
        };
    }
    let mut body = ClientBody::Waiting(incoming);
    match decide(&mut record, &mut parts, &mut body).await {
        Ok((clearance, onward)) => forward::forward(clearance, record, onward, parts, body).await,
        Err(stop) => {
            body.linger(version);
            respond::stop(record, stop)
        }
    }
}

/// Everything before forwarding: the steps 1 to 7 of the house. `explain` calls it, too.
///
/// # Errors
/// A guard or the gateway itself refused, challenged or answered.
pub async fn decide(
    record: &mut Record,
    parts: &mut Parts,
    body: &mut ClientBody,
) -> Result<(Clearance, Onward), Stop> {
    let mut head = normalize(record, parts)?;
    if record.transaction.request.content_length.is_none() && body.is_empty() {
        record.transaction.request.content_length = Some(0);
    }
    if record.transaction.request.path == SERVER {
        return Err(server_options());
    }
    if let Some(answer) = metadata::answer(&record.active, &record.transaction) {
        return Err(answer);
    }
    let (api, upstream) = route(record, &mut head)?;
    let request = &record.transaction.request;
    let (operation, other_methods) = match api.operations.find(&request.method, &request.path) {
        Found::Operation(operation) => (Arc::clone(operation), None),
        Found::MethodNotAllowed { methods, operation: Some(operation) } => {
            (Arc::clone(operation), Some(methods))
        }
        Found::MethodNotAllowed { methods, operation: None } => {
            return Err(refuse(&mut record.transaction, method_not_allowed(&methods)));
        }
    };
    record.transaction.operation = Arc::clone(&operation.label);
    record.operation = Some(Arc::clone(&operation));
    let transaction = &mut record.transaction;
    let guards = &operation.guards;

    // 1 admit: what an address alone decides, and preflights, which carry no credential
    let ip_access = guards.ip_access.request_headers(transaction).await?;
    let address_limits = guards.address_limits.request_headers(transaction).await?;
    let request_limits = guards.request_limits.begin(transaction).await?;
    let cors = guards.cors.request_headers(transaction).await?;
    // 2 identify
    let identity = match record.assumed.take() {
        None => guards.identity.begin(transaction).await?,
        Some(caller) => {
            let left_out = Mounted::<Identity>::absent().begin(transaction).await?;
            transaction.principal = Some(caller);
            left_out
        }
    };
    if guards.identity.active().is_none() {
        identity::notice_exposed(transaction);
    }
    let session = guards.session.request_headers(transaction).await?;
    let step_up = guards.step_up.request_headers(transaction).await?;
    // 3 authorize: what the caller may do, and whose object is asked for, as far as the request tells
    let access = guards.access.begin(transaction).await?;
    let ownership = guards.ownership.open(transaction).await?;
    // 4 throttle
    let rate_limit = guards.rate_limit.open(transaction).await?;
    let security_headers = guards.security_headers.request_headers(transaction).await?;
    // 5 contract: paths and methods
    if let Some(methods) = other_methods {
        undeclared(transaction, &api, method_not_allowed(&methods))?;
    } else if !operation.known {
        undeclared(transaction, &api, unknown_operation())?;
    }
    let contract = match guards.contract.open(transaction).await {
        Ok(contract) => contract,
        Err(stop) => {
            if is_misfit(&stop) {
                guards.waf.consult_head(transaction).await;
                let body = HeldBody::new(Bytes::new(), transaction.request.content_length == Some(0));
                guards.waf.consult_body(transaction, |waf, of| waf.request_body(of, &body));
            }
            return Err(stop);
        }
    };
    // 6 inspect: what rules see in the head
    let waf = guards.waf.open(transaction).await?;
    // A block of the policy may set its own bound; what it only watches stays bounded by the API's.
    let enforced = guards.request_limits.mode() == Mode::Enforce && !transaction.monitor_all;
    let limits = guards.request_limits.active().filter(|_| enforced);
    let max_body = limits.and_then(RequestLimits::own_max_body).unwrap_or(api.max_body);
    let mut onward = Onward {
        api,
        upstream,
        upgrade: head.upgrade,
        target: parts.uri.path_and_query().cloned(),
        trailers: head.trailers,
        max_body,
        digest: None,
    };

    // --- the request body, only if a guard asked for it ---
    // A signature towards the upstream covers the body, too.
    let has_body = record.transaction.request.content_length != Some(0);
    let sign = onward.upstream.spec.sign.as_ref().filter(|sign| has_body && sign.covers_body());
    let signing = sign.map(|sign| sign.max_body);
    let needed = [
        request_limits.needs_body(),
        identity.needs_body(),
        access.needs_body(),
        ownership.needs_body(),
        rate_limit.needs_body(),
        contract.needs_body(),
        waf.needs_body(),
        signing,
    ];
    let needed = needed.into_iter().flatten().max();
    let held = body.hold(record, &onward, needed).await;
    let transaction = &mut record.transaction;
    let mut held = held.map_err(|denial| fail(transaction, denial))?;
    if let Some(limits) = guards.request_limits.active()
        && !held.bytes.is_empty()
    {
        held = held.within(limits.body_limits());
    }
    // 7 body checks: first that it can be read at all, and is read the same by everybody
    let request_limits =
        guards.request_limits.finish(request_limits, transaction, |limits, _| limits.request_body(&held))?;
    let identity =
        guards.identity.finish(identity, transaction, |identity, of| identity.request_body(of, &held))?;
    // The contract comes before whatever looks for attacks: what it proves need not be suspected.
    let contract =
        guards.contract.request_body(contract, transaction, |contract, of| contract.request_body(of, &held));
    let contract = contract.inspect_err(|stop| {
        if is_misfit(stop) {
            guards.waf.consult_body(transaction, |waf, of| waf.request_body(of, &held));
        }
    })?;
    let access = guards.access.finish(access, transaction, |access, of| access.request_body(of, &held))?;
    let ownership = guards
        .ownership
        .request_body(ownership, transaction, |ownership, of| ownership.request_body(of, &held))?;
    let rate_limit = guards
        .rate_limit
        .request_body(rate_limit, transaction, |limits, of| limits.request_body(of, &held))?;
    let waf = guards.waf.request_body(waf, transaction, |waf, of| waf.request_body(of, &held))?;
    if let Some(ownership) = guards.ownership.active().filter(|_| guards.ownership.enforces(transaction)) {
        ownership.whole_answer(transaction);
    }
    let sent = edit(&guards.contract, transaction, body).unwrap_or_else(|| held.bytes.clone());
    if signing.is_some() && held.whole {
        onward.digest = HeaderValue::try_from(digest::content_digest(&sent)).ok();
    }
    let clearance = Clearance {
        response_contract: guards.response_contract.request_headers(transaction).await?,
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
        contract,
        waf,
    };
    Ok((clearance, onward))
}

/// Whether the contract refused values, which rules could be asked about, too: whoever reads the event wants to know whether
/// it was an attack.
fn is_misfit(stop: &Stop) -> bool {
    let codes = ["contract.parameter", "contract.body", "contract.undeclared"];
    matches!(stop, Stop::Denial(denial) if codes.contains(&denial.info.code))
}

/// Takes out of the request what the contract does not name; gives the body that is sent instead.
fn edit(mounted: &Mounted<Contract>, transaction: &mut Transaction, body: &mut ClientBody) -> Option<Bytes> {
    let contract = mounted.active().filter(|_| mounted.enforces(transaction))?;
    let edits = contract.edits(transaction);
    if let Some(query) = edits.query {
        transaction.request.query = query;
    }
    let bytes = edits.body?;
    let had_length = transaction.request.headers.contains_key(header::CONTENT_LENGTH);
    ownership::describe(&mut transaction.request.headers, &bytes);
    if !had_length {
        transaction.request.headers.remove(header::CONTENT_LENGTH);
    }
    transaction.request.content_length = Some(bytes.len() as u64);
    body.replace(bytes.clone());
    Some(bytes)
}

/// `OPTIONS *` asks what the server can do (RFC 9110 section 9.3.7): the gateway is that server, and answers itself.
fn server_options() -> Stop {
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");
    let headers = HeaderMap::from_iter([(header::ALLOW, methods)]);
    Stop::Answer {
        guard: "ingress",
        answer: Box::new(Answer { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }),
    }
}

/// Room for the steps of an exchange: ingress, route and one for each guard.
const STEPS: usize = 17;

/// A record for an exchange of which nothing is known yet but its connection.
pub fn begin(gateway: &Arc<Gateway>, connection: &Arc<Connection>, parts: &Parts) -> Box<Record> {
    let clock = &gateway.services.clock;
    let started = clock.now();
    let ip = bartizan_model::address::canonical(connection.peer.ip());
    Box::new(Record {
        gateway: Arc::clone(gateway),
        active: gateway.active(),
        connection: Arc::clone(connection),
        transaction: Transaction {
            id: gateway.event_id(started),
            started,
            ticks: clock.monotonic(),
            client: Client { ip, peer: connection.peer },
            certificate: connection.certificate().cloned(),
            outer_scheme: None,
            request: CanonicalRequest {
                method: parts.method.clone(),
                scheme: connection.scheme,
                host: String::new(),
                port: None,
                path: String::new(),
                query: None,
                sent: None,
                headers: HeaderMap::new(),
                removed: Vec::new(),
                version: parts.version,
                content_length: None,
            },
            api: respond::no_label(),
            operation: respond::no_label(),
            principal: None,
            hello: connection.tls.as_ref().and_then(|tls| tls.hello),
            risk: 0,
            allowed_by: Vec::new(),
            findings: Vec::new(),
            findings_dropped: 0,
            response_headers: HeaderMap::new(),
            consumed_headers: Vec::new(),
            memory: Memory::default(),
            monitor_all: gateway.break_glass_at(started),
            guard_mode: Mode::Enforce,
            score: None,
            probe: connection.mark().is_some(),
            scratch: connection.mark().map(|mark| mark.scratch()),
            trace: Some(Vec::with_capacity(STEPS)),
        },
        api: None,
        operation: None,
        ending: None,
        status: 0,
        body: Arc::new(BodyMeter::default()),
        bytes_out: 0,
        upstream_wait: None,
        backend: None,
        attempts: 0,
        silent: false,
        assumed: None,
        running: Some(connection.begin()),
    })
}

/// The raw head to one canonical request, and the client's true address. What is ambiguous ends here.
fn normalize(record: &mut Record, parts: &mut Parts) -> Result<Head, Stop> {
    let connection = Arc::clone(&record.connection);
    let active = Arc::clone(&record.active);
    let bounds = &active.snapshot.bounds;
    let limits = HeadLimits { header_count: bounds.header_count, target_bytes: bounds.target_bytes };
    let is_h1 = parts.version < http::Version::HTTP_2;
    let begun = if is_h1 { connection.take_begun() } else { Begun::default() };
    let refused = begun.refusal.map(|why| match why {
        Refusal::Head(why) => canonical::refusal(why.code(), why.status(), why.detail()),
        Refusal::HeaderTimeout => canonical::refusal(
            "ingress.header_timeout",
            408,
            "the head took longer than `bounds.header_timeout`",
        ),
    });
    let head = match refused {
        Some(denial) => Err(denial),
        None => canonical::head(parts, &connection, limits),
    };
    let transaction = &mut record.transaction;
    let mut head = head.map_err(|denial| refuse(transaction, denial))?;
    if let Some(target) = begun.target {
        head.request.sent = Some(target);
    }
    transaction.request = std::mem::replace(&mut head.request, transaction.request.clone());
    let trusted = &active.snapshot.trusted_proxies;
    match address::client(connection.peer, trusted, &transaction.request.headers) {
        Some(client) => transaction.client = client,
        None => {
            let why = "`Forwarded` and `X-Forwarded-For` name different clients";
            return Err(refuse(transaction, canonical::refusal("ingress.forwarded", 400, why)));
        }
    }
    if let Err(fault) = connection.certificate_holds(transaction.started) {
        let code = client_trust::exchange_code(fault);
        let denial =
            respond::own_denial("ingress", code, StatusCode::FORBIDDEN, Verdict::Deny, fault.sentence());
        return Err(refuse(transaction, denial));
    }
    let by_proxy = trusted.contains(canonical_ip(transaction.client.peer.ip()));
    transaction.outer_scheme = by_proxy.then(|| outer_scheme(&transaction.request.headers)).flatten();
    take_passed_on_certificate(transaction, by_proxy)?;
    if record.gateway.bans.is_banned(transaction.client.ip, transaction.started) {
        let why = "the client's address is banned";
        let denial = respond::own_denial("ban", "ban.address", StatusCode::FORBIDDEN, Verdict::Deny, why);
        return Err(refuse(transaction, denial));
    }
    Ok(head)
}

/// The scheme that a trusted proxy says its client used.
fn outer_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let mut told = headers.get_all(forward::X_FORWARDED_PROTO).iter();
    match (told.next()?.as_bytes(), told.next()) {
        (b"https", None) => Some(Scheme::Https),
        (b"http", None) => Some(Scheme::Http),
        _ => None,
    }
}

/// The certificate that a trusted proxy passes on (RFC 9440). From anybody else the fields are a claim that goes no further.
fn take_passed_on_certificate(transaction: &mut Transaction, trusted: bool) -> Result<(), Stop> {
    let headers = &mut transaction.request.headers;
    if !headers.contains_key(CLIENT_CERT) && !headers.contains_key(CLIENT_CERT_CHAIN) {
        // Who asks on behalf of somebody else shows its own certificate in the handshake, and not the caller's.
        if trusted && transaction.client.ip != canonical_ip(transaction.client.peer.ip()) {
            transaction.certificate = None;
        }
        return Ok(());
    }
    if trusted {
        match certificate::from_fields(headers) {
            Ok(found) => {
                if let Some(certificate) = found {
                    transaction.certificate = Some(Arc::new(certificate));
                }
                return Ok(());
            }
            Err(why) => {
                return Err(refuse(transaction, canonical::refusal("ingress.client_cert", 400, why)));
            }
        }
    }
    for name in [CLIENT_CERT, CLIENT_CERT_CHAIN] {
        let claimed: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        transaction.request.removed.extend(claimed.into_iter().map(|value| (name.clone(), value)));
    }
    Ok(())
}

/// Host and path to the API, whose rules settle the path and the reserved headers.
fn route(record: &mut Record, head: &mut Head) -> Result<(Arc<Api>, Arc<Upstream>), Stop> {
    let active = Arc::clone(&record.active);
    let transaction = &mut record.transaction;
    let found = active.route(&transaction.request.host, &transaction.request.path);
    let rules = found.map_or_else(PathRules::default, |(api, _)| api.path_rules);
    let path = canonical::settle_path(&head.raw_path, rules).map_err(|denial| refuse(transaction, denial))?;
    // The tolerated form may belong to another API than the one that was found by a lenient reading.
    if path != transaction.request.path {
        let again = active.route(&transaction.request.host, &path);
        if again.map(|(api, _)| &api.name) != found.map(|(api, _)| &api.name) {
            let why = "the path belongs to different APIs in different readings";
            return Err(refuse(transaction, canonical::refusal("ingress.path", 400, why)));
        }
        let request = &mut transaction.request;
        request.sent.get_or_insert_with(|| match &request.query {
            Some(query) => format!("{}?{query}", head.raw_path).into(),
            None => head.raw_path.as_str().into(),
        });
        request.path = path;
    }
    transaction.step("ingress", Phase::RequestHeaders, Mode::Enforce, Step::Continued);
    let Some((api, upstream)) = found else {
        let why = "no API of the policy serves this host and path";
        let denial = respond::own_denial("route", "route.no_api", StatusCode::NOT_FOUND, Verdict::Deny, why);
        return Err(refuse(transaction, denial));
    };
    let reserved = canonical::strip_reserved(&mut transaction.request.headers, &api.allowed_override_headers);
    transaction.request.removed.extend(reserved);
    transaction.api = Arc::clone(&api.name);
    transaction.step("route", Phase::RequestHeaders, Mode::Enforce, Step::Continued);
    record.api = Some(Arc::clone(api));
    Ok((Arc::clone(api), Arc::clone(upstream)))
}

/// What neither the contract nor a block of the policy names, under the API's `unknown_operations`.
fn undeclared(transaction: &mut Transaction, api: &Api, denial: Box<Denial>) -> Result<(), Stop> {
    let monitored = api.mode != Mode::Enforce || transaction.monitor_all;
    let mode = match api.unknown_operations {
        UnknownOperations::Allow => return Ok(()),
        UnknownOperations::Deny if !monitored => Mode::Enforce,
        UnknownOperations::Deny | UnknownOperations::Monitor => Mode::Monitor,
    };
    if mode == Mode::Enforce {
        return Err(refuse(transaction, denial));
    }
    transaction.step("route", Phase::RequestHeaders, mode, Step::Watched(denial.info.code));
    transaction.find(Finding { severity: Severity::Info, ..denial.finding(Phase::RequestHeaders, mode) });
    Ok(())
}

/// A candidate for a shadow operation.
fn unknown_operation() -> Box<Denial> {
    let why = "neither the contract nor an `operations` block names this operation";
    let mut denial =
        respond::own_denial("route", "route.unknown_operation", StatusCode::NOT_FOUND, Verdict::Deny, why);
    denial.remedy = Some("name it in the contract or in `operations`; `unknown_operations` decides the rest: `deny`, `monitor` or `allow`".into());
    denial
}

fn method_not_allowed(methods: &[Method]) -> Box<Denial> {
    let why = "the contract has this path with other methods";
    let mut denial = respond::own_denial(
        "route",
        "route.method_not_allowed",
        StatusCode::METHOD_NOT_ALLOWED,
        Verdict::Deny,
        why,
    );
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        denial.headers.push((header::ALLOW, value));
    }
    denial
}

/// What ends an exchange on its way through the gateway: a refusal of the gateway's own, or a failure, which is no finding.
pub fn fail(transaction: &mut Transaction, denial: Box<Denial>) -> Stop {
    match denial.info.verdict {
        Verdict::Error | Verdict::Abort => Stop::Denial(denial),
        _ => refuse(transaction, denial),
    }
}

/// A refusal of the gateway's own: a finding and a step like a guard's.
pub fn refuse(transaction: &mut Transaction, denial: Box<Denial>) -> Stop {
    transaction.find(denial.finding(Phase::RequestHeaders, Mode::Enforce));
    transaction.step(denial.guard, Phase::RequestHeaders, Mode::Enforce, Step::Refused(denial.info.code));
    Stop::Denial(denial)
}
