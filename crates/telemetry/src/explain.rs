//! One event told to a person: a screen, not a dump.

use std::fmt::Write as _;

use bartizan_model::Event;
use serde_json::Value;

/// Tells an event. `width` is the number of columns that text is wrapped to, at least 40.
#[must_use]
pub fn explain_event(event: &Event, width: usize) -> String {
    explain_value(&serde_json::to_value(event).unwrap_or_default(), width)
}

/// Tells an event that was read back as JSON.
#[must_use]
pub fn explain_value(event: &Value, width: usize) -> String {
    let mut screen = Screen { out: String::with_capacity(2048), width: width.clamp(40, 200) };
    match text(event, "kind").as_str() {
        "exchange" => exchange(&mut screen, event),
        "connection" => {
            screen.headline(&format!("Refused before HTTP: {}", text(event, "code")));
            screen.field("event", &moment(event));
            screen.field("client", &text(event, "client"));
            screen.field("because", &text(event, "detail"));
        }
        _ => {
            screen.headline(&format!("Changed: {}", text(event, "code")));
            screen.field("event", &moment(event));
            let from = text(event, "client");
            let from = if from.is_empty() { from } else { format!(" from {from}") };
            screen.field("by", &format!("{}{from}", text(event, "actor")));
            screen.field("what", &text(event, "detail"));
        }
    }
    screen.out
}

fn exchange(screen: &mut Screen, event: &Value) {
    screen.headline(&headline(event));
    screen.field("event", &moment(event));
    let api = text(event, "api");
    let api = if api.is_empty() { "no API matched".to_owned() } else { format!("API {api}") };
    screen.field(
        "request",
        &format!(
            "{} {} over {} ({})",
            text(event, "method"),
            text(event, "path"),
            text(event, "protocol"),
            text(event, "scheme")
        ),
    );
    let operation = text(event, "operation");
    let operation = if operation.is_empty() { operation } else { format!(", operation `{operation}`") };
    screen.field("matched", &format!("{api}{operation}"));
    screen.field("client", &client(event));
    screen.field("upstream", &upstream(event));
    screen.field(
        "timing",
        &format!(
            "{} in all, {} received, {} released",
            duration(number(event, "duration_us")),
            bytes(number(event, "bytes_in")),
            bytes(number(event, "bytes_out"))
        ),
    );
    screen.field(
        "policy",
        &format!("generation {}, mode {}", number(event, "generation"), text(event, "mode")),
    );
    steps(screen, event);
    findings(screen, event);
}

fn headline(event: &Value) -> String {
    let status = match number(event, "status") {
        0 => "no status was sent".to_owned(),
        status => format!("status {status}"),
    };
    let verdict = match text(event, "verdict").as_str() {
        "allow" => "Allowed".to_owned(),
        "deny" => "Denied".to_owned(),
        "challenge" => "Challenged".to_owned(),
        "throttle" => "Throttled".to_owned(),
        "abort" => "Aborted".to_owned(),
        "error" => "Failed".to_owned(),
        other => other.to_owned(),
    };
    match (text(event, "by"), text(event, "reason")) {
        (by, reason) if by.is_empty() && reason.is_empty() => format!("{verdict}, {status}"),
        (by, reason) if by.is_empty() => format!("{verdict}: {reason}, {status}"),
        (by, reason) => format!("{verdict} by {by}: {reason}, {status}"),
    }
}

fn client(event: &Value) -> String {
    let ip = text(event, "client");
    match event.get("principal") {
        Some(principal) if !principal.is_null() => format!(
            "{ip}, verified as `{}` of {} by {}",
            text(principal, "subject"),
            text(principal, "issuer"),
            text(principal, "credential")
        ),
        _ => format!("{ip}, not identified"),
    }
}

fn upstream(event: &Value) -> String {
    let attempts = number(event, "attempts");
    if attempts == 0 {
        return "nothing was forwarded".to_owned();
    }
    let wait = match event.get("upstream_wait_us").and_then(Value::as_u64) {
        Some(wait) => format!("first byte after {}", duration(wait)),
        None => "no answer".to_owned(),
    };
    let plural = if attempts == 1 { "attempt" } else { "attempts" };
    format!("{}, {wait}, {attempts} {plural}", text(event, "backend"))
}

fn steps(screen: &mut Screen, event: &Value) {
    let lines = list(event, "trace");
    if lines.is_empty() {
        return;
    }
    screen.section("Steps");
    for line in lines {
        let decision = match text(line, "decision").as_str() {
            "skipped" => "not mounted".to_owned(),
            "continued" => "nothing against it".to_owned(),
            "answered" => "answered itself".to_owned(),
            "watched" => format!("would refuse: {}", text(line, "code")),
            "refused" => format!("refused: {}", text(line, "code")),
            other => other.to_owned(),
        };
        let (guard, phase, mode) = (text(line, "guard"), text(line, "phase"), text(line, "mode"));
        let _ = writeln!(screen.out, "  {guard:<18} {phase:<16} {mode:<8} {decision}");
    }
}

fn findings(screen: &mut Screen, event: &Value) {
    let findings = list(event, "findings");
    if findings.is_empty() {
        return;
    }
    screen.section("Findings");
    for finding in findings {
        let watched = if text(finding, "mode") == "monitor" { ", monitor: it stopped nothing" } else { "" };
        let _ = writeln!(screen.out, "  {} ({}{watched})", text(finding, "code"), text(finding, "severity"));
        screen.paragraph("      ", &text(finding, "detail"));
        let remedy = text(finding, "remedy");
        if !remedy.is_empty() {
            screen.paragraph("      ", &format!("To let it pass: {remedy}"));
        }
    }
    let dropped = number(event, "findings_dropped");
    if dropped > 0 {
        let _ = writeln!(screen.out, "  and {dropped} more that were not kept");
    }
}

struct Screen {
    out: String,
    width: usize,
}

impl Screen {
    fn headline(&mut self, line: &str) {
        self.paragraph("", line);
    }

    fn section(&mut self, name: &str) {
        let _ = writeln!(self.out, "\n{name}");
    }

    fn field(&mut self, name: &str, value: &str) {
        self.paragraph(&format!("  {name:<10}"), value);
    }

    /// Wraps `value` at spaces; `lead` stands before the first line and its width in spaces before the others.
    fn paragraph(&mut self, lead: &str, value: &str) {
        self.out.push_str(lead);
        let mut column = lead.chars().count();
        let indent = column;
        for (index, word) in value.split_whitespace().enumerate() {
            let length = word.chars().count();
            if index > 0 && column + 1 + length > self.width {
                let _ = write!(self.out, "\n{:indent$}", "");
                column = indent;
            } else if index > 0 {
                self.out.push(' ');
                column += 1;
            }
            self.out.push_str(word);
            column += length;
        }
        self.out.push('\n');
    }
}

/// A field as text, safe for a terminal: control characters, which could move its cursor, are replaced.
fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => {
            text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
        }
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn moment(event: &Value) -> String {
    format!("{} at {}", text(event, "id"), text(event, "time"))
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{} KiB", count / 1_024),
        _ => format!("{} MiB", count / 1_048_576),
    }
}
