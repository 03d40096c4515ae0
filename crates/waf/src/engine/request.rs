//! A request to what rules can look at: the head, then the body by its processor.

use std::ops::ControlFlow;

use bartizan_pattern::body::{
    form::{Form, FormBuffer, FormLimits},
    json::{JsonLimits, PathStyle, Tape, TapeBuffer, Walker},
    media_type::{BodyKind, MediaType},
    multipart::{Multipart, MultipartBuffer, MultipartFlag, MultipartLimits},
};
use base64::Engine as _;

use super::{
    exchange::{Entry, Exchange, File, RequestHead},
    live::Controls,
};
use crate::lang::{Processor, Settings};

/// The longest pair of a query or form that is read, bytes; the whole body has its own limit.
const PAIR_BYTES: u32 = 1 << 30;

impl Exchange {
    pub(super) fn read_head(&mut self, head: &RequestHead<'_>, settings: &Settings) {
        self.client = Some(head.client);
        self.server = Some(head.server);
        self.method = head.method.to_vec();
        self.protocol = head.version.to_vec();
        self.line = [head.method, head.target, head.version].join(&b' ');
        self.headers = head.headers.iter().map(|(name, value)| Entry::new(*name, *value)).collect();
        self.read_target(head.target, settings);
        self.read_cookies();
        let host = self.header(b"host").unwrap_or_default();
        self.server_name = host_name(host).to_vec();
        self.read_authorization();
        self.processor = self.header(b"content-type").and_then(processor).map_or("", Processor::name);
    }

    fn read_target(&mut self, target: &[u8], settings: &Settings) {
        self.uri_raw = target.to_vec();
        self.uri = without_authority(target).to_vec();
        // A fragment is never sent to a server; where it is, it belongs to no part of the target.
        let whole = self.uri.split(|byte| *byte == b'#').next().unwrap_or_default();
        let (path, query) = match whole.iter().position(|byte| *byte == b'?') {
            Some(at) => (whole.get(..at), whole.get(at + 1..)),
            None => (Some(whole), None),
        };
        self.filename = path.unwrap_or_default().to_vec();
        self.query = query.unwrap_or_default().to_vec();
        let last = self.filename.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
        self.basename = self.filename.get(last..).unwrap_or_default().to_vec();
        let mut args = Vec::new();
        let error = read_form(&self.query, settings, &mut args, &mut self.urlencoded_error);
        self.args_get = args;
        if let Err(error) = error {
            self.body_error.get_or_insert(error);
        }
    }

    fn read_cookies(&mut self) {
        for header in self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(b"cookie")) {
            for pair in header.value.split(|byte| *byte == b';') {
                let pair = pair.trim_ascii_start();
                let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                    Some(at) => (pair.get(..at), pair.get(at + 1..)),
                    None => (Some(pair), None),
                };
                let (name, value) = (name.unwrap_or_default(), value.unwrap_or_default());
                if !name.is_empty() || !value.is_empty() {
                    self.cookies.push(Entry::new(name, value));
                }
            }
        }
    }

    fn read_authorization(&mut self) {
        let Some(value) = self.header(b"authorization") else { return };
        let mut words = value.splitn(2, |byte| *byte == b' ');
        let scheme = words.next().unwrap_or_default().to_vec();
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = base64::engine::general_purpose::STANDARD
                .decode(words.next().unwrap_or_default().trim_ascii())
        {
            self.remote_user = pair.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
        }
        self.auth_type = scheme;
    }

    pub(super) fn read_body(&mut self, body: &[u8], settings: &Settings, controls: &Controls) {
        let by_type = self.header(b"content-type").and_then(processor);
        let chosen = controls.request_processor.or(by_type);
        self.processor = chosen.map_or("", Processor::name);
        if body.is_empty() {
            return;
        }
        let result = match chosen {
            Some(Processor::UrlEncoded) => self.read_urlencoded(body, settings),
            Some(Processor::Multipart) => self.read_multipart(body, settings),
            Some(Processor::Json) => read_json(body, settings, &mut self.args_post),
            Some(Processor::Xml) => self.read_xml(body, settings, controls),
            Some(Processor::Raw) | None => Ok(()),
        };
        let keeps = matches!(chosen, Some(Processor::UrlEncoded | Processor::Raw));
        if keeps || controls.force_request_body {
            self.body = body.to_vec();
        }
        if let Err(error) = result {
            self.body_error.get_or_insert(error);
        }
    }

    fn read_urlencoded(&mut self, body: &[u8], settings: &Settings) -> Result<(), String> {
        read_form(body, settings, &mut self.args_post, &mut self.urlencoded_error)
    }

    fn read_multipart(&mut self, body: &[u8], settings: &Settings) -> Result<(), String> {
        let content_type = self.header(b"content-type").unwrap_or_default().to_vec();
        let limits = MultipartLimits {
            parts: u32::try_from(settings.arguments_limit).unwrap_or(u32::MAX),
            files: u32::try_from(settings.upload_file_limit).unwrap_or(u32::MAX),
            ..MultipartLimits::default()
        };
        let mut buffer = MultipartBuffer::new();
        let form = Multipart::parse(&content_type, body, &limits, &mut buffer);
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
                None => self.args_post.push(Entry::new(name, part.data())),
            }
        }
        self.multipart = form.flags();
        self.unmatched_boundary = form.unmatched_boundary();
        self.multipart_strict_error =
            !form.is_strict() || form.flags().contains(MultipartFlag::FileLimitExceeded);
        match form.error() {
            Some(error) => Err(format!("Multipart parsing error: {}", error.problem.code())),
            None => Ok(()),
        }
    }

    fn read_xml(&mut self, body: &[u8], _settings: &Settings, _controls: &Controls) -> Result<(), String> {
        self.xml_texts.push(body.to_vec());
        Ok(())
    }
}

/// The target without scheme and authority: of `http://host/path` it is `/path`.
fn without_authority(target: &[u8]) -> &[u8] {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return target };
    let rest = target.get(scheme.len()..).unwrap_or_default();
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')) {
        Some(at) => rest.get(at..).unwrap_or_default(),
        None => b"/",
    }
}

/// A host without its port.
fn host_name(host: &[u8]) -> &[u8] {
    let end = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if host.get(at..).is_some_and(|port| !port.contains(&b']')) => at,
        _ => host.len(),
    };
    host.get(..end).unwrap_or_default()
}

/// Who reads a body of this type.
fn processor(content_type: &[u8]) -> Option<Processor> {
    let kind = match MediaType::parse(content_type) {
        Ok(media) => media.kind(),
        // A multipart body announces itself however broken its type is: it must not pass unread.
        Err(_) if starts_with(content_type, b"multipart/form-data") => BodyKind::Multipart,
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

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.trim_ascii_start().get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Reads a query or form; arguments before the limit are kept.
fn read_form(
    text: &[u8],
    settings: &Settings,
    args: &mut Vec<Entry>,
    invalid: &mut bool,
) -> Result<(), String> {
    let limits = FormLimits {
        separator: settings.argument_separator,
        pairs: u32::try_from(settings.arguments_limit).unwrap_or(u32::MAX),
        pair_bytes: PAIR_BYTES,
    };
    let mut buffer = FormBuffer::new();
    let result = Form::parse(text, &limits, &mut buffer).map(|_| ());
    let form = buffer.form(text);
    *invalid |= form.has_invalid_escape();
    args.extend(
        form.pairs().filter(|pair| !pair.is_empty()).map(|pair| Entry::new(pair.name(), pair.value())),
    );
    result.map_err(|error| error.problem.code().to_owned())
}

/// Reads a document to one argument for each value that is no array or object.
pub(super) fn read_json(body: &[u8], settings: &Settings, args: &mut Vec<Entry>) -> Result<(), String> {
    let limits = JsonLimits {
        depth: u32::try_from(settings.json_depth_limit).unwrap_or(u32::MAX),
        ..JsonLimits::default()
    };
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(body, &limits, &mut buffer)
        .map_err(|error| format!("JSON parsing error: {}", error.problem.code()))?;
    let limit = settings.arguments_limit;
    let mut walker = Walker::new();
    let mut aliases = Walker::new();
    let mut names = Vec::new();
    let _ = aliases.walk(tape, PathStyle::ARRAYS, |name, value| {
        if !value.kind().is_container() {
            names.push(name.to_vec());
        }
        if names.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut names = names.into_iter();
    let mut count = 0usize;
    let walked = walker.walk(tape, PathStyle::DOTTED, |name, value| {
        if value.kind().is_container() {
            return ControlFlow::Continue(());
        }
        count += 1;
        if count > limit {
            return ControlFlow::Break(());
        }
        let text = if value.is_null() { Vec::new() } else { value.decoded().into_owned() };
        let alias = names.next().filter(|alias| alias != name);
        args.push(Entry { name: name.to_vec(), value: text, alias });
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Break(()) => Err("JSON parsing error: too many values".to_owned()),
        ControlFlow::Continue(()) => Ok(()),
    }
}
