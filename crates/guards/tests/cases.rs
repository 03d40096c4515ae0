//! Runs every behaviour case of `tests/cases` in process; `tests/cases/README.md` describes the format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod case;
mod gate;
mod support;

use std::path::{Path, PathBuf};

use case::{Case, Expectation, Part, Request};
use gate::{Ended, Gate, World};
use http::HeaderMap;

#[test]
fn every_case_comes_to_the_end_that_it_says() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases"));
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no cases below {}", root.display());
    let mut wrong = Vec::new();
    let mut exchanges = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        match Case::parse(&text) {
            Ok(case) => exchanges += run(&name, file.parent().unwrap(), case, &mut wrong),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    println!("{exchanges} exchanges of {} files", files.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "md")
            && path.file_name().is_some_and(|n| n != "README.md")
        {
            files.push(path);
        }
    }
}

/// Runs one file; answers how many exchanges it had.
fn run(name: &str, directory: &Path, case: Case, wrong: &mut Vec<String>) -> usize {
    let mut gate: Option<Gate> = None;
    let mut world = World::default();
    let mut ended: Vec<Ended> = Vec::new();
    let mut exchanges = 0;
    for (line, part) in case.parts {
        match part {
            Part::Keys(value) => world.keys = value,
            Part::Revoked(value) => world.revoked = value,
            Part::Introspection(value) => world.answers = value,
            Part::Decisions(value) => world.decisions = value,
            Part::Clients(value) => world.clients = value,
            Part::Policy(document) => match Gate::new(&document, &world, directory) {
                Ok(new) => gate = Some(new),
                Err(error) => {
                    wrong.push(format!("{name}:{line}: the policy does not compile: {error}"));
                    return exchanges;
                }
            },
            Part::Request(request) => {
                let Request { repeat, wait, from, upstream, head, certificate } = *request;
                let Some(gate) = &gate else {
                    wrong.push(format!("{name}:{line}: a request before any policy"));
                    return exchanges;
                };
                gate.wait(wait);
                let certificate = certificate.map(|file| gate::certificate(&directory.join(file)));
                ended = (0..repeat)
                    .map(|_| gate.exchange(&head, from, &upstream, certificate.as_ref()))
                    .collect();
                exchanges += ended.len();
            }
            Part::Expect(expectations) => {
                if ended.is_empty() {
                    wrong.push(format!("{name}:{line}: an expectation before any request"));
                }
                for (offset, expectation) in expectations.iter().enumerate() {
                    for (index, end) in ended.iter().enumerate() {
                        if let Err(error) = holds(expectation, end) {
                            let at = line + 1 + offset;
                            wrong.push(format!(
                                "{name}:{at}: request {} of {}: {error}",
                                index + 1,
                                ended.len()
                            ));
                            break;
                        }
                    }
                }
            }
        }
    }
    exchanges
}

fn holds(expectation: &Expectation, end: &Ended) -> Result<(), String> {
    let same = |what: &str, expected: &str, found: Option<String>| {
        if found.as_deref() == Some(expected) {
            Ok(())
        } else {
            let found = found.map_or("nothing".to_owned(), |f| format!("`{f}`"));
            Err(format!("{what}: expected `{expected}`, found {found}; {}", end.summary()))
        }
    };
    match expectation {
        Expectation::Status(status) => {
            same("status", &status.to_string(), Some(end.status.as_u16().to_string()))
        }
        Expectation::Verdict(verdict) => same("verdict", verdict, Some(end.verdict.as_str().to_owned())),
        Expectation::Reason(code) => same("reason", code, end.reason.map(str::to_owned)),
        Expectation::Finding(code) => {
            let codes: Vec<_> = end.findings.iter().map(|f| f.code).collect();
            if codes.contains(&code.as_str()) {
                Ok(())
            } else {
                same("finding", code, Some(codes.join(", ")))
            }
        }
        Expectation::NoFinding => match end.findings.first() {
            None => Ok(()),
            Some(found) => Err(format!("expected no finding, found `{}`: {}", found.code, found.detail)),
        },
        Expectation::Header(name, value) => same(&format!("header {name}"), value, field(&end.headers, name)),
        Expectation::NoHeader(name) => match field(&end.headers, name) {
            None => Ok(()),
            Some(found) => Err(format!("expected no header `{name}`, found `{found}`")),
        },
        Expectation::NoUpstreamHeader(name) => match &end.forwarded {
            None => Err("nothing was forwarded".to_owned()),
            Some(headers) => match field(headers, name) {
                None => Ok(()),
                Some(found) => Err(format!("the upstream got `{name}: {found}`")),
            },
        },
        Expectation::Principal(subject) => same("principal", subject, end.principal.clone()),
        Expectation::Body(text) => {
            same("body", text, Some(String::from_utf8_lossy(&end.body).trim_end().to_owned()))
        }
        Expectation::NoPrincipal => match &end.principal {
            None => Ok(()),
            Some(found) => Err(format!("expected no principal, found `{found}`")),
        },
    }
}

fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}
