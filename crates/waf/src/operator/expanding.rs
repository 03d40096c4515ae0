//! Operators whose argument has macros: the caller expands it anew for each test.

use std::collections::VecDeque;

use super::{
    Operator, OperatorContext, Test,
    number::{Relation, number},
    substring::Comparison,
};
use crate::files::MemoryFiles;

/// How many compiled arguments a worker keeps; a rule set has a handful, and what a client can vary must not grow.
const KEPT: usize = 32;
/// The longest argument that is kept, in bytes.
const KEPT_BYTES: usize = 4096;

/// The operators that a worker compiled from expanded arguments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Compiled(VecDeque<(&'static str, Vec<u8>, Option<Operator>)>);

/// An operator without its argument, which is handed over with each value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expanding(Kind);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Compare(Comparison),
    Number(Relation),
    /// Compiled for each argument, and kept.
    Compiled(&'static str),
}

impl Expanding {
    /// The operator of a name (any case, without `@`) for arguments with macros.
    ///
    /// # Errors
    /// An operator that takes no argument which changes from request to request, in one sentence.
    pub fn compile(name: &str) -> Result<Self, String> {
        const COMPILED: [&str; 5] = ["rx", "rxGlobal", "pm", "ipMatch", "validateByteRange"];
        if let Some(comparison) = Comparison::by_name(name) {
            return Ok(Self(Kind::Compare(comparison)));
        }
        if let Some(relation) = Relation::by_name(name) {
            return Ok(Self(Kind::Number(relation)));
        }
        match COMPILED.iter().find(|candidate| name.eq_ignore_ascii_case(candidate)) {
            Some(name) => Ok(Self(Kind::Compiled(name))),
            None => Err(format!("the argument of `@{name}` cannot have macros (`%{{..}}`)")),
        }
    }

    /// Whether the operator compares numbers, and how.
    #[must_use]
    pub(crate) const fn relation(self) -> Option<Relation> {
        match self.0 {
            Kind::Number(relation) => Some(relation),
            _ => None,
        }
    }

    /// Tests one value with an expanded argument. An argument that the operator cannot take matches nothing.
    #[inline(never)]
    pub fn matches(self, argument: &[u8], value: &[u8], context: &mut OperatorContext) -> bool {
        context.clear();
        context.work.charge(value.len() + argument.len(), 1);
        match self.0 {
            Kind::Compare(comparison) => comparison.matches(value, argument, context),
            Kind::Number(relation) => relation.holds(number(value), number(argument)),
            Kind::Compiled(name) => {
                let mut kept = std::mem::take(&mut context.expanded);
                let found = match kept.operator(name, argument) {
                    Some(operator) => operator.matches(value, context),
                    None => false,
                };
                context.expanded = kept;
                found
            }
        }
    }
}

impl Compiled {
    fn operator(&mut self, name: &'static str, argument: &[u8]) -> Option<&Operator> {
        let place = self.0.iter().position(|(kept, text, _)| *kept == name && text == argument);
        let place = match place {
            Some(place) => place,
            None => {
                if self.0.len() >= KEPT {
                    self.0.pop_front();
                }
                let operator = if argument.len() > KEPT_BYTES {
                    None
                } else {
                    Operator::compile_bytes(name, argument, &MemoryFiles::default()).ok()
                };
                let text = argument.get(..argument.len().min(KEPT_BYTES + 1)).unwrap_or_default();
                self.0.push_back((name, text.to_vec(), operator));
                self.0.len() - 1
            }
        };
        self.0.get(place).and_then(|(_, _, operator)| operator.as_ref())
    }
}

impl Operator {
    /// Whether the operator compares with a number, and with which.
    #[must_use]
    pub const fn relation(&self) -> Option<(Relation, i64)> {
        match &self.test {
            Test::Number(relation, right) => Some((*relation, *right)),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Compiled {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
