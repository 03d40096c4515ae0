//! What `waf` can be probed with: attacks that every level of the Core Rule Set knows.

use bartizan_model::probe::{Edit, Probe, Probes};

use super::{Config, RuleSource};

/// What the guard offers. Rules of the user's own may look for anything: without the Core Rule Set nothing is known that
/// they must refuse.
pub(super) fn offer(settings: &Config) -> Probes {
    if !settings.rules.contains(&RuleSource::Crs) {
        return Probes::default();
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
