//! Audits as SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lines.

use serde_json::{Value, json};

use super::{Audit, RULES, Severity};

/// One run with every rule and every finding.
#[must_use]
pub fn sarif(audit: &Audit, version: &str) -> Value {
    let level = |severity: Severity| match severity {
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    };
    // As GitHub reads it: 7.0 to 8.9 is high, 4.0 to 6.9 medium, below that low.
    let graded = |severity: Severity| match severity {
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    };
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            let tags: Vec<&str> =
                ["security", rule.owasp].into_iter().filter(|tag| !tag.is_empty()).collect();
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.why },
                "help": { "text": rule.remedy },
                "defaultConfiguration": { "level": level(rule.severity) },
                "properties": { "tags": tags, "security-severity": graded(rule.severity) },
            })
        })
        .collect();
    let results: Vec<Value> = audit
        .findings
        .iter()
        .map(|finding| {
            let index = RULES.iter().position(|rule| rule.id == finding.rule);
            let mut location = json!({});
            if let Some(place) = &finding.place {
                location = json!({ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&place.file) },
                    "region": { "startLine": place.line, "startColumn": place.column },
                }});
            }
            if let (false, Some(map)) = (finding.pointer.is_empty(), location.as_object_mut()) {
                let logical =
                    json!([{ "fullyQualifiedName": format!("#{}", finding.pointer), "kind": "value" }]);
                map.insert("logicalLocations".to_owned(), logical);
            }
            json!({
                "ruleId": finding.rule,
                "ruleIndex": index,
                "level": level(finding.severity),
                "message": { "text": finding.message },
                "locations": [location],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "bartizan contract lint", "semanticVersion": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "properties": { "score": audit.score },
            "results": results,
        }],
    })
}

/// A file as a relative reference (SARIF section 3.4.3): forward slashes, nothing that a URI may not hold.
fn uri(file: &str) -> String {
    let file = file.replace('\\', "/");
    let uri = crate::pointer::file_uri(&file);
    uri.strip_prefix(crate::pointer::SCHEME).unwrap_or(&uri).to_owned()
}
