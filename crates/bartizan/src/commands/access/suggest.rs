//! `bartizan access suggest`: the roles file that has nothing but what was used.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use bartizan_policy::Loaded;
use bartizan_store::Usage;
use serde_json::json;

use super::{Used, guards, lines::difference};
use crate::admin_client::{Output, fail, remark, say};

/// What to propose.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For this API; needed where the configuration has several.
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The whole file instead of the difference.
    #[arg(long)]
    full: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command: 0 when there is something to propose.
pub fn run(args: &Args, loaded: &Loaded, used: &Used) -> ExitCode {
    let names: Vec<&str> = loaded.snapshot.apis.iter().map(|api| &*api.name).collect();
    let api = match (&args.api, names.as_slice()) {
        (Some(api), _) if names.contains(&api.as_str()) => api.as_str(),
        (None, [one]) => one,
        (Some(api), _) => return fail(&format!("there is no API `{api}`; name one of {}", names.join(", "))),
        (None, _) => {
            return fail(&format!(
                "the configuration has several APIs; add `--api` with one of {}",
                names.join(", ")
            ));
        }
    };
    let of_api = |usage: &&Usage| usage.of == "role" && usage.api == api;
    let mut roles: BTreeMap<&str, Vec<&Usage>> = BTreeMap::new();
    for usage in used.usage.iter().filter(of_api) {
        roles.entry(&usage.name).or_default().push(usage);
    }
    if roles.is_empty() {
        remark(&format!(
            "no role was used for `{api}` yet; let people work with `access: {{ role_claims: [..] }}` mounted, and ask again"
        ));
        return ExitCode::FAILURE;
    }
    let proposed = file(api, &roles);
    let written = guards(loaded, api).iter().find_map(|access| access.roles_file()).map(str::to_owned);
    let folder = loaded
        .watched
        .first()
        .and_then(|first| first.parent())
        .map(std::path::Path::to_path_buf)
        .unwrap_or_default();
    let known = written.as_ref().and_then(|file| loaded.watched.iter().find(|path| path.ends_with(file)));
    let path = known.cloned().or_else(|| written.as_ref().map(|file| folder.join(file)));
    let current = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let name = written.unwrap_or_else(|| "roles.yaml".to_owned());
    let diff = format!("--- {name}\n+++ {name}, as it was used\n{}", difference(&current, &proposed));
    match args.output {
        Output::Json => say(&format!(
            "{:#}",
            json!({ "api": api, "file": name, "proposed": proposed, "diff": diff, "evidence": roles })
        )),
        Output::Text if args.full => say(proposed.trim_end()),
        Output::Text => say(diff.trim_end()),
    }
    ExitCode::SUCCESS
}

/// A roles file with the operations that each role used, and how often.
fn file(api: &str, roles: &BTreeMap<&str, Vec<&Usage>>) -> String {
    let mut text = format!(
        "# What each role of `{api}` was used for; what stands behind `#` is the evidence.\nroles:\n"
    );
    for (role, uses) in roles {
        let _ = writeln!(text, "  {}:", quoted(role));
        for usage in uses {
            // Of requests that no operation names only the method is known: no rule is made of them.
            if usage.operation.ends_with(" *") {
                let _ = writeln!(
                    text,
                    "    # {} requests of `{}` that no operation names",
                    usage.count, usage.operation
                );
                continue;
            }
            let day: String = usage.last.to_string().chars().take(10).collect();
            let _ = writeln!(text, "    - {} # {} times, last {day}", quoted(&usage.operation), usage.count);
        }
    }
    text
}

/// A text that YAML reads as such.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}
