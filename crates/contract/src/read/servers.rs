//! Where an API is served, and how its callers prove who they are.

use std::sync::Arc;

use crate::{
    documents::{Documents, Site},
    form::{Location, OpenApi, SchemeType, SecurityScheme, Server},
    tree::Node,
};

/// The servers of the document, its paths and its operations, each once.
pub(super) fn servers(openapi: OpenApi, root: &Site<'_>) -> Vec<Server> {
    let mut found: Vec<Server> = Vec::new();
    let mut add = |url: String, site: &Site<'_>| {
        if !found.iter().any(|known| known.url == url) {
            found.push(Server { url, place: site.place() });
        }
    };
    if openapi == OpenApi::V2 {
        let Some(host) = root.get("host") else { return found };
        let name = host.node.as_str().unwrap_or_default();
        let path = root.text("basePath").unwrap_or_default();
        let schemes: Vec<&str> =
            root.get("schemes").iter().flat_map(|list| list.node.items()).filter_map(Node::as_str).collect();
        for scheme in if schemes.is_empty() { vec!["https"] } else { schemes } {
            add(format!("{scheme}://{name}{path}"), &host);
        }
        return found;
    }
    let mut holders = vec![root.clone()];
    for (_, item) in root.get("paths").iter().flat_map(Site::named) {
        let operations = item.entries().map(|(_, operation)| operation);
        holders.extend(operations.filter(|operation| operation.node.get("servers").is_some()));
        holders.push(item);
    }
    for holder in holders {
        for server in holder.get("servers").iter().flat_map(Site::items) {
            let Some(url) = server.text("url") else { continue };
            add(expand(url, server.node.get("variables")), &server);
        }
    }
    found
}

/// The paths of the document's own servers; the root where it names none.
pub(super) fn base_paths(root: &Site<'_>) -> Vec<String> {
    let mut found = own_paths(root);
    if let Some(base) = root.text("basePath") {
        found.insert(0, plain(base));
    }
    if found.is_empty() {
        found.push(String::new());
    }
    found
}

/// The paths of the servers that a document, path or operation names itself, each once; variables by their defaults.
pub(super) fn own_paths(holder: &Site<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for server in holder.get("servers").iter().flat_map(Site::items) {
        let Some(url) = server.text("url") else { continue };
        let url = expand(url, server.node.get("variables"));
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default()),
            None if url.starts_with('/') => url.as_str(),
            None => "",
        };
        let path = plain(path.split(['?', '#']).next().unwrap_or_default());
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// A path without a slash at its end; empty for the root.
fn plain(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The hosts of servers, without ports.
pub(super) fn hosts(servers: &[Server]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for server in servers {
        let Some((_, rest)) = server.url.split_once("://") else { continue };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => format!("[{address}]"),
            None => host.split(':').next().unwrap_or_default().to_ascii_lowercase(),
        };
        if !host.is_empty() && !found.contains(&host) {
            found.push(host);
        }
    }
    found
}

/// Server variables by their defaults.
fn expand(url: &str, variables: Option<&Node>) -> String {
    let mut out = url.to_owned();
    for variable in variables.map(Node::entries).unwrap_or_default() {
        if let Some(default) = variable.value.get("default").and_then(Node::as_str) {
            out = out.replace(&format!("{{{}}}", variable.key), default);
        }
    }
    out
}

/// The ways to prove who calls that the document defines.
pub(super) fn security_schemes(documents: &Documents, root: &Site<'_>) -> Vec<SecurityScheme> {
    let defined = root.get("securityDefinitions").or_else(|| root.get("components")?.get("securitySchemes"));
    let mut found = Vec::new();
    for (name, site) in defined.iter().flat_map(Site::named) {
        let Ok(scheme) = documents.follow(site) else { continue };
        found.push(SecurityScheme { name: Arc::from(name), kind: kind(&scheme), place: scheme.place() });
    }
    found
}

fn kind(scheme: &Site<'_>) -> SchemeType {
    let text = |key| scheme.text(key).unwrap_or_default();
    match text("type") {
        "apiKey" => {
            let (location, name) = match text("in") {
                "query" => (Location::Query, text("name").to_owned()),
                "cookie" => (Location::Cookie, text("name").to_owned()),
                _ => (Location::Header, text("name").to_ascii_lowercase()),
            };
            SchemeType::ApiKey { location, name: name.into_boxed_str() }
        }
        "http" => SchemeType::Http(text("scheme").to_ascii_lowercase().into_boxed_str()),
        // Swagger 2.0 has no `http`.
        "basic" => SchemeType::Http(Box::from("basic")),
        "mutualTLS" => SchemeType::MutualTls,
        "openIdConnect" => SchemeType::OpenIdConnect(text("openIdConnectUrl").to_owned()),
        "oauth2" => {
            let url = |site: &Site<'_>| {
                ["authorizationUrl", "tokenUrl", "refreshUrl", "deviceAuthorizationUrl"]
                    .iter()
                    .filter_map(|key| site.text(key))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            // Swagger 2.0 has one flow, with names of its own.
            if let Some(flow) = scheme.text("flow") {
                let flow = match flow {
                    "application" => "clientCredentials",
                    "accessCode" => "authorizationCode",
                    other => other,
                };
                return SchemeType::OAuth2 { flows: vec![Box::from(flow)], urls: url(scheme) };
            }
            let flows: Vec<_> = scheme.get("flows").iter().flat_map(Site::entries).collect();
            SchemeType::OAuth2 {
                flows: flows.iter().map(|(name, _)| Box::from(*name)).collect(),
                urls: flows.iter().flat_map(|(_, flow)| url(flow)).collect(),
            }
        }
        other => SchemeType::Other(Box::from(other)),
    }
}
