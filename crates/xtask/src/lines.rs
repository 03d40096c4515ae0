//! The size of the house: files that grew too long, files that do not say what they hold.

use std::{fs, path::Path};

use anyhow::Result;

use crate::architecture::sources;

/// A file that is longer is split by subject.
const MAX_LINES: usize = 600;

/// Words that mark unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX:", "PLACEHOLDER"];

/// What is wrong with the workspace's Rust files, one sentence each.
///
/// # Errors
/// A file could not be read.
pub fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in sources(&root.join("crates"))? {
        let text = fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let count = text.lines().count();
        if count > MAX_LINES {
            found.push(format!("{name}: {count} lines; split it by subject (at most {MAX_LINES})"));
        }
        if !text.starts_with("//!") {
            found.push(format!("{name}: does not begin with `//!` and what it holds"));
        }
        // This file names the words that it looks for.
        if !name.ends_with("xtask/src/lines.rs") {
            for word in UNFINISHED {
                if text.contains(word) {
                    found.push(format!("{name}: contains `{word}`"));
                }
            }
        }
    }
    Ok(found)
}

/// Lines of Rust per crate: files, lines in all, the longest file.
///
/// # Errors
/// A file could not be read.
pub fn table(root: &Path) -> Result<String> {
    let mut table = comfy_table::Table::new();
    table.set_header(["crate", "files", "lines", "longest"]);
    let mut folders: Vec<_> =
        fs::read_dir(root.join("crates"))?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let mut lines = Vec::new();
        for file in sources(folder)? {
            lines.push((fs::read_to_string(&file)?.lines().count(), file));
        }
        let longest = lines.iter().max().map_or_else(String::new, |(count, file)| {
            format!("{count} {}", file.strip_prefix(folder).unwrap_or(file).display())
        });
        table.add_row([
            folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            lines.len().to_string(),
            lines.iter().map(|(count, _)| count).sum::<usize>().to_string(),
            longest,
        ]);
    }
    Ok(table.to_string())
}
