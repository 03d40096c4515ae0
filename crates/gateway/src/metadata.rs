//! Tells clients where tokens for an API are had: protected resource metadata (RFC 9728), and its address in challenges.

use std::collections::BTreeSet;

use bartizan_model::{Answer, Stop, Transaction};
use bartizan_policy::snapshot::Api;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::{gateway::Active, ingress::canonical::default_port, record::Record};

/// What the path of metadata begins with; the API's base path follows (RFC 9728 section 3.1).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of the API that a request asks for, if it does and the API has some. A path that the API itself could mean is
/// left to it.
pub(crate) fn answer(active: &Active, transaction: &Transaction) -> Option<Stop> {
    let request = &transaction.request;
    let base = request.path.strip_prefix(WELL_KNOWN)?;
    if !matches!(request.method, Method::GET | Method::HEAD) || !base.is_empty() && !base.starts_with('/') {
        return None;
    }
    let base = base.trim_end_matches('/');
    let (api, _) = active.route(&request.host, if base.is_empty() { "/" } else { base })?;
    if api.base_path != base {
        return None;
    }
    let issuers = issuers(api);
    if issuers.is_empty() {
        return None;
    }
    let document = json!({
        "resource": format!("{}{base}", origin(transaction)),
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
        "resource_name": &*api.name,
    });
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
    ]);
    let body = if request.method == Method::HEAD { Bytes::new() } else { Bytes::from(document.to_string()) };
    let answer = Answer { status: StatusCode::OK, headers, body };
    Some(Stop::Answer { guard: "metadata", answer: Box::new(answer) })
}

/// A challenge for a token, with the address of the metadata (RFC 9728 section 5.1).
pub(crate) fn with_address(challenge: &HeaderValue, record: &Record) -> Option<HeaderValue> {
    let (api, operation, transaction) =
        (record.api.as_ref()?, record.operation.as_ref()?, &record.transaction);
    let text = challenge.to_str().ok()?;
    let (scheme, _) = text.split_once(' ')?;
    let issuers = operation.guards.identity.active()?.authorization_servers()?;
    if !["Bearer", "DPoP"].contains(&scheme) || issuers.is_empty() {
        return None;
    }
    let address = format!("{}{WELL_KNOWN}{}", origin(transaction), api.base_path);
    HeaderValue::from_str(&format!("{text}, resource_metadata=\"{address}\"")).ok()
}

/// Everybody whose tokens some operation of an API accepts, and which may be told.
fn issuers(api: &Api) -> BTreeSet<&str> {
    let identities = api.operations.all().filter_map(|operation| operation.guards.identity.active());
    identities.filter_map(|identity| identity.authorization_servers()).flatten().collect()
}

/// As the client sees it.
fn origin(transaction: &Transaction) -> String {
    let request = &transaction.request;
    let port = request.port.filter(|port| *port != default_port(request.scheme));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", request.scheme.as_str(), request.host)
}
