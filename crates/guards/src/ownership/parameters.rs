//! The same parameter in path, query and body: readers disagree on which of them counts, so that one can be checked and
//! another one used (HTTP parameter pollution).

use std::collections::BTreeMap;

use bartizan_authz::ownership::{Datum, Missing, Source, ValuePath, Values as _};
use bartizan_model::{Diagnostic, Diagnostics};
use bartizan_pattern::body::{
    Content, Reading,
    json::{Kind, Value},
};

use super::{
    config,
    values::{Scene, pairs},
};
use crate::body::HeldBody;

/// Pairs of a query or form, and members of a body, that are compared: more are no parameters.
const MAX_NAMES: usize = 256;

/// Which values must be the same.
pub(super) struct Parameters {
    ids: bool,
    same: Vec<Vec<ValuePath>>,
}

impl Parameters {
    pub(super) fn compile(config: &config::Parameters, problems: &mut Diagnostics) -> Self {
        let mut same = Vec::new();
        for (at, group) in config.same.iter().enumerate() {
            let mut paths = Vec::new();
            for (index, text) in group.iter().enumerate() {
                let place = format!("parameters.same[{at}][{index}]");
                match text.parse::<ValuePath>() {
                    Ok(path) if of_request(&path.source) => paths.push(path),
                    Ok(path) => problems.push(
                        Diagnostic::error(place, format!("`{path}` is no parameter of a request"))
                            .help("write `path.NAME`, `query.NAME`, `header.NAME` or `request.body.NAME`"),
                    ),
                    Err(error) => problems.push(Diagnostic::error(place, error.message).help(error.help)),
                }
            }
            if group.len() < 2 {
                problems.push(
                    Diagnostic::error(format!("parameters.same[{at}]"), "one value is always the same")
                        .help("name two values or more: `[path.id, request.body.accountId]`"),
                );
            }
            same.push(paths);
        }
        Parameters { ids: config.ids, same }
    }

    /// Whether ids are compared.
    pub(super) fn checks_ids(&self) -> bool {
        self.ids
    }

    /// Whether the body has to be seen: for operations whose path or query has ids, and where the policy names a body.
    pub(super) fn needs_body(&self, scene: &Scene<'_>) -> bool {
        let query = scene.request.query.as_deref().unwrap_or_default();
        self.same.iter().flatten().any(|path| path.source == Source::Body)
            || self.ids
                && (scene.parameters.keys().any(|name| is_id(name))
                    || pairs(query).take(MAX_NAMES).any(|(name, _)| is_id(&name)))
    }

    /// The places that disagree, in words, as far as they are known.
    pub(super) fn conflict(&self, scene: &Scene<'_>, body: Option<&HeldBody>) -> Option<String> {
        self.same
            .iter()
            .find_map(|group| differing(scene, group))
            .or_else(|| if self.ids { of_ids(scene, body) } else { None })
    }
}

fn of_request(source: &Source) -> bool {
    matches!(source, Source::Path(_) | Source::Query(_) | Source::Header(_) | Source::Body)
}

/// Values of one group that are there and not the same.
fn differing(scene: &Scene<'_>, group: &[ValuePath]) -> Option<String> {
    let mut first: Option<(&ValuePath, Datum<'_>)> = None;
    for path in group {
        let value = match scene.one(path) {
            Ok(value) => value,
            Err(Missing::Twice) => return Some(format!("the values of `{path}`")),
            Err(_) => continue,
        };
        match &first {
            Some((other, known)) if known.same(&value) != Some(true) => {
                return Some(format!("`{other}` and `{path}`"));
            }
            Some(_) => {}
            None => first = Some((path, value)),
        }
    }
    None
}

/// Names that say of themselves that they are ids.
pub(super) fn is_id(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(lower.as_str(), "id" | "uuid" | "guid" | "oid" | "sub" | "uid")
        || name.ends_with("Id")
        || name.ends_with("ID")
        || name.ends_with("Uuid")
        || ["_id", "-id", ".id", "_uuid", "-uuid", "_guid"].iter().any(|end| lower.ends_with(end))
        || lower.ends_with("[id]")
}

/// Where ids came, the first value and place of each name.
#[derive(Default)]
struct Seen {
    values: BTreeMap<String, (String, &'static str)>,
    conflict: Option<String>,
}

impl Seen {
    fn note(&mut self, name: &str, value: &str, place: &'static str) {
        if self.conflict.is_some() || !is_id(name) || self.values.len() >= MAX_NAMES {
            return;
        }
        match self.values.get(name) {
            Some((known, other)) if known != value => {
                self.conflict = Some(if *other == place {
                    format!("the values of `{name}` in the {place}")
                } else {
                    format!("`{name}` in the {other} and in the {place}")
                });
            }
            Some(_) => {}
            None => drop(self.values.insert(name.to_owned(), (value.to_owned(), place))),
        }
    }
}

fn of_ids(scene: &Scene<'_>, body: Option<&HeldBody>) -> Option<String> {
    let mut seen = Seen::default();
    for (name, value) in scene.parameters {
        seen.note(name, value, "path");
    }
    for (name, value) in pairs(scene.request.query.as_deref().unwrap_or_default()).take(MAX_NAMES) {
        seen.note(&name, &value, "query");
    }
    if let Some(held) = body
        && let Reading::Parsed(parsed) = held.reading()
    {
        match parsed.content {
            Content::Json(tape) => {
                let members = tape.root().filter(|root| root.kind() == Kind::Object).map(Value::entries);
                for (name, value) in members.into_iter().flatten().take(MAX_NAMES) {
                    if matches!(value.kind(), Kind::String | Kind::Number) {
                        let (name, value) = (name.decoded(), value.decoded());
                        seen.note(&String::from_utf8_lossy(&name), &String::from_utf8_lossy(&value), "body");
                    }
                }
            }
            Content::Form(form) => {
                let text = String::from_utf8_lossy(form.bytes());
                for (name, value) in pairs(&text).take(MAX_NAMES) {
                    seen.note(&name, &value, "body");
                }
            }
            _ => {}
        }
    }
    seen.conflict
}
