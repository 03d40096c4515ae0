//! People who attack nothing: a crowd with devices of its own, and four who hold on to one version of TLS, while the
//! attack goes on.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bartizan_traffic::{
    Outcome, Rhythm, Settings, World,
    play::{Config, Secure, play},
};
use rustls::{
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    Legitimate, Stage,
    bank::Bank,
    client::{ask, request},
    tls::{self, TlsStream, Trust},
};

/// How long somebody of the four reads before asking again, as meant.
const READS: Duration = Duration::from_secs(8);

/// How long somebody of the crowd stays away between two visits, as meant.
const AWAY: Duration = Duration::from_secs(60);

/// The crowd.
const CROWD: u32 = 24;

/// What the four look at.
const PAGES: [&str; 5] =
    ["/v1/accounts", "/v1/transfers?limit=5", "/v1/customers/me", "/v1/payees", "/v1/cards"];

/// Where people go.
pub struct Way<'a> {
    /// The gateway.
    pub address: SocketAddr,
    /// The name that they ask for.
    pub host: &'a str,
    /// The authority that they believe.
    pub authority: &'a Path,
}

/// Runs `attack` while people go about their business, each of the four and the crowd together with at least `least`
/// requests; what it measured, and what became of them.
///
/// # Errors
/// The attack's own, or a person could not be begun.
pub fn around<T>(
    stage: &Stage,
    bank: &Bank,
    way: &Way<'_>,
    least: usize,
    attack: impl FnOnce() -> Result<T>,
) -> Result<(T, Legitimate)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let crowd = scope.spawn(move || crowd(stage, way, least, over));
        // Customers whom the crowd does not have.
        let four: Vec<_> = [(5, &TLS12), (6, &TLS13), (7, &TLS12), (9, &TLS13)]
            .into_iter()
            .map(|(id, version)| {
                scope.spawn(move || {
                    let config = tls::client(Trust::Authority(way.authority), &[version])?;
                    let person =
                        Person { stage, way, config, token: String::new(), did: Legitimate::default() };
                    person.live(&bank.password(id + i64::from(CROWD) * 4), least, over)
                })
            })
            .collect();
        let attacked = {
            let _over = Over(over);
            attack()
        };
        let mut all = crowd.join().ok().context("the crowd's thread ended")??;
        for person in four {
            all.merge(person.join().ok().context("a person's thread ended")??);
        }
        Ok((attacked?, all))
    })
}

/// Tells people that the attack is over, also where it ended by a fault.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Seeded people with devices, mistakes and habits of their own, over the TLS that their device speaks.
fn crowd(stage: &Stage, way: &Way<'_>, least: usize, over: &AtomicBool) -> Result<Legitimate> {
    let settings = Settings {
        seed: stage.options.seed,
        people: CROWD,
        host: way.host.to_owned(),
        rhythm: Rhythm::Steady { pause: AWAY },
        ..Settings::default()
    };
    let name = ServerName::try_from(way.host.to_owned()).context("no name of a server")?;
    let config = Config {
        host: way.host.to_owned(),
        secure: Some(Secure { roots: Arc::new(tls::roots(way.authority)?), name }),
        max_requests: stage.left(),
        max_in_flight: 16,
        speed: stage.options.scale,
        ..Config::new(way.address, Arc::clone(&stage.options.clock))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (tell, mut told) = mpsc::channel::<Outcome>(64);
        let mut did = Legitimate::default();
        let stop = async {
            while !over.load(Ordering::SeqCst) && stage.goes_on().is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // The channel is closed once enough was heard after the end of the attack, which ends the run.
        let hear = async {
            while let Some(outcome) = told.recv().await {
                stage.spend()?;
                did.requests += 1;
                if outcome.is_as_expected() {
                    did.succeeded += 1;
                    did.micros.push(u64::try_from(outcome.latency.as_micros()).unwrap_or(u64::MAX));
                } else {
                    did.miss(missed(outcome.method, &outcome.target, outcome.status()));
                }
                if did.requests >= least as u64 && over.load(Ordering::SeqCst) {
                    break;
                }
            }
            anyhow::Ok(())
        };
        let played = play(config, World::new(settings).people(), tell, async {
            stop.await;
            // A short attack: people come all the same, for as long as a person waits at most.
            tokio::time::sleep(LINGER).await;
        });
        tokio::select! {
            heard = hear => heard?,
            played = played => drop(played?),
        }
        Ok(did)
    })
}

/// How long the crowd has for its least requests after a short attack.
const LINGER: Duration = Duration::from_secs(10);

struct Person<'a> {
    stage: &'a Stage,
    way: &'a Way<'a>,
    config: Arc<rustls::ClientConfig>,
    token: String,
    did: Legitimate,
}

impl Person<'_> {
    fn live(mut self, password: &str, least: usize, over: &AtomicBool) -> Result<Legitimate> {
        let mut stream = None;
        for at in 0_usize.. {
            if at > least && over.load(Ordering::SeqCst) {
                break;
            }
            self.stage.spend()?;
            let page = PAGES.get(at % PAGES.len()).copied().unwrap_or("/v1/accounts");
            let bytes = if self.token.is_empty() {
                request("POST", "/v1/login", self.way.host, None, Some(password))
            } else {
                request("GET", page, self.way.host, Some(&self.token), None)
            };
            self.ask(&mut stream, &bytes);
            self.stage.pause(READS)?;
        }
        Ok(self.did)
    }

    /// One request; a new connection, where there is none, is part of it.
    fn ask(&mut self, stream: &mut Option<TlsStream>, bytes: &[u8]) {
        let begun = Instant::now();
        self.did.requests += 1;
        if stream.is_none() {
            *stream = tls::connect(self.way.address, self.way.host, &self.config).ok();
        }
        let Some(open) = stream else {
            self.did.miss(missed("a connection of the four", "", None));
            return;
        };
        let reply = ask(open, bytes);
        if reply.status != 200 || !reply.whole {
            self.did.miss(missed("one of the four", "", Some(reply.status)));
            *stream = None;
            return;
        }
        if self.token.is_empty() {
            let told = reply.json();
            self.token = told.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        self.did.succeeded += 1;
        self.did.micros.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// A person's request that did not succeed, without its query.
fn missed(method: &str, target: &str, status: Option<u16>) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let came = status.map_or_else(|| "not at all".to_owned(), |status| format!("with {status}"));
    format!("a person's request, {}, was answered {came}", format!("{method} {path}").trim_end())
}
