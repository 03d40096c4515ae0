//! What responses say of themselves, and what they must not hold.

use serde_json::Value;

use super::{Auditor, access, data, rules};
use crate::form::{Operation, Response, ResponseStatus, SchemaRef};

/// Schemas inside one another, at most.
const MAX_DEPTH: usize = 64;

/// What is of one operation's responses.
pub(super) fn operation(auditor: &mut Auditor<'_>, operation: &Operation) {
    let (label, place) = (&operation.spec.label, operation.place.as_ref());
    let pointer = access::pointer(operation);
    let declares = |status: u16| operation.response(status).is_some();
    let guarded =
        operation.spec.security.as_ref().is_some_and(|all| !all.is_empty() && !all.iter().any(Vec::is_empty));
    if guarded {
        let wrong = (!declares(401)).then(|| format!("`{label}` does not declare `401`"));
        auditor.judge(&rules::NO_401, place, &pointer, wrong);
    }
    if !operation.parameters.is_empty() || operation.body.is_some() {
        let wrong = (!(400..500).any(declares))
            .then(|| format!("`{label}` declares no response to invalid requests"));
        auditor.judge(&rules::NO_4XX, place, &pointer, wrong);
    }
    let wrong = (!declares(429)).then(|| format!("`{label}` does not declare `429`"));
    auditor.judge(&rules::NO_429, place, &pointer, wrong);
    for response in &operation.responses {
        let (rule, what) = match response.status {
            ResponseStatus::Default | ResponseStatus::Exact(400..) | ResponseStatus::Class(4..) => {
                (&rules::ERROR_BODY, "error")
            }
            _ => (&rules::RESPONSE_BODY, "response"),
        };
        let bare = response.media.iter().any(|media| media.schema.is_none() && media.item_schema.is_none());
        // A success without a body is one; an error without one is not described.
        let none = response.media.is_empty() && what == "error";
        let wrong =
            (bare || none).then(|| format!("the {what} `{}` of `{label}` has no schema", shown(response)));
        auditor.judge(rule, response.place.as_ref(), &pointer, wrong);
        for media in &response.media {
            for at in media.schema.iter().chain(&media.item_schema) {
                value(auditor, at, MAX_DEPTH);
            }
        }
    }
}

fn shown(response: &Response) -> String {
    match response.status {
        ResponseStatus::Exact(status) => status.to_string(),
        ResponseStatus::Class(class) => format!("{class}XX"),
        ResponseStatus::Default => "default".to_owned(),
    }
}

/// Secrets among the properties of a response.
fn value(auditor: &mut Auditor<'_>, at: &SchemaRef, depth: usize) {
    let Some((at, schema)) = auditor.description.schemas.resolve(at) else { return };
    let Some(map) = schema.as_object() else { return };
    if depth == 0 || !auditor.walked.insert((false, at.to_string())) {
        return;
    }
    for (property, own) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let below = at.below("properties").below(property);
        if own.get("writeOnly") == Some(&Value::Bool(true)) {
            continue;
        }
        // Tokens are what sign-in answers.
        let secret = access::is_credential(property)
            && access::words(property).iter().any(|word| {
                ["password", "passwd", "passphrase", "pwd", "secret", "private"].contains(&word.as_str())
            });
        let wrong = secret.then(|| format!("`{}` of a response is a secret by its name", data::name(&below)));
        auditor.judge_schema(&rules::RESPONSE_SECRET, &below, wrong);
        value(auditor, &below, depth - 1);
    }
    for keyword in ["items", "additionalProperties", "then", "else"] {
        if map.get(keyword).is_some_and(Value::is_object) {
            value(auditor, &at.below(keyword), depth - 1);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        for index in 0..map.get(keyword).and_then(Value::as_array).map_or(0, Vec::len) {
            value(auditor, &at.below(keyword).below(&index.to_string()), depth - 1);
        }
    }
}
