//! T-09: a patient who counts through the records of others, one who jumps, and ten sessions that share the work.

mod evidence;
mod site;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bartizan_bank::Staff;
use bartizan_testkit::Reply;
use serde_json::Value;

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage,
    bank::Bank,
    client::{ask_plain, request},
    people,
};
use evidence::Trail;
use site::{HOST, Line, Site};

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "customers of the bank's insurance arm; a patient who counts, one who jumps, ten who share the work; a doctor \
             and a clerk",
    traffic: "health records and accounts of others by their numbers, one after the other and in no order; one's own; a \
              number that nobody has",
    truth: "each record names its patient and each account its owner, and the drill knows who asked; the audit log says \
            what the gateway told, and when",
    bounds: Bounds { requests: 4_000, seconds: 180 },
    proofs: &[
        Criterion {
            key: "records_read",
            text: "health records of others that the patient read",
            rule: Rule::AtLeast(15.0),
        },
        Criterion {
            key: "accounts_read",
            text: "accounts of others that were read",
            rule: Rule::AtLeast(15.0),
        },
    ],
    criteria: &[
        Criterion {
            key: "foreign_records",
            text: "records and accounts of others that left",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "foreign_words",
            text: "refusals with a word of what was refused",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "told_apart",
            text: "refusals that tell a foreign record from one that does not exist",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "ids_before_finding",
            text: "foreign records asked for until the first finding of enumeration",
            rule: Rule::AtMost(5.0),
        },
        Criterion {
            key: "finding_ms",
            text: "milliseconds until that finding was in the audit log",
            rule: Rule::AtMost(2_000.0),
        },
        Criterion {
            key: "sessions_told",
            text: "of ten sessions that share the work, told of",
            rule: Rule::Exactly(10.0),
        },
        Criterion {
            key: "own_percent",
            text: "attackers' own records that they could read, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "permitted_percent",
            text: "records that the doctor could read, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion { key: "clerk_read", text: "records that the clerk could read", rule: Rule::Exactly(0.0) },
        Criterion { key: "blocked_percent", text: "attacks blocked, in percent", rule: Rule::Exactly(100.0) },
        Criterion { key: "leaked", text: "attacks that read something", rule: Rule::Exactly(0.0) },
        Criterion { key: "taken", text: "attacks that gained something", rule: Rule::Exactly(0.0) },
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
    without,
    with,
};

/// The patient, whose record has the same number, and the one who jumps. Neither needs a code.
const PATIENT: i64 = 3;
const JUMPER: i64 = 5;

/// The ten who share the work.
const TEN: [i64; 10] = [21, 22, 23, 25, 26, 27, 29, 30, 31, 33];

/// A number that nobody has.
const NOBODY: i64 = 900_000;

/// Where a record is.
fn record(id: i64) -> String {
    format!("/v1/health-records/{id}")
}

fn account(id: i64) -> String {
    format!("/v1/accounts/{id}")
}

/// Numbers in no order, none of them twice, none near another.
fn jumps(count: i64) -> impl Iterator<Item = i64> {
    (1..=count).map(|at| 100 + at * 1_237 % 4_000)
}

/// Whether an answer has a record that is not this person's.
fn is_foreign(reply: &Reply, person: i64) -> bool {
    let value = reply.json();
    let whose = value.get("patient").or_else(|| value.get("owner")).and_then(Value::as_i64);
    reply.status == 200 && whose.is_some_and(|whose| whose != person)
}

/// The attack where nothing stands before the bank.
fn without(stage: &Stage) -> Result<Figures> {
    let bank = Bank::start_vulnerable(stage)?;
    let mut figures = Figures::default();
    let patient = bank.sign_in(stage, PATIENT)?;
    let mut read = |key, target: String| -> Result<()> {
        let ask = request("GET", &target, HOST, Some(&patient.token), None);
        let read = is_foreign(&ask_plain(stage, bank.address, &ask)?, PATIENT);
        figures.attack(!read);
        figures.add(key, u64::from(read));
        figures.leaked += u64::from(read);
        figures.taken += u64::from(read);
        Ok(())
    };
    for id in 10..30 {
        read("records_read", record(id))?;
    }
    for id in jumps(20) {
        read("accounts_read", account(id))?;
    }
    Ok(figures)
}

/// The attack where the gateway stands before it.
fn with(stage: &Stage) -> Result<Figures> {
    let site = Site::start(stage)?;
    let mut figures = Figures::default();
    let least = if stage.options.short { 12 } else { 40 };
    let attack = || attacks(stage, &site, &mut figures);
    let (trail, legitimate) = people::around(stage, &site.bank, &site.way(), least, attack)?;
    figures.legitimate = legitimate;
    stage.keep_gateway("with", &site.gateway)?;
    stage.keep_log("bank", site.bank.process())?;
    stage.keep_document("with", "incident.json", &trail.as_json())?;
    stage.keep_document("with", "incident.md", &trail.as_markdown())?;
    Ok(figures)
}

fn attacks(stage: &Stage, site: &Site, figures: &mut Figures) -> Result<Trail> {
    let (mut own, mut asked) = (0, 0);
    let mut mine = |reply: &Reply| {
        own += u64::from(reply.status == 200);
        asked += 1;
    };
    counting(stage, site, figures, &mut mine)?;

    // One who jumps, among accounts.
    let jumper = site.bank.sign_in(stage, JUMPER)?;
    let mut line = Line::new(stage, site, jumper.token);
    for id in jumps(if stage.options.short { 12 } else { 40 }) {
        strike(figures, &line.get(&account(id))?, JUMPER);
    }
    mine(&line.get(&account(jumper.account))?);

    // Ten who share the work.
    let mut lines = Vec::new();
    for person in TEN {
        lines.push((person, Line::new(stage, site, site.bank.sign_in(stage, person)?.token)));
    }
    for round in 0..5 {
        for (at, (person, line)) in lines.iter_mut().enumerate() {
            let id = 1_000 + round * 10 + i64::try_from(at).unwrap_or_default();
            strike(figures, &line.get(&record(id))?, *person);
        }
    }
    for (person, line) in &mut lines {
        mine(&line.get(&record(*person))?);
    }
    let told = || {
        let trail = Trail::read(&site.gateway);
        TEN.iter().filter(|person| trail.told_of(&person.to_string())).count()
    };
    stage.wait_until(Duration::from_secs(2), || told() == TEN.len())?;
    figures.count("sessions_told", told() as u64);
    figures.count("own_percent", own * 100 / u64::max(asked, 1));

    // Only those who may read do.
    let mut doctor = Line::new(stage, site, site.bank.token(stage, Staff::Doctor.id())?);
    let mut clerk = Line::new(stage, site, site.bank.token(stage, Staff::Clerk.id())?);
    let mut read = 0;
    for id in 50..60 {
        read += u64::from(doctor.get(&record(id))?.status == 200);
        let reply = clerk.get(&record(id))?;
        figures.attack(reply.status != 200);
        figures.add("clerk_read", u64::from(reply.status == 200));
    }
    figures.count("permitted_percent", read * 10);
    Ok(Trail::read(&site.gateway))
}

/// One who counts, and what tells of her.
fn counting(stage: &Stage, site: &Site, figures: &mut Figures, mine: &mut impl FnMut(&Reply)) -> Result<()> {
    let mut patient = Line::new(stage, site, site.bank.sign_in(stage, PATIENT)?.token);
    mine(&patient.get(&record(PATIENT))?);
    let begun = Instant::now();
    for id in 10..15 {
        strike(figures, &patient.get(&record(id))?, PATIENT);
    }
    let subject = PATIENT.to_string();
    let told = stage.wait_until(Duration::from_secs(5), || Trail::read(&site.gateway).told_of(&subject))?;
    let elapsed = begun.elapsed();
    ensure!(told, "the gateway told of no enumeration within 5 s");
    figures.first_finding = Some(elapsed);
    figures.count("finding_ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    figures.count("ids_before_finding", Trail::read(&site.gateway).foreign_until_told(&subject));
    for id in 15..if stage.options.short { 30 } else { 60 } {
        strike(figures, &patient.get(&record(id))?, PATIENT);
    }
    // What is somebody else's looks like what is nobody's.
    let (foreign, nobodys) = (patient.get(&record(77))?, patient.get(&record(NOBODY))?);
    strike(figures, &foreign, PATIENT);
    let apart = looks(&foreign) != looks(&nobodys);
    if apart {
        figures.notes.push(format!("{:?} is not {:?}", looks(&foreign), looks(&nobodys)));
    }
    figures.add("told_apart", u64::from(apart));
    Ok(())
}

/// One attack: what it read, and what its refusal says.
fn strike(figures: &mut Figures, reply: &Reply, person: i64) {
    let foreign = is_foreign(reply, person);
    figures.attack(!foreign && reply.status != 200);
    figures.add("foreign_records", u64::from(foreign));
    figures.leaked += u64::from(foreign);
    figures.taken += u64::from(foreign);
    let text = reply.text();
    let words = ["diagnosis", "patient", "owner", "iban", "foreign"];
    figures.add("foreign_words", u64::from(words.iter().any(|word| text.contains(word))));
}

/// A refusal without what every exchange has of its own.
fn looks(reply: &Reply) -> (u16, Vec<String>, String) {
    let event = reply.header("x-bartizan-event").unwrap_or("none").to_owned();
    let shown = |text: &str| text.replace(&event, "EVENT");
    let fields = reply.headers.iter().filter(|(name, _)| name != "date");
    let mut fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {}", shown(value))).collect();
    fields.sort();
    (reply.status, fields, shown(&reply.text()))
}
