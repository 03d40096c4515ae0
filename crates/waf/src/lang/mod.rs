//! The rule language: text with places to checked rules.
//!
//! [`Loader`] reads files and texts, follows `Include`, and ends in a [`RuleSet`] or in everything that is wrong, each
//! with its place and a remedy. Nothing that is not understood is skipped.

pub mod action;
pub mod load;
pub mod rule;
pub mod select;
pub mod settings;
pub mod source;
pub mod target;
pub mod text;
pub mod xpath;

mod build;
mod directive;

pub use action::{
    Actions, AllowScope, AuditMode, Change, Control, Disruption, Effect, EngineMode, Identity, Phase,
    Processor, Severity, Which, XmlIntoArgs,
};
pub use load::{Loaded, Loader};
pub use rule::{Condition, Jump, Link, Rule, RuleSet, Step, Test};
pub use select::{Ids, Label};
pub use settings::{BodyLimitAction, Settings};
pub use source::Place;
pub use target::{Selector, Target, Targets};
pub use text::{Part, Text};
pub use xpath::XPath;

/// The one of `names` that was probably meant by `wrong`: at most two letters differ, and fewer than half.
fn near<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let limit = (wrong.len() / 2).min(2);
    let close = names.map(|name| (distance(&wrong, &name.to_ascii_lowercase()), name));
    close
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The edit distance of two short names; long ones count as far apart.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
