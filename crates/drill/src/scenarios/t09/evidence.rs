//! The record of an incident, from the audit log: who asked for whose records, when, and that none left.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use bartizan_testkit::Gateway;
use serde_json::{Value, json};

/// What the audit log says of refusals by ownership.
pub struct Trail {
    /// The events of callers, by subject, in order.
    events: BTreeMap<String, Vec<Value>>,
}

impl Trail {
    /// Reads what the gateway has written until now.
    pub fn read(gateway: &Gateway) -> Self {
        let log = fs::read_to_string(gateway.dir.path().join("var/audit.jsonl")).unwrap_or_default();
        let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let Some(subject) = event.pointer("/principal/subject").and_then(Value::as_str) else { continue };
            if codes(&event).any(|code| code.starts_with("ownership.")) {
                events.entry(subject.to_owned()).or_default().push(event);
            }
        }
        for all in events.values_mut() {
            all.sort_by_key(|event| text(event, "id"));
        }
        Trail { events }
    }

    /// Whether a caller was told of.
    pub fn told_of(&self, subject: &str) -> bool {
        self.events.get(subject).is_some_and(|events| events.iter().any(is_told))
    }

    /// Foreign records that a caller had asked for when it was told of, that one included.
    pub fn foreign_until_told(&self, subject: &str) -> u64 {
        let events = self.events.get(subject).map(Vec::as_slice).unwrap_or_default();
        let at = events.iter().position(is_told).map_or(events.len(), |at| at + 1);
        let foreign = |event: &&Value| codes(event).any(|code| code == "ownership.foreign");
        events.iter().take(at).filter(foreign).count() as u64
    }

    /// Callers that were told of, each with what it tried.
    fn incidents(&self) -> Vec<Value> {
        let told = self.events.iter().filter(|(_, events)| events.iter().any(is_told));
        let incident = |(subject, events): (&String, &Vec<Value>)| {
            let mut operations: BTreeMap<String, usize> = BTreeMap::new();
            for event in events {
                *operations.entry(text(event, "operation")).or_default() += 1;
            }
            let refused = events.iter().filter(|event| text(event, "verdict") == "deny").count();
            let finding = events.iter().find(|event| is_told(event));
            json!({
                "subject": subject,
                "first_attempt": events.first().map(|event| text(event, "time")),
                "first_finding": finding.map(|event| text(event, "time")),
                "last_attempt": events.last().map(|event| text(event, "time")),
                "attempts_by_operation": operations,
                "attempts": events.len(),
                "refused": refused,
                "records_disclosed": events.len() - refused,
                "events": events.iter().map(|event| text(event, "id")).collect::<Vec<_>>(),
            })
        };
        told.map(incident).collect()
    }

    /// For programs.
    pub fn as_json(&self) -> String {
        let report = json!({
            "report": "access to records of other people, attempted and refused",
            "controls": ["45 CFR 164.308(a)(6)(ii)", "45 CFR 164.312(a)(1)", "45 CFR 164.312(b)"],
            "incidents": self.incidents(),
        });
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }

    /// For people.
    pub fn as_markdown(&self) -> String {
        let mut out = String::from(
            "# Access to records of other people, attempted and refused\n\n\
             Security incidents as 45 CFR 164.308(a)(6)(ii) has them documented, from the audit trail of 164.312(b). Each \
             event is in the audit log; `bartizan why EVENT` tells it.\n\n\
             | subject | first attempt | first finding | last attempt | attempts | refused | disclosed |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for incident in self.incidents() {
            let cell = |field: &str| match incident.get(field) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            let times = ["subject", "first_attempt", "first_finding", "last_attempt"].map(cell).join(" | ");
            let counts = ["attempts", "refused", "records_disclosed"].map(cell).join(" | ");
            let _ = writeln!(out, "| {times} | {counts} |");
        }
        out
    }
}

fn is_told(event: &Value) -> bool {
    codes(event).any(|code| code == "ownership.enumeration")
}

fn codes(event: &Value) -> impl Iterator<Item = &str> {
    let findings = event.get("findings").and_then(Value::as_array).into_iter().flatten();
    findings.filter_map(|finding| finding.get("code")?.as_str())
}

fn text(event: &Value, field: &str) -> String {
    event.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
