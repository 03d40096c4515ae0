//! The view at the sizes that matter, from a score that is always the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests assert")]

use std::{net::IpAddr, time::Duration};

use bartizan_model::{EventId, Timestamp};
use bartizan_traffic::{Kind, Part};
use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::{Facts, Look, draw};
use crate::commands::demo::score::{Fate, Score, Sent, tests::exchange};

/// A demo of 42 seconds.
fn score() -> Score {
    let began = Timestamp::from_seconds(1_790_000_000);
    let mut score = Score::new(began);
    for request in 0..2_000_u64 {
        let at = began.plus(Duration::from_millis(request * 21));
        score.seen(&exchange(request, at, "127.0.0.1", "GET /v1/accounts", None));
        score.sent(&sent(Kind::Person, Part::Use, Fate::Answered, None, 900 + request % 4_000));
    }
    for (index, kind) in Kind::ATTACKS.into_iter().enumerate() {
        for attempt in 0..(8 + 5 * index as u64) {
            let id = 10_000 * (1 + index as u64) + attempt;
            // Every third kind is not stopped at all, every other one in part.
            let stopped = index % 3 != 0 && (index % 2 == 0 || attempt % 3 > 0);
            let fate = if stopped { Fate::Stopped } else { Fate::Answered };
            let event = stopped.then(|| EventId::new(began, u128::from(id)));
            if stopped {
                let at = began.plus(Duration::from_millis(id % 39_000));
                let (operation, reason) = [
                    ("POST /v1/login", "rate_limit.exceeded"),
                    ("GET /v1/accounts/{id}/statements/{month}", "identity.signature"),
                    ("GET /debug", "contract.unknown_operation"),
                ][index / 2 % 3];
                let from = if index == 5 { "3fff:0:12:8a3c:91d2:77aa:1b0e:e4f1" } else { "100.71.203.118" };
                score.seen(&exchange(id, at, from, operation, Some(reason)));
            }
            score.sent(&sent(kind, Part::Attack, fate, event, 700));
        }
    }
    score
}

fn sent(kind: Kind, part: Part, fate: Fate, event: Option<EventId>, micros: u64) -> Sent {
    Sent { kind, part, fate, event, took: Duration::from_micros(micros), wrong: None }
}

fn facts() -> Facts {
    Facts {
        program: "target/release/bartizan".to_owned(),
        open: Some(([127, 0, 0, 1], 8080).into()),
        bank: ([127, 0, 0, 1], 41_233).into(),
        admin: ([127, 0, 0, 1], 9440).into(),
        state: "/var/folders/q4/bartizan-Xy12Z".to_owned(),
        policy: "/var/folders/q4/bartizan-Xy12Z/policy.yaml".to_owned(),
        generation: 1,
        problem: None,
        elapsed: Duration::from_secs(42),
        held: false,
        limit: Some(Duration::from_secs(60)),
        people: 120,
        cast: Kind::ATTACKS.to_vec(),
        seed: 1,
        flaws: 22,
    }
}

const LOOK: Look = Look { colour: true, blocks: true };

fn drawn(width: u16, height: u16, facts: &Facts, look: Look) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let score = score();
    terminal.draw(|frame| draw(frame, &score, facts, look)).unwrap();
    terminal
}

fn text(width: u16, height: u16, facts: &Facts, look: Look) -> String {
    let terminal = drawn(width, height, facts, look);
    let lines = terminal.backend().buffer().content().chunks(usize::from(width));
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_small_terminal_has_everything() {
    let text = text(80, 24, &facts(), LOOK);
    assert_eq!(text.lines().count(), 24);
    for part in [
        "Bartizan demo",
        "0:42 of 1:00",
        "http://127.0.0.1:8080 → bank at 127.0.0.1:41233",
        "policy generation 1",
        "/s  2,000 allowed",
        "100% of 2,000 succeeded",
        "injection",
        "ownership rules",
        "contract.unknown_operation",
        "target/release/bartizan why 0",
        "--state /var/folders/q4/bartizan-Xy12Z",
        "curl -s http://127.0.0.1:9440/metrics",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    println!("{text}");
}

#[test]
fn a_large_terminal_has_every_kind_and_more_refusals() {
    let text = text(200, 50, &facts(), LOOK);
    for kind in Kind::ATTACKS {
        assert!(text.contains(super::super::kinds::title(kind)), "{kind:?}\n{text}");
    }
    assert!(text.contains("Why refused") && text.contains("3fff:0:12:8a3c:91d2:77aa:1b0e:e4f1"), "{text}");
    assert!(text.lines().any(|line| line.chars().count() > 180), "the width is used\n{text}");
    println!("{text}");
}

#[test]
fn every_size_is_drawn() {
    for width in [1, 20, 59, 60, 79, 80, 81, 100, 111, 112, 140, 179, 180, 200, 300] {
        for height in [1, 5, 15, 16, 23, 24, 25, 30, 40, 50, 51, 70, 100] {
            let terminal = drawn(width, height, &facts(), LOOK);
            assert_eq!(terminal.backend().buffer().area.height, height, "{width}");
        }
    }
}

#[test]
fn no_color_and_ascii_are_honoured() {
    let look = Look { colour: false, blocks: false };
    for (width, height) in [(80, 24), (200, 50)] {
        let terminal = drawn(width, height, &facts(), look);
        for cell in terminal.backend().buffer().content() {
            assert!(cell.fg == Color::Reset && cell.bg == Color::Reset, "{cell:?}");
            assert!(cell.symbol().is_ascii(), "{cell:?}");
        }
    }
}

#[test]
fn a_refused_policy_and_a_demo_without_attacks_are_told() {
    let problem = "the newest configuration was refused".to_owned();
    let told = text(80, 24, &Facts { problem: Some(problem.clone()), ..facts() }, LOOK);
    assert!(told.contains("the changed policy is refused") && told.contains(&problem), "{told}");
    for (width, height) in [(80, 24), (200, 24), (200, 50)] {
        let calm = text(width, height, &Facts { cast: Vec::new(), ..facts() }, LOOK);
        for part in ["no attackers", "--no-attacks", "identity.signature", "curl -s http", "why 0"] {
            assert!(calm.contains(part), "{part}\n{calm}");
        }
    }
}

#[test]
fn bars_hide_neither_part() {
    let bar = |stopped, through| -> String {
        LOOK.bar(stopped, through, 10).iter().map(|span| span.content.as_ref()).collect()
    };
    assert_eq!((bar(1_000, 1), bar(1, 1_000)), ("█████████░".to_owned(), "█░░░░░░░░░".to_owned()));
    assert_eq!((bar(5, 0), bar(0, 5), bar(0, 0)), ("█".repeat(10), "░".repeat(10), "·".repeat(10)));
    let address: IpAddr = "100.71.203.118".parse().unwrap();
    assert!(score().refusals().any(|refusal| refusal.from == Some(address)));
}
