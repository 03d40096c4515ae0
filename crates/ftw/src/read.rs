//! From YAML to tests.

use regex::bytes::RegexBuilder;
use serde::Deserialize;

use crate::{Expected, Stage, Test, request::Input};

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    rule_id: Option<u64>,
    tests: Vec<WrittenTest>,
}

#[derive(Deserialize)]
struct WrittenTest {
    #[serde(default)]
    test_id: Option<u64>,
    #[serde(default)]
    test_title: Option<String>,
    stages: Vec<WrittenStage>,
}

/// Input and output, which the older form puts below `stage`.
#[derive(Deserialize)]
struct WrittenStage {
    #[serde(default)]
    stage: Option<Exchange>,
    #[serde(default)]
    input: Option<Input>,
    #[serde(default)]
    output: Option<Output>,
}

#[derive(Deserialize)]
struct Exchange {
    input: Input,
    output: Output,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    log: Log,
    #[serde(default)]
    status: Option<Statuses>,
    #[serde(default)]
    expect_error: bool,
    #[serde(default)]
    log_contains: Option<String>,
    #[serde(default)]
    no_log_contains: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    Many(Vec<u16>),
}

#[derive(Default, Deserialize)]
struct Log {
    #[serde(default)]
    expect_ids: Vec<u64>,
    #[serde(default)]
    no_expect_ids: Vec<u64>,
    match_regex: Option<String>,
    no_match_regex: Option<String>,
}

/// The tests of one file; a file of comments has none.
///
/// # Errors
/// The text is not what go-ftw reads: one sentence, with the line where the YAML itself is wrong.
pub fn read(text: &str) -> Result<Vec<Test>, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '-'])) {
        return Ok(Vec::new());
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut tests = Vec::new();
    for (written, place) in document.tests.into_iter().zip(1..) {
        let title = written.test_title.as_deref().and_then(|title| title.split_once('-'));
        let titled = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        let rule = document.rule_id.or_else(|| titled(title.map(|(rule, _)| rule)));
        let rule = rule.ok_or("a test names no rule; write `rule_id: 942100` at the top")?;
        let number = written.test_id.or_else(|| titled(title.map(|(_, number)| number))).unwrap_or(place);
        let mut stages = Vec::new();
        for stage in written.stages {
            let wrong = |error: String| format!("test {rule}-{number}: {error}");
            let (input, output) = match (stage.stage, stage.input, stage.output) {
                (Some(Exchange { input, output }), ..) | (None, Some(input), Some(output)) => (input, output),
                _ => return Err(wrong("a stage needs `input` and `output`".to_owned())),
            };
            let request = input.bytes().map_err(wrong)?;
            stages.push(Stage { request, expected: output.expected().map_err(wrong)? });
        }
        tests.push(Test { rule, number, stages });
    }
    Ok(tests)
}

impl Output {
    fn expected(self) -> Result<Expected, String> {
        let pattern = |source: Option<String>| -> Result<_, String> {
            let compiled = source.map(|source| RegexBuilder::new(&source).unicode(false).build()).transpose();
            compiled.map_err(|error| error.to_string())
        };
        Ok(Expected {
            rules: self.log.expect_ids,
            not_rules: self.log.no_expect_ids,
            says: pattern(self.log.match_regex.or(self.log_contains))?,
            says_not: pattern(self.log.no_match_regex.or(self.no_log_contains))?,
            status: match self.status {
                None => Vec::new(),
                Some(Statuses::One(status)) => vec![status],
                Some(Statuses::Many(list)) => list,
            },
            error: self.expect_error,
        })
    }
}
