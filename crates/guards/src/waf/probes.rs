//! What `waf` can be probed with: attacks that every level of the Core Rule Set knows.

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use bartizan_waf::lang::{Disruption, EngineMode, RuleSet};

use super::{Config, RuleSource};

/// What the guard offers. Rules of the user's own may look for anything: without the Core Rule Set nothing is known that
/// they must refuse, only whether they can.
pub(super) fn offer(settings: &Config, rules: &RuleSet) -> Probes {
    if !settings.rules.contains(&RuleSource::Crs) {
        return Probes { doubts: vec![of_own_rules(rules)], ..Probes::default() };
    }
    let query = |text: &str| vec![Edit::Query(text.to_owned())];
    let attacks = [
        (
            "an injection of SQL in the query",
            "q=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20",
        ),
        ("a script in the query", "q=%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
        ("a shell command in the query", "q=;cat%20/etc/passwd"),
    ];
    let remedy =
        "lower `inbound_threshold`, narrow the exclusions, or write `mode: monitor` while rules are tuned";
    let hostile = attacks.map(|(name, text)| Probe::refused(name, query(text)).mended_by(remedy));
    Probes { hostile: hostile.into(), ..Probes::default() }
}

/// What is to be known about rules that are all the user's own.
fn of_own_rules(rules: &RuleSet) -> Doubt {
    let idle = |what, remedy| Doubt { code: "nothing_to_enforce", weight: Weight::Open, what, remedy };
    let stops = |disruption: &Disruption| !matches!(disruption, Disruption::Pass | Disruption::Allow(_));
    match rules.settings.engine {
        EngineMode::Off => idle(
            "the rules of `waf` are switched off: `SecRuleEngine Off`".into(),
            "write `SecRuleEngine On`, or remove the line".into(),
        ),
        EngineMode::DetectionOnly => idle(
            "the rules of `waf` only watch, whatever the policy says: `SecRuleEngine DetectionOnly`".into(),
            "write `SecRuleEngine On` or remove the line; what should only watch says so by `mode: monitor`"
                .into(),
        ),
        EngineMode::On if !rules.rules.iter().any(|rule| stops(&rule.disruption)) => idle(
            "none of the rules of `waf` refuses anything".into(),
            "give a rule the action `deny`, or mount the Core Rule Set by `crs`".into(),
        ),
        EngineMode::On => Doubt {
            code: "not_probed",
            weight: Weight::Note,
            what: "the rules of `waf` are your own: no request is known here that they must refuse".into(),
            remedy: "show by a test of your own that they refuse what they are for".into(),
        },
    }
}
