//! Remote key sets: fetched in the background, the last good one serving while its source is down.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_guards::identity::jwks::{KeySet, Symmetric, Unusable};
use bartizan_model::{
    Clock,
    services::{BoxFuture, Document, DocumentSource, Documents},
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{client::Reach, discovery};

/// At most one fetch per source in this time for all who ask, however many unknown key ids arrive; the ones without need keep
/// the same distance from those, not the other way round: a key that was rotated right after one is fetched at once.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// How often a key set is fetched without need.
const REFRESH: Duration = Duration::from_secs(300);

/// One fetch from connect to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keys that cannot be used, of which the log tells why.
const TOLD: usize = 4;

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
    /// When somebody last asked for a fetch; held while one is running, so that callers share it.
    last: AsyncMutex<Option<Instant>>,
    /// How many fetches have ended.
    fetches: AtomicU64,
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

    async fn fetch_into(&self, source: &DocumentSource, entry: &Entry, asked: bool) {
        let before = entry.fetches.load(Ordering::Acquire);
        let mut last = entry.last.lock().await;
        // Whoever waited for a fetch that was running has what it brought.
        let waited = entry.fetches.load(Ordering::Acquire) != before;
        if waited || last.is_some_and(|at| at.elapsed() < MIN_INTERVAL) {
            return;
        }
        if asked {
            *last = Some(Instant::now());
        }
        let fetched = match tokio::time::timeout(TIMEOUT, fetch(source)).await {
            Ok(result) => result.and_then(|bytes| key_set(&bytes).map(|useless| (bytes, useless))),
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        match fetched {
            Ok((bytes, useless)) => {
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
                if let Some(reasons) = useless.filter(|_| !same) {
                    tracing::warn!(%source, %reasons, "a key set holds no key that can be used: its tokens are refused");
                }
                if entry.error.lock().take().is_some() {
                    tracing::info!(%source, "a key set was fetched again");
                }
            }
            Err(error) => {
                // Told once, and not with every attempt.
                let told = entry.error.lock().replace(error.clone()).as_ref() == Some(&error);
                match (told, entry.latest.lock().is_some()) {
                    (true, _) => {}
                    (false, true) => {
                        tracing::warn!(%source, %error, "a key set could not be fetched again: the last good one serves on");
                    }
                    (false, false) => {
                        tracing::warn!(%source, %error, "a key set could not be fetched: its tokens are answered with 503 until it can");
                    }
                }
            }
        }
        entry.fetches.fetch_add(1, Ordering::Release);
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
                fetcher.fetch_into(&source, &entry, false).await;
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
            let (this, source, fetched) = (self.this.upgrade()?, source.clone(), Arc::clone(&entry));
            // On its own: a caller that leaves must not take the one fetch of 30 s with it.
            let fetch = self.runtime.spawn(async move { this.fetch_into(&source, &fetched, true).await });
            let _ = fetch.await;
            entry.latest.lock().clone()
        })
    }
}

/// What answers 200 need not be a key set: a login or maintenance page must not displace the last good one. A set without
/// keys is one (RFC 7517 section 5): its issuer has withdrawn them all. Answers why none of its keys can be used, where it has
/// some.
fn key_set(bytes: &[u8]) -> Result<Option<String>, String> {
    let (set, skipped) = KeySet::from_jwks(bytes, Symmetric::Refuse).map_err(|problem| {
        format!("the answer is not a key set, a JSON object with a list `keys`: {problem}")
    })?;
    if !set.keys().is_empty() || skipped.is_empty() {
        return Ok(None);
    }
    let reason = |(index, reason): &(usize, Unusable)| format!("key {index}: {}", reason.0);
    Ok(Some(skipped.iter().take(TOLD).map(reason).collect::<Vec<_>>().join(", ")))
}

async fn fetch(source: &DocumentSource) -> Result<Bytes, String> {
    match source {
        DocumentSource::Url(url) => discovery::get(url, MAX_BYTES, Reach::Anywhere).await,
        DocumentSource::Issuer(issuer) => discovery::key_set(issuer, MAX_BYTES).await,
    }
}

#[cfg(test)]
mod tests {
    use super::key_set;

    #[test]
    fn only_key_sets_displace_key_sets() {
        assert_eq!(key_set(b"{\"keys\":[]}"), Ok(None));
        let useless = key_set(b"{\"keys\":[{\"kty\":\"EC\"},7],\"more\":1}");
        let told = "key 0: its curve is not `P-256`, `P-384` or `P-521`, key 1: it is not an object";
        assert_eq!(useless, Ok(Some(told.to_owned())));
        let deep = format!("{{\"keys\":[{}{}]}}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(key_set(deep.as_bytes()).is_err(), "what cannot be read is told, not taken for a set");
        for other in
            ["", "<html>", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x"]
        {
            assert!(key_set(other.as_bytes()).is_err(), "{other}");
        }
    }
}
