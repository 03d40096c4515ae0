//! The judge: measured values against criteria, and nothing else. It trusts no run to say of itself that it passed.

use crate::{
    Criterion, Figures, Scenario,
    report::{Judged, Outcome, Report, Series},
};

/// Judges what two runs of a scenario measured. Without proof that the attack works, nothing passes.
#[must_use]
pub fn judge(
    (id, title): (&'static str, &'static str),
    scenario: &Scenario,
    without: &Figures,
    with: &Figures,
) -> Report {
    let proofs: Vec<Judged> = scenario.proofs.iter().map(|proof| measure(proof, without)).collect();
    let mut criteria: Vec<Judged> =
        scenario.criteria.iter().map(|criterion| measure(criterion, with)).collect();
    criteria.extend(accounts_add_up(with));
    let all = |judged: &[Judged]| !judged.is_empty() && judged.iter().all(|one| one.pass);
    let outcome = match (all(&proofs), all(&criteria)) {
        (false, _) => Outcome::ProvesNothing,
        (true, false) => Outcome::Missed,
        (true, true) => Outcome::Passed,
    };
    Report {
        bounds: Some(scenario.bounds),
        without: Some(Series::from(without)),
        with: Some(Series::from(with)),
        proofs,
        criteria,
        ..Report::empty(id, title, outcome)
    }
}

fn measure(criterion: &Criterion, figures: &Figures) -> Judged {
    let measured = match criterion.key {
        "blocked_percent" => percent(figures.blocked, figures.attacks),
        "leaked" => Some(count(figures.leaked)),
        "taken" => Some(count(figures.taken)),
        "legitimate_percent" => percent(figures.legitimate.succeeded, figures.legitimate.requests),
        "legitimate_requests" => Some(count(figures.legitimate.requests)),
        "attacks" => Some(count(figures.attacks)),
        key => figures.values.get(key).copied(),
    };
    let (rule, wanted) = criterion.rule.parts();
    Judged {
        key: criterion.key,
        text: criterion.text,
        rule,
        wanted,
        measured,
        pass: measured.is_some_and(|value| value.is_finite() && criterion.rule.is_met(value)),
    }
}

/// A run that counts more blocked, leaked or answered than sent has counted wrongly: it is a miss of its own.
fn accounts_add_up(figures: &Figures) -> Option<Judged> {
    let legitimate = &figures.legitimate;
    let wrong = [
        figures.blocked > figures.attacks,
        figures.leaked > figures.attacks,
        legitimate.succeeded > legitimate.requests,
    ];
    let wrong = wrong.iter().filter(|&&wrong| wrong).count();
    (wrong > 0).then(|| Judged {
        key: "accounts",
        text: "counts that do not add up",
        rule: "exactly",
        wanted: 0.0,
        measured: Some(count(wrong as u64)),
        pass: false,
    })
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// `None` of nothing: a run without people or attacks shows nothing about them.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| count(part) * 100.0 / count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Legitimate, Rule};

    const SCENARIO: Scenario = Scenario {
        actors: "",
        traffic: "",
        truth: "",
        bounds: Bounds { requests: 1, seconds: 1 },
        proofs: &[Criterion { key: "read", text: "tokens read", rule: Rule::AtLeast(1.0) }],
        criteria: &[
            Criterion { key: "blocked_percent", text: "", rule: Rule::Exactly(100.0) },
            Criterion { key: "leaked", text: "", rule: Rule::Exactly(0.0) },
            Criterion { key: "bytes", text: "", rule: Rule::AtMost(0.0) },
            Criterion { key: "legitimate_percent", text: "", rule: Rule::AtLeast(100.0) },
        ],
        without: |_| Ok(Figures::default()),
        with: |_| Ok(Figures::default()),
    };

    fn proved() -> Figures {
        Figures { values: [("read", 1.0)].into(), ..Figures::default() }
    }

    fn good() -> Figures {
        Figures {
            attacks: 5,
            blocked: 5,
            legitimate: Legitimate { requests: 9, succeeded: 9, micros: vec![1; 9], missed: Vec::new() },
            values: [("bytes", 0.0)].into(),
            ..Figures::default()
        }
    }

    fn outcome(without: &Figures, change: impl FnOnce(&mut Figures)) -> Outcome {
        let mut with = good();
        change(&mut with);
        judge(("T-00", ""), &SCENARIO, without, &with).outcome
    }

    #[test]
    fn every_doctored_measure_is_a_miss() {
        assert_eq!(outcome(&proved(), |_| ()), Outcome::Passed);
        assert_eq!(outcome(&proved(), |f| f.blocked = 4), Outcome::Missed);
        assert_eq!(outcome(&proved(), |f| f.leaked = 1), Outcome::Missed);
        assert_eq!(outcome(&proved(), |f| f.count("bytes", 1)), Outcome::Missed);
        assert_eq!(outcome(&proved(), |f| f.legitimate.succeeded = 8), Outcome::Missed);
        assert_eq!(outcome(&proved(), |f| f.values.clear()), Outcome::Missed, "not measured");
        assert_eq!(outcome(&proved(), |f| f.values.extend([("bytes", f64::NAN)])), Outcome::Missed);
        assert_eq!(
            outcome(&proved(), |f| f.legitimate = Legitimate::default()),
            Outcome::Missed,
            "nobody asked"
        );
        assert_eq!(
            outcome(&proved(), |f| (f.attacks, f.blocked) = (0, 0)),
            Outcome::Missed,
            "nothing was attacked"
        );
        assert_eq!(outcome(&proved(), |f| f.attacks = 4), Outcome::Missed, "more blocked than sent");
    }

    #[test]
    fn an_attack_that_fails_by_itself_proves_nothing() {
        assert_eq!(outcome(&Figures::default(), |_| ()), Outcome::ProvesNothing);
        let none = Figures { values: [("read", 0.0)].into(), ..Figures::default() };
        assert_eq!(outcome(&none, |f| f.leaked = 1), Outcome::ProvesNothing);
    }

    #[test]
    fn the_p99_is_of_the_nearest_rank() {
        let of = |micros: Vec<u64>| Legitimate { micros, ..Legitimate::default() }.p99_micros();
        assert_eq!(of(Vec::new()), None);
        assert_eq!(of(vec![7]), Some(7));
        assert_eq!(of((1..=100).rev().collect()), Some(99));
        assert_eq!(of((1..=101).collect()), Some(100));
    }
}
