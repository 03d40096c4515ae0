//! The compiled policy: immutable, shared by reference, swapped whole.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bartizan_guards::{
    Guards,
    identity::{events::Receiver, signature::sign::Signer, trust::Doubt},
};
use bartizan_model::{Diagnostics, Mode, Profile, Redacted, compile::IssuerSpec};
use bartizan_pattern::{ip::IpSet, path::PathRules};
use http::{HeaderName, Method};

use crate::{
    places::Places,
    routing::{HostRouter, OperationTable},
};

/// Everything that decides, fixed for the life of an exchange.
pub struct Snapshot {
    /// Grows by one with each policy that was put in force by this process; set by whoever swaps.
    pub generation: u64,
    /// SHA-256 over the effective document, as 64 hexadecimal digits.
    pub digest: String,
    /// How much the defaults demand.
    pub profile: Profile,
    /// Where to listen.
    pub listeners: Vec<ListenerSpec>,
    /// Whose `Forwarded`, `X-Forwarded-For` and PROXY header is believed.
    pub trusted_proxies: Arc<IpSet>,
    /// The admin API.
    pub admin: AdminSpec,
    /// Where state is kept.
    pub state: StateSpec,
    /// The audit log.
    pub audit: AuditSpec,
    /// What a connection may cost.
    pub bounds: ConnectionBounds,
    /// The APIs, in document order.
    pub apis: Vec<Arc<Api>>,
    /// Chooses the API by host and path.
    pub router: HostRouter,
    /// The issuers by name.
    pub issuers: BTreeMap<Arc<str>, Arc<IssuerSpec>>,
    /// Takes in the security events of those issuers that send some.
    pub events: Arc<Receiver>,
    /// Warnings of the compilation.
    pub warnings: Diagnostics,
    /// Where settings were written.
    pub places: Places,
}

impl Snapshot {
    /// The same policy for a process that serves nobody: its upstreams are checked by nobody, and their names never asked
    /// for.
    #[must_use]
    pub fn without_upstreams(mut self) -> Self {
        for api in &mut self.apis {
            // A snapshot that was just compiled shares its APIs with nobody.
            let Some(api) = Arc::get_mut(api) else { continue };
            let upstream = Arc::make_mut(&mut api.upstream);
            upstream.health = None;
            for backend in &mut upstream.backends {
                "192.0.2.1".clone_into(&mut backend.host);
            }
        }
        self
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSpec {
    /// Where to bind; port 0 chooses a free one.
    pub address: SocketAddr,
    /// TLS, or cleartext.
    pub tls: Option<TlsSpec>,
    /// Answer every request with 308 to the same URL under `https`; nothing reaches an upstream. The port of the
    /// `https` URL; `None` when not redirecting.
    pub redirect_to_https: Option<u16>,
    /// Expect a PROXY protocol header (v1 or v2) from trusted proxies.
    pub proxy_protocol: bool,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsSpec {
    /// Certificates, chosen by SNI; the first one serves names that none matches.
    pub certificates: Vec<CertificateSpec>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
    /// PEM file of the CAs that sign client certificates.
    pub client_ca: Option<PathBuf>,
    /// Files of what those CAs revoked.
    pub client_crl: Vec<PathBuf>,
    /// What happens where revocation cannot be told.
    pub client_doubt: Doubt,
    /// The lowest accepted version is TLS 1.3 instead of 1.2.
    pub only_tls13: bool,
}

/// A certificate chain and its key, PEM files that are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSpec {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Not asked.
    #[default]
    Off,
    /// Asked; a presented one must verify.
    Optional,
    /// No handshake without one.
    Required,
}

/// The admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSpec {
    /// Where it listens: loopback by default.
    pub address: SocketAddr,
    /// Whether the gateway is ready only once its guards were probed.
    pub readiness_probes: bool,
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSpec {
    /// The directory of the admin token and the audit log.
    pub directory: PathBuf,
    /// The SQLite file; `None` keeps everything in memory.
    pub database: Option<PathBuf>,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSpec {
    /// JSON lines; `None` switches it off.
    pub file: Option<PathBuf>,
    /// Rotated when larger (bytes).
    pub rotate_at: u64,
    /// Rotated files kept.
    pub keep: u32,
}

/// What a connection may cost. Every bound has a default, stated in the policy's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one client address (trusted proxies are exempt).
    pub connections_per_address: usize,
    /// Concurrent HTTP/2 streams of one connection.
    pub concurrent_streams: u32,
    /// Header fields of one request.
    pub header_count: usize,
    /// Bytes of one request head.
    pub header_bytes: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// From the first byte (or the end of the last exchange's grace) to the complete head.
    pub header_timeout: Duration,
    /// An idle kept-alive connection is closed after this.
    pub idle_timeout: Duration,
    /// Bytes per second that a request body must bring on average, after a grace of 5 s.
    pub min_body_rate: u64,
    /// A response that makes no progress towards the client for this long is cut.
    pub write_stall: Duration,
    /// The longest exchange; event streams, gRPC and WebSocket are exempt.
    pub total_timeout: Duration,
    /// HTTP/2 control frames that were not earned by data, finished requests or time.
    pub control_frames: u32,
    /// The longest wait for running exchanges when the process ends.
    pub drain_timeout: Duration,
}

/// One API.
pub struct Api {
    /// Its name in the policy.
    pub name: Arc<str>,
    /// Hosts that it serves, lower case; `*.` at the front matches one or more labels; empty serves any.
    pub hosts: Vec<String>,
    /// Path prefix without a trailing slash; empty serves all paths.
    pub base_path: String,
    /// Where requests go.
    pub upstream: Arc<UpstreamSpec>,
    /// The default mode of its guards.
    pub mode: Mode,
    /// What the ingress rules tolerate in a path.
    pub path_rules: PathRules,
    /// Method override and URL rewrite headers that are let through (default: none).
    pub allowed_override_headers: Vec<HeaderName>,
    /// The operations and how a request finds its own.
    pub operations: OperationTable,
    /// What the contract does not name.
    pub unknown_operations: UnknownOperations,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// `Strict-Transport-Security` is sent on TLS, with this `max-age` in seconds; `None` leaves it to the upstream.
    pub hsts: Option<u64>,
}

/// What happens to an operation that no contract and no block names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOperations {
    /// Refused with 404 (405 where the path exists with other methods).
    Deny,
    /// Forwarded, with a finding.
    Monitor,
    /// Forwarded.
    Allow,
}

/// One operation with the guards that the policy ends up with for it.
pub struct Operation {
    /// Its label in events and metrics: `GET /accounts/{id}`, `POST /login`, or `unknown`.
    pub label: Arc<str>,
    /// Whether the contract or a block of the policy names it.
    pub known: bool,
    /// Its guards.
    pub guards: Guards,
}

/// How a request finds its operation.
pub enum Found<'a> {
    /// This one.
    Operation(&'a Arc<Operation>),
    /// The path exists with other methods, and unknown operations are refused.
    MethodNotAllowed {
        /// The methods that the path has.
        methods: Vec<Method>,
        /// Whose guards look first, so that neither limits nor identity are passed by for asking wrongly; `None` when no
        /// set of guards is known for the request.
        operation: Option<&'a Arc<Operation>>,
    },
}

/// Where requests of an API go.
#[derive(Clone)]
pub struct UpstreamSpec {
    /// Changes exactly when pools must be rebuilt: a hash over everything below.
    pub digest: u64,
    /// The API's name.
    pub name: Arc<str>,
    /// At least one.
    pub backends: Vec<BackendSpec>,
    /// Which backend is next.
    pub balance: Balance,
    /// HTTP/1.1 or HTTP/2 towards backends; `Auto` negotiates by ALPN on TLS and speaks HTTP/1.1 in cleartext, save
    /// for gRPC, which is always HTTP/2.
    pub protocol: UpstreamProtocol,
    /// The Host that backends see.
    pub host: UpstreamHost,
    /// Replaces the API's base path; `None` leaves the path as it is.
    pub rewrite_prefix: Option<String>,
    /// Signs what goes there, and tells who calls.
    pub sign: Option<Arc<Signer>>,
    /// TLS towards backends.
    pub tls: UpstreamTls,
    /// Active health checks.
    pub health: Option<HealthSpec>,
    /// Passive health: a backend that fails this many times in a row is taken out.
    pub eject_after: u32,
    /// How long it is out (doubled with each repetition, at most 16 times).
    pub eject_for: Duration,
    /// To a connected (and TLS-handshaken) backend.
    pub connect_timeout: Duration,
    /// From the forwarded head to the response head.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a response body (event streams and tunnels exempt).
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// Unused connections kept per backend and traffic thread.
    pub max_idle: usize,
    /// Connections per backend; more requests get 503.
    pub max_connections: usize,
    /// Retries of idempotent requests without a body.
    pub retries: u32,
    /// Retries allowed as a share of requests, in percent (with a floor of 3 a second).
    pub retry_budget_percent: u32,
    /// How often names are resolved again.
    pub resolve_every: Duration,
}

/// One upstream host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendSpec {
    /// `https`.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Which backend is next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// The one with the fewest running requests (of two chosen in turn).
    LeastRequests,
    /// Consistent hash over the client address.
    HashAddress,
    /// Consistent hash over a header's value.
    HashHeader(HeaderName),
}

/// The protocol towards backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// By ALPN, else HTTP/1.1; gRPC always HTTP/2.
    Auto,
    /// Always HTTP/1.1.
    Http1,
    /// Always HTTP/2 (prior knowledge in cleartext).
    Http2,
}

/// The Host that backends see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamHost {
    /// What the client sent.
    Preserve,
    /// The backend's own name.
    Backend,
    /// A fixed one.
    Fixed(String),
}

/// A client certificate: the PEM chain and the PEM key.
pub type ClientPem = (Arc<[u8]>, Arc<Redacted<Vec<u8>>>);

/// TLS towards backends: verified by default.
#[derive(Clone, Default)]
pub struct UpstreamTls {
    /// PEM with the CAs to trust instead of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// The name to verify instead of the backend's.
    pub server_name: Option<String>,
    /// The client certificate: PEM chain and key.
    pub client: Option<ClientPem>,
    /// Accept any certificate.
    pub danger_accept_invalid: bool,
}

/// Active health checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthSpec {
    /// What to GET; 2xx is healthy.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long to wait.
    pub timeout: Duration,
    /// Failures in a row until it is out.
    pub unhealthy_after: u32,
    /// Successes in a row until it is back.
    pub healthy_after: u32,
}
