//! The gateway's own decision about a request, without a socket: the pipeline with the contract and no other guard.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use bartizan_contract::{Description, cases::Request, form::Style};
use bartizan_gateway::Gateway;
use bartizan_model::Scheme;
use bartizan_policy::{CompileOptions, Source, compile, offline, render};
use serde_json::{Value, json};

use crate::commands::explain::parts;

/// The guards that would be there by themselves: who calls, and how much at once, is not what a contract is tested for.
const OTHERS: [&str; 3] = ["request_limits", "access", "response_contract"];

/// What was decided about a request.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Whether it would go on to the API.
    pub passed: bool,
    /// The operation that it was taken for.
    pub operation: String,
    /// Who refused it, with the code.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A gateway before the API of a contract.
pub(super) struct Gate {
    gateway: Arc<Gateway>,
    runtime: tokio::runtime::Runtime,
    base: String,
}

impl Gate {
    /// Compiles a policy of nothing but the contract.
    pub(super) fn open(file: &Path, contract: &Description) -> Result<Self, String> {
        let base = contract.base_paths.first().cloned().unwrap_or_default();
        let directory = file.parent().unwrap_or(Path::new(""));
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut guards = serde_json::Map::new();
        for guard in OTHERS {
            guards.insert(guard.to_owned(), json!({ "mode": "off" }));
        }
        let strict = json!({
            "undeclared_properties": "deny", "undeclared_parameters": "deny", "read_only": "deny", "max_body": "64MiB",
        });
        guards.insert("contract".to_owned(), strict);
        let parameters = contract.operations.iter().flat_map(|operation| &operation.parameters);
        let matrix = parameters.into_iter().any(|parameter| parameter.style == Style::Matrix);
        // JSON is YAML.
        let policy = json!({
            "version": 1,
            "listeners": [{ "address": "127.0.0.1:0" }],
            "storage": "memory",
            "audit": { "file": "off" },
            "apis": [{
                "name": "contract", "upstream": "http://127.0.0.1:9", "contract": format!("file:{name}"),
                "base_path": if base.is_empty() { "/" } else { &base }, "unknown_operations": "deny", "guards": guards,
                // `;name=value` is refused in paths unless somebody asks for it, as `style: matrix` does.
                "paths": { "parameters": matrix },
            }],
        });
        let services = offline::services();
        let source = Source {
            base: Some(directory.to_path_buf()),
            ..Source::inline("contract test", policy.to_string())
        };
        let loaded = compile(&source, &CompileOptions::new(&services))
            .map_err(|rejected| render(&rejected.diagnostics, &rejected.sources, false))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let gateway = runtime.block_on(async { Gateway::start(parts(services), loaded.snapshot) })?;
        Ok(Gate { gateway, runtime, base })
    }

    /// The path before those of the contract.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// What is decided about a request.
    pub(super) fn ask(&self, label: &str, request: &Request) -> Result<Told, String> {
        let raw = raw(&self.base, request);
        let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let asked = bartizan_gateway::explain(&self.gateway, &raw, peer, Scheme::Http);
        let told =
            self.runtime.block_on(asked).map_err(|error| format!("a request of `{label}`: {error}"))?;
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Told {
            passed: text("verdict") == "allow",
            operation: text("operation"),
            by: text("reason"),
            why: text("detail"),
        })
    }
}

/// A request as it stands on the wire.
fn raw(base: &str, request: &Request) -> Vec<u8> {
    let target = target(base, request);
    let mut raw = format!("{} {target} HTTP/1.1\r\nhost: api.example\r\n", request.method).into_bytes();
    for (name, value) in &request.headers {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let body = request.body.as_deref().unwrap_or_default();
    // A request that says what its body is has one, even if it has no bytes.
    if request.body.is_some() {
        raw.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(body);
    raw
}

pub(super) fn target(base: &str, request: &Request) -> String {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{base}{}{query}", request.path)
}

/// The request for a shell: `curl` with everything quoted.
pub(super) fn curl(base: &str, request: &Request) -> String {
    let mut line =
        format!("curl -X {} {}", request.method, quoted(&format!("$GATEWAY{}", target(base, request))));
    for (name, value) in &request.headers {
        line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some(body) = &request.body {
        line.push_str(&format!(" --data-binary {}", quoted(&String::from_utf8_lossy(body))));
    }
    line
}

/// A text as one word of a POSIX shell; `$GATEWAY` at its beginning stays a variable.
fn quoted(text: &str) -> String {
    let (variable, rest) = match text.strip_prefix("$GATEWAY") {
        Some(rest) => ("\"$GATEWAY\"", rest),
        None => ("", text),
    };
    if rest.contains(['\r', '\n']) {
        let escaped =
            rest.replace('\\', "\\\\").replace('\'', "\\'").replace('\r', "\\r").replace('\n', "\\n");
        return format!("{variable}$'{escaped}'");
    }
    format!("{variable}'{}'", rest.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_shell_is_one_word_for_each_thing() {
        let request = Request {
            method: http::Method::POST,
            path: "/a".to_owned(),
            query: Some("b=it%27s".to_owned()),
            headers: vec![("x".to_owned(), "don't".to_owned())],
            body: Some(b"{\"a\":\"$(id)\"}".to_vec()),
        };
        assert_eq!(
            curl("/v1", &request),
            r#"curl -X POST "$GATEWAY"'/v1/a?b=it%27s' -H 'x: don'\''t' --data-binary '{"a":"$(id)"}'"#
        );
    }
}
