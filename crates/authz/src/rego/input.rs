//! The input document: what is known of a request, as JSON.

use bartizan_model::{Principal, Scheme};
use bartizan_pattern::body::{Content, form};
use http::header;
use serde_json::{Map, Value, json};

use crate::cedar::{Body, Facts};

/// The document; why there is none where rules read a body that cannot be read.
pub(super) fn document(facts: &Facts<'_>, with_body: bool) -> Result<String, String> {
    let request = facts.request;
    let moment = facts.zone.moment(facts.time);
    let ip = bartizan_model::address::canonical(facts.ip);
    let path = facts.action.parameters();
    let path: Map<String, Value> = path
        .filter_map(|name| Some((name.to_owned(), facts.action.parameter(facts.path, name)?.into())))
        .collect();
    let mut document = json!({
        "principal": facts.principal.map(|principal| caller(facts, principal)),
        "roles": facts.roles,
        "action": &*facts.action.name,
        "method": request.method.as_str(),
        "host": request.host,
        "api": facts.api,
        "target": facts.path,
        "path": path,
        "query": query(request.query.as_deref().unwrap_or_default()),
        "header": fields_of_head(facts),
        "ip": ip.to_string(),
        "tls": request.scheme == Scheme::Https,
        "risk": facts.risk,
        "time": {
            "hour": moment.hour,
            "minute": moment.minute,
            "weekday": moment.weekday,
            "date": moment.date,
            "epoch": moment.epoch,
        },
    });
    let mut add = |name: &str, value: Value| {
        if let Some(members) = document.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(geo) = facts.geo {
        if geo.has_country() {
            add("country", geo.country(ip).into());
        }
        if geo.has_asn() {
            add("asn", geo.asn(ip).into());
        }
    }
    let body = match facts.body {
        _ if !with_body => None,
        Body::Absent => None,
        Body::Read(Content::Json(tape)) => {
            // Readers disagree about keys that come twice.
            if tape.duplicate_key().is_some() {
                return Err("the body has a key twice".to_owned());
            }
            Some(String::from_utf8_lossy(tape.bytes()).into_owned())
        }
        Body::Read(Content::Form(form)) => Some(Value::Object(fields(form)).to_string()),
        Body::Read(_) | Body::Unreadable => return Err("the body cannot be read".to_owned()),
    };
    let text = document.to_string();
    Ok(match body {
        // As it was sent, so that no number is rounded on the way.
        Some(body) => format!("{},\"body\":{body}}}", text.strip_suffix('}').unwrap_or(&text)),
        None => text,
    })
}

fn caller(facts: &Facts<'_>, principal: &Principal) -> Value {
    let age = principal.authentication.time.map(|time| facts.time.since(time).as_secs());
    json!({
        "subject": &*principal.subject,
        "issuer": &*principal.issuer,
        "kind": principal.kind.as_str(),
        "strength": principal.strength,
        "tenant": principal.tenant.as_deref(),
        "client": principal.client.as_deref(),
        "session": principal.session.as_deref(),
        "acr": principal.authentication.acr.as_deref(),
        "amr": principal.authentication.amr,
        "auth_age": age,
        "scopes": principal.scopes,
        "claims": principal.attributes,
    })
}

/// Adds one of the values of a name.
fn push(found: &mut Map<String, Value>, name: String, value: String) {
    if let Value::Array(values) = found.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        values.push(value.into());
    }
}

fn query(text: &str) -> Map<String, Value> {
    let decoded = |text: &str| String::from_utf8_lossy(&form::decode(text.as_bytes())).into_owned();
    let mut found = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        push(&mut found, decoded(name), decoded(value));
    }
    found
}

/// The fields of the head, without those that hold credentials: rules may tell what they read.
fn fields_of_head(facts: &Facts<'_>) -> Map<String, Value> {
    let mut found = Map::new();
    let secret = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
    for (name, value) in facts.request.headers.iter().filter(|(name, _)| !secret.contains(name)) {
        push(&mut found, name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    found
}

fn fields(form: form::Form<'_>) -> Map<String, Value> {
    let mut found = Map::new();
    for pair in form.pairs() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        push(&mut found, text(&pair.name()), text(&pair.value()));
    }
    found
}
