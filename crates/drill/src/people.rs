//! People who attack nothing: they sign in and look at their accounts, over TLS 1.2 or 1.3, while the attack goes on.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use crate::{
    Legitimate, Stage,
    bank::Bank,
    client::{ask, request},
    tls::{self, TlsStream, Trust},
};

/// How long somebody reads before asking again, as meant.
const READS: Duration = Duration::from_millis(400);

/// What people look at.
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

/// Runs `attack` while two people with TLS 1.2 and two with TLS 1.3 go about their business, each with at least `least`
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
        let people: Vec<_> = [(5, &TLS12), (6, &TLS13), (7, &TLS12), (9, &TLS13)]
            .into_iter()
            .map(|(id, version)| {
                let over = &over;
                scope.spawn(move || {
                    let config = tls::client(Trust::Authority(way.authority), &[version])?;
                    let person =
                        Person { stage, way, config, token: String::new(), did: Legitimate::default() };
                    person.live(&bank.password(id), least, over)
                })
            })
            .collect();
        let attacked = {
            let _over = Over(&over);
            attack()
        };
        let mut all = Legitimate::default();
        for person in people {
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

struct Person<'a> {
    stage: &'a Stage,
    way: &'a Way<'a>,
    config: std::sync::Arc<rustls::ClientConfig>,
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
        let Some(open) = stream else { return };
        let reply = ask(open, bytes);
        if reply.status != 200 || !reply.whole {
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
