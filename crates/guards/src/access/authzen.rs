//! Decisions of a decision point elsewhere (OpenID AuthZEN Authorization API 1.0): what it is asked, how long its answers
//! are believed, and what holds while it gives none.

use std::{sync::Arc, time::Duration};

use bartizan_authz::Action;
use bartizan_model::{
    CompileContext, CredentialKind, Principal, Redacted, Scheme, Transaction,
    address::canonical,
    decision_point::{DecisionPoint, Question},
    redacted::shown_url,
    services::DecisionPoints,
};
use bartizan_pattern::body::form;
use http::{HeaderName, Uri, header};
use serde_json::{Map, Value, json};

use super::{
    Access,
    config::{Authzen, WithoutPoint},
};
use crate::{
    call_out::check_url,
    digest::{of_parts, sha256},
    identity::json,
    remembered::Remembered,
};

/// Where a point answers, unless the policy's URL has a path of its own (section 10.1.1).
const EVALUATION: &str = "/access/v1/evaluation";

/// Decisions that are remembered, of all points together; each is a few dozen bytes.
const MAX_DECISIONS: usize = 65_536;

/// Longest that a decision may be believed, whatever the policy says.
const LONGEST: Duration = Duration::from_secs(300);

/// Longest that one question may take.
const SLOWEST: Duration = Duration::from_secs(30);

/// Characters of a point's reason that are told.
const MAX_REASON: usize = 200;

/// Decisions by question. A question names its caller with all that is known of it, so that none is ever another caller's.
pub(super) struct Decisions(Remembered<Decided>);

impl Default for Decisions {
    fn default() -> Self {
        Decisions(Remembered::new(MAX_DECISIONS))
    }
}

/// What a point decided, and when by the monotonic clock.
#[derive(Clone)]
struct Decided {
    at: Duration,
    permits: bool,
    reason: Option<Arc<str>>,
}

/// A decision point as a block asks it.
pub(super) struct Point {
    point: Arc<DecisionPoint>,
    /// What decided, for findings and events.
    told: Arc<str>,
    cache: Duration,
    without: WithoutPoint,
    claims: Vec<Arc<str>>,
    asked: Arc<dyn DecisionPoints>,
    decisions: Arc<Decisions>,
}

/// What was decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Nobody was asked, or what holds here alone decides.
    Nothing,
    /// The point permits it: who that is.
    Permits(Arc<str>),
    /// The point refuses it: who that is, and why.
    Refuses(String),
    /// It gave no answer, and without one nothing is permitted.
    Unavailable(String),
    /// It gave no answer, and the policy lets this pass meanwhile.
    Assumed(String),
}

impl Elsewhere {
    /// Under which name it is kept until the body was read.
    pub(super) const ID: &'static str = "access.authzen";
}

impl Point {
    /// Asks about an exchange, unless the same was asked a moment ago.
    pub(super) async fn decide(
        &self,
        access: &Access,
        action: &Action,
        transaction: &Transaction,
    ) -> Elsewhere {
        // A probe of the live path is nobody's request: no point is asked about it, and nothing is permitted.
        if transaction.scratch.is_some() {
            return Elsewhere::Unavailable(format!("{} is not asked about probes", self.told));
        }
        let body: Arc<[u8]> = self.question(access, action, transaction).to_string().into_bytes().into();
        let key = of_parts(&[&self.point.digest, &body]);
        let now = transaction.ticks;
        let fresh = |decided: &Decided| now.saturating_sub(decided.at) < self.cache;
        let known = self.decisions.0.find(&key, |decided| decided.clone()).filter(fresh);
        let decided = match known {
            Some(decided) => Ok(decided),
            None => {
                self.ask(Question { body, key, request_id: transaction.id.to_string().into() }, now).await
            }
        };
        match (decided, self.without) {
            (Ok(Decided { permits: true, .. }), _) => Elsewhere::Permits(Arc::clone(&self.told)),
            (Ok(Decided { reason, .. }), _) => {
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Elsewhere::Refuses(format!("{} refuses it{reason}", self.told))
            }
            (Err(why), without) => {
                let why = format!("{} gives no answer: {why}", self.told);
                match without {
                    WithoutPoint::Deny => Elsewhere::Unavailable(why),
                    WithoutPoint::Allow => Elsewhere::Assumed(why),
                    WithoutPoint::Local => Elsewhere::Nothing,
                }
            }
        }
    }

    async fn ask(&self, question: Question, now: Duration) -> Result<Decided, String> {
        let answer = self.asked.ask(&self.point, &question).await.map_err(|unavailable| unavailable.0)?;
        let unusable = "the answer is no JSON object with `decision: true` or `false`";
        let answer = json::object(&answer).map_err(|_| unusable)?;
        let permits = answer.get("decision").and_then(Value::as_bool).ok_or(unusable)?;
        let reason = answer.get("context").and_then(reason);
        let decided = Decided { at: now, permits, reason };
        if !self.cache.is_zero() {
            let new = decided.clone();
            self.decisions.0.with(question.key, || new.clone(), |kept| *kept = new.clone());
        }
        Ok(decided)
    }

    /// The question (section 6). Its members are written in one order, so that equal questions are equal texts.
    fn question(&self, access: &Access, action: &Action, transaction: &Transaction) -> Value {
        let request = &transaction.request;
        let path = access.actions.below(&request.path);
        let principal = transaction.principal.as_deref();
        let parameters: Map<String, Value> = action
            .parameters()
            .filter_map(|name| Some((name.to_owned(), action.parameter(path, name)?.into())))
            .collect();
        let ip = canonical(transaction.client.ip);
        let mut context = json!({
            "ip": ip.to_string(),
            "tls": request.scheme == Scheme::Https,
            "risk": transaction.risk,
        });
        if let (Some(geo), Some(members)) = (&access.geo, context.as_object_mut()) {
            if geo.has_country() {
                members.insert("country".to_owned(), geo.country(ip).into());
            }
            if geo.has_asn() {
                members.insert("asn".to_owned(), geo.asn(ip).into());
            }
        }
        json!({
            "subject": self.subject(access, principal),
            "action": {
                "name": request.method.as_str(),
                "properties": { "operation": &*action.name },
            },
            "resource": {
                "type": "route",
                "id": action.path.as_deref().unwrap_or(path),
                "properties": {
                    "api": &*access.api,
                    "host": request.host,
                    "path": path,
                    "parameters": parameters,
                    "query": query(request.query.as_deref().unwrap_or_default()),
                },
            },
            "context": context,
        })
    }

    /// The caller (section 5.1), with all that decisions may rest on.
    fn subject(&self, access: &Access, principal: Option<&Principal>) -> Value {
        let Some(known) = principal else { return json!({ "type": "anonymous", "id": "anonymous" }) };
        let caller = access.caller(principal, false);
        let is_service = match known.kind {
            CredentialKind::ApiKey | CredentialKind::Mtls | CredentialKind::Signature => true,
            CredentialKind::Jwt | CredentialKind::Opaque => known.client.as_ref() == Some(&known.subject),
        };
        let named = self
            .claims
            .iter()
            .filter_map(|name| Some((name.to_string(), known.attributes.get(name)?.clone())));
        let claims: Map<String, Value> = named.collect();
        json!({
            "type": if is_service { "service" } else { "user" },
            "id": &*known.subject,
            "properties": {
                "issuer": &*known.issuer,
                "kind": known.kind.as_str(),
                "strength": known.strength,
                "tenant": known.tenant.as_deref(),
                "client": known.client.as_deref(),
                "acr": known.authentication.acr.as_deref(),
                "amr": known.authentication.amr,
                "roles": access.lineage(&caller).as_slice(),
                "scopes": known.scopes,
                "claims": claims,
            },
        })
    }

    /// Who decides.
    pub(super) fn told(&self) -> &Arc<str> {
        &self.told
    }

    /// Compiles the settings; the problem with its place below the block.
    pub(super) fn compile(
        config: &Authzen,
        context: &CompileContext<'_>,
    ) -> Result<Self, (&'static str, String)> {
        check_url(&config.endpoint, "questions", "https://pdp.example.com")
            .map_err(|problem| ("endpoint", problem))?;
        let url = match config.endpoint.parse::<Uri>() {
            Ok(uri) if uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) => {
                let problem = "a decision point is named without user and query; its credential is `credential: env:NAME`";
                return Err(("endpoint", problem.to_owned()));
            }
            Ok(uri) if uri.path().trim_end_matches('/').is_empty() => {
                format!("{}{EVALUATION}", config.endpoint.trim_end_matches('/'))
            }
            _ => config.endpoint.clone(),
        };
        let credential = match (&config.credential, &config.credential_header) {
            (None, None) => None,
            (None, Some(_)) => {
                let problem = "a field without a value shows nothing; write `credential: env:NAME`, too";
                return Err(("credential_header", problem.to_owned()));
            }
            (Some(reference), field) => {
                let secret = context.files.secret(reference).map_err(|problem| ("credential", problem))?;
                Some(match field {
                    None => (header::AUTHORIZATION, Redacted::new(format!("Bearer {}", secret.expose()))),
                    Some(name) => (field_name(name)?, secret),
                })
            }
        };
        let times = [("cache", config.cache.0, LONGEST), ("timeout", config.timeout.0, SLOWEST)];
        if let Some((place, _, most)) = times.into_iter().find(|(_, time, most)| time > most) {
            return Err((place, format!("write at most `{}s`", most.as_secs())));
        }
        if config.timeout.0.is_zero() {
            return Err(("timeout", "nothing is answered in no time; write `500ms`, for example".to_owned()));
        }
        let secret = credential.as_ref().map(|(_, value)| value.expose().as_bytes()).unwrap_or_default();
        let digest = sha256(&[format!("{config:?} ").as_bytes(), secret]);
        Ok(Point {
            told: Arc::from(format!("the decision point `{}`", shown_url(&url))),
            point: Arc::new(DecisionPoint {
                url: Arc::from(url),
                credential,
                timeout: config.timeout.0,
                digest,
            }),
            cache: config.cache.0,
            without: config.unavailable,
            claims: config.claims.iter().map(|name| Arc::from(name.as_str())).collect(),
            asked: Arc::clone(&context.services.decision_points),
            decisions: context.services.kept.of(),
        })
    }
}

fn field_name(name: &str) -> Result<HeaderName, (&'static str, String)> {
    let taken = [header::HOST, header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    match HeaderName::try_from(name) {
        Ok(field) if !taken.contains(&field) => Ok(field),
        _ => Err((
            "credential_header",
            format!("`{name}` holds no credential; write a field such as `X-API-Key`"),
        )),
    }
}

/// The values of the query by name.
fn query(text: &str) -> Map<String, Value> {
    let mut found = Map::new();
    let decoded = |text: &str| String::from_utf8_lossy(&form::decode(text.as_bytes())).into_owned();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let values = found.entry(decoded(name)).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(decoded(value).into());
        }
    }
    found
}

/// Why, for the operator: the first text of `reason_admin`, or of `reason` (section 5.5).
fn reason(context: &Value) -> Option<Arc<str>> {
    let found = context.get("reason_admin").or_else(|| context.get("reason"))?;
    let text = match found {
        Value::String(text) => text,
        Value::Object(by_language) => by_language.values().find_map(Value::as_str)?,
        _ => return None,
    };
    let shown = text.chars().take(MAX_REASON);
    Some(shown.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>().into())
}
