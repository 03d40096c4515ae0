//! Every expression and list of phrases of the Core Rule Set compiles, quickly and small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use bartizan_waf::{files::Files, operator::Operator};

/// The rules of the Core Rule Set, or one loud line where there are none.
fn rules() -> Option<PathBuf> {
    let suites = std::env::var_os("BARTIZAN_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"), PathBuf::from);
    let folder = suites.join("crs/rules");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: no rules at {}", folder.display());
    None
}

struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        std::fs::read(self.0.join(path)).map(Arc::from).map_err(|error| error.to_string())
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// The operators of all rules, as name and argument, without those of comments.
fn operators(folder: &Path) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("SecRule ")) {
            let Some(start) = line.find("\"@").or_else(|| line.find("\"!@")) else { continue };
            let mut argument = String::new();
            let mut letters = line[start + 1..].trim_start_matches('!').chars().skip(1).peekable();
            while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                if letter == '\\' && letters.peek() == Some(&'"') {
                    argument.push(letters.next().unwrap());
                    continue;
                }
                argument.push(letter);
                if letter == '\\' {
                    argument.extend(letters.next());
                }
            }
            let (name, argument) = argument.split_once(' ').unwrap_or((&argument, ""));
            found.insert((name.to_owned(), argument.to_owned()));
        }
    }
    found
}

#[test]
fn the_core_rule_set_compiles() {
    let Some(folder) = rules() else { return };
    let operators = operators(&folder);
    let files = Folder(folder);
    let start = Instant::now();
    let compiled: Vec<_> = operators
        .iter()
        .map(|(name, argument)| match Operator::compile(name, argument, &files) {
            Ok(operator) => operator,
            Err(error) => panic!("@{name} {argument}: {error}"),
        })
        .collect();
    let expressions = compiled.iter().filter(|operator| operator.expression().is_some()).count();
    let phrases: usize = compiled.iter().filter_map(Operator::phrases).map(<[_]>::len).sum();
    println!(
        "{} distinct operators of the Core Rule Set, {expressions} expressions, {phrases} phrases, in {:?}",
        compiled.len(),
        start.elapsed()
    );
    assert!(expressions >= 280, "{expressions}");
}
