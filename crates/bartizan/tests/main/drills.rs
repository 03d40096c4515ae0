//! `bartizan drill` as a process: what it lists, runs and refuses, and that nothing of it is left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::Process;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::BINARY;

/// A drill in its short form takes a quarter of a minute on a small machine; several of them and other tests share it.
const PATIENCE: Duration = Duration::from_secs(150);

/// A drill's surroundings: its temporary files go to a folder that must be empty again.
struct Place {
    temporary: TempDir,
    kept: TempDir,
}

impl Place {
    fn new() -> Self {
        Place { temporary: tempfile::tempdir().unwrap(), kept: tempfile::tempdir().unwrap() }
    }

    fn start(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(BINARY);
        command.arg("drill").args(arguments).current_dir(self.kept.path());
        command.env("TMPDIR", self.temporary.path()).env("NO_COLOR", "1");
        Process::start("bartizan drill", &mut command).unwrap()
    }

    /// The exit code and what was printed, without what is told of the progress.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut process = self.start(arguments);
        let status = process.wait(PATIENCE).unwrap_or_else(|| panic!("it did not end:\n{}", process.log()));
        let log = process.log();
        let told =
            |line: &&str| !line.ends_with(": without the gateway") && !line.ends_with(": with the gateway");
        (status.code().unwrap(), log.lines().filter(told).fold(String::new(), |all, line| all + line + "\n"))
    }

    /// No file and no process: the folders that drills work in lie below the temporary one.
    fn nothing_is_left(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = (entries(self.temporary.path()), self.processes());
            if left.0.is_empty() && left.1.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "left behind: {left:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn processes(&self) -> Vec<PathBuf> {
        let folders =
            entries(Path::new("/proc")).into_iter().filter_map(|entry| fs::read_link(entry.join("cwd")).ok());
        folders.filter(|folder| folder.starts_with(self.temporary.path())).collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn the_sixteen_are_listed_and_those_that_wait_fail_when_asked_for() {
    let place = Place::new();
    let (code, text) = place.run(&[]);
    assert_eq!(code, 0);
    fits(&text);
    for number in 1..=16 {
        assert!(text.contains(&format!("T-{number:02}  ")), "{text}");
    }
    assert!(text.contains("built") && text.contains("needs"), "{text}");
    let (code, text) = place.run(&["--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    let drills = told["drills"].as_array().unwrap();
    assert_eq!((code, drills.len(), &drills[2]["built"]), (0, 16, &Value::Bool(true)), "{text}");
    let (code, text) = place.run(&["t7"]);
    assert!(code == 1 && text.contains("T-07") && text.contains("it waits for"), "{text}");
    let (code, text) = place.run(&["T-07", "--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["ok"], &told["not_shown"]), (1, &Value::Bool(false), &Value::from(1)), "{text}");
    assert_eq!(told["drills"][0]["outcome"], "not_built");
    for wrong in [&["T-17"][..], &["T-03", "nonsense"], &["--scale", "0"], &["--built", "T-03"]] {
        let (code, text) = place.run(wrong);
        assert_eq!(code, 2, "{wrong:?}: {text}");
    }
    assert!(place.run(&["T-17"]).1.contains("`T-16`"), "the nearest is named");
    place.nothing_is_left();
}

#[test]
fn low_privilege_tokens_end_at_the_roles() {
    let place = Place::new();
    let (code, text) = place.run(&["t1", "--short", "--seed", "7", "--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let drill = &told["drills"][0];
    assert_eq!((code, &drill["id"], &drill["outcome"]), (0, &"T-01".into(), &"passed".into()), "{text}");
    assert!(drill["without"]["taken"].as_u64() >= Some(10), "{text}");
    assert_eq!((&drill["with"]["taken"], &drill["with"]["attacks"]), (&0.into(), &drill["with"]["blocked"]));
    assert_eq!(drill["with"]["legitimate"], drill["with"]["succeeded"], "{text}");
    place.nothing_is_left();
}

#[test]
fn sql_in_bodies_ends_at_the_firewall() {
    let place = Place::new();
    let (code, text) = place.run(&["t2", "--short", "--seed", "7", "--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let drill = &told["drills"][0];
    assert_eq!((code, &drill["id"], &drill["outcome"]), (0, &"T-02".into(), &"passed".into()), "{text}");
    assert!(drill["without"]["leaked"].as_u64() >= Some(30), "{text}");
    assert_eq!((&drill["with"]["leaked"], &drill["with"]["attacks"]), (&0.into(), &drill["with"]["blocked"]));
    assert_eq!(drill["with"]["legitimate"], drill["with"]["succeeded"], "{text}");
    place.nothing_is_left();
}

#[test]
fn counting_through_the_records_of_patients_ends_in_figures() {
    let place = Place::new();
    let (code, text) = place.run(&["t9", "--short", "--seed", "7", "--keep", "out", "--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let drill = &told["drills"][0];
    assert_eq!((code, &drill["outcome"]), (0, &"passed".into()), "{text}");
    let (without, with) = (&drill["without"], &drill["with"]);
    assert!(without["taken"].as_u64() >= Some(30), "{text}");
    assert_eq!((&with["leaked"], &with["taken"]), (&0.into(), &0.into()), "{text}");
    for file in ["incident.json", "incident.md"] {
        let kept = std::fs::read_to_string(place.kept.path().join("out/T-09/with").join(file)).unwrap();
        assert!(kept.contains("164.308(a)(6)(ii)") && !kept.contains("diagnosis"), "{kept}");
    }
    place.nothing_is_left();
}

#[test]
fn plain_http_and_the_man_in_the_middle_end_in_figures() {
    let place = Place::new();
    let (code, text) = place.run(&["t3", "--short", "--seed", "7", "--output", "json"]);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(
        (code, &told["ok"], &told["form"], &told["seed"]),
        (0, &Value::Bool(true), &1.into(), &7.into()),
        "{text}"
    );
    let drill = &told["drills"][0];
    assert_eq!((&drill["id"], &drill["outcome"]), (&"T-03".into(), &"passed".into()), "{text}");
    let (without, with) = (&drill["without"], &drill["with"]);
    assert!(without["leaked"].as_u64() > Some(0) && without["taken"].as_u64() > Some(0), "{text}");
    assert_eq!((&with["leaked"], &with["taken"]), (&0.into(), &0.into()), "{text}");
    assert!(with["attacks"].as_u64() > Some(100) && with["attacks"] == with["blocked"], "{text}");
    assert!(with["first_finding_ms"].as_f64() < Some(10_000.0) && with["p99_ms"].is_f64(), "{text}");
    assert_eq!(with["legitimate"], with["succeeded"], "{text}");
    for judged in drill["criteria"].as_array().unwrap().iter().chain(drill["proofs"].as_array().unwrap()) {
        assert!(
            judged["pass"] == true && judged["measured"].is_f64() && judged["key"].is_string(),
            "{judged}"
        );
    }
    place.nothing_is_left();
}

#[test]
fn planted_secrets_are_found_nowhere() {
    let place = Place::new();
    let (code, text) = place.run(&["T-04", "--short", "--keep", "out"]);
    assert_eq!(code, 0, "{text}");
    fits(&text);
    for word in ["gateway   attacks", "without", "with ", "secrets found anywhere: 0", "T-04 passed"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    assert!(!text.contains("MISS"), "{text}");
    for file in ["debug/output.log", "debug/var/audit.jsonl", "trace/bartizan.yaml"] {
        assert!(place.kept.path().join("out/T-04").join(file).is_file(), "{file} is not kept");
    }
    place.nothing_is_left();
}

#[test]
fn an_interrupted_drill_takes_down_what_it_started() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let mut process = place.start(&["T-04"]);
        process.wait_until(PATIENCE, || place.processes().len() >= 2).unwrap();
        process.signal(signal).unwrap();
        let status = process.wait(Duration::from_secs(30));
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", process.log());
        assert!(process.log().contains("interrupted"), "{}", process.log());
        place.nothing_is_left();
    }
}
