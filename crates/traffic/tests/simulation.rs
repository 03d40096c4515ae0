//! Simulated traffic: the same for the same seed, in order, labelled, and whole as files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bartizan_traffic::{
    Exchange, Judgement, Kind, Mix, Part, Score, Settings, Simulation, World,
    record::{Format, Recorder},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

fn world(seed: u64, people: u32) -> Arc<World> {
    World::new(Settings { seed, people, ..Settings::default() })
}

fn recorded(format: Format, seed: u64, count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut labels) = (Vec::new(), Vec::new());
    let world = world(seed, 200);
    let mut recorder = Recorder::new(format, "bank.example", &mut out, Some(&mut labels)).unwrap();
    Simulation::new(&world, Mix::default())
        .take(count)
        .for_each(|exchange| recorder.write(&exchange).unwrap());
    assert_eq!(recorder.finish().unwrap(), count as u64);
    (out, labels)
}

fn exchanges(people: u32, count: usize) -> Vec<Exchange> {
    Simulation::new(&world(7, people), Mix::default()).take(count).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let first = recorded(Format::Jsonl, 7, 4_000);
    assert!(first == recorded(Format::Jsonl, 7, 4_000));
    assert!(first.0 != recorded(Format::Jsonl, 8, 4_000).0);
    // A shorter run is the beginning of a longer one.
    assert!(first.0.starts_with(&recorded(Format::Jsonl, 7, 1_000).0));
}

#[test]
fn every_kind_comes_and_attacks_keep_to_their_share() {
    let all = exchanges(500, 30_000);
    let mut kinds = BTreeMap::<Kind, usize>::new();
    let mut before = all[0].at;
    for (at, exchange) in all.iter().enumerate() {
        assert_eq!(exchange.id, at as u64 + 1);
        assert!(exchange.at >= before, "in order of time");
        before = exchange.at;
        let label = &exchange.request.label;
        assert_eq!(label.part == Part::Use, label.kind == Kind::Person);
        assert_eq!(label.part == Part::Use, label.expected.is_some());
        *kinds.entry(label.kind).or_default() += 1;
    }
    for kind in Kind::ATTACKS {
        assert!(kinds.contains_key(&kind), "{} is missing of {kinds:?}", kind.name());
        assert_eq!(Kind::attack(kind.name()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    let people = kinds[&Kind::Person] * 100 / all.len();
    assert!((84..=93).contains(&people), "{people} % are of people");
}

#[test]
fn people_are_varied() {
    let all = exchanges(500, 20_000);
    let of_people = || all.iter().filter(|one| one.request.label.part == Part::Use);
    let operations: BTreeSet<_> = of_people().filter_map(|one| one.request.label.operation).collect();
    assert!(operations.len() >= 24, "{operations:?}");
    let devices: BTreeSet<_> = of_people().map(|one| one.request.connection.device.name.clone()).collect();
    assert!(devices.len() > 60, "{}", devices.len());
    let mistyped = of_people().filter(|one| one.request.label.expected == Some(401)).count();
    let missing = of_people().filter(|one| one.request.label.expected == Some(404)).count();
    assert!(mistyped > 10 && missing > 50, "{mistyped} {missing}");
    // No customer is seen with two addresses on one connection, nor two customers on one.
    let mut connections = BTreeMap::new();
    for one in &all {
        let who = (one.request.label.actor.clone(), one.request.connection.peer);
        assert_eq!(*connections.entry(one.connection).or_insert_with(|| who.clone()), who);
    }
}

#[test]
fn tokens_verify_by_the_key_set_but_for_forged_ones() {
    let world = world(7, 100);
    let key = BASE64.decode(world.jwks()["keys"][0]["x"].as_str().unwrap()).unwrap();
    let (mut right, mut forged) = (0, 0);
    for exchange in Simulation::new(&world, Mix { attack_percent: 40, ..Mix::default() }).take(6_000) {
        let headers = exchange.request.headers("bank.example");
        let Some((_, value)) = headers.iter().find(|(name, _)| *name == "Authorization") else { continue };
        let Some((signed, signature)) =
            value.strip_prefix("Bearer ").and_then(|token| token.rsplit_once('.'))
        else {
            continue;
        };
        let verifies = BASE64.decode(signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, &key).verify(signed.as_bytes(), &signature).is_ok()
        });
        let label = &exchange.request.label;
        if label.kind == Kind::ForgedToken && label.part == Part::Attack {
            // The expired one has a right signature.
            forged += u32::from(!verifies);
        } else {
            assert!(verifies, "{label:?}");
            right += 1;
        }
    }
    assert!(right > 2_000 && forged > 15, "{right} {forged}");
}

#[test]
fn the_traffic_does_not_carry_the_truth() {
    let (out, labels) = recorded(Format::Jsonl, 7, 5_000);
    let (out, labels) = (String::from_utf8(out).unwrap(), String::from_utf8(labels).unwrap());
    assert_eq!((out.lines().count(), labels.lines().count()), (5_000, 5_000));
    for kind in Kind::ATTACKS {
        assert!(!out.contains(kind.name()), "{}", kind.name());
    }
    assert!(!out.contains("person-") && !out.contains("BANK-") && !out.contains("\"label\""));
    for (line, label) in out.lines().zip(labels.lines()) {
        let (line, label): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_str(label).unwrap());
        assert_eq!(line["id"], label["id"]);
        assert!(line["headers"].as_array().unwrap().iter().any(|field| field[0] == "Host"));
    }
}

#[test]
fn an_archive_is_har_1_2() {
    let (out, _) = recorded(Format::Har, 7, 6_000);
    let har: Value = serde_json::from_slice(&out).unwrap();
    let log = &har["log"];
    assert_eq!(log["version"], "1.2");
    assert!(log["creator"]["name"].is_string() && log["creator"]["version"].is_string());
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 6_000);
    for entry in entries {
        // What HAR 1.2 requires of an entry, by type.
        let (request, response) = (&entry["request"], &entry["response"]);
        assert!(
            entry["startedDateTime"].is_string() && entry["time"].is_number() && entry["cache"].is_object()
        );
        assert!(["send", "wait", "receive"].iter().all(|name| entry["timings"][name].is_number()));
        for (part, texts) in [
            (request, ["method", "url", "httpVersion"].as_slice()),
            (response, ["statusText", "httpVersion", "redirectURL"].as_slice()),
        ] {
            assert!(texts.iter().all(|name| part[name].is_string()), "{part}");
            assert!(part["cookies"].is_array() && part["headers"].is_array());
            assert!(part["headersSize"].is_i64() && part["bodySize"].is_i64());
        }
        let stands = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
        assert!(request["url"].as_str().unwrap().chars().all(stands), "a URI: {request}");
        assert!(request["queryString"].is_array() && response["status"].is_u64());
        assert!(response["content"]["size"].is_u64() && response["content"]["mimeType"].is_string());
        if let Some(data) = request.get("postData") {
            assert!(data["mimeType"].is_string() && data["text"].is_string() && data.get("params").is_none());
        }
    }
}

#[test]
fn a_score_counts_by_kind() {
    let (_, labels) = recorded(Format::Jsonl, 7, 3_000);
    let parsed: Vec<Value> = String::from_utf8(labels.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // A judge that stops every attack but those of even numbers, and every 100th person.
    let verdict = |id: u64| {
        let label = &parsed[usize::try_from(id).unwrap() - 1];
        let stops = match label["part"].as_str() {
            Some("attack") => id % 2 == 1,
            Some("use") => id.is_multiple_of(100),
            _ => true,
        };
        (id != 17).then_some(if stops { Judgement::Stopped } else { Judgement::Passed })
    };
    let score = Score::of(labels.as_slice(), verdict).unwrap();
    assert_eq!(score.unjudged, 1);
    let detection = score.detection(None).unwrap();
    assert!((0.4..0.6).contains(&detection), "{detection}");
    let wrong = score.false_positives().unwrap();
    assert!((0.005..0.02).contains(&wrong), "{wrong}");
    let counted: u64 = score.kinds.values().map(|tally| tally.requests + tally.groundwork).sum();
    assert_eq!(counted, 2_999);
    assert!(Score::of(b"{}\n".as_slice(), |_| None).is_err());
}

#[test]
fn memory_does_not_grow_with_time() {
    let mut simulation = Simulation::new(&world(1, 50), Mix::default());
    let last = simulation.nth(60_000).unwrap();
    assert!(last.at.since(Mix::default().start) > Duration::from_secs(86_400), "days go by");
}
