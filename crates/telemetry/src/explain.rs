//! One decision told to a person: a screen, not a dump. Events and answers of `explain` are told by the same words.

mod change;
mod screen;
#[cfg(test)]
mod tests;
mod words;

use bartizan_model::Event;
use serde_json::Value;

pub use change::{Change, narrowest};
use screen::{Cell, Screen, Tone};
use words::{bytes, duration, list, number, text};

/// How a screen looks.
#[derive(Clone, Debug)]
pub struct Look {
    /// Columns that text is wrapped to; 40 at least.
    pub width: usize,
    /// Whether words may be coloured.
    pub color: bool,
    /// Where the policy says what decided, such as `bartizan.yaml:14:5`, where the event itself does not tell.
    pub place: Option<String>,
}

impl Look {
    /// Plain text of a width.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Look { width, color: false, place: None }
    }
}

/// Tells an event.
#[must_use]
pub fn explain_event(event: &Event, look: &Look) -> String {
    explain_value(&serde_json::to_value(event).unwrap_or_default(), look)
}

/// Tells an event that was read back as JSON, or an answer of `bartizan explain`.
#[must_use]
pub fn explain_value(value: &Value, look: &Look) -> String {
    let mut screen = Screen::new(look.width, look.color);
    screen.paragraph(words::tone(value), "", &words::headline(value));
    match text(value, "kind").as_str() {
        kind @ ("connection" | "control") => {
            if kind == "connection" {
                changes(&mut screen, value);
            }
            screen.gap();
            screen.field("event", &moment(value));
        }
        _ => exchange(&mut screen, value, look),
    }
    screen.finish()
}

/// Tells events in a line each, as they come.
#[must_use]
pub fn explain_list(values: &[Value], look: &Look) -> String {
    let mut screen = Screen::new(look.width, look.color);
    let rows: Vec<_> = values.iter().map(|value| (words::tone(value), words::brief(value))).collect();
    screen.lines(&rows);
    screen.finish()
}

fn exchange(screen: &mut Screen, value: &Value, look: &Look) {
    steps(screen, value);
    findings(screen, value);
    trusted(screen, value);
    changes(screen, value);
    screen.gap();
    screen.field("policy", &policy(value, look));
    screen.field("matched", &matched(value));
    let score = words::score(value);
    if !score.is_empty() {
        screen.field("score", &score);
    }
    screen.field("client saw", &words::seen(value));
    screen.field("upstream", &upstream(value));
    if !words::is_question(value) {
        let (all, received, released) =
            (number(value, "duration_us"), number(value, "bytes_in"), number(value, "bytes_out"));
        let told =
            format!("{} in all, {} received, {} released", duration(all), bytes(received), bytes(released));
        screen.field("timing", &told);
        screen.field("event", &moment(value));
    }
}

/// The guards that looked, in their order, the one that decided marked; those that are not mounted in one line.
fn steps(screen: &mut Screen, value: &Value) {
    let lines = words::steps(value);
    screen.section("Steps");
    if lines.is_empty() {
        return screen
            .note("not kept: nothing was held against the request (`bartizan run --trace` keeps them all)");
    }
    let mut rows = Vec::new();
    let mut absent: Vec<String> = Vec::new();
    let mut stopped = false;
    for line in lines {
        let (guard, mode, code) = (text(line, "guard"), text(line, "mode"), text(line, "code"));
        let (tone, mark, decision) = match text(line, "decision").as_str() {
            "skipped" => {
                if !absent.contains(&guard) {
                    absent.push(guard);
                }
                continue;
            }
            "continued" => (Tone::Plain, "", "passed".to_owned()),
            "answered" => (Tone::Good, "->", "answered itself".to_owned()),
            "watched" => (Tone::Warn, "", format!("would refuse: {code}")),
            "refused" => (Tone::Bad, "->", format!("refused: {code}")),
            other => (Tone::Plain, "", other.to_owned()),
        };
        stopped = mark == "->";
        let phase = text(line, "phase");
        let later = if phase == "request_headers" { String::new() } else { format!(" ({phase})") };
        rows.push((
            tone,
            [Cell::new(mark), Cell::new(&guard), Cell::new(&mode), Cell::new(&format!("{decision}{later}"))],
        ));
    }
    if let Some((tone, cells)) = words::end_outside_guards(value) {
        rows.push((tone, cells.map(|cell| Cell::new(&cell))));
    }
    // A guard that looks twice, by address and by caller, is mounted when it is so once.
    absent.retain(|guard| !rows.iter().any(|(_, cells)| cells.get(1).is_some_and(|cell| cell.is(guard))));
    screen.table(&rows);
    let later = stopped.then(|| "what comes later was not asked".to_owned());
    let absent = (!absent.is_empty()).then(|| format!("not mounted: {}", absent.join(", ")));
    let notes: Vec<String> = absent.into_iter().chain(later).collect();
    if !notes.is_empty() {
        screen.note(&notes.join("; "));
    }
}

/// Findings with the same code that a screen has room for.
const MAX_ALIKE: usize = 5;

fn findings(screen: &mut Screen, value: &Value) {
    let findings = list(value, "findings");
    if findings.is_empty() {
        return;
    }
    screen.section("Findings");
    let kind = |finding: &Value| (text(finding, "code"), words::is_watched(finding));
    for group in findings.chunk_by(|one, next| kind(one) == kind(next)) {
        let Some(first) = group.first() else { continue };
        let watched = words::is_watched(first);
        let stopped = if watched { ", in monitor mode: it stopped nothing" } else { "" };
        let tone = if watched { Tone::Warn } else { Tone::Plain };
        let severity = match group {
            [one] => text(one, "severity"),
            _ => format!("{} times", group.len()),
        };
        let head = format!("{} ({severity}, by {}{stopped})", text(first, "code"), text(first, "guard"));
        screen.paragraph(tone, "   ", &head);
        for finding in group.iter().take(MAX_ALIKE) {
            screen.paragraph(Tone::Plain, "      ", &text(finding, "detail"));
        }
        if let more @ 1.. = group.len().saturating_sub(MAX_ALIKE) {
            screen.note(&format!("and {more} more, which `--output json` has"));
        }
    }
    let dropped = number(value, "findings_dropped");
    if dropped > 0 {
        screen.note(&format!("and {dropped} more that were not kept"));
    }
}

/// Values of which the contract proves something, and what rules still look for in them.
fn trusted(screen: &mut Screen, value: &Value) {
    let Some(told) = value.get("trusted").filter(|told| !told.is_null()) else { return };
    screen.section("Values that the contract proves harmless");
    let all = list(told, "values");
    for value in all.iter().take(MAX_TRUSTED) {
        let (name, proof) = (text(value, "value"), text(value, "proof"));
        let (tests, left) = (number(value, "tests"), number(value, "left"));
        let what = match left {
            0 => format!("{name} ({proof}): none of {tests} tests of rules can match, not looked at"),
            _ => format!("{name} ({proof}): {left} of {tests} tests of rules could match, looked at"),
        };
        screen.paragraph(Tone::Plain, "   ", &what);
    }
    let count = number(told, "count");
    if let more @ 1.. = count.saturating_sub(MAX_TRUSTED.min(all.len()) as u64) {
        screen.note(&format!("and {more} more"));
    }
}

/// Proved values that a screen has room for.
const MAX_TRUSTED: usize = 20;

/// The narrowest change for what decided; where nothing did, for what is only watched.
fn changes(screen: &mut Screen, value: &Value) {
    let Some(finding) = words::decider(value) else { return };
    let change = narrowest(value, &finding);
    if change == Change::default() {
        return;
    }
    screen.section(if words::is_watched(&finding) {
        "What would let it pass once it is enforced"
    } else {
        "What would let it pass"
    });
    if let Some(caller) = &change.caller {
        screen.paragraph(Tone::Plain, "   the client:  ", caller);
    }
    if let Some(policy) = &change.policy {
        screen.paragraph(Tone::Plain, "   the policy:  ", policy);
    }
    if let Some(yaml) = &change.yaml {
        for line in yaml.lines() {
            screen.verbatim("      ", line);
        }
    }
    if let Some(command) = &change.command {
        screen.paragraph(Tone::Plain, "   the command: ", &format!("`{command}`"));
    }
}

fn policy(value: &Value, look: &Look) -> String {
    let place = match text(value, "place") {
        place if place.is_empty() => look.place.clone().unwrap_or_default(),
        place => place,
    };
    let place = if place.is_empty() { place } else { format!("{place}, ") };
    let mode = text(value, "mode");
    let mode = if mode.is_empty() { mode } else { format!(", mode {mode}") };
    format!("{place}generation {}{mode}", number(value, "generation"))
}

fn matched(value: &Value) -> String {
    match (text(value, "api"), text(value, "operation")) {
        (api, _) if api.is_empty() => "no API".to_owned(),
        (api, operation) if operation.is_empty() => format!("API {api}, no operation"),
        (api, operation) if operation == "unknown" => format!("API {api}, an operation that nothing names"),
        (api, operation) => format!("API {api}, operation {operation}"),
    }
}

fn upstream(value: &Value) -> String {
    if words::is_question(value) {
        let backends: Vec<String> =
            list(value, "backends").iter().filter_map(Value::as_str).map(words::disarmed).collect();
        let forwarded = text(value, "verdict") == "allow" && text(value, "by").is_empty();
        return if forwarded && !backends.is_empty() {
            format!("nothing was sent; it would go to {}", backends.join(" or "))
        } else {
            "nothing was sent".to_owned()
        };
    }
    let attempts = number(value, "attempts");
    if attempts == 0 {
        return "nothing was forwarded".to_owned();
    }
    let plural = if attempts == 1 { "attempt" } else { "attempts" };
    let backend = text(value, "backend");
    match value.get("upstream_wait_us").and_then(Value::as_u64) {
        Some(wait) => format!("{backend}, first byte after {}, {attempts} {plural}", duration(wait)),
        None if backend.is_empty() => format!("no backend answered, {attempts} {plural}"),
        None => format!("{backend} did not answer, {attempts} {plural}"),
    }
}

fn moment(value: &Value) -> String {
    format!("{} at {}", text(value, "id"), text(value, "time"))
}
