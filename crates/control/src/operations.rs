//! What the admin API asks of the running gateway.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bartizan_guards::identity::events::{Refused, Taken};
use bartizan_model::{Timestamp, services::BoxFuture};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The running gateway, as operators act on it.
pub trait Operations: Send + Sync + 'static {
    /// Compiles the configuration again and puts it in force, or changes nothing and answers the rendered diagnostics.
    fn reload(&self) -> BoxFuture<'_, Result<ReloadReport, String>>;

    /// Break-glass: until then every refusal of a guard is a finding only. `None` ends it at once. Whoever implements
    /// this ends it by itself when the time is over, and publishes the event of that end.
    fn set_mode(&self, monitor: Option<MonitorUntil>);

    /// The greatest age of an API key that the policy in force accepts anywhere; `None` for any.
    fn key_max_age(&self) -> Option<Duration> {
        None
    }

    /// The public keys that requests towards upstreams are signed with, as JWKs, each once.
    fn signing_keys(&self) -> Vec<Value> {
        Vec::new()
    }

    /// How things stand.
    fn status(&self) -> StatusReport;

    /// Runs one raw HTTP/1.1 request through the policy in force, without an upstream, and tells each step.
    ///
    /// # Errors
    /// The text cannot be read as a request; the error says why.
    fn explain<'a>(&'a self, raw: &'a [u8]) -> BoxFuture<'a, Result<Value, String>>;

    /// Whether traffic should come; answers what is worth knowing of it. May wait a moment for a proof that is on its way.
    ///
    /// # Errors
    /// Why it should not: starting, draining, no listener, or a probe of a guard that failed.
    fn ready(&self) -> BoxFuture<'_, Result<Value, String>>;

    /// The names of the issuers of the policy in force.
    fn issuers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Verifies a security event token (RFC 8417) by the policy in force, and tells what it revokes.
    ///
    /// # Errors
    /// It is refused.
    fn security_event<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Taken, Refused>> {
        let _ = token;
        Box::pin(std::future::ready(Err(Refused::Issuer)))
    }

    /// Probes the policy in force through the live path, to an echo inside the process; answers the report.
    ///
    /// # Errors
    /// The run came to no end: another policy was put in force, or the process ends.
    fn doctor(&self) -> BoxFuture<'_, Result<Value, String>>;
}

/// Break-glass, with its end and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonitorUntil {
    /// When it ends by itself. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub until: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What a reload put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// The generation in force now.
    pub generation: u64,
    /// The digest of its effective document.
    pub digest: String,
    /// Whether anything changed.
    pub changed: bool,
    /// Warnings, rendered.
    pub warnings: Vec<String>,
}

/// How things stand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatusReport {
    /// The version of this build.
    pub version: String,
    /// When the process started. In JSON as RFC 3339 text.
    #[serde(serialize_with = "as_text")]
    pub started: Timestamp,
    /// The generation of the policy in force.
    pub generation: u64,
    /// The digest of its effective document.
    pub digest: String,
    /// Break-glass, while it lasts.
    pub monitor: Option<MonitorUntil>,
    /// Where clients connect.
    pub listeners: Vec<ListenerStatus>,
    /// Where requests go.
    pub backends: Vec<BackendStatus>,
    /// What does not work as it should, such as a state directory that cannot be written.
    pub degraded: Vec<String>,
}

/// One listener.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    /// The address that it is bound to.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// One backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendStatus {
    /// The API.
    pub api: String,
    /// The backend's URL.
    pub backend: String,
    /// Whether it receives requests.
    pub up: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde demands this signature")]
fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
