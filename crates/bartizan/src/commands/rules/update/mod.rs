//! `bartizan rules update`: another version of the Core Rule Set, verified, tried, and put in place in one step.
//!
//! Nothing that fails on the way changes the folder in force: what was downloaded has to have the hash or the signature
//! that the user named, its archive has to be plain files and folders, and all of its rules have to load.

mod fetch;
mod swap;
mod unpack;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use minisign_verify::PublicKey;
use serde_json::json;

use self::swap::Place;
use super::mounted::{Mounted, Which};
use crate::admin_client::{Output, fail, remark, say};

/// Bytes of a download: the Core Rule Set with its tests has 1 MiB.
const MAX_ARCHIVE: usize = 32 << 20;

/// Bytes of a signature.
const MAX_SIGNATURE: usize = 16 << 10;

/// Replaces the rules of a folder.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("pin").args(["sha256", "key"]).multiple(true)))]
pub struct Args {
    /// The folder of the Core Rule Set that the policy names by `crs:`; it may be a new one.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The archive, a `.tar.gz`: `https://..`, never a redirect to another host.
    #[arg(long, value_name = "URL", required_unless_present = "rollback", requires = "pin", value_parser = url)]
    from: Option<String>,
    /// The SHA-256 that the archive must have, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = verify::parse_sha256)]
    sha256: Option<String>,
    /// The public key of minisign whose signature the archive must have.
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<Key>,
    /// Where the signature is [default: the archive's URL with `.minisig` behind it].
    #[arg(long, value_name = "URL", requires = "key", value_parser = url)]
    signature: Option<String>,
    /// A policy that the new rules have to fit, too: exclusions may name rules that are no more.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put the rules before the last update back in force.
    #[arg(long, conflicts_with_all = ["from", "sha256", "key", "signature"])]
    rollback: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A public key, as it was written and as it is used.
#[derive(Clone, Debug)]
struct Key(PublicKey);

fn key(text: &str) -> Result<Key, String> {
    verify::parse_key(text).map(Key)
}

fn url(text: &str) -> Result<String, String> {
    fetch::parse(text).map(|_| text.to_owned())
}

/// Runs the command: 0 when other rules are in place, 1 when none are, 78 when the new ones cannot be used.
pub fn run(args: &Args) -> ExitCode {
    let place = match Place::new(&args.into) {
        Ok(place) => place,
        Err(text) => return fail(&text),
    };
    let done = match &args.from {
        Some(from) => update(args, from, &place),
        None => rollback(args, &place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn update(args: &Args, from: &str, place: &Place) -> Result<(), ExitCode> {
    let told = |text: String| fail(&text);
    let archive = fetch::fetch(from, MAX_ARCHIVE).map_err(told)?;
    let hash = verify::sha256(&archive);
    if args.sha256.as_ref().is_some_and(|wanted| *wanted != hash) {
        return Err(fail(&format!(
            "what `{from}` gave is not what was meant: its SHA-256 is {hash}; the rules in force are unchanged"
        )));
    }
    if let Some(Key(key)) = &args.key {
        let at = args.signature.clone().unwrap_or_else(|| format!("{from}.minisig"));
        let signature = fetch::fetch(&at, MAX_SIGNATURE).map_err(told)?;
        verify::check_signature(&archive, &String::from_utf8_lossy(&signature), key)
            .map_err(|text| fail(&format!("{text}; the rules in force are unchanged")))?;
    }
    let draft = place.draft().map_err(told)?;
    let new = unpack::unpack(&archive, &draft.path().join("new")).map_err(told)?;
    let taken = place.take_over(&new).map_err(told)?;
    let after = describe(&new, args.output)?;
    let before = place.folder().exists().then(|| describe(place.folder(), args.output).ok()).flatten();
    let first = !place.folder().exists();
    place.put(&new).map_err(told)?;
    if let Some(config) = &args.config {
        fits(config, args.output).inspect_err(|_| {
            let undone = if first { place.remove() } else { place.put_back() };
            remark(&match undone {
                Ok(()) => "the policy does not fit the new rules; the old ones are in force again".to_owned(),
                Err(text) => format!("the policy does not fit the new rules, and {text}"),
            });
        })?;
    }
    report(args, place, &after, before.as_deref(), Some(&hash), &taken);
    Ok(())
}

fn rollback(args: &Args, place: &Place) -> Result<(), ExitCode> {
    let before = describe(place.folder(), args.output).ok();
    if place.previous().exists() {
        describe(place.previous(), args.output)?;
    }
    place.put_back().map_err(|text| fail(&text))?;
    let after = describe(place.folder(), args.output)?;
    report(args, place, &after, before.as_deref(), None, &[]);
    Ok(())
}

/// Loads every rule of a folder, as a gateway does; what there is, in words.
fn describe(folder: &Path, output: Output) -> Result<String, ExitCode> {
    let which = Which { config: None, environment: None, crs: Some(folder.to_owned()) };
    let mounted = Mounted::load(&which, output)?;
    let sets = mounted.sets();
    let origins = sets.first().map(|(.., waf)| waf.origins()).unwrap_or_default();
    let words = origins.iter().map(|origin| {
        let version = origin.version.as_deref().unwrap_or("no version");
        format!("{version}, {} rules", origin.rules)
    });
    Ok(words.collect::<Vec<_>>().join("; "))
}

fn fits(config: &Path, output: Output) -> Result<(), ExitCode> {
    let which = Which { config: Some(config.to_owned()), environment: None, crs: None };
    Mounted::load(&which, output).map(|_| ())
}

fn report(
    args: &Args,
    place: &Place,
    after: &str,
    before: Option<&str>,
    hash: Option<&str>,
    taken: &[String],
) {
    let folder = args.into.display();
    let previous = place.previous().exists();
    match args.output {
        Output::Json => say(&json!({
            "folder": folder.to_string(),
            "rules": after,
            "before": before,
            "sha256": hash,
            "taken_over": taken,
            "previous": previous.then(|| place.previous().display().to_string()),
        })
        .to_string()),
        Output::Text => {
            let was = before.map_or_else(String::new, |before| format!("; it was {before}"));
            say(&format!("`{folder}` has now {after}{was}"));
            if !taken.is_empty() {
                say(&format!("your own, taken over: {}", taken.join(", ")));
            }
            if previous {
                say(&format!("back with: bartizan rules update --into {folder} --rollback"));
            }
            say("a running gateway takes it on at its next reload: send it SIGHUP");
        }
    }
}
