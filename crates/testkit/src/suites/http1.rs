//! The `http1` suite: raw attack and conformance requests. Nothing unsafe may reach the upstream, what must be accepted
//! is answered, what must be rejected is refused.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::judge::doubt;
use crate::{Gateway, RawUpstream, raw_request, reply};

/// An answer is waited for this long; a request that is incomplete on purpose costs all of it.
const PATIENCE: Duration = Duration::from_millis(400);

/// Gateways (each with an upstream of its own) that share the cases.
const LANES: usize = 8;

/// One request of the suite.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Where it comes from.
    pub suite: String,
    /// `accept`, `reject`, `either` or `safe`.
    pub expect: String,
    /// What it is about.
    pub note: String,
    request_b64: String,
}

/// What the suite found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Score {
    /// Cases run.
    pub cases: usize,
    /// Cases whose forwarded bytes could be read in two ways, or that brought a second request along.
    pub unsafe_forwards: Vec<String>,
    /// Must be accepted, was not.
    pub rejected: Vec<String>,
    /// Must be rejected, was not.
    pub accepted: Vec<String>,
}

/// Reads the suite.
///
/// # Errors
/// The file is missing or not as described.
pub fn cases(suites: &Path) -> Result<Vec<Case>> {
    let file = suites.join("http1/requests.jsonl");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Runs every case through gateways of this binary.
///
/// # Errors
/// A gateway did not start.
pub fn run(binary: &str, cases: &[Case]) -> Result<Score> {
    let next = AtomicUsize::new(0);
    let score = Mutex::new(Score { cases: cases.len(), ..Score::default() });
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let upstream = RawUpstream::echo()?;
                    let gateway = Gateway::before(binary, &upstream.url(), &[])?;
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        one(case, &gateway, &upstream, &score)?;
                    }
                    Ok(())
                })
            })
            .collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().unwrap_or_else(|_| anyhow::bail!("a lane panicked")))
    })?;
    let mut score = score.into_inner().unwrap_or_else(PoisonError::into_inner);
    for list in [&mut score.unsafe_forwards, &mut score.rejected, &mut score.accepted] {
        list.sort();
    }
    Ok(score)
}

fn one(case: &Case, gateway: &Gateway, upstream: &RawUpstream, score: &Mutex<Score>) -> Result<()> {
    upstream.clear();
    let bytes = STANDARD.decode(&case.request_b64)?;
    let answer = raw_request(gateway.address, &bytes, PATIENCE);
    let status = reply(&answer).status;
    // What else this request brings along arrives now or never.
    thread::sleep(Duration::from_millis(15));
    let doubts: Vec<_> = upstream.connections().iter().filter_map(|bytes| doubt(bytes)).collect();
    let smuggled = upstream.requests().iter().any(|request| request.target().contains("smuggled"));
    let note = case.note.split(" | ").next().unwrap_or_default();
    let told = format!("{} [{status}] {note}", case.id);
    let accepted = (200..300).contains(&status);
    let mut score = score.lock().unwrap_or_else(PoisonError::into_inner);
    if smuggled || !doubts.is_empty() {
        let why = doubts.first().map_or("a smuggled request", String::as_str);
        score.unsafe_forwards.push(format!("{told}: {why}"));
    }
    match case.expect.as_str() {
        // Some cases allow a second answer, named in the note: `417 or 2xx`.
        "accept" => {
            let allowed = accepted || (status >= 400 && case.note.contains(&status.to_string()));
            if !allowed {
                score.rejected.push(told);
            }
        }
        "reject" if accepted => score.accepted.push(told),
        _ => {}
    }
    Ok(())
}
