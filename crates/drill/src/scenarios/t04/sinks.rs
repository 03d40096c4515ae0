//! Everything that a gateway leaves behind or tells anybody: where no secret may be.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::Value;

use super::site::Site;
use crate::{Stage, search::contents};

/// One sink and what is in it.
pub struct Sink {
    /// For people.
    pub name: String,
    /// Everything in it.
    pub bytes: Vec<u8>,
}

impl Sink {
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Sink { name: name.into(), bytes: bytes.into() }
    }
}

/// Files that the drill wrote itself, where secrets are at home.
const OURS: [&str; 5] = ["bartizan.yaml", "bank.json", "jwks.json", "paths.json", "rules.conf"];

/// Ends of names of requests that the drill wrote for `explain`.
pub const REQUEST: &str = ".http";

/// Events that `why` is asked for, one of each kind at first.
const TOLD: usize = 16;

/// What a running gateway tells: metrics, status, events, changes, `why`.
pub fn told(stage: &Stage, site: &Site) -> Result<Vec<Sink>> {
    let mut sinks = Vec::new();
    for target in ["/metrics", "/v1/status", "/v1/events?limit=1000", "/v1/changes"] {
        stage.spend()?;
        sinks.push(Sink::new(target, site.gateway.ask("GET", target, None)?.body));
    }
    let mut told = Vec::new();
    for id in events(site)? {
        for form in ["text", "json"] {
            told.extend(site.command(stage, &["why", &id, "--output", form])?.into_bytes());
        }
    }
    sinks.push(Sink::new("why", told));
    Ok(sinks)
}

/// Some events' ids: each reason once before any twice.
fn events(site: &Site) -> Result<Vec<String>> {
    let text = fs::read_to_string(site.gateway.state().join("audit.jsonl"))?;
    let mut seen = BTreeSet::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = (field("verdict"), field("reason"), field("code"));
        let list = if seen.insert(kind) { &mut first } else { &mut rest };
        list.push(field("id"));
    }
    first.extend(rest);
    first.truncate(TOLD);
    Ok(first)
}

/// How differently exchanges ended: the verdicts in the audit log.
pub fn verdicts(site: &Site) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(site.gateway.state().join("audit.jsonl"))?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter_map(|line| Some(line.get("verdict")?.as_str()?.to_owned())).collect())
}

/// What is on disk: the state, and whatever else appeared beside it, such as a core dump.
pub fn left(site: &Site) -> Result<Vec<Sink>> {
    let folder = site.gateway.dir.path();
    let mut sinks = Vec::new();
    for file in files(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        if !OURS.contains(&name.as_str()) && !name.ends_with(REQUEST) {
            sinks.push(Sink::new(name, contents(&file)?));
        }
    }
    Ok(sinks)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
