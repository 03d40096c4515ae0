//! Test files, read.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use bartizan_contract::{
    tree::Node,
    yaml::{self, Budget},
};
use serde::Deserialize;

use super::super::authz::principal::Caller;

/// One test.
pub(super) struct PolicyTest {
    pub file: PathBuf,
    pub line: u32,
    pub name: String,
    pub caller: Option<Caller>,
    pub client: Option<IpAddr>,
    pub tls: bool,
    pub request: String,
    pub expect: Expected,
}

/// What is expected; what is left out may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expected {
    pub verdict: Option<String>,
    pub status: Option<u16>,
    pub reason: Option<String>,
    pub decided_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default, rename = "as")]
    caller: Option<serde_json::Value>,
    #[serde(default)]
    client: Option<IpAddr>,
    #[serde(default)]
    tls: bool,
    request: String,
    expect: Expected,
}

/// Folders within folders, at most.
const MAX_DEPTH: usize = 16;

/// Every test of a file, or of all YAML files of a folder, in order.
pub(super) fn read(path: &Path) -> Result<Vec<PolicyTest>, String> {
    let mut files = Vec::new();
    collect(path, MAX_DEPTH, &mut files)?;
    files.sort();
    let mut tests = Vec::new();
    for file in files {
        tests.extend(of_file(&file)?);
    }
    if tests.is_empty() {
        return Err(format!("there are no tests in `{}`; add a YAML file with `tests:`", path.display()));
    }
    Ok(tests)
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let wrong = |error: std::io::Error| {
        format!("cannot read `{}`: {error}; name a folder with tests", path.display())
    };
    if !std::fs::metadata(path).map_err(wrong)?.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(wrong)? {
        let below = entry.map_err(wrong)?.path();
        let is_yaml = below.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml || depth > 0 && below.is_dir() {
            collect(&below, depth.saturating_sub(1), files)?;
        }
    }
    Ok(())
}

fn of_file(file: &Path) -> Result<Vec<PolicyTest>, String> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let tree = yaml::parse(&text, &shown, 0, Budget::POLICY).map_err(|error| error.to_string())?;
    let mut tests = Vec::new();
    for node in tree.get("tests").map(Node::items).unwrap_or_default() {
        let line = node.span.line;
        let at = |error: &dyn std::fmt::Display| {
            format!("{shown}:{line}: {error}; a test has `name`, `request` and `expect`")
        };
        let written: Written = serde_json::from_value(node.to_json()).map_err(|error| at(&error))?;
        let caller = written.caller.map(Caller::of).transpose().map_err(|error| at(&error))?;
        let Written { name, client, tls, request, expect, .. } = written;
        tests.push(PolicyTest { file: file.to_path_buf(), line, name, caller, client, tls, request, expect });
    }
    Ok(tests)
}
