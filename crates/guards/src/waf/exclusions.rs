//! What the policy changes of rules without loading them again: exclusions, modes, levels and thresholds.

use std::sync::Arc;

use bartizan_model::{Diagnostic, Diagnostics, Mode, Timestamp};
use bartizan_waf::{
    engine::{Part, Side, Tuning},
    lang::{Rule, RuleSet, Target},
};
use time::{Date, macros::format_description};

use super::{
    config::{Config, Exclusion},
    rules,
};

/// What a block of the policy changes of its rules.
///
/// # Errors
/// Everything that is wrong with exclusions and modes.
pub(super) fn tuning(config: &Config, rules: &RuleSet, now: Timestamp) -> Result<Tuning, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut tuning = Tuning::default();
    tuning.bound_request_body(usize::try_from(config.max_body.0).unwrap_or(usize::MAX));
    rules::give(config, &mut tuning);
    for (index, exclusion) in config.exclusions.iter().enumerate() {
        if let Err(found) = exclude(exclusion, rules, now, &mut tuning) {
            problems.0.extend(found.0.into_iter().map(|mut problem| {
                let joint = if problem.path.is_empty() { "" } else { "." };
                problem.path = format!("exclusions[{index}]{joint}{}", problem.path);
                problem
            }));
        }
    }
    modes(config, rules, &mut tuning, &mut problems);
    problems.or(tuning)
}

/// Exclusions whose day has passed.
pub(super) fn expired(list: &[Exclusion], now: Timestamp) -> Diagnostics {
    let mut warnings = Diagnostics::new();
    for (index, exclusion) in list.iter().enumerate() {
        let Some(day) = exclusion.expires.as_deref() else { continue };
        if end_of_day(day).is_ok_and(|end| now.seconds() >= end) {
            let of = match (exclusion.rule, &exclusion.tag) {
                (Some(rule), _) => format!("rule {rule}"),
                (None, Some(tag)) => format!("tag `{tag}`"),
                (None, None) => "nothing".to_owned(),
            };
            warnings.push(
                Diagnostic::warning(
                    format!("exclusions[{index}].expires"),
                    format!("the exclusion of {of} ended with {day}: it no longer holds"),
                )
                .help("remove it, or give it a new day if its reason still holds"),
            );
        }
    }
    warnings
}

fn exclude(
    exclusion: &Exclusion,
    rules: &RuleSet,
    now: Timestamp,
    tuning: &mut Tuning,
) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let meant = match (exclusion.rule, &exclusion.tag) {
        (Some(id), None) => named(rules, &Selection::Rules(id, id)).map_err(|why| ("rule", why)),
        (None, Some(tag)) => named(rules, &Selection::Tag(tag)).map_err(|why| ("tag", why)),
        _ => Err(("", "name one rule or one tag".to_owned())),
    };
    let meant = meant.unwrap_or_else(|(key, why)| {
        problems.push(Diagnostic::error(key, why).help(match key {
            "" => "write `rule: 942100` or `tag: attack-sqli`",
            "rule" => "write the number that a finding names",
            _ => "write it as the rule does, such as `attack-sqli`; `bartizan rules list` shows them",
        }));
        Arc::from([])
    });
    let targets = match exclusion.parameter.as_deref().map(targets).transpose() {
        Ok(targets) => targets,
        Err(why) => {
            problems.push(Diagnostic::error("parameter", why).help(
                "write the variable as the finding names it, such as `ARGS:text`, or a place such as `request.body.text`",
            ));
            None
        }
    };
    if exclusion.reason.trim().is_empty() {
        problems.push(
            Diagnostic::error("reason", "an exclusion needs a reason")
                .help("say why what the rule finds is harmless here"),
        );
    }
    let until = match exclusion.expires.as_deref().map(end_of_day).transpose() {
        Ok(until) => until,
        Err(why) => {
            problems.push(Diagnostic::error("expires", why).help("write a day, such as `2027-01-31`"));
            None
        }
    };
    problems.or(())?;
    if until.is_some_and(|end| now.seconds() >= end) {
        return Ok(());
    }
    match targets {
        None => tuning.leave_out(rules, &meant, None, until),
        Some(targets) => {
            targets.into_iter().for_each(|target| tuning.leave_out(rules, &meant, Some(target), until));
        }
    }
    Ok(())
}

/// The variables that a parameter stands for.
fn targets(parameter: &str) -> Result<Vec<Part>, String> {
    let is_plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !['"', '\'', ',', '|', '!', '\\'].contains(&c);
    if parameter.is_empty() || !parameter.chars().all(is_plain) {
        return Err("a parameter has no quotes, commas, bars or blanks".to_owned());
    }
    let variables = match place(parameter) {
        Some(variables) => variables?,
        None => vec![(parameter.to_owned(), None)],
    };
    let parse = |variable: &str| {
        Target::parse(variable).map_err(|fault| format!("{}; {}", fault.message, fault.help))
    };
    variables.iter().map(|(variable, side)| Ok(Part { target: parse(variable)?, side: *side })).collect()
}

/// A variable as it is written, and where its values have to come from.
type Written = (String, Option<Side>);

/// A place in the request as variables; `None` where it is not written as one.
fn place(parameter: &str) -> Option<Result<Vec<Written>, String>> {
    let rest = parameter.strip_prefix("request.").unwrap_or(parameter);
    let (kind, name) = rest.split_once('.').unwrap_or((rest, ""));
    let simple = |variables: &[(&str, Option<Side>)]| {
        if name.is_empty() {
            return Err(format!("`{parameter}` names no part; write one such as `{parameter}.name`"));
        }
        Ok(variables.iter().map(|(variable, side)| (format!("{variable}:{name}"), *side)).collect())
    };
    Some(match kind {
        "body" => body(parameter, name),
        "query" => simple(&[("ARGS", Some(Side::Query)), ("ARGS_GET", None)]),
        "header" | "headers" => simple(&[("REQUEST_HEADERS", None)]),
        "cookie" | "cookies" => simple(&[("REQUEST_COOKIES", None)]),
        "path" => Ok(["REQUEST_FILENAME", "REQUEST_BASENAME", "REQUEST_URI", "REQUEST_URI_RAW"]
            .map(|variable| (variable.to_owned(), None))
            .into()),
        _ => return None,
    })
}

/// A field of a body: by its name in forms, and by the one that rules give it in JSON.
fn body(parameter: &str, path: &str) -> Result<Vec<Written>, String> {
    // `items[].note` is any item, `items[0].note` one.
    let dotted = path.replace("[]", ".#").replace('[', ".").replace(']', "");
    let dotted = dotted.trim_start_matches('.');
    if path.is_empty() || dotted.is_empty() || dotted.split('.').any(str::is_empty) {
        return Err(format!("`{parameter}` is no place in a body"));
    }
    let mut variables = Vec::new();
    for (variable, side) in [("ARGS", Some(Side::Body)), ("ARGS_POST", None)] {
        if dotted.contains('#') {
            let steps: Vec<String> = dotted.split('.').map(pattern).collect();
            variables.push((format!("{variable}:/^(?:json\\.)?{}$/", steps.join("\\.")), side));
        } else {
            variables.push((format!("{variable}:{path}"), side));
            variables.push((format!("{variable}:json.{dotted}"), side));
        }
    }
    Ok(variables)
}

fn pattern(step: &str) -> String {
    if step == "#" {
        return "[0-9]+".to_owned();
    }
    let mut escaped = String::new();
    for c in step.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Rules as the policy names them.
enum Selection<'a> {
    /// Numbers from the first to the second.
    Rules(u64, u64),
    /// A tag.
    Tag(&'a str),
}

impl<'a> Selection<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        if let Some(id) = number(text) {
            return Ok(Selection::Rules(id, id));
        }
        if let Some((low, high)) = text.split_once('-')
            && let (Some(low), Some(high)) = (number(low), number(high))
        {
            if low > high {
                return Err(format!("the range `{text}` ends before it begins"));
            }
            return Ok(Selection::Rules(low, high));
        }
        Ok(Selection::Tag(text))
    }

    /// A number decides over a range, a range over a tag.
    fn rank(&self) -> u8 {
        match self {
            Selection::Tag(_) => 0,
            Selection::Rules(low, high) if low != high => 1,
            Selection::Rules(..) => 2,
        }
    }
}

/// The rules that are meant; there have to be some.
fn named(rules: &RuleSet, selection: &Selection<'_>) -> Result<Arc<[usize]>, String> {
    let is_rule = |rule: &Rule| !rules::is_setting(&rule.place.file);
    let meant = match selection {
        Selection::Rules(low, high) => {
            rules.indices(|rule| is_rule(rule) && (*low..=*high).contains(&rule.id))
        }
        Selection::Tag(tag) => {
            rules.indices(|rule| is_rule(rule) && rule.tags_source().iter().any(|known| known == tag))
        }
    };
    if !meant.is_empty() {
        return Ok(meant);
    }
    Err(match selection {
        Selection::Rules(low, high) if low == high => format!("there is no rule {low}"),
        Selection::Rules(low, high) => format!("there is no rule from {low} to {high}"),
        Selection::Tag(tag) => format!("no rule has the tag `{}`", tag.escape_debug()),
    })
}

fn modes(config: &Config, rules: &RuleSet, tuning: &mut Tuning, problems: &mut Diagnostics) {
    let mut listed = Vec::new();
    for (key, mode) in &config.modes {
        let meant = Selection::parse(key)
            .and_then(|selection| named(rules, &selection).map(|meant| (selection.rank(), meant, *mode)));
        match meant {
            Ok(meant) => listed.push(meant),
            Err(why) => {
                problems.push(Diagnostic::error(format!("modes.{key}"), why).help(
                    "write a rule's number, a range such as `942000-942999`, or a tag as rules bear it",
                ))
            }
        }
    }
    listed.sort_by_key(|(rank, ..)| *rank);
    let mut of_rules = vec![Mode::Enforce; rules.rules.len()];
    for (_, meant, mode) in listed {
        for index in &*meant {
            if let Some(place) = of_rules.get_mut(*index) {
                *place = mode;
            }
        }
    }
    let with = |wanted: Mode| -> Arc<[usize]> {
        of_rules.iter().enumerate().filter(|(_, mode)| **mode == wanted).map(|(index, _)| index).collect()
    };
    let (off, watched) = (with(Mode::Off), with(Mode::Monitor));
    if !off.is_empty() {
        tuning.leave_out(rules, &off, None, None);
    }
    if !watched.is_empty() {
        tuning.watch(rules, &watched);
    }
}

/// Seconds since 1970 at the end of a day, UTC.
fn end_of_day(day: &str) -> Result<u64, String> {
    let date = Date::parse(day, format_description!("[year]-[month]-[day]"));
    let next =
        date.ok().and_then(Date::next_day).ok_or_else(|| format!("`{}` is no day", day.escape_debug()))?;
    u64::try_from(next.midnight().assume_utc().unix_timestamp()).map_err(|_| "a day before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn places_stand_for_variables() {
        let told = |parameter: &str| -> Vec<String> {
            targets(parameter).unwrap().iter().map(|part| part.target.to_string()).collect()
        };
        assert_eq!(told("ARGS:text"), ["ARGS:text"]);
        assert_eq!(told("query.q"), ["ARGS:q", "ARGS_GET:q"]);
        assert_eq!(told("header.User-Agent"), ["REQUEST_HEADERS:user-agent"]);
        assert_eq!(told("request.cookies.sid"), ["REQUEST_COOKIES:sid"]);
        assert_eq!(
            told("request.body.user.text"),
            ["ARGS:user.text", "ARGS:json.user.text", "ARGS_POST:user.text", "ARGS_POST:json.user.text"]
        );
        let items = targets("request.body.items[].note").unwrap();
        assert!(items.iter().all(|part| part.target.selector.selects(b"json.items.12.note")));
        assert!(!items.iter().any(|part| part.target.selector.selects(b"json.items.x.note")));
        let one = targets("request.body.items[0].note").unwrap();
        assert!(one.iter().any(|part| part.target.selector.selects(b"json.items.0.note")));
        for wrong in ["", "a b", "request.body.", "request.body.a..b", "query", "NOPE:x", "REQUEST_URI:x"] {
            assert!(targets(wrong).is_err(), "{wrong}");
        }
    }
}
