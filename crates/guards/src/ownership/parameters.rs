//! The same parameter in path, query and body: readers disagree on which of them counts, so that one can be checked and
//! another one used (HTTP parameter pollution).

use std::{borrow::Cow, collections::BTreeMap};

use bartizan_authz::ownership::{Datum, Missing, Source, ValuePath, Values as _};
use bartizan_model::{Diagnostic, Diagnostics};
use bartizan_pattern::body::{
    Content, Reading,
    json::{JsonLimits, Kind, Tape, TapeBuffer, Value},
    media_type::BodyKind,
    multipart::Multipart,
};

use super::{
    config::{self, Undecided},
    values::{Scene, pairs},
};
use crate::body::HeldBody;

/// Names of ids in one request that are kept apart: no API has as many, and with more nothing can be told.
const MAX_NAMES: usize = 256;

/// Which values must be the same.
pub(super) struct Parameters {
    ids: bool,
    same: Vec<Vec<ValuePath>>,
    undecided: Undecided,
}

/// What comparing came to, where not all is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// These places disagree.
    Differ(String),
    /// The body cannot be read, so that it may say anything: why not.
    Unread(String),
}

impl Parameters {
    pub(super) fn compile(
        config: &config::Parameters,
        undecided: Undecided,
        problems: &mut Diagnostics,
    ) -> Self {
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
        Parameters { ids: config.ids, same, undecided }
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
                    || pairs(query).any(|(name, _)| is_id(&name)))
    }

    /// Whether what cannot be read may pass.
    pub(super) fn lets_unread_pass(&self) -> bool {
        self.undecided == Undecided::Allow
    }

    /// What is in doubt, as far as it is known.
    pub(super) fn doubt(&self, scene: &Scene<'_>, body: Option<&HeldBody>) -> Option<Doubt> {
        let differs = self.same.iter().find_map(|group| differing(scene, group)).map(Doubt::Differ);
        differs.or_else(|| if self.ids { of_ids(scene, body) } else { None })
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
    let name = without_index(name);
    let lower = name.to_ascii_lowercase();
    matches!(lower.as_str(), "id" | "uuid" | "guid" | "oid" | "sub" | "uid")
        || name.ends_with("Id")
        || name.ends_with("ID")
        || name.ends_with("Uuid")
        || ["_id", "-id", ".id", "_uuid", "-uuid", "_guid"].iter().any(|end| lower.ends_with(end))
        || lower.ends_with("[id]")
}

/// A name without what makes a list of it: `id[]`, `id[0]`.
fn without_index(name: &str) -> &str {
    let mut name = name;
    while let Some((before, index)) = name.strip_suffix(']').and_then(|open| open.rsplit_once('[')) {
        if before.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        name = before;
    }
    name
}

/// A name as frameworks that are lenient about it bind it: without case, `_` and `-`, and with dots for brackets.
fn folded(name: &str) -> String {
    let plain = without_index(name).chars().filter(|c| !matches!(c, '_' | '-' | ']'));
    plain.map(|c| if c == '[' { '.' } else { c.to_ascii_lowercase() }).collect()
}

/// One value of an id.
struct Known {
    value: String,
    place: &'static str,
    /// The number of the list that it is in, where a list may hold several.
    list: Option<usize>,
}

/// Where ids came, by folded name.
#[derive(Default)]
struct Ids {
    values: BTreeMap<String, Known>,
    lists: usize,
    differ: Option<String>,
}

impl Ids {
    fn note(&mut self, name: &str, value: &str, place: &'static str) {
        // `id[]=1&id[]=2` is one list.
        let list = (without_index(name) != name).then_some(0);
        self.note_in(name, value, place, list);
    }

    fn note_in(&mut self, name: &str, value: &str, place: &'static str, list: Option<usize>) {
        if self.differ.is_some() || !is_id(name) {
            return;
        }
        match self.values.get(&folded(name)) {
            Some(known) if known.value != value => {
                // A list that is alone may have several values; one of another place may not differ from any of them.
                let one_list = list.is_some() && known.list == list && known.place == place;
                if !one_list {
                    self.differ = Some(if known.place == place {
                        format!("the values of `{name}` in the {place}")
                    } else {
                        format!("`{name}` in the {} and in the {place}", known.place)
                    });
                }
            }
            Some(_) => {}
            None if self.values.len() >= MAX_NAMES => {
                self.differ = Some(format!("more than {MAX_NAMES} ids"));
            }
            None => {
                let known = Known { value: value.to_owned(), place, list };
                self.values.insert(folded(name), known);
            }
        }
    }

    fn pairs<'p>(&mut self, pairs: impl Iterator<Item = (String, String)> + 'p, place: &'static str) {
        for (name, value) in pairs {
            self.note(&name, &value, place);
        }
    }

    /// The members of a document. `null` is no value; a list may be one, an object is none that equals another.
    fn document(&mut self, root: Value<'_>) {
        if root.kind() != Kind::Object {
            return;
        }
        for (name, value) in root.entries() {
            let name = name.decoded();
            let name = String::from_utf8_lossy(&name);
            match value.kind() {
                Kind::Null => {}
                Kind::Array => {
                    self.lists += 1;
                    let list = Some(self.lists);
                    for item in value.items() {
                        self.note_in(&name, &text(item), "body", list);
                    }
                }
                _ => self.note_in(&name, &text(value), "body", None),
            }
        }
    }

    fn parts(&mut self, parts: Multipart<'_>) {
        for part in parts.parts() {
            if let Some(name) = part.name() {
                self.note(&String::from_utf8_lossy(&name), &String::from_utf8_lossy(part.data()), "body");
            }
        }
    }
}

/// A value as it is compared: of a text what it says, of anything else as it is written.
fn text(value: Value<'_>) -> String {
    match value.kind() {
        Kind::String => String::from_utf8_lossy(&value.decoded()).into_owned(),
        _ => String::from_utf8_lossy(value.source()).into_owned(),
    }
}

fn of_ids(scene: &Scene<'_>, body: Option<&HeldBody>) -> Option<Doubt> {
    let mut ids = Ids::default();
    for (name, value) in scene.parameters {
        ids.note(name, value, "path");
    }
    ids.pairs(pairs(scene.request.query.as_deref().unwrap_or_default()), "query");
    let unread = match body {
        // Without an id outside of it there is nothing that its own could differ from.
        Some(held) if !ids.values.is_empty() => of_body(&mut ids, held),
        _ => None,
    };
    ids.differ.map(Doubt::Differ).or(unread.map(Doubt::Unread))
}

/// The ids of a body; why they are not known, where it has parameters that cannot be read.
fn of_body(ids: &mut Ids, held: &HeldBody) -> Option<String> {
    let reading = held.reading();
    let (content, kind, reason) = match &reading {
        Reading::Parsed(parsed) => (parsed.content, Some(parsed.kind), None),
        Reading::Unreadable(unreadable) => (unreadable.content, unreadable.kind, Some(unreadable.reason)),
    };
    match content {
        Content::Json(tape) => tape.root().into_iter().for_each(|root| ids.document(root)),
        Content::Form(form) => ids.pairs(pairs(&String::from_utf8_lossy(form.bytes())), "body"),
        Content::Multipart(parts) => ids.parts(parts),
        // APIs that do not look at the type read JSON and forms under any.
        Content::Text(_) | Content::Opaque => unlabelled(ids, reading.bytes()),
        Content::Empty | Content::Xml(_) => {}
    }
    // Files go in parts: what follows a large one may be anything, and is let pass.
    let has_parameters = matches!(kind, Some(BodyKind::Json | BodyKind::Form));
    match reason {
        _ if !has_parameters || held.bytes.is_empty() => None,
        _ if !held.whole => Some("the body is longer than what is compared, 256 KiB".to_owned()),
        Some(reason) => Some(format!("the body cannot be read: {reason}")),
        None => None,
    }
}

fn unlabelled(ids: &mut Ids, bytes: &[u8]) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if bytes.starts_with(b"{") {
        let mut buffer = TapeBuffer::new();
        if let Ok(tape) = Tape::parse(bytes, &JsonLimits::default(), &mut buffer) {
            tape.root().into_iter().for_each(|root| ids.document(root));
        }
    } else if bytes.contains(&b'=') && !bytes.contains(&b'\n') {
        let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
        ids.pairs(pairs(&text), "body");
    }
}
