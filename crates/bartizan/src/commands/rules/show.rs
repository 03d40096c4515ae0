//! `bartizan rules show`: one rule as it is written, in words, and under the policy.

use std::{fmt::Write as _, process::ExitCode};

use bartizan_guards::waf::{Exclusion, Waf};
use bartizan_waf::lang::{Change, Disruption, Effect, Link, Rule};
use serde_json::{Value, json};

use super::{
    list::as_json,
    mounted::{Listed, Mounted, Which, paranoia},
};
use crate::admin_client::{Output, fail, say};

/// Shows one rule.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rule's number, as findings name it.
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    which: Which,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command: 0 when there is such a rule.
pub fn run(args: &Args) -> ExitCode {
    let mounted = match Mounted::load(&args.which, args.output) {
        Ok(mounted) => mounted,
        Err(code) => return code,
    };
    let settings = settings(&mounted, args.id, None);
    let rules = mounted.rules();
    let Some(listed) = rules.iter().find(|listed| listed.rule.id == args.id) else {
        return match settings.first() {
            Some(first) => fail(&format!("rule {} is left out of every operation: {first}", args.id)),
            None => fail(&format!(
                "there is no rule {}; `bartizan rules list` shows those that there are",
                args.id
            )),
        };
    };
    let settings = self::settings(&mounted, args.id, Some(listed.rule));
    let source = source(&mounted, listed.rule);
    match args.output {
        Output::Json => say(&shown_json(listed, &source, &settings).to_string()),
        Output::Text => say(shown_text(listed, &source, &settings).trim_end()),
    }
    ExitCode::SUCCESS
}

/// The lines of the rule with its chain; empty where the file is gone.
fn source(mounted: &Mounted, rule: &Rule) -> String {
    let text = std::fs::read_to_string(mounted.file(&rule.place.file)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let line = |place: &bartizan_waf::lang::Place| (place.line as usize).saturating_sub(1);
    let first = line(&rule.place);
    let mut last = rule.links.iter().map(|link| line(&link.place)).max().unwrap_or(first);
    while lines.get(last).is_some_and(|line| line.trim_end().ends_with('\\')) {
        last += 1;
    }
    lines.get(first..=last).unwrap_or_default().join("\n")
}

/// Which settings of the policy touch the rule, in words.
fn settings(mounted: &Mounted, id: u64, rule: Option<&Rule>) -> Vec<String> {
    let mut told = Vec::new();
    for (api, operation, waf) in mounted.sets() {
        let place = format!("api {api}, {}", operation.label);
        for exclusion in waf.exclusions().iter().filter(|exclusion| touches(exclusion, id, rule)) {
            told.push(format!("{place}: {}", describe(exclusion)));
        }
        if rule.is_some() && !has(waf, id) {
            told.push(format!("{place}: the rule is not mounted"));
        }
        if operation.guards.waf.mode() == bartizan_model::Mode::Monitor {
            told.push(format!("{place}: `waf` is in mode monitor, no rule refuses"));
        }
    }
    told
}

fn has(waf: &Waf, id: u64) -> bool {
    waf.rules().rules.iter().any(|rule| rule.id == id)
}

fn touches(exclusion: &Exclusion, id: u64, rule: Option<&Rule>) -> bool {
    let tagged = |tag: &str| rule.is_some_and(|rule| rule.tags.iter().any(|known| known.source() == tag));
    exclusion.rule == Some(id) || exclusion.tag.as_deref().is_some_and(tagged)
}

fn describe(exclusion: &Exclusion) -> String {
    let what = match &exclusion.parameter {
        Some(parameter) => format!("it does not look at `{parameter}`"),
        None => "it is left out".to_owned(),
    };
    let until = exclusion.expires.as_ref().map_or_else(String::new, |day| format!(" until {day}"));
    format!("{what}{until} ({})", exclusion.reason)
}

/// One condition in words: what it looks at, what is undone first, the test.
fn condition(link: &Link) -> Option<(String, Vec<&'static str>, String)> {
    let condition = link.condition.as_ref()?;
    let steps = condition.transformations.iter().map(|step| step.name()).collect();
    let negated = if condition.negated { "!" } else { "" };
    let test = format!("{negated}@{} {}", condition.name, condition.argument.source());
    Some((condition.targets.to_string(), steps, test.trim_end().to_owned()))
}

/// What a match does, besides being told.
fn does(rule: &Rule) -> Vec<String> {
    let mut told = vec![match &rule.disruption {
        Disruption::Pass | Disruption::Block => "goes on".to_owned(),
        Disruption::Allow(_) => "ends the looking".to_owned(),
        Disruption::Deny => format!("refuses with {}", rule.status),
        Disruption::Drop => "closes the connection".to_owned(),
        Disruption::Redirect(to) => format!("sends elsewhere: {}", to.source()),
    }];
    if !rule.log {
        told.push("tells nothing".to_owned());
    }
    for effect in rule.links.iter().flat_map(|link| &link.effects) {
        match effect {
            Effect::SetVar { collection, name, change } => {
                let name = format!("{}.{}", collection.name(), name.source());
                told.push(match change {
                    Change::Set(value) => format!("sets {name} to {}", value.source()),
                    Change::Add(value) => format!("adds {} to {name}", value.source()),
                    Change::Subtract(value) => format!("takes {} from {name}", value.source()),
                    Change::Remove => format!("removes {name}"),
                });
            }
            Effect::RemoveRules(rules) => told.push(format!("leaves {} rules out", rules.len())),
            Effect::RemoveTarget(rules, target) => {
                told.push(format!("hides {target} from {} rules", rules.len()));
            }
            Effect::Control(_) => told.push("changes how the exchange is looked at".to_owned()),
            _ => {}
        }
    }
    told
}

fn shown_json(listed: &Listed<'_>, source: &str, settings: &[String]) -> Value {
    let conditions: Vec<Value> = listed
        .rule
        .links
        .iter()
        .filter_map(condition)
        .map(|(looks_at, steps, test)| json!({ "looks_at": looks_at, "transformations": steps, "operator": test }))
        .collect();
    let mut shown = as_json(listed);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("source".to_owned(), json!(source));
        shown.insert("conditions".to_owned(), json!(conditions));
        shown.insert("does".to_owned(), json!(does(listed.rule)));
        shown.insert("settings".to_owned(), json!(settings));
    }
    shown
}

fn shown_text(listed: &Listed<'_>, source: &str, settings: &[String]) -> String {
    let rule = listed.rule;
    let mut text = format!("rule {}", rule.id);
    if let Some(msg) = &rule.msg {
        let _ = write!(text, ": {}", msg.source());
    }
    let level = paranoia(rule).map_or_else(String::new, |level| format!(", paranoia level {level}"));
    let severity = rule
        .severity
        .map_or_else(String::new, |severity| format!(", severity {}", severity.name().to_ascii_lowercase()));
    let _ = writeln!(text, "\n{}, phase {}{level}{severity}\n", rule.place, rule.phase.number());
    for (number, (looks_at, steps, test)) in rule.links.iter().filter_map(condition).enumerate() {
        let _ = writeln!(text, "{} {looks_at}", if number == 0 { "looks at " } else { "and at   " });
        if !steps.is_empty() {
            let _ = writeln!(text, "after     {}", steps.join(", "));
        }
        let _ = writeln!(text, "for       {test}");
    }
    let _ = writeln!(text, "a match   {}", does(rule).join("\n          "));
    let _ = writeln!(
        text,
        "policy    {}",
        match settings {
            [] => "nothing of it touches this rule".to_owned(),
            told => told.join("\n          "),
        }
    );
    let _ = writeln!(text, "\n{source}");
    text
}
