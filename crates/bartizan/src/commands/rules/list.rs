//! `bartizan rules list`: one line for each rule.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::mounted::{Listed, Mounted, Which, paranoia};
use crate::{
    admin_client::{Output, fail, say},
    terminal::look,
};

/// Lists rules in the order in which they are looked at.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only rules with this tag, such as `attack-sqli`.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only rules of this phase: 1 and 2 look at the head and the body of requests, 3 and 4 of responses.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    phase: Option<u8>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command: 0 when there are rules, 1 when there are none.
pub fn run(args: &Args) -> ExitCode {
    let mounted = match Mounted::load(&args.which, args.output) {
        Ok(mounted) => mounted,
        Err(code) => return code,
    };
    let wanted = |listed: &Listed<'_>| {
        let rule = listed.rule;
        args.phase.is_none_or(|phase| rule.phase.number() == phase)
            && args.tag.as_ref().is_none_or(|tag| rule.tags.iter().any(|known| known.source() == *tag))
    };
    let rules: Vec<_> = mounted.rules().into_iter().filter(wanted).collect();
    match args.output {
        Output::Json => say(&json!({ "rules": rules.iter().map(as_json).collect::<Vec<_>>() }).to_string()),
        Output::Text if rules.is_empty() => {
            return fail(&"no rule is like that; without `--tag` and `--phase` all are listed");
        }
        Output::Text => say(&as_text(&rules)),
    }
    ExitCode::SUCCESS
}

/// One rule for programs.
pub fn as_json(listed: &Listed<'_>) -> serde_json::Value {
    let rule = listed.rule;
    json!({
        "id": rule.id,
        "phase": rule.phase.number(),
        "paranoia": paranoia(rule),
        "severity": rule.severity.map(|severity| severity.name()),
        "file": &*rule.place.file,
        "line": rule.place.line,
        "message": rule.msg.as_ref().map(|msg| msg.source()),
        "tags": rule.tags_source(),
        "version": rule.ver.as_deref(),
        "apis": listed.apis,
    })
}

fn as_text(rules: &[Listed<'_>]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(look().width).unwrap_or(u16::MAX));
    table.set_header(["rule", "phase", "level", "severity", "place", "message"]);
    for Listed { rule, .. } in rules {
        let file = rule.place.file.rsplit('/').next().unwrap_or_default();
        table.add_row([
            rule.id.to_string(),
            rule.phase.number().to_string(),
            paranoia(rule).map_or_else(String::new, |level| level.to_string()),
            rule.severity.map_or_else(String::new, |severity| severity.name().to_ascii_lowercase()),
            format!("{file}:{}", rule.place.line),
            rule.msg.as_ref().map_or_else(String::new, |msg| msg.source()),
        ]);
    }
    let plural = if rules.len() == 1 { "" } else { "s" };
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n\n{} rule{plural}", lines.join("\n"), rules.len())
}
