//! `cargo xtask suite`: a foreign suite against running gateways, with its score.

use anyhow::{Context, Result};
use bartizan_testkit::{
    Gateway, RawUpstream,
    suites::{http1, path_bypass},
    suites_dir,
};
use clap::ValueEnum;

/// Which suite.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Suite {
    /// Raw attack and conformance requests.
    Http1,
    /// Spellings that try to slip past a rule on `/admin/users`.
    PathBypass,
}

/// Runs a suite with this binary and prints the score; whether it is perfect.
///
/// # Errors
/// The suite is absent, or a gateway did not start.
pub fn run(suite: Suite, binary: &str, json: bool) -> Result<bool> {
    let suites = suites_dir().context("no suites here; set `BARTIZAN_SUITES` to their folder")?;
    match suite {
        Suite::Http1 => {
            let score = http1::run(binary, &http1::cases(&suites)?)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&score)?);
            } else {
                println!("http1: {} cases", score.cases);
                list("unsafe forwards", &score.unsafe_forwards);
                list("must-accept rejected", &score.rejected);
                list("must-reject accepted", &score.accepted);
            }
            Ok(score.unsafe_forwards.is_empty() && score.rejected.is_empty())
        }
        Suite::PathBypass => {
            let variants = path_bypass::variants(&suites)?;
            let mut fine = true;
            for rules in path_bypass::RULES {
                let upstream = RawUpstream::echo()?;
                let text = rules.config(&upstream.url());
                let gateway = Gateway::with_config(binary, &text, |dir| rules.prepare(dir))?;
                let score = path_bypass::run(&gateway, &upstream, &variants)?;
                fine &= score.bypasses.is_empty();
                if json {
                    println!("{}", serde_json::to_string(&score)?);
                } else {
                    println!(
                        "path-bypass, {} rule: {} cases, {} refused",
                        rules.name, score.cases, score.refused
                    );
                    list("bypasses", &score.bypasses);
                }
            }
            Ok(fine)
        }
    }
}

fn list(title: &str, entries: &[String]) {
    println!("  {title}: {}", entries.len());
    for entry in entries {
        println!("    {entry}");
    }
}
