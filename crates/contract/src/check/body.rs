//! Bodies of requests: their media type at the head, and what is in them.

use std::sync::Arc;

use bartizan_pattern::body::{
    Content, Reading,
    json::{JsonLimits, Tape},
    media_type::{BodyKind, MediaType},
    sequence::Framing,
};
use http::{HeaderMap, HeaderValue, header};

use super::{Checks, MediaCheck, OperationCheck, ParameterProof, Part, Sequence, Typed, Violation};
use super::{
    cut::Excess,
    json_text::{NoJson, with_json},
};
use crate::{
    schema::View,
    shape::{Direction, Noticed, Proof, Shapes, Types, Walk},
    value::Built,
};

/// What the media type of a body says about checking it.
#[derive(Clone, Debug)]
pub struct MediaChoice {
    pub(super) media: Option<Arc<MediaCheck>>,
    kind: BodyKind,
    framing: Option<Framing>,
}

impl MediaChoice {
    /// Whether its size is all that a check can say, so that it need not be held: bytes of a type that nobody reads.
    #[must_use]
    pub fn only_size(&self) -> bool {
        let unread = |media: &Arc<MediaCheck>| !media.range.is_range() && media.item.is_none();
        self.kind == BodyKind::Other && self.media.as_ref().is_none_or(unread)
    }

    /// The body as a sequence, where the contract says what its items are. What is no sequence by its media type has them in
    /// lines.
    #[must_use]
    pub fn sequence(&self) -> Option<Sequence> {
        // Parts are items that have their own framing.
        if matches!(self.kind, BodyKind::Multipart | BodyKind::Xml | BodyKind::Form) {
            return None;
        }
        let item = self.media.as_ref()?.item.clone()?;
        Some(Sequence { framing: self.framing.unwrap_or(Framing::Lines), item })
    }

    /// Whether a schema says more of it than that it is a text.
    #[must_use]
    pub fn is_described(&self) -> bool {
        let any_text = |media: &MediaCheck| self.kind == BodyKind::Text && media.any_text;
        let schema = |media: &MediaCheck| media.typed.is_some() || media.item.is_some();
        self.media.as_ref().is_some_and(|media| schema(media) && !any_text(media))
    }

    /// Whether its bytes may be the JSON document that a range describes, whatever they call themselves: a schema that allows
    /// no text describes nothing else.
    #[must_use]
    pub fn may_be_json(&self, shapes: &Shapes) -> bool {
        let described = self.media.as_ref().filter(|media| media.range.is_range());
        described
            .and_then(|media| media.typed.as_ref())
            .is_some_and(|typed| !super::coerce::types(shapes, Some(typed.shape)).has(Types::STRING))
    }

    /// Whether its media type is of sequences, which may have no end.
    #[must_use]
    pub fn is_sequence(&self) -> bool {
        self.framing.is_some()
    }

    /// How it is read.
    #[must_use]
    pub fn kind(&self) -> BodyKind {
        self.kind
    }
}

/// What was found in a body.
#[derive(Debug, Default)]
pub struct BodyResult {
    /// What does not fit, at most [`VIOLATIONS`].
    pub violations: Vec<Violation>,
    /// Members that have no business there.
    pub members: Vec<Member>,
    /// What is proved of values, by their numbers in the tape, in its order.
    pub proofs: Vec<(u32, Proof)>,
    /// What is proved of the fields of a form.
    pub fields: Vec<ParameterProof>,
}

/// A member that has no business in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The number of its key in the tape; 0 in bodies that are no JSON document.
    pub key: u32,
    /// Why.
    pub noticed: Noticed,
    /// Its JSON pointer; empty behind the first 32.
    pub pointer: String,
}

impl OperationCheck {
    /// Chooses how the body of a request is checked, by its head.
    ///
    /// # Errors
    /// The media type is missing, malformed, written twice, or none that the contract names.
    pub fn media(&self, headers: &HeaderMap) -> Result<MediaChoice, Violation> {
        let Some(body) = &self.body else {
            return Ok(MediaChoice { media: None, kind: kind_of(headers), framing: None });
        };
        choose(&body.media, headers)
    }

    /// Whether a request without a single byte of body lacks one: where the contract demands it, and no media type is stated
    /// of which nothing at all is a value, as of text.
    #[must_use]
    pub fn misses_body(&self, headers: &HeaderMap) -> bool {
        let demanded = self.body.as_ref().is_some_and(|body| body.required);
        let stated = headers.contains_key(header::CONTENT_TYPE);
        demanded && !(stated && matches!(kind_of(headers), BodyKind::Text | BodyKind::Other))
    }
}

fn kind_of(headers: &HeaderMap) -> BodyKind {
    let field = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    field.and_then(|field| MediaType::parse(field).ok()).map_or(BodyKind::Other, |media| media.kind())
}

/// The most specific range that the media type lies in.
pub(super) fn choose(all: &[Arc<MediaCheck>], headers: &HeaderMap) -> Result<MediaChoice, Violation> {
    let ranges = || {
        let all: Vec<String> = all.iter().take(8).map(|media| media.range.to_string()).collect();
        if all.is_empty() { "a media type".to_owned() } else { all.join(", ") }
    };
    let wrong = |what: String| Violation::new(Part::Header, "content-type", "media_type", what);
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => field.as_bytes(),
        (None, _) => return Err(wrong(ranges())),
        (Some(_), Some(_)) => return Err(wrong("one media type".to_owned())),
    };
    let Ok(media) = MediaType::parse(field) else { return Err(wrong(ranges())) };
    if media.is_malformed() || media.has_duplicate_parameter() {
        return Err(wrong("well-formed parameters, each once".to_owned()));
    }
    let essence = format!("{}/{}", media.top(), media.subtype()).to_ascii_lowercase();
    let fits = |check: &&Arc<MediaCheck>| {
        check.range.contains(&essence)
            && check.range.parameters().all(|(name, value)| {
                // A charset is settled below, and a boundary is the client's to choose.
                matches!(name, "charset" | "boundary")
                    || media.parameter(name).is_some_and(|sent| sent.eq_ignore_ascii_case(value.as_bytes()))
            })
    };
    let chosen = all.iter().find(fits);
    if chosen.is_none() && !all.is_empty() {
        return Err(wrong(ranges()));
    }
    let kind = media.kind();
    if kind == BodyKind::Json
        && media.parameter("charset").is_some_and(|charset| !charset.eq_ignore_ascii_case(b"utf-8"))
    {
        return Err(Violation::new(Part::Header, "content-type", "charset", "UTF-8 (RFC 8259 section 8.1)"));
    }
    Ok(MediaChoice { media: chosen.cloned(), kind, framing: Framing::named(&essence) })
}

impl Checks {
    /// Checks a body that was read. `choice` is what [`OperationCheck::media`] said of its head.
    #[must_use]
    pub fn body(&self, choice: &MediaChoice, reading: &Reading<'_>, direction: Direction) -> BodyResult {
        let mut result = BodyResult::default();
        let Some(media) = choice.media.as_deref() else { return result };
        let typed = media.typed.as_ref();
        match reading {
            Reading::Parsed(parsed) => match parsed.content {
                Content::Empty => {}
                Content::Json(tape) => self.json(typed, tape, direction, &mut result),
                Content::Form(form) => {
                    let value = self.form(media, form, &mut result.violations);
                    self.built(typed, &value, direction, &mut result);
                    self.fields(typed, &value, &mut result);
                }
                Content::Multipart(parts) => {
                    // Whatever another reader would find elsewhere is checked by nobody.
                    if let Some(dispute) = parsed.dispute() {
                        let what = format!("parts to the letter ({})", dispute.code());
                        result.violations.push(Violation::new(Part::Body, "", "malformed", what));
                    }
                    if typed.is_none() && media.item.is_some() {
                        self.part_items(media, parts, direction, &mut result);
                        return result;
                    }
                    let value = self.multipart(media, parts, &mut result.violations);
                    self.built(typed, &value, direction, &mut result);
                    self.fields(typed, &value, &mut result);
                }
                Content::Xml(xml) => {
                    let Some(typed) = typed else { return result };
                    if let Some(value) = self.xml(typed, xml, &mut result.violations) {
                        typed.check(View::Built(&value), Part::Body, "", &mut result.violations);
                    }
                    let found = self.excess(Some(typed.shape), xml, direction).into_iter();
                    let member = |one: Excess| Member { key: 0, noticed: one.noticed, pointer: one.pointer };
                    result.members.extend(found.map(member));
                }
                Content::Text(text) => self.text(media, text, direction, &mut result),
                Content::Opaque => self.opaque(media, parsed.bytes, direction, &mut result),
            },
            Reading::Unreadable(unreadable) if choice.kind == BodyKind::Other => {
                self.opaque(media, unreadable.bytes, direction, &mut result);
            }
            Reading::Unreadable(unreadable) => {
                let what = format!("a body that can be read ({})", unreadable.reason.code());
                result.violations.push(Violation::new(Part::Body, "", "malformed", what));
            }
        }
        result
    }

    /// Checks a body by its size alone, where [`MediaChoice::only_size`].
    #[must_use]
    pub fn size(&self, choice: &MediaChoice, bytes: u64) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Some(typed) = choice.media.as_ref().and_then(|media| media.typed.as_ref()) {
            let value = Built::Binary(usize::try_from(bytes).unwrap_or(usize::MAX));
            typed.check(View::Built(&value), Part::Body, "", &mut found);
        }
        found
    }

    fn json(&self, typed: Option<&Typed>, tape: Tape<'_>, direction: Direction, result: &mut BodyResult) {
        if let Some(key) = tape.duplicate_key() {
            let name = crate::schema::short(&key.as_str().unwrap_or_default(), 64);
            let what = format!("the name `{name}` once in its object");
            result.violations.push(Violation::new(Part::Body, "", "duplicate", what));
            // What leaves is looked through none the less.
            if direction == Direction::Request {
                return;
            }
        }
        let (Some(typed), Some(root)) = (typed, tape.root()) else { return };
        let fits = typed.check(View::Tape(root), Part::Body, "", &mut result.violations);
        let mut walk =
            if fits && direction == Direction::Request { Walk::proving() } else { Walk::default() };
        walk.json(&self.shapes, typed.shape, root, direction);
        take(walk, result);
    }

    fn built(&self, typed: Option<&Typed>, value: &Built<'_>, direction: Direction, result: &mut BodyResult) {
        let Some(typed) = typed else { return };
        typed.check(View::Built(value), Part::Body, "", &mut result.violations);
        let mut walk = Walk::default();
        walk.built(&self.shapes, typed.shape, value, direction, "");
        take(walk, result);
    }

    /// What is proved of the fields of a form that fits.
    fn fields(&self, typed: Option<&Typed>, value: &Built<'_>, result: &mut BodyResult) {
        let (Some(typed), Built::Map(entries)) = (typed, value) else { return };
        if !result.violations.is_empty() {
            return;
        }
        for (name, value) in entries {
            let member = self.shapes.member(typed.shape, name);
            if let Some(proof) = member.and_then(|member| self.proof(member, value)) {
                result.fields.push(ParameterProof { part: Part::Body, name: (&**name).into(), proof });
            }
        }
    }

    /// Text of a type without a structure: JSON where it is some and a range let it in, else a text.
    fn text(&self, media: &MediaCheck, text: &[u8], direction: Direction, result: &mut BodyResult) {
        if media.range.is_range() && self.sniffed(media, text, direction, result) {
            return;
        }
        let Some(typed) = &media.typed else { return };
        let Ok(text) = std::str::from_utf8(text) else {
            result.violations.push(Violation::new(
                Part::Body,
                "",
                "charset",
                "text in the charset that it names",
            ));
            return;
        };
        let value = super::coerce::coerce(&self.shapes, Some(typed.shape), text.into());
        let as_text = Built::Text(text.into());
        let fits = [&value, &as_text].into_iter().find(|value| typed.schema.fits(View::Built(value)));
        self.built(Some(typed), fits.unwrap_or(&value), direction, result);
    }

    /// Bytes of a type that nobody reads: JSON where it is some and a range let it in, else so many bytes.
    fn opaque(&self, media: &MediaCheck, bytes: &[u8], direction: Direction, result: &mut BodyResult) {
        if media.range.is_range() && self.sniffed(media, bytes, direction, result) {
            return;
        }
        self.built(media.typed.as_ref(), &Built::Binary(bytes.len()), direction, result);
    }

    /// Whether the bytes are a JSON document, which then is checked as one: no type by another name opens a range.
    fn sniffed(
        &self,
        media: &MediaCheck,
        bytes: &[u8],
        direction: Direction,
        result: &mut BodyResult,
    ) -> bool {
        let Some(typed) = &media.typed else { return false };
        // Some readers leave a byte order mark out, and some do not.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return false;
        }
        let read = with_json(text, &JsonLimits::default(), |root| {
            typed.check(View::Tape(root), Part::Body, "", &mut result.violations);
            let mut walk = Walk::default();
            walk.json(&self.shapes, typed.shape, root, direction);
            // The numbers are of a tape that nobody else has: the pointers suffice to refuse.
            walk.noticed.iter_mut().for_each(|(key, _)| *key = 0);
            take(walk, result);
        });
        if read == Err(NoJson::Refused) {
            let what = "JSON that every reader reads alike: no name twice, within bounds";
            result.violations.push(Violation::new(Part::Body, "", "malformed", what));
        }
        read != Err(NoJson::Malformed)
    }
}

/// Takes over what a walk found.
pub(super) fn take(walk: Walk, result: &mut BodyResult) {
    let mut pointers = walk.pointers.into_iter();
    let members = walk.noticed.into_iter().map(|(key, noticed)| Member {
        key,
        noticed,
        pointer: pointers.next().unwrap_or_default(),
    });
    result.members.extend(members);
    result.proofs = walk.proofs;
}
