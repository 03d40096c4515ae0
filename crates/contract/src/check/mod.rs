//! A contract, compiled to check traffic by: parameters and bodies of requests, and responses.
//!
//! Everything is decoded once, by the style that the contract states, to the values that its schemas describe. What does
//! not fit is a [`Violation`] with its place in the request and in the contract; never with what was sent.

mod body;
mod coerce;
mod compile;
mod cut;
mod form;
mod head;
mod items;
mod json_text;
mod parameter;
mod query;
mod response;
mod sides;
#[cfg(test)]
mod tests;
mod xml;

use std::{collections::HashMap, fmt, sync::Arc};

use bartizan_pattern::template::PathRouter;

pub use body::{BodyResult, MediaChoice, Member};
pub use compile::compile;
pub(crate) use compile::library;
pub use head::{HeadResult, RequestHead};
pub use items::{ItemResult, Sequence};
pub(crate) use json_text::with_json;
pub use response::{ResponseIssue, ResponseResult, document, limits, without_members};
pub(crate) use sides::documents as of_side;

use crate::{
    form::{Location, MediaRange, Parameter, ResponseStatus, Style},
    schema::{Schema, VIOLATIONS, View},
    shape::{Proof, ShapeId, Shapes},
};

/// The compiled contract of one API.
#[derive(Debug, Default)]
pub struct Checks {
    operations: HashMap<Box<str>, OperationCheck, ahash::RandomState>,
    shapes: Shapes,
}

impl Checks {
    /// The checks of an operation by its label, `GET /accounts/{id}`.
    #[must_use]
    pub fn operation(&self, label: &str) -> Option<&OperationCheck> {
        self.operations.get(label)
    }

    /// Whether the document is a list of paths: it describes no query parameter and no body anywhere, so that nothing can be
    /// said to be missing from it.
    #[must_use]
    pub fn names_paths_only(&self) -> bool {
        self.operations.values().all(|operation| {
            let in_query = |parameter: &ParameterCheck| parameter.location == Location::Query;
            operation.body.is_none()
                && operation.query_string.is_none()
                && !operation.parameters.iter().any(in_query)
        })
    }

    /// The operations that can be checked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// What the schemas say beside validity.
    #[must_use]
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }
}

/// The checks of one operation.
#[derive(Debug)]
pub struct OperationCheck {
    /// Finds the parameters of the path; it has this one template.
    path: PathRouter<()>,
    /// What has a name of its own comes first: the members of an exploded object are what is left.
    parameters: Vec<ParameterCheck>,
    query_string: Option<QueryCheck>,
    body: Option<BodyCheck>,
    responses: Vec<ResponseCheck>,
}

impl OperationCheck {
    /// Whether the contract describes a body of requests.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// What a parameter of requests is checked by; `None` where it is not checked.
    pub(crate) fn parameter_value(&self, parameter: &Parameter) -> Option<&ValueCheck> {
        let same = |own: &&ParameterCheck| own.location == parameter.location && own.name == parameter.name;
        self.parameters.iter().find(same).map(|own| &own.value)
    }

    /// The schema of the query as a whole.
    pub(crate) fn query_schema(&self) -> Option<&Schema> {
        self.query_string.as_ref()?.media.typed.as_ref().map(|typed| &*typed.schema)
    }

    /// The schema of a body of requests of this range.
    pub(crate) fn body_schema(&self, range: &MediaRange) -> Option<&Schema> {
        schema_of(&self.body.as_ref()?.media, range)
    }

    /// The schema of a body of responses of a status, of this range.
    pub(crate) fn response_schema(&self, status: ResponseStatus, range: &MediaRange) -> Option<&Schema> {
        let response = self.responses.iter().find(|own| own.status == status)?;
        schema_of(&response.media, range)
    }
}

fn schema_of<'m>(all: &'m [Arc<MediaCheck>], range: &MediaRange) -> Option<&'m Schema> {
    let media = all.iter().find(|media| media.range == *range)?;
    media.typed.as_ref().map(|typed| &*typed.schema)
}

/// A schema with its shape.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) schema: Arc<Schema>,
    shape: ShapeId,
}

#[derive(Debug)]
struct ParameterCheck {
    name: Box<str>,
    location: Location,
    style: Style,
    explode: bool,
    allow_empty: bool,
    required: bool,
    value: ValueCheck,
}

/// The query as one value.
#[derive(Debug)]
struct QueryCheck {
    name: Box<str>,
    required: bool,
    media: MediaCheck,
}

#[derive(Debug)]
pub(crate) enum ValueCheck {
    Typed(Typed),
    Json(Option<Typed>),
    Anything,
}

#[derive(Debug)]
struct BodyCheck {
    required: bool,
    media: Vec<Arc<MediaCheck>>,
}

#[derive(Debug)]
struct MediaCheck {
    range: MediaRange,
    typed: Option<Typed>,
    /// What its items are, where it is a sequence.
    item: Option<items::ItemCheck>,
    /// Its schema says no more than that it is a text.
    any_text: bool,
    encodings: Vec<EncodingCheck>,
}

#[derive(Debug)]
struct EncodingCheck {
    property: Box<str>,
    content_types: Vec<MediaRange>,
    style: Option<(Style, bool)>,
}

#[derive(Debug)]
struct ResponseCheck {
    status: ResponseStatus,
    headers: Vec<ParameterCheck>,
    media: Vec<Arc<MediaCheck>>,
}

/// Which part of an exchange a value stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A part of the path.
    Path,
    /// A parameter of the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
}

impl Part {
    /// Its name, as problems tell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Path => "path",
            Part::Query => "query",
            Part::Header => "header",
            Part::Cookie => "cookie",
            Part::Body => "body",
        }
    }
}

impl From<Location> for Part {
    fn from(location: Location) -> Self {
        match location {
            Location::Path => Part::Path,
            Location::Query => Part::Query,
            Location::Header => Part::Header,
            Location::Cookie => Part::Cookie,
        }
    }
}

/// What does not fit the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub part: Part,
    /// The parameter; empty for bodies.
    pub name: Box<str>,
    /// The JSON pointer from there.
    pub pointer: String,
    /// The keyword that it violates, or `media_type`, `charset`, `encoding`, `style`, `repeated`, `duplicate`, `undeclared`,
    /// `readOnly`, `writeOnly`.
    pub keyword: String,
    /// What is expected, in words; never what was sent.
    pub expectation: String,
    /// The place in the contract, where the schema says it.
    pub contract: String,
}

impl Violation {
    fn new(part: Part, name: &str, keyword: &str, expectation: impl Into<String>) -> Self {
        Violation {
            part,
            name: crate::schema::short(name, 64).into(),
            pointer: String::new(),
            keyword: keyword.to_owned(),
            expectation: expectation.into(),
            contract: String::new(),
        }
    }

    fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    fn of(violation: crate::schema::Violation, part: Part, name: &str) -> Self {
        let crate::schema::Violation { pointer, keyword, expectation, place } = violation;
        Violation { contract: place, pointer, keyword, ..Violation::new(part, name, "", expectation) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.part.as_str())?;
        if !self.name.is_empty() {
            write!(f, ".{}", self.name)?;
        }
        write!(f, "{}: `{}` expects {}", self.pointer, self.keyword, self.expectation)
    }
}

/// A value that is proved harmless, by the parameter that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterProof {
    /// Where.
    pub part: Part,
    /// The parameter.
    pub name: Box<str>,
    /// What is proved of all that it says.
    pub proof: Proof,
}

impl Typed {
    fn check(&self, value: View<'_>, part: Part, name: &str, all: &mut Vec<Violation>) -> bool {
        let found = self.schema.violations(value);
        let fits = found.is_empty();
        let room = VIOLATIONS.saturating_sub(all.len());
        all.extend(found.into_iter().take(room).map(|violation| Violation::of(violation, part, name)));
        fits
    }
}
