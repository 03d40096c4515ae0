//! From settings to rules: the files, what the policy sets on top of them, and the exclusions.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use bartizan_model::{CompileContext, Diagnostic, Diagnostics, FileReference, Timestamp};
use bartizan_waf::{
    engine::Program,
    files::{Files, matches},
    lang::{Loader, RuleSet},
};
use time::{Date, macros::format_description};

use super::{
    Waf,
    config::{Config, Exclusion, RuleSource},
};

/// Where Debian's package `modsecurity-crs` puts the Core Rule Set.
pub const DEBIAN: &str = "/usr/share/modsecurity-crs";

/// With what the names of texts begin that stand for settings.
const SETTING: &str = "bartizan: ";

/// Where it puts the set-up.
pub const DEBIAN_SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// What an API may be asked with. The rule set's own default knows web pages only: no `PUT`, `PATCH` or `DELETE`.
const API_DEFAULTS: &str = "SecAction \"id:1000001,phase:1,pass,nolog,\
    setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE QUERY'\"\n";

/// Numbers of the rules that stand for settings: below what rule sets use.
const FIRST_ID: u64 = 1_000_010;

/// Where some of a block's rules were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The folder of the rule files, as the policy names it.
    pub folder: String,
    /// What the rules call their version: `OWASP_CRS/4.29.0`. `None` where they say nothing.
    pub version: Option<String>,
    /// How many rules.
    pub rules: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(version) = &self.version {
            write!(f, "{version}, ")?;
        }
        let plural = if self.rules == 1 { "" } else { "s" };
        write!(f, "{} rule{plural} from `{}`", self.rules, self.folder)
    }
}

impl Waf {
    /// The rules, with their places.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        self.program.rules()
    }

    /// What the policy leaves out of the rules.
    #[must_use]
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.settings.exclusions
    }

    /// Where the rules were read, folder by folder; what stands for settings of the policy is not counted.
    #[must_use]
    pub fn origins(&self) -> Vec<Origin> {
        let mut folders: BTreeMap<&str, (Option<&str>, usize)> = BTreeMap::new();
        for rule in &self.rules().rules {
            if is_setting(&rule.place.file) {
                continue;
            }
            let folder = rule.place.file.rsplit_once('/').map_or(".", |(folder, _)| folder);
            let known = folders.entry(folder).or_default();
            known.0 = known.0.or(rule.ver.as_deref());
            known.1 += 1;
        }
        let origin = |(folder, (version, rules)): (&str, (Option<&str>, usize))| Origin {
            folder: folder.to_owned(),
            version: version.map(str::to_owned),
            rules,
        };
        // The set-up of the Core Rule Set stands in a folder of its own, but is part of it.
        let is_setup = |origin: &Origin| {
            self.rules().rules.iter().all(|rule| {
                let place = rule.place.file.rsplit_once('/').map_or((".", &*rule.place.file), |place| place);
                place.0 != origin.folder || place.1.starts_with("crs-setup.conf")
            })
        };
        folders.into_iter().map(origin).filter(|origin| !is_setup(origin)).collect()
    }
}

/// Whether a rule's file is no file, but a setting of the policy.
#[must_use]
pub fn is_setting(file: &str) -> bool {
    file.starts_with(SETTING)
}

/// Compiles the rules of a block.
pub(super) fn compile(config: &Config, context: &CompileContext<'_>) -> Result<Arc<Program>, Diagnostics> {
    check(config)?;
    let files = RuleFiles(context.files);
    let mut loader = Loader::new(&files);
    let narrowed = exclusions(&config.exclusions, context.services.clock.now())?;
    loader
        .text("bartizan: engine", &engine(config))
        .text("bartizan: methods", API_DEFAULTS)
        .text("bartizan: exclusions that end", &narrowed.before);
    let mut has_crs = false;
    for (index, source) in config.rules.iter().enumerate() {
        match source {
            RuleSource::File(FileReference(path)) => {
                loader.include(path);
            }
            RuleSource::Crs if has_crs => {
                return Err(Diagnostic::error(format!("rules[{index}]"), "`crs` is listed twice")
                    .help("list it once")
                    .into());
            }
            RuleSource::Crs => {
                has_crs = true;
                let found = find(config, context).map_err(|diagnostic| at(diagnostic, index))?;
                loader.include(&found.setup);
                loader.text("bartizan: settings", &settings(config));
                loader.include(&format!("{}/rules/*.conf", found.folder));
            }
        }
    }
    loader.text("bartizan: exclusions", &narrowed.after);
    let loaded = loader.finish()?;
    known(&config.exclusions, &loaded.rules)?;
    Ok(Program::new(loaded.rules))
}

fn at(mut diagnostic: Diagnostic, index: usize) -> Diagnostics {
    diagnostic.path = format!("rules[{index}]");
    diagnostic.into()
}

/// What the rules of the recommended configuration set, in the policy's terms.
fn engine(config: &Config) -> String {
    let responses = if config.responses { "On" } else { "Off" };
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit {body}\nSecRequestBodyNoFilesLimit {body}\n\
         SecRequestBodyLimitAction ProcessPartial\nSecResponseBodyAccess {responses}\nSecResponseBodyLimit {response}\n\
         SecResponseBodyLimitAction ProcessPartial\n\
         SecResponseBodyMimeType text/plain text/html text/xml application/json application/xml application/problem+json\n",
        body = config.max_body.0.max(1),
        response = config.max_response.0.max(1),
    )
}

/// What the policy sets of the Core Rule Set: both names of the paranoia level, since version 4 renamed it.
fn settings(config: &Config) -> String {
    let mut set = String::new();
    let mut put = |name: &str, value: u64| {
        let _ = write!(set, ",setvar:tx.{name}={value}");
    };
    if let Some(level) = config.paranoia.map(u64::from) {
        put("blocking_paranoia_level", level);
        put("paranoia_level", level);
        if config.detection_paranoia.is_none() {
            put("detection_paranoia_level", level);
            put("executing_paranoia_level", level);
        }
    }
    if let Some(level) = config.detection_paranoia.map(u64::from) {
        put("detection_paranoia_level", level);
        put("executing_paranoia_level", level);
    }
    if let Some(threshold) = config.inbound_threshold {
        put("inbound_anomaly_score_threshold", threshold.into());
    }
    if let Some(threshold) = config.outbound_threshold {
        put("outbound_anomaly_score_threshold", threshold.into());
    }
    if set.is_empty() { String::new() } else { format!("SecAction \"id:1000002,phase:1,pass,nolog{set}\"\n") }
}

/// What narrows rules.
#[derive(Default)]
struct Narrowed {
    /// In front of all rules: what holds until a day, decided for each request.
    before: String,
    /// Behind all rules: what holds for good.
    after: String,
}

fn exclusions(list: &[Exclusion], now: Timestamp) -> Result<Narrowed, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut narrowed = Narrowed::default();
    for (index, exclusion) in list.iter().enumerate() {
        let path = |key: &str| format!("exclusions[{index}].{key}");
        let target = match &exclusion.parameter {
            Some(parameter) if !parameter.chars().all(is_plain) => {
                problems.push(
                    Diagnostic::error(path("parameter"), "a parameter has no quotes, commas, bars or blanks")
                        .help("write the variable as the finding names it, such as `ARGS:text`"),
                );
                continue;
            }
            target => target.as_deref(),
        };
        let (for_good, for_now) = match (exclusion.rule, &exclusion.tag, target) {
            (Some(rule), None, None) => {
                (format!("SecRuleRemoveById {rule}"), format!("ruleRemoveById={rule}"))
            }
            (Some(rule), None, Some(target)) => (
                format!("SecRuleUpdateTargetById {rule} \"!{target}\""),
                format!("ruleRemoveTargetById={rule};{target}"),
            ),
            (None, Some(tag), target) if tag.chars().all(is_plain) => match target {
                None => (format!("SecRuleRemoveByTag \"^{tag}$\""), format!("ruleRemoveByTag={tag}")),
                Some(target) => (
                    format!("SecRuleUpdateTargetByTag \"^{tag}$\" \"!{target}\""),
                    format!("ruleRemoveTargetByTag={tag};{target}"),
                ),
            },
            (None, Some(_), _) => {
                problems.push(
                    Diagnostic::error(path("tag"), "a tag has no quotes, commas, bars or blanks")
                        .help("write it as the rule does, such as `attack-sqli`"),
                );
                continue;
            }
            _ => {
                problems.push(
                    Diagnostic::error(format!("exclusions[{index}]"), "name one rule or one tag")
                        .help("write `rule: 942100` or `tag: attack-sqli`"),
                );
                continue;
            }
        };
        if exclusion.reason.trim().is_empty() {
            problems.push(
                Diagnostic::error(path("reason"), "an exclusion needs a reason")
                    .help("say why what the rule finds is harmless here"),
            );
        }
        match exclusion.expires.as_deref().map(end_of_day).transpose() {
            Err(message) => problems
                .push(Diagnostic::error(path("expires"), message).help("write a day, such as `2027-01-31`")),
            Ok(Some(end)) if now.seconds() >= end => {}
            Ok(Some(end)) => {
                let id = FIRST_ID + index as u64;
                let _ = writeln!(
                    narrowed.before,
                    "SecRule TIME_EPOCH \"@lt {end}\" \"id:{id},phase:1,pass,nolog,t:none,ctl:{for_now}\""
                );
            }
            Ok(None) => {
                let _ = writeln!(narrowed.after, "{for_good}");
            }
        }
    }
    problems.or(narrowed)
}

fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !['"', '\'', ',', '|', '!', '\\'].contains(&c)
}

/// Seconds since 1970 at the end of a day, UTC.
fn end_of_day(day: &str) -> Result<u64, String> {
    let date = Date::parse(day, format_description!("[year]-[month]-[day]"));
    let next =
        date.ok().and_then(Date::next_day).ok_or_else(|| format!("`{}` is no day", day.escape_debug()))?;
    u64::try_from(next.midnight().assume_utc().unix_timestamp()).map_err(|_| "a day before 1970".to_owned())
}

/// An exclusion of a rule that does not exist protects nobody from anything: it is a slip of the pen.
fn known(list: &[Exclusion], rules: &RuleSet) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (index, exclusion) in list.iter().enumerate() {
        // A rule that was removed is not there to be found.
        if let (Some(id), Some(_)) = (exclusion.rule, &exclusion.parameter)
            && !rules.rules.iter().any(|rule| rule.id == id)
        {
            problems.push(
                Diagnostic::error(format!("exclusions[{index}].rule"), format!("there is no rule {id}"))
                    .help("write the number that a finding names"),
            );
        }
    }
    problems.or(())
}

/// What the types cannot say.
fn check(config: &Config) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (key, level) in [("paranoia", config.paranoia), ("detection_paranoia", config.detection_paranoia)] {
        if level.is_some_and(|level| !(1..=4).contains(&level)) {
            problems.push(Diagnostic::error(key, "paranoia levels are 1 to 4").help("write 1, 2, 3 or 4"));
        }
    }
    if let (Some(detection), Some(blocking)) = (config.detection_paranoia, config.paranoia)
        && detection < blocking
    {
        problems.push(
            Diagnostic::error("detection_paranoia", "rules that refuse have to be evaluated")
                .help("let it be at least `paranoia`, or leave it out"),
        );
    }
    let thresholds =
        [("inbound_threshold", config.inbound_threshold), ("outbound_threshold", config.outbound_threshold)];
    for (key, threshold) in thresholds {
        if threshold == Some(0) {
            problems.push(
                Diagnostic::error(key, "a threshold of 0 refuses everything")
                    .help("write 5, or more to be lenient"),
            );
        }
    }
    if config.rules.is_empty() {
        problems.push(
            Diagnostic::error("rules", "there are no rules")
                .help("write `[crs]`, or leave `waf` out or set its mode to `off`"),
        );
    }
    problems.or(())
}

/// A Core Rule Set on this machine.
struct Found {
    folder: String,
    setup: String,
}

fn find(config: &Config, context: &CompileContext<'_>) -> Result<Found, Diagnostic> {
    let folder = config.crs.as_ref().map_or(DEBIAN, |reference| reference.0.trim_end_matches('/')).to_owned();
    let has = |path: String| context.files.list(&FileReference(path)).is_ok_and(|names| !names.is_empty());
    if !has(format!("{folder}/rules")) {
        return Err(Diagnostic::error(
            "rules",
            format!("the OWASP Core Rule Set is not in `{folder}`: there is no folder `rules` in it"),
        )
        .help(
            "install Debian's package `modsecurity-crs`, or name its folder by `crs: file:..` or `--crs`",
        ));
    }
    let setups = [
        format!("{folder}/crs-setup.conf"),
        DEBIAN_SETUP.to_owned(),
        format!("{folder}/crs-setup.conf.example"),
    ];
    // Debian's set-up belongs to Debian's rules only.
    let own = |setup: &String| setup != DEBIAN_SETUP || folder == DEBIAN;
    let setup =
        setups.into_iter().filter(own).find(|path| context.files.read(&FileReference(path.clone())).is_ok());
    match setup {
        Some(setup) => Ok(Found { folder, setup }),
        None => Err(Diagnostic::error(
            "rules",
            format!("the Core Rule Set in `{folder}` has no `crs-setup.conf`"),
        )
        .help("copy `crs-setup.conf.example` of its release there")),
    }
}

/// The files of a policy, as the rule language asks for them.
struct RuleFiles<'a>(&'a dyn bartizan_model::Files);

impl Files for RuleFiles<'_> {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.0.read(&FileReference(path.to_owned()))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, _) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        let mut found = self.0.list(&FileReference(folder.to_owned()))?;
        found.iter_mut().for_each(|name| {
            *name = if pattern.contains('/') { format!("{folder}/{name}") } else { std::mem::take(name) };
        });
        found.retain(|path| matches(pattern.as_bytes(), path.as_bytes()));
        found.sort();
        Ok(found)
    }
}
