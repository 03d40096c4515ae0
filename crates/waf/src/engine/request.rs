//! The head of a request to what rules can look at.

use bartizan_pattern::body::form::{Form, FormBuffer};
use base64::Engine as _;

use super::{
    body::{form_limits, processor, read_form},
    exchange::{Entry, Exchange, RequestHead},
    fast::Bounds,
};
use crate::lang::{Processor, Settings};

impl Exchange {
    pub(super) fn read_head(&mut self, head: &RequestHead<'_>, settings: &Settings, bounds: &Bounds) {
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
        self.take_proved(head.proved, bounds);
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
        self.filename = unescape(path.unwrap_or_default());
        self.query = query.unwrap_or_default().to_vec();
        let last = self.filename.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
        self.basename = self.filename.get(last..).unwrap_or_default().to_vec();
        let mut buffer = FormBuffer::new();
        let result = Form::parse(&self.query, &form_limits(settings), &mut buffer).map(|_| ());
        read_form(buffer.form(&self.query), &mut self.args_get, &mut self.urlencoded_error);
        if let Err(error) = result {
            self.body_error.get_or_insert(error.problem.code().to_owned());
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

/// Undoes `%xx`; escapes that are none stay as they are.
fn unescape(path: &[u8]) -> Vec<u8> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high << 4 | low).unwrap_or_default());
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

/// A host without its port.
fn host_name(host: &[u8]) -> &[u8] {
    let end = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if host.get(at..).is_some_and(|port| !port.contains(&b']')) => at,
        _ => host.len(),
    };
    host.get(..end).unwrap_or_default()
}
