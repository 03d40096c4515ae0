//! How values are written in requests: parameters in their styles, bodies by their media types.
//!
//! What has no one way to be written (an empty list, a list in a list, a comma in a header field) is not written at all.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    place::Source,
    value::{Maker, below},
};
use crate::{
    form::{Encoding, Location, Media, Parameter, Style},
    shape::Types,
};

/// Everything but what RFC 3986 section 2.3 leaves unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What parts are parted by.
pub(super) const BOUNDARY: &str = "part-of-a-generated-body";

pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// What a parameter becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A segment, or a part of one.
    Path(String),
    /// Pairs of the query or cookies, written already.
    Pairs(Vec<(String, String)>),
    /// A header field.
    Field(String),
}

/// A scalar as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A parameter with a value; `None` where the style has no way to write it.
pub(super) fn parameter(parameter: &Parameter, value: &Value, is_json: bool) -> Option<Written> {
    let name = escape(&parameter.name);
    let pair = |text: String| Written::Pairs(vec![(name.clone(), text)]);
    let as_is = parameter.location == Location::Header || parameter.style == Style::Cookie;
    let escaped = |text: &str| if as_is { plain(text) } else { Some(escape(text)) };
    if is_json {
        let text = value.to_string();
        return finish(parameter, escaped(&text)?);
    }
    match value {
        Value::Null => None,
        Value::Array(items) => {
            // Between delimiters nothing may look like one, and an item of no text is none.
            let texts = items.iter().map(|item| scalar(item).and_then(|text| piece(parameter, &text, as_is)));
            let texts: Vec<String> = texts.collect::<Option<_>>()?;
            if texts.is_empty() {
                return None;
            }
            let joined = |mark: &str| texts.join(mark);
            match (parameter.style, parameter.explode) {
                (Style::Form | Style::Cookie | Style::SpaceDelimited | Style::PipeDelimited, true) => {
                    Some(Written::Pairs(texts.iter().map(|text| (name.clone(), text.clone())).collect()))
                }
                (Style::Form | Style::Cookie, false) => Some(pair(joined(","))),
                (Style::SpaceDelimited, false) => Some(pair(joined("%20"))),
                (Style::PipeDelimited, false) => Some(pair(joined("%7C"))),
                (Style::TabDelimited, _) => Some(pair(joined("%09"))),
                (Style::Simple, _) => finish(parameter, joined(",")),
                (Style::Label, explode) => {
                    finish(parameter, format!(".{}", joined(if explode { "." } else { "," })))
                }
                (Style::Matrix, false) => finish(parameter, format!(";{name}={}", joined(","))),
                (Style::Matrix, true) => {
                    let all: Vec<String> = texts.iter().map(|text| format!(";{name}={text}")).collect();
                    finish(parameter, all.concat())
                }
                (Style::DeepObject, _) => None,
            }
        }
        Value::Object(members) => object(parameter, &name, members, as_is),
        value => {
            let text = scalar(value)?;
            let written = escaped(&text)?;
            match parameter.style {
                Style::Label => finish(parameter, format!(".{written}")),
                Style::Matrix => finish(parameter, format!(";{name}={written}")),
                Style::DeepObject => None,
                _ => finish(parameter, written),
            }
        }
    }
}

fn object(parameter: &Parameter, name: &str, members: &Map<String, Value>, as_is: bool) -> Option<Written> {
    if members.is_empty() {
        return None;
    }
    if parameter.style == Style::DeepObject {
        let mut pairs = Vec::new();
        deep(name, members, &mut pairs)?;
        return Some(Written::Pairs(pairs));
    }
    let exploded = parameter.explode && matches!(parameter.style, Style::Form | Style::Cookie);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in members {
        let key = piece(parameter, key, as_is)?;
        match value {
            // Exploded members are written as parameters are.
            Value::Array(items) if exploded && !items.is_empty() => {
                for item in items {
                    pairs.push((key.clone(), piece(parameter, &scalar(item)?, as_is)?));
                }
            }
            value => pairs.push((key, piece(parameter, &scalar(value)?, as_is)?)),
        }
    }
    if exploded {
        return Some(Written::Pairs(pairs));
    }
    let flat = |mark: &str| {
        let all: Vec<&str> = pairs.iter().flat_map(|(key, value)| [&**key, &**value]).collect();
        all.join(mark)
    };
    let equal = |mark: &str| {
        let all: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        all.join(mark)
    };
    let pair = |text: String| Some(Written::Pairs(vec![(name.to_owned(), text)]));
    match (parameter.style, parameter.explode) {
        (Style::Form | Style::Cookie, _) => pair(flat(",")),
        (Style::SpaceDelimited, false) => pair(flat("%20")),
        (Style::PipeDelimited, false) => pair(flat("%7C")),
        (Style::Simple, false) => finish(parameter, flat(",")),
        (Style::Simple, true) => finish(parameter, equal(",")),
        (Style::Label, false) => finish(parameter, format!(".{}", flat(","))),
        (Style::Label, true) => finish(parameter, format!(".{}", equal("."))),
        (Style::Matrix, false) => finish(parameter, format!(";{name}={}", flat(","))),
        (Style::Matrix, true) => finish(parameter, format!(";{}", equal(";"))),
        _ => None,
    }
}

fn deep(name: &str, members: &Map<String, Value>, pairs: &mut Vec<(String, String)>) -> Option<()> {
    for (key, value) in members {
        if key.contains(['[', ']']) || key.is_empty() {
            return None;
        }
        let name = format!("{name}[{}]", escape(key));
        match value {
            Value::Object(members) if !members.is_empty() => deep(&name, members, pairs)?,
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    pairs.push((name.clone(), escape(&scalar(item)?)));
                }
            }
            value => pairs.push((name, escape(&scalar(value)?))),
        }
    }
    Some(())
}

/// A piece between delimiters.
fn piece(parameter: &Parameter, text: &str, as_is: bool) -> Option<String> {
    // A dot is never escaped, so that it cannot stand between dots.
    let dotted = parameter.style == Style::Label && text.contains('.');
    let spaced = parameter.style == Style::SpaceDelimited && text.contains(' ');
    let piped = parameter.style == Style::PipeDelimited && text.contains('|');
    let tabbed = parameter.style == Style::TabDelimited && text.contains('\t');
    if text.is_empty() || dotted || spaced || piped || tabbed {
        return None;
    }
    match as_is {
        true => plain(text).filter(|text| !text.contains([',', '='])),
        false => Some(escape(text)),
    }
}

/// A text that a header field or an unescaped cookie can hold.
fn plain(text: &str) -> Option<String> {
    let fits = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    fits.then(|| text.to_owned())
}

/// Puts a whole text where the parameter is.
fn finish(parameter: &Parameter, text: String) -> Option<Written> {
    let name = || escape(&parameter.name);
    match parameter.location {
        Location::Path => {
            // What a path cannot hold, or what servers read in more than one way.
            let bare = text.trim_start_matches(['.', ';']);
            let ambiguous = ["%2F", "%5C", "%25", "%3B", "%00", "%0A", "%0D", "%09", "%7F", "%20"];
            let fine = !bare.is_empty()
                && !ambiguous.iter().any(|escape| text.contains(escape))
                && (parameter.style != Style::Simple || !text.starts_with('.') && !text.ends_with('.'))
                && !text.bytes().any(|byte| byte < b' ');
            let controls = (1..0x20_u8).any(|byte| text.contains(&format!("%{byte:02X}")));
            (fine && !controls).then_some(Written::Path(text))
        }
        Location::Query => Some(Written::Pairs(vec![(name(), text)])),
        Location::Cookie => {
            let fine = !text.contains([';', ',', ' ', '"', '\\']);
            fine.then(|| Written::Pairs(vec![(name(), text)]))
        }
        Location::Header => (!text.is_empty()).then_some(Written::Field(text)),
    }
}

/// A body of a media type that is read as pairs.
pub(super) fn form(media: &Media, value: &Value, maker: &Maker<'_>, sources: &[Source]) -> Option<String> {
    let members = value.as_object().filter(|members| !members.is_empty())?;
    let mut pairs = Vec::new();
    for (name, value) in members {
        let encoding = media.encodings.iter().find(|encoding| *encoding.property == **name);
        if let Some((style, encoding)) = encoding.and_then(|encoding| Some((encoding.style?, encoding))) {
            pairs.extend(styled(name, value, style, encoding)?);
            continue;
        }
        let path = below("", name);
        let types = maker.place(&member_sources(maker, sources, name), &path).types();
        // A list that may be a text, too, or that holds more than scalars, has no one form.
        match value {
            Value::Array(items) => {
                if items.is_empty() || types == Types::ALL {
                    return None;
                }
                for item in items {
                    pairs.push((escape(name), escape(&scalar(item)?)));
                }
            }
            Value::Object(_) if types == Types::OBJECT => {
                pairs.push((escape(name), escape(&value.to_string())))
            }
            value => pairs.push((escape(name), escape(&scalar(value)?))),
        }
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(pairs.join("&"))
}

/// A property that states a style: as a parameter of the query.
fn styled(name: &str, value: &Value, style: Style, encoding: &Encoding) -> Option<Vec<(String, String)>> {
    if style == Style::DeepObject || value.is_object() {
        return None;
    }
    let own = Parameter {
        name: name.into(),
        location: Location::Query,
        style,
        explode: encoding.explode,
        allow_reserved: false,
        allow_empty: false,
        required: false,
        deprecated: false,
        value: crate::form::ParameterValue::Anything,
        place: None,
    };
    match parameter(&own, value, false)? {
        Written::Pairs(pairs) => Some(pairs),
        Written::Path(_) | Written::Field(_) => None,
    }
}

/// The schemas of a member of the object that sources describe.
fn member_sources(maker: &Maker<'_>, sources: &[Source], name: &str) -> Vec<Source> {
    let place = maker.place(sources, "");
    place.members().remove(name).or_else(|| place.other_members()).unwrap_or_default()
}

/// A body in parts.
pub(super) fn multipart(
    media: &Media,
    value: &Value,
    maker: &Maker<'_>,
    sources: &[Source],
) -> Option<Vec<u8>> {
    let members = value.as_object().filter(|members| !members.is_empty())?;
    let mut out = Vec::new();
    for (name, value) in members {
        if name.contains(['"', '\\', '\r', '\n']) || !name.is_ascii() {
            return None;
        }
        let encoding = media.encodings.iter().find(|encoding| *encoding.property == **name);
        let list = member_sources(maker, sources, name);
        let path = below("", name);
        let place = maker.place(&list, &path);
        let (items, place) = match value {
            Value::Array(items) => {
                if items.is_empty() || place.types() == Types::ALL {
                    return None;
                }
                let item = place.item(0).unwrap_or_default();
                (items.clone(), maker.place(&item, &format!("{path}/0")))
            }
            value => (vec![value.clone()], place),
        };
        for item in &items {
            part(&mut out, name, item, &place, encoding)?;
        }
    }
    out.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Some(out)
}

fn part(
    out: &mut Vec<u8>,
    name: &str,
    value: &Value,
    place: &super::place::Place<'_>,
    encoding: Option<&Encoding>,
) -> Option<()> {
    let binary =
        place.format() == Some("binary") || place.has("contentMediaType") && !place.has("contentEncoding");
    let complex = value.is_object();
    if value.is_array() || complex && place.types() != Types::OBJECT {
        return None;
    }
    let stated =
        encoding.and_then(|encoding| encoding.content_types.first()).map(|range| match range.essence() {
            "*/*" | "*" => "application/octet-stream".to_owned(),
            essence => essence.replace("/*", "/png"),
        });
    let kind = match (&stated, binary, complex) {
        (Some(stated), ..) => Some(stated.clone()),
        (None, true, _) => Some("application/octet-stream".to_owned()),
        (None, _, true) => Some("application/json".to_owned()),
        _ => None,
    };
    // A text under the name of JSON would be read as JSON.
    let json = kind.as_deref().is_some_and(|kind| crate::form::MediaRange::parse(kind).is_json());
    let text = if complex || json { value.to_string() } else { scalar(value)? };
    let file = if binary { "; filename=\"file.bin\"" } else { "" };
    let mut head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n");
    if let Some(kind) = kind {
        head.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
    Some(())
}

/// An XML document.
pub(super) fn xml(value: &Value, maker: &Maker<'_>, sources: &[Source]) -> Option<String> {
    let place = maker.place(sources, "");
    let name = place.xml("name").and_then(Value::as_str).unwrap_or("root").to_owned();
    let mut out = String::new();
    element(&mut out, &name, value, maker, sources, "")?;
    Some(out)
}

fn element(
    out: &mut String,
    name: &str,
    value: &Value,
    maker: &Maker<'_>,
    sources: &[Source],
    path: &str,
) -> Option<()> {
    if !is_name(name) {
        return None;
    }
    let place = maker.place(sources, path);
    out.push_str(&format!("<{name}"));
    match value {
        Value::Object(members) => {
            let known = place.members();
            let of =
                |name: &str| known.get(name).cloned().or_else(|| place.other_members()).unwrap_or_default();
            let mut inside = String::new();
            for (member, value) in members {
                let sources = of(member);
                let path = below(path, member);
                let own = maker.place(&sources, &path);
                let written = own.xml("name").and_then(Value::as_str);
                let flag = |key: &str| own.xml(key) == Some(&Value::Bool(true));
                if flag("attribute") {
                    let name = written.unwrap_or(member);
                    if !is_name(name) {
                        return None;
                    }
                    out.push_str(&format!(" {name}=\"{}\"", xml_text(&scalar(value)?)?));
                } else if let Value::Array(items) = value {
                    let item = own.item(0).unwrap_or_default();
                    let of_item = maker.place(&item, &format!("{path}/0"));
                    let name_of_item = of_item.xml("name").and_then(Value::as_str);
                    let wrapped = flag("wrapped");
                    if own.types() != Types::ARRAY || items.is_empty() && !wrapped {
                        return None;
                    }
                    let wrapper = written.unwrap_or(member);
                    if wrapped {
                        inside.push_str(&format!("<{wrapper}>"));
                    }
                    for (number, value) in items.iter().enumerate() {
                        let item = own.item(number).unwrap_or_default();
                        let name = name_of_item.unwrap_or(if wrapped { member } else { wrapper });
                        element(&mut inside, name, value, maker, &item, &format!("{path}/{number}"))?;
                    }
                    if wrapped {
                        inside.push_str(&format!("</{wrapper}>"));
                    }
                } else {
                    element(&mut inside, written.unwrap_or(member), value, maker, &sources, &path)?;
                }
            }
            out.push_str(&format!(">{inside}"));
        }
        Value::Array(items) => {
            out.push('>');
            for (number, value) in items.iter().enumerate() {
                let item = place.item(number).unwrap_or_default();
                let own = maker.place(&item, &format!("{path}/{number}"));
                let name = own.xml("name").and_then(Value::as_str).unwrap_or("item").to_owned();
                element(out, &name, value, maker, &item, &format!("{path}/{number}"))?;
            }
        }
        value => out.push_str(&format!(">{}", xml_text(&scalar(value)?)?)),
    }
    out.push_str(&format!("</{name}>"));
    Some(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn xml_text(text: &str) -> Option<String> {
    // Line ends are normalized, and control characters have no form at all (XML 1.0 section 2.2).
    if text.chars().any(|c| c < ' ') {
        return None;
    }
    Some(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"))
}
