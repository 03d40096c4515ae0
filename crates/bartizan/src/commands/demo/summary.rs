//! What is said at the end: how people fared, what became of the attacks, and where to look next.

use serde_json::{Value, json};

use super::{
    kinds::{needs, title},
    score::Score,
    view::Facts,
    words::{clock, count, duration, percent},
};

/// For people.
pub fn text(score: &Score, facts: &Facts, kept: bool) -> String {
    let mut lines = Vec::new();
    let people = &score.people;
    lines.push(format!(
        "The demo ended after {}, {} requests.",
        clock(facts.elapsed),
        count(score.verdicts.total())
    ));
    lines.push(String::new());
    lines.push(format!(
        "People   {} of {} requests succeeded, half within {}, 99% within {}",
        percent(people.success()),
        count(people.sent),
        duration(people.percentile(50)),
        duration(people.percentile(99))
    ));
    lines.extend(people.wrong.iter().map(|wrong| format!("         not as it should: {wrong}")));
    if !facts.cast.is_empty() {
        attacks(&mut lines, score, facts);
    }
    lines.push(String::new());
    lines.push("Where to look next".to_owned());
    let Facts { program, state, .. } = facts;
    if kept {
        lines.push(format!("  {program} why EVENT --state {}", state));
    } else {
        lines.push(format!("  {program} demo --state kept   # keeps events for `why`"));
    }
    lines.push(format!("  {program} demo --print-policy > mine.yaml   # for `--policy`"));
    lines.push(format!("  {program} run --upstream http://127.0.0.1:3000   # your own API"));
    lines.join("\n")
}

fn attacks(lines: &mut Vec<String>, score: &Score, facts: &Facts) {
    lines.push(String::new());
    lines.push(format!("{:<24}{:>8}{:>9}{:>9}   to be stopped by", "Attacks", "tried", "stopped", "through"));
    let line = |name: &str, tally: super::score::Tally, note: &str| {
        let (tried, stopped, through) = (count(tally.tried), count(tally.stopped), count(tally.through));
        format!("{name:<24}{tried:>8}{stopped:>9}{through:>9}   {note}").trim_end().to_owned()
    };
    for kind in &facts.cast {
        let tally = score.attack(*kind);
        lines.push(line(title(*kind), tally, if tally.through > 0 { needs(*kind) } else { "" }));
    }
    let all = score.attacks();
    lines.push(line("all", all, ""));
    let lost = all.tried.saturating_sub(all.stopped + all.through);
    if lost > 0 {
        lines.push(format!("{} attack requests were not answered at all.", count(lost)));
    }
}

/// For programs.
pub fn json(score: &Score, facts: &Facts) -> Value {
    let people = &score.people;
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let tally = |tally: super::score::Tally| json!({ "tried": tally.tried, "stopped": tally.stopped, "through": tally.through });
    let attacks: serde_json::Map<String, Value> =
        facts.cast.iter().map(|kind| (kind.name().to_owned(), tally(score.attack(*kind)))).collect();
    let reasons: serde_json::Map<String, Value> =
        score.reasons().into_iter().map(|(reason, count)| (reason.to_owned(), json!(count))).collect();
    json!({
        "seed": facts.seed,
        "seconds": facts.elapsed.as_secs_f64(),
        "requests": score.verdicts.total(),
        "first_stop_seconds": score.first_stop.map(|time| time.as_secs_f64()),
        "people": {
            "sent": people.sent,
            "succeeded": people.succeeded,
            "refused": people.stopped,
            "p50_us": micros(people.percentile(50)),
            "p99_us": micros(people.percentile(99)),
            "wrong": people.wrong,
        },
        "attacks": tally(score.attacks()),
        "by_kind": attacks,
        "reasons": reasons,
    })
}
