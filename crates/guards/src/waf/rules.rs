//! From settings to rules: the files, read once for all blocks that name the same.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Weak},
};

use ahash::RandomState;
use bartizan_model::{CompileContext, Diagnostic, Diagnostics, FileReference};
use bartizan_waf::{
    engine::{Program, Tuning},
    files::{Files, matches},
    lang::{Loader, RuleSet},
};
use parking_lot::Mutex;

use super::{
    Waf,
    config::{Config, Exclusion, RuleSource},
    exclusions,
};
use crate::contract;

/// Where Debian's package `modsecurity-crs` puts the Core Rule Set.
pub const DEBIAN: &str = "/usr/share/modsecurity-crs";

/// With what the names of texts begin that stand for settings.
const SETTING: &str = "bartizan: ";

/// Where it puts the set-up.
pub const DEBIAN_SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// What an API may be asked with. The rule set's own default knows web pages only: no `PUT`, `PATCH` or `DELETE`.
const API_DEFAULTS: &str = "SecAction \"id:1000001,phase:1,pass,nolog,\
    setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE QUERY'\"\n";

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

    /// The rules as this block runs them.
    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        &self.program
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

/// Rule sets that policies use, by what their files say: blocks and reloads with the same files share one.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<Shelved>>);

/// A pattern of file names, and what it named.
type Listed = (String, Result<Vec<String>, String>);

/// Rule sets that are remembered at a time: those that nobody uses any more are forgotten before.
const SHELVED: usize = 64;

/// One set, as long as somebody uses it.
struct Shelved {
    /// Which rules in which order.
    sources: String,
    /// What was read, and the digest of what it said; none of what could not be read.
    reads: Vec<(String, Option<u128>)>,
    /// The files that patterns named.
    lists: Vec<Listed>,
    program: Weak<Program>,
    doubts: Arc<Diagnostics>,
}

/// The rules of a block: as their files have them, and as the block wants them.
pub(super) struct Compiled {
    pub(super) base: Arc<Program>,
    pub(super) program: Arc<Program>,
    /// What is doubtful about the policy's own files.
    pub(super) doubts: Arc<Diagnostics>,
}

/// Compiles the rules of a block.
pub(super) fn compile(config: &Config, context: &CompileContext<'_>) -> Result<Compiled, Diagnostics> {
    check(config)?;
    let (base, doubts) = load(config, context)?;
    let mut tuning = exclusions::tuning(config, base.rules(), context.services.clock.now())?;
    if config.trust_contract
        && let Some(checks) = contract::known(context)
    {
        tuning.expect(checks.shapes().bounds());
    }
    Ok(Compiled { program: base.tuned(tuning), base, doubts })
}

/// The rules of the files, unless a set that was read from the same is in use.
fn load(
    config: &Config,
    context: &CompileContext<'_>,
) -> Result<(Arc<Program>, Arc<Diagnostics>), Diagnostics> {
    let sources = sources(config, context)?;
    let shelf = context.services.kept.of::<Shelf>();
    let files = RuleFiles::new(context.files);
    let mut shelved = shelf.0.lock();
    shelved.retain(|one| one.program.strong_count() > 0);
    let known = shelved.iter().filter(|one| one.sources == sources.name).find(|one| one.is_current(&files));
    if let Some(known) = known.and_then(|one| Some((one.program.upgrade()?, Arc::clone(&one.doubts)))) {
        return Ok(known);
    }
    let files = RuleFiles::new(context.files);
    let mut loader = Loader::new(&files);
    for source in &sources.list {
        match source {
            Text::Given(name, text) => loader.text(name, text),
            Text::Published(path) => loader.lenient(true).include(path).lenient(false),
            Text::Own(path) => loader.include(path),
            Text::Optional(path) => loader.include_optional(path),
        };
    }
    let loaded = loader.finish()?;
    let mut doubts = loaded.warnings;
    // Nobody mends a published rule set here.
    let is_published = |doubt: &Diagnostic| {
        doubt.place.as_ref().is_some_and(|place| {
            let file = place.file.as_str();
            let within = |folder: &String| {
                file.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            sources.published.iter().any(|known| file == known || within(known))
        })
    };
    doubts.0.retain(|doubt| !is_published(doubt));
    let doubts = Arc::new(doubts);
    let program = Program::new(loaded.rules);
    if shelved.len() < SHELVED {
        let (reads, lists) = (files.reads.into_inner(), files.lists.into_inner());
        let (program, doubts) = (Arc::downgrade(&program), Arc::clone(&doubts));
        shelved.push(Shelved { sources: sources.name, reads, lists, program, doubts });
    }
    Ok((program, doubts))
}

impl Shelved {
    /// Whether its files say what they said. All of them are read, so that whoever watches the policy's files sees them.
    fn is_current(&self, files: &RuleFiles<'_>) -> bool {
        let same =
            |(path, then): &&(String, Option<u128>)| files.read(path).ok().map(|now| digest(&now)) == *then;
        let read = self.reads.iter().filter(same).count() == self.reads.len();
        read && self.lists.iter().all(|(pattern, then)| files.glob(pattern) == *then)
    }
}

fn digest(bytes: &[u8]) -> u128 {
    let half = |seed: u64| RandomState::with_seeds(seed, !seed, seed.rotate_left(17), 7).hash_one(bytes);
    u128::from(half(0x243f_6a88_85a3_08d3)) << 64 | u128::from(half(0x1319_8a2e_0370_7344))
}

/// What is loaded, in order.
struct Sources {
    /// Tells one list from another.
    name: String,
    list: Vec<Text>,
    /// The folder and set-up of the Core Rule Set.
    published: Vec<String>,
}

enum Text {
    Given(&'static str, &'static str),
    /// Files of the Core Rule Set.
    Published(String),
    /// Files of the policy's own.
    Own(String),
    /// Files that may be missing.
    Optional(String),
}

fn sources(config: &Config, context: &CompileContext<'_>) -> Result<Sources, Diagnostics> {
    let mut list =
        vec![Text::Given("bartizan: engine", ENGINE), Text::Given("bartizan: methods", API_DEFAULTS)];
    let mut name = String::new();
    let mut published = Vec::new();
    let mut has_crs = false;
    for (index, source) in config.rules.iter().enumerate() {
        match source {
            RuleSource::File(FileReference(path)) => {
                let _ = writeln!(name, "file {path}");
                list.push(Text::Own(path.clone()));
            }
            RuleSource::Crs if has_crs => {
                return Err(Diagnostic::error(format!("rules[{index}]"), "`crs` is listed twice")
                    .help("list it once")
                    .into());
            }
            RuleSource::Crs => {
                has_crs = true;
                let found = find(config, context).map_err(|diagnostic| at(diagnostic, index))?;
                let _ = writeln!(name, "crs {} {}", found.setup, found.folder);
                list.push(Text::Published(found.setup.clone()));
                list.push(Text::Given("bartizan: settings", SETTINGS));
                let [before, after] = found.exclusions();
                list.push(Text::Optional(before));
                list.push(Text::Published(format!("{}/rules/*.conf", found.folder)));
                list.push(Text::Optional(after));
                published.extend([found.setup, found.folder]);
            }
        }
    }
    Ok(Sources { name, list, published })
}

fn at(mut diagnostic: Diagnostic, index: usize) -> Diagnostics {
    diagnostic.path = format!("rules[{index}]");
    diagnostic.into()
}

/// What the recommended configuration sets. Bounds of bodies are the policy's, and responses are looked at where it says so.
const ENGINE: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 1073741824\n\
    SecRequestBodyNoFilesLimit 1073741824\nSecRequestBodyLimitAction ProcessPartial\nSecResponseBodyAccess On\n\
    SecResponseBodyLimitAction ProcessPartial\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json application/xml application/problem+json\n";

/// What the policy sets of the Core Rule Set, behind its own set-up: both names of the paranoia levels, since version 4
/// renamed them. Inspections begin with the variables that are read here ([`give`]).
const SETTINGS: &str = "SecRule &TX:bartizan_paranoia \"@eq 1\" \"id:1000002,phase:1,pass,nolog,t:none,\
    setvar:tx.blocking_paranoia_level=%{tx.bartizan_paranoia},setvar:tx.paranoia_level=%{tx.bartizan_paranoia}\"\n\
    SecRule &TX:bartizan_detection \"@eq 1\" \"id:1000003,phase:1,pass,nolog,t:none,\
    setvar:tx.detection_paranoia_level=%{tx.bartizan_detection},\
    setvar:tx.executing_paranoia_level=%{tx.bartizan_detection}\"\n\
    SecRule &TX:bartizan_inbound \"@eq 1\" \"id:1000004,phase:1,pass,nolog,t:none,\
    setvar:tx.inbound_anomaly_score_threshold=%{tx.bartizan_inbound}\"\n\
    SecRule &TX:bartizan_outbound \"@eq 1\" \"id:1000005,phase:1,pass,nolog,t:none,\
    setvar:tx.outbound_anomaly_score_threshold=%{tx.bartizan_outbound}\"\n";

/// Levels and thresholds, as the variables that the rules above read.
pub(super) fn give(config: &Config, tuning: &mut Tuning) {
    let mut put = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            tuning.give(name, &value.to_string());
        }
    };
    let paranoia = config.paranoia.map(u32::from);
    put("bartizan_paranoia", paranoia);
    put("bartizan_detection", config.detection_paranoia.map(u32::from).or(paranoia));
    put("bartizan_inbound", config.inbound_threshold);
    put("bartizan_outbound", config.outbound_threshold);
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
    if config.max_work.0 == 0 {
        problems.push(
            Diagnostic::error("max_work", "without any work every request is refused")
                .help("leave it out for 64MiB, or write a size"),
        );
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

impl Found {
    /// The user's own files that Debian keeps beside the set-up, before and behind the rules; elsewhere they are in `rules`.
    fn exclusions(&self) -> [String; 2] {
        let folder = self.setup.rsplit_once('/').map_or(".", |(folder, _)| folder);
        ["REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf", "RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"]
            .map(|name| format!("{folder}/{name}"))
    }
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
    // Debian's set-up belongs to Debian's rules only, wherever the package was unpacked.
    let debian = folder.strip_suffix(DEBIAN).map(|root| format!("{root}{DEBIAN_SETUP}"));
    let setups =
        [Some(format!("{folder}/crs-setup.conf")), debian, Some(format!("{folder}/crs-setup.conf.example"))];
    let setup =
        setups.into_iter().flatten().find(|path| context.files.read(&FileReference(path.clone())).is_ok());
    match setup {
        Some(setup) => Ok(Found { folder, setup }),
        None => Err(Diagnostic::error(
            "rules",
            format!("the Core Rule Set in `{folder}` has no `crs-setup.conf`"),
        )
        .help("copy `crs-setup.conf.example` of its release there")),
    }
}

/// The files of a policy, as the rule language asks for them, and what was asked.
struct RuleFiles<'a> {
    files: &'a dyn bartizan_model::Files,
    reads: RefCell<Vec<(String, Option<u128>)>>,
    lists: RefCell<Vec<Listed>>,
}

impl<'a> RuleFiles<'a> {
    fn new(files: &'a dyn bartizan_model::Files) -> Self {
        RuleFiles { files, reads: RefCell::default(), lists: RefCell::default() }
    }

    fn list(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, _) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        self.files.note_pattern(&FileReference(pattern.to_owned()));
        let mut found = self.files.list(&FileReference(folder.to_owned()))?;
        found.iter_mut().for_each(|name| {
            *name = if pattern.contains('/') { format!("{folder}/{name}") } else { std::mem::take(name) };
        });
        found.retain(|path| matches(pattern.as_bytes(), path.as_bytes()));
        found.sort();
        Ok(found)
    }
}

impl Files for RuleFiles<'_> {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let bytes = self.files.read(&FileReference(path.to_owned()));
        let digest = bytes.as_ref().ok().map(|bytes| digest(bytes));
        self.reads.borrow_mut().push((path.to_owned(), digest));
        bytes
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let found = self.list(pattern);
        self.lists.borrow_mut().push((pattern.to_owned(), found.clone()));
        found
    }
}
