//! Upstreams that are not who they should be: another authority, an expired or self-signed certificate, a name that leads
//! to somebody else, no TLS at all. None may read a byte of a request.

use std::time::Instant;

use anyhow::{Result, ensure};
use bartizan_testkit::raw::find;
use rustls::version::{TLS12, TLS13};

use super::site::{DOWNGRADED, IMPOSTORS, STUBBORN, Site};
use crate::{
    Figures, Stage,
    client::{ask, request},
    terminator::{Stubborn, Terminator},
    tls::{self, Trust},
};

/// Stands for a token.
const MARK: &str = "drill-upstream-mark";

/// Requests with a token to each.
pub fn attack(stage: &Stage, site: &Site, begun: Instant, figures: &mut Figures) -> Result<()> {
    let mut served = 0;
    let rounds = if stage.options.short { 1 } else { 4 };
    let body = format!("{{\"text\":\"{MARK}\"}}");
    let config = tls::client(Trust::Authority(site.authority()), &[&TLS13, &TLS12])?;
    for host in (0..rounds).flat_map(|_| IMPOSTORS.into_iter().chain(STUBBORN)) {
        let get = request("GET", "/v1/accounts", host, Some(MARK), None);
        let post = request("POST", "/v1/transfers", host, Some(MARK), Some(&body));
        for bytes in [get, post] {
            stage.spend()?;
            let reply = ask(&mut tls::connect(site.secure(), host, &config)?, &bytes);
            // The gateway says itself that there is no answer; what is passed on has no event.
            let refused = reply.status >= 500 && reply.header("x-bartizan-event").is_some();
            figures.attack(refused);
            served += u64::from(!refused);
            figures.first_finding.get_or_insert_with(|| begun.elapsed());
        }
    }
    let clear: Vec<Vec<u8>> = site.stubborn.iter().map(Stubborn::heard).collect();
    let marked = clear.iter().filter(|heard| find(heard, MARK.as_bytes()).is_some());
    let inside: u64 = site.impostors.iter().map(Terminator::bytes).sum();
    let bytes = inside + marked.map(|heard| heard.len() as u64).sum::<u64>();
    figures.count("impostor_bytes", bytes);
    figures.count("impostors_served", served);
    figures.leaked += if bytes > 0 { served.max(1) } else { 0 };
    let reached = site.impostors.iter().filter(|impostor| impostor.connections() > 0).count();
    let reached = reached + clear.iter().filter(|heard| !heard.is_empty()).count();
    figures.count("impostors_reached", reached as u64);
    downgraded(stage, site, figures)
}

/// The right upstream behind somebody who takes TLS 1.3 out of what the gateway offers: no handshake is agreed to.
fn downgraded(stage: &Stage, site: &Site, figures: &mut Figures) -> Result<()> {
    let config = tls::client(Trust::Authority(site.authority()), &[&TLS13, &TLS12])?;
    let bytes = request("GET", "/v1/accounts", DOWNGRADED, Some(MARK), None);
    stage.spend()?;
    let reply = ask(&mut tls::connect(site.secure(), DOWNGRADED, &config)?, &bytes);
    let agreed = reply.status < 500 || site.honest.heard(MARK);
    figures.attack(!agreed);
    figures.add("downgraded_handshakes", u64::from(agreed));
    ensure!(site.downgrading_behind.altered() > 0, "no ClientHello of the gateway was altered");
    Ok(())
}
