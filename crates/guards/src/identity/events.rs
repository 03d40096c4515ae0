//! Security event tokens (RFC 8417) of issuers that share signals (SSF, CAEP, RISC): verified, and read as what they revoke.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bartizan_model::{
    Files, Services, Timestamp,
    compile::{EventSource, IssuerSpec},
    revocation::{Revocation, Revoked},
    services::Documents,
};
use serde_json::{Map, Value};

use super::{
    claims,
    json::{self, Member, Members},
    jws::{self, Compact},
    jwt::Issuer,
    reason::Why,
};

/// How long a revoked token or session, and what was issued before some time, is remembered: longer than access tokens live.
const REMEMBERED: Duration = Duration::from_secs(90 * 86_400);

/// Events and subjects of one token that are looked at; real ones have one or two.
const MAX_PARTS: usize = 16;

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const OAUTH: &str = "https://schemas.openid.net/secevent/oauth/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// Takes security events in; by default from nobody.
#[derive(Default)]
pub struct Receiver {
    transmitters: Vec<(Issuer, Arc<EventSource>)>,
    /// The policy's name of each issuer with its `iss`.
    names: Vec<(Arc<str>, Arc<str>)>,
    documents: Option<Arc<dyn Documents>>,
}

/// Why an event is not taken in (RFC 8935 section 2.4). None of them carries anything of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no security event token.
    Malformed(&'static str),
    /// Not signed with a key of its issuer.
    Key,
    /// Its issuer is not one that may send events.
    Issuer,
    /// It is for another receiver.
    Audience,
    /// Its issuer may not speak of this subject.
    Subject,
    /// The issuer's keys could not be had yet; it may be sent again.
    Unavailable,
}

impl Refused {
    /// The error code of RFC 8935 section 2.4; `None` where the failure is ours.
    #[must_use]
    pub fn code(self) -> Option<&'static str> {
        match self {
            Refused::Malformed(_) => Some("invalid_request"),
            Refused::Key => Some("invalid_key"),
            Refused::Issuer => Some("invalid_issuer"),
            Refused::Audience => Some("invalid_audience"),
            Refused::Subject => Some("access_denied"),
            Refused::Unavailable => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Malformed(what) => what,
            Refused::Key => "the event is not signed with a key of its issuer",
            Refused::Issuer => "the issuer is not configured to send events",
            Refused::Audience => "the event is for another receiver",
            Refused::Subject => "the issuer may not speak of this subject",
            Refused::Unavailable => "the issuer's keys could not be had yet",
        })
    }
}

/// What an event says, verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The policy's name of the transmitter.
    pub issuer: Arc<str>,
    /// The event's `jti`: what has it again is the same event.
    pub id: Arc<str>,
    /// What is revoked.
    pub revoke: Vec<Revocation>,
    /// What is revoked no more.
    pub lift: Vec<(Revoked, Arc<str>, Arc<str>)>,
    /// The kinds of event, for the log of changes: `session-revoked`; `other` where it is not known here.
    pub kinds: Vec<&'static str>,
}

/// Whom or what an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    kind: Revoked,
    issuers: Vec<Arc<str>>,
    value: Arc<str>,
}

/// What a kind of event does to its subject.
#[derive(Clone, Copy)]
enum Effect {
    /// Nothing.
    None,
    /// What was issued before the event is refused.
    Before,
    /// Everything is refused until further notice.
    All,
    /// Nothing is refused any more.
    Lift,
}

impl Receiver {
    /// Takes events of those issuers that the policy lets send some.
    ///
    /// # Errors
    /// The name of an issuer, and why its events cannot be verified.
    pub fn compile(
        issuers: &BTreeMap<Arc<str>, Arc<IssuerSpec>>,
        services: &Services,
        files: &dyn Files,
    ) -> Result<Self, (Arc<str>, String)> {
        let mut transmitters = Vec::new();
        for spec in issuers.values() {
            let Some(source) = &spec.events else { continue };
            let issuer = Issuer::compile(spec, services, files)
                .map_err(|problem| (Arc::clone(&spec.name), problem))?;
            transmitters.push((issuer, Arc::clone(source)));
        }
        let names = issuers.values().map(|spec| (Arc::clone(&spec.name), Arc::clone(&spec.issuer))).collect();
        Ok(Receiver { transmitters, names, documents: Some(Arc::clone(&services.documents)) })
    }

    /// Whether nobody may send events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transmitters.is_empty()
    }

    /// Verifies an event at `now`; waits only for a key set.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn receive(&self, token: &str, now: Timestamp) -> Result<Taken, Refused> {
        let compact = Compact::parse(token)
            .map_err(|_| Refused::Malformed("it is not a signed token in compact form"))?;
        let typ = compact.typ().map(jws::media_type);
        if !typ.is_some_and(|typ| typ.eq_ignore_ascii_case("secevent+jwt")) {
            return Err(Refused::Malformed("its `typ` is not `secevent+jwt`"));
        }
        let claims = json::members(compact.payload())
            .map_err(|_| Refused::Malformed("its claims are not one JSON object"))?;
        let name = claims::issuer(&claims).map_err(|_| Refused::Issuer)?;
        let found = self.transmitters.iter().find(|(issuer, _)| *issuer.spec.issuer == *name);
        let (issuer, source) = found.ok_or(Refused::Issuer)?;
        if issuer.spec.is_retired(now) {
            return Err(Refused::Issuer);
        }
        let documents = self.documents.as_deref().ok_or(Refused::Unavailable)?;
        issuer.verify_signature(&compact, documents, Some(documents)).await.map_err(|rejection| {
            match rejection.why {
                Why::KeysUnavailable => Refused::Unavailable,
                _ => Refused::Key,
            }
        })?;
        claims::check_audience(&claims, &source.audiences).map_err(|_| Refused::Audience)?;
        self.read(&claims, issuer, source, now)
    }

    fn read(
        &self,
        claims: &Members<'_>,
        issuer: &Issuer,
        source: &EventSource,
        now: Timestamp,
    ) -> Result<Taken, Refused> {
        let leeway = issuer.spec.leeway;
        let issued = claims::date(claims, "iat").ok().flatten().filter(|issued| *issued <= now.plus(leeway));
        let issued =
            issued.ok_or(Refused::Malformed("it does not say when it was issued, or says a time to come"))?;
        let expired = claims::date(claims, "exp").map_err(|_| Refused::Malformed("its `exp` is no date"))?;
        if expired.is_some_and(|end| end.plus(leeway) <= now) {
            return Err(Refused::Malformed("it has expired"));
        }
        let id = claims.text("jti").filter(|id| claims::is_name(id));
        let id = id.ok_or(Refused::Malformed("it has no `jti`"))?;
        let events = claims.get("events").and_then(Member::other).and_then(Value::as_object);
        let events = events.filter(|events| !events.is_empty());
        let events = events.ok_or(Refused::Malformed("it has no `events`"))?;
        let mut taken = Taken { issuer: Arc::clone(&issuer.spec.name), id: id.into(), ..Taken::default() };
        for (uri, event) in events.iter().take(MAX_PARTS) {
            let event = event.as_object().ok_or(Refused::Malformed("an event is not an object"))?;
            let (kind, effect) = effect(uri, event);
            taken.kinds.push(kind);
            if matches!(effect, Effect::None) {
                continue;
            }
            let subject = event.get("subject").or_else(|| claims.get("sub_id").and_then(Member::other));
            let subject = subject.ok_or(Refused::Malformed("the event has no subject"))?;
            let about = self.about(subject, source)?;
            let happened = event.get("event_timestamp").and_then(Value::as_number).and_then(claims::moment);
            let happened = happened.unwrap_or(issued).min(now);
            for about in narrowest(about) {
                act(&mut taken, &about, effect, kind, happened, now);
            }
        }
        Ok(taken)
    }

    /// Whom an event is about (RFC 9493, and the names of its drafts).
    fn about(&self, subject: &Value, source: &EventSource) -> Result<Vec<About>, Refused> {
        let mut all = Vec::new();
        self.add_subject(&mut all, subject, Revoked::Subject, source)?;
        if all.is_empty() {
            return Err(Refused::Malformed("the subject is of a format that is not known"));
        }
        Ok(all)
    }

    fn add_subject(
        &self,
        all: &mut Vec<About>,
        subject: &Value,
        kind: Revoked,
        source: &EventSource,
    ) -> Result<(), Refused> {
        let text =
            |name: &str| subject.get(name).and_then(Value::as_str).filter(|text| claims::is_name(text));
        let format = text("format").or_else(|| text("subject_type")).unwrap_or("complex").replace('-', "_");
        // What names no issuer is meant of every one that the transmitter speaks for.
        let issuers = match text("iss") {
            None => source.speaks_for.clone(),
            Some(url) => {
                let named = |name: &Arc<str>| self.names.iter().any(|(n, iss)| n == name && **iss == *url);
                let named: Vec<_> = source.speaks_for.iter().filter(|name| named(name)).cloned().collect();
                if named.is_empty() {
                    return Err(Refused::Subject);
                }
                named
            }
        };
        let (kind, value) = match format.as_str() {
            "iss_sub" => (kind, text("sub")),
            "opaque" => (kind, text("id")),
            "email" => (kind, text("email")),
            "account" => (kind, text("uri")),
            "jwt_id" => (Revoked::Token, text("jti")),
            "aliases" => {
                let identifiers = subject.get("identifiers").and_then(Value::as_array);
                for one in identifiers.into_iter().flatten().take(MAX_PARTS) {
                    self.add_subject(all, one, kind, source)?;
                }
                return Ok(());
            }
            "complex" => {
                for (part, kind) in [("user", Revoked::Subject), ("session", Revoked::Session)] {
                    if let Some(part) = subject.get(part) {
                        self.add_subject(all, part, kind, source)?;
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let value = value.ok_or(Refused::Malformed("the subject lacks what its format needs"))?;
        if all.len() < MAX_PARTS {
            all.push(About { kind, issuers, value: value.into() });
        }
        Ok(())
    }
}

/// A session of a user is less than all that the user has: where it is named, it is what is meant.
fn narrowest(about: Vec<About>) -> Vec<About> {
    let named = about.iter().any(|about| about.kind != Revoked::Subject);
    about.into_iter().filter(|about| !named || about.kind != Revoked::Subject).collect()
}

/// The short name of a kind of event, and what it does.
fn effect(uri: &str, event: &Map<String, Value>) -> (&'static str, Effect) {
    let short = |base: &str| uri.strip_prefix(base);
    let says = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(kind) = short(CAEP) {
        return match kind {
            "session-revoked" => ("session-revoked", Effect::Before),
            "token-claims-change" => ("token-claims-change", Effect::Before),
            // A credential that is new takes nothing from the tokens that were got by others.
            "credential-change" if says("change_type") == "create" => ("credential-change", Effect::None),
            "credential-change" => ("credential-change", Effect::Before),
            "assurance-level-change" if says("change_direction") == "decrease" => {
                ("assurance-level-change", Effect::Before)
            }
            "device-compliance-change" if says("current_status") == "not-compliant" => {
                ("device-compliance-change", Effect::Before)
            }
            _ => ("other", Effect::None),
        };
    }
    if let Some(kind) = short(RISC) {
        return match kind {
            "account-disabled" => ("account-disabled", Effect::All),
            "account-purged" => ("account-purged", Effect::All),
            "account-enabled" => ("account-enabled", Effect::Lift),
            "account-credential-change-required" => ("account-credential-change-required", Effect::Before),
            "credential-compromise" => ("credential-compromise", Effect::Before),
            "sessions-revoked" => ("sessions-revoked", Effect::Before),
            _ => ("other", Effect::None),
        };
    }
    match (short(OAUTH), short(SSF)) {
        (Some("token-revoked"), _) => ("token-revoked", Effect::Before),
        (Some("tokens-revoked"), _) => ("tokens-revoked", Effect::Before),
        (_, Some("verification")) => ("verification", Effect::None),
        (_, Some("stream-updated")) => ("stream-updated", Effect::None),
        _ => ("other", Effect::None),
    }
}

fn act(taken: &mut Taken, about: &About, effect: Effect, kind: &str, happened: Timestamp, now: Timestamp) {
    for issuer in &about.issuers {
        if matches!(effect, Effect::Lift) {
            taken.lift.push((about.kind, Arc::clone(issuer), Arc::clone(&about.value)));
            continue;
        }
        // Tokens tell when they were issued in whole seconds: those of that very second count as earlier.
        let before = Some(happened.plus(Duration::from_secs(1)));
        let (issued_before, until) = match (effect, about.kind) {
            (Effect::All, _) => (None, None),
            (_, Revoked::Subject) => (before, Some(now.plus(REMEMBERED))),
            _ => (None, Some(now.plus(REMEMBERED))),
        };
        taken.revoke.push(Revocation {
            kind: about.kind,
            issuer: Arc::clone(issuer),
            value: Arc::clone(&about.value),
            issued_before,
            until,
            reason: format!("security event `{kind}`"),
            created: now,
            by: format!("issuer `{}`", taken.issuer),
        });
    }
}
