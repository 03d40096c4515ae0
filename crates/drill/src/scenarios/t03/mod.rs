//! T-03: plain HTTP, a man in the middle, downgraded TLS, and upstreams that are not who they should be.

mod altered;
mod naive;
mod plain;
mod site;
mod upstreams;

use std::time::Instant;

use anyhow::Result;

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage,
    hello::{self, Said},
    people,
};
use site::Site;

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "customers of the bank over TLS 1.2 and 1.3; a victim that speaks plain HTTP; a man in the middle before the \
             gateway and behind it; six impostors of the upstream",
    traffic: "requests over plain HTTP in every form; ClientHellos of SSL 2.0 to TLS 1.2 with what is broken; transfers, \
              answers and handshakes altered record by record; requests whose upstream proves to be somebody else",
    truth: "every upstream is the drill's own and counts what reaches it; the bank's own list of transfers says what took \
            effect; nobody has a key that the attacker could use",
    bounds: Bounds { requests: 4_000, seconds: 240 },
    proofs: &[
        Criterion { key: "tokens_read", text: "tokens read on the way", rule: Rule::AtLeast(1.0) },
        Criterion { key: "tokens_used", text: "stolen tokens used at the bank", rule: Rule::AtLeast(1.0) },
        Criterion {
            key: "transfers_changed",
            text: "transfers whose amount and payee were changed on the way, and booked",
            rule: Rule::AtLeast(1.0),
        },
        Criterion {
            key: "wrong_servers",
            text: "impostors that a client which trusts anybody gave its token to",
            rule: Rule::AtLeast(5.0),
        },
    ],
    criteria: &[
        Criterion {
            key: "plain_bytes",
            text: "bytes of plain requests that reached an upstream",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "plain_open",
            text: "plain requests that were neither sent to https nor refused",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "old_accepted",
            text: "ClientHellos of TLS 1.1 and older, or with broken suites, that were agreed to",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "old_without_alert",
            text: "of those, refused without an alert",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "downgraded_handshakes",
            text: "handshakes agreed to though TLS 1.3 was taken out of the offer",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "altered_accepted",
            text: "altered requests that took effect",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "replayed_twice",
            text: "transfers booked twice by a repeated record",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "answers_accepted",
            text: "altered answers that a client took for whole",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "altered_records",
            text: "records that were altered before and behind the gateway",
            rule: Rule::AtLeast(20.0),
        },
        Criterion {
            key: "unaltered_percent",
            text: "requests that passed the man in the middle unaltered and were answered, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "impostors_reached",
            text: "impostors of the upstream that the gateway was led to",
            rule: Rule::Exactly(6.0),
        },
        Criterion {
            key: "impostor_bytes",
            text: "bytes of requests that an impostor read",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "impostors_served",
            text: "answers of an impostor that were passed on",
            rule: Rule::Exactly(0.0),
        },
        Criterion { key: "blocked_percent", text: "attacks blocked, in percent", rule: Rule::Exactly(100.0) },
        Criterion { key: "leaked", text: "attacks that read something", rule: Rule::Exactly(0.0) },
        Criterion { key: "taken", text: "attacks that gained something", rule: Rule::Exactly(0.0) },
        Criterion {
            key: "legitimate_requests",
            text: "requests of people over TLS 1.2 and 1.3 meanwhile",
            rule: Rule::AtLeast(40.0),
        },
        Criterion {
            key: "legitimate_percent",
            text: "of those, answered as they should be, in percent",
            rule: Rule::Exactly(100.0),
        },
    ],
    without: naive::attack,
    with,
};

/// The attack where the gateway stands before the bank.
fn with(stage: &Stage) -> Result<Figures> {
    let site = Site::start(stage)?;
    let mut figures = Figures::default();
    let begun = Instant::now();
    // Alone first: any byte that an upstream sees now came over plain HTTP.
    plain::attack(stage, &site, begun, &mut figures)?;
    let least = if stage.options.short { 12 } else { 50 };
    let attack = || {
        downgrades(stage, &site, begun, &mut figures)?;
        altered::attack(stage, &site, begun, &mut figures)?;
        upstreams::attack(stage, &site, begun, &mut figures)
    };
    let ((), legitimate) = people::around(stage, &site.bank, &site.way(), least, attack)?;
    figures.legitimate = legitimate;
    stage.keep_gateway("with", &site.gateway)?;
    stage.keep_log("bank", site.bank.process())?;
    Ok(figures)
}

/// ClientHellos of the past.
fn downgrades(stage: &Stage, site: &Site, begun: Instant, figures: &mut Figures) -> Result<()> {
    let rounds = if stage.options.short { 1 } else { 3 };
    for hello in (0..rounds).flat_map(|_| hello::downgraded(site::HOST)) {
        stage.spend()?;
        let said = hello::say(site.secure(), &hello.bytes);
        figures.attack(said != Said::Spoke);
        figures.add("old_accepted", u64::from(said == Said::Spoke));
        figures.add("old_without_alert", u64::from(said == Said::Nothing));
        if said == Said::Spoke {
            figures.notes.push(format!("a server agreed to {}", hello.name));
        }
        figures.first_finding.get_or_insert_with(|| begun.elapsed());
    }
    Ok(())
}
