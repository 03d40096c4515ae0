//! Operators: what a value is tested with (`@rx`, `@pm`, `@ipMatch` and the others).
//!
//! An operator is compiled once ([`Operator::compile`]) and tests values of any bytes in time linear in the value.
//! Negation (`!@rx`) is the caller's. An argument with macros is expanded by the caller for each test
//! ([`Expanding`]).

mod address;
mod expanding;
mod number;
mod pattern;
mod personal;
mod phrase;
mod substring;
#[cfg(test)]
mod tests;
mod validate;
mod work;

use crate::{
    files::Files,
    inject,
    operator::{
        address::Addresses,
        pattern::{Automata, Pattern},
        personal::Personal,
        phrase::Phrases,
        substring::Comparison,
    },
    transform::ByteSet,
};

pub use self::{
    expanding::Expanding,
    number::{Relation, number},
    validate::ByteRange,
    work::Work,
};

/// How many groups of a match are kept: the whole match and groups 1 to 9, which rules name `TX:0` to `TX:9`.
pub const GROUPS: usize = 10;

/// What a test of one value found, and what it needs to remember between values. One per worker.
#[derive(Debug, Default)]
pub struct OperatorContext {
    /// Whether the rule captures: only then are groups gathered.
    pub capturing: bool,
    /// What was done for the exchange under way, and what may be.
    pub work: Work,
    groups: [Option<(usize, usize)>; GROUPS],
    /// Whether some group is noted.
    grouped: bool,
    fingerprint: Option<inject::Fingerprint>,
    span: Option<(usize, usize)>,
    expanded: expanding::Compiled,
    automata: Automata,
}

impl OperatorContext {
    /// A context that gathers groups.
    #[must_use]
    pub fn for_capturing() -> Self {
        Self { capturing: true, ..Self::default() }
    }

    /// Forgets what the last test found.
    #[inline]
    fn clear(&mut self) {
        if self.grouped {
            self.groups = [None; GROUPS];
            self.grouped = false;
        }
        self.fingerprint = None;
        self.span = None;
    }

    fn found(&mut self, start: usize, end: usize) {
        self.span = Some((start, end));
    }

    /// Notes a match that is also group 0.
    fn captured(&mut self, start: usize, end: usize) {
        self.found(start, end);
        if self.capturing {
            self.set_group(0, Some((start, end)));
        }
    }

    /// Notes a group; one that has no place is none.
    fn set_group(&mut self, index: usize, span: Option<(usize, usize)>) {
        if let Some(group) = self.groups.get_mut(index) {
            *group = span;
            self.grouped = true;
        }
    }

    /// Where in the value the last match lies. Operators that judge a value as a whole have none.
    #[must_use]
    pub const fn span(&self) -> Option<(usize, usize)> {
        self.span
    }

    /// Group `index` of the last match in `value`, which is the value that was tested: a part of it, or for
    /// `@detectSQLi` the fingerprint. `None` for a group that took no part.
    #[must_use]
    pub fn group<'a>(&'a self, index: usize, value: &'a [u8]) -> Option<&'a [u8]> {
        if index == 0
            && let Some(fingerprint) = &self.fingerprint
        {
            return self.capturing.then(|| fingerprint.as_bytes());
        }
        let (start, end) = (*self.groups.get(index)?)?;
        value.get(start..end)
    }
}

/// What a value that an operator matches has in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trace<'o> {
    /// There is no such value.
    Never,
    /// A byte of one of these kinds.
    Kinds(ByteSet),
    /// These bytes.
    Bytes(&'o [u8]),
    /// Nothing is known.
    Unknown,
}

/// A compiled operator with its argument.
#[derive(Debug)]
pub struct Operator {
    test: Test,
}

#[derive(Debug)]
enum Test {
    Always,
    Never,
    Pattern(Pattern),
    AllMatches(Pattern),
    Phrases(Phrases),
    Addresses(Addresses),
    Compare(Comparison, Box<[u8]>),
    Number(Relation, i64),
    Sqli,
    Xss,
    ByteRange(Box<ByteRange>),
    UrlEncoding,
    Utf8,
    Personal(Personal),
    /// What needs more than the process has; never matches, as in `ModSecurity` without that.
    Absent(&'static str),
}

impl Operator {
    /// Compiles an operator by its name (any case, without `@`) and its argument.
    ///
    /// The argument is taken literally; one with macros (`%{..}`) is for [`Expanding`].
    ///
    /// # Errors
    /// An unknown operator, one that is refused by name, or an argument that it cannot take; one sentence, without
    /// the name of the operator.
    pub fn compile(name: &str, argument: &str, files: &dyn Files) -> Result<Self, String> {
        Self::compile_bytes(name, argument.as_bytes(), files)
    }

    fn compile_bytes(name: &str, argument: &[u8], files: &dyn Files) -> Result<Self, String> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate);
        if let Some(comparison) = Comparison::by_name(name) {
            return Ok(Self { test: Test::Compare(comparison, argument.into()) });
        }
        if let Some(relation) = Relation::by_name(name) {
            return Ok(Self { test: Test::Number(relation, number(argument)) });
        }
        if let Some(personal) = Personal::compile(name, argument)? {
            return Ok(Self { test: Test::Personal(personal) });
        }
        let test = match () {
            () if is("rx") => Test::Pattern(Pattern::compile(argument)?),
            () if is("rxGlobal") => Test::AllMatches(Pattern::compile(argument)?),
            () if is("pm") => Test::Phrases(Phrases::inline(argument)?),
            () if is("pmFromFile") || is("pmf") => Test::Phrases(Phrases::from_files(argument, files)?),
            () if is("ipMatch") => Test::Addresses(Addresses::inline(argument)?),
            () if is("ipMatchFromFile") || is("ipMatchF") => {
                Test::Addresses(Addresses::from_files(argument, files)?)
            }
            () if is("detectSQLi") => Test::Sqli,
            () if is("detectXSS") => Test::Xss,
            () if is("validateByteRange") => Test::ByteRange(Box::new(ByteRange::compile(argument)?)),
            () if is("validateUrlEncoding") => Test::UrlEncoding,
            () if is("validateUtf8Encoding") => Test::Utf8,
            () if is("noMatch") => Test::Never,
            () if is("unconditionalMatch") => Test::Always,
            () if is("geoLookup") => Test::Absent(
                "rules have no database of places: remove the rule, and write conditions of `access` with the country",
            ),
            () if is("rbl") => Test::Absent(
                "a rule does not wait for the domain name system: remove the rule, and use `ip_access`",
            ),
            () => return Err(refusal(name)),
        };
        Ok(Self { test })
    }

    /// Tests one value. What it found is in `context` until the next test.
    pub fn matches(&self, value: &[u8], context: &mut OperatorContext) -> bool {
        context.clear();
        context.work.charge(value.len(), 1);
        match &self.test {
            Test::Always => true,
            Test::Never | Test::Absent(_) => false,
            Test::Pattern(pattern) => pattern.matches(value, context),
            Test::AllMatches(pattern) => pattern.matches_all(value, context),
            Test::Phrases(phrases) => phrases.matches(value, context),
            Test::Addresses(addresses) => addresses.matches(value),
            Test::Compare(comparison, argument) => comparison.matches(value, argument, context),
            Test::Number(relation, right) => relation.holds(number(value), *right),
            Test::Sqli => detect_sqli(value, context),
            Test::Xss => detect_xss(value, context),
            Test::ByteRange(range) => range.matches(value, context),
            Test::UrlEncoding => validate::url_encoding(value, context),
            Test::Utf8 => validate::utf8(value, context),
            Test::Personal(personal) => personal.matches(value, context),
        }
    }

    /// Why the operator never matches here although it is one that `ModSecurity` has; said once at load.
    #[must_use]
    pub const fn limitation(&self) -> Option<&'static str> {
        match &self.test {
            Test::Absent(reason) => Some(reason),
            _ => None,
        }
    }

    /// The regular expression as the engine of this crate reads it, for an operator that is one.
    #[must_use]
    pub fn expression(&self) -> Option<&str> {
        match &self.test {
            Test::Pattern(pattern) | Test::AllMatches(pattern) => pattern.expression(),
            _ => None,
        }
    }

    /// What a value must have for the operator to match it, where its bytes alone can tell.
    pub(crate) fn trace(&self) -> Trace<'_> {
        match &self.test {
            Test::Never | Test::Absent(_) => Trace::Never,
            Test::Sqli => Trace::Kinds(inject::BEYOND_WORDS),
            Test::Xss => Trace::Kinds(inject::MARKUP),
            Test::ByteRange(range) => Trace::Kinds(range.refused()),
            Test::UrlEncoding => Trace::Kinds(ByteSet::PERCENT),
            Test::Utf8 => Trace::Kinds(ByteSet::HIGH.with(ByteSet::NBSP)),
            Test::Compare(comparison, argument) if comparison.needs_argument() => Trace::Bytes(argument),
            _ => Trace::Unknown,
        }
    }

    /// Whether it is the detector of SQL.
    pub(crate) const fn is_sqli(&self) -> bool {
        matches!(self.test, Test::Sqli)
    }

    /// The phrases of `@pm` and `@pmFromFile`, which match in any ASCII case.
    #[must_use]
    pub fn phrases(&self) -> Option<&[Box<[u8]>]> {
        match &self.test {
            Test::Phrases(phrases) => Some(phrases.list()),
            _ => None,
        }
    }
}

#[inline(never)]
fn detect_sqli(value: &[u8], context: &mut OperatorContext) -> bool {
    context.fingerprint = inject::sqli(value);
    context.fingerprint.is_some()
}

#[inline(never)]
fn detect_xss(value: &[u8], context: &mut OperatorContext) -> bool {
    let found = inject::xss(value);
    if found {
        context.captured(0, value.len());
    }
    found
}

/// Why there is no operator of this name.
fn refusal(name: &str) -> String {
    let reason = match name.to_ascii_lowercase().as_str() {
        "inspectfile" | "fuzzyhash" => "it runs or reads files of the host for each request; remove the rule",
        "gsblookup" => "the service that it asks has ended; remove the rule",
        "rsub" => "a rule does not rewrite what passes; remove the rule",
        "pmfromdataset" => "lists are files; use `@pmFromFile`",
        "ipmatchfromdataset" => "lists are files; use `@ipMatchFromFile`",
        "restpath" => "a contract or `operations` name paths; use `@rx` on `REQUEST_FILENAME`",
        "validatenid" => "it belongs to Coraza alone; use `@rx` for the form of the number",
        "validatehash" => "it belongs to the content injection of `ModSecurity` 2; remove the rule",
        "validatedtd" => "document type definitions are refused in every body; remove the rule",
        "validateschema" => {
            "an XML schema cannot be checked here; describe the body in an OpenAPI document instead"
        }
        _ => {
            return format!(
                "there is no operator `@{name}`; a text that begins with `@` is written `@rx ^@..`"
            );
        }
    };
    format!("the operator `@{name}` is refused: {reason}")
}
