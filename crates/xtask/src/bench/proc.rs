//! What a process tree has cost, read from `/proc`.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

/// Clock ticks per second in `/proc/PID/stat`: Linux reports 100 to user space on every architecture.
const TICKS: f64 = 100.0;

struct Stat {
    parent: u32,
    ticks: f64,
}

/// Processor seconds (user and system) that a process and its descendants have used.
///
/// # Errors
/// The process is gone.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let stats = stats();
    let members = tree(id, &stats);
    anyhow::ensure!(!members.is_empty(), "process {id} is gone");
    Ok(members.iter().filter_map(|id| stats.get(id)).map(|stat| stat.ticks).sum::<f64>() / TICKS)
}

/// Nanoseconds (user and system) that the threads of a process and of its descendants have run, as the scheduler counts them;
/// threads that ended are not counted.
///
/// # Errors
/// The process is gone.
pub fn run_nanoseconds(id: u32) -> Result<u64> {
    let mut all = 0;
    for member in tree(id, &stats()) {
        let threads = fs::read_dir(format!("/proc/{member}/task"))?;
        for thread in threads.flatten() {
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let first = text.split(' ').next().context("no figure")?;
            all += first.parse::<u64>()?;
        }
    }
    anyhow::ensure!(all > 0, "process {id} is gone");
    Ok(all)
}

/// Resident memory of a process and its descendants, in MB.
///
/// # Errors
/// The process is gone.
pub fn resident_mb(id: u32) -> Result<f64> {
    let members = tree(id, &stats());
    let mut bytes = 0;
    for id in members {
        bytes += bartizan_testkit::gateway::resident(id)?;
    }
    Ok(f64::from(u32::try_from(bytes / 1024).context("more than 4 TB")?) / 1024.0)
}

fn tree(root: u32, stats: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut members = Vec::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if stats.contains_key(&id) {
            members.push(id);
            open.extend(stats.iter().filter(|(_, stat)| stat.parent == id).map(|(&child, _)| child));
        }
    }
    members
}

fn stats() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in brackets, may hold blanks: fields are counted from the last bracket (proc(5)).
            let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
            Some((id, Stat { parent: fields.get(1)?.parse().ok()?, ticks }))
        })
        .collect()
}
