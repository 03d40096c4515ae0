//! The table for people: plain text that fits 80 columns.

use std::fmt::Write as _;

use crate::{Drill, Judged, Options, Outcome, Report, Series, State};

/// Columns that a line takes at most.
const WIDTH: usize = 80;

/// The sixteen with their state.
#[must_use]
pub fn catalogue_table(drills: &[Drill]) -> String {
    let mut out = format!("{:<6}{:<42}{}\n", "drill", "attack", "state");
    for drill in drills {
        let state = match drill.state {
            State::Built(_) => "built".to_owned(),
            State::Waits(capability) => format!("needs {capability}"),
        };
        let _ = writeln!(out, "{:<6}{:<42}{state}", drill.id, drill.title);
    }
    out
}

/// One drill's screen.
#[must_use]
pub fn drill_text(report: &Report, options: &Options) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", report.id, report.title);
    if let Some(capability) = report.waits_for {
        let _ = writeln!(out, "\nnot built: it waits for {capability}");
        return out;
    }
    if let (Some(without), Some(with)) = (&report.without, &report.with) {
        let _ = writeln!(
            out,
            "\n{:<9}{:>8}{:>8}{:>7}{:>6}{:>14}{:>14}{:>10}",
            "gateway", "attacks", "blocked", "leaked", "taken", "first finding", "legitimate", "p99"
        );
        row(&mut out, "without", without);
        row(&mut out, "with", with);
    }
    judged(&mut out, "Without the gateway the attack works", "seen", "absent", &report.proofs);
    judged(&mut out, "With the gateway", "pass", "MISS", &report.criteria);
    for series in [&report.without, &report.with].into_iter().flatten() {
        for note in &series.notes {
            wrapped(&mut out, "  - ", note);
        }
    }
    let _ = writeln!(out);
    wrapped(&mut out, "", &format!("{} {}", report.id, verdict(report)));
    if let Some(bounds) = report.bounds {
        let form = if options.short { ", short form" } else { "" };
        let scale = if options.scale > 1.0 { format!(", scale {}", options.scale) } else { String::new() };
        let text = format!(
            "seed {}{form}{scale}; {} of at most {} requests, {} of at most {} s",
            options.seed, report.requests, bounds.requests, report.seconds, bounds.seconds
        );
        wrapped(&mut out, "", &text);
    }
    out
}

/// One line for several drills.
#[must_use]
pub fn summary_text(reports: &[Report]) -> String {
    let count = |wanted: &[Outcome]| reports.iter().filter(|r| wanted.contains(&r.outcome)).count();
    format!(
        "{} passed, {} failed, {} not shown",
        count(&[Outcome::Passed]),
        count(&[Outcome::Missed, Outcome::ProvesNothing, Outcome::Broken]),
        count(&[Outcome::NotBuilt])
    )
}

fn verdict(report: &Report) -> String {
    let met = report.criteria.iter().filter(|one| one.pass).count();
    let of = report.criteria.len();
    match report.outcome {
        Outcome::Passed => format!("passed: {met} of {of} criteria are met"),
        Outcome::Missed => format!("MISSED: {met} of {of} criteria are met"),
        Outcome::ProvesNothing => "PROVES NOTHING: the attack did not succeed without the gateway".to_owned(),
        Outcome::Broken => {
            format!("COULD NOT BE RUN: {}", report.error.as_deref().unwrap_or("no reason is known"))
        }
        Outcome::NotBuilt => "is not built".to_owned(),
    }
}

fn row(out: &mut String, name: &str, series: &Series) {
    let time = |ms: Option<f64>| match ms {
        None => "-".to_owned(),
        Some(ms) if ms >= 1_000.0 => format!("{:.1} s", ms / 1_000.0),
        Some(ms) => format!("{ms:.1} ms"),
    };
    let people = if series.legitimate == 0 {
        "-".to_owned()
    } else {
        format!("{}/{}", series.succeeded, series.legitimate)
    };
    let _ = writeln!(
        out,
        "{name:<9}{:>8}{:>8}{:>7}{:>6}{:>14}{people:>14}{:>10}",
        series.attacks,
        series.blocked,
        series.leaked,
        series.taken,
        time(series.first_finding_ms),
        time(series.p99_ms)
    );
}

fn judged(out: &mut String, title: &str, good: &str, bad: &str, list: &[Judged]) {
    if list.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for one in list {
        let word = if one.pass { good } else { bad };
        let measured = one.measured.map_or_else(|| "not measured".to_owned(), number);
        let wanted = match (one.rule, number(one.wanted)) {
            ("at_least", wanted) => format!(" (at least {wanted})"),
            ("at_most", wanted) => format!(" (at most {wanted})"),
            // What was asked for is what was found: said once.
            (_, wanted) if wanted == measured => String::new(),
            (_, wanted) => format!(" (not {wanted})"),
        };
        wrapped(out, &format!("  {word:<7}"), &format!("{}: {measured}{wanted}", one.text));
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Wraps at spaces; `lead` stands before the first line and its width in spaces before the others.
fn wrapped(out: &mut String, lead: &str, text: &str) {
    out.push_str(lead);
    let indent = lead.chars().count();
    let mut column = indent;
    for (at, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::all;

    fn series() -> Series {
        Series {
            attacks: 1_000,
            blocked: 1_000,
            leaked: 1_000,
            taken: 1_000,
            first_finding_ms: Some(99_999.0),
            legitimate: 10_000,
            succeeded: 10_000,
            p99_ms: Some(999.9),
            values: [].into(),
            notes: vec!["a note that goes on and on ".repeat(8)],
        }
    }

    fn judged(pass: bool) -> Judged {
        let text = "requests over plain HTTP of which anything at all reached an upstream of the bank";
        Judged {
            key: "k",
            text,
            rule: "exactly",
            wanted: 0.0,
            measured: Some(f64::from(u8::from(!pass))),
            pass,
        }
    }

    #[test]
    fn everything_fits_eighty_columns() {
        let options = Options { seed: u64::MAX, scale: 3_600.0, ..crate::stage::options() };
        let report = Report {
            bounds: Some(crate::Bounds { requests: 100_000, seconds: 100_000 }),
            without: Some(series()),
            with: Some(series()),
            proofs: vec![judged(true)],
            criteria: vec![judged(true), judged(false)],
            ..Report::empty("T-03", "t", Outcome::Missed)
        };
        let text = drill_text(&report, &options) + &catalogue_table(all());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(text.contains("MISS") && text.contains("(not 0)"), "{text}");
    }
}
