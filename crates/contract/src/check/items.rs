//! Items of sequences, each checked alone (OpenAPI 3.2 sections 4.14.3 to 4.14.5): JSON Lines, JSON text sequences and
//! server-sent events.

use std::borrow::Cow;

use bartizan_pattern::body::{
    json::{Tape, TapeBuffer},
    multipart::Multipart,
    sequence::{EventLine, Framing, Splitter, event_lines},
};

use super::{
    BodyResult, Checks, MediaCheck, Member, Part, Typed, Violation,
    body::take,
    response::{limits, without_members},
};
use crate::{
    pointer::step,
    schema::{VIOLATIONS, View},
    shape::{Direction, Noticed, ShapeId, Types, Walk},
    value::Built,
};

/// What ends streams of many APIs, where an event has no JSON document.
const DONE: &str = "[DONE]";
/// The fields of an event (HTML Living Standard section 9.2.6); others mean nothing to anybody.
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const RECORD_SEPARATOR: &[u8] = b"\x1e";

/// What the items of a media type are.
#[derive(Clone, Debug)]
pub(super) struct ItemCheck {
    pub(super) typed: Typed,
    /// Its schema is of an event; else of the JSON document that an event's `data` is.
    pub(super) of_event: bool,
}

/// A body that is a sequence, and what its items are.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub(super) framing: Framing,
    pub(super) item: ItemCheck,
}

impl Sequence {
    /// How its items stand in it.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }
}

/// What was found in an item, or in all of a body.
#[derive(Debug, Default)]
pub struct ItemResult {
    /// There is nothing in it: an empty line, a comment, an event without data.
    pub empty: bool,
    /// It is no JSON document that can be read.
    pub unreadable: bool,
    /// What does not fit.
    pub violations: Vec<Violation>,
    /// Members that have no business there. Pointers begin with the number of the item.
    pub members: Vec<Member>,
    /// The same bytes without the members that were to be taken out; none where there is none of them.
    pub rewritten: Option<Vec<u8>>,
}

/// How one item is looked at.
struct Look<'c> {
    /// The JSON pointer of the item.
    at: String,
    direction: Direction,
    cut: &'c dyn Fn(Noticed) -> bool,
}

impl Checks {
    /// Checks one item with its framing, as [`Splitter`] cut it; `number` is how many came before it that were not empty.
    /// Members for which `cut` says so are taken out.
    #[must_use]
    pub fn item(
        &self,
        sequence: &Sequence,
        number: u64,
        bytes: &[u8],
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> ItemResult {
        let mut result = ItemResult::default();
        let look = Look { at: format!("/{number}"), direction, cut };
        if sequence.framing == Framing::Events {
            self.event(&sequence.item, bytes, &look, &mut result);
            return result;
        }
        let body = [RECORD_SEPARATOR, BYTE_ORDER_MARK].iter().find_map(|mark| bytes.strip_prefix(*mark));
        let body =
            body.filter(|_| direction == Direction::Response || bytes.first() == RECORD_SEPARATOR.first());
        let body = body.unwrap_or(bytes);
        let text = body.trim_ascii();
        if text.is_empty() {
            result.empty = true;
            return result;
        }
        let typed = &sequence.item.typed;
        if let Some(text_left) = self.item_text(Some(typed), typed.shape, text, &look, &mut result) {
            let before =
                bytes.len() - bytes.strip_prefix(RECORD_SEPARATOR).unwrap_or(bytes).trim_ascii_start().len();
            let (head, tail) = (bytes.get(..before), bytes.get(before + text.len()..));
            result.rewritten =
                Some([head.unwrap_or_default(), &text_left, tail.unwrap_or_default()].concat());
        }
        result
    }

    /// Checks all items of a body that is held. The first that cannot be read ends it.
    #[must_use]
    pub fn items(
        &self,
        sequence: &Sequence,
        bytes: &[u8],
        direction: Direction,
        cut: &dyn Fn(Noticed) -> bool,
    ) -> ItemResult {
        let mut all = ItemResult { empty: true, ..ItemResult::default() };
        let mut splitter = Splitter::new(sequence.framing);
        let mut out: Option<Vec<u8>> = None;
        let (mut rest, mut number) = (bytes, 0);
        while !rest.is_empty() {
            let end = splitter.feed(rest).unwrap_or(rest.len());
            let Some((item, behind)) = rest.split_at_checked(end) else { break };
            let found = self.item(sequence, number, item, direction, cut);
            number += u64::from(!found.empty);
            all.empty &= found.empty;
            all.unreadable |= found.unreadable;
            let room = VIOLATIONS.saturating_sub(all.violations.len());
            all.violations.extend(found.violations.into_iter().take(room));
            all.members.extend(found.members);
            if let Some(rewritten) = found.rewritten {
                let before = bytes.len() - rest.len();
                out.get_or_insert_with(|| bytes.get(..before).unwrap_or_default().to_vec())
                    .extend_from_slice(&rewritten);
            } else if let Some(out) = &mut out {
                out.extend_from_slice(item);
            }
            rest = behind;
            if all.unreadable {
                break;
            }
        }
        all.rewritten = out;
        all
    }

    /// Checks each part of a body whose parts are items (OpenAPI 3.2 section 4.14.6).
    pub(super) fn part_items(
        &self,
        media: &MediaCheck,
        parts: Multipart<'_>,
        direction: Direction,
        result: &mut BodyResult,
    ) {
        let Some(ItemCheck { typed, .. }) = &media.item else { return };
        for (number, part) in parts.parts().enumerate() {
            let at = format!("/{number}");
            let stated = part.header("content-type");
            let value = self.part(None, Some(typed.shape), stated, part.data(), part.is_file());
            let before = result.violations.len();
            typed.check(View::Built(&value), Part::Body, "", &mut result.violations);
            put_below(&mut result.violations, before, &at);
            let mut walk = Walk::default();
            walk.built(&self.shapes, typed.shape, &value, direction, &at);
            take(walk, result);
        }
    }

    /// Checks the JSON text of an item, by a schema where one is given; answers what is left of it where members are taken out.
    fn item_text(
        &self,
        typed: Option<&Typed>,
        shape: ShapeId,
        text: &[u8],
        look: &Look<'_>,
        result: &mut ItemResult,
    ) -> Option<Vec<u8>> {
        let mut buffer = TapeBuffer::new();
        let read = Tape::parse(text, &limits(look.direction), &mut buffer).ok();
        let Some((tape, root)) = read.and_then(|tape| Some((tape, tape.root()?))) else {
            result.unreadable = true;
            return None;
        };
        let before = result.violations.len();
        if tape.duplicate_key().is_some() {
            let what = "each name once in its object";
            result.violations.push(Violation::new(Part::Body, "", "duplicate", what));
        }
        if let Some(typed) = typed {
            typed.check(View::Tape(root), Part::Body, "", &mut result.violations);
        }
        put_below(&mut result.violations, before, &look.at);
        let mut walk = Walk::default();
        walk.json(&self.shapes, shape, root, look.direction);
        let mut found = BodyResult::default();
        take(walk, &mut found);
        let cut = found.members.iter().filter(|member| (look.cut)(member.noticed)).map(|member| member.key);
        let keys: Vec<u32> = cut.collect();
        result.members.extend(found.members.into_iter().map(|member| Member {
            key: 0,
            pointer: match member.pointer.is_empty() {
                true => member.pointer,
                false => format!("{}{}", look.at, member.pointer),
            },
            ..member
        }));
        (!keys.is_empty()).then(|| without_members(tape, &keys))
    }

    /// Checks an event. Its fields are what HTML makes of them: lines of `data` joined, `retry` a number, the others texts.
    fn event(&self, item: &ItemCheck, bytes: &[u8], look: &Look<'_>, result: &mut ItemResult) {
        let block = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let event = Event::read(block);
        let foreign = |line: &EventLine<'_>| !line.name.is_empty() && !FIELDS.contains(&line.name);
        for line in event_lines(block).filter(foreign) {
            let name = crate::schema::short(&String::from_utf8_lossy(line.name), 64);
            let pointer = format!("{}{}", look.at, step(&name));
            result.members.push(Member { key: 0, noticed: Noticed::Undeclared, pointer });
        }
        let drops = !result.members.is_empty() && (look.cut)(Noticed::Undeclared);
        result.empty = event.data.is_empty();
        let data = if result.empty { None } else { self.event_data(item, &event, look, result) };
        if data.is_none() && !drops {
            return;
        }
        let mut left = Vec::with_capacity(bytes.len());
        let mut data = data;
        let replaced = data.is_some();
        for line in event_lines(block) {
            match line.name {
                b"data" if replaced => {
                    let end = if line.end.is_empty() { b"\n" } else { line.end };
                    // What stood in several lines still does.
                    for text in data.take().iter().flat_map(|data| data.split(|byte| *byte == b'\n')) {
                        left.extend_from_slice(b"data: ");
                        left.extend_from_slice(text);
                        left.extend_from_slice(end);
                    }
                }
                _ if drops && foreign(&line) => {}
                _ => left.extend_from_slice(line.raw),
            }
        }
        result.rewritten = Some(left);
    }

    /// Checks what an event says; answers what is left of its data where members are taken out.
    fn event_data(
        &self,
        item: &ItemCheck,
        event: &Event<'_>,
        look: &Look<'_>,
        result: &mut ItemResult,
    ) -> Option<Vec<u8>> {
        let typed = &item.typed;
        if !item.of_event {
            let done = event.data == DONE;
            let text = event.data.as_bytes();
            return if done { None } else { self.item_text(Some(typed), typed.shape, text, look, result) };
        }
        let shape = self.shapes.member(typed.shape, "data");
        let types = super::coerce::types(&self.shapes, shape);
        // A schema that wants no text describes the document that the text is.
        let as_document = !types.has(Types::STRING);
        let before = result.violations.len();
        let value = event.value(as_document);
        typed.check(View::Built(&value), Part::Body, "", &mut result.violations);
        put_below(&mut result.violations, before, &look.at);
        let content = shape.and_then(|shape| self.shapes.get(shape)).and_then(|shape| shape.content);
        let content = if as_document { shape } else { content };
        let at = format!("{}/data", look.at);
        let mut found = ItemResult::default();
        let inside = Look { at, ..*look };
        let left =
            content.and_then(|id| self.item_text(None, id, event.data.as_bytes(), &inside, &mut found));
        // Data that is no document has been told by its schema, if that wants one.
        result.violations.extend(found.violations);
        result.members.extend(found.members);
        left
    }
}

/// Puts the violations from a place on below the item that they were found in.
fn put_below(violations: &mut [Violation], from: usize, item: &str) {
    violations.iter_mut().skip(from).for_each(|violation| violation.pointer.insert_str(0, item));
}

/// What HTML reads in an event.
#[derive(Default)]
struct Event<'a> {
    data: String,
    event: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    retry: Option<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    fn read(block: &'a [u8]) -> Self {
        let mut event = Event::default();
        let mut lines = 0;
        for line in event_lines(block) {
            let value = String::from_utf8_lossy(line.value);
            match line.name {
                b"data" => {
                    if lines > 0 {
                        event.data.push('\n');
                    }
                    lines += 1;
                    event.data.push_str(&value);
                }
                b"event" => event.event = Some(value),
                b"id" if !value.contains('\0') => event.id = Some(value),
                b"retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    // As a number it has no zeros in front.
                    let digits = match value.trim_start_matches('0') {
                        "" => "0",
                        digits => digits,
                    };
                    event.retry = Some(Cow::Owned(digits.to_owned()));
                }
                _ => {}
            }
        }
        event
    }

    /// The event as its schema sees it (OpenAPI 3.2 section 4.14.5).
    fn value(&self, as_document: bool) -> Built<'_> {
        let document = as_document.then(|| {
            let text = self.data.as_bytes();
            super::json_text::with_json(text, &limits(Direction::Response), Built::of_json).ok()
        });
        let data = document.flatten().unwrap_or(Built::Text(Cow::Borrowed(&self.data)));
        let mut entries = vec![(Cow::Borrowed("data"), data)];
        for (name, text) in [("event", &self.event), ("id", &self.id)] {
            if let Some(text) = text {
                entries.push((Cow::Borrowed(name), Built::Text(Cow::Borrowed(&**text))));
            }
        }
        if let Some(retry) = &self.retry {
            entries.push((Cow::Borrowed("retry"), Built::Number(Cow::Borrowed(&**retry))));
        }
        Built::Map(entries)
    }
}
