//! What a predicate comes to: true, false, or undecided where a value is missing; and, while some values are still to come,
//! which of the three are possible.

use std::{borrow::Cow, sync::Arc};

use super::{Datum, Expr, Operand, ValuePath};

/// Why a value is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It comes later: in the body, in the response.
    Later,
    /// Nobody is identified.
    Anonymous,
    /// There is none of this name, or it is `null`.
    Absent,
    /// It is there more than once, and readers disagree on which counts.
    Twice,
    /// It is an object or a list, where one value is asked for; or one value, where a list is.
    Shape,
    /// It is of a kind that cannot be compared with the other.
    Kind,
    /// What it would be in cannot be read.
    Unreadable,
}

/// Where values come from.
pub trait Values {
    /// The value at `path`.
    ///
    /// # Errors
    /// Why it is not there.
    fn one<'v>(&'v self, path: &'v ValuePath) -> Result<Datum<'v>, Missing>;

    /// Shows each value of the list at `path` until `enough` says so. A single value is no list, save that a claim may
    /// be either.
    ///
    /// # Errors
    /// Why there is no list.
    fn each(&self, path: &ValuePath, enough: &mut dyn FnMut(&Datum<'_>) -> bool) -> Result<(), Missing>;
}

/// The outcomes that a predicate may still have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possible {
    outcomes: u8,
    /// The first value that was missing, as it is written in the predicate, and why.
    pub missing: Option<(Arc<str>, Missing)>,
    /// What is missing is the caller's: nobody is identified, or the credential does not say it.
    pub of_caller: bool,
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const UNDECIDED: u8 = 4;
const ANY: u8 = TRUE | FALSE | UNDECIDED;

impl Possible {
    /// It is true, whatever comes.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.outcomes == TRUE
    }

    /// It is false, whatever comes.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.outcomes == FALSE
    }

    /// It cannot become true, whatever comes.
    #[must_use]
    pub fn cannot_hold(&self) -> bool {
        self.outcomes & TRUE == 0
    }

    /// Whether what comes later may change it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outcomes.count_ones() > 1
    }
}

pub(super) fn judge<V: Values>(expr: &Expr, values: &V) -> Possible {
    let mut judge = Judge { values, missing: None, of_caller: false };
    let outcomes = judge.expr(expr);
    Possible { outcomes, missing: judge.missing, of_caller: judge.of_caller }
}

struct Judge<'v, V> {
    values: &'v V,
    missing: Option<(Arc<str>, Missing)>,
    of_caller: bool,
}

impl<'v, V: Values> Judge<'v, V> {
    fn expr(&mut self, expr: &'v Expr) -> u8 {
        match expr {
            Expr::All(parts) => {
                let mut sum = TRUE;
                for part in parts {
                    sum = and(sum, self.expr(part));
                    if sum == FALSE {
                        break;
                    }
                }
                sum
            }
            Expr::Any(parts) => {
                let mut sum = FALSE;
                for part in parts {
                    sum = not(and(not(sum), not(self.expr(part))));
                    if sum == TRUE {
                        break;
                    }
                }
                sum
            }
            Expr::Not(inner) => not(self.expr(inner)),
            Expr::Equal { left, right, negated } => {
                let equal = self.equal(left, right);
                if *negated { not(equal) } else { equal }
            }
            Expr::Within { item, list } => self.within(item, list),
            Expr::Holds(operand) => match self.one(operand) {
                Ok(Datum::Truth(value)) => certain(value),
                Ok(_) => self.miss(operand, Missing::Kind),
                Err(why) => self.miss(operand, why),
            },
        }
    }

    fn equal(&mut self, left: &'v Operand, right: &'v Operand) -> u8 {
        let (a, b) = (self.one(left), self.one(right));
        match (&a, &b) {
            (Ok(a), Ok(b)) => match a.same(b) {
                Some(equal) => certain(equal),
                None => self.miss(left, Missing::Kind),
            },
            // What is certainly missing decides, whatever comes on the other side.
            (Err(Missing::Later), Err(why)) => self.miss(right, *why),
            (Err(why), _) => self.miss(left, *why),
            (_, Err(why)) => self.miss(right, *why),
        }
    }

    fn within(&mut self, item: &'v Operand, list: &'v Operand) -> u8 {
        let wanted = self.one(item);
        let (mut found, mut alien) = (false, false);
        let mut compare = |other: &Datum<'_>| {
            match wanted.as_ref().map(|wanted| wanted.same(other)) {
                Ok(Some(equal)) => found |= equal,
                Ok(None) => alien = true,
                Err(_) => {}
            }
            found
        };
        let result = match list {
            Operand::List(items) => {
                items.iter().filter_map(literal).any(|item| compare(&item));
                Ok(())
            }
            Operand::Path(path) => self.values.each(path, &mut compare),
            _ => Err(Missing::Shape),
        };
        match (wanted.map(|_| ()), result) {
            (Ok(()), Ok(())) if found => TRUE,
            // Something that cannot be compared with it may still stand for it.
            (Ok(()), Ok(())) if alien => self.miss(list, Missing::Kind),
            (Ok(()), Ok(())) => FALSE,
            (Err(Missing::Later), Err(why)) => self.miss(list, why),
            (Err(why), _) => self.miss(item, why),
            (_, Err(why)) => self.miss(list, why),
        }
    }

    fn one(&self, operand: &'v Operand) -> Result<Datum<'v>, Missing> {
        match operand {
            Operand::Path(path) => self.values.one(path),
            other => literal(other).ok_or(Missing::Shape),
        }
    }

    /// A value that is not there: everything is possible where it comes later, else nothing is decided.
    fn miss(&mut self, operand: &Operand, why: Missing) -> u8 {
        if why == Missing::Later {
            return ANY;
        }
        self.of_caller |= why == Missing::Anonymous
            || operand.path().is_some_and(|path| path.source.is_principal() && why != Missing::Kind);
        if self.missing.is_none() {
            let text = operand.path().map_or_else(|| "a list".into(), |path| Arc::clone(&path.text));
            self.missing = Some((text, why));
        }
        UNDECIDED
    }
}

fn literal(operand: &Operand) -> Option<Datum<'_>> {
    match operand {
        Operand::Text(text) => Some(Datum::Text(Cow::Borrowed(text))),
        Operand::Number(number) => Some(Datum::Number(Cow::Borrowed(number))),
        Operand::Truth(truth) => Some(Datum::Truth(*truth)),
        Operand::Path(_) | Operand::List(_) => None,
    }
}

fn certain(truth: bool) -> u8 {
    if truth { TRUE } else { FALSE }
}

/// All that two conditions may come to together (Kleene's strong logic, over sets of outcomes).
fn and(a: u8, b: u8) -> u8 {
    let both = a & b & TRUE;
    let either = (a | b) & FALSE;
    let open = TRUE | UNDECIDED;
    let undecided = (a & UNDECIDED != 0 && b & open != 0) || (b & UNDECIDED != 0 && a & open != 0);
    both | either | if undecided { UNDECIDED } else { 0 }
}

fn not(a: u8) -> u8 {
    let swapped = if a & TRUE != 0 { FALSE } else { 0 } | if a & FALSE != 0 { TRUE } else { 0 };
    swapped | a & UNDECIDED
}
