//! The settings of a policy document as users write them. The field documentation is the manual and becomes the JSON Schema.

mod scalar;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bartizan_guards::identity::{
    Revocation,
    federation::{Mapping, Preset},
};
use bartizan_model::{
    ByteSize, FileReference, Mode, Period, Profile, SecretReference, compile::TokenProfile,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use scalar::{Address, HeaderText, Network, Opaque, SharedState, Storage};
pub(crate) use upstream::{
    BalanceText, HashText, HealthSettings, HostText, ProtocolText, SignSettings, UpstreamSettings,
    UpstreamText, UpstreamTlsSettings,
};

/// A Bartizan policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyDocument {
    /// The version of the policy language: 1.
    pub version: Option<u32>,
    /// Where to listen. Default: one cleartext listener on `127.0.0.1:8080`.
    pub listeners: Vec<Listener>,
    /// Proxies whose `Forwarded`, `X-Forwarded-For` and PROXY header is believed. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The admin API.
    pub admin: Admin,
    /// Where state is kept: `sqlite:PATH` (relative to this document) or `memory`. Default: `sqlite:var/bartizan.db`.
    pub storage: Storage,
    /// Where limits are counted: `memory`, in this process.
    pub shared_state: SharedState,
    /// The name of the overlay: `environments/NAME.yaml` next to this document is laid over it.
    pub environment: Option<String>,
    /// How much the defaults demand: `balanced` warns of doubtful settings, `strict` refuses them. Default: `balanced`.
    pub profile: Profile,
    /// The audit log.
    pub audit: Audit,
    /// What a connection may cost.
    pub bounds: Bounds,
    /// Who signs the tokens that callers bring.
    pub issuers: Vec<Issuer>,
    /// The protected APIs; at least one.
    pub apis: Vec<ApiSettings>,
}

/// One listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Address and port, `0.0.0.0:8443` or `[::]:8443`; port 0 chooses a free one.
    pub address: Address,
    /// TLS; without it the listener speaks cleartext.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Answer every request with 308 to `https`: `true` for the first TLS listener's port, or a port.
    #[serde(default)]
    pub redirect_to_https: Option<Redirect>,
    /// Expect a PROXY protocol header (v1 or v2) from `trusted_proxies`. Default: false.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// Whether, and to which port, a listener redirects.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `true`, `false` or a port")]
pub(crate) enum Redirect {
    /// To the first TLS listener's port.
    Switch(bool),
    /// To this port.
    Port(u16),
}

/// TLS of a listener: TLS 1.2 and 1.3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerTls {
    /// Certificates, chosen by the name that the client asks for; the first one serves all others.
    pub certificates: Vec<Certificate>,
    /// Whether clients are asked for a certificate: `off`, `optional` or `required`. Default: `off`.
    #[serde(default)]
    pub client_auth: ClientAuthText,
    /// PEM file with the CAs that sign client certificates.
    #[serde(default)]
    pub client_ca: Option<FileReference>,
    /// Files with what those CAs revoked (CRL, PEM or DER), one or several, or `{ files: [..], unlisted: deny, expired: deny }`.
    /// Read again with the policy; then live connections are checked again, too.
    #[serde(default)]
    pub client_crl: Option<Revocation>,
    /// The lowest accepted version: `1.2` or `1.3`. Default: `1.2`.
    #[serde(default)]
    pub min_version: MinVersion,
}

/// A certificate chain and its key, read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// PEM file with the chain, leaf first.
    pub cert: FileReference,
    /// PEM file with the private key.
    pub key: FileReference,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuthText {
    /// Not asked.
    #[default]
    Off,
    /// Asked; a presented one must verify.
    Optional,
    /// No handshake without one.
    Required,
}

/// The lowest accepted TLS version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum MinVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The admin API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Where it listens. Default: `127.0.0.1:9440`.
    pub address: Address,
    /// Whether `/readyz` answers 200 only once the guards of the policy in force were probed through the live path, at
    /// start and after each reload. Default: true.
    pub readiness_probes: bool,
}

impl Default for Admin {
    fn default() -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9440);
        Admin { address: Address(address), readiness_probes: true }
    }
}

/// The audit log: one JSON object a line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// The file, relative to this document; `off` writes none. Default: `var/audit.jsonl`.
    pub file: String,
    /// The file is rotated when it grows beyond this. Default: `64MiB`.
    pub rotate_at: ByteSize,
    /// Rotated files that are kept. Default: 8.
    pub keep: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { file: "var/audit.jsonl".to_owned(), rotate_at: ByteSize(64 << 20), keep: 8 }
    }
}

/// What a connection may cost.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bounds {
    /// Client connections in all. Default: 25000.
    pub connections: usize,
    /// Connections of one client address; trusted proxies are exempt. Default: 12500.
    pub connections_per_address: usize,
    /// Concurrent HTTP/2 streams of one connection. Default: 128.
    pub concurrent_streams: u32,
    /// Header fields of one request. Default: 100.
    pub header_count: usize,
    /// Bytes of one request head. Default: `32KiB`.
    pub header_bytes: ByteSize,
    /// Bytes of the request target. Default: `8KiB`.
    pub target_bytes: ByteSize,
    /// From the first byte to the complete head. Default: `10s`.
    pub header_timeout: Period,
    /// An idle connection is closed after this. Default: `75s`.
    pub idle_timeout: Period,
    /// What a request body must bring each second, on average, after 5 s. Default: `500B`.
    pub min_body_rate: ByteSize,
    /// A response that makes no progress towards the client for this long is cut. Default: `30s`.
    pub write_stall: Period,
    /// The longest exchange; event streams, gRPC and WebSocket are exempt. Default: `1h`.
    pub total_timeout: Period,
    /// HTTP/2 control frames that no data, finished request or elapsed time has earned. Default: 800.
    pub control_frames: u32,
    /// The longest wait for running exchanges when the process ends. Default: `30s`.
    pub drain_timeout: Period,
}

impl Default for Bounds {
    fn default() -> Self {
        let seconds = |n| Period(std::time::Duration::from_secs(n));
        Bounds {
            connections: 25_000,
            connections_per_address: 12_500,
            concurrent_streams: 128,
            header_count: 100,
            header_bytes: ByteSize(32 << 10),
            target_bytes: ByteSize(8 << 10),
            header_timeout: seconds(10),
            idle_timeout: seconds(75),
            min_body_rate: ByteSize(500),
            write_stall: seconds(30),
            total_timeout: seconds(3_600),
            control_frames: 800,
            drain_timeout: seconds(30),
        }
    }
}

/// Who signs tokens, and with which keys. One of `jwks` and `secret`, or neither for OpenID discovery.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// The name that guards refer to.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Accepted `aud` values; a token needs one of them.
    pub audiences: Vec<String>,
    /// Accepted `alg` values, such as `ES256`; never inferred from the token.
    pub algorithms: Vec<Algorithm>,
    /// Its key set: an `https://` URL, or `file:` with a JWKS or PEM file.
    #[serde(default)]
    pub jwks: Option<String>,
    /// The shared secret of HS256, HS384 or HS512: `env:NAME` or `file:path`.
    #[serde(default)]
    pub secret: Option<SecretReference>,
    /// The longest `exp - iat` that is accepted. Default: any.
    #[serde(default)]
    pub max_lifetime: Option<Period>,
    /// Accepted `typ` header values. Default: `JWT`, `at+jwt` and none.
    #[serde(default)]
    pub types: Vec<String>,
    /// Clock skew allowed on `exp`, `nbf` and `iat`. Default: `30s`.
    #[serde(default)]
    pub leeway: Option<Period>,
    /// What its tokens must look like: `any` (default), or `at+jwt`: RFC 9068 to the letter.
    #[serde(default)]
    pub profile: TokenProfile,
    /// Whether ID tokens are accepted, although they are made for clients and not for APIs. Default: `false`.
    #[serde(default)]
    pub id_tokens: bool,
    /// Its tokens are refused everywhere; `bartizan issuers report` tells who still shows some.
    #[serde(default)]
    pub retired: bool,
    /// As `retired`, from this moment on: `2026-01-31` or `2026-01-31T12:00:00Z`.
    #[serde(default)]
    pub retired_at: Option<String>,
    /// Whose workload tokens it signs: `kubernetes`, `google`, `azure` or `aws`; the claims of each become the same
    /// principal, with the attributes `platform`, `account` and `workload`.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// How its claims become a principal, laid over the preset.
    #[serde(default)]
    pub map: Option<Mapping>,
    /// It sends security events (SSF, CAEP, RISC) to the gateway, by which tokens and sessions are revoked.
    #[serde(default)]
    pub events: Option<Events>,
}

/// Security events (RFC 8417) that an issuer pushes (RFC 8935) to `/ssf/events` of the admin address.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Events {
    /// The `aud` values that name this gateway; an event needs one of them.
    pub audiences: Vec<String>,
    /// Names of the issuers of whose subjects it may speak. Default: itself.
    #[serde(default)]
    pub speaks_for: Vec<String>,
}

/// A signature algorithm of JSON Web Tokens (RFC 7518 section 3.1, RFC 8037). `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519.
    EdDSA,
    /// The same by its own name (RFC 9864).
    Ed25519,
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl Algorithm {
    /// The `alg` value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::ES512 => "ES512",
            Algorithm::EdDSA => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
        }
    }

    /// Whether it needs a shared secret.
    pub(crate) fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
    }
}

/// One protected API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiSettings {
    /// Its name: in events, metrics and overlays.
    pub name: String,
    /// Hosts that it serves; `*.example.com` serves every name below. Default: any host.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Path prefix that it serves, such as `/v1`. Contract paths and `match` patterns are below it. Default: the
    /// path of the contract's server if it has exactly one, else all paths; `/` for all paths.
    #[serde(default)]
    pub base_path: Option<String>,
    /// Where requests go: a URL, or a map of settings.
    // Required all the same: compiling says so, after the rest of the API has been looked at.
    #[serde(default)]
    #[schemars(required)]
    pub upstream: Option<UpstreamText>,
    /// The API's OpenAPI document, JSON or YAML (2.0, 3.0, 3.1, 3.2).
    #[serde(default)]
    pub contract: Option<FileReference>,
    /// What neither the contract nor an operation block names: `deny`, `monitor` or `allow`. Default: `deny` with a
    /// contract, else `monitor`.
    #[serde(default)]
    pub unknown_operations: Option<UnknownText>,
    /// The mode of guards that do not state their own: `enforce`, `monitor` or `off`. Default: `enforce`.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Who may call, and how they prove it. Default: anonymous callers are allowed, with a warning.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree; named here so that the key is known")]
    pub identity: Opaque,
    /// The guards by name; each may have a `mode` of its own.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree; named here so that the key is known")]
    pub guards: Opaque,
    /// Settings for some operations, laid over the API's; all matching blocks apply, the least specific first.
    #[serde(default)]
    pub operations: Vec<OperationSettings>,
    /// What a guard no longer looks at, each `{ guard: waf, rule or tag, operation, parameter, reason, expires }`. Without
    /// `operation` it holds for all of them.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree; named here so that the key is known")]
    pub exclusions: Opaque,
    /// What is tolerated in paths.
    #[serde(default)]
    pub paths: Paths,
    /// Method override and URL rewrite headers that are let through, such as `X-HTTP-Method-Override`. Default: none.
    #[serde(default)]
    pub allow_override_headers: Vec<HeaderText>,
    /// The largest request body. Default: `10MiB`.
    #[serde(default)]
    pub max_body: Option<ByteSize>,
    /// Send `Strict-Transport-Security` on TLS: `true` for one year, `false`, or a period such as `180d`. Default: not
    /// sent, the upstream's own is passed on.
    #[serde(default)]
    pub hsts: Option<Hsts>,
}

/// Whether, and for how long, browsers are told to use TLS only.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `true`, `false` or a period such as `180d`")]
pub(crate) enum Hsts {
    /// One year, or not at all.
    Switch(bool),
    /// So long.
    Period(Period),
}

/// What is tolerated in paths.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Paths {
    /// `%2F` stays encoded inside a segment instead of being refused. Default: false.
    pub encoded_slash: bool,
    /// `;parameters` stay in the path instead of being refused. Default: false.
    pub parameters: bool,
}

/// What happens to operations that nothing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownText {
    /// Refused with 404, or 405 where the path exists with other methods.
    Deny,
    /// Forwarded, with a finding.
    Monitor,
    /// Forwarded.
    Allow,
}

/// Settings for the operations that `match` names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationSettings {
    /// A method (or `*`) and a path pattern below the API's `base_path`: `POST /login`, `* /admin/**`, `GET /a/{id}`.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Who may call, and how they prove it; laid over the API's.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree; named here so that the key is known")]
    pub identity: Opaque,
    /// Guards; laid over the API's: maps by key, lists by `name`.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree; named here so that the key is known")]
    pub guards: Opaque,
    /// The mode of guards that do not state their own.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// `false` starts over: nothing of the API or of less specific blocks applies. Default: true.
    #[serde(default = "yes")]
    pub inherit: bool,
}

fn yes() -> bool {
    true
}
