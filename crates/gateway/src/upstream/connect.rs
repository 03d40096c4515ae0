//! Dialling a backend: TCP, TLS with verification, the HTTP handshake, all within one deadline.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bartizan_model::address::canonical;
use bartizan_policy::snapshot::{UpstreamProtocol, UpstreamSpec};
use hyper::{
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Backend, Lease, Sender, UpstreamFailure, backend::OpenConnection};
use crate::{body::RequestBody, tls};

/// Header fields and bytes of an upstream's response head; more is a broken upstream.
const MAX_RESPONSE_HEADERS: usize = 200;
const MAX_RESPONSE_HEAD: usize = 128 * 1024;

/// Opens connections for one upstream.
pub struct Dialer {
    /// Offers HTTP/2 and HTTP/1.1 by ALPN, HTTP/2 alone, HTTP/1.1 alone; `None` without a TLS backend.
    tls: Option<TlsConfigs>,
    server_name: Option<ServerName<'static>>,
    forbidden: Vec<SocketAddr>,
}

struct TlsConfigs {
    both: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Dialer {
    /// Prepares TLS for the upstream.
    ///
    /// # Errors
    /// A certificate, key or name cannot be used; one sentence for the operator.
    pub fn new(spec: &UpstreamSpec, forbidden: Vec<SocketAddr>) -> Result<Self, String> {
        let tls = if spec.backends.iter().any(|b| b.tls) {
            let config = tls::client_config(&spec.tls)?;
            let with = |alpn: &[&[u8]]| {
                let mut config = config.clone();
                config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
                Arc::new(config)
            };
            let http1: &[u8] = b"http/1.1";
            Some(TlsConfigs { both: with(&[b"h2", http1]), http2: with(&[b"h2"]), http1: with(&[http1]) })
        } else {
            None
        };
        let server_name =
            match &spec.tls.server_name {
                None => None,
                Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                    format!("`server_name: {name}` of upstream `{}` is not a name", spec.name)
                })?),
            };
        Ok(Dialer { tls, server_name, forbidden })
    }

    /// Opens a connection. `http2` demands HTTP/2; `offer_both` lets ALPN decide on TLS.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn dial(
        &self,
        backend: &Arc<Backend>,
        http2: bool,
        offer_both: bool,
        spec: &UpstreamSpec,
    ) -> Result<Lease, UpstreamFailure> {
        let open = backend.open(spec.max_connections).ok_or(UpstreamFailure::Exhausted)?;
        let attempt = self.attempt(backend, open, http2, offer_both, spec);
        tokio::time::timeout(spec.connect_timeout, attempt)
            .await
            .unwrap_or(Err(UpstreamFailure::ConnectTimeout))
    }

    async fn attempt(
        &self,
        backend: &Arc<Backend>,
        open: OpenConnection,
        http2: bool,
        offer_both: bool,
        spec: &UpstreamSpec,
    ) -> Result<Lease, UpstreamFailure> {
        let tcp = self.connect(backend).await?;
        let Some(configs) = self.tls.as_ref().filter(|_| backend.spec.tls) else {
            return handshake(TokioIo::new(tcp), backend, open, http2, spec).await;
        };
        let config = match (http2, offer_both) {
            (_, true) => &configs.both,
            (true, false) => &configs.http2,
            (false, false) => &configs.http1,
        };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(backend.spec.host.clone()).map_err(|_| UpstreamFailure::Tls)?,
        };
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(|error| {
            tracing::warn!(backend = %backend.label, %error, "TLS handshake with the backend failed");
            UpstreamFailure::Tls
        })?;
        let negotiated = tls.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        let http2 = negotiated || http2 && spec.protocol == UpstreamProtocol::Http2;
        handshake(TokioIo::new(tls), backend, open, http2, spec).await
    }

    async fn connect(&self, backend: &Backend) -> Result<TcpStream, UpstreamFailure> {
        if let Ok(ip) = backend.spec.host.parse::<IpAddr>() {
            return self.connect_to(SocketAddr::new(ip, backend.spec.port)).await.map_err(failure);
        }
        if backend.addresses().is_empty() {
            backend.resolve().await;
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in backend.addresses().iter() {
            match self.connect_to(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(failure(error)),
                Err(error) => last = error,
            }
        }
        Err(failure(last))
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if self.forbidden.iter().any(|own| reaches(address, *own)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Whether dialling `target` may reach what is bound to `own`. The unspecified address reaches this machine when dialled
/// and all of its addresses when bound.
fn reaches(target: SocketAddr, own: SocketAddr) -> bool {
    let (target_ip, own_ip) = (canonical(target.ip()), canonical(own.ip()));
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    target.port() == own.port()
        && (target_ip == own_ip
            || own_ip.is_unspecified() && local(target_ip)
            || target_ip.is_unspecified() && local(own_ip))
}

fn failure(error: io::Error) -> UpstreamFailure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => UpstreamFailure::Forbidden,
        _ => UpstreamFailure::Connect,
    }
}

async fn handshake<T>(
    io: T,
    backend: &Arc<Backend>,
    open: OpenConnection,
    http2: bool,
    spec: &UpstreamSpec,
) -> Result<Lease, UpstreamFailure>
where
    T: Read + Write + Unpin + Send + 'static,
{
    if http2 {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(512 * 1024)
            .initial_connection_window_size(2 * 1024 * 1024)
            .max_header_list_size(u32::try_from(MAX_RESPONSE_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(spec.keepalive)
            .handshake::<_, RequestBody>(io)
            .await
            .map_err(|_| UpstreamFailure::Broken)?;
        tokio::spawn(async move {
            let _open = open;
            let _ = connection.await;
        });
        backend.share(&sender);
        return Ok(Lease::new(backend, Sender::Http2(sender)));
    }
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_RESPONSE_HEADERS)
        .max_buf_size(MAX_RESPONSE_HEAD)
        .handshake::<_, RequestBody>(io)
        .await
        .map_err(|_| UpstreamFailure::Broken)?;
    tokio::spawn(async move {
        let _open = open;
        let _ = connection.with_upgrades().await;
    });
    Ok(Lease::new(backend, Sender::Http1(sender)))
}
