//! Small requests of the gateway's own: key sets, metadata, introspection. One exchange over HTTP/1.1, bounded in size; no
//! redirect is followed, and what somebody else named is looked for on the public network only.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use bartizan_model::{address::canonical, redacted::shown_url};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls;

/// Bytes of a response head.
const MAX_HEAD: usize = 32 * 1024;

/// Connections that are kept for the next request to the same place.
const MAX_IDLE: usize = 8;

/// Where a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anywhere: the policy itself names the place.
    Anywhere,
    /// To public addresses: a document of somebody else names it.
    Public,
    /// To public addresses and those of private networks, but not to this machine.
    Private,
}

/// One request.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Bytes of the answer's body that are read; a longer one is an error.
    pub most: usize,
    pub reach: Reach,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from.
    pub peer: IpAddr,
}

impl Answer {
    /// Whether a question of the gateway's own was answered, by a status of 200.
    ///
    /// # Errors
    /// Any other status; where it speaks of credentials, they are the gateway's.
    pub fn is_ok(&self) -> Result<(), String> {
        match self.status {
            StatusCode::OK => Ok(()),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(format!("answered {status}: it does not accept the gateway's own credentials"))
            }
            status => Err(format!("answered {status}")),
        }
    }
}

/// Open connections to one place.
#[derive(Default)]
pub(crate) struct Idle(Mutex<Vec<(http1::SendRequest<Full<Bytes>>, IpAddr)>>);

impl<'a> Call<'a> {
    /// A GET of JSON.
    pub(crate) fn get(url: &'a str, most: usize, reach: Reach) -> Self {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
        Call { method: Method::GET, url, headers, body: Bytes::new(), most, reach }
    }

    /// Sends it, over a connection of `idle` if one is open. The caller bounds the time.
    pub(crate) async fn send(self, idle: Option<&Idle>) -> Result<Answer, String> {
        let uri: Uri = self.url.parse().map_err(|_| format!("`{}` is not a URL", shown_url(self.url)))?;
        let place = Place::of(&uri)
            .ok_or_else(|| format!("`{}` is neither `https` nor `http` to a host", shown_url(self.url)))?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() =
            uri.path_and_query().map_or("/", |p| p.as_str()).parse().map_err(|_| "the URL has no path")?;
        *request.headers_mut() = self.headers;
        let host = HeaderValue::from_str(place.authority).map_err(|_| "the URL's host is not one")?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("bartizan"));
        let kept = idle.and_then(|idle| {
            let mut open = idle.0.lock();
            open.retain(|(sender, _)| !sender.is_closed());
            open.pop()
        });
        // A kept connection may be closed by the other side at that very moment: then a new one is made. Nothing that is asked
        // here changes anything there, so that it may be asked twice.
        let reused = match kept.filter(|(sender, _)| sender.is_ready()) {
            Some((mut sender, peer)) => {
                sender.send_request(request.clone()).await.ok().map(|response| (sender, peer, response))
            }
            None => None,
        };
        let (sender, peer, response) = match reused {
            Some(answered) => answered,
            None => {
                let (mut sender, peer) = connect(&place, self.reach).await?;
                let sent = sender.send_request(request).await;
                let response = sent.map_err(|e| format!("no response: {e}"))?;
                (sender, peer, response)
            }
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.most).collect().await;
        let body = body.map_err(|e| format!("the answer could not be read: {e}"))?.to_bytes();
        if let Some(idle) = idle {
            let mut open = idle.0.lock();
            if open.len() < MAX_IDLE && !sender.is_closed() {
                open.push((sender, peer));
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body, peer })
    }
}

/// The place of a URL.
struct Place<'u> {
    tls: bool,
    host: &'u str,
    port: u16,
    authority: &'u str,
}

impl<'u> Place<'u> {
    fn of(uri: &'u Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        // A user in a URL is sent to nobody.
        let named = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        (!host.is_empty()).then_some(Place { tls, host, port, authority: named })
    }
}

/// Connects to an address that was checked, so that a name cannot lead elsewhere the second time that it is asked for.
async fn connect(
    place: &Place<'_>,
    reach: Reach,
) -> Result<(http1::SendRequest<Full<Bytes>>, IpAddr), String> {
    let (host, port) = (place.host, place.port);
    let found =
        tokio::net::lookup_host((host, port)).await.map_err(|e| format!("`{host}` is not known: {e}"))?;
    let allowed: Vec<SocketAddr> = found.filter(|address| may_reach(address.ip(), reach)).collect();
    if allowed.is_empty() {
        return Err(format!("`{host}` leads to a private address, and the policy does not name it"));
    }
    let tcp = TcpStream::connect(allowed.as_slice())
        .await
        .map_err(|e| format!("cannot connect to `{host}:{port}`: {e}"))?;
    let peer = tcp.peer_addr().map_err(|e| e.to_string())?.ip();
    let sender = if place.tls {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is not a name"))?;
        let stream = TlsConnector::from(tls_config()?)
            .connect(name, tcp)
            .await
            .map_err(|e| format!("TLS with `{host}:{port}` failed: {e}"))?;
        handshake(TokioIo::new(stream)).await
    } else {
        handshake(TokioIo::new(tcp)).await
    }?;
    Ok((sender, peer))
}

fn tls_config() -> Result<Arc<ClientConfig>, String> {
    let mut config = tls::client_config(&bartizan_policy::snapshot::UpstreamTls::default())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn handshake<T>(io: T) -> Result<http1::SendRequest<Full<Bytes>>, String>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (sender, connection) = builder.handshake(io).await.map_err(|e| e.to_string())?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
    Ok(sender)
}

fn may_reach(ip: IpAddr, reach: Reach) -> bool {
    match reach {
        Reach::Anywhere => true,
        Reach::Public => !is_private(ip),
        Reach::Private => !is_own(ip),
    }
}

/// This machine.
fn is_own(ip: IpAddr) -> bool {
    let ip = canonical(ip);
    ip.is_loopback() || ip.is_unspecified()
}

/// Addresses that the public network does not route (RFC 6890): where a name leads that was made to reach inside.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Addresses that carry one of IPv4: NAT64 (RFC 6052) and 6to4 (RFC 3056).
            let carried = match ip.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                    let [a, b] = high.to_be_bytes();
                    let [c, d] = low.to_be_bytes();
                    Some(Ipv4Addr::new(a, b, c, d))
                }
                _ => None,
            };
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || (first, second) == (0x2001, 0xdb8)
                || ip == Ipv6Addr::UNSPECIFIED
                || carried.is_some_and(is_private_v4)
        }
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19))
        || (a == 192 && b == 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn what_the_public_network_does_not_route_is_private() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "ff02::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "172.15.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        assert!(may_reach("10.0.0.1".parse().unwrap(), Reach::Private));
        assert!(!may_reach("127.0.0.1".parse().unwrap(), Reach::Private));
        assert!(may_reach("127.0.0.1".parse().unwrap(), Reach::Anywhere));
    }

    #[tokio::test]
    async fn a_kept_connection_that_closes_is_replaced() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/introspect", listener.local_addr().unwrap());
        // Each connection answers once, and closes when the next question has come.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut buffer = [0; 4_096];
                    let _ = stream.read(&mut buffer);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                    let _ = stream.read(&mut buffer);
                });
            }
        });
        let idle = Idle::default();
        for number in 0..3 {
            let answer = Call::get(&url, 1_024, Reach::Anywhere).send(Some(&idle)).await;
            assert_eq!(answer.map(|answer| answer.body.to_vec()), Ok(b"{}".to_vec()), "question {number}");
        }
    }

    #[test]
    fn a_user_in_a_url_is_sent_to_nobody() {
        let uri: Uri = "https://user@id.example.com:8443/x".parse().unwrap();
        let place = Place::of(&uri).unwrap();
        assert_eq!(
            (place.host, place.port, place.authority),
            ("id.example.com", 8443, "id.example.com:8443")
        );
        assert!(Place::of(&"ftp://id.example.com/x".parse().unwrap()).is_none());
    }
}
