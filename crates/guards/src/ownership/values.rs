//! The values of one exchange, as predicates ask for them.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bartizan_authz::ownership::{Datum, Missing, Predicate, Source, Step, ValuePath, Values};
use bartizan_model::{CanonicalRequest, Principal, Transaction};
use bartizan_pattern::body::{
    Content, Reading,
    json::{Kind, Value},
};
use percent_encoding::percent_decode;

use crate::body::{BodyPath, Field, FieldValue, HeldBody};

/// Values of one list of a request's body that are kept until the response comes.
const MAX_KEPT: usize = 1024;

/// What is known of an exchange.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub principal: Option<&'a Principal>,
    pub request: &'a CanonicalRequest,
    pub parameters: &'a BTreeMap<Arc<str>, String>,
    pub body: Body<'a>,
    pub answer: Answer<'a>,
}

/// The request's body.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// It was not read yet.
    Later,
    /// Here it is.
    Held(&'a HeldBody),
    /// What predicates ask for of it.
    Kept(&'a [Kept]),
}

/// The response.
#[derive(Clone, Copy)]
pub(super) enum Answer<'a> {
    /// It did not come yet.
    Later,
    /// The document, and the records around the current one, the outermost first.
    Records { root: Value<'a>, records: &'a [Value<'a>] },
}

/// One value of a request's body, or a list of them.
pub(super) struct Kept {
    path: Arc<str>,
    one: Result<Datum<'static>, Missing>,
    list: Result<Vec<Datum<'static>>, Missing>,
}

impl<'a> Scene<'a> {
    /// A request of which only the head is known.
    pub(super) fn of(transaction: &'a Transaction, parameters: &'a BTreeMap<Arc<str>, String>) -> Self {
        Scene {
            principal: transaction.principal.as_deref(),
            request: &transaction.request,
            parameters,
            body: Body::Later,
            answer: Answer::Later,
        }
    }

    fn principal(&self) -> Result<&'a Principal, Missing> {
        self.principal.ok_or(Missing::Anonymous)
    }

    fn claim(&self, name: &str, steps: &[Step]) -> Result<&'a serde_json::Value, Missing> {
        let mut value = self.principal()?.attributes.get(name).ok_or(Missing::Absent)?;
        for step in steps {
            value = match step {
                Step::Key(key) => value.get(&**key),
                Step::Item(at) => value.get(*at as usize),
                Step::All => continue,
                Step::Each => return Err(Missing::Shape),
            }
            .ok_or(Missing::Absent)?;
        }
        Ok(value)
    }

    /// The one value of a name in the query; several are none where they differ.
    fn query(&self, name: &str) -> Result<Datum<'static>, Missing> {
        let mut found: Option<String> = None;
        for (key, value) in pairs(self.request.query.as_deref().unwrap_or_default()) {
            if key != name {
                continue;
            }
            match &found {
                Some(other) if *other != value => return Err(Missing::Twice),
                _ => found = Some(value),
            }
        }
        found.map(|value| Datum::Text(Cow::Owned(value))).ok_or(Missing::Absent)
    }

    fn header(&self, name: &str) -> Result<Datum<'a>, Missing> {
        let mut values = self.request.headers.get_all(name).iter();
        let first = values.next().ok_or(Missing::Absent)?;
        if values.any(|other| other != first) {
            return Err(Missing::Twice);
        }
        let text = std::str::from_utf8(first.as_bytes()).map_err(|_| Missing::Unreadable)?;
        Ok(Datum::Text(Cow::Borrowed(text.trim())))
    }

    /// Where in the answer a path begins.
    fn record(&self, path: &ValuePath) -> Result<Value<'a>, Missing> {
        match &self.answer {
            Answer::Later => Err(Missing::Later),
            Answer::Records { root, records } => match path.depth().checked_sub(1) {
                None => Ok(*root),
                Some(at) => records.get(at).copied().ok_or(Missing::Shape),
            },
        }
    }
}

impl Values for Scene<'_> {
    fn one<'v>(&'v self, path: &'v ValuePath) -> Result<Datum<'v>, Missing> {
        let text = |text: &'v str| Ok(Datum::Text(Cow::Borrowed(text)));
        match &path.source {
            Source::Subject => text(&self.principal()?.subject),
            Source::Issuer => text(&self.principal()?.issuer),
            Source::Tenant => text(self.principal()?.tenant.as_deref().ok_or(Missing::Absent)?),
            Source::Client => text(self.principal()?.client.as_deref().ok_or(Missing::Absent)?),
            Source::Kind => text(self.principal()?.kind.as_str()),
            Source::Roles | Source::Scopes => Err(Missing::Shape),
            Source::Claim(name) if &**name == "sub" && path.steps.is_empty() => {
                text(&self.principal()?.subject)
            }
            Source::Claim(name) => of_claim(self.claim(name, &path.steps)?),
            Source::Path(name) => text(self.parameters.get(name).ok_or(Missing::Absent)?),
            Source::Query(name) => self.query(name),
            Source::Header(name) => self.header(name),
            Source::Body => match &self.body {
                Body::Later => Err(Missing::Later),
                Body::Held(held) => in_body(held, path),
                Body::Kept(kept) => {
                    let kept = kept.iter().find(|kept| kept.path == path.text).ok_or(Missing::Absent)?;
                    kept.one.as_ref().map(borrowed).map_err(|why| *why)
                }
            },
            Source::Response => of_json(find(self.record(path)?, path.inside())?),
        }
    }

    fn each(&self, path: &ValuePath, enough: &mut dyn FnMut(&Datum<'_>) -> bool) -> Result<(), Missing> {
        let texts = |texts: &[Arc<str>], enough: &mut dyn FnMut(&Datum<'_>) -> bool| {
            texts.iter().any(|text| enough(&Datum::Text(Cow::Borrowed(text))));
            Ok(())
        };
        match &path.source {
            Source::Roles => texts(&self.principal()?.roles, enough),
            Source::Scopes => texts(&self.principal()?.scopes, enough),
            Source::Claim(name) => each_claim(self.claim(name, &path.steps)?, enough),
            Source::Body => match &self.body {
                Body::Later => Err(Missing::Later),
                Body::Held(held) => each_in_body(held, path, enough),
                Body::Kept(kept) => {
                    let kept = kept.iter().find(|kept| kept.path == path.text).ok_or(Missing::Absent)?;
                    kept.list.as_ref().map_err(|why| *why)?.iter().any(enough);
                    Ok(())
                }
            },
            Source::Response => each_in(self.record(path)?, path.inside(), enough),
            _ => self.one(path).and(Err(Missing::Shape)),
        }
    }
}

/// What predicates ask for of a body, so that it need not be kept itself.
pub(super) fn kept(predicates: &[Predicate], held: &HeldBody) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    for path in predicates.iter().flat_map(Predicate::paths).filter(|path| path.source == Source::Body) {
        if kept.iter().any(|kept| kept.path == path.text) {
            continue;
        }
        let mut values = Vec::new();
        let list = each_in_body(held, path, &mut |value| {
            values.push(owned(value));
            values.len() >= MAX_KEPT
        });
        let list = if values.len() >= MAX_KEPT { Err(Missing::Shape) } else { list.map(|()| values) };
        kept.push(Kept {
            path: Arc::clone(&path.text),
            one: in_body(held, path).map(|value| owned(&value)),
            list,
        });
    }
    kept
}

fn owned(value: &Datum<'_>) -> Datum<'static> {
    match value {
        Datum::Text(text) => Datum::Text(Cow::Owned(text.to_string())),
        Datum::Number(number) => Datum::Number(Cow::Owned(number.to_string())),
        Datum::Truth(truth) => Datum::Truth(*truth),
    }
}

fn borrowed<'v>(value: &'v Datum<'static>) -> Datum<'v> {
    match value {
        Datum::Text(text) => Datum::Text(Cow::Borrowed(text)),
        Datum::Number(number) => Datum::Number(Cow::Borrowed(number)),
        Datum::Truth(truth) => Datum::Truth(*truth),
    }
}

fn of_claim(value: &serde_json::Value) -> Result<Datum<'_>, Missing> {
    match value {
        serde_json::Value::Null => Err(Missing::Absent),
        serde_json::Value::Bool(truth) => Ok(Datum::Truth(*truth)),
        serde_json::Value::Number(number) => Ok(Datum::Number(Cow::Owned(number.to_string()))),
        serde_json::Value::String(text) => Ok(Datum::Text(Cow::Borrowed(text))),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => Err(Missing::Shape),
    }
}

/// A claim may be one value or a list of them (RFC 7519 section 4.1.3 allows both for `aud`, and issuers do it for others).
fn each_claim(value: &serde_json::Value, enough: &mut dyn FnMut(&Datum<'_>) -> bool) -> Result<(), Missing> {
    match value {
        serde_json::Value::Array(items) => {
            for item in items {
                if enough(&of_claim(item)?) {
                    break;
                }
            }
            Ok(())
        }
        one => {
            enough(&of_claim(one)?);
            Ok(())
        }
    }
}

/// The value of a member; none where the key comes twice, since readers disagree on which of them counts.
pub(super) fn member<'a>(value: Value<'a>, key: &str) -> Result<Value<'a>, Missing> {
    if value.kind() != Kind::Object {
        return Err(Missing::Shape);
    }
    let same = |name: Value<'_>| match name.is_escaped() {
        true => name.decoded() == key.as_bytes(),
        false => name.raw() == key.as_bytes(),
    };
    let mut named = value.entries().filter(|(name, _)| same(*name)).map(|(_, value)| value);
    let found = named.next().ok_or(Missing::Absent)?;
    if value.has_duplicate_keys() && named.next().is_some() {
        return Err(Missing::Twice);
    }
    Ok(found)
}

/// The value at the end of a way.
pub(super) fn find<'a>(mut value: Value<'a>, steps: &[Step]) -> Result<Value<'a>, Missing> {
    for step in steps {
        value = match step {
            Step::Key(key) => member(value, key)?,
            Step::Item(at) if value.kind() == Kind::Array => {
                value.item(*at as usize).ok_or(Missing::Absent)?
            }
            Step::Item(_) | Step::All | Step::Each => return Err(Missing::Shape),
        };
    }
    Ok(value)
}

fn of_json(value: Value<'_>) -> Result<Datum<'_>, Missing> {
    match value.kind() {
        Kind::Null => Err(Missing::Absent),
        Kind::True => Ok(Datum::Truth(true)),
        Kind::False => Ok(Datum::Truth(false)),
        Kind::Number => {
            value.as_number().map(|number| Datum::Number(Cow::Borrowed(number))).ok_or(Missing::Shape)
        }
        Kind::String => value.as_str().map(Datum::Text).ok_or(Missing::Shape),
        Kind::Array | Kind::Object => Err(Missing::Shape),
    }
}

/// Each value of a list, or of the lists that `[*]` goes through. One that is none does not hide those behind it.
fn each_in(
    value: Value<'_>,
    steps: &[Step],
    enough: &mut dyn FnMut(&Datum<'_>) -> bool,
) -> Result<(), Missing> {
    let Some(at) = steps.iter().position(|step| *step == Step::All) else {
        let list = find(value, steps)?;
        return items(list, enough).map(|_| ());
    };
    let (before, behind) = steps.split_at_checked(at).unwrap_or((steps, &[]));
    let list = find(value, before)?;
    if list.kind() != Kind::Array {
        return Err(Missing::Shape);
    }
    let behind = behind.get(1..).unwrap_or_default();
    let mut missed = None;
    for item in list.items() {
        let shown = if behind.contains(&Step::All) {
            let mut found = false;
            each_in(item, behind, &mut |value| {
                found = enough(value);
                found
            })
            .map(|()| found)
        } else {
            find(item, behind).and_then(|value| match value.kind() {
                Kind::Array => items(value, enough),
                _ => of_json(value).map(|value| enough(&value)),
            })
        };
        match shown {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(why) => missed = Some(why),
        }
    }
    missed.map_or(Ok(()), Err)
}

/// The items of an array, until one is enough.
fn items(list: Value<'_>, enough: &mut dyn FnMut(&Datum<'_>) -> bool) -> Result<bool, Missing> {
    match list.kind() {
        Kind::Array => {}
        Kind::Null => return Err(Missing::Absent),
        _ => return Err(Missing::Shape),
    }
    let mut missed = None;
    for item in list.items() {
        match of_json(item) {
            Ok(value) if enough(&value) => return Ok(true),
            Ok(_) => {}
            Err(why) => missed = Some(why),
        }
    }
    missed.map_or(Ok(false), Err)
}

fn in_body<'v>(held: &'v HeldBody, path: &ValuePath) -> Result<Datum<'v>, Missing> {
    if let Some(tape) = held.json() {
        return of_json(find(tape.root().ok_or(Missing::Absent)?, &path.steps)?);
    }
    let place = path.text.strip_prefix("request.body").map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    let place: BodyPath = place.and_then(|place| place.parse().ok()).ok_or(Missing::Shape)?;
    match held.field(&place) {
        Field::Absent => Err(Missing::Absent),
        Field::Twice => Err(Missing::Twice),
        Field::Unknown => Err(Missing::Unreadable),
        Field::One(value) => match value {
            FieldValue::Text(text) => Ok(Datum::Text(text)),
            FieldValue::Number(number) => Ok(Datum::Number(Cow::Borrowed(number))),
            FieldValue::Bool(truth) => Ok(Datum::Truth(truth)),
            FieldValue::Null => Err(Missing::Absent),
            FieldValue::Structure(_) => Err(Missing::Shape),
            FieldValue::Bytes(_) => Err(Missing::Unreadable),
        },
    }
}

fn each_in_body(
    held: &HeldBody,
    path: &ValuePath,
    enough: &mut dyn FnMut(&Datum<'_>) -> bool,
) -> Result<(), Missing> {
    if let Some(tape) = held.json() {
        return each_in(tape.root().ok_or(Missing::Absent)?, &path.steps, enough);
    }
    match held.reading() {
        Reading::Parsed(parsed) if matches!(parsed.content, Content::Empty) => Err(Missing::Absent),
        _ if held.whole && held.bytes.is_empty() => Err(Missing::Absent),
        _ => Err(Missing::Unreadable),
    }
}

/// The pairs of a query, decoded as forms are.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned()
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}
