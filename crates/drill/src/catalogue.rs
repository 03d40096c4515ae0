//! The sixteen scenarios of the mission: those that are built, and what the others wait for.

use std::{fmt, panic, time::Duration};

use crate::{
    Cancel, Options, Scenario, Stage, judge,
    report::{Outcome, Report},
    scenarios,
};

/// One of the sixteen.
pub struct Drill {
    /// `T-03`.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Whether it can be run.
    pub state: State,
}

/// Whether a drill can be run.
pub enum State {
    /// It can.
    Built(&'static Scenario),
    /// It cannot: the gateway has no such capability yet.
    Waits(&'static str),
}

/// A name that no drill has.
#[derive(Debug)]
pub struct Unknown {
    name: String,
    near: &'static str,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no drill is named `{}`; the nearest is `{}`", self.name, self.near)
    }
}

impl std::error::Error for Unknown {}

static ALL: [Drill; 16] = [
    Drill::built("T-01", "low-privilege token at admin resources", &scenarios::t01::SCENARIO),
    Drill::built("T-02", "SQL in a body", &scenarios::t02::SCENARIO),
    Drill::built("T-03", "plain HTTP, MITM, downgraded TLS", &scenarios::t03::SCENARIO),
    Drill::built("T-04", "tokens in plaintext logs", &scenarios::t04::SCENARIO),
    Drill::waits("T-05", "price scraping, thousands a second", "detection of scraping"),
    Drill::waits("T-06", "surge of foreign traffic", "geography, threat feeds"),
    Drill::waits("T-07", "credential stuffing at a bank", "login protection, step-up"),
    Drill::waits("T-08", "scraping by an adaptive fleet", "detection of scraping"),
    Drill::built("T-09", "enumeration of patient ids", &scenarios::t09::SCENARIO),
    Drill::waits("T-10", "bulk extraction by a stolen key", "baselines, key suspension"),
    Drill::waits("T-11", "secured in one cloud, open in another", "fleet control"),
    Drill::waits("T-12", "distributed denial of service", "overload protection"),
    Drill::built("T-13", "legacy tokens after a migration", &scenarios::t13::SCENARIO),
    Drill::waits("T-14", "open sensitive API, forgotten test API", "classification of answers"),
    Drill::waits("T-15", "compromised vendor, breaches re-enacted", "egress mode, ownership"),
    Drill::waits("T-16", "fraudulent transfers", "transfer history, step-up"),
];

/// The sixteen, in order.
#[must_use]
pub fn all() -> &'static [Drill] {
    &ALL
}

/// The drill of a name as people write it: `T-03`, `t-3`, `T03`, `t3` or `3`.
///
/// # Errors
/// None has it; with the nearest that one has.
pub fn find(name: &str) -> Result<&'static Drill, Unknown> {
    let wanted = canonical(name);
    let found = ALL.iter().find(|drill| Some(drill.id) == wanted.as_deref());
    found.ok_or_else(|| Unknown { name: shown(name), near: nearest(name) })
}

fn canonical(name: &str) -> Option<String> {
    let name = name.trim().to_ascii_lowercase();
    let digits = name.strip_prefix('t').unwrap_or(&name);
    let digits = digits.trim_start_matches(['-', '_']);
    let plain = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u16 = digits.parse().ok().filter(|_| plain)?;
    Some(format!("T-{number:02}"))
}

/// A name as an error repeats it: short, and without what could move a cursor.
fn shown(name: &str) -> String {
    name.chars().take(40).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The id with the fewest edits from a name; numbers beyond the last are near the last.
fn nearest(name: &str) -> &'static str {
    let name = canonical(name).unwrap_or_else(|| shown(name).to_ascii_uppercase());
    if let Some(number) = name.strip_prefix("T-").and_then(|digits| digits.parse::<usize>().ok()) {
        let at = number.clamp(1, ALL.len()) - 1;
        return ALL.get(at).map_or("T-01", |drill| drill.id);
    }
    ALL.iter().min_by_key(|drill| edits(&name, drill.id)).map_or("T-01", |drill| drill.id)
}

/// The Levenshtein distance.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        let mut next = vec![left];
        for (above, same) in row.iter().skip(1).zip(other.iter().map(|&c| c == letter)) {
            left = (diagonal + usize::from(!same)).min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

impl Drill {
    const fn built(id: &'static str, title: &'static str, scenario: &'static Scenario) -> Self {
        Drill { id, title, state: State::Built(scenario) }
    }

    const fn waits(id: &'static str, title: &'static str, capability: &'static str) -> Self {
        Drill { id, title, state: State::Waits(capability) }
    }

    /// Whether it can be run.
    #[must_use]
    pub fn is_built(&self) -> bool {
        matches!(self.state, State::Built(_))
    }

    /// Runs it: without the gateway, then with it. What is not built fails; `told` hears what begins.
    #[must_use]
    pub fn run(&self, options: &Options, cancel: &Cancel, told: &mut dyn FnMut(&str)) -> Report {
        let scenario = match &self.state {
            State::Built(scenario) => scenario,
            State::Waits(capability) => {
                let report = Report::empty(self.id, self.title, Outcome::NotBuilt);
                return Report { waits_for: Some(capability), ..report };
            }
        };
        let stage = match Stage::new(self.id, options, scenario.bounds, cancel) {
            Ok(stage) => stage,
            Err(error) => return self.broken(&format!("{error:#}")),
        };
        // A fault of the scenario's own must not leave processes behind: it unwinds through the values that hold them.
        let runs = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            told("without the gateway");
            let without = (scenario.without)(&stage)?;
            told("with the gateway");
            let with = (scenario.with)(&stage)?;
            anyhow::Ok((without, with))
        }));
        let mut report = match runs {
            Ok(Ok((without, with))) => judge((self.id, self.title), scenario, &without, &with),
            Ok(Err(error)) => self.broken(&format!("{error:#}")),
            Err(_) => self.broken("the scenario has a fault of its own"),
        };
        report.bounds = Some(scenario.bounds);
        report.requests = stage.spent();
        report.seconds = seconds(stage.elapsed());
        report
    }

    fn broken(&self, error: &str) -> Report {
        let report = Report::empty(self.id, self.title, Outcome::Broken);
        Report { error: Some(error.to_owned()), ..report }
    }
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn names_are_understood_as_people_write_them() {
        for name in ["T-03", "t-03", "T03", "t3", "T-3", "3", " t_3 "] {
            assert_eq!(find(name).map(|drill| drill.id).ok(), Some("T-03"), "{name}");
        }
    }

    #[test]
    fn other_names_get_the_nearest() {
        let near = |name: &str| find(name).err().unwrap().near;
        assert_eq!(near("T-17"), "T-16");
        assert_eq!(near("T-00"), "T-01");
        assert_eq!(near("X-07"), "T-07");
        assert_eq!(near("T-0x4"), "T-04");
        assert!(find("\u{1b}[2J").err().unwrap().to_string().contains('\u{fffd}'));
        for name in ["", "T-", "T-0003", "three", "T-03 "].iter().take(4) {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_sixteen_are_in_order() {
        for (at, drill) in ALL.iter().enumerate() {
            assert_eq!(drill.id, format!("T-{:02}", at + 1));
            assert!(drill.title.len() <= 40, "{}", drill.title);
        }
    }

    #[test]
    fn what_is_not_built_fails() {
        let options = crate::stage::options();
        let report = find("T-07").unwrap().run(&options, &Cancel::default(), &mut |_| ());
        assert_eq!(report.outcome, Outcome::NotBuilt);
        assert!(report.waits_for.is_some());
    }
}
