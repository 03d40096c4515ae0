//! The head of a request: parameters of path, query, header fields and cookies.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::json_text::with_json;
use super::{
    Checks, OperationCheck, ParameterCheck, ParameterProof, Part, Typed, ValueCheck, Violation,
    parameter::{BadEscape, Escapes, Reader},
    query::{pointer, undeclared},
};
use crate::{
    form::{Location, Style},
    schema::{VIOLATIONS, View},
    shape::{Direction, Proof, ProofClass, ShapeId, Walk},
    value::Built,
};
use bartizan_pattern::body::json::JsonLimits;

/// Pairs of a query and cookies that are looked at; the guard of limits allows fewer.
const MAX_PAIRS: usize = 1024;

/// The head of a request, as far as a contract describes it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'r> {
    /// The canonical path below the base path.
    pub path: &'r str,
    /// The query without `?`.
    pub query: Option<&'r str>,
    /// The header fields.
    pub headers: &'r HeaderMap,
}

/// What was found in a head.
#[derive(Debug, Default)]
pub struct HeadResult {
    /// What does not fit, at most [`VIOLATIONS`].
    pub violations: Vec<Violation>,
    /// Pairs of the query that no parameter describes, by their number between `&`; their names are in `undeclared_names`.
    pub undeclared: Vec<usize>,
    /// The first names of those, decoded.
    pub undeclared_names: Vec<String>,
    /// What is proved of parameters.
    pub proofs: Vec<ParameterProof>,
}

/// An object, and the pairs that its members are written in: their numbers, and the members' pointers.
type Members<'r> = (Built<'r>, Vec<(usize, String)>);

/// One pair of a query, or one cookie.
struct Pair<'r> {
    name: Cow<'r, str>,
    value: &'r str,
    number: usize,
    used: bool,
}

impl HeadResult {
    /// Tells pairs of the query that nothing describes.
    pub(super) fn leave_out(&mut self, numbers: &[usize], name: &str) {
        self.undeclared.extend(numbers);
        if self.undeclared_names.len() < VIOLATIONS {
            self.undeclared_names.push(crate::schema::short(name, 64));
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(violation);
        }
    }
}

impl OperationCheck {
    /// Checks all parameters of a request. Header fields and cookies that the contract does not name are none of its
    /// business; pairs of the query are told.
    #[must_use]
    pub fn head(&self, checks: &Checks, request: &RequestHead<'_>) -> HeadResult {
        let mut result = HeadResult::default();
        let path = self.path.find(request.path).map(|(_, params)| params);
        let mut query = self.query_pairs(request.query, &mut result);
        let mut cookies = Vec::new();
        if self.parameters.iter().any(|parameter| parameter.location == Location::Cookie) {
            cookies = cookie_pairs(request.headers);
        }
        for parameter in &self.parameters {
            let name = &*parameter.name;
            let part = Part::from(parameter.location);
            let mut texts: Vec<&str> = Vec::new();
            let joined;
            match parameter.location {
                Location::Path => texts.extend(path.as_ref().and_then(|params| params.get(name))),
                Location::Query | Location::Cookie => {
                    let pairs = if parameter.location == Location::Query { &mut query } else { &mut cookies };
                    if let Some(object) = checks.object(parameter, pairs) {
                        match object {
                            Ok(Some((value, pairs))) => {
                                checks.judge(parameter, vec![value], &pairs, &mut result);
                            }
                            Ok(None) if parameter.required => result.fail(missing(part, name)),
                            Ok(None) => {}
                            Err(BadEscape) => result.fail(escape(part, name)),
                        }
                        continue;
                    }
                    for pair in pairs.iter_mut().filter(|pair| *pair.name == *name) {
                        pair.used = true;
                        texts.push(pair.value);
                    }
                }
                Location::Header => {
                    let mut values = request.headers.get_all(name).iter();
                    match (values.next(), values.next()) {
                        (None, _) => {}
                        (Some(one), None) => match std::str::from_utf8(one.as_bytes()) {
                            Ok(text) => texts.push(text.trim()),
                            Err(_) => result.fail(Violation::new(part, name, "encoding", "text in UTF-8")),
                        },
                        (Some(_), Some(_)) => {
                            let all = request
                                .headers
                                .get_all(name)
                                .iter()
                                .map(|value| value.to_str().unwrap_or_default());
                            joined = all.collect::<Vec<_>>().join(",");
                            texts.push(&joined);
                        }
                    }
                }
            }
            checks.parameter(parameter, &texts, &mut result);
        }
        if let Some(whole) = &self.query_string {
            checks.query_string(whole, request.query, &mut result);
        }
        for pair in query.iter().filter(|pair| !pair.used) {
            result.leave_out(&[pair.number], &pair.name);
        }
        result.undeclared.sort_unstable();
        result.undeclared.dedup();
        result
    }

    fn query_pairs<'r>(&self, query: Option<&'r str>, result: &mut HeadResult) -> Vec<Pair<'r>> {
        let mut pairs = Vec::new();
        if self.query_string.is_some() {
            return pairs;
        }
        for (number, piece) in query.unwrap_or_default().split('&').enumerate().take(MAX_PAIRS) {
            if piece.is_empty() {
                continue;
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            match Escapes::Form.undo(name) {
                Some(name) => pairs.push(Pair { name, value, number, used: false }),
                None => {
                    result.fail(Violation::new(Part::Query, "", "encoding", "names in percent-encoded UTF-8"))
                }
            }
        }
        pairs
    }
}

fn cookie_pairs(headers: &HeaderMap) -> Vec<Pair<'_>> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    fields
        .flat_map(|field| field.split(';'))
        .filter_map(|piece| piece.trim().split_once('='))
        .take(MAX_PAIRS)
        .map(|(name, value)| Pair { name: Cow::Borrowed(name), value, number: 0, used: false })
        .collect()
}

pub(super) fn missing(part: Part, name: &str) -> Violation {
    Violation::new(part, name, "required", "that it is sent")
}

pub(super) fn escape(part: Part, name: &str) -> Violation {
    Violation::new(part, name, "encoding", "text in percent-encoded UTF-8")
}

impl Checks {
    fn reader(&self, parameter: &ParameterCheck) -> Reader<'_> {
        let shape = match &parameter.value {
            ValueCheck::Typed(typed) => Some(typed.shape),
            ValueCheck::Json(_) | ValueCheck::Anything => None,
        };
        let escapes = match (parameter.location, parameter.style) {
            (Location::Header, _) | (_, Style::Cookie) => Escapes::None,
            (Location::Query, _) => Escapes::Form,
            (Location::Path | Location::Cookie, _) => Escapes::Percent,
        };
        Reader { shapes: &self.shapes, shape, style: parameter.style, explode: parameter.explode, escapes }
    }

    /// Whether a parameter is an object whose members are written as parameters of their own.
    pub(super) fn takes_what_is_left(&self, parameter: &ParameterCheck) -> bool {
        matches!(parameter.value, ValueCheck::Typed(_))
            && matches!(parameter.location, Location::Query | Location::Cookie)
            && matches!(parameter.style, Style::Form | Style::Cookie)
            && parameter.explode
            && self.reader(parameter).wants_object()
    }

    /// An object whose members are pairs of their own: exploded, or in brackets behind its name. `None` where it is not
    /// written so; inside, `None` where no member is there. With it come the pairs, each with the pointer of its member.
    fn object<'r>(
        &self,
        parameter: &ParameterCheck,
        pairs: &mut [Pair<'r>],
    ) -> Option<Result<Option<Members<'r>>, BadEscape>> {
        let deep = parameter.style == Style::DeepObject && matches!(parameter.value, ValueCheck::Typed(_));
        if !deep && !self.takes_what_is_left(parameter) {
            return None;
        }
        let reader = self.reader(parameter);
        let mut entries: Vec<(Cow<'r, str>, Built<'r>)> = Vec::new();
        let mut places = Vec::new();
        for pair in pairs.iter_mut().filter(|pair| !pair.used) {
            if deep {
                let Some(keys) = pair.name.strip_prefix(&*parameter.name).and_then(brackets) else {
                    continue;
                };
                let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
                pair.used = true;
                places.push((pair.number, pointer(keys.iter().map(String::as_str))));
                let Some(text) = reader.escapes.undo(pair.value) else { return Some(Err(BadEscape)) };
                self.deep(&mut entries, reader.shape, &keys, text);
            } else {
                let shape = reader.shape.and_then(|shape| self.shapes.get(shape));
                if !shape
                    .is_some_and(|shape| shape.is_open() || shape.names().any(|(name, _)| name == pair.name))
                {
                    continue;
                }
                pair.used = true;
                places.push((pair.number, pointer(std::iter::once(&*pair.name))));
                // The name is decoded already: it is not decoded again.
                let member = reader.shape.and_then(|shape| self.shapes.member(shape, &pair.name));
                let below =
                    Reader { shape: member, style: Style::Form, explode: true, ..self.reader(parameter) };
                let list = below.wants_list();
                let Ok(value) = below.values(&pair.name, &[pair.value]) else { return Some(Err(BadEscape)) };
                let Some(value) = value.into_iter().next() else { continue };
                match (list, value) {
                    (true, Built::List(items)) => {
                        for item in items {
                            super::parameter::add(&mut entries, pair.name.clone(), item, true);
                        }
                    }
                    (list, value) => super::parameter::add(&mut entries, pair.name.clone(), value, list),
                }
            }
        }
        Some(Ok((!entries.is_empty()).then_some((Built::Map(entries), places))))
    }

    /// Puts a value in at keys inside one another.
    fn deep<'r>(
        &self,
        entries: &mut Vec<(Cow<'r, str>, Built<'r>)>,
        shape: Option<crate::shape::ShapeId>,
        keys: &[String],
        text: Cow<'r, str>,
    ) {
        let Some((key, rest)) = keys.split_first() else { return };
        let member = shape.and_then(|shape| self.shapes.member(shape, key));
        let is_list = |types: crate::shape::Types| {
            types.has(crate::shape::Types::ARRAY) && types != crate::shape::Types::ALL
        };
        let list = is_list(super::coerce::types(&self.shapes, member));
        match rest {
            // `a[]` and `a[0]` are items.
            [number] if list && (number.is_empty() || number.bytes().all(|byte| byte.is_ascii_digit())) => {
                let item = member.and_then(|member| self.shapes.item(member, 0));
                let value = super::coerce::coerce(&self.shapes, item, text);
                super::parameter::add(entries, Cow::Owned(key.clone()), value, true);
            }
            [] => {
                let item = member.filter(|_| list).and_then(|member| self.shapes.item(member, 0));
                let value = super::coerce::coerce(&self.shapes, if list { item } else { member }, text);
                super::parameter::add(entries, Cow::Owned(key.clone()), value, list);
            }
            rest => {
                if !entries.iter().any(|(known, _)| *known == key.as_str()) {
                    entries.push((Cow::Owned(key.clone()), Built::Map(Vec::new())));
                }
                match entries.iter_mut().find(|(known, _)| *known == key.as_str()) {
                    Some((_, Built::Map(below))) => self.deep(below, member, rest, text),
                    // `a[x]=1&a[x][y]=2`: a text and an object are never both meant.
                    _ => super::parameter::add(entries, Cow::Owned(key.clone()), Built::Text(text), true),
                }
            }
        }
    }

    /// Judges one parameter by its texts.
    pub(super) fn parameter(&self, parameter: &ParameterCheck, texts: &[&str], result: &mut HeadResult) {
        let (part, name) = (Part::from(parameter.location), &*parameter.name);
        if texts.is_empty() {
            if parameter.required {
                result.fail(missing(part, name));
            }
            return;
        }
        if parameter.allow_empty && texts.iter().all(|text| text.is_empty()) {
            return;
        }
        let members = parameter.explode && self.reader(parameter).wants_object();
        if let Some(begin) = lacking(parameter, members, texts) {
            let what = format!("a value that begins with `{}`", crate::schema::short(&begin, 64));
            return result.fail(Violation::new(part, name, "style", what));
        }
        let reader = self.reader(parameter);
        if let ValueCheck::Json(typed) = &parameter.value {
            let [text] = texts else {
                return result.fail(Violation::new(part, name, "repeated", "one value"));
            };
            let Some(text) = reader.escapes.undo(text) else { return result.fail(escape(part, name)) };
            return self.json_text(typed.as_ref(), &text, part, name, result);
        }
        if texts.len() > 1 && !(reader.wants_list() && parameter.explode) {
            return result.fail(Violation::new(part, name, "repeated", "one value"));
        }
        match reader.values(name, texts) {
            Ok(values) => self.judge(parameter, values, &[], result),
            Err(BadEscape) => result.fail(escape(part, name)),
        }
    }

    /// Judges the values that a parameter may stand for: one that fits suffices. `pairs` are those of the query that
    /// members of an object are written in.
    fn judge(
        &self,
        parameter: &ParameterCheck,
        values: Vec<Built<'_>>,
        pairs: &[(usize, String)],
        result: &mut HeadResult,
    ) {
        let ValueCheck::Typed(typed) = &parameter.value else { return };
        let (part, name) = (Part::from(parameter.location), &*parameter.name);
        match values.iter().find(|value| typed.schema.fits(View::Built(value))) {
            Some(value) => {
                let mut walk = Walk::default();
                walk.built(&self.shapes, typed.shape, value, Direction::Request, "");
                undeclared(walk, part, name, pairs, result);
                // What may be read as another value, too, is proved only where both are the same text.
                if let Some(proof) = self.proof(typed.shape, value) {
                    result.proofs.push(ParameterProof { part, name: name.into(), proof });
                }
            }
            None => {
                if let Some(value) = values.first() {
                    typed.check(View::Built(value), part, name, &mut result.violations);
                }
            }
        }
    }

    pub(super) fn json_text(
        &self,
        typed: Option<&Typed>,
        text: &str,
        part: Part,
        name: &str,
        result: &mut HeadResult,
    ) {
        let read = with_json(text.as_bytes(), &JsonLimits::default(), |value| {
            let fits = |typed: &&Typed| typed.check(View::Tape(value), part, name, &mut result.violations);
            let typed = typed.filter(fits)?;
            let mut walk = Walk::default();
            walk.json(&self.shapes, typed.shape, value, Direction::Request);
            Some(walk)
        });
        match read {
            Ok(walk) => undeclared(walk.unwrap_or_default(), part, name, &[], result),
            Err(_) => {
                let what = "a JSON text, without a name twice";
                result.fail(Violation::new(part, name, "media_type", what));
            }
        }
    }

    /// What is proved of all that a parameter or field says; of a list, what is proved of each item.
    pub(super) fn proof(&self, shape: ShapeId, value: &Built<'_>) -> Option<Proof> {
        match value {
            Built::Number(text) => Proof::of_number(text.as_bytes()),
            Built::Bool(_) => Proof::of_class(ProofClass::Boolean),
            Built::Text(text) => {
                let proof = self.shapes.get(shape).and_then(|shape| shape.proof);
                proof.and_then(|proof| proof.of_text(text.as_bytes()))
            }
            Built::List(items) => {
                let mut items = items.iter().enumerate();
                let of = |(number, item)| self.proof(self.shapes.item(shape, number)?, item);
                let first = of(items.next()?)?;
                items.all(|item| of(item) == Some(first)).then_some(first)
            }
            _ => None,
        }
    }
}

/// What the style puts before a value, where it is not there: an API that cuts it off would read another value.
fn lacking(parameter: &ParameterCheck, members: bool, texts: &[&str]) -> Option<String> {
    let begin = match parameter.style {
        Style::Label => ".".to_owned(),
        // The members of an exploded object have names of their own.
        Style::Matrix if members => ";".to_owned(),
        Style::Matrix => format!(";{}", parameter.name),
        _ => return None,
    };
    let begins = |text: &&str| {
        let rest = text.strip_prefix(&*begin);
        rest.is_some_and(|rest| begin.len() == 1 || rest.is_empty() || rest.starts_with('='))
    };
    (!texts.iter().all(begins)).then_some(begin)
}

/// The keys of `[a][b]`; `None` for anything else.
fn brackets(text: &str) -> Option<Vec<&str>> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix('[') {
        let (key, after) = inside.split_once(']')?;
        keys.push(key);
        rest = after;
        if keys.len() > 16 {
            return None;
        }
    }
    (rest.is_empty() && !keys.is_empty()).then_some(keys)
}
