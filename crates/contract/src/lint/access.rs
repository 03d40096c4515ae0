//! Who may call: servers, schemes, `security`, names of objects.

use std::collections::HashMap;

use http::Method;
use serde_json::Value;

use super::{Auditor, rules};
use crate::form::{Location, Operation, ParameterValue, SchemeType};

/// Hosts on which plain HTTP is nobody's business.
fn is_local(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    matches!(host, "localhost" | "127.0.0.1" | "" | "[") || host.ends_with(".localhost")
}

fn is_plain(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) && !is_local(url)
}

/// What is of the whole document.
pub(super) fn document(auditor: &mut Auditor<'_>) {
    let description = auditor.description;
    for server in &description.servers {
        let wrong = is_plain(&server.url).then(|| format!("the server `{}` speaks plain HTTP", server.url));
        auditor.judge(&rules::PLAIN_SERVER, server.place.as_ref(), "", wrong);
    }
    for scheme in &description.security_schemes {
        let (name, place) = (&scheme.name, scheme.place.as_ref());
        let pointer = format!("/components/securitySchemes/{name}");
        let basic = matches!(&scheme.kind, SchemeType::Http(kind) if &**kind == "basic");
        let wrong = basic.then(|| format!("the scheme `{name}` is HTTP Basic"));
        auditor.judge(&rules::BASIC, place, &pointer, wrong);
        let in_query = matches!(&scheme.kind, SchemeType::ApiKey { location: Location::Query, .. });
        let wrong = in_query.then(|| format!("the key of the scheme `{name}` is sent in the query"));
        auditor.judge(&rules::KEY_IN_QUERY, place, &pointer, wrong);
        if let SchemeType::OAuth2 { flows, urls } = &scheme.kind {
            let weak = flows.iter().find(|flow| matches!(&***flow, "implicit" | "password"));
            let wrong = weak.map(|flow| format!("the scheme `{name}` offers the flow `{flow}`"));
            auditor.judge(&rules::WEAK_FLOW, place, &pointer, wrong);
            let plain = urls.iter().find(|url| is_plain(url));
            let wrong = plain.map(|url| format!("the scheme `{name}` asks for tokens at `{url}`"));
            auditor.judge(&rules::TOKEN_URL, place, &pointer, wrong);
        }
    }
    let mut ids: HashMap<&str, &Operation> = HashMap::new();
    for operation in &description.operations {
        let Some(id) = operation.operation_id.as_deref() else { continue };
        let wrong = ids.get(id).map(|first| {
            format!("`{id}` is the id of `{}` and of `{}`", first.spec.label, operation.spec.label)
        });
        auditor.judge(&rules::DUPLICATE_ID, operation.place.as_ref(), "", wrong);
        ids.entry(id).or_insert(operation);
    }
}

/// What is of one operation.
pub(super) fn operation(auditor: &mut Auditor<'_>, operation: &Operation) {
    let (label, place) = (&operation.spec.label, operation.place.as_ref());
    let pointer = pointer(operation);
    let changes = !matches!(operation.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    let security = operation.spec.security.as_deref();
    let wrong = security.is_none().then(|| format!("`{label}` does not say who may call it"));
    auditor.judge(&rules::SECURITY_MISSING, place, &pointer, wrong);
    if let Some(alternatives) = security {
        let public = alternatives.is_empty() || alternatives.iter().all(Vec::is_empty);
        if changes {
            let wrong = public.then(|| format!("`{label}` is public"));
            auditor.judge(&rules::PUBLIC_WRITE, place, &pointer, wrong);
        }
        let optional = !public && alternatives.iter().any(Vec::is_empty);
        let wrong = optional.then(|| format!("the credentials of `{label}` are optional"));
        auditor.judge(&rules::SECURITY_OPTIONAL, place, &pointer, wrong);
        for demand in alternatives.iter().flatten() {
            let scheme =
                auditor.description.security_schemes.iter().find(|scheme| scheme.name == demand.scheme);
            let wrong = scheme
                .is_none()
                .then(|| format!("`{label}` demands the scheme `{}`, which is not defined", demand.scheme));
            auditor.judge(&rules::SCHEME_UNDEFINED, place, &pointer, wrong);
            let oauth = scheme.is_some_and(|scheme| matches!(scheme.kind, SchemeType::OAuth2 { .. }));
            if oauth {
                let wrong = demand
                    .names
                    .is_empty()
                    .then(|| format!("`{label}` demands `{}` without a scope", demand.scheme));
                auditor.judge(&rules::SCOPELESS, place, &pointer, wrong);
            }
        }
    }
    for parameter in &operation.parameters {
        let name = &parameter.name;
        let place = parameter.place.as_ref();
        match parameter.location {
            Location::Path if names_object(name) => {
                let whole = match &parameter.value {
                    ParameterValue::Schema(at) => {
                        auditor.description.schemas.resolve(at).is_some_and(|(_, schema)| is_integer(schema))
                    }
                    _ => false,
                };
                let wrong = whole.then(|| format!("`{name}` of `{label}` is a whole number"));
                auditor.judge(&rules::GUESSABLE_ID, place, &pointer, wrong);
            }
            Location::Query => {
                let wrong =
                    is_credential(name).then(|| format!("`{name}` of `{label}` is sent in the query"));
                auditor.judge(&rules::CREDENTIAL_IN_QUERY, place, &pointer, wrong);
            }
            _ => {}
        }
    }
}

/// The pointer of an operation, for tools that show one.
pub(super) fn pointer(operation: &Operation) -> String {
    let mut pointer = "/paths".to_owned();
    crate::pointer::push_token(&mut pointer, operation.template.as_str());
    crate::pointer::push_token(&mut pointer, &operation.method.as_str().to_ascii_lowercase());
    pointer
}

fn is_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == "integer"),
        Some(one) => one == "integer",
        None => false,
    }
}

/// Whether a parameter names an object: `id`, `accountId`, `account_id`, `number`.
fn names_object(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let camel = name.ends_with("Id") || name.ends_with("ID");
    lower == "id" || camel || lower.ends_with("_id") || lower.ends_with("-id") || lower.ends_with("number")
}

/// The words of a name: `accessToken`, `access_token` and `access-token` are two each.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower = false;
    for character in name.chars() {
        let breaks = !character.is_alphanumeric() || character.is_uppercase() && lower;
        if breaks {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        lower = character.is_lowercase() || character.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a name is that of a secret.
pub(super) fn is_credential(name: &str) -> bool {
    let words = words(name);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let pair = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    let joined = words.concat();
    let counted = [
        "count", "type", "url", "uri", "expires", "expiry", "name", "policy", "length", "hint", "reset", "id",
    ];
    if words.last().is_some_and(|word| counted.contains(&word.as_str())) {
        return false;
    }
    ["password", "passwd", "passphrase", "secret", "pwd"].iter().any(|word| has(word) || joined == *word)
        || pair("api", "key")
        || pair("access", "token")
        || pair("private", "key")
        || ["apikey", "accesstoken", "token", "jwt"].contains(&joined.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "password",
            "userPassword",
            "api_key",
            "apiKey",
            "X-Api-Key",
            "accessToken",
            "client_secret",
            "token",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "passwordResetUrl",
            "token_type",
            "pageToken",
            "keyboard",
            "secretary",
            "tokens",
            "password_policy",
        ] {
            assert!(!is_credential(name), "{name}");
        }
        assert_eq!(words("ownerId-ofAPIKey_2x"), ["owner", "id", "of", "apikey", "2x"]);
    }

    #[test]
    fn plain_http_on_ones_own_machine_is_no_finding() {
        assert!(is_plain("http://api.example.com/v1") && is_plain("HTTP://x"));
        assert!(!is_plain("http://localhost:8888") && !is_plain("https://x") && !is_plain("/v1"));
    }
}
