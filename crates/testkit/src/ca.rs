//! A certificate authority for tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// The authority. Certificates are ECDSA P-256.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate chain and its key, on disk.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// PEM, leaf first.
    pub cert: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

impl Ca {
    /// A fresh authority.
    ///
    /// # Errors
    /// The key could not be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Ca { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Writes the authority's own certificate.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, self.issuer.pem())?;
        Ok(path)
    }

    /// A server certificate for these names, valid for a day.
    ///
    /// # Errors
    /// A name is invalid, or a file could not be written.
    pub fn server(&self, folder: &Path, file: &str, names: &[&str]) -> Result<Leaf> {
        self.leaf(folder, file, names, ExtendedKeyUsagePurpose::ServerAuth, Duration::days(1))
    }

    /// A server certificate that expired an hour ago.
    ///
    /// # Errors
    /// As [`Ca::server`].
    pub fn expired(&self, folder: &Path, file: &str, names: &[&str]) -> Result<Leaf> {
        self.leaf(folder, file, names, ExtendedKeyUsagePurpose::ServerAuth, Duration::hours(-1))
    }

    /// A server certificate that nobody but its own key has signed, valid for a day.
    ///
    /// # Errors
    /// As [`Ca::server`].
    pub fn self_signed(folder: &Path, file: &str, names: &[&str]) -> Result<Leaf> {
        let params = leaf(names, ExtendedKeyUsagePurpose::ServerAuth, Duration::days(1))?;
        let key = KeyPair::generate()?;
        write(folder, file, &params.self_signed(&key)?.pem(), &key)
    }

    /// A client certificate, valid for a day.
    ///
    /// # Errors
    /// As [`Ca::server`].
    pub fn client(&self, folder: &Path, file: &str, name: &str) -> Result<Leaf> {
        self.leaf(folder, file, &[name], ExtendedKeyUsagePurpose::ClientAuth, Duration::days(1))
    }

    /// A client certificate of this serial number, valid for a day.
    ///
    /// # Errors
    /// As [`Ca::server`].
    pub fn client_of(&self, folder: &Path, file: &str, name: &str, serial: u64) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = leaf(&[name], ExtendedKeyUsagePurpose::ClientAuth, Duration::days(1))?;
        params.serial_number = Some(SerialNumber::from(serial));
        write(folder, file, &params.signed_by(&key, &self.issuer)?.pem(), &key)
    }

    /// Writes what the authority has revoked, in a list that ends in a day.
    ///
    /// # Errors
    /// The list could not be signed or written.
    pub fn revoke(&self, folder: &Path, file: &str, serials: &[u64]) -> Result<PathBuf> {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::hours(1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = folder.join(file);
        fs::write(&path, list.signed_by(&self.issuer)?.pem()?)?;
        Ok(path)
    }

    fn leaf(
        &self,
        folder: &Path,
        file: &str,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        until: Duration,
    ) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = leaf(names, purpose, until)?.signed_by(&key, &self.issuer)?;
        write(folder, file, &certificate.pem(), &key)
    }
}

/// The parameters of a leaf that ends `until` from now.
fn leaf(names: &[&str], purpose: ExtendedKeyUsagePurpose, until: Duration) -> Result<CertificateParams> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::new(names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("test"));
    params.not_before = now - Duration::days(2);
    params.not_after = now + until;
    params.extended_key_usages = vec![purpose];
    Ok(params)
}

fn write(folder: &Path, file: &str, certificate: &str, key: &KeyPair) -> Result<Leaf> {
    let leaf = Leaf { cert: folder.join(format!("{file}.pem")), key: folder.join(format!("{file}.key")) };
    fs::write(&leaf.cert, certificate)?;
    fs::write(&leaf.key, key.serialize_pem())?;
    Ok(leaf)
}
