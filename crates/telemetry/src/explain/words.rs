//! Plain words for what events and answers say.

use serde_json::{Value, json};

use super::screen::Tone;

/// A field as text, safe for a terminal.
pub fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => disarmed(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Without what could move a terminal's cursor or turn its text around: control characters, and the marks of Unicode's
/// bidirectional algorithm and of no width.
pub fn disarmed(text: &str) -> String {
    let harms = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if harms(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or(0)
}

pub fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

pub fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{} KiB", count / 1_024),
        _ => format!("{} MiB", count / 1_048_576),
    }
}

/// Whether this is an answer of `bartizan explain`: nothing has happened.
pub fn is_question(value: &Value) -> bool {
    value.get("steps").is_some()
}

/// Each guard's decision.
pub fn steps(value: &Value) -> &[Value] {
    if is_question(value) { list(value, "steps") } else { list(value, "trace") }
}

pub fn is_watched(finding: &Value) -> bool {
    text(finding, "mode") == "monitor"
}

pub fn tone(value: &Value) -> Tone {
    match (text(value, "kind").as_str(), text(value, "verdict").as_str()) {
        ("connection", _) => Tone::Bad,
        ("control", _) => Tone::Plain,
        (_, "allow") if list(value, "findings").iter().any(is_watched) => Tone::Warn,
        (_, "allow") => Tone::Good,
        (_, "abort") => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// The finding that decided, or where nothing did, the first that is only watched. A refusal that left no finding is made one.
pub fn decider(value: &Value) -> Option<Value> {
    let findings = list(value, "findings");
    let connection = text(value, "kind") == "connection";
    let reason = text(value, if connection { "code" } else { "reason" });
    if reason.is_empty() {
        return findings.iter().find(|finding| is_watched(finding)).cloned();
    }
    let decided = findings.iter().find(|finding| !is_watched(finding) && text(finding, "code") == reason);
    Some(decided.cloned().unwrap_or_else(
        || json!({ "guard": text(value, "by"), "code": reason, "detail": why(value), "mode": "enforce" }),
    ))
}

/// The row of an end that no guard made, such as a backend that does not answer: mark, stage, mode, decision.
pub fn end_outside_guards(value: &Value) -> Option<(Tone, [String; 4])> {
    let reason = text(value, "reason");
    let told = steps(value).iter().any(|line| text(line, "decision") == "refused");
    if told || reason.is_empty() {
        return None;
    }
    let by = match text(value, "by") {
        by if by.is_empty() => reason.split('.').next().unwrap_or_default().to_owned(),
        by => by,
    };
    let failed = if text(value, "verdict") == "error" { "failed" } else { "ended" };
    Some((tone(value), ["->".to_owned(), by, String::new(), format!("{failed}: {reason}")]))
}

/// Why it ended so, in the words of whoever decided.
fn why(value: &Value) -> String {
    let reason = text(value, "reason");
    let findings = list(value, "findings");
    let detail = findings.iter().find(|finding| !is_watched(finding) && text(finding, "code") == reason);
    match (detail.map(|finding| text(finding, "detail")), text(value, "detail")) {
        (Some(detail), _) if !detail.is_empty() => detail,
        (_, detail) if !detail.is_empty() => detail,
        _ => match reason.as_str() {
            "" => String::new(),
            "client.aborted" => "the client closed the connection before the exchange was whole".to_owned(),
            "listener.redirect_to_https" => "this listener sends everybody to HTTPS".to_owned(),
            "ingress.body_too_large" => "the body grew beyond `max_body`".to_owned(),
            "ingress.body_too_slow" => "the body came too slowly".to_owned(),
            "ingress.exchange_too_long" => "it was not whole within `bounds.total_timeout`".to_owned(),
            "upstream.unavailable" => "every backend is out, by health or ejection".to_owned(),
            "upstream.exhausted" => "the backend's `max_connections` were all busy".to_owned(),
            "upstream.connect" => "the backend cannot be reached".to_owned(),
            "upstream.connect_timeout" => "connecting took longer than `timeouts.connect`".to_owned(),
            "upstream.tls" => "the backend's certificate or its name is not valid".to_owned(),
            "upstream.forbidden" => "the backend's address is this gateway's own".to_owned(),
            "upstream.broken" => "the backend closed the connection or broke the protocol".to_owned(),
            "upstream.timeout" => "no answer began within `timeouts.first_byte`".to_owned(),
            "upstream.truncated" => "the backend ended its answer too early".to_owned(),
            "upstream.body_timeout" => "the backend's answer stood still for too long".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// Who asked, as far as anybody had looked.
fn who(value: &Value) -> String {
    let at = match text(value, "client") {
        ip if ip.is_empty() => String::new(),
        ip => format!(" at {ip}"),
    };
    if let Some(principal) = value.get("principal").filter(|principal| !principal.is_null()) {
        let (subject, issuer, by) =
            (text(principal, "subject"), text(principal, "issuer"), text(principal, "credential"));
        let of = if issuer.is_empty() { issuer } else { format!(" of {issuer}") };
        let by = if by.is_empty() { by } else { format!(" ({by})") };
        return format!("`{subject}`{of}{by}{at}");
    }
    let identity = steps(value).iter().find(|line| text(line, "guard") == "identity");
    match identity.map(|line| text(line, "decision")).as_deref() {
        Some("continued") => format!("An anonymous client{at}"),
        _ => format!("A client{at}"),
    }
}

/// Whether the gateway took what came for one request of one reading.
fn is_readable(value: &Value) -> bool {
    !(text(value, "path").is_empty() || text(value, "by") == "ingress" && text(value, "api").is_empty())
}

/// What was asked for. A request that could not be read is asked for nothing.
fn what(value: &Value) -> String {
    match (text(value, "method"), text(value, "path")) {
        _ if !is_readable(value) => "a request".to_owned(),
        (method, path) => format!("{method} {path}"),
    }
}

/// The answer in plain words: who asked for what, what was decided, by which guard, and why.
pub fn headline(value: &Value) -> String {
    match text(value, "kind").as_str() {
        "connection" => {
            let told = match text(value, "detail") {
                detail if detail.is_empty() => text(value, "code"),
                detail => format!("{detail} ({})", text(value, "code")),
            };
            return format!("A connection from {} was refused before HTTP: {told}.", text(value, "client"));
        }
        "control" => {
            let from = match text(value, "client") {
                ip if ip.is_empty() => ip,
                ip => format!(" from {ip}"),
            };
            let (code, actor, detail) = (text(value, "code"), text(value, "actor"), text(value, "detail"));
            return format!("{actor}{from} changed something: {code}, {detail}.");
        }
        _ => {}
    }
    let asks = match (is_question(value), is_readable(value)) {
        (true, true) => "asks for",
        (true, false) => "sends",
        (false, true) => "asked for",
        (false, false) => "sent",
    };
    let mut out = format!("{} {asks} {} and {}", who(value), what(value), decided(value));
    let why = why(value);
    if !why.is_empty() {
        out.push_str(&format!(": {why}"));
    }
    out.push('.');
    let watched: Vec<String> = list(value, "findings")
        .iter()
        .filter(|finding| is_watched(finding))
        .map(|f| format!("`{}`", text(f, "guard")))
        .collect();
    if let (Some(first), "allow") = (watched.first(), text(value, "verdict").as_str()) {
        out.push_str(&format!(" {first} would have refused it, but only watches."));
    }
    out
}

fn decided(value: &Value) -> String {
    let question = is_question(value);
    let be = if question { "would be" } else { "was" };
    let by = match text(value, "by") {
        by if by.is_empty() => by,
        by => format!(" by `{by}`"),
    };
    let status = match number(value, "status") {
        0 => String::new(),
        status => format!(" with {status}"),
    };
    match text(value, "verdict").as_str() {
        "allow" if !by.is_empty() => format!("{be} answered{by} itself{status}"),
        "allow" if question => "would be let through".to_owned(),
        "allow" => match text(value, "backend") {
            backend if backend.is_empty() => format!("was let through and answered{status}"),
            backend => format!("was let through; {backend} answered{status}"),
        },
        "challenge" => format!("{be} asked for a credential{status}{by}"),
        "throttle" => format!("{be} turned away for now{status}{by}"),
        "abort" if status.is_empty() => "left before there was an answer".to_owned(),
        "abort" => "left before the answer was whole".to_owned(),
        "error" => format!("could not be served (status {}{by})", number(value, "status")),
        _ => format!("{be} refused{status}{by}"),
    }
}

/// What rules made of it, where any matched.
pub fn score(value: &Value) -> String {
    let Some(score) = value.get("score").filter(|score| score.is_object()) else { return String::new() };
    let (inbound, threshold) = (number(score, "inbound"), number(score, "inbound_threshold"));
    let (outbound, most) = (number(score, "outbound"), number(score, "outbound_threshold"));
    let mut told = match threshold {
        0 => return String::new(),
        threshold => format!("{inbound} of {threshold} that refuse"),
    };
    if outbound > 0 && most > 0 {
        told.push_str(&format!("; the response {outbound} of {most}"));
    }
    if score.get("near_miss").and_then(Value::as_bool) == Some(true) {
        told.push_str(": a near miss, one grave rule more would have refused it");
    }
    told
}

/// What went back to the client.
pub fn seen(value: &Value) -> String {
    let question = is_question(value);
    let (status, reason) = (number(value, "status"), text(value, "reason"));
    let verdict = text(value, "verdict");
    if status == 0 {
        return match (question, verdict.as_str()) {
            (true, "allow") => "the upstream's own answer".to_owned(),
            _ => "nothing".to_owned(),
        };
    }
    // Which check a credential failed is told to operators only.
    let hidden = verdict == "challenge" && reason.starts_with("identity.");
    let problem = if hidden { "identity.challenge".to_owned() } else { reason };
    if problem.is_empty() || (verdict == "abort" && number(value, "attempts") > 0) {
        return format!("{status}");
    }
    if (300..400).contains(&status) {
        return format!("{status} to another address");
    }
    format!("{status}, problem urn:bartizan:problem:{problem}")
}

/// A line of a list: id, time, status, client, reason, and what was asked for.
pub fn brief(value: &Value) -> [String; 6] {
    let time = text(value, "time");
    let time = time.split_once('.').map_or(time.as_str(), |(seconds, _)| seconds).replace('T', " ");
    let status = match number(value, "status") {
        0 => "---".to_owned(),
        status => status.to_string(),
    };
    let connection = text(value, "kind") == "connection";
    let reason = text(value, if connection { "code" } else { "reason" });
    let what = if connection { "a connection".to_owned() } else { what(value) };
    [text(value, "id"), time, status, text(value, "client"), reason, what]
}
