//! Client certificates on a listener: verified in the handshake, and again on live connections when what decides changed.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use bartizan_guards::identity::trust::{Fault, Trust};
use bartizan_model::{ClientCertificate, Timestamp};
use bartizan_policy::snapshot::TlsSpec;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::tls::provider;

/// Whom a listener trusts. Connections keep it beyond a change of the policy, which changes what is in it.
pub struct ClientTrust {
    current: ArcSwap<Trust>,
    generation: AtomicU64,
}

impl std::fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTrust").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl ClientTrust {
    /// Reads the authorities and their revocation lists.
    ///
    /// # Errors
    /// One sentence that names the file and what to do.
    pub fn load(spec: &TlsSpec) -> Result<Arc<Self>, String> {
        let path = spec.client_ca.as_deref().ok_or("`client_auth` needs `client_ca`")?;
        let read = |path: &std::path::Path| {
            fs::read(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))
        };
        let ca = read(path)?;
        let lists: Vec<(String, Vec<u8>)> = spec
            .client_crl
            .iter()
            .map(|path| Ok((path.display().to_string(), read(path)?)))
            .collect::<Result<_, String>>()?;
        let lists: Vec<(String, &[u8])> =
            lists.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
        let trust = Trust::new((&path.display().to_string(), &ca), &lists, spec.client_doubt)?;
        Ok(Arc::new(ClientTrust { current: ArcSwap::from_pointee(trust), generation: AtomicU64::new(1) }))
    }

    /// Trusts what `newer` trusts from now on: also on connections that are open.
    pub fn adopt(&self, newer: &ClientTrust) {
        self.current.store(newer.current.load_full());
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Grows with each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a certificate is good at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, certificate: &ClientCertificate, now: Timestamp) -> Result<(), Fault> {
        self.current.load().check(certificate, now)
    }
}

/// [`ClientTrust`] in a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    trust: Arc<ClientTrust>,
    hints: Vec<DistinguishedName>,
    required: bool,
}

impl Handshake {
    pub(crate) fn new(trust: Arc<ClientTrust>, required: bool) -> Arc<Self> {
        let subjects = trust.current.load().subjects();
        let hints = subjects.iter().map(|subject| DistinguishedName::in_sequence(subject)).collect();
        Arc::new(Handshake { trust, hints, required })
    }
}

impl ClientCertVerifier for Handshake {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let now = Timestamp::from_seconds(now.as_secs());
        match self.trust.current.load().check_der(leaf, &chain, now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(fault) => Err(rustls::Error::InvalidCertificate(alert(fault))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What the client is alerted of, and what [`fault_of`] reads back.
fn alert(fault: Fault) -> CertificateError {
    match fault {
        Fault::UnknownAuthority => CertificateError::UnknownIssuer,
        Fault::Revoked => CertificateError::Revoked,
        Fault::Expired => CertificateError::Expired,
        Fault::NotYetValid => CertificateError::NotValidYet,
        Fault::Usage => CertificateError::InvalidPurpose,
        Fault::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        Fault::ListExpired => CertificateError::ExpiredRevocationList,
        Fault::ListInvalid => CertificateError::BadSignature,
        Fault::Malformed => CertificateError::BadEncoding,
    }
}

/// Why a handshake failed for the client's certificate, if it did.
pub(crate) fn fault_of(error: &std::io::Error) -> Option<Fault> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = error else { return None };
    Some(match why {
        CertificateError::UnknownIssuer => Fault::UnknownAuthority,
        CertificateError::Revoked => Fault::Revoked,
        CertificateError::Expired => Fault::Expired,
        CertificateError::NotValidYet => Fault::NotYetValid,
        CertificateError::InvalidPurpose => Fault::Usage,
        CertificateError::UnknownRevocationStatus => Fault::RevocationUnknown,
        CertificateError::ExpiredRevocationList => Fault::ListExpired,
        CertificateError::BadSignature => Fault::ListInvalid,
        _ => Fault::Malformed,
    })
}

/// The code of a connection that is refused for its certificate.
pub(crate) fn connection_code(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownAuthority => "connection.certificate_unknown_authority",
        Fault::Revoked => "connection.certificate_revoked",
        Fault::Expired => "connection.certificate_expired",
        Fault::NotYetValid => "connection.certificate_not_yet_valid",
        Fault::Usage => "connection.certificate_usage",
        Fault::RevocationUnknown => "connection.certificate_revocation_unknown",
        Fault::ListExpired => "connection.certificate_list_expired",
        Fault::ListInvalid => "connection.certificate_list_invalid",
        Fault::Malformed => "connection.certificate_malformed",
    }
}

/// The code of an exchange that is refused for the certificate of its connection.
pub(crate) fn exchange_code(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownAuthority => "ingress.certificate_unknown_authority",
        Fault::Revoked => "ingress.certificate_revoked",
        Fault::Expired => "ingress.certificate_expired",
        Fault::NotYetValid => "ingress.certificate_not_yet_valid",
        Fault::Usage => "ingress.certificate_usage",
        Fault::RevocationUnknown => "ingress.certificate_revocation_unknown",
        Fault::ListExpired => "ingress.certificate_list_expired",
        Fault::ListInvalid => "ingress.certificate_list_invalid",
        Fault::Malformed => "ingress.certificate_malformed",
    }
}
