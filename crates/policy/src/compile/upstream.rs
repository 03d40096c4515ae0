//! Upstreams: URLs to backends, defaults, TLS material.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bartizan_guards::identity::signature::sign::Signer;
use bartizan_model::{Files as _, Period, Profile, Redacted};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use super::{
    Compiler,
    listener::{check_pair, parse_certificates},
};
use crate::{
    document::{
        BalanceText, HashText, HealthSettings, HostText, ProtocolText, SignSettings, UpstreamSettings,
        UpstreamText, UpstreamTlsSettings,
    },
    snapshot::{BackendSpec, Balance, HealthSpec, UpstreamHost, UpstreamProtocol, UpstreamSpec, UpstreamTls},
};

const URL_HELP: &str = "write `http://host:port` or `https://host:port`";

/// Whether a host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| bartizan_model::address::canonical(ip).is_loopback())
}

impl Compiler<'_> {
    pub(super) fn upstream(
        &mut self,
        name: &Arc<str>,
        upstream: &UpstreamText,
        path: &str,
        own: &[SocketAddr],
    ) -> Option<UpstreamSpec> {
        let path = &format!("{path}.upstream");
        let (urls, settings): (Vec<(String, &str)>, Option<&UpstreamSettings>) = match upstream {
            UpstreamText::Url(url) => (vec![(path.clone(), url)], None),
            UpstreamText::Settings(settings) => {
                let urls = settings.backends.iter().enumerate();
                (
                    urls.map(|(at, url)| (format!("{path}.backends[{at}]"), url.as_str())).collect(),
                    Some(settings),
                )
            }
        };
        if urls.is_empty() {
            let pruned = self.tree.nearest(&format!("{path}.backends")).items().is_empty();
            if pruned {
                self.error(
                    &format!("{path}.backends"),
                    "there is no backend",
                    "add one, such as `http://127.0.0.1:3000`",
                );
            }
            return None;
        }
        let mut backends: Vec<BackendSpec> = Vec::new();
        for (path, url) in &urls {
            let Some(backend) = self.backend(url, path, own) else { continue };
            if backends.contains(&backend) {
                self.error(path, format!("the backend `{url}` is listed twice"), "keep one of them");
            } else {
                backends.push(backend);
            }
        }
        if backends.iter().any(|backend| backend.tls) && backends.iter().any(|backend| !backend.tls) {
            self.warn(
                path,
                "some backends are reached in cleartext and some with TLS",
                "use one scheme for all backends of an API",
            );
        }
        let spec = self.settings(name, settings, path, backends);
        (!spec.backends.is_empty()).then_some(spec)
    }

    /// One backend's URL: scheme, host and port, nothing else.
    fn backend(&mut self, url: &str, path: &str, own: &[SocketAddr]) -> Option<BackendSpec> {
        let Ok(uri) = url.parse::<http::Uri>() else {
            self.error(path, format!("`{}` is not a URL", without_credentials(url)), URL_HELP);
            return None;
        };
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => {
                self.error(path, format!("an upstream cannot be reached with `{other}`"), URL_HELP);
                return None;
            }
            None => {
                self.error(path, format!("`{}` has no scheme", without_credentials(url)), URL_HELP);
                return None;
            }
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            self.error(
                path,
                "a URL with credentials is refused",
                "remove what is before `@`; secrets are never written in the policy",
            );
            return None;
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            self.error(
                path,
                format!("a backend's URL has no path, and `{url}` has one"),
                "write the scheme, host and port only; `base_path` and `rewrite_prefix` change paths",
            );
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            self.error(path, format!("`{url}` has no host"), URL_HELP);
            return None;
        }
        let written = authority.as_str().rsplit_once(':').map(|(_, port)| port);
        let port = match (authority.port_u16(), written) {
            (Some(0), _) => {
                self.error(path, "port 0 cannot be connected to", URL_HELP);
                return None;
            }
            (Some(port), _) => port,
            (None, Some(text)) if !text.ends_with(']') => {
                self.error(path, format!("`{text}` is not a port"), "a port is a number from 1 to 65535");
                return None;
            }
            (None, _) => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        let backend = BackendSpec { tls, host, port };
        if let Some(address) = own.iter().find(|address| reaches(&backend, **address)) {
            self.error(
                path,
                format!("`{url}` is the gateway's own address {address}: requests would go round in circles"),
                "name the address of the service that is to be protected",
            );
            return None;
        }
        if !tls && !is_loopback(&backend.host) && self.profile == Profile::Strict {
            self.error(
                path,
                format!("`{url}` is reached in cleartext on another machine"),
                "write `https://`; `profile: balanced` allows cleartext",
            );
        }
        Some(backend)
    }

    fn settings(
        &mut self,
        name: &Arc<str>,
        settings: Option<&UpstreamSettings>,
        path: &str,
        backends: Vec<BackendSpec>,
    ) -> UpstreamSpec {
        let seconds = Duration::from_secs;
        let or = |period: Option<Period>, default: u64| period.map_or(seconds(default), |period| period.0);
        let timeouts = settings.map(|s| s.timeouts).unwrap_or_default();
        let protocol = match settings.map(|s| s.protocol).unwrap_or_default() {
            ProtocolText::Auto => UpstreamProtocol::Auto,
            ProtocolText::Http1 => UpstreamProtocol::Http1,
            ProtocolText::Http2 => UpstreamProtocol::Http2,
        };
        let host = match settings.map(|s| s.host.clone()).unwrap_or_default() {
            HostText::Preserve => UpstreamHost::Preserve,
            HostText::Backend => UpstreamHost::Backend,
            HostText::Fixed(host) => UpstreamHost::Fixed(host),
        };
        let balance = match settings.and_then(|s| s.balance.clone()) {
            None | Some(BalanceText::RoundRobin) => Balance::RoundRobin,
            Some(BalanceText::LeastRequests) => Balance::LeastRequests,
            Some(BalanceText::Hash(HashText::Address)) => Balance::HashAddress,
            Some(BalanceText::Hash(HashText::Header(header))) => Balance::HashHeader(header.0),
        };
        let rewrite_prefix = settings
            .and_then(|s| s.rewrite_prefix.as_deref())
            .and_then(|prefix| self.base_path(prefix, &format!("{path}.rewrite_prefix")));
        let mut spec = UpstreamSpec {
            digest: 0,
            name: Arc::clone(name),
            backends,
            balance,
            protocol,
            host,
            rewrite_prefix,
            sign: settings.and_then(|s| s.sign.as_ref()).and_then(|sign| self.signer(sign, path)),
            tls: settings.map(|s| self.upstream_tls(&s.tls, path)).unwrap_or_default(),
            health: settings.and_then(|s| s.health.as_ref()).map(|health| self.health(health, path)),
            eject_after: settings.and_then(|s| s.eject_after).unwrap_or(5),
            eject_for: or(settings.and_then(|s| s.eject_for), 10),
            connect_timeout: or(timeouts.connect, 3),
            first_byte_timeout: or(timeouts.first_byte, 30),
            idle_timeout: or(timeouts.idle, 60),
            keepalive: or(settings.and_then(|s| s.keepalive), 60),
            max_idle: settings.and_then(|s| s.max_idle).unwrap_or(64),
            max_connections: settings.and_then(|s| s.max_connections).unwrap_or(1_024),
            retries: settings.and_then(|s| s.retries).unwrap_or(1),
            retry_budget_percent: settings.and_then(|s| s.retry_budget_percent).unwrap_or(20),
            resolve_every: or(settings.and_then(|s| s.resolve_every), 30),
        };
        let zero = [
            ("eject_after", spec.eject_after == 0),
            ("max_connections", spec.max_connections == 0),
            ("timeouts.connect", spec.connect_timeout.is_zero()),
            ("timeouts.first_byte", spec.first_byte_timeout.is_zero()),
            ("timeouts.idle", spec.idle_timeout.is_zero()),
            ("resolve_every", spec.resolve_every.is_zero()),
        ];
        for (setting, _) in zero.iter().filter(|(_, zero)| *zero) {
            self.error(
                &format!("{path}.{setting}"),
                format!("`{setting}` cannot be zero"),
                "write more than 0",
            );
        }
        if spec.retry_budget_percent > 100 {
            self.error(
                &format!("{path}.retry_budget_percent"),
                "more retries than requests would multiply an outage",
                "write 0 to 100",
            );
        }
        spec.digest = digest(&spec);
        spec
    }

    fn signer(&mut self, sign: &SignSettings, path: &str) -> Option<Arc<Signer>> {
        const COVERED: [&str; 6] = [
            "@method",
            "@target-uri",
            "content-digest",
            "x-bartizan-subject",
            "x-bartizan-identity",
            "x-request-id",
        ];
        let path = format!("{path}.sign");
        let key = match self.disk.secret(&sign.key) {
            Ok(key) => key,
            Err(text) => {
                self.error_text(&format!("{path}.key"), &text);
                return None;
            }
        };
        let components = sign.components.clone().unwrap_or_else(|| COVERED.map(str::to_owned).to_vec());
        let expires = sign.expires.map_or(Duration::from_secs(60), |period| period.0);
        let max_body = sign.max_body.map_or(1 << 20, |size| usize::try_from(size.0).unwrap_or(usize::MAX));
        let identity = sign.identity.unwrap_or(true);
        let pem = key.expose().as_bytes();
        match Signer::new(pem, &sign.keyid, &components, expires, max_body, identity) {
            Ok(signer) => Some(Arc::new(signer)),
            Err(text) => {
                self.error_text(&path, &text);
                None
            }
        }
    }

    fn upstream_tls(&mut self, tls: &UpstreamTlsSettings, path: &str) -> UpstreamTls {
        let path = &format!("{path}.tls");
        let ca = tls.ca.as_ref().and_then(|ca| self.pem(ca, &format!("{path}.ca")));
        let client = match (&tls.client_cert, &tls.client_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let chain = self.pem(cert, &format!("{path}.client_cert"));
                let secret = match self.disk.secret(key) {
                    Ok(secret) => Some(secret),
                    Err(text) => {
                        self.error_text(&format!("{path}.client_key"), &text);
                        None
                    }
                };
                chain.zip(secret).and_then(|(chain, secret)| {
                    let bytes = secret.expose().as_bytes();
                    let Ok(parsed) = PrivateKeyDer::from_pem_slice(bytes) else {
                        self.error(
                            &format!("{path}.client_key"),
                            format!("`{key}` holds no private key"),
                            "it must hold one PEM block `BEGIN PRIVATE KEY` (PKCS#8), not encrypted",
                        );
                        return None;
                    };
                    let (_, certificates) = parse_certificates(&chain);
                    if let Err(text) = check_pair(certificates, parsed, cert, key) {
                        self.error_text(&format!("{path}.client_key"), &text);
                        return None;
                    }
                    Some((chain, Arc::new(Redacted::new(bytes.to_vec()))))
                })
            }
            (Some(_), None) => {
                self.error(
                    &format!("{path}.client_cert"),
                    "a client certificate needs its key",
                    "add `client_key: file:..`",
                );
                None
            }
            (None, Some(_)) => {
                self.error(
                    &format!("{path}.client_key"),
                    "a client key needs its certificate",
                    "add `client_cert: file:..`",
                );
                None
            }
        };
        if let Some(name) = &tls.server_name
            && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
        {
            self.error(
                &format!("{path}.server_name"),
                format!("`{name}` is not a server name"),
                "write a DNS name or an address",
            );
        }
        if tls.danger_accept_invalid {
            self.warn(
                &format!("{path}.danger_accept_invalid"),
                "the backend's certificate is not verified: anyone on the way can read and change everything",
                "name the backend's CA with `ca: file:..` instead",
            );
        }
        UpstreamTls {
            ca,
            server_name: tls.server_name.clone(),
            client,
            danger_accept_invalid: tls.danger_accept_invalid,
        }
    }

    /// A PEM file with at least one certificate.
    fn pem(&mut self, file: &bartizan_model::FileReference, path: &str) -> Option<Arc<[u8]>> {
        let bytes = self.file(file, path)?;
        if let (Some(text), _) = parse_certificates(&bytes) {
            self.error(path, format!("`{}` {text}", file.0), "it must hold PEM blocks `BEGIN CERTIFICATE`");
            return None;
        }
        Some(Arc::from(bytes))
    }

    fn health(&mut self, health: &HealthSettings, path: &str) -> HealthSpec {
        let at = format!("{path}.health");
        if !health.path.starts_with('/') || health.path.parse::<http::uri::PathAndQuery>().is_err() {
            self.error(
                &format!("{at}.path"),
                format!("`{}` is not a path", health.path),
                "write `/healthz`, for example",
            );
        }
        let spec = HealthSpec {
            path: health.path.clone(),
            interval: health.interval.map_or(Duration::from_secs(5), |period| period.0),
            timeout: health.timeout.map_or(Duration::from_secs(2), |period| period.0),
            unhealthy_after: health.unhealthy_after.unwrap_or(3),
            healthy_after: health.healthy_after.unwrap_or(2),
        };
        let zero = [
            ("interval", spec.interval.is_zero()),
            ("timeout", spec.timeout.is_zero()),
            ("unhealthy_after", spec.unhealthy_after == 0),
            ("healthy_after", spec.healthy_after == 0),
        ];
        for (setting, _) in zero.iter().filter(|(_, zero)| *zero) {
            self.error(
                &format!("{at}.{setting}"),
                format!("`{setting}` cannot be zero"),
                "write more than 0",
            );
        }
        spec
    }
}

fn without_credentials(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

/// Whether connecting to a backend ends at one of our own listeners.
fn reaches(backend: &BackendSpec, own: SocketAddr) -> bool {
    if backend.port != own.port() {
        return false;
    }
    match backend.host.parse::<IpAddr>() {
        Ok(ip) => {
            let ip = bartizan_model::address::canonical(ip);
            ip == bartizan_model::address::canonical(own.ip())
                || ip.is_unspecified() && (own.ip().is_loopback() || own.ip().is_unspecified())
                || own.ip().is_unspecified() && ip.is_loopback()
        }
        Err(_) => is_loopback(&backend.host) && (own.ip().is_loopback() || own.ip().is_unspecified()),
    }
}

/// A hash over everything but the digest itself.
fn digest(spec: &UpstreamSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.name.hash(&mut hasher);
    spec.backends.hash(&mut hasher);
    spec.balance.hash(&mut hasher);
    spec.protocol.hash(&mut hasher);
    spec.host.hash(&mut hasher);
    spec.rewrite_prefix.hash(&mut hasher);
    spec.tls.ca.hash(&mut hasher);
    spec.tls.server_name.hash(&mut hasher);
    spec.tls.client.as_ref().map(|(chain, key)| (chain, key.expose())).hash(&mut hasher);
    spec.tls.danger_accept_invalid.hash(&mut hasher);
    spec.sign.as_ref().map(|sign| sign.settings()).hash(&mut hasher);
    spec.health.hash(&mut hasher);
    (spec.eject_after, spec.eject_for, spec.connect_timeout, spec.first_byte_timeout).hash(&mut hasher);
    (spec.idle_timeout, spec.keepalive, spec.max_idle, spec.max_connections).hash(&mut hasher);
    (spec.retries, spec.retry_budget_percent, spec.resolve_every).hash(&mut hasher);
    hasher.finish()
}
