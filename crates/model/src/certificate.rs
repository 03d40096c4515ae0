//! The certificate by which a client was authenticated.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::Serialize;

use crate::Timestamp;

/// Who vouches that the client holds the certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// This gateway: the client proved it in the TLS handshake.
    Handshake,
    /// A trusted proxy that ended TLS, by `Client-Cert` (RFC 9440).
    Proxy,
}

/// One name of the subject alternative name extension (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectName {
    /// A DNS name, lower case.
    Dns(Arc<str>),
    /// A URI, such as a SPIFFE ID.
    Uri(Arc<str>),
    /// A mail address.
    Email(Arc<str>),
    /// An address.
    Ip(IpAddr),
}

impl SubjectName {
    /// The kind's name in policies: `dns`, `uri`, `email` or `ip`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            SubjectName::Dns(_) => "dns",
            SubjectName::Uri(_) => "uri",
            SubjectName::Email(_) => "email",
            SubjectName::Ip(_) => "ip",
        }
    }
}

/// The name alone.
impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubjectName::Dns(name) | SubjectName::Uri(name) | SubjectName::Email(name) => f.write_str(name),
            SubjectName::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

/// A client's leaf certificate, read once for each connection.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The leaf as it was presented.
    pub der: Arc<[u8]>,
    /// The certificates that came with it, nearest first.
    pub chain: Arc<[Arc<[u8]>]>,
    /// SHA-256 of the leaf.
    pub fingerprint: [u8; 32],
    /// The subject's distinguished name (RFC 4514).
    pub subject: Arc<str>,
    /// The issuer's distinguished name (RFC 4514).
    pub issuer: Arc<str>,
    /// The serial number in lower-case hex.
    pub serial: Arc<str>,
    /// The subject alternative names that are understood, in order.
    pub names: Arc<[SubjectName]>,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Who vouches for the client.
    pub witness: Witness,
}

/// Without the certificates themselves, which are long.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("serial", &self.serial)
            .field("names", &self.names)
            .field("witness", &self.witness)
            .finish_non_exhaustive()
    }
}
