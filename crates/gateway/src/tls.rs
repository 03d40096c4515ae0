//! TLS on both sides: certificates chosen by name and re-read when they change, client certificates, verified upstreams.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use bartizan_policy::snapshot::{CertificateSpec, ClientAuth, TlsSpec, UpstreamTls};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::client_trust::{ClientTrust, Handshake};

/// The one cryptography provider: aws-lc-rs with X25519MLKEM768 first and only forward-secret suites.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// The certificates of one listener, swapped whole when a file changes.
#[derive(Debug)]
pub struct Certificates {
    specs: Vec<CertificateSpec>,
    current: ArcSwap<Loaded>,
    /// The state of the files that was looked at last, usable or not.
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What changes when a file is written or replaced: time, size, device and inode.
type Stamp = (SystemTime, u64, u64, u64);

#[derive(Debug)]
struct Loaded {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// One sentence that names the file and what to do.
    pub fn load(specs: &[CertificateSpec]) -> Result<Arc<Self>, String> {
        let seen = Mutex::new(stamps(specs));
        let loaded = load(specs)?;
        Ok(Arc::new(Certificates { specs: specs.to_vec(), current: ArcSwap::from_pointee(loaded), seen }))
    }

    /// Reads the files again if one of them changed since the last look. The last good certificates serve on when that
    /// fails.
    ///
    /// # Errors
    /// One sentence that names the file and what to do.
    pub fn refresh(&self) -> Result<bool, String> {
        let stamps = stamps(&self.specs);
        if std::mem::replace(&mut *self.seen.lock(), stamps.clone()) == stamps {
            return Ok(false);
        }
        self.current.store(Arc::new(load(&self.specs)?));
        Ok(true)
    }
}

fn stamps(specs: &[CertificateSpec]) -> Vec<Option<Stamp>> {
    let modified = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len(), data.dev(), data.ino()))
    };
    specs.iter().flat_map(|spec| [modified(&spec.cert), modified(&spec.key)]).collect()
}

fn load(specs: &[CertificateSpec]) -> Result<Loaded, String> {
    let (mut exact, mut wildcard, mut first) = (HashMap::new(), HashMap::new(), None);
    for spec in specs {
        let key = Arc::new(certified_key(spec)?);
        for name in names(&key)? {
            match name.strip_prefix("*.") {
                Some(suffix) => wildcard.entry(suffix.to_owned()).or_insert_with(|| Arc::clone(&key)),
                None => exact.entry(name).or_insert_with(|| Arc::clone(&key)),
            };
        }
        first.get_or_insert(key);
    }
    let first = first.ok_or("`tls.certificates` is empty; name at least one `cert` and `key`")?;
    Ok(Loaded { exact, wildcard, first })
}

fn certified_key(spec: &CertificateSpec) -> Result<CertifiedKey, String> {
    let cert = spec.cert.display();
    let key = spec.key.display();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&spec.cert).and_then(Iterator::collect).map_err(|e| {
            format!("cannot read certificates from `{cert}`: {e}; it must be a readable PEM file")
        })?;
    if chain.is_empty() {
        return Err(format!("`{cert}` holds no certificate; it must be a PEM file with the leaf first"));
    }
    let private = PrivateKeyDer::from_pem_file(&spec.key).map_err(|e| {
        format!("cannot read the private key from `{key}`: {e}; it must be a readable PEM file")
    })?;
    let certified = CertifiedKey::from_der(chain, private, &provider())
        .map_err(|e| format!("`{cert}` and `{key}` cannot be used together: {e}"))?;
    Ok(certified)
}

/// The DNS names and addresses of the leaf, lower case.
fn names(key: &CertifiedKey) -> Result<Vec<String>, String> {
    let leaf = key.cert.first().ok_or("a certificate chain is empty")?;
    let parsed =
        webpki::EndEntityCert::try_from(leaf).map_err(|e| format!("a certificate cannot be read: {e}"))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.current.load();
        let Some(name) = hello.server_name() else { return Some(Arc::clone(&loaded.first)) };
        let name = name.to_ascii_lowercase();
        let wild = || name.split_once('.').and_then(|(_, suffix)| loaded.wildcard.get(suffix));
        Some(Arc::clone(loaded.exact.get(&name).or_else(wild).unwrap_or(&loaded.first)))
    }
}

/// The server side of a listener.
///
/// # Errors
/// One sentence that names the file and what to do.
pub fn server_config(
    spec: &TlsSpec,
    certificates: Arc<Certificates>,
    trust: Option<&Arc<ClientTrust>>,
) -> Result<Arc<ServerConfig>, String> {
    let versions: &[&rustls::SupportedProtocolVersion] = if spec.only_tls13 {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let builder = match trust {
        None => builder.with_no_client_auth(),
        Some(trust) => {
            let required = spec.client_auth == ClientAuth::Required;
            builder.with_client_cert_verifier(Handshake::new(Arc::clone(trust), required))
        }
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // 0-RTT could be replayed: `max_early_data_size` stays 0.
    config.send_half_rtt_data = false;
    Ok(Arc::new(config))
}

/// The client side towards an upstream: verified against the system's roots or the policy's CA.
///
/// # Errors
/// One sentence for the operator.
pub fn client_config(spec: &UpstreamTls) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let roots = match &spec.ca {
        None => system_roots(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for ca in CertificateDer::pem_slice_iter(pem) {
                let ca = ca.map_err(|e| format!("the upstream's `tls.ca` cannot be read: {e}"))?;
                roots.add(ca).map_err(|e| format!("the upstream's `tls.ca` cannot be used: {e}"))?;
            }
            Arc::new(roots)
        }
    };
    let builder = if spec.danger_accept_invalid {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny))
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|e| {
            format!("upstream TLS cannot be verified: {e}; install the system's CA certificates or set the upstream's `tls.ca`")
        })?;
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    match &spec.client {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| format!("the upstream's `tls.client_cert` cannot be read: {e}"))?;
            let key = PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|e| format!("the upstream's `tls.client_key` cannot be read: {e}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| format!("the upstream's client certificate and key cannot be used: {e}"))
        }
    }
}

/// The system's trust anchors, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    }))
}

/// `danger_accept_invalid`: the policy's author asked for it by that name.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
