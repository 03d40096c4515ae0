//! Whether a client certificate is good right now: its chain, its times, its use, and whether it was revoked.

use bartizan_model::{ClientCertificate, Timestamp};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

/// Why a certificate is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No chain leads to one of the authorities.
    UnknownAuthority,
    /// Its authority has revoked it.
    Revoked,
    /// Past its end.
    Expired,
    /// Before its beginning.
    NotYetValid,
    /// It is not meant for clients (extended key usage).
    Usage,
    /// No list tells whether it is revoked.
    RevocationUnknown,
    /// The list that would tell whether it is revoked is past its own end.
    ListExpired,
    /// The list that would tell whether it is revoked is not signed by its authority.
    ListInvalid,
    /// Something else: it is malformed, or its keys or signatures are too weak.
    Malformed,
}

impl Fault {
    /// The last part of codes.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Fault::UnknownAuthority => "unknown_authority",
            Fault::Revoked => "revoked",
            Fault::Expired => "expired",
            Fault::NotYetValid => "not_yet_valid",
            Fault::Usage => "usage",
            Fault::RevocationUnknown => "revocation_unknown",
            Fault::ListExpired => "list_expired",
            Fault::ListInvalid => "list_invalid",
            Fault::Malformed => "malformed",
        }
    }

    /// What is wrong, as a sentence for operators.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Fault::UnknownAuthority => "the client's certificate is of no authority that is trusted",
            Fault::Revoked => "the client's certificate is revoked",
            Fault::Expired => "the client's certificate is past its end",
            Fault::NotYetValid => "the client's certificate is not valid yet",
            Fault::Usage => "the client's certificate is not meant for clients",
            Fault::RevocationUnknown => "no revocation list covers the client's certificate",
            Fault::ListExpired => "the revocation list for the client's certificate is past its end",
            Fault::ListInvalid => "the revocation list for the client's certificate is not validly signed",
            Fault::Malformed => "the client's certificate cannot be used",
        }
    }
}

/// What happens where revocation cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// A certificate that no list covers is accepted.
    pub accept_unlisted: bool,
    /// A list past its end still counts.
    pub accept_expired_list: bool,
}

/// The authorities whose clients are accepted, and what they revoked.
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    doubt: Doubt,
    /// When the first list ends.
    lists_until: Option<Timestamp>,
}

impl Trust {
    /// From the PEM text of the authorities' certificates and of their revocation lists (PEM, or DER), each with the name
    /// that errors call it by.
    ///
    /// # Errors
    /// One sentence that names what cannot be used.
    pub fn new(ca: (&str, &[u8]), lists: &[(String, &[u8])], doubt: Doubt) -> Result<Self, String> {
        let (name, pem) = ca;
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate
                .map_err(|_| format!("`{name}` is not valid PEM; it must hold `BEGIN CERTIFICATE` blocks"))?;
            let anchor = anchor_from_trusted_cert(&certificate)
                .map_err(|_| format!("`{name}` holds a certificate that cannot be an authority"))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(format!("`{name}` holds no certificate; it must hold `BEGIN CERTIFICATE` blocks"));
        }
        let mut trust = Trust { anchors, lists: Vec::new(), doubt, lists_until: None };
        for (name, bytes) in lists {
            trust.add_list(name, bytes)?;
        }
        Ok(trust)
    }

    fn add_list(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let unusable = |why: &str| {
            format!(
                "`{name}` is not a revocation list that can be used: {why}; write the PEM (`BEGIN X509 CRL`) or DER file of the authority"
            )
        };
        let ders: Vec<CertificateRevocationListDer<'static>> = if bytes.first() == Some(&0x30) {
            vec![CertificateRevocationListDer::from(bytes.to_vec())]
        } else {
            CertificateRevocationListDer::pem_slice_iter(bytes)
                .collect::<Result<_, _>>()
                .map_err(|_| unusable("it is not valid PEM"))?
        };
        if ders.is_empty() {
            return Err(unusable("it holds none"));
        }
        for der in ders {
            let list = OwnedCertRevocationList::from_der(&der).map_err(|error| {
                unusable(match error {
                    webpki::Error::UnsupportedDeltaCrl => "it tells only what is new since another one",
                    webpki::Error::UnsupportedIndirectCrl => "it speaks for other authorities than its own",
                    webpki::Error::UnsupportedCriticalExtension => {
                        "it has a critical extension that is not known"
                    }
                    webpki::Error::UnsupportedCrlVersion => "it is not of version 2",
                    _ => "it is malformed",
                })
            })?;
            let (_, parsed) =
                CertificateRevocationList::from_der(&der).map_err(|_| unusable("it is malformed"))?;
            let until = parsed.next_update().and_then(|time| u64::try_from(time.timestamp()).ok());
            if let Some(until) = until.map(Timestamp::from_seconds) {
                self.lists_until = Some(self.lists_until.map_or(until, |first| first.min(until)));
            }
            self.lists.push(list.into());
        }
        Ok(())
    }

    /// When the first of the revocation lists ends, if one does.
    #[must_use]
    pub fn lists_until(&self) -> Option<Timestamp> {
        self.lists_until
    }

    /// The distinguished names of the authorities, in DER: what a server names when it asks for a certificate.
    #[must_use]
    pub fn subjects(&self) -> Vec<Vec<u8>> {
        self.anchors.iter().map(|anchor| anchor.subject.as_ref().to_vec()).collect()
    }

    /// Whether a certificate is good at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, certificate: &ClientCertificate, now: Timestamp) -> Result<(), Fault> {
        let chain: Vec<&[u8]> = certificate.chain.iter().map(|der| &**der).collect();
        self.check_der(&certificate.der, &chain, now)
    }

    /// As [`Trust::check`], of certificates that were not read yet.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_der(&self, leaf: &[u8], chain: &[&[u8]], now: Timestamp) -> Result<(), Fault> {
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Fault::Malformed)?;
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.seconds()));
        let verify = |depth, unlisted| {
            let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
                builder
                    .with_depth(depth)
                    .with_status_policy(unlisted)
                    .with_expiration_policy(if self.doubt.accept_expired_list {
                        ExpirationPolicy::Ignore
                    } else {
                        ExpirationPolicy::Enforce
                    })
                    .build()
            });
            leaf.verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &self.anchors,
                &chain,
                now,
                KeyUsage::client_auth(),
                revocation,
                None,
            )
            .map(drop)
            .map_err(Fault::from)
        };
        // Authorities between may be revoked, too. Where one has no list of its own that is no doubt: a list for the leaf is
        // what operators have.
        if !chain.is_empty() && !lists.is_empty() {
            verify(RevocationCheckDepth::Chain, UnknownStatusPolicy::Allow)?;
        }
        let unlisted =
            if self.doubt.accept_unlisted { UnknownStatusPolicy::Allow } else { UnknownStatusPolicy::Deny };
        verify(RevocationCheckDepth::EndEntity, unlisted)
    }
}

impl From<webpki::Error> for Fault {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error;
        match error {
            Error::CertRevoked => Fault::Revoked,
            Error::CertExpired { .. } => Fault::Expired,
            Error::CertNotValidYet { .. } => Fault::NotYetValid,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Fault::Usage,
            Error::UnknownIssuer | Error::CaUsedAsEndEntity | Error::InvalidSignatureForPublicKey => {
                Fault::UnknownAuthority
            }
            Error::UnknownRevocationStatus => Fault::RevocationUnknown,
            Error::CrlExpired { .. } => Fault::ListExpired,
            Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Fault::ListInvalid,
            _ => Fault::Malformed,
        }
    }
}
