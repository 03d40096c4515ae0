//! What is wrong or doubtful in a contract: each with its pointer, its place and what to do.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use bartizan_model::{Diagnostic, Diagnostics, Level, diagnostic::Place};

use crate::{
    documents::{Broken, Site},
    pointer::encode_fragment,
};

/// Messages of one contract: whoever reads a thousand of them has read enough.
const MAX_MESSAGES: usize = 1_000;

/// Messages of one kind, where a document does the same thing throughout.
const MAX_ALIKE: usize = 3;

/// File, line and column.
type Where = Option<(String, u32, u32)>;

/// Collects messages.
#[derive(Debug, Default)]
pub(crate) struct Report {
    said: RefCell<Diagnostics>,
    left_out: RefCell<usize>,
    /// Places and messages: what several operations share is wrong once.
    known: RefCell<HashSet<(Where, String)>>,
    /// By kind: how often, and the last one that was said.
    alike: RefCell<HashMap<String, (usize, usize)>>,
}

impl Report {
    pub(crate) fn error(&self, site: &Site<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.say(Level::Error, &site.pointer, site.place(), message.into(), help.into());
    }

    pub(crate) fn warn(&self, site: &Site<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.say(Level::Warning, &site.pointer, site.place(), message.into(), help.into());
    }

    /// A reference that leads nowhere.
    pub(crate) fn broken(&self, (site, broken): &(Site<'_>, Broken)) {
        self.error(site, broken.message.clone(), broken.help);
    }

    /// A warning of which a document may have hundreds: the first few are said, the rest are counted.
    pub(crate) fn warn_alike(
        &self,
        kind: &str,
        site: &Site<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.said.borrow().0.len();
        let mut alike = self.alike.borrow_mut();
        let entry = alike.entry(kind.to_owned()).or_insert((0, at));
        entry.0 += 1;
        if entry.0 <= MAX_ALIKE {
            entry.1 = at;
            drop(alike);
            self.warn(site, message, help);
        }
    }

    fn say(&self, level: Level, pointer: &str, place: Option<Place>, message: String, help: String) {
        let at = place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
        if !self.known.borrow_mut().insert((at, message.clone())) {
            return;
        }
        let mut said = self.said.borrow_mut();
        if said.0.len() >= MAX_MESSAGES {
            *self.left_out.borrow_mut() += 1;
            // An error must not hide behind warnings.
            if level == Level::Warning || said.has_errors() {
                return;
            }
        }
        let message = match pointer {
            "" => message,
            _ => format!("{message} (at `#{}`)", encode_fragment(pointer)),
        };
        let mut diagnostic = Diagnostic::error(pointer, message).help(help);
        diagnostic.level = level;
        diagnostic.place = place;
        said.push(diagnostic);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.said.borrow().has_errors()
    }

    pub(crate) fn finish(self) -> Diagnostics {
        let mut said = self.said.into_inner();
        for (often, last) in self.alike.into_inner().into_values() {
            if often > MAX_ALIKE
                && let Some(diagnostic) = said.0.get_mut(last)
            {
                diagnostic.message.push_str(&format!("; the same in {} more places", often - MAX_ALIKE));
            }
        }
        let left_out = self.left_out.into_inner();
        if left_out > 0 {
            let message = format!("{left_out} more messages are left out");
            said.push(Diagnostic::warning("", message).help("mend those that are told first"));
        }
        said
    }
}
