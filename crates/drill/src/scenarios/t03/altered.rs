//! Streams that a man in the middle alters, before the gateway and behind it: they end, and nothing altered is accepted.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bartizan_testkit::Reply;
use rustls::{
    ClientConfig,
    version::{TLS12, TLS13},
};

use super::site::{ALTERED, HOST, Site};
use crate::{
    Figures, Stage,
    bank::Customer,
    client::{answer, ask, request},
    relay::{Plan, Relay, Tamper, Way},
    tls::{self, TlsStream, Trust},
};

const FLIPS: [Tamper; 4] = [Tamper::FlipFirst, Tamper::FlipMiddle, Tamper::FlipLast, Tamper::Shorten];

/// A page of about 60 kB: several records.
const LONG: &str = "statements/2026-01";

/// The attack: both sides of the gateway, requests and answers, TLS 1.2 and 1.3.
pub fn attack(stage: &Stage, site: &Site, begun: Instant, figures: &mut Figures) -> Result<()> {
    let victim = site.bank.sign_in(stage, 1)?;
    let thief = site.bank.sign_in(stage, 2)?;
    let mut cases = Cases { stage, site, victim, payee: thief.iban, number: 0, passed: (0, 0) };
    let versions = [&TLS13, &TLS12];
    for (at, version) in versions.into_iter().enumerate() {
        let config = tls::client(Trust::Authority(site.authority()), &[version])?;
        // The short form alters TLS 1.2 in one way instead of all.
        let flips = if stage.options.short && at > 0 { FLIPS.get(1..2).unwrap_or_default() } else { &FLIPS };
        for &tamper in flips {
            for skip in [0, 1] {
                cases.request_before(&config, Plan { way: Way::Up, skip, tamper }, figures)?;
            }
            cases.answer_before(&config, Plan { way: Way::Down, skip: 0, tamper }, figures)?;
            cases.answer_before(&config, Plan { way: Way::Down, skip: 1, tamper }, figures)?;
            cases.request_behind(&config, Plan { way: Way::Up, skip: 0, tamper }, figures)?;
            cases.answer_behind(&config, Plan { way: Way::Down, skip: 0, tamper }, figures)?;
            cases.answer_behind(&config, Plan { way: Way::Down, skip: 1, tamper }, figures)?;
        }
        for tamper in [Tamper::Cut, Tamper::Swap] {
            cases.request_before(&config, Plan { way: Way::Up, skip: 0, tamper }, figures)?;
        }
        cases.answer_behind(&config, Plan { way: Way::Down, skip: 1, tamper: Tamper::Cut }, figures)?;
        cases.repeat(&config, figures)?;
    }
    figures.first_finding.get_or_insert_with(|| begun.elapsed());
    cases.downgrade(figures)?;
    let records = site.before.altered() + site.behind.altered();
    figures.count("altered_records", records);
    let (asked, answered) = cases.passed;
    ensure!(asked > 0, "nothing passed the man in the middle");
    figures.count("unaltered_percent", answered * 100 / asked);
    Ok(())
}

struct Cases<'a> {
    stage: &'a Stage,
    site: &'a Site,
    victim: Customer,
    payee: String,
    number: u32,
    /// Requests that the man in the middle let pass, and how many of these were answered.
    passed: (u64, u64),
}

impl Cases<'_> {
    /// A transfer whose record is altered between client and gateway. Head and body are records of their own.
    fn request_before(
        &mut self,
        config: &Arc<ClientConfig>,
        plan: Plan,
        figures: &mut Figures,
    ) -> Result<()> {
        let mut stream = self.warm(&self.site.before, HOST, config)?;
        let (text, bytes) = self.transfer(HOST);
        let reply = planned(&self.site.before, plan, || halves(&mut stream, &bytes));
        self.judge_request(&text, &reply, figures)
    }

    /// The same between gateway and upstream.
    fn request_behind(
        &mut self,
        config: &Arc<ClientConfig>,
        plan: Plan,
        figures: &mut Figures,
    ) -> Result<()> {
        let mut stream = self.direct(ALTERED, config)?;
        let (text, bytes) = self.transfer(ALTERED);
        let reply = planned(&self.site.behind, plan, || ask(&mut stream, &bytes));
        self.judge_request(&text, &reply, figures)
    }

    /// A page whose record is altered between gateway and client.
    fn answer_before(&mut self, config: &Arc<ClientConfig>, plan: Plan, figures: &mut Figures) -> Result<()> {
        let mut stream = self.warm(&self.site.before, HOST, config)?;
        let bytes = self.page(HOST);
        let reply = planned(&self.site.before, plan, || ask(&mut stream, &bytes));
        judge_answer(&reply, figures);
        Ok(())
    }

    /// A page whose record is altered between upstream and gateway.
    fn answer_behind(&mut self, config: &Arc<ClientConfig>, plan: Plan, figures: &mut Figures) -> Result<()> {
        let mut stream = self.direct(ALTERED, config)?;
        let bytes = self.page(ALTERED);
        let reply = planned(&self.site.behind, plan, || ask(&mut stream, &bytes));
        judge_answer(&reply, figures);
        Ok(())
    }

    /// A transfer whose record is sent twice: it is booked once.
    fn repeat(&mut self, config: &Arc<ClientConfig>, figures: &mut Figures) -> Result<()> {
        let mut stream = self.warm(&self.site.before, HOST, config)?;
        let (text, bytes) = self.transfer(HOST);
        let plan = Plan { way: Way::Up, skip: 0, tamper: Tamper::Repeat };
        let _ = planned(&self.site.before, plan, || ask(&mut stream, &bytes));
        let twice = self.booked(&text)?.saturating_sub(1);
        figures.attack(twice == 0);
        figures.add("replayed_twice", twice);
        figures.taken += twice;
        Ok(())
    }

    /// Handshakes out of which TLS 1.3 is taken.
    fn downgrade(&mut self, figures: &mut Figures) -> Result<()> {
        let config = tls::client(Trust::Authority(self.site.authority()), &[&TLS13, &TLS12])?;
        let rounds = if self.stage.options.short { 2 } else { 6 };
        for _ in 0..rounds {
            self.stage.spend()?;
            let agreed = tls::connect(self.site.downgrading.address(), HOST, &config).is_ok();
            figures.attack(!agreed);
            figures.add("downgraded_handshakes", u64::from(agreed));
        }
        ensure!(self.site.downgrading.altered() >= rounds, "no ClientHello was altered");
        Ok(())
    }

    /// A connection through the man in the middle, over which one request has passed unaltered.
    fn warm(&mut self, middle: &Relay, host: &str, config: &Arc<ClientConfig>) -> Result<TlsStream> {
        middle.plan(None);
        self.stage.spend()?;
        let mut stream = tls::connect(middle.address(), host, config)?;
        self.passes(&mut stream, host)?;
        Ok(stream)
    }

    /// A connection to the gateway, whose upstream has answered one request through the man in the middle.
    fn direct(&mut self, host: &str, config: &Arc<ClientConfig>) -> Result<TlsStream> {
        self.site.behind.plan(None);
        self.stage.spend()?;
        let mut stream = tls::connect(self.site.secure(), host, config)?;
        self.passes(&mut stream, host)?;
        Ok(stream)
    }

    fn passes(&mut self, stream: &mut TlsStream, host: &str) -> Result<()> {
        self.stage.spend()?;
        let reply = ask(stream, &request("GET", "/v1/accounts", host, Some(&self.victim.token), None));
        self.passed.0 += 1;
        self.passed.1 += u64::from(reply.status == 200 && reply.whole);
        Ok(())
    }

    /// A transfer with a text of its own.
    fn transfer(&mut self, host: &str) -> (String, Vec<u8>) {
        self.number += 1;
        let text = format!("altered {}", self.number);
        let body = self.victim.transfer(&self.payee, 100, &text);
        (text, request("POST", "/v1/transfers", host, Some(&self.victim.token), Some(&body)))
    }

    fn page(&self, host: &str) -> Vec<u8> {
        let target = format!("/v1/accounts/{}/{LONG}", self.victim.account);
        request("GET", &target, host, Some(&self.victim.token), None)
    }

    fn judge_request(&self, text: &str, reply: &Reply, figures: &mut Figures) -> Result<()> {
        self.stage.spend()?;
        // What was cut off may arrive late; what the bank books, it books at once.
        self.stage.wait_until(Duration::from_millis(20), || false)?;
        let effect = self.booked(text)? > 0 || (200..300).contains(&reply.status);
        figures.attack(!effect);
        figures.add("altered_accepted", u64::from(effect));
        figures.taken += u64::from(effect);
        Ok(())
    }

    fn booked(&self, text: &str) -> Result<u64> {
        let list = self.site.bank.booked(self.stage, &self.victim)?;
        Ok(list.iter().filter(|booked| booked.text == text).count() as u64)
    }
}

fn judge_answer(reply: &Reply, figures: &mut Figures) {
    let accepted = reply.whole && (200..300).contains(&reply.status);
    figures.attack(!accepted);
    figures.add("answers_accepted", u64::from(accepted));
}

/// Runs one exchange under a plan.
fn planned(middle: &Relay, plan: Plan, exchange: impl FnOnce() -> Reply) -> Reply {
    middle.plan(Some(plan));
    let reply = exchange();
    middle.plan(None);
    reply
}

/// Sends head and body in records of their own.
fn halves(stream: &mut TlsStream, bytes: &[u8]) -> Reply {
    let head = bartizan_testkit::raw::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let (head, body) = bytes.split_at_checked(head).unwrap_or((bytes, &[]));
    for part in [head, body] {
        // The connection may end before the second: then there is no answer.
        let _ = stream.write_all(part).and_then(|()| stream.flush());
    }
    answer(stream)
}
