//! A request's body, read by somebody, to what rules can look at.

use std::ops::ControlFlow;

use bartizan_pattern::body::{
    self, BodyLimits, Buffers, Content, Reading, UnreadableReason,
    charset::Charset,
    form::{Form, FormLimits},
    json::{JsonLimits, PathStyle, Tape, Walker},
    media_type::{BodyKind, MediaType},
    multipart::{Multipart, MultipartLimits, Part},
};

use super::{
    exchange::{Entry, Exchange, File, ProvedBody},
    fast::Bounds,
    live::Controls,
};
use crate::lang::{Processor, Settings};

/// The longest pair of a query or form that is read, bytes; the whole body has its own limit.
const PAIR_BYTES: u32 = 1 << 30;

impl Exchange {
    /// Which processor takes the body: what `ctl` says, else what its type says.
    pub(super) fn processor(&self, controls: &Controls) -> Option<Processor> {
        controls.request_processor.or_else(|| self.header(b"content-type").and_then(processor))
    }

    /// Reads the body by its codings, type and processor.
    pub(super) fn read_body(&mut self, raw: &[u8], settings: &Settings, controls: &Controls) {
        let mut buffers = Buffers::new();
        let content_type = self.header(b"content-type").map(<[u8]>::to_vec);
        let codings: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(b"content-encoding"))
            .map(|header| header.value.as_slice())
            .collect();
        let codings = (!codings.is_empty()).then(|| codings.join(&b","[..]));
        let (kind, limits) = (self.processor(controls).and_then(kind), body_limits(settings, controls));
        let (content_type, codings) = (content_type.as_deref(), codings.as_deref());
        let reading = match kind {
            Some(kind) => body::read_as(kind, content_type, codings, raw, &limits, &mut buffers),
            None => body::read(content_type, codings, raw, &limits, &mut buffers),
        };
        self.take_body(&reading, ProvedBody::default(), &Bounds::default(), settings, controls);
    }

    /// Takes over a body that was read, and what is known of it.
    pub(super) fn take_body(
        &mut self,
        reading: &Reading<'_>,
        proved: ProvedBody<'_>,
        bounds: &Bounds,
        settings: &Settings,
        controls: &Controls,
    ) {
        let chosen = self.processor(controls);
        self.processor = chosen.map_or("", Processor::name);
        let structured = matches!(chosen, Some(Processor::Multipart | Processor::Json | Processor::Xml));
        if !structured || controls.force_request_body {
            self.body = reading.bytes().to_vec();
        }
        self.body_is_text = chosen.is_none() && matches!(reading.content(), Content::Text(_));
        let mut error = match (reading.content(), chosen) {
            (Content::Form(form), Some(Processor::UrlEncoded)) => {
                read_form(form, &mut self.args_post, &mut self.urlencoded_error);
                None
            }
            (Content::Json(tape), Some(Processor::Json)) => {
                let known = proved.values.iter().map(|(value, bound)| (*value, bounds.number(bound)));
                read_json(tape, settings.arguments_limit, known, &mut self.args_post)
            }
            (Content::Multipart(form), Some(Processor::Multipart)) => self.read_multipart(form),
            (Content::Xml(xml), Some(Processor::Xml)) => {
                self.read_xml(xml, settings.arguments_limit, controls.xml_into_args)
            }
            _ => None,
        };
        if let Some(reason) = reading.reason() {
            use UnreadableReason::{MediaType, MediaTypeMissing, UnknownType};
            match (chosen, reason) {
                // A rule wants the bytes alone.
                (Some(Processor::Raw), MediaTypeMissing | MediaType(_) | UnknownType) => {}
                // A type that nobody reads is no error of the body; a coding that nobody can undo is.
                (None, MediaTypeMissing | MediaType(_) | UnknownType) => self.body_unread = Some(reason),
                (None, _) => error = Some(reason.code().to_owned()),
                (Some(Processor::Multipart), _) => {
                    error = Some(format!("Multipart parsing error: {}", reason.code()));
                }
                (Some(processor), _) => {
                    error = Some(format!("{} parsing error: {}", processor.name(), reason.code()));
                }
            }
        }
        let mut types =
            self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(b"content-type"));
        if let Some(first) = types.next()
            && types.any(|other| other.value != first.value)
            && !reading.bytes().is_empty()
        {
            // Readers take the first, or the last, or both as one.
            error.get_or_insert_with(|| "body.media_types_differ".to_owned());
        }
        if let Some(error) = error {
            self.body_error.get_or_insert(error);
        }
        self.take_proved(proved.fields, bounds);
    }

    fn read_multipart(&mut self, form: Multipart<'_>) -> Option<String> {
        let mut error = None;
        for part in form.parts() {
            let name = part.name().unwrap_or_default().into_owned();
            for header in part.headers() {
                self.multipart_headers.push(Entry::new(name.clone(), header.line));
            }
            self.multipart_names.push(Entry::new(name.clone(), name.clone()));
            match part.filename() {
                Some(filename) => {
                    let filename = filename.into_owned();
                    self.multipart_filenames.push(Entry::new(name.clone(), filename.clone()));
                    self.files.push(File { field: name, filename, content: part.data().to_vec() });
                }
                None => {
                    if let Some(code) = encoded(part) {
                        error.get_or_insert_with(|| format!("Multipart parsing error: {code}"));
                    }
                    self.args_post.push(Entry::new(name, part.data()));
                }
            }
        }
        self.multipart = form.flags();
        self.unmatched_boundary = form.unmatched_boundary();
        self.multipart_strict_error = !form.is_strict();
        error
    }
}

/// What a field is encoded by that some servers undo before they use it, though RFC 7578 section 4.7 forbids it: rules would
/// look at another text than they.
fn encoded(part: Part<'_>) -> Option<&'static str> {
    let plain = ["7bit", "8bit", "binary"];
    let transfer = part.header("content-transfer-encoding").map(<[u8]>::trim_ascii);
    if transfer.is_some_and(|coding| !plain.iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes())))
    {
        return Some("multipart.transfer_encoding");
    }
    let media = part.header("content-type").and_then(|value| MediaType::parse(value).ok())?;
    let mut charsets =
        media.parameters().iter().filter(|parameter| parameter.name.eq_ignore_ascii_case("charset"));
    let foreign =
        charsets.any(|charset| !Charset::named(&charset.value).is_ok_and(Charset::is_ascii_compatible));
    foreign.then_some("multipart.part_charset")
}

/// What the recommended configuration allows, as the settings say.
pub(super) fn body_limits(settings: &Settings, controls: &Controls) -> BodyLimits {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    BodyLimits {
        bytes: controls.request_body_limit,
        json: JsonLimits { depth: number(settings.json_depth_limit), ..JsonLimits::default() },
        form: form_limits(settings),
        multipart: MultipartLimits {
            parts: number(settings.arguments_limit),
            files: number(settings.upload_file_limit),
            ..MultipartLimits::default()
        },
        ..BodyLimits::default()
    }
}

pub(super) fn form_limits(settings: &Settings) -> FormLimits {
    FormLimits {
        separator: settings.argument_separator,
        pairs: u32::try_from(settings.arguments_limit).unwrap_or(u32::MAX),
        pair_bytes: PAIR_BYTES,
    }
}

/// Who reads a body of this type.
pub(super) fn processor(content_type: &[u8]) -> Option<Processor> {
    let start = content_type.trim_ascii_start().get(..b"multipart/form-data".len());
    let kind = match MediaType::parse(content_type) {
        Ok(media) => media.kind(),
        // A multipart body announces itself however broken its type is: it must not pass unread.
        Err(_) if start.is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data")) => {
            BodyKind::Multipart
        }
        Err(_) => BodyKind::Other,
    };
    Some(match kind {
        BodyKind::Form => Processor::UrlEncoded,
        BodyKind::Multipart => Processor::Multipart,
        BodyKind::Json => Processor::Json,
        BodyKind::Xml => Processor::Xml,
        BodyKind::Text | BodyKind::Other => return None,
    })
}

/// How a processor wants its body read.
pub(super) fn kind(processor: Processor) -> Option<BodyKind> {
    Some(match processor {
        Processor::UrlEncoded => BodyKind::Form,
        Processor::Multipart => BodyKind::Multipart,
        Processor::Json => BodyKind::Json,
        Processor::Xml => BodyKind::Xml,
        Processor::Raw => return None,
    })
}

pub(super) fn read_form(form: Form<'_>, args: &mut Vec<Entry>, invalid: &mut bool) {
    *invalid |= form.has_invalid_escape();
    args.extend(
        form.pairs().filter(|pair| !pair.is_empty()).map(|pair| Entry::new(pair.name(), pair.value())),
    );
}

/// One argument for each value of a document that is no array or object; what is wrong where there are too many.
/// `known` has the numbers of bounds by those of values, ascending.
pub(super) fn read_json(
    tape: Tape<'_>,
    limit: usize,
    known: impl IntoIterator<Item = (u32, u8)>,
    args: &mut Vec<Entry>,
) -> Option<String> {
    let mut aliases = Vec::new();
    let _ = Walker::new().walk(tape, PathStyle::ARRAYS, |name, value| {
        if !value.kind().is_container() {
            aliases.push(name.to_vec());
        }
        if aliases.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut aliases = aliases.into_iter();
    let mut count = 0usize;
    let mut known = known.into_iter().peekable();
    let walked = Walker::new().walk(tape, PathStyle::DOTTED, |name, value| {
        if value.kind().is_container() {
            return ControlFlow::Continue(());
        }
        count += 1;
        if count > limit {
            return ControlFlow::Break(());
        }
        let text = if value.is_null() { Vec::new() } else { value.decoded().into_owned() };
        let alias = aliases.next().filter(|alias| alias != name);
        while known.next_if(|(node, _)| *node < value.index()).is_some() {}
        let bound = known.next_if(|(node, _)| *node == value.index()).map_or(0, |(_, bound)| bound);
        args.push(Entry { name: name.to_vec(), value: text, alias, bound });
        ControlFlow::Continue(())
    });
    walked.is_break().then(|| "JSON parsing error: too many values".to_owned())
}
