//! Bodies by their media types.

use bartizan_pattern::body::{
    media_type::{BodyKind, MediaType},
    sequence::Framing,
};
use serde_json::Value;

use super::{
    source,
    value::Maker,
    write::{self, BOUNDARY},
};
use crate::form::{Media, MediaRange, SchemaRef};

/// A media type that lies in a range.
pub(super) fn stated(range: &MediaRange) -> String {
    let essence = match range.essence() {
        "*/*" | "*" | "application/*" => "application/json",
        "text/*" => "text/plain",
        "multipart/*" => "multipart/form-data",
        other => other,
    };
    let mut kind = essence.replace("/*", "/png");
    if kind.starts_with("multipart/") {
        kind.push_str(&format!("; boundary={BOUNDARY}"));
    }
    for (name, value) in range.parameters().filter(|(name, _)| *name != "boundary") {
        kind.push_str(&format!("; {name}={value}"));
    }
    kind
}

pub(super) fn body_kind(kind: &str) -> Option<BodyKind> {
    MediaType::parse(kind.as_bytes()).ok().map(|media| media.kind())
}

/// Something of a media type.
pub(super) fn any_body(kind: &str) -> Vec<u8> {
    match body_kind(kind) {
        Some(BodyKind::Json) => b"{\"a\":1}".to_vec(),
        Some(BodyKind::Form) => b"a=1".to_vec(),
        Some(BodyKind::Xml) => b"<a>1</a>".to_vec(),
        Some(BodyKind::Multipart) => format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--{BOUNDARY}--\r\n"
        )
        .into_bytes(),
        _ => b"any".to_vec(),
    }
}

/// A value as the body of a media type.
pub(super) fn write_body(
    media: &Media,
    kind: &str,
    value: &Value,
    maker: &Maker<'_>,
    at: &SchemaRef,
) -> Option<Vec<u8>> {
    let sources = source(at);
    match body_kind(kind)? {
        BodyKind::Json => Some(value.to_string().into_bytes()),
        BodyKind::Form => write::form(media, value, maker, &sources).map(String::into_bytes),
        BodyKind::Multipart => write::multipart(media, value, maker, &sources),
        BodyKind::Xml => write::xml(value, maker, &sources).map(String::into_bytes),
        _ => match value {
            Value::String(text) if !text.is_empty() => Some(text.clone().into_bytes()),
            _ => None,
        },
    }
}

/// An item twice, as a stream of the media type; `None` where it is no stream of JSON documents.
pub(super) fn write_items(kind: &str, value: &Value) -> Option<Vec<u8>> {
    let framing = MediaType::parse(kind.as_bytes()).ok().and_then(|media| Framing::of(&media))?;
    let item = match framing {
        Framing::Lines => format!("{value}\n"),
        Framing::Records => format!("\u{1e}{value}\n"),
        Framing::Events => return None,
    };
    Some(item.repeat(2).into_bytes())
}

/// A JSON document that readers refuse, or read in more than one way.
pub(super) fn broken_json(document: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut all = Vec::new();
    let mut cut = document.to_vec();
    if matches!(cut.pop(), Some(b'}' | b']' | b'"')) {
        all.push((cut, "malformed"));
    }
    all.push(([document, b" x"].concat(), "malformed"));
    if let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(document)
        && let Some((name, value)) = members.iter().next()
    {
        let again = format!(",{}:{value}}}", Value::from(name.as_str()));
        let head = document.get(..document.len().saturating_sub(1)).unwrap_or_default();
        all.push(([head, again.as_bytes()].concat(), "duplicate"));
    }
    all
}
