//! TLS of the live player: each device's own versions and cipher suites, as far as they are spoken here.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use crate::device::Tls;

/// What a TLS connection needs beside the device.
#[derive(Clone)]
pub struct Secure {
    /// Whom the server's certificate must be from.
    pub roots: Arc<RootCertStore>,
    /// The name that it must have, also sent as SNI.
    pub name: ServerName<'static>,
}

/// The settings of a device: its versions and cipher suites in its order, without those that nobody should speak any
/// more. Always HTTP/1.1: that is what the player speaks.
pub fn client(secure: &Secure, tls: &Tls) -> Result<ClientConfig, rustls::Error> {
    let provider = default_provider();
    let known = &provider.cipher_suites;
    let suites = tls
        .ciphers
        .iter()
        .filter_map(|number| known.iter().find(|suite| u16::from(suite.suite()) == *number).copied());
    let provider = CryptoProvider { cipher_suites: suites.collect(), ..provider.clone() };
    let versions: &[&rustls::SupportedProtocolVersion] =
        if tls.versions.contains(&0x0304) { &[&TLS13, &TLS12] } else { &[&TLS12] };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)?
        .with_root_certificates(Arc::clone(&secure.roots))
        .with_no_client_auth();
    if !tls.alpn.is_empty() {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    Ok(config)
}
