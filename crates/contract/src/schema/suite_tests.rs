//! The public JSON-Schema-Test-Suite, through the tape and the way every contract is compiled.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests assert"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer};

use super::*;

fn suite() -> Option<PathBuf> {
    let suites = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let folder = suites.join("json-schema");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is not there", folder.display());
    None
}

fn files(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if deep {
                files(&path, deep, found);
            }
        } else if path.extension().is_some_and(|ext| ext == "json") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Documents that the suite serves from a host of its own.
fn remotes(suite: &Path, draft: Draft) -> Vec<(String, Value, Draft)> {
    let folder = suite.join("remotes");
    let mut found = Vec::new();
    files(&folder, true, &mut found);
    let others = ["draft3", "draft4", "draft6", "draft7", "draft2019-09", "draft2020-12", "v1"];
    let own = name(draft);
    let mut documents = Vec::new();
    for path in found {
        let relative = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        let of = relative.split('/').next().unwrap();
        if others.contains(&of)
            && of != own
            && !matches!(
                (own, of),
                ("draft2020-12", "draft2019-09")
                    | ("draft2019-09", "draft2020-12" | "draft7")
                    | ("draft7", "draft2019-09")
            )
        {
            continue;
        }
        let draft = match of {
            "draft2019-09" => Draft::Draft201909,
            "draft2020-12" => Draft::Draft202012,
            "draft7" => Draft::Draft7,
            _ => draft,
        };
        documents.push((format!("http://localhost:1234/{relative}"), read(&path), draft));
    }
    documents
}

fn name(draft: Draft) -> &'static str {
    match draft {
        Draft::Draft4 => "draft4",
        Draft::Draft6 => "draft6",
        Draft::Draft7 => "draft7",
        Draft::Draft201909 => "draft2019-09",
        _ => "draft2020-12",
    }
}

/// Cases that passed, and those that did not.
fn run(suite: &Path, draft: Draft, below: &str, formats: bool) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    files(&suite.join("tests").join(name(draft)).join(below), false, &mut found);
    let remotes = remotes(suite, draft);
    let (mut passed, mut failed) = (0, Vec::new());
    for path in found {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for group in read(&path).as_array().unwrap() {
            let documents = remotes
                .iter()
                .map(|(uri, document, draft)| (uri.as_str(), document.clone(), *draft))
                .chain([("urn:bartizan:suite", group["schema"].clone(), draft)]);
            let library =
                Library::new(documents).map(|all| if formats { all } else { all.without_formats() });
            let schema = library.and_then(|library| library.compile("urn:bartizan:suite"));
            for case in group["tests"].as_array().unwrap() {
                let label = || format!("{file}: {}: {}", group["description"], case["description"]);
                let schema = match &schema {
                    Ok(schema) => schema,
                    Err(error) => {
                        failed.push(format!("{} ({})", label(), error.message));
                        continue;
                    }
                };
                let bytes = serde_json::to_vec(&case["data"]).unwrap();
                let mut buffer = TapeBuffer::new();
                let tape = Tape::parse(&bytes, &JsonLimits::default(), &mut buffer).unwrap();
                let value = View::Tape(tape.root().unwrap());
                let valid = case["valid"].as_bool().unwrap();
                if schema.fits(value) == valid && schema.violations(value).is_empty() == valid {
                    passed += 1;
                } else {
                    failed.push(label());
                }
            }
        }
    }
    (passed, failed)
}

#[test]
fn every_required_case_of_every_draft_is_passed() {
    let Some(suite) = suite() else { return };
    let mut all = 0;
    let mut wrong = Vec::new();
    for draft in [Draft::Draft4, Draft::Draft6, Draft::Draft7, Draft::Draft201909, Draft::Draft202012] {
        let (passed, failed) = run(&suite, draft, "", false);
        eprintln!("{}: {passed} passed, {} failed", name(draft), failed.len());
        all += passed;
        wrong.extend(failed.into_iter().map(|label| format!("{}: {label}", name(draft))));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all + wrong.len(), wrong.join("\n"));
    assert!(all > 4900, "{all} cases");
}

#[test]
fn formats_are_asserted() {
    let Some(suite) = suite() else { return };
    for draft in [Draft::Draft4, Draft::Draft6, Draft::Draft7, Draft::Draft201909, Draft::Draft202012] {
        let (passed, failed) = run(&suite, draft, "optional/format", true);
        eprintln!("{}: {passed} passed, {} failed:\n{}", name(draft), failed.len(), failed.join("\n"));
        // Internationalized host names and addresses are not built in.
        let open: Vec<_> =
            failed.iter().filter(|label| !label.starts_with("idn-") && !label.starts_with("iri")).collect();
        assert!(open.is_empty(), "{}: {open:#?}", name(draft));
    }
}
