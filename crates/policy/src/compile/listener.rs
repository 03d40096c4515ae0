//! Listeners: addresses, certificates, redirects.

use std::{collections::BTreeMap, net::SocketAddr};

use bartizan_guards::identity::{Revocation, trust::Trust};
use bartizan_model::FileReference;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::Compiler;
use crate::{
    document::{ClientAuthText, Listener, ListenerTls, MinVersion, Redirect},
    snapshot::{CertificateSpec, ClientAuth, ListenerSpec, TlsSpec},
};

/// Where a policy without listeners listens.
const DEFAULT_LISTENER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

impl Compiler<'_> {
    pub(super) fn listeners(&mut self, settings: &[Listener], admin: SocketAddr) -> Vec<ListenerSpec> {
        if self.tree.get("listeners").is_none_or(|listeners| listeners.items().is_empty()) {
            if admin == DEFAULT_LISTENER {
                self.error(
                    "admin.address",
                    "the admin API and the default listener have the same address",
                    "write `listeners:`, or another admin address",
                );
            }
            return vec![ListenerSpec {
                address: DEFAULT_LISTENER,
                tls: None,
                redirect_to_https: None,
                proxy_protocol: false,
            }];
        }
        let https =
            settings.iter().find(|listener| listener.tls.is_some()).map(|listener| listener.address.0.port());
        let mut taken: BTreeMap<SocketAddr, String> = BTreeMap::new();
        if admin.port() != 0 {
            taken.insert(admin, "the admin API".to_owned());
        }
        let mut listeners = Vec::new();
        for (index, listener) in settings.iter().enumerate() {
            let path = format!("listeners[{index}]");
            let address = listener.address.0;
            if address.port() != 0
                && let Some(other) = taken.insert(address, format!("listener {}", index + 1))
            {
                self.error(
                    &format!("{path}.address"),
                    format!("{other} has the address {address} already"),
                    "give each listener an address of its own",
                );
            }
            let tls = listener.tls.as_ref().map(|tls| self.listener_tls(tls, &format!("{path}.tls")));
            let redirect_path = format!("{path}.redirect_to_https");
            let redirect_to_https = match listener.redirect_to_https {
                None | Some(Redirect::Switch(false)) => None,
                Some(_) if tls.is_some() => {
                    self.error(
                        &redirect_path,
                        "this listener speaks TLS already",
                        "remove `redirect_to_https` here",
                    );
                    None
                }
                Some(Redirect::Port(port)) => Some(port),
                Some(Redirect::Switch(true)) => {
                    if https.is_none() {
                        self.error(
                            &redirect_path,
                            "there is no TLS listener to redirect to",
                            "add a listener with `tls`, or write the port: `redirect_to_https: 443`",
                        );
                    }
                    https
                }
            };
            listeners.push(ListenerSpec {
                address,
                tls,
                redirect_to_https,
                proxy_protocol: listener.proxy_protocol,
            });
        }
        listeners
    }

    fn listener_tls(&mut self, tls: &ListenerTls, path: &str) -> TlsSpec {
        if tls.certificates.is_empty() {
            self.error(
                &format!("{path}.certificates"),
                "TLS needs a certificate",
                "add `{ cert: file:certs/api.pem, key: file:certs/api.key }`",
            );
        }
        let mut certificates = Vec::new();
        for (index, certificate) in tls.certificates.iter().enumerate() {
            let path = format!("{path}.certificates[{index}]");
            let chain = self.certificates(&certificate.cert, &format!("{path}.cert"));
            let key = self.private_key(&certificate.key, &format!("{path}.key"));
            if let (Some(chain), Some(key)) = (chain, key)
                && let Err(text) = check_pair(chain, key, &certificate.cert, &certificate.key)
            {
                self.error_text(&format!("{path}.key"), &text);
            }
            certificates.push(CertificateSpec {
                cert: self.disk.resolve(&certificate.cert.0),
                key: self.disk.resolve(&certificate.key.0),
            });
        }
        let client_auth = match tls.client_auth {
            ClientAuthText::Off => ClientAuth::Off,
            ClientAuthText::Optional => ClientAuth::Optional,
            ClientAuthText::Required => ClientAuth::Required,
        };
        match (&tls.client_ca, client_auth) {
            (None, ClientAuth::Optional | ClientAuth::Required) => self.error(
                &format!("{path}.client_auth"),
                "client certificates cannot be verified without a CA",
                "add `client_ca: file:certs/clients.pem`",
            ),
            (Some(_), ClientAuth::Off) => self.warn(
                &format!("{path}.client_ca"),
                "no client is asked for a certificate",
                "write `client_auth: optional` or `required`, or remove `client_ca`",
            ),
            _ => {}
        }
        let revocation = tls.client_crl.clone().unwrap_or_default();
        if let Some(ca) = &tls.client_ca {
            self.certificates(ca, &format!("{path}.client_ca"));
            self.revocation(ca, &revocation, &format!("{path}.client_crl"));
        } else if tls.client_crl.is_some() {
            self.warn(
                &format!("{path}.client_crl"),
                "no certificate is verified that could be revoked",
                "add `client_ca` and `client_auth`, or remove `client_crl`",
            );
        }
        TlsSpec {
            certificates,
            client_auth,
            client_ca: tls.client_ca.as_ref().map(|ca| self.disk.resolve(&ca.0)),
            client_crl: revocation.files.iter().map(|file| self.disk.resolve(&file.0)).collect(),
            client_doubt: revocation.doubt(),
            only_tls13: tls.min_version == MinVersion::Tls13,
        }
    }

    /// Whether revocation lists can be used; one that is past its end is worth a warning.
    fn revocation(&mut self, ca: &FileReference, revocation: &Revocation, path: &str) {
        let Some(ca_bytes) = self.file(ca, path) else { return };
        let mut lists = Vec::new();
        for file in &revocation.files {
            let Some(bytes) = self.file(file, path) else { return };
            lists.push((file.to_string(), bytes));
        }
        let lists: Vec<(String, &[u8])> =
            lists.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
        match Trust::new((&ca.to_string(), &ca_bytes), &lists, revocation.doubt()) {
            Ok(trust) => {
                let now = self.options.services.clock.now();
                if let Some(warning) = revocation.warning(&trust, now) {
                    self.warn(path, warning.0, warning.1);
                }
            }
            Err(text) if lists.is_empty() => drop(text),
            Err(text) => self.error_text(path, &text),
        }
    }

    /// The certificates of a PEM file, at least one.
    fn certificates(&mut self, file: &FileReference, path: &str) -> Option<Vec<CertificateDer<'static>>> {
        let bytes = self.file(file, path)?;
        let (text, found) = parse_certificates(&bytes);
        if let Some(text) = text {
            self.error(
                path,
                format!("`{}` {text}", file.0),
                "it must hold PEM blocks `BEGIN CERTIFICATE`, the leaf first",
            );
            return None;
        }
        Some(found)
    }

    fn private_key(&mut self, file: &FileReference, path: &str) -> Option<PrivateKeyDer<'static>> {
        let bytes = self.file(file, path)?;
        match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Some(key),
            Err(_) => {
                self.error(
                    path,
                    format!("`{}` holds no private key", file.0),
                    "it must hold one PEM block `BEGIN PRIVATE KEY` (PKCS#8), not encrypted",
                );
                None
            }
        }
    }

    /// A referenced file; a missing one is reported at `path`.
    pub(super) fn file(&mut self, file: &FileReference, path: &str) -> Option<Vec<u8>> {
        match self.disk.bytes(&file.0) {
            Ok(bytes) => Some(bytes),
            Err(text) => {
                self.error_text(path, &text);
                None
            }
        }
    }
}

/// The certificates of a PEM text, or what is wrong with it.
pub(super) fn parse_certificates(bytes: &[u8]) -> (Option<&'static str>, Vec<CertificateDer<'static>>) {
    match CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => (Some("holds no certificate"), found),
        Ok(found) => (None, found),
        Err(_) => (Some("is not valid PEM"), Vec::new()),
    }
}

/// Whether a key belongs to a chain's leaf.
pub(super) fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    cert: &impl std::fmt::Display,
    key_name: &impl std::fmt::Display,
) -> Result<(), String> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "the key `{key_name}` does not belong to the certificate `{cert}`; name the key that the certificate was made with"
        )),
        Err(rustls::Error::InvalidCertificate(_)) => Err(format!(
            "the first certificate of `{cert}` cannot be used; it must be a valid X.509 v3 certificate"
        )),
        Err(_) => Err(format!(
            "the key `{key_name}` cannot be used; write an RSA (2048 bits or more), ECDSA or Ed25519 key as PKCS#8 PEM"
        )),
    }
}
