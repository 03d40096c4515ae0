//! Reads files and texts, follows `Include`, gathers rules and everything that is wrong.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_model::{Diagnostic, Diagnostics};

use super::{
    action::{Actions, Phase},
    build,
    rule::{RuleSet, Test},
    settings::Settings,
    source::{Fault, Place, Statement, diagnose, statements},
    target::Targets,
    text::Text,
};
use crate::files::Files;

/// How deep files may include files: a real configuration needs three.
const MAX_DEPTH: usize = 16;
/// How many files one configuration may have.
const MAX_FILES: usize = 4096;
/// How many things that are wrong are told; behind them one line says that there are more.
const MAX_DIAGNOSTICS: usize = 1000;

/// Gathers a configuration, then checks it as one.
pub struct Loader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) settings: Settings,
    /// The actions of `SecDefaultAction` by phase.
    pub(super) defaults: [Arc<Actions>; 5],
    pub(super) items: Vec<Item>,
    /// Where each number was first used.
    pub(super) ids: BTreeMap<u64, Place>,
    /// Whether the last rule of `items` still waits for its chain.
    pub(super) open_chain: bool,
    /// A rule that could not be read may have begun a chain, whose links are then not told as wrong.
    pub(super) lost_chain: bool,
    /// Rules that can never match here are doubtful instead of wrong.
    pub(super) lenient: bool,
    pub(super) errors: Diagnostics,
    pub(super) warnings: Diagnostics,
    read: usize,
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// What is doubtful, or changes nothing here.
    pub warnings: Diagnostics,
}

/// What the walk is made of, in the order of the files.
pub(super) enum Item {
    Rule(Box<Draft>),
    Marker(Arc<str>),
}

/// A rule that later directives may still change.
pub(super) struct Draft {
    pub(super) id: u64,
    pub(super) phase: Phase,
    pub(super) default: Arc<Actions>,
    pub(super) links: Vec<DraftLink>,
}

/// One condition of a [`Draft`].
pub(super) struct DraftLink {
    pub(super) place: Place,
    pub(super) test: Option<DraftTest>,
    pub(super) actions: Actions,
}

/// Variables and operator of a [`DraftLink`].
pub(super) struct DraftTest {
    pub(super) targets: Targets,
    pub(super) negated: bool,
    pub(super) name: Box<str>,
    pub(super) argument: Text,
    pub(super) test: Test,
}

impl<'a> Loader<'a> {
    /// An empty configuration whose files come from `files`.
    #[must_use]
    pub fn new(files: &'a dyn Files) -> Self {
        Loader {
            files,
            settings: Settings::default(),
            defaults: Default::default(),
            items: Vec::new(),
            ids: BTreeMap::new(),
            open_chain: false,
            lost_chain: false,
            lenient: false,
            errors: Diagnostics::new(),
            warnings: Diagnostics::new(),
            read: 0,
        }
    }

    /// Whether rules whose operator can never match here (`@geoLookup`, `@rbl`) are warned of instead of refused. A published
    /// rule set has them behind settings that are off; who writes one himself counts on it.
    pub fn lenient(&mut self, lenient: bool) -> &mut Self {
        self.lenient = lenient;
        self
    }

    /// Reads a file, or all files that a pattern (`rules/*.conf`) names.
    pub fn include(&mut self, pattern: &str) -> &mut Self {
        let place = Place { file: Arc::from(pattern), line: 1, column: 1 };
        self.include_from(pattern, &place, 0, false);
        self
    }

    /// Reads a file or pattern that may name nothing.
    pub fn include_optional(&mut self, pattern: &str) -> &mut Self {
        let place = Place { file: Arc::from(pattern), line: 1, column: 1 };
        self.include_from(pattern, &place, 0, true);
        self
    }

    /// Reads a text as if it were a file of that name.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.source(name, text, 0);
        self
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the files.
    pub fn finish(mut self) -> Result<Loaded, Diagnostics> {
        if self.open_chain {
            let place = match self.items.last() {
                Some(Item::Rule(draft)) => draft.links.last().map(|link| link.place.clone()),
                _ => None,
            };
            if let Some(place) = place {
                self.error(
                    &place,
                    Fault::new("a chain has no next rule", "add the chained rule, or remove `chain`"),
                );
            }
        }
        let rules = build::rule_set(&mut self);
        if self.errors.0.len() > MAX_DIAGNOSTICS {
            self.errors.0.truncate(MAX_DIAGNOSTICS);
            self.errors
                .push(Diagnostic::error("", "there is more that is wrong").help("correct these first"));
        }
        if self.errors.has_errors() {
            return Err(self.errors);
        }
        Ok(Loaded { rules, warnings: self.warnings })
    }

    pub(super) fn error(&mut self, place: &Place, fault: Fault) {
        self.errors.push(diagnose(place, fault));
    }

    pub(super) fn warn(&mut self, place: &Place, fault: Fault) {
        let mut warning = diagnose(place, fault);
        warning.level = bartizan_model::Level::Warning;
        self.warnings.push(warning);
    }

    fn source(&mut self, name: &str, text: &str, depth: usize) {
        // Editors put a byte order mark in front; it is no part of the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: Arc<str> = Arc::from(name);
        let (statements, faults) = statements(&file, text);
        self.errors.0.extend(faults);
        for statement in &statements {
            self.statement(&file, statement, depth);
        }
    }

    /// `Include`: a pattern relative to the file that names it.
    pub(super) fn include_from(&mut self, pattern: &str, place: &Place, depth: usize, optional: bool) {
        let is_pattern = pattern.contains(['*', '?', '[']);
        let names = if is_pattern { self.files.glob(pattern) } else { Ok(vec![pattern.to_owned()]) };
        let names = match names {
            Ok(names) if names.is_empty() && !optional => {
                let help = "check the folder, or write `IncludeOptional`";
                return self.error(place, Fault::new(format!("`{pattern}` names no file"), help));
            }
            Ok(names) => names,
            Err(_) if optional => return,
            Err(why) => {
                return self.error(place, Fault::new(format!("`{pattern}`: {why}"), "check the path"));
            }
        };
        for name in names {
            self.read += 1;
            if depth >= MAX_DEPTH || self.read > MAX_FILES {
                let help = "check whether a file includes itself";
                return self
                    .error(place, Fault::new(format!("`{name}` is included too deep, or too often"), help));
            }
            match self.files.read(&name) {
                Ok(content) => match std::str::from_utf8(&content) {
                    Ok(text) => self.source(&name, text, depth + 1),
                    Err(error) => {
                        let before = content.get(..error.valid_up_to()).unwrap_or_default();
                        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                        let place = Place {
                            file: Arc::from(name.as_str()),
                            line: u32::try_from(line).unwrap_or(u32::MAX),
                            column: 1,
                        };
                        let help = "save the file as UTF-8, and write other bytes as `\\xHH`";
                        self.error(&place, Fault::new("the file is not UTF-8", help));
                    }
                },
                Err(_) if optional && !is_pattern => {}
                Err(why) => {
                    self.error(
                        place,
                        Fault::new(format!("`{name}`: {why}"), "check the path, or write `IncludeOptional`"),
                    );
                }
            }
        }
    }

    fn statement(&mut self, file: &Arc<str>, statement: &Statement, depth: usize) {
        let Some((directive, arguments)) = statement.words.split_first() else { return };
        let place = directive.place(file, 0);
        if let Err(diagnostics) = self.directive(file, &place, &directive.text, arguments, depth) {
            self.errors.0.extend(diagnostics);
        }
    }
}

/// A path that a rule file names, relative to the folder of that file.
pub(super) fn beside(file: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}
