//! Against a server on this machine: real answers, counted by kind.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bartizan_store::system::SystemClock;
use bartizan_traffic::{
    Actor, Answer, Kind, Outcome, Part, Plan, Rhythm, Score,
    play::{self, play},
};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use tokio::{signal, sync::mpsc};

use super::{Args, Failure, Progress, attacks, world};
use crate::{
    admin_client::{Output, say},
    commands::minutes::Minutes,
};

/// How long a run takes where `--minutes` is not given.
const TIME: Duration = Duration::from_secs(60);

/// Outcomes that wait to be counted.
const WAITING: usize = 1_024;

/// The address of a URL of this machine.
fn loopback(target: &str) -> anyhow::Result<SocketAddr> {
    let authority = target
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .with_context(|| format!("`--target` is a URL such as `http://127.0.0.1:8080`, not `{target}`"))?;
    let authority = authority.replace("localhost", "127.0.0.1");
    let address: SocketAddr = authority
        .parse()
        .or_else(|_| format!("{authority}:80").parse())
        .with_context(|| format!("`--target` names an address and a port of this machine, not `{target}`"))?;
    ensure!(
        address.ip().is_loopback(),
        "traffic is played to loopback only: `{target}` is not on this machine"
    );
    Ok(address)
}

/// What became of the requests of one kind, live.
#[derive(Default)]
struct Met {
    requests: u64,
    succeeded: u64,
    by_gateway: u64,
    broken: u64,
}

/// Plays what was asked for; 1 where a person was not answered as the bank alone answers.
pub fn run(args: &Args, target: &str) -> Result<ExitCode, Failure> {
    let address = loopback(target).map_err(Failure::Usage)?;
    let attacks = attacks(&args.attacks).map_err(Failure::Usage)?;
    let world = world(args, Rhythm::Steady { pause: Duration::from_secs(30) });
    let config = play::Config {
        host: args.host.clone(),
        proxy_protocol: args.proxy_protocol,
        max_requests: args.requests.unwrap_or(u64::MAX),
        max_time: args.minutes.map_or(TIME, |Minutes(time)| time),
        speed: args.speed,
        ..play::Config::new(address, Arc::new(SystemClock::default()))
    };
    let attackers = attacks.iter().map(|kind| world.attacker(Plan::new(*kind, 1)));
    let actors: Vec<Box<dyn Actor>> = world.people().chain(attackers).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let interrupted = async {
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let (played, (score, kinds, missed)) = runtime.block_on(async {
        let counted = tokio::spawn(count(receiver));
        let played = play(config, actors, sender, interrupted).await;
        (played, counted.await.unwrap_or_default())
    });
    played.map_err(|error| Failure::Usage(error.into()))?;
    let people = score.false_positives().map(|stopped| (1.0 - stopped) * 100.0);
    let passed = people.is_none_or(|percent| percent >= 100.0);
    match args.output {
        Output::Json => {
            let kinds: serde_json::Map<String, Value> =
                kinds.iter().map(|(kind, met)| (kind.name().to_owned(), told(met))).collect();
            say(&json!({
                "people_percent": people,
                "detection": score.detection(None),
                "kinds": kinds,
                "missed": missed,
            })
            .to_string());
        }
        Output::Text => {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            table.set_header(["kind", "requests", "succeeded", "refused by the gateway", "without answer"]);
            for (kind, met) in &kinds {
                let counts =
                    [met.requests, met.succeeded, met.by_gateway, met.broken].map(|count| count.to_string());
                table.add_row(std::iter::once(kind.name().to_owned()).chain(counts));
            }
            say(&table.trim_fmt());
            if let Some(percent) = people {
                say(&format!(
                    "people were answered as the bank alone answers in {percent:.2} % of their requests"
                ));
            }
            missed.iter().for_each(|line| say(&format!("  not so: {line}")));
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(met: &Met) -> Value {
    json!({
        "requests": met.requests,
        "succeeded": met.succeeded,
        "refused_by_gateway": met.by_gateway,
        "without_answer": met.broken,
    })
}

type Counted = (Score, BTreeMap<Kind, Met>, Vec<String>);

/// Counts outcomes as they come, and keeps the first few where a person was not answered as expected.
async fn count(mut outcomes: mpsc::Receiver<Outcome>) -> Counted {
    let (mut score, mut kinds, mut missed) = Counted::default();
    let (mut progress, mut requests) = (Progress::new(), 0);
    while let Some(outcome) = outcomes.recv().await {
        requests += 1;
        progress.tell(requests);
        score.add_outcome(&outcome);
        let met = kinds.entry(outcome.label.kind).or_default();
        met.requests += 1;
        met.broken += u64::from(outcome.result.is_err());
        met.by_gateway +=
            u64::from(outcome.event().is_some() && outcome.status().is_some_and(|status| status >= 400));
        let as_expected = outcome.is_as_expected();
        let is_person = outcome.label.part == Part::Use;
        met.succeeded += u64::from(if is_person {
            as_expected
        } else {
            outcome.result.as_ref().is_ok_and(Answer::is_success)
        });
        if is_person && !as_expected && missed.len() < 5 {
            let got = match &outcome.result {
                Ok(answer) => format!("status {}", answer.status),
                Err(broken) => broken.to_string(),
            };
            let event = outcome.event().map(|event| format!(", event {event}")).unwrap_or_default();
            missed.push(format!(
                "{} {} of {}: {got}{event}",
                outcome.method, outcome.target, outcome.label.actor
            ));
        }
    }
    progress.end();
    (score, kinds, missed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn targets_are_of_this_machine() {
        assert_eq!(loopback("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(loopback("http://localhost").unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(loopback("http://[::1]:81").unwrap(), "[::1]:81".parse().unwrap());
        for wrong in ["http://192.0.2.1:80", "https://127.0.0.1", "http://bank.example:80", "127.0.0.1:80"] {
            assert!(loopback(wrong).is_err(), "{wrong}");
        }
    }
}
