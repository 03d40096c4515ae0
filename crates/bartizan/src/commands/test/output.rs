//! How tests ended, for people, for build servers (JUnit) and for code scanners (SARIF 2.1.0).

use serde_json::json;

use super::{Ended, shown};
use crate::admin_client::say;

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// JUnit XML.
    Junit,
    /// SARIF 2.1.0.
    Sarif,
}

/// Tells how the tests ended.
pub(super) fn tell(form: Form, ended: &[Ended]) {
    let failed = ended.iter().filter(|end| !end.wrong.is_empty()).count();
    match form {
        Form::Text => {
            for end in ended.iter().filter(|end| !end.wrong.is_empty()) {
                say(&format!("FAILED {}:{} {}", shown(&end.file), end.line, end.name));
                end.wrong.iter().for_each(|wrong| say(&format!("       {wrong}")));
            }
            say(&format!("{} tests, {} passed, {failed} failed", ended.len(), ended.len() - failed));
        }
        Form::Json => {
            let tests: Vec<_> = ended
                .iter()
                .map(|end| {
                    json!({ "file": shown(&end.file), "line": end.line, "name": end.name,
                            "passed": end.wrong.is_empty(), "wrong": end.wrong })
                })
                .collect();
            say(&format!(
                "{:#}",
                json!({ "tests": tests, "passed": ended.len() - failed, "failed": failed })
            ));
        }
        Form::Junit => say(&junit(ended, failed)),
        Form::Sarif => say(&format!("{:#}", sarif(ended))),
    }
}

fn junit(ended: &[Ended], failed: usize) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{0}\" failures=\"{failed}\">\n  <testsuite name=\"bartizan\" tests=\"{0}\" failures=\"{failed}\">\n",
        ended.len()
    );
    for end in ended {
        let (name, file) = (escaped(&end.name), escaped(&shown(&end.file)));
        let head = format!(
            "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\"",
            end.line
        );
        xml.push_str(&head);
        if end.wrong.is_empty() {
            xml.push_str("/>\n");
        } else {
            let wrong = escaped(&end.wrong.join("; "));
            xml.push_str(&format!(">\n      <failure message=\"{wrong}\"/>\n    </testcase>\n"));
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>");
    xml
}

/// What XML has a meaning for is written as references; characters that XML cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn sarif(ended: &[Ended]) -> serde_json::Value {
    let result = |end: &Ended| {
        json!({
            "ruleId": "policy-test",
            "level": "error",
            "message": { "text": format!("{}: {}", end.name, end.wrong.join("; ")) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": shown(&end.file) },
                "region": { "startLine": end.line.max(1) },
            } }],
        })
    };
    let results: Vec<_> = ended.iter().filter(|end| !end.wrong.is_empty()).map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "bartizan",
                "rules": [{ "id": "policy-test", "shortDescription": { "text": "a test of the policy" } }],
            } },
            "results": results,
        }],
    })
}
