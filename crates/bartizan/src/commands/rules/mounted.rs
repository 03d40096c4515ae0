//! The rules that a policy mounts, or that a folder holds: read by the code that `run` uses.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use bartizan_guards::waf::{Waf, is_setting};
use bartizan_policy::{CompileOptions, Loaded, QuickStart, Source, compile, offline, snapshot::Operation};
use bartizan_waf::lang::Rule;

use crate::{
    EXIT_CONFIG,
    admin_client::{Output, fail},
    commands::{
        check::refuse,
        run::{CONFIG, installed_crs},
    },
};

/// Which rules are meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// The policy that mounts them [default: bartizan.yaml, where it exists].
    #[arg(long, short, value_name = "FILE", conflicts_with = "crs")]
    pub config: Option<PathBuf>,
    /// The environment to lay over the policy, instead of its own.
    #[arg(long, value_name = "NAME", conflicts_with = "crs")]
    pub environment: Option<String>,
    /// A folder of the OWASP Core Rule Set, instead of a policy.
    #[arg(long, value_name = "DIR")]
    pub crs: Option<PathBuf>,
}

/// A policy and the directory that its files are relative to.
pub struct Mounted {
    loaded: Loaded,
    directory: PathBuf,
}

/// One rule, and where it is in force.
pub struct Listed<'m> {
    pub rule: &'m Rule,
    /// The APIs with an operation that has it.
    pub apis: Vec<&'m str>,
}

impl From<Loaded> for Mounted {
    /// A policy that somebody compiled; its files are named as it names them.
    fn from(loaded: Loaded) -> Self {
        Mounted { loaded, directory: PathBuf::new() }
    }
}

impl Mounted {
    /// Compiles what is meant.
    ///
    /// # Errors
    /// The exit code; what is wrong was told.
    pub fn load(which: &Which, output: Output) -> Result<Self, ExitCode> {
        let source = match (&which.config, &which.crs) {
            (Some(config), _) => Source::file(config),
            (None, Some(folder)) => folder_source(&folder.to_string_lossy()),
            (None, None) if Path::new(CONFIG).exists() => Source::file(CONFIG),
            (None, None) => match installed_crs() {
                Some(folder) => folder_source(&folder),
                None => {
                    fail(&format!(
                        "there is no `{CONFIG}` here, and Debian's package `modsecurity-crs` is not installed; name a policy by \
                         `--config`, or a folder by `--crs`"
                    ));
                    return Err(ExitCode::from(EXIT_CONFIG));
                }
            },
        };
        Self::compiled(&source, which.environment.clone(), output)
    }

    /// Compiles a policy that is no file.
    ///
    /// # Errors
    /// The exit code; what is wrong was told.
    pub fn of(source: &Source, output: Output) -> Result<Self, ExitCode> {
        Self::compiled(source, None, output)
    }

    fn compiled(source: &Source, environment: Option<String>, output: Output) -> Result<Self, ExitCode> {
        let services = offline::services();
        let options = CompileOptions { environment, ..CompileOptions::new(&services) };
        match compile(source, &options) {
            Ok(loaded) => Ok(Mounted { directory: source.directory(), loaded }),
            Err(rejected) => Err(refuse(&rejected, output)),
        }
    }

    /// Each set of rules with an API and an operation that has it, the API's own first. Operations that share a set are
    /// told by the first of them.
    pub fn sets(&self) -> Vec<(&str, &Operation, &Waf)> {
        let mut sets: Vec<(&str, &Operation, &Waf)> = Vec::new();
        for api in &self.loaded.snapshot.apis {
            let mut operations: Vec<&Arc<Operation>> = api.operations.all().collect();
            operations.sort_by(|a, b| (a.known, &a.label).cmp(&(b.known, &b.label)));
            for operation in operations {
                if let Some(waf) = operation.guards.waf.active()
                    && !sets.iter().any(|(name, _, known)| *name == &*api.name && std::ptr::eq(*known, waf))
                {
                    sets.push((&api.name, operation, waf));
                }
            }
        }
        sets
    }

    /// Every rule once, in the order in which they are looked at; settings of the policy are no rules.
    pub fn rules(&self) -> Vec<Listed<'_>> {
        let mut listed: Vec<Listed<'_>> = Vec::new();
        for (api, _, waf) in self.sets() {
            for rule in waf.rules().rules.iter().filter(|rule| !is_setting(&rule.place.file)) {
                match listed
                    .iter_mut()
                    .find(|known| known.rule.id == rule.id && known.rule.place == rule.place)
                {
                    Some(known) if known.apis.contains(&api) => {}
                    Some(known) => known.apis.push(api),
                    None => listed.push(Listed { rule, apis: vec![api] }),
                }
            }
        }
        listed
    }

    /// A file that a rule names, as a path.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The policy of the first hour with this folder.
fn folder_source(folder: &str) -> Source {
    QuickStart { crs: Some(folder.to_owned()), ..QuickStart::new("http://127.0.0.1:3000") }.source()
}

/// The paranoia level that a rule bears as a tag.
pub fn paranoia(rule: &Rule) -> Option<u8> {
    rule.tags.iter().find_map(|tag| tag.source().strip_prefix("paranoia-level/")?.parse().ok())
}
