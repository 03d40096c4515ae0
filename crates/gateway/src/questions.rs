//! Questions to services elsewhere that exchanges wait for: one for all who ask the same, none while a service keeps
//! failing, each bounded in time.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use bartizan_model::{introspection::Unavailable, redacted::shown_url};
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use crate::client::Idle;

/// Questions that run at once, to all services of one kind: each holds a connection.
const MAX_QUESTIONS: usize = 512;

/// Failures in a row after which a service is left alone.
const FAILURES: u32 = 5;

/// For how long, at first; each further failure doubles it.
const REST: Duration = Duration::from_secs(1);

/// For how long at most.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Services that are remembered; a policy names a few, and reloads may name others.
const MAX_SERVICES: usize = 256;

type Answered<T> = Option<Result<T, Unavailable>>;

/// Which service is asked, by what its settings come to.
pub(crate) struct Service<'a> {
    pub url: &'a Arc<str>,
    pub digest: [u8; 32],
    pub timeout: Duration,
}

/// The questions that run, and which services fail. Answers are remembered by whoever asks.
pub(crate) struct Questions<T> {
    /// What the service is called in the log.
    kind: &'static str,
    running: Mutex<HashMap<[u8; 32], watch::Receiver<Answered<T>>>>,
    services: Mutex<HashMap<[u8; 32], Arc<Health>>>,
    runtime: tokio::runtime::Handle,
    this: Weak<Questions<T>>,
}

/// How a service does.
pub(crate) struct Health {
    url: Arc<str>,
    kind: &'static str,
    idle: Idle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    rests_until: Option<Instant>,
    error: Option<String>,
}

impl<T: Clone + Send + Sync + 'static> Questions<T> {
    /// Asks on `runtime`.
    pub(crate) fn new(kind: &'static str, runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new_cyclic(|this| Questions {
            kind,
            running: Mutex::default(),
            services: Mutex::default(),
            runtime,
            this: this.clone(),
        })
    }

    /// Services that failed when last asked, with the reason: a stated degraded mode.
    pub(crate) fn failing(&self) -> Vec<(String, String)> {
        let services = self.services.lock();
        services.values().filter_map(|h| Some((shown_url(&h.url), h.state.lock().error.clone()?))).collect()
    }

    /// The answer to the question with this `key`, which `ask` puts unless somebody else is asking it.
    pub(crate) async fn answer<F>(
        &self,
        service: Service<'_>,
        key: [u8; 32],
        ask: impl FnOnce(Arc<Health>) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let mut answer = self.question(service, key, ask)?;
        let answered = answer.wait_for(Option::is_some).await;
        let answered = answered.map_err(|_| Unavailable("the question was given up".to_owned()))?;
        answered.clone().unwrap_or_else(|| Err(Unavailable("no answer".to_owned())))
    }

    fn question<F>(
        &self,
        service: Service<'_>,
        key: [u8; 32],
        ask: impl FnOnce(Arc<Health>) -> F,
    ) -> Result<watch::Receiver<Answered<T>>, Unavailable>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(question) = running.get(&key) {
            return Ok(question.clone());
        }
        if running.len() >= MAX_QUESTIONS {
            return Err(Unavailable("too many questions at once".to_owned()));
        }
        let health = self.health(&service);
        if !health.may_be_asked() {
            return Err(Unavailable("the endpoint keeps failing and is left alone for a while".to_owned()));
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(key, receiver.clone());
        drop(running);
        let (this, timeout) = (self.this.clone(), service.timeout);
        let asking = ask(Arc::clone(&health));
        // On its own: whoever asked first may leave, and others wait for the same.
        self.runtime.spawn(async move {
            let asked = tokio::time::timeout(timeout, asking).await;
            let answer =
                asked.unwrap_or_else(|_| Err(format!("no answer within {} ms", timeout.as_millis())));
            health.note(answer.as_ref().err());
            if let Some(this) = this.upgrade() {
                this.running.lock().remove(&key);
            }
            sender.send_replace(Some(answer.map_err(Unavailable)));
        });
        Ok(receiver)
    }

    fn health(&self, service: &Service<'_>) -> Arc<Health> {
        let mut services = self.services.lock();
        if services.len() >= MAX_SERVICES && !services.contains_key(&service.digest) {
            services.clear();
        }
        let new = || {
            Arc::new(Health {
                url: Arc::clone(service.url),
                kind: self.kind,
                idle: Idle::default(),
                state: Mutex::default(),
            })
        };
        Arc::clone(services.entry(service.digest).or_insert_with(new))
    }
}

impl Health {
    /// Open connections to it.
    pub(crate) fn idle(&self) -> &Idle {
        &self.idle
    }

    /// Whether it works, or its rest is over: then one question finds out.
    fn may_be_asked(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.rests_until = Some(now + rest(state.failures));
                true
            }
            None => true,
        }
    }

    fn note(&self, error: Option<&String>) {
        let mut state = self.state.lock();
        let Some(error) = error else {
            *state = State::default();
            return;
        };
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.rests_until = Some(Instant::now() + rest(state.failures));
        }
        if state.error.as_ref() != Some(error) {
            let (kind, endpoint) = (self.kind, shown_url(&self.url));
            tracing::warn!(%endpoint, %error, "{kind} gave no answer that can be used");
        }
        state.error = Some(error.clone());
    }
}

fn rest(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES).min(10);
    REST.saturating_mul(1 << doublings).min(LONGEST_REST)
}

/// A field's value that no log shows.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the gateway's own credentials cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn equal_questions_are_asked_once_in_their_time_and_failing_services_rest() {
        let questions: Arc<Questions<u8>> = Questions::new("a service", tokio::runtime::Handle::current());
        let url: Arc<str> = "http://127.0.0.1:1/".into();
        let asked = AtomicU32::new(0);
        let counted = &asked;
        let question = |number: u8, answer: Result<u8, &'static str>| {
            let service = Service { url: &url, digest: [1; 32], timeout: Duration::from_millis(200) };
            let answer = answer.map_err(str::to_owned);
            questions.answer(service, [number; 32], move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    answer
                }
            })
        };
        let (first, same, other) = tokio::join!(question(1, Ok(7)), question(1, Ok(7)), question(2, Ok(8)));
        assert_eq!((first, same, other), (Ok(7), Ok(7), Ok(8)));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "the same question is asked once");
        let service = Service { url: &url, digest: [1; 32], timeout: Duration::from_millis(20) };
        let late = questions.answer(service, [3; 32], |_| std::future::pending()).await;
        assert_eq!(late.unwrap_err().0, "no answer within 20 ms");
        for number in 10..10 + u8::try_from(FAILURES).unwrap() {
            assert!(question(number, Err("broken")).await.is_err());
        }
        let before = asked.load(Ordering::Relaxed);
        let rested = question(9, Ok(1)).await;
        assert!(rested.unwrap_err().0.contains("left alone"));
        assert_eq!(asked.load(Ordering::Relaxed), before, "a service that keeps failing is not asked");
        assert_eq!(questions.failing(), [("http://127.0.0.1:1/".to_owned(), "broken".to_owned())]);
        tokio::time::sleep(REST + Duration::from_millis(50)).await;
        assert_eq!(question(9, Ok(1)).await, Ok(1), "one question finds out whether it works again");
        assert!(questions.failing().is_empty());
    }

    #[test]
    fn rests_grow_to_a_bound() {
        assert_eq!(rest(FAILURES), REST);
        assert_eq!(rest(FAILURES + 2), REST * 4);
        assert_eq!(rest(u32::MAX), LONGEST_REST);
    }
}
