//! What requests may hold: sizes, kinds, properties that nobody declared.

use serde_json::{Map, Value};

use super::{Auditor, access, rules};
use crate::form::{Media, Operation, ParameterValue, SchemaRef};

/// Schemas inside one another, at most.
const MAX_DEPTH: usize = 64;

/// What is of one operation's requests.
pub(super) fn operation(auditor: &mut Auditor<'_>, operation: &Operation) {
    for parameter in &operation.parameters {
        match &parameter.value {
            ParameterValue::Schema(at) => value(auditor, at, false, MAX_DEPTH),
            ParameterValue::Content(content) => media(auditor, operation, content),
            ParameterValue::Anything => {
                let message = format!(
                    "the {} parameter `{}` of `{}` has no schema",
                    parameter.location.as_str(),
                    parameter.name,
                    operation.spec.label
                );
                let pointer = access::pointer(operation);
                auditor.judge(&rules::UNTYPED, parameter.place.as_ref(), &pointer, Some(message));
            }
        }
    }
    let bodies = operation
        .body
        .iter()
        .flat_map(|body| &body.media)
        .chain(operation.query_string.iter().map(|query| &query.media));
    for content in bodies {
        media(auditor, operation, content);
    }
}

fn media(auditor: &mut Auditor<'_>, operation: &Operation, media: &Media) {
    let (label, pointer) = (&operation.spec.label, access::pointer(operation));
    let wrong = media.range.is_range().then(|| format!("the body of `{label}` may be `{}`", media.range));
    auditor.judge(&rules::WILDCARD, media.place.as_ref(), &pointer, wrong);
    let bare = media.schema.is_none() && media.item_schema.is_none();
    let wrong = bare.then(|| format!("the `{}` body of `{label}` has no schema", media.range));
    auditor.judge(&rules::BODY, media.place.as_ref(), &pointer, wrong);
    for at in media.schema.iter().chain(&media.item_schema) {
        value(auditor, at, false, MAX_DEPTH);
    }
}

/// One value of a request. `part`: it is one of several schemas that a value is of together, or of which it is one.
fn value(auditor: &mut Auditor<'_>, at: &SchemaRef, part: bool, depth: usize) {
    let Some((at, schema)) = auditor.description.schemas.resolve(at) else { return };
    if depth == 0 || !auditor.walked.insert((true, at.to_string())) {
        return;
    }
    let Some(map) = schema.as_object() else {
        if schema == &Value::Bool(true) && !part {
            auditor.judge_schema(&rules::UNTYPED, &at, Some(format!("`{}` may be anything", name(&at))));
        }
        return;
    };
    let has = |keyword: &str| map.contains_key(keyword);
    let is = |kind: &str| match map.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    };
    let combined = ["allOf", "anyOf", "oneOf", "$ref", "then", "not"].iter().any(|keyword| has(keyword));
    if has("enum") || has("const") {
        return;
    }
    let described = has("type") || has("properties") || has("items") || combined || part;
    let wrong = (!described).then(|| format!("`{}` may be anything", name(&at)));
    auditor.judge_schema(&rules::UNTYPED, &at, wrong);
    if is("string") {
        string(auditor, &at, map);
    }
    if is("integer") || is("number") {
        let missing = [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")]
            .into_iter()
            .filter(|(one, other)| !has(one) && !has(other))
            .map(|(one, _)| format!("`{one}`"))
            .collect::<Vec<_>>();
        let wrong = (!missing.is_empty())
            .then(|| format!("the number `{}` has no {}", name(&at), missing.join(" and no ")));
        auditor.judge_schema(&rules::NUMBER, &at, wrong);
    }
    if is("array") {
        let wrong = (!has("maxItems")).then(|| format!("the list `{}` has no `maxItems`", name(&at)));
        auditor.judge_schema(&rules::ARRAY, &at, wrong);
    }
    if (is("object") || has("properties")) && !part {
        let open = |keyword: &str| map.get(keyword).is_none_or(|value| value == &Value::Bool(true));
        let wrong = (open("additionalProperties") && open("unevaluatedProperties"))
            .then(|| format!("the object `{}` may have properties that nobody declared", name(&at)));
        auditor.judge_schema(&rules::OPEN_OBJECT, &at, wrong);
    }
    for (property, own) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let below = at.below("properties").below(property);
        if own.get("readOnly") == Some(&Value::Bool(true)) {
            continue;
        }
        let wrong = is_assignable(property).then(|| format!("a request may set `{property}`"));
        auditor.judge_schema(&rules::ASSIGNABLE, &below, wrong);
        value(auditor, &below, false, depth - 1);
    }
    for keyword in ["items", "additionalProperties", "contains", "unevaluatedProperties"] {
        if map.get(keyword).is_some_and(Value::is_object) {
            value(auditor, &at.below(keyword), false, depth - 1);
        }
    }
    // What a part leaves open, the whole may close; only what is inside it stands for itself.
    for keyword in ["then", "else"] {
        if has(keyword) {
            value(auditor, &at.below(keyword), true, depth - 1);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        let parts = map.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        for index in 0..parts {
            let part = keyword == "allOf";
            value(auditor, &at.below(keyword).below(&index.to_string()), part, depth - 1);
        }
    }
}

fn string(auditor: &mut Auditor<'_>, at: &SchemaRef, map: &Map<String, Value>) {
    let format = map.get("format").and_then(Value::as_str).unwrap_or_default();
    // Files are bounded as bodies are.
    if matches!(format, "binary" | "byte") {
        return;
    }
    let patterns = patterns(map);
    let fixed = matches!(format, "date" | "date-time" | "time" | "uuid" | "ipv4" | "ipv6" | "duration");
    let bounded =
        map.contains_key("maxLength") || fixed || patterns.iter().any(|pattern| is_bounded(pattern));
    let wrong = (!bounded).then(|| format!("the text `{}` has no `maxLength`", name(at)));
    auditor.judge_schema(&rules::STRING, at, wrong);
    let plain = format.is_empty() && patterns.is_empty();
    let wrong = plain.then(|| format!("the text `{}` may hold any characters", name(at)));
    auditor.judge_schema(&rules::CHARACTERS, at, wrong);
}

/// The patterns of a text, its own and those that it was taken apart into.
fn patterns(map: &Map<String, Value>) -> Vec<&str> {
    let parts = map.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let parts = parts.filter_map(|part| part.get("pattern"));
    map.get("pattern").into_iter().chain(parts).filter_map(Value::as_str).collect()
}

/// Whether a pattern allows texts of a largest length only.
fn is_bounded(pattern: &str) -> bool {
    let Some(inner) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return false };
    let (mut escaped, mut class, mut previous) = (false, false, ' ');
    for character in inner.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if !class => class = true,
            ']' if class => class = false,
            _ if class => {}
            '*' | '+' | '|' => return false,
            '}' if previous == ',' => return false,
            _ => {}
        }
        previous = character;
    }
    true
}

/// Whether a property is one that servers set: of the person or object that it belongs to, not of what a caller wants.
fn is_assignable(property: &str) -> bool {
    let joined = access::words(property).concat();
    matches!(
        joined.as_str(),
        "role"
            | "roles"
            | "admin"
            | "isadmin"
            | "issuperuser"
            | "superuser"
            | "isstaff"
            | "permissions"
            | "privileges"
            | "scopes"
            | "balance"
            | "availablecredit"
            | "credit"
            | "verified"
            | "isverified"
            | "emailverified"
            | "approved"
            | "ownerid"
            | "createdat"
            | "createdby"
            | "updatedat"
            | "passwordhash"
    )
}

/// What a schema is called in messages: the last names of its pointer.
pub(super) fn name(at: &SchemaRef) -> String {
    let tokens = at.pointer.split('/').skip(1);
    let skipped = [
        "properties",
        "schema",
        "allOf",
        "anyOf",
        "oneOf",
        "components",
        "schemas",
        "definitions",
        "content",
    ];
    let names: Vec<String> = tokens
        .filter(|token| !skipped.contains(token) && token.parse::<u32>().is_err())
        .map(|token| crate::pointer::token(token).into_owned())
        .collect();
    let from = names.len().saturating_sub(3);
    names.get(from..).unwrap_or_default().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_bound_texts_that_repeat_nothing_without_end() {
        for pattern in ["^AC[0-9a-f]{32}$", "^[+*]{1,3}$", r"^\+?\d{2}$", "^$"] {
            assert!(is_bounded(pattern), "{pattern}");
        }
        for pattern in ["^a+$", "^a{2,}$", "a", "^a", "^a$|b$", "^.*$"] {
            assert!(!is_bounded(pattern), "{pattern}");
        }
    }
}
