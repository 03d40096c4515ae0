//! What rules found, in words that hold no payload.

use std::{cmp::Reverse, fmt::Write as _};

use bartizan_model::{Denial, Guard as _, Mode, Phase, Severity, TokenKey, Transaction};
use bartizan_waf::{
    engine::{Finding, Inspection, Interruption, Match},
    lang::{Phase as Direction, Rule, RuleSet, Text},
    variables::Variable,
};

use super::{Waf, reason::Why};

/// The longest name of a parameter that is told as it is.
const MAX_NAME: usize = 64;
/// Letters of a name without a separator, digits of it, and changes between small letters, digits and others.
const MAX_WORD: usize = 24;
const MAX_DIGITS: usize = 4;
const MAX_HUMPS: usize = 12;
/// Rules that a refusal names; the findings have them all.
const MAX_RULES: usize = 5;
/// The longest text of a rule that is told.
const MAX_MSG: usize = 200;

/// What there is to tell of.
pub(super) struct Seen<'s> {
    pub(super) rules: &'s RuleSet,
    pub(super) inspection: &'s Inspection,
    pub(super) tokens: &'s TokenKey,
}

/// How many of an inspection's findings were told.
#[derive(Debug, Default)]
pub(super) struct Told(usize);

impl Told {
    /// Tells the new ones, but for the rule that refuses: that is told as the refusal.
    pub(super) fn findings(
        &mut self,
        seen: &Seen<'_>,
        transaction: &mut Transaction,
        phase: Phase,
        refusal: Option<&Interruption>,
    ) {
        let all = seen.inspection.findings();
        for finding in all.get(self.0..).unwrap_or_default() {
            let refuses = refusal.is_some_and(|stop| stop.rule == finding.rule);
            // What a rule keeps quiet about is not told.
            if !finding.log || (finding.stops && refuses) {
                continue;
            }
            let detail = describe(seen.rules, finding, seen.tokens);
            let why = Why::Match { severity: severity(finding), detail };
            transaction.find(Denial::of(Waf::ID, &why).finding(phase, Mode::Monitor));
        }
        self.0 = all.len();
    }
}

/// Detail and remedy of a refusal.
pub(super) fn refusal(seen: &Seen<'_>, interruption: &Interruption) -> (String, String) {
    let Seen { rules, inspection, tokens } = *seen;
    let mut scored: Vec<&Finding> = inspection
        .findings()
        .iter()
        .filter(|finding| finding.score > 0 && !finding.stops && !finding.watched)
        .collect();
    // The gravest first; of equals, the first that matched.
    scored.sort_by_key(|finding| Reverse(finding.score));
    let by = rule(rules, interruption.rule);
    let named = by.map_or_else(String::new, |rule| format!(" ({})", place(rule)));
    let detail = match scored.split_first() {
        Some((gravest, others)) => {
            let score: i64 = scored.iter().map(|finding| finding.score).sum();
            let mut detail =
                format!("anomaly score {score}, too much for rule {}{named}: ", interruption.rule);
            detail.push_str(&headline(rules, gravest, tokens));
            if !others.is_empty() {
                let names: Vec<String> =
                    others.iter().take(MAX_RULES).map(|finding| finding.rule.to_string()).collect();
                let more = if others.len() > MAX_RULES { " and more" } else { "" };
                let _ = write!(detail, "; with {}{more}", names.join(", "));
            }
            detail
        }
        None => {
            let stops = inspection.findings().iter().find(|finding| finding.rule == interruption.rule);
            match stops {
                Some(finding) => describe(rules, finding, tokens),
                None => format!("rule {}{named}", interruption.rule),
            }
        }
    };
    let exclusions = match scored.as_slice() {
        [] => {
            let stops = inspection.findings().iter().find(|finding| finding.rule == interruption.rule);
            vec![stops.map_or_else(|| entry(interruption.rule, None), |finding| exclusion(finding, tokens))]
        }
        scored => exclusions(scored, threshold(inspection, interruption), tokens),
    };
    let remedy = format!("if this is legitimate, leave out for this operation: {}", exclusions.join(", "));
    (detail, remedy)
}

/// The score that is too much, as the rule set keeps it.
fn threshold(inspection: &Inspection, interruption: &Interruption) -> i64 {
    let name: &[u8] = match interruption.phase {
        Direction::RequestHeaders | Direction::RequestBody => b"inbound_anomaly_score_threshold",
        _ => b"outbound_anomaly_score_threshold",
    };
    let text = inspection.tx().get(name).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The fewest rules whose absence lets the rest pass, the gravest first, each for what it matched alone.
fn exclusions(scored: &[&Finding], threshold: i64, tokens: &TokenKey) -> Vec<String> {
    let mut left: i64 = scored.iter().map(|finding| finding.score).sum();
    let mut entries = Vec::new();
    for finding in scored {
        if left < threshold {
            break;
        }
        left -= finding.score;
        entries.push(exclusion(finding, tokens));
    }
    entries
}

/// The narrowest exclusion that silences a finding.
fn exclusion(finding: &Finding, tokens: &TokenKey) -> String {
    let mut places: Vec<Option<String>> =
        finding.matches.iter().map(|matched| parameter(matched, tokens)).collect();
    places.dedup();
    // What cannot be named, or is more than one, takes the rule away as a whole.
    match places.as_slice() {
        [Some(place)] => entry(finding.rule, Some(place)),
        _ => entry(finding.rule, None),
    }
}

fn entry(rule: u64, parameter: Option<&str>) -> String {
    let parameter = parameter.map_or_else(String::new, |parameter| format!(", parameter: \"{parameter}\""));
    format!("`{{ rule: {rule}{parameter}, reason: \"..\" }}`")
}

/// The variable as an exclusion names it; `None` where its name is not told.
fn parameter(matched: &Match, tokens: &TokenKey) -> Option<String> {
    is_told(matched).then(|| name(matched, tokens))
}

/// Whether the part is told by its name: it is a plain word, or a path of the rule's own.
fn is_told(matched: &Match) -> bool {
    matched.name.is_empty() || matched.variable == Variable::Xml || is_a_name(&matched.name)
}

/// Which rule, and in what.
fn headline(rules: &RuleSet, finding: &Finding, tokens: &TokenKey) -> String {
    let mut told = format!("rule {}", finding.rule);
    if let Some(rule) = rule(rules, finding.rule) {
        let _ = write!(told, " ({})", place(rule));
        if let Some(msg) = &rule.msg {
            let _ = write!(told, ": {}", text(msg));
        }
    }
    if let Some(matched) = finding.matches.first() {
        let _ = write!(told, "; in {}", name(matched, tokens));
    }
    told
}

/// One finding.
fn describe(rules: &RuleSet, finding: &Finding, tokens: &TokenKey) -> String {
    let mut told = headline(rules, finding, tokens);
    if let Some(matched) = finding.matches.first() {
        if !matched.transformations.is_empty() {
            let steps: Vec<&str> = matched.transformations.iter().map(|step| step.name()).collect();
            let _ = write!(told, " after {}", steps.join(", "));
        }
        let bytes = matched.span.and_then(|(from, to)| matched.value.get(from..to)).unwrap_or(&matched.value);
        let _ = write!(told, ", {} bytes {}", bytes.len(), tokens.token(bytes));
        if let more @ 1.. = finding.matches.len() - 1 {
            let _ = write!(told, ", and {more} more");
        }
    }
    match (finding.watched, finding.score) {
        (true, 0) => told.push_str("; it only watches"),
        (true, score) => {
            let _ = write!(told, "; it only watches, and would score {score}");
        }
        (false, 0) => {}
        (false, score) => {
            let _ = write!(told, "; score {score}");
        }
    }
    told
}

/// Whether this reads like a name: short words of letters in few humps, with few digits. Tokens have many of both, and a
/// query such as `?TOKEN` makes one a name.
fn is_a_name(part: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-[]".contains(byte);
    let kind = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_digit());
    let words = part.split(|byte| !byte.is_ascii_alphanumeric());
    let humps = part.iter().zip(part.iter().skip(1)).filter(|&(&one, &next)| kind(one) != kind(next)).count();
    part.len() <= MAX_NAME
        && part.iter().all(plain)
        && part.iter().filter(|byte| byte.is_ascii_digit()).count() <= MAX_DIGITS
        && humps <= MAX_HUMPS
        && words.map(<[u8]>::len).max().unwrap_or(0) <= MAX_WORD
}

/// `ARGS:q`. A name that is no plain word comes from whoever sent it, and may be a value in disguise.
fn name(matched: &Match, tokens: &TokenKey) -> String {
    let variable = matched.variable.name();
    let part = &matched.name;
    if part.is_empty() {
        variable.to_owned()
    } else if is_told(matched) {
        format!("{variable}:{}", String::from_utf8_lossy(part))
    } else {
        format!("{variable}:{}", tokens.token(part))
    }
}

fn rule(rules: &RuleSet, id: u64) -> Option<&Rule> {
    rules.rules.iter().find(|rule| rule.id == id)
}

/// The rule's file, without its folder, and line.
fn place(rule: &Rule) -> String {
    let file = rule.place.file.rsplit('/').next().unwrap_or_default();
    format!("{file}:{}", rule.place.line)
}

/// A rule's text as it was written: what it would insert are values of the request.
fn text(text: &Text) -> String {
    let mut told = text.source();
    if let Some((end, _)) = told.char_indices().nth(MAX_MSG) {
        told.truncate(end);
        told.push_str("..");
    }
    told
}

fn severity(finding: &Finding) -> Severity {
    match finding.severity.map(|severity| severity.number()) {
        Some(0..=2) => Severity::High,
        Some(3 | 4) => Severity::Medium,
        Some(5) => Severity::Low,
        Some(_) => Severity::Info,
        // What only sums up at the end is no sign of anything.
        None if finding.phase == Direction::Logging => Severity::Info,
        None => Severity::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::is_a_name;

    #[test]
    fn names_are_told_and_tokens_are_not() {
        for name in [
            "q",
            "user_id",
            "filter[createdAt][gte]",
            "X-Forwarded-For",
            "utf8",
            "json.order.items.0.sku",
            "ID",
        ] {
            assert!(is_a_name(name.as_bytes()), "{name}");
        }
        for token in [
            "Zq8Lw3Xr7Tn2Bv5Kd9MfPa4Hs6Jc1Yg",
            "3f2a9c01d4e73f2a9c01d4e73f2a9c01",
            "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeF",
            "qzkvjxwmtrbhdqzkvjxwmtrbhd",
            "a b",
        ] {
            assert!(!is_a_name(token.as_bytes()), "{token}");
        }
    }
}
