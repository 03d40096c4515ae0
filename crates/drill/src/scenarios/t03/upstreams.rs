//! Upstreams that are not who they should be: another authority, an expired or self-signed certificate, a name that leads
//! to somebody else, no TLS at all. None may read a byte of a request.

use std::time::Instant;

use anyhow::Result;
use bartizan_testkit::raw::find;
use rustls::version::{TLS12, TLS13};

use super::site::{IMPOSTORS, STRIPPED, Site};
use crate::{
    Figures, Stage,
    client::{ask, request},
    terminator::Terminator,
    tls::{self, Trust},
};

/// Stands for a token.
const MARK: &str = "drill-upstream-mark";

/// Requests with a token to each.
pub fn attack(stage: &Stage, site: &Site, begun: Instant, figures: &mut Figures) -> Result<()> {
    let rounds = if stage.options.short { 1 } else { 4 };
    let body = format!("{{\"text\":\"{MARK}\"}}");
    let config = tls::client(Trust::Authority(site.authority()), &[&TLS13, &TLS12])?;
    for host in (0..rounds).flat_map(|_| IMPOSTORS.into_iter().chain([STRIPPED])) {
        let get = request("GET", "/v1/accounts", host, Some(MARK), None);
        let post = request("POST", "/v1/transfers", host, Some(MARK), Some(&body));
        for bytes in [get, post] {
            stage.spend()?;
            let reply = ask(&mut tls::connect(site.secure(), host, &config)?, &bytes);
            // The gateway says itself that there is no answer; what is passed on has no event.
            let refused = reply.status >= 500 && reply.header("x-bartizan-event").is_some();
            figures.attack(refused);
            figures.add("impostors_served", u64::from(!refused));
            figures.first_finding.get_or_insert_with(|| begun.elapsed());
        }
    }
    let stripped = site.stripped.heard();
    let heard_in_clear = find(&stripped, MARK.as_bytes()).map_or(0, |_| stripped.len() as u64);
    let inside: u64 = site.impostors.iter().map(Terminator::bytes).sum();
    figures.count("impostor_bytes", inside + heard_in_clear);
    figures.leaked += u64::from(inside + heard_in_clear > 0);
    let reached = site.impostors.iter().filter(|impostor| impostor.connections() > 0).count() as u64;
    figures.count("impostors_reached", reached + u64::from(!stripped.is_empty()));
    Ok(())
}
