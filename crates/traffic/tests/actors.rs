//! What people and attackers do about what they are answered.
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

use bartizan_bank::PRICES;
use bartizan_model::Timestamp;
use bartizan_traffic::{Actor, Answer, Cue, Kind, Part, Plan, Planned, Rhythm, Settings, Step, World};
use serde_json::{Value, json};

const START: Timestamp = Timestamp::from_seconds(1_772_438_400);

fn world() -> Arc<World> {
    let rhythm = Rhythm::Steady { pause: Duration::from_secs(30) };
    World::new(Settings { seed: 11, people: 400, rhythm, ..Settings::default() })
}

struct Sent {
    at: Timestamp,
    request: Planned,
}

/// Lets an actor act until it ends or has sent `most` requests; `answer` answers each, or breaks it.
fn drive(
    mut actor: Box<dyn Actor>,
    most: usize,
    mut answer: impl FnMut(&Planned, Timestamp) -> Option<Answer>,
) -> (Vec<Sent>, bool) {
    let (mut sent, mut now, mut heard) = (Vec::new(), START, None);
    for _ in 0..most * 50 {
        let step = match &heard {
            None => actor.next(now, Cue::Time),
            Some(None) => actor.next(now, Cue::Broken),
            Some(Some(answer)) => actor.next(now, Cue::Answer(answer)),
        };
        heard = None;
        match step {
            Step::End => return (sent, true),
            Step::Wait(time) => now = now.plus(time),
            Step::Send(request) => {
                heard = Some(answer(&request, now));
                now = now.plus(Duration::from_millis(5));
                sent.push(Sent { at: now, request: *request });
                if sent.len() >= most {
                    return (sent, false);
                }
            }
        }
    }
    panic!("it waits without end");
}

fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

fn with_body(status: u16, body: &Value) -> Answer {
    Answer { status, body: body.to_string().into_bytes(), ..Answer::default() }
}

/// What the bank would answer, where a sign-in gives a token that names the customer.
fn foreseen(request: &Planned) -> Answer {
    match request.label.operation {
        Some("login" | "token") if request.foreseen == 200 => {
            let token = format!("aGVhZA.e30.{}", request.label.principal.unwrap_or_default());
            with_body(200, &json!({ "access_token": token, "expires_in": 900 }))
        }
        _ if request.foreseen == 201 => with_body(201, &json!({ "id": 77 })),
        _ => status(request.foreseen),
    }
}

fn field<'a>(request: &'a Planned, name: &str) -> Option<&'a str> {
    request.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_ref())
}

#[test]
fn every_attacker_keeps_to_its_plan_whatever_it_is_answered() {
    // Answers that nobody foresaw, in an order that looks arbitrary.
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "{\"access_token\": 5}",
        "{\"access_token\": \"x\"}",
        "{\"id\": -1}",
        "\u{0}",
    ];
    let statuses = [200, 201, 204, 400, 401, 403, 404, 409, 413, 422, 429, 431, 500, 502, 503, 301, 101];
    for kind in Kind::ATTACKS {
        for salt in 0..6_usize {
            let plan = Plan::new(kind, salt as u64).requests(60);
            let mut count = salt;
            let (sent, _) = drive(world().attacker(plan), 400, |_, _| {
                count += 1 + salt;
                if count.is_multiple_of(13) {
                    return None;
                }
                let mut answer = status(statuses[(count * 7 + salt) % statuses.len()]);
                answer.body = bodies[(count * 3) % bodies.len()].as_bytes().to_vec();
                let wait = ["0", "1", "99999999999", "soon"][count % 4];
                answer.headers.push(("retry-after".to_owned(), wait.to_owned()));
                Some(answer)
            });
            let attacks = sent.iter().filter(|one| one.request.label.part == Part::Attack).count();
            assert!(attacks <= 60, "{kind:?}: {attacks}");
            assert!(sent.iter().all(|one| one.request.label.kind == kind));
        }
    }
}

#[test]
fn every_attacker_sends_what_it_has_planned_against_the_vulnerable_bank() {
    for kind in Kind::ATTACKS {
        let plan = Plan::new(kind, 3).requests(50);
        let (sent, ended) = drive(world().attacker(plan), 400, |request, _| Some(foreseen(request)));
        let attacks = sent.iter().filter(|one| one.request.label.part == Part::Attack).count();
        assert!(ended, "{kind:?} does not end");
        // A forger cannot forge from a token that is none.
        assert!(attacks == 50 || kind == Kind::ForgedToken, "{kind:?}: {attacks}");
        for one in sent.iter().filter(|one| one.request.label.part == Part::Attack) {
            assert_eq!(one.request.label.drill, kind.drill());
            assert_ne!(one.request.label.victim, Some(0));
        }
    }
}

#[test]
fn a_scraper_takes_the_whole_catalogue_and_gets_around_what_refuses_it() {
    let prices = PRICES.unsigned_abs();
    let taken = |sent: &[Sent], ok: &dyn Fn(usize) -> bool| {
        let mut taken = BTreeSet::new();
        for (at, one) in sent.iter().enumerate().filter(|(at, _)| ok(*at)) {
            let Some(range) =
                one.request.label.object.as_deref().and_then(|text| text.strip_prefix("prices:"))
            else {
                continue;
            };
            let (from, to) = range.split_once('-').unwrap();
            assert!(at < 10_000);
            taken.extend(from.parse::<u64>().unwrap()..=to.parse::<u64>().unwrap());
        }
        taken.len() as u64
    };
    let (sent, _) =
        drive(world().attacker(Plan::new(Kind::PriceScraping, 1)), 20, |request, _| Some(foreseen(request)));
    assert_eq!(taken(&sent, &|_| true), prices, "20 pages of 100");

    // Signed-in people only, and five pages for each of them.
    let mut read = BTreeMap::<String, u32>::new();
    let mut passed = Vec::new();
    let plan = Plan::new(Kind::PriceScraping, 1).requests(400).identities(40, 10);
    let (sent, _) = drive(world().attacker(plan), 1_000, |request, _| {
        let answer = match field(request, "Authorization") {
            _ if request.label.operation == Some("login") => foreseen(request),
            None => status(401),
            Some(token) => {
                let count = read.entry(token.to_owned()).or_default();
                *count += 1;
                status(if *count > 5 { 429 } else { 200 })
            }
        };
        passed.push(answer.is_success());
        Some(answer)
    });
    assert!(read.len() > 3, "it changes accounts");
    let peers: BTreeSet<_> = sent.iter().map(|one| one.request.connection.peer.ip()).collect();
    assert!(peers.len() > 3, "and addresses");
    let took = taken(&sent, &|at| passed[at]);
    assert!(took > prices / 2, "{took}");
}

#[test]
fn stuffing_changes_its_address_each_time_and_uses_what_it_took_over() {
    let plan = Plan::new(Kind::CredentialStuffing, 1).requests(2_000).identities(1_000, 50);
    let (sent, _) = drive(world().attacker(plan), 2_000, |request, _| Some(foreseen(request)));
    let logins: Vec<&Sent> = sent.iter().filter(|one| one.request.label.operation == Some("login")).collect();
    let right = logins.iter().filter(|one| one.request.foreseen == 200).count() * 100 / logins.len();
    assert!((2..=6).contains(&right), "{right} % of the leaked list still work");
    let peers: BTreeSet<_> = logins.iter().map(|one| one.request.connection.peer.ip()).collect();
    let devices: BTreeSet<_> = logins.iter().map(|one| one.request.connection.device.name.clone()).collect();
    assert!(peers.len() > 700 && devices.len() > 20, "{} {}", peers.len(), devices.len());
    let looks: Vec<&Sent> =
        sent.iter().filter(|one| one.request.label.operation == Some("listAccounts")).collect();
    assert!(looks.len() > 40);
    for look in looks {
        let label = &look.request.label;
        assert!(label.part == Part::Attack && label.victim.is_some() && label.victim == label.principal);
    }
}

#[test]
fn a_lone_attacker_waits_as_it_is_told_and_slows_down() {
    let refused = |_: &Planned, _| {
        let mut answer = status(429);
        answer.headers.push(("retry-after".to_owned(), "20".to_owned()));
        Some(answer)
    };
    let plan = Plan::new(Kind::PasswordGuessing, 2).requests(20).identities(1, 1);
    let (sent, _) = drive(world().attacker(plan.clone()), 20, refused);
    assert!(sent.windows(2).all(|pair| pair[1].at.since(pair[0].at) >= Duration::from_secs(20)));
    let (fast, _) = drive(world().attacker(plan), 20, |request, _| Some(foreseen(request)));
    let took = |sent: &[Sent]| sent.last().unwrap().at.since(START);
    assert!(took(&fast) * 4 < took(&sent));
}

#[test]
fn people_renew_tokens_and_use_each_code_once() {
    // Every fourth customer needs codes.
    for id in [4, 8, 9] {
        let mut codes = BTreeSet::new();
        let mut valid_until = BTreeMap::<String, Timestamp>::new();
        let mut signed = 0;
        let (sent, _) = drive(world().person(id), 900, |request, now| {
            let label = &request.label;
            if matches!(label.operation, Some("login" | "token")) {
                let text = String::from_utf8(request.body.clone().unwrap()).unwrap();
                if request.foreseen == 200 && id % 4 == 0 {
                    assert!(codes.insert(text.clone()), "{text} twice");
                    assert!(text.contains("totp"));
                }
                if request.foreseen != 200 {
                    return Some(status(request.foreseen));
                }
                signed += 1;
                let token = format!("t{signed}");
                valid_until.insert(format!("Bearer {token}"), now.plus(Duration::from_secs(900)));
                return Some(with_body(200, &json!({ "access_token": token, "expires_in": 900 })));
            }
            let token = field(request, "Authorization").expect("signed in");
            assert!(valid_until[token] > now, "an expired token was used");
            if label.operation == Some("logout") {
                valid_until.remove(token);
            }
            Some(foreseen(request))
        });
        assert!(signed > 5 && sent.len() == 900);
        let operations: BTreeSet<_> = sent.iter().filter_map(|one| one.request.label.operation).collect();
        assert!(operations.len() > 12, "{operations:?}");
    }
}

#[test]
fn people_ask_for_nothing_that_they_have_removed() {
    let (mut next, mut removals) = (1_000_u64, 0);
    for id in 1..60 {
        let mut there = BTreeSet::<String>::new();
        drive(world().person(id), 1_500, |request, _| {
            let answer = foreseen(request);
            let (place, name) = request.target.rsplit_once('/').unwrap();
            match (request.method, request.label.expected) {
                ("POST", Some(201)) => {
                    next += 1;
                    there.insert(format!("{}/{next}", request.target.split('?').next().unwrap()));
                    return Some(with_body(201, &json!({ "id": next })));
                }
                (_, Some(404)) => {}
                _ if ["/v1/payees", "/v1/documents", "/v1/webhooks"].contains(&place)
                    && name.parse::<u64>().is_ok() =>
                {
                    assert!(there.contains(&request.target), "{} {}", request.method, request.target);
                    if request.method == "DELETE" {
                        there.remove(&request.target);
                        removals += 1;
                    }
                }
                _ => {}
            }
            Some(answer)
        });
    }
    assert!(removals > 100, "{removals}");
}

#[test]
fn people_sign_in_again_where_their_session_has_ended() {
    let mut count = 0;
    let (sent, _) = drive(world().person(7), 300, |request, _| {
        count += 1;
        let signs_in = matches!(request.label.operation, Some("login" | "token"));
        Some(if count % 20 == 0 && !signs_in { status(401) } else { foreseen(request) })
    });
    let refused = sent.iter().enumerate().filter(|(at, one)| {
        (at + 1).is_multiple_of(20)
            && !matches!(one.request.label.operation, Some("login" | "token" | "logout"))
    });
    for (at, _) in refused {
        let Some(next) = sent.get(at + 1) else { continue };
        assert!(matches!(next.request.label.operation, Some("login" | "token")), "{at}");
    }
}

#[test]
fn fields_take_the_places_that_their_device_has_for_them() {
    let (sent, _) = drive(world().person(3), 60, |request, _| Some(foreseen(request)));
    for one in &sent {
        let headers = one.request.headers("bank.example");
        let names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "each field once: {names:?}");
        let order: Vec<String> =
            one.request.connection.device.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let places: Vec<usize> =
            names.iter().filter_map(|name| order.iter().position(|known| known == name)).collect();
        assert!(places.is_sorted(), "in the device's order: {names:?}");
        assert_eq!(one.request.body.is_some(), names.contains(&"content-length".to_owned()));
        assert!(headers.iter().any(|(name, value)| *name == "Host" && value == "bank.example"));
    }
}
