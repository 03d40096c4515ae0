//! Ownership predicates: conditions over the caller, the request and the response, in a part of Cedar's expression syntax.
//!
//! A predicate is read once and judged for each exchange, as early as its values are known: what only asks for the path is
//! decided before the body is read, what asks for the response before its first byte is sent. A value that is not there
//! makes no answer up: the predicate is then undecided, unless the rest of it decides.

mod compare;
mod judge;
pub mod mine;
mod parse;
mod path;
#[cfg(test)]
mod tests;
mod token;

use std::{fmt, sync::Arc};

pub use compare::{Datum, Kind};
pub use judge::{Missing, Possible, Values};
pub use path::{Source, Step, ValuePath};

/// Bytes of one predicate at most: longer ones are data, and belong into a claim or a role.
pub const MAX_BYTES: usize = 4096;

/// A condition that an exchange has to meet so that its object may leave.
#[derive(Clone, PartialEq)]
pub struct Predicate {
    text: Arc<str>,
    expr: Expr,
    /// The way to the records that are judged one by one, by the keys between the `[]`; empty where the answer is one.
    records: Vec<Vec<Step>>,
}

impl Predicate {
    /// Reads a predicate.
    ///
    /// # Errors
    /// The first place at which it is none, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        parse::parse(text)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The keys that lead from the answer to the list of records, and from each record to the list inside it; empty where
    /// no `[]` is written, and the answer itself is the record. `response.items[].ownerId` has one step: `items`.
    #[must_use]
    pub fn records(&self) -> &[Vec<Step>] {
        &self.records
    }

    /// Every path that the predicate names, in order, repetitions included.
    pub fn paths(&self) -> impl Iterator<Item = &ValuePath> {
        let mut found = Vec::new();
        self.expr.paths(&mut found);
        found.into_iter()
    }

    /// Whether it names a value of this source.
    #[must_use]
    pub fn asks(&self, source: &Source) -> bool {
        self.paths().any(|path| path.source == *source)
    }

    /// What it may come to with these values: one outcome where they suffice, several where some come later.
    pub fn judge(&self, values: &impl Values) -> Possible {
        judge::judge(&self.expr, values)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Predicate").field(&self.text).finish()
    }
}

/// A condition as a tree.
#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    /// `==`, or with `negated` `!=`.
    Equal {
        left: Operand,
        right: Operand,
        negated: bool,
    },
    /// `item in list`, `list contains item`.
    Within {
        item: Operand,
        list: Operand,
    },
    /// A value that is true or false itself.
    Holds(Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(ValuePath),
    Text(Arc<str>),
    Number(Arc<str>),
    Truth(bool),
    List(Vec<Operand>),
}

impl Expr {
    fn paths<'e>(&'e self, found: &mut Vec<&'e ValuePath>) {
        match self {
            Expr::Any(parts) | Expr::All(parts) => parts.iter().for_each(|part| part.paths(found)),
            Expr::Not(inner) => inner.paths(found),
            Expr::Equal { left, right, .. } | Expr::Within { item: left, list: right } => {
                found.extend(left.path());
                found.extend(right.path());
            }
            Expr::Holds(operand) => found.extend(operand.path()),
        }
    }
}

impl Operand {
    fn path(&self) -> Option<&ValuePath> {
        match self {
            Operand::Path(path) => Some(path),
            _ => None,
        }
    }
}

/// Where a text is no predicate, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredicateError {
    /// The character at which it goes wrong, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}; {}", self.message, self.column, self.help)
    }
}

impl std::error::Error for PredicateError {}
