//! TLS for the people, the victims and the servers of a drill.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result};
use bartizan_testkit::ca::Leaf;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::server::SILENCE;

/// A client's connection.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Whom a client believes.
#[derive(Clone, Copy)]
pub enum Trust<'a> {
    /// The authority of this PEM file.
    Authority(&'a Path),
    /// Anybody: the naive client that a man in the middle hopes for.
    Anybody,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// How a client connects. Sessions are never resumed: each handshake is whole.
///
/// # Errors
/// The authority could not be read.
pub fn client(trust: Trust<'_>, versions: &[&'static SupportedProtocolVersion]) -> Result<Arc<ClientConfig>> {
    let provider = provider();
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
    let mut config = match trust {
        Trust::Authority(file) => builder.with_root_certificates(roots(file)?).with_no_client_auth(),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believer(provider)))
            .with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The authority of a PEM file, and no other.
///
/// # Errors
/// It could not be read.
pub fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    Ok(roots)
}

/// A server with this certificate.
///
/// # Errors
/// The files could not be read, or do not fit together.
pub fn server(leaf: &Leaf) -> Result<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from_pem_file(&leaf.cert)?];
    let key = PrivateKeyDer::from_pem_file(&leaf.key)?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key)?))
}

/// Connects and finishes the handshake.
///
/// # Errors
/// There was no connection, or no handshake.
pub fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<TlsStream> {
    let name = ServerName::try_from(name.to_owned()).context("no name of a server")?;
    let tcp = TcpStream::connect_timeout(&address, SILENCE)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(SILENCE))?;
    tcp.set_write_timeout(Some(SILENCE))?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Believes every certificate, but demands that its key was used: what clients with verification "switched off" do.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
