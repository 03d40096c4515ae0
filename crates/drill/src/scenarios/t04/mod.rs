//! T-04: secrets planted in every place of a request, and none of them in anything that the gateway writes or tells.

mod crash;
mod naive;
mod places;
mod send;
mod sinks;
mod site;

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Result, ensure};
use bartizan_testkit::Gateway;
use serde_json::json;

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage, people,
    search::Search,
    secrets::{Draw, written},
};
use places::{At, PLACES, Place, fill};
use send::Sender;
use sinks::Sink;
use site::Site;

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "clients that carry secrets in every place of a request; upstreams that answer with some; an operator who \
             loads a configuration that holds one, bans, explains and asks why; customers of the bank",
    traffic: "each secret to APIs that let it through, refuse, limit, watch, fail and break off, at debug and at trace level; \
              configurations that are refused; an end by SIGKILL, and one by SIGABRT with a core dump allowed",
    truth: "each secret is made for its place from the seed; it is looked for in every form, whole or 12 characters of it; \
            control marks, which may be recorded, show that the search sees what is there; a request leaks when its secret \
            is found anywhere",
    bounds: Bounds { requests: 12_000, seconds: 300 },
    proofs: &[
        Criterion {
            key: "access_log",
            text: "secrets in the access log of a proxy that writes what proxies write",
            rule: Rule::AtLeast(15.0),
        },
        Criterion { key: "debug_log", text: "secrets in its log at debug level", rule: Rule::AtLeast(40.0) },
    ],
    criteria: &[
        Criterion { key: "planted", text: "planted secrets", rule: Rule::AtLeast(50.0) },
        Criterion {
            key: "reached_upstream",
            text: "of those in requests, how many an upstream received",
            rule: Rule::AtLeast(40.0),
        },
        Criterion {
            key: "verdicts",
            text: "ways in which their exchanges ended: allow, deny, challenge, throttle, abort, error",
            rule: Rule::AtLeast(6.0),
        },
        Criterion {
            key: "levels",
            text: "log levels: debug, and trace with `--trace`",
            rule: Rule::Exactly(2.0),
        },
        Criterion {
            key: "refused_configurations",
            text: "configurations with a secret that were refused and told of",
            rule: Rule::AtLeast(3.0),
        },
        Criterion {
            key: "crashes",
            text: "ends by SIGKILL and SIGABRT in the middle of requests",
            rule: Rule::Exactly(2.0),
        },
        Criterion { key: "sinks", text: "sinks that were looked at", rule: Rule::AtLeast(20.0) },
        Criterion {
            key: "control_marks",
            text: "sinks in which a mark that may be there was found",
            rule: Rule::AtLeast(4.0),
        },
        Criterion {
            key: "in_output",
            text: "secrets in standard output and error",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "in_state",
            text: "secrets in the store, its log, the audit log and the rest of the state",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "in_metrics",
            text: "secrets in metrics, and in what the admin API answers",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "in_traces",
            text: "secrets in what `why` and `explain` tell",
            rule: Rule::Exactly(0.0),
        },
        Criterion { key: "in_problems", text: "secrets in refusals", rule: Rule::Exactly(0.0) },
        Criterion { key: "in_core", text: "secrets in core dumps", rule: Rule::Exactly(0.0) },
        Criterion { key: "secrets_found", text: "secrets found anywhere", rule: Rule::Exactly(0.0) },
        Criterion {
            key: "blocked_percent",
            text: "requests whose secret was found nowhere, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "legitimate_requests",
            text: "requests of people meanwhile",
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

/// A bound of what the output of a process is kept to; what was not kept cannot be judged.
const MOST_OUTPUT: usize = 4 << 20;

/// Finds that are named.
const MOST_NOTES: usize = 24;

/// The places with their secrets.
pub struct Planted {
    secrets: Vec<String>,
}

impl Planted {
    /// Made from the stage's seed.
    pub fn new(stage: &Stage) -> Self {
        let mut draw = Draw::new(stage.options.seed);
        Planted { secrets: PLACES.iter().map(|place| draw.secret(place.shape)).collect() }
    }

    /// Each place with its secret.
    pub fn each(&self) -> impl Iterator<Item = (&'static Place, &str)> {
        PLACES.iter().zip(self.secrets.iter().map(String::as_str))
    }

    /// The secrets alone, in order.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// Puts another secret where one was drawn: the gateway makes its own keys.
    fn replace(&mut self, which: fn(&At) -> bool, secret: &str) {
        for (place, kept) in PLACES.iter().zip(&mut self.secrets) {
            if which(&place.at) {
                secret.clone_into(kept);
            }
        }
    }

    fn of(&self, which: fn(&At) -> bool) -> &str {
        self.each().find(|(place, _)| which(&place.at)).map_or("", |(_, secret)| secret)
    }
}

/// The bytes of a request that carries a secret in a field, its target or its content.
pub fn bytes_of(place: &Place, secret: &str, host: &str) -> Vec<u8> {
    let secret = written(secret, place.written);
    let fill = |text: &str| fill(text, &secret, host);
    let head = |method: &str, target: &str, more: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
    };
    match place.at {
        At::Field(line) => head("GET", "/v1/things", &format!("{}\r\n", fill(line))),
        At::Target(target) => head("GET", &fill(target), ""),
        At::Content(media, content) => {
            let content = fill(content);
            let more = format!("Content-Type: {}\r\nContent-Length: {}\r\n", fill(media), content.len());
            head("POST", "/v1/things", &more) + &content
        }
        At::Raw(text) | At::Inside(text) => fill(text),
        _ => String::new(),
    }
    .into_bytes()
}

/// The attack where the gateway stands before everything.
fn with(stage: &Stage) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut planted = Planted::new(stage);
    let mut found = BTreeSet::new();
    // How often each was sent: the gateway's own configuration holds one from the start.
    let mut sent: Vec<u64> = vec![0; planted.secrets().count()];
    let levels: [(&str, &[&str]); 2] =
        [("debug", &["--log", "debug"]), ("trace", &["--log", "trace", "--trace"])];
    for (level, arguments) in levels {
        let in_force = planted.of(|at| matches!(at, At::InForce)).to_owned();
        let mut site = crash::with_core_dumps(|| Site::start(stage, arguments, &in_force))?;
        let key = site.make_key(stage)?;
        planted.replace(|at| matches!(at, At::ApiKey), &key);
        let search = Search::new(planted.secrets());
        let mark = format!("control-mark-{level}-{}", stage.options.seed);
        let control = Search::new([mark.as_str()]);
        let least = if stage.options.short { 6 } else { 25 };
        let work = || {
            let begun = Instant::now();
            let mut sender = Sender::new(stage, &site, &planted);
            sender.requests()?;
            sender.answers()?;
            ban(&site.gateway, &mark)?;
            let refused = sender.configurations()?;
            sender.explain()?;
            let first = sender.first.map(|first| first.duration_since(begun));
            Ok((sender.heard, sender.sent, refused, first))
        };
        let (done, people) = people::around(stage, &site.bank, &site.way(), least, work)?;
        let (mut heard, times, refused, first) = done;
        sent.iter_mut().zip(times).for_each(|(sum, times)| *sum += times);
        figures.first_finding = figures.first_finding.or(first);
        figures.legitimate.merge(people);
        figures.add("refused_configurations", refused);
        site.settle(stage)?;
        heard.extend(sinks::told(stage, &site)?);
        let reached = reached(&planted, &site.mirror.connections().concat());
        figures.count("reached_upstream", reached);
        figures.count("verdicts", sinks::verdicts(&site)?.len() as u64);
        crash::crash(stage, &mut site, &planted, level)?;
        figures.add("crashes", 1);
        heard.extend(sinks::left(&site)?);
        let output = site.gateway.process.log();
        ensure!(output.len() < MOST_OUTPUT - (64 << 10), "the output is too long to be judged");
        heard.push(Sink::new("output", output));
        for sink in &heard {
            judge(sink, level, &search, &mut found, &mut figures);
            figures.add("sinks", u64::from(!sink.bytes.is_empty()));
            figures.add("control_marks", u64::from(!control.find(&sink.bytes).is_empty()));
        }
        figures.add("levels", 1);
        stage.keep_gateway(level, &site.gateway)?;
    }
    // Every request that carried a secret which was found has leaked it.
    let times = |number: &usize| sent.get(*number).copied().unwrap_or(0).max(1);
    figures.attacks = (0..sent.len()).map(|number| times(&number)).sum();
    figures.leaked = found.iter().map(times).sum();
    figures.blocked = figures.attacks - figures.leaked;
    figures.count("planted", sent.len() as u64);
    figures.count("secrets_found", found.len() as u64);
    for key in ["in_output", "in_state", "in_metrics", "in_traces", "in_problems", "in_core"] {
        figures.add(key, 0);
    }
    Ok(figures)
}

/// Looks for every secret in a sink, and notes where it came from.
fn judge(sink: &Sink, level: &str, search: &Search, found: &mut BTreeSet<usize>, figures: &mut Figures) {
    let key = match sink.name.as_str() {
        "output" => "in_output",
        "why" | "explain" => "in_traces",
        "refusals" => "in_problems",
        name if name.starts_with("core") => "in_core",
        name if name.starts_with('/') => "in_metrics",
        _ => "in_state",
    };
    let here = search.find(&sink.bytes);
    figures.add(key, here.len() as u64);
    for &number in &here {
        let place = PLACES.get(number).map_or("?", |place| place.name);
        let note = format!("at {level} level, `{}` holds the secret of `{place}`", sink.name);
        match figures.notes.len() {
            0..MOST_NOTES => figures.notes.push(note),
            MOST_NOTES => figures.notes.push("and more; `--keep DIR` keeps what was looked at".to_owned()),
            _ => {}
        }
    }
    found.extend(here);
}

/// How many secrets of requests an upstream received, in the form that they were written in.
fn reached(planted: &Planted, bytes: &[u8]) -> u64 {
    let received = |(place, secret): &(&Place, &str)| {
        let written = written(secret, place.written);
        bartizan_testkit::raw::find(bytes, written.as_bytes()).is_some()
    };
    planted.each().filter(received).count() as u64
}

/// An operator's ban with a reason that may be recorded.
fn ban(gateway: &Gateway, mark: &str) -> Result<()> {
    let body = json!({ "target": "192.0.2.77", "reason": mark, "for": "1h" });
    let reply = gateway.ask("POST", "/v1/bans", Some(&body))?;
    ensure!((200..300).contains(&reply.status), "a ban was answered with {}: {}", reply.status, reply.text());
    Ok(())
}
