//! The front: codings undone, the charset settled, and the parser picked, in this order.

use super::{
    BodyFlags, BodyLimits, Buffers, Content, Parsed, Reading, Unreadable, UnreadableReason,
    charset::{Charset, CharsetError},
    decode::{self, DecodeLimits},
    form::Form,
    json::Tape,
    media_type::{BodyKind, MediaType},
    multipart::Multipart,
    xml::{self, Xml},
};

/// What came of the last body, without the bytes that it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    kind: Option<BodyKind>,
    decoded: bool,
    /// The text that was parsed is in the text buffer; else it is what stands behind a byte order mark.
    transcoded: bool,
    mark: usize,
    shape: Shape,
    charset: Option<Charset>,
    reason: Option<UnreadableReason>,
    flags: BodyFlags,
}

/// Which of the buffers has what was read.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Empty,
    Opaque,
    Json,
    Form,
    Multipart,
    Xml,
    Text,
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome {
            kind: None,
            decoded: false,
            transcoded: false,
            mark: 0,
            shape: Shape::Opaque,
            charset: None,
            reason: None,
            flags: BodyFlags::default(),
        }
    }
}

/// Reads a body by what its message says about it: the value of `Content-Type`, and the values of `Content-Encoding`,
/// joined with commas where there are several.
///
/// It never fails and is never silent: a body that is too long, cannot be decoded, or is of a type that nobody reads, is
/// [`Reading::Unreadable`] with the reason, and with what was read before it.
pub fn read<'a>(
    content_type: Option<&[u8]>,
    content_encoding: Option<&[u8]>,
    bytes: &'a [u8],
    limits: &BodyLimits,
    buffers: &'a mut Buffers,
) -> Reading<'a> {
    buffers.fill(None, content_type, content_encoding, bytes, limits);
    buffers.reading(bytes)
}

/// Reads a body as of this kind, whatever its media type is; boundary and charset still come from there.
pub fn read_as<'a>(
    kind: BodyKind,
    content_type: Option<&[u8]>,
    content_encoding: Option<&[u8]>,
    bytes: &'a [u8],
    limits: &BodyLimits,
    buffers: &'a mut Buffers,
) -> Reading<'a> {
    buffers.fill(Some(kind), content_type, content_encoding, bytes, limits);
    buffers.reading(bytes)
}

impl Buffers {
    fn fill(
        &mut self,
        kind: Option<BodyKind>,
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        bytes: &[u8],
        limits: &BodyLimits,
    ) {
        self.outcome = Outcome { kind, ..Outcome::default() };
        if bytes.is_empty() {
            self.outcome.shape = Shape::Empty;
        } else if let Err(reason) = self.steps(content_type, content_encoding, bytes, limits) {
            self.outcome.reason = Some(reason);
        }
    }

    fn steps(
        &mut self,
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        bytes: &[u8],
        limits: &BodyLimits,
    ) -> Result<(), UnreadableReason> {
        if bytes.len() > limits.bytes {
            return Err(UnreadableReason::TooLong);
        }
        let codings = decode::codings(content_encoding.unwrap_or_default(), &limits.decode);
        let codings = codings.map_err(UnreadableReason::Decode)?;
        let Buffers { decoded, text, tape, form, multipart, xml, outcome } = self;
        let plain = if codings.is_empty() {
            bytes
        } else {
            outcome.decoded = true;
            outcome.flags.decoded = true;
            let most = limits.decode.output_bytes.min(limits.bytes);
            let most = DecodeLimits { output_bytes: most, ..limits.decode };
            decode::decode(&codings, bytes, &most, decoded).map_err(UnreadableReason::Decode)?
        };
        let media = content_type.map(MediaType::parse).transpose();
        if let Ok(Some(media)) = &media {
            outcome.flags.malformed_media_type = media.is_malformed();
            outcome.flags.duplicate_parameter = media.has_duplicate_parameter();
            outcome.kind = outcome.kind.or(Some(media.kind()));
        }
        let kind = match (outcome.kind, &media) {
            (Some(kind), _) => kind,
            (None, Err(error)) => return Err(UnreadableReason::MediaType(*error)),
            (None, Ok(_)) => return Err(UnreadableReason::MediaTypeMissing),
        };
        if plain.is_empty() {
            outcome.shape = Shape::Empty;
            return Ok(());
        }
        let media = media.ok().flatten();
        let named =
            charset(content_type.unwrap_or_default(), media.as_ref()).map_err(UnreadableReason::Charset)?;
        outcome.charset = named;
        let text = match kind {
            BodyKind::Json => {
                outcome.text(named.filter(|named| *named != Charset::Utf8), plain, limits, text)?
            }
            BodyKind::Xml => outcome.xml_text(named, plain, limits, text)?,
            BodyKind::Text => match named.or(Charset::marked(plain).map(|(marked, _)| marked)) {
                Some(charset) => outcome.text(Some(charset), plain, limits, text)?,
                None => {
                    outcome.flags.not_utf8 = std::str::from_utf8(plain).is_err();
                    plain
                }
            },
            BodyKind::Form | BodyKind::Multipart => match named {
                // Its escapes and names are read as ASCII.
                Some(named) if !named.is_ascii_compatible() => {
                    return Err(UnreadableReason::Charset(CharsetError::Unknown));
                }
                _ => plain,
            },
            BodyKind::Other => return Err(UnreadableReason::UnknownType),
        };
        match kind {
            BodyKind::Json => {
                outcome.shape = Shape::Json;
                Tape::parse(text, &limits.json, tape).map_err(UnreadableReason::Json)?;
            }
            BodyKind::Form => {
                outcome.shape = Shape::Form;
                Form::parse(text, &limits.form, form).map_err(UnreadableReason::Form)?;
            }
            BodyKind::Multipart => {
                outcome.shape = Shape::Multipart;
                let content_type = content_type.unwrap_or_default();
                if let Some(error) =
                    Multipart::parse(content_type, text, &limits.multipart, multipart).error()
                {
                    return Err(UnreadableReason::Multipart(error));
                }
            }
            BodyKind::Xml => {
                outcome.shape = Shape::Xml;
                Xml::parse(text, &limits.xml, xml).map_err(UnreadableReason::Xml)?;
            }
            BodyKind::Text | BodyKind::Other => outcome.shape = Shape::Text,
        }
        Ok(())
    }
}

/// The charset that the media type names; one that it names twice or unclearly is none that can be trusted.
fn charset(field: &[u8], media: Option<&MediaType<'_>>) -> Result<Option<Charset>, CharsetError> {
    let Some(media) = media else { return Ok(None) };
    let named = media.parameters().iter().filter(|parameter| parameter.name.eq_ignore_ascii_case("charset"));
    let unclear = media.is_malformed() && {
        let words = field.windows("charset".len());
        words.filter(|word| word.eq_ignore_ascii_case(b"charset")).count() > named.clone().count()
    };
    match named.clone().count() {
        _ if unclear => Err(CharsetError::Conflict),
        0 => Ok(None),
        1 => named.map(|parameter| Charset::named(&parameter.value)).next().transpose(),
        _ => Err(CharsetError::Conflict),
    }
}

impl Outcome {
    /// The text as UTF-8, decoded from `charset` where one is given.
    fn text<'a>(
        &mut self,
        charset: Option<Charset>,
        plain: &'a [u8],
        limits: &BodyLimits,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], UnreadableReason> {
        let Some(charset) = charset else { return Ok(plain) };
        let length = charset.decode(plain, limits.bytes, out).map_err(UnreadableReason::Charset)?.len();
        if out.is_empty() {
            self.mark = plain.len() - length;
            return Ok(plain.get(self.mark..).unwrap_or_default());
        }
        self.transcoded = true;
        self.flags.transcoded = true;
        Ok(out)
    }

    /// The text of an XML document. A byte order mark, the media type and the document itself may all name a charset
    /// (RFC 7303 section 3); they have to agree, since readers disagree on which of them counts.
    fn xml_text<'a>(
        &mut self,
        named: Option<Charset>,
        plain: &'a [u8],
        limits: &BodyLimits,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], UnreadableReason> {
        let of_declaration = |text: &[u8]| xml::declared_encoding(text).map(Charset::named).transpose();
        let declared = of_declaration(plain).map_err(UnreadableReason::Charset)?;
        let marked = Charset::marked(plain).map(|(marked, _)| marked);
        let charset = marked.or(named).or(declared).unwrap_or(Charset::Utf8);
        let text = self.text(Some(charset), plain, limits, out)?;
        // Behind a mark or in wide characters the declaration is only seen now.
        let declared = of_declaration(text).map_err(UnreadableReason::Charset)?;
        match [named, declared].into_iter().flatten().all(|other| other.is_like(charset)) {
            true => Ok(text),
            false => Err(UnreadableReason::Charset(CharsetError::Conflict)),
        }
    }

    /// The outcome over the bytes that it came from.
    pub(super) fn show<'a>(&self, buffers: &'a Buffers, bytes: &'a [u8]) -> Reading<'a> {
        let plain = if self.decoded { buffers.decoded.bytes() } else { bytes };
        let text = match self.transcoded {
            true => buffers.text.as_slice(),
            false => plain.get(self.mark..).unwrap_or_default(),
        };
        let content = match self.shape {
            Shape::Empty => Content::Empty,
            Shape::Opaque => Content::Opaque,
            Shape::Json => Content::Json(buffers.tape.tape(text)),
            Shape::Form => Content::Form(buffers.form.form(text)),
            Shape::Multipart => Content::Multipart(buffers.multipart.multipart(text)),
            Shape::Xml => Content::Xml(buffers.xml.xml(text)),
            Shape::Text => Content::Text(text),
        };
        let (kind, flags) = (self.kind, self.flags);
        match self.reason {
            Some(reason) => Reading::Unreadable(Unreadable { reason, kind, content, bytes: plain, flags }),
            None => {
                let kind = kind.unwrap_or(BodyKind::Other);
                Reading::Parsed(Parsed { kind, content, bytes: plain, charset: self.charset, flags })
            }
        }
    }
}
