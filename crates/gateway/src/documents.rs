//! Remote key sets: fetched in the background, the last good one serving while its source is down.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bartizan_model::{
    Clock,
    redacted::shown_url,
    services::{BoxFuture, Document, DocumentSource, Documents},
};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::Mutex as AsyncMutex, time::Instant};
use tokio_rustls::TlsConnector;

use crate::tls;

/// At most one fetch per source in this time, however many unknown key ids arrive.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// How often a key set is fetched without need.
const REFRESH: Duration = Duration::from_secs(300);

/// One fetch from connect to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document.
const MAX_BYTES: usize = 1024 * 1024;

/// Fetches documents over HTTP(S). Redirects are not followed: a key set lives where the policy says.
pub struct Fetcher {
    clock: Arc<dyn Clock>,
    sources: Mutex<HashMap<DocumentSource, Arc<Entry>>>,
    runtime: tokio::runtime::Handle,
    this: Weak<Fetcher>,
}

#[derive(Default)]
struct Entry {
    latest: Mutex<Option<Document>>,
    /// When the last fetch began; held while one is running, so that callers share it.
    last: AsyncMutex<Option<Instant>>,
    error: Mutex<Option<String>>,
}

impl Fetcher {
    /// Fetches on `runtime`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new_cyclic(|this| Fetcher { clock, sources: Mutex::default(), runtime, this: this.clone() })
    }

    /// Sources whose last fetch failed, with the reason: a stated degraded mode.
    #[must_use]
    pub fn failing(&self) -> Vec<(DocumentSource, String)> {
        let sources = self.sources.lock();
        sources.iter().filter_map(|(s, e)| e.error.lock().clone().map(|error| (s.clone(), error))).collect()
    }

    async fn fetch_into(&self, source: &DocumentSource, entry: &Entry) {
        let mut last = entry.last.lock().await;
        if last.is_some_and(|at| at.elapsed() < MIN_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        let fetched = match tokio::time::timeout(TIMEOUT, fetch(source)).await {
            Ok(result) => result.and_then(|bytes| key_set(&bytes).map(|()| bytes)),
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        match fetched {
            Ok(bytes) => {
                let mut latest = entry.latest.lock();
                let (same, generation) = match &*latest {
                    Some(old) => (*old.bytes == *bytes, old.generation),
                    None => (false, 0),
                };
                *latest = Some(Document {
                    bytes: bytes.as_ref().into(),
                    generation: if same { generation } else { generation + 1 },
                    fetched: self.clock.now(),
                });
                *entry.error.lock() = None;
            }
            Err(error) => {
                if entry.latest.lock().is_none() {
                    tracing::warn!(%source, %error, "a key set could not be fetched: its tokens are answered with 503 until it can");
                } else {
                    tracing::warn!(%source, %error, "a key set could not be fetched again: the last good one serves on");
                }
                *entry.error.lock() = Some(error);
            }
        }
    }
}

impl Documents for Fetcher {
    fn watch(&self, source: &DocumentSource) {
        let entry = {
            let mut sources = self.sources.lock();
            if sources.contains_key(source) {
                return;
            }
            let entry = Arc::new(Entry::default());
            sources.insert(source.clone(), Arc::clone(&entry));
            entry
        };
        let (this, source) = (self.this.clone(), source.clone());
        self.runtime.spawn(async move {
            loop {
                let Some(fetcher) = this.upgrade() else { return };
                fetcher.fetch_into(&source, &entry).await;
                drop(fetcher);
                let missing = entry.latest.lock().is_none();
                tokio::time::sleep(if missing { MIN_INTERVAL } else { REFRESH }).await;
            }
        });
    }

    fn latest(&self, source: &DocumentSource) -> Option<Document> {
        let entry = Arc::clone(self.sources.lock().get(source)?);
        entry.latest.lock().clone()
    }

    fn refetch<'a>(&'a self, source: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        Box::pin(async move {
            let entry = Arc::clone(self.sources.lock().get(source)?);
            self.fetch_into(source, &entry).await;
            entry.latest.lock().clone()
        })
    }
}

/// What answers 200 need not be a key set: a login or maintenance page must not displace the last good one. A set without
/// keys is one (RFC 7517 section 5): its issuer has withdrawn them all.
fn key_set(bytes: &[u8]) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct KeySet {
        #[serde(rename = "keys")]
        _keys: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<KeySet>(bytes)
        .map(|_| ())
        .map_err(|_| "the answer is not a key set: a JSON object with a list `keys`".to_owned())
}

async fn fetch(source: &DocumentSource) -> Result<Bytes, String> {
    match source {
        DocumentSource::Url(url) => get(url).await,
        DocumentSource::Issuer(issuer) => {
            // OpenID Connect Discovery 1.0 section 4: the metadata must name the same issuer.
            let metadata =
                get(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).await?;
            let metadata: serde_json::Value = serde_json::from_slice(&metadata)
                .map_err(|e| format!("the issuer's metadata is not JSON: {e}"))?;
            let text = |name: &str| metadata.get(name).and_then(serde_json::Value::as_str);
            if text("issuer") != Some(issuer) {
                return Err("the issuer's metadata names another `issuer`".to_owned());
            }
            let keys = text("jwks_uri").ok_or("the issuer's metadata has no `jwks_uri`")?;
            get(keys).await
        }
    }
}

/// One GET over HTTP/1.1.
async fn get(url: &str) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|_| format!("`{}` is not a URL", shown_url(url)))?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(format!("`{}` is neither `https` nor `http`", shown_url(url))),
    };
    let authority = uri.authority().ok_or_else(|| format!("`{}` has no host", shown_url(url)))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|e| format!("cannot connect to `{host}:{port}`: {e}"))?;
    let request = Request::get(uri.path_and_query().map_or("/", |p| p.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "bartizan")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    if is_tls {
        let mut config = tls::client_config(&bartizan_policy::snapshot::UpstreamTls::default())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is not a name"))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|e| format!("TLS with `{host}:{port}` failed: {e}"))?;
        exchange(TokioIo::new(stream), request).await
    } else {
        exchange(TokioIo::new(tcp), request).await
    }
}

async fn exchange<T>(io: T, request: Request<Empty<Bytes>>) -> Result<Bytes, String>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| format!("no response: {e}"))?;
    if response.status() != StatusCode::OK {
        return Err(format!("answered {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    driver.abort();
    body.map(http_body_util::Collected::to_bytes).map_err(|e| format!("the document could not be read: {e}"))
}

#[cfg(test)]
mod tests {
    use super::key_set;

    #[test]
    fn only_key_sets_displace_key_sets() {
        for set in ["{\"keys\":[]}", "{\"keys\":[{\"kty\":\"EC\"}],\"more\":1}"] {
            assert_eq!(key_set(set.as_bytes()), Ok(()), "{set}");
        }
        for other in
            ["", "<html>", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x"]
        {
            assert!(key_set(other.as_bytes()).is_err(), "{other}");
        }
    }
}
