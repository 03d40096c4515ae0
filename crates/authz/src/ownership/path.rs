//! Value paths: where a predicate takes its values from.

use std::{fmt, sync::Arc};

/// What a path begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `principal.sub`: who calls, unique within the issuer.
    Subject,
    /// `principal.issuer`: the policy's name of who says so.
    Issuer,
    /// `principal.tenant`.
    Tenant,
    /// `principal.client`: the program that acts for the subject.
    Client,
    /// `principal.kind`: `jwt`, `api_key`, ..
    Kind,
    /// `principal.roles`, a list.
    Roles,
    /// `principal.scopes`, a list.
    Scopes,
    /// `principal.claims.NAME`: a verified claim or attribute.
    Claim(Arc<str>),
    /// `path.NAME`: a parameter of the operation's path.
    Path(Arc<str>),
    /// `query.NAME`.
    Query(Arc<str>),
    /// `header.NAME`, in lower case.
    Header(Arc<str>),
    /// `request.body`.
    Body,
    /// `response`.
    Response,
}

impl Source {
    /// Whether the caller's credential says it.
    #[must_use]
    pub fn is_principal(&self) -> bool {
        matches!(
            self,
            Source::Subject
                | Source::Issuer
                | Source::Tenant
                | Source::Client
                | Source::Kind
                | Source::Roles
                | Source::Scopes
                | Source::Claim(_)
        )
    }

    /// Whether it is a list as a whole.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self, Source::Roles | Source::Scopes)
    }
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// `.key` or `["key"]`.
    Key(Arc<str>),
    /// `[3]`: one item, from 0.
    Item(u32),
    /// `[]`: each item is a record of its own, and judged alone.
    Each,
    /// `[*]`: all items together, as one list.
    All,
}

/// Where one value, or list of values, is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValuePath {
    /// What it begins with.
    pub source: Source,
    /// The way from there.
    pub steps: Vec<Step>,
    /// As it was written.
    pub text: Arc<str>,
}

impl ValuePath {
    /// How many lists of records it goes through.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.steps.iter().filter(|step| **step == Step::Each).count()
    }

    /// The way from the innermost record.
    #[must_use]
    pub fn inside(&self) -> &[Step] {
        let at = self.steps.iter().rposition(|step| *step == Step::Each).map_or(0, |at| at + 1);
        self.steps.get(at..).unwrap_or_default()
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for ValuePath {
    type Err = super::PredicateError;

    /// Reads a path alone: `path.id`, `request.body.accountId`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        super::parse::path(text)
    }
}
