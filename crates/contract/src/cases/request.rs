//! The requests for one operation.

use std::collections::BTreeMap;

use bartizan_pattern::body::media_type::BodyKind;
use serde_json::Value;

use super::{
    Case, Generator, Made, Request, Untested,
    body::{any_body, body_kind, broken_json, stated, write_body, write_items},
    dice::Dice,
    fits,
    mutate::{Change, NOBODYS, Surface, changes},
    source,
    value::{Fill, Maker},
    write::{self, Written, escape},
};
use crate::{
    check::{OperationCheck, ValueCheck},
    form::{Location, Media, Operation, Parameter, ParameterValue, SchemaRef, Style},
    schema::Schema,
    shape::{Direction, Types},
};

/// Why nothing is made.
const NOTHING_FITS: &str = "no value was found that fits and can be written";
/// What no schema of a parameter says: any text will do.
const ANY_TEXT: &str = "any";

/// A parameter of the operation with what its schema is.
#[derive(Clone, Copy)]
struct Of<'o> {
    parameter: &'o Parameter,
    schema: Option<&'o Schema>,
    at: Option<&'o SchemaRef>,
    json: bool,
}

impl Of<'_> {
    fn name(&self) -> String {
        format!("{}.{}", self.parameter.location.as_str(), self.parameter.name)
    }
}

/// A body, with its media type.
#[derive(Clone)]
pub(super) struct Body {
    kind: String,
    bytes: Vec<u8>,
}

/// A request to be: one text for each parameter.
#[derive(Clone, Default)]
pub(super) struct Draft {
    pub(super) parameters: BTreeMap<usize, Written>,
    pub(super) extra: Vec<(String, String)>,
    /// The query, where it is one value.
    pub(super) query: Option<String>,
    pub(super) body: Option<Body>,
}

/// A body that was made, with the value that it writes, where a schema describes one.
struct Sent<'c> {
    body: Body,
    media: &'c Media,
    made: Option<(Value, Maker<'c>)>,
}

/// What is made of one operation.
pub(super) struct Requests<'g, 'c> {
    pub(super) generator: &'g Generator<'c>,
    operation: &'c Operation,
    pub(super) check: &'g OperationCheck,
    parameters: Vec<Of<'g>>,
    /// What must be sent.
    pub(super) base: Draft,
    /// The cases; `None` for one that cannot be written.
    cases: Vec<Option<Case>>,
}

impl<'c> Generator<'c> {
    pub(super) fn requests(&self, operation: &'c Operation, made: &mut Made) {
        let Some(check) = self.checks.operation(&operation.spec.label) else { return };
        let parameters = of_operation(operation, check);
        let (base, cases) = (Draft::default(), Vec::new());
        let mut requests = Requests { generator: self, operation, check, parameters, base, cases };
        if requests.all(made) {
            made.left_out = bound(&mut requests.cases, self.settings.requests, self.settings.seed);
            made.requests = requests.cases.into_iter().flatten().collect();
        } else {
            untested(made, "requests".to_owned(), "no request was found that fits", operation);
        }
    }

    /// A value of a parameter that fits and can be written.
    fn parameter(&self, of: &Of<'_>) -> Option<(Value, Maker<'c>, Written)> {
        let Some(at) = of.at else {
            let value = Value::from(ANY_TEXT);
            let written = write::parameter(of.parameter, &value, of.json)?;
            let maker = Maker::new(&self.contract.schemas, 0, Direction::Request, Fill::All);
            return Some((value, maker, written));
        };
        let writes = |value: &Value, _: &Maker<'_>| {
            !is_empty(value, of.parameter) && write::parameter(of.parameter, value, of.json).is_some()
        };
        let (value, maker) = self.value(at, of.schema, Direction::Request, Fill::All, writes)?;
        let written = write::parameter(of.parameter, &value, of.json)?;
        Some((value, maker, written))
    }
}

impl<'c> Requests<'_, 'c> {
    /// Makes all cases; `false` where something that must be sent has no value.
    fn all(&mut self, made: &mut Made) -> bool {
        let operation = self.operation;
        let mut whole = Draft::default();
        let mut found = Vec::new();
        let mut possible = true;
        let query = operation.query_string.as_ref().map(|query| (query, self.query_string(query)));
        match &query {
            Some((query, Some((text, ..)))) => {
                whole.query = Some(text.clone());
                self.base.query = whole.query.clone().filter(|_| query.required);
            }
            Some((query, None)) => {
                possible &= !query.required;
                untested(made, "querystring".to_owned(), NOTHING_FITS, operation);
            }
            None => {}
        }
        for (number, of) in self.parameters.iter().enumerate() {
            if let Some((value, maker, written)) = self.generator.parameter(of) {
                if of.parameter.required {
                    self.base.parameters.insert(number, written.clone());
                }
                whole.parameters.insert(number, written);
                found.push((number, value, maker));
            } else {
                possible &= !of.parameter.required;
                untested(made, of.name(), NOTHING_FITS, operation);
            }
        }
        let bodies = self.bodies(made);
        let needs_body = operation.body.as_ref().is_some_and(|body| body.required);
        whole.body = bodies.first().map(|sent| sent.body.clone());
        self.base.body = whole.body.clone().filter(|_| needs_body);
        if !possible || needs_body && bodies.is_empty() {
            return false;
        }
        self.case("what must be sent".to_owned(), "required", true, &self.base.clone());
        self.case("everything".to_owned(), "all", true, &whole);
        for (number, value, maker) in &found {
            self.of_parameter(*number, value, maker);
        }
        match &query {
            Some((query, Some((_, value, maker)))) => self.of_query_string(query, value, maker),
            Some(_) => {}
            None => self.undeclared(),
        }
        self.of_bodies(&bodies);
        true
    }

    /// Cases about one parameter.
    fn of_parameter(&mut self, number: usize, value: &Value, maker: &Maker<'c>) {
        let Some(&of) = self.parameters.get(number) else { return };
        let (name, Of { parameter, schema, at, json }) = (of.name(), of);
        let with = |requests: &mut Self, written: Written, about: String, rule, valid| {
            let mut draft = requests.base.clone();
            draft.parameters.insert(number, written);
            requests.case(about, rule, valid, &draft);
        };
        let surface = if json { Surface::Json } else { Surface::Text };
        let changes = at.map(|at| changes(maker, &source(at), value, surface)).unwrap_or_default();
        for change in changes {
            let Some(valid) = verdict(&change, schema) else { continue };
            // Undeclared members of what is one parameter are parameters of their own, or parts of its text.
            let undeclared = change.rule == "undeclared" && parameter.style != Style::DeepObject;
            if undeclared || is_empty(&change.value, parameter) {
                continue;
            }
            if let Some(written) = write::parameter(parameter, &change.value, json) {
                let about = format!("{name}{}: {}", change.pointer, change.rule);
                with(self, written, about, change.rule, valid);
            }
        }
        let scalar = !value.is_array() && !value.is_object();
        if let (Some(Written::Pairs(pairs)), Some(at), true) =
            (write::parameter(parameter, value, json), at, scalar)
        {
            let types = maker.place(&source(at), "").types();
            if !types.has(Types::ARRAY) && !types.has(Types::OBJECT) {
                let twice = Written::Pairs(pairs.iter().chain(&pairs).cloned().collect());
                with(self, twice, format!("{name}: written twice"), "repeated", false);
            }
        }
        if parameter.required && parameter.location != Location::Path {
            let mut draft = self.base.clone();
            draft.parameters.remove(&number);
            self.case(format!("{name}: missing"), "required", false, &draft);
        }
    }

    /// A parameter of the query that nobody named.
    fn undeclared(&mut self) {
        let schemas = &self.generator.contract.schemas;
        let takes_all = |of: &Of<'_>| {
            let parameter = of.parameter;
            let exploded =
                parameter.location == Location::Query && parameter.style == Style::Form && parameter.explode;
            let maker = Maker::new(schemas, 0, Direction::Request, Fill::Required);
            exploded && of.at.is_some_and(|at| maker.place(&source(at), "").types().has(Types::OBJECT))
        };
        if self.generator.checks.names_paths_only() || self.parameters.iter().any(takes_all) {
            return;
        }
        let mut draft = self.base.clone();
        draft.extra.push((NOBODYS.to_owned(), "1".to_owned()));
        self.case(format!("query.{NOBODYS}: undeclared"), "undeclared", false, &draft);
    }

    /// Bodies of each media type of the operation, full and small.
    fn bodies(&self, made: &mut Made) -> Vec<Sent<'c>> {
        let mut bodies = Vec::new();
        for media in self.operation.body.iter().flat_map(|body| &body.media) {
            let kind = stated(&media.range);
            let schema = self.check.body_schema(&media.range);
            let Some(at) = media.schema.as_ref().filter(|_| schema.is_some()) else {
                let bytes = match &media.item_schema {
                    Some(at) => self.items(&kind, at),
                    None => Some(any_body(&kind)),
                };
                let Some(bytes) = bytes else {
                    untested(made, format!("body {}", media.range), NOTHING_FITS, self.operation);
                    continue;
                };
                bodies.push(Sent { body: Body { kind, bytes }, media, made: None });
                continue;
            };
            let before = bodies.len();
            for fill in [Fill::All, Fill::Required] {
                let writes =
                    |value: &Value, maker: &Maker<'_>| write_body(media, &kind, value, maker, at).is_some();
                let found = self.generator.value(at, schema, Direction::Request, fill, writes);
                let Some((value, maker)) = found else { continue };
                let Some(bytes) = write_body(media, &kind, &value, &maker, at) else { continue };
                let body = Body { kind: kind.clone(), bytes };
                bodies.push(Sent { body, media, made: Some((value, maker)) });
            }
            if bodies.len() == before {
                untested(made, format!("body {}", media.range), NOTHING_FITS, self.operation);
            }
        }
        // What is read with all its types comes first: it is what other cases send.
        bodies.sort_by_key(|sent| body_kind(&sent.body.kind) != Some(BodyKind::Json));
        bodies
    }

    /// Two items of a stream.
    fn items(&self, kind: &str, at: &SchemaRef) -> Option<Vec<u8>> {
        let (value, _) = self.generator.value(at, None, Direction::Request, Fill::All, |_, _| true)?;
        write_items(kind, &value)
    }

    fn of_bodies(&mut self, bodies: &[Sent<'c>]) {
        let Some(described) = &self.operation.body else {
            let body = Body { kind: "application/json".to_owned(), bytes: b"{\"a\":1}".to_vec() };
            if !self.generator.checks.names_paths_only() {
                let draft = Draft { body: Some(body), ..self.base.clone() };
                self.case("body: there is none in the contract".to_owned(), "undeclared", false, &draft);
            }
            return;
        };
        for sent in bodies {
            self.of_body(sent);
        }
        let any = described.media.iter().any(|media| media.range.is_range());
        if let Some(sent) = bodies.first().filter(|_| !any) {
            let body = Body { kind: "application/vnd.nobodys".to_owned(), bytes: sent.body.bytes.clone() };
            let draft = Draft { body: Some(body), ..self.base.clone() };
            self.case("body: a media type of nobody's".to_owned(), "media_type", false, &draft);
        }
        if described.required {
            let draft = Draft { body: None, ..self.base.clone() };
            self.case("body: missing".to_owned(), "required", false, &draft);
        }
    }

    fn of_body(&mut self, sent: &Sent<'c>) {
        let Sent { body, media, made } = sent;
        let with = |requests: &mut Self, bytes: Vec<u8>, about: String, rule, valid| {
            let body = Some(Body { kind: body.kind.clone(), bytes });
            let draft = Draft { body, ..requests.base.clone() };
            requests.case(about, rule, valid, &draft);
        };
        let label = format!("body {}", media.range);
        with(self, body.bytes.clone(), label.clone(), "media_type", true);
        let kind = body_kind(&body.kind);
        if kind == Some(BodyKind::Json) {
            for (bytes, rule) in broken_json(&body.bytes) {
                with(self, bytes, format!("{label}: {rule}"), rule, false);
            }
        }
        let (Some((value, maker)), Some(at)) = (made, &media.schema) else { return };
        let schema = self.check.body_schema(&media.range);
        let surface = if kind == Some(BodyKind::Json) { Surface::Json } else { Surface::Text };
        // Of bytes that nobody reads the length is all that is known.
        if matches!(kind, Some(BodyKind::Other) | None) {
            return;
        }
        for change in changes(maker, &source(at), value, surface) {
            let Some(valid) = verdict(&change, schema) else { continue };
            // A text that stands alone says no type, and a form without anything is no body.
            let bare = !change.value.is_object() && !change.value.is_array();
            if surface == Surface::Text && (change.value == *value || bare) {
                continue;
            }
            let bytes = write_body(media, &body.kind, &change.value, maker, at);
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                let about = format!("{label} {}: {}", change.pointer, change.rule);
                with(self, bytes, about, change.rule, valid);
            }
        }
    }

    /// Adds a case.
    pub(super) fn case(&mut self, about: String, rule: &'static str, valid: bool, draft: &Draft) {
        let request = self.request(draft);
        self.cases.push(request.map(|request| Case { about, rule, valid, request }));
    }

    /// Puts a request together; `None` where two parameters would be one.
    fn request(&self, draft: &Draft) -> Option<Request> {
        let mut path = self.operation.template.as_str().to_owned();
        let (mut query, mut cookies, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, written) in &draft.parameters {
            let parameter = self.parameters.get(*number)?.parameter;
            match written {
                Written::Path(text) => path = path.replace(&format!("{{{}}}", parameter.name), text),
                Written::Field(text) => headers.push((parameter.name.to_string(), text.clone())),
                Written::Pairs(pairs) => {
                    let into = if parameter.location == Location::Cookie { &mut cookies } else { &mut query };
                    // Members of an exploded object may have the name of another parameter.
                    let is_others = |name: &str| {
                        let others = self.parameters.iter().enumerate().filter(|(at, _)| at != number);
                        others
                            .filter(|(_, of)| of.parameter.location == parameter.location)
                            .any(|(_, of)| escape(&of.parameter.name) == *name)
                    };
                    if pairs.iter().any(|(name, _)| is_others(name)) {
                        return None;
                    }
                    into.extend(pairs.iter().map(|(name, value)| format!("{name}={value}")));
                }
            }
        }
        query.extend(draft.extra.iter().map(|(name, value)| format!("{name}={value}")));
        if !cookies.is_empty() {
            headers.push(("cookie".to_owned(), cookies.join("; ")));
        }
        if let Some(body) = &draft.body {
            headers.push(("content-type".to_owned(), body.kind.clone()));
        }
        Some(Request {
            method: self.operation.method.clone(),
            path,
            query: draft.query.clone().or_else(|| (!query.is_empty()).then(|| query.join("&"))),
            headers,
            body: draft.body.as_ref().map(|body| body.bytes.clone()),
        })
    }
}

/// What a change should be judged to be; `None` where nobody can say.
pub(super) fn verdict(change: &Change, schema: Option<&Schema>) -> Option<bool> {
    let fits = || schema.is_none_or(|schema| fits(schema, &change.value));
    match (change.fits, change.certain) {
        (true, _) => fits().then_some(true),
        (false, true) => Some(false),
        (false, false) => (!fits()).then_some(false),
    }
}

/// Whether a parameter would have no text at all, which is more than one thing.
fn is_empty(value: &Value, parameter: &Parameter) -> bool {
    value.as_str() == Some("") && (parameter.allow_empty || parameter.location != Location::Query)
}

fn untested(made: &mut Made, what: String, why: &'static str, operation: &Operation) {
    made.untested.push(Untested { what, why, place: operation.place.clone() });
}

/// The parameters that are checked.
fn of_operation<'o>(operation: &'o Operation, check: &'o OperationCheck) -> Vec<Of<'o>> {
    let mut all = Vec::new();
    for parameter in &operation.parameters {
        let Some(value) = check.parameter_value(parameter) else { continue };
        let (schema, json) = match value {
            ValueCheck::Typed(typed) => (Some(&*typed.schema), false),
            ValueCheck::Json(typed) => (typed.as_ref().map(|typed| &*typed.schema), true),
            ValueCheck::Anything => (None, false),
        };
        let at = match &parameter.value {
            ParameterValue::Schema(at) => Some(at),
            ParameterValue::Content(media) => media.schema.as_ref(),
            ParameterValue::Anything => None,
        };
        all.push(Of { parameter, schema, at: at.filter(|_| schema.is_some()), json });
    }
    all
}

/// Keeps so many cases, of every rule some; how many were left out.
fn bound(all: &mut Vec<Option<Case>>, most: usize, seed: u64) -> usize {
    all.retain(Option::is_some);
    if all.len() <= most {
        return 0;
    }
    let mut dice = Dice::new(seed);
    let mut ranked: Vec<(usize, u64, usize)> = Vec::new();
    let mut seen: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    let mut order: Vec<usize> = (2..all.len()).collect();
    order.sort_by_cached_key(|_| dice.next());
    for at in order {
        let Some(Some(case)) = all.get(at) else { continue };
        let rank = seen.entry((case.rule, case.valid)).or_default();
        *rank += 1;
        ranked.push((*rank, dice.next(), at));
    }
    ranked.sort_unstable();
    let mut kept: Vec<usize> = (0..2).chain(ranked.into_iter().map(|(_, _, at)| at)).take(most).collect();
    kept.sort_unstable();
    let left_out = all.len() - kept.len();
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        kept.binary_search(&(at - 1)).is_ok()
    });
    left_out
}
