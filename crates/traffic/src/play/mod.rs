//! The live player: actors against a server on loopback, with real answers and hard bounds.

mod connection;
mod proxy;
mod tls;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_model::{Clock, Timestamp};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    actor::{Actor, Cue, Step},
    label::Label,
    request::{Answer, Planned},
};

pub use tls::Secure;

/// How actors are played. Every bound is hard: what does not fit is not sent.
#[derive(Clone)]
pub struct Config {
    /// The server; a loopback address.
    pub target: SocketAddr,
    /// The value of `Host`.
    pub host: String,
    /// Whether each connection begins with a PROXY protocol v2 header that tells the actor's address.
    pub proxy_protocol: bool,
    /// TLS, with each device's own versions and cipher suites; without it, plain HTTP/1.1.
    pub secure: Option<Secure>,
    /// Requests at most.
    pub max_requests: u64,
    /// Time at most; more than a year is a year.
    pub max_time: Duration,
    /// Requests under way at most.
    pub max_in_flight: usize,
    /// Waits are divided by this; 1 is real time.
    pub speed: f64,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// Bytes of each answer's body that are kept; the rest is read and dropped.
    pub keep_body: usize,
    /// The time that actors know, for one-time codes and labels: the server's.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// Plain HTTP/1.1 to a server, in real time: 100,000 requests, ten minutes and 256 under way at most.
    #[must_use]
    pub fn new(target: SocketAddr, clock: Arc<dyn Clock>) -> Config {
        Config {
            target,
            host: "bank.example".to_owned(),
            proxy_protocol: false,
            secure: None,
            max_requests: 100_000,
            max_time: Duration::from_secs(600),
            max_in_flight: 256,
            speed: 1.0,
            answer_timeout: Duration::from_secs(10),
            keep_body: 64 * 1024,
            clock,
        }
    }
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its number in this run, from 1.
    pub id: u64,
    /// The truth about it.
    pub label: Label,
    /// Its method.
    pub method: &'static str,
    /// Its target, as it was sent.
    pub target: String,
    /// When it was sent.
    pub at: Timestamp,
    /// From the first byte sent to the last byte received; a new connection counts too.
    pub latency: Duration,
    /// The status that the vulnerable bank alone would give, as the actor foresaw it.
    pub foreseen: u16,
    /// The answer, or why there is none.
    pub result: Result<Answer, Broken>,
}

impl Outcome {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.result.as_ref().ok().map(|answer| answer.status)
    }

    /// The gateway's event, where the answer names one: the field `X-Bartizan-Event`.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.result.as_ref().ok()?.header("x-bartizan-event")
    }

    /// Whether it was answered as its label expects.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.status().is_some_and(|status| self.label.is_met_by(status))
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No connection could be made.
    #[error("no connection could be made")]
    Connect,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Handshake,
    /// The connection was closed or reset before the answer was whole.
    #[error("the connection was closed before the answer was whole")]
    Closed,
    /// The answer took too long.
    #[error("the answer took too long")]
    Timeout,
    /// What came is not HTTP/1.1.
    #[error("what came is not HTTP/1.1")]
    Garbled,
}

/// Why actors are not played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Attacks go to this machine only.
    #[error("traffic is played to loopback only: `{0}` is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A speed that waits cannot be divided by.
    #[error("`speed` is a number from 0.001 to 1000000")]
    Speed,
    /// No device's settings fit what this build speaks.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Requests that were sent.
    pub requests: u64,
    /// Actors that came to their own end.
    pub ended: u64,
}

/// Longer than any run: a moment further on may be none that the clock knows.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What the tasks of a run share.
struct Run {
    config: Config,
    sent: AtomicU64,
    /// Outcomes that were handed on.
    told: AtomicU64,
    /// Told when as many as may be were sent and handed on.
    full: Notify,
    slots: Semaphore,
    deadline: Instant,
    outcomes: mpsc::Sender<Outcome>,
}

/// Plays actors until all have gone, a bound is reached or `stop` ends. Each has one connection at a time, kept alive, and
/// hears its real answers. Outcomes go to `outcomes` (a full channel holds actors back; a closed one ends the run).
/// Dropping the future ends everything at once. What is under way at an end that a bound or `stop` makes has no outcome.
///
/// # Errors
/// The target is not on loopback, or the settings make no sense; nothing was sent then.
pub async fn play(
    config: Config,
    actors: impl IntoIterator<Item = Box<dyn Actor>>,
    outcomes: mpsc::Sender<Outcome>,
    stop: impl Future<Output = ()>,
) -> Result<Played, PlayError> {
    if !config.target.ip().is_loopback() {
        return Err(PlayError::NotLoopback(config.target));
    }
    if !(0.001..=1_000_000.0).contains(&config.speed) {
        return Err(PlayError::Speed);
    }
    let run = Arc::new(Run {
        sent: AtomicU64::new(0),
        told: AtomicU64::new(0),
        full: Notify::new(),
        slots: Semaphore::new(config.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
        deadline: Instant::now() + config.max_time.min(YEAR),
        outcomes,
        config,
    });
    let mut tasks = JoinSet::new();
    for actor in actors {
        tasks.spawn(act(Arc::clone(&run), actor));
    }
    let mut played = Played::default();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = sleep_until(run.deadline) => break,
            () = run.full.notified() => break,
            ended = tasks.join_next() => match ended {
                Some(ended) => played.ended += u64::from(ended.unwrap_or(false)),
                None => break,
            },
        }
    }
    tasks.shutdown().await;
    played.requests = run.sent.load(Ordering::Relaxed).min(run.config.max_requests);
    Ok(played)
}

/// Lets one actor act; true when it came to its own end.
async fn act(run: Arc<Run>, mut actor: Box<dyn Actor>) -> bool {
    let mut line = connection::Line::default();
    let mut outcome: Option<Outcome> = None;
    loop {
        let cue = match outcome.as_ref().map(|outcome| &outcome.result) {
            None => Cue::Time,
            Some(Ok(answer)) => Cue::Answer(answer),
            Some(Err(_)) => Cue::Broken,
        };
        let step = actor.next(run.config.clock.now(), cue);
        if let Some(outcome) = outcome.take() {
            if run.outcomes.send(outcome).await.is_err() {
                return false;
            }
            if run.told.fetch_add(1, Ordering::Relaxed) + 1 == run.config.max_requests {
                run.full.notify_one();
            }
        }
        match step {
            Step::End => return true,
            Step::Wait(time) => sleep(time.div_f64(run.config.speed)).await,
            Step::Send(planned) => match send(&run, &mut line, *planned).await {
                Some(heard) => outcome = Some(heard),
                None => return false,
            },
        }
    }
}

/// Sends one request; `None` where the run has sent as many as it may.
async fn send(run: &Run, line: &mut connection::Line, planned: Planned) -> Option<Outcome> {
    let _slot = run.slots.acquire().await.ok()?;
    let id = run.sent.fetch_add(1, Ordering::Relaxed) + 1;
    if id > run.config.max_requests {
        return None;
    }
    let (at, begun) = (run.config.clock.now(), Instant::now());
    let exchange = line.exchange(&run.config, &planned);
    let result = match timeout(run.config.answer_timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(Broken::Timeout),
    };
    if result.is_err() {
        line.close();
    }
    let Planned { label, method, target, foreseen, .. } = planned;
    Some(Outcome { id, label, method, target, at, latency: begun.elapsed(), foreseen, result })
}
