//! One exchange as an entry of an HTTP Archive 1.2. Members that the format does not know begin with `_`, as it asks.

use std::{borrow::Cow, io};

use serde::Serialize;

use super::{Text, text};
use crate::simulate::Exchange;

/// Up to the first entry.
pub const BEGIN: &str = concat!(
    "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"bartizan simulate\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"},\"entries\":[\n"
);

/// After the last entry.
pub const END: &str = "]}}\n";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    started_date_time: String,
    time: f64,
    request: Request<'a>,
    response: Response<'a>,
    cache: Empty,
    timings: Timings,
    connection: String,
    #[serde(rename = "_id")]
    id: u64,
    #[serde(rename = "_peer")]
    peer: String,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    method: &'a str,
    url: String,
    http_version: &'static str,
    cookies: Vec<Pair<'a>>,
    headers: Vec<Pair<'a>>,
    query_string: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData<'a>>,
    headers_size: i64,
    body_size: u64,
    #[serde(rename = "_target", skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData<'a> {
    mime_type: &'a str,
    text: String,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    status: u16,
    status_text: &'static str,
    http_version: &'static str,
    cookies: Vec<Pair<'a>>,
    headers: Vec<Pair<'a>>,
    content: Content<'a>,
    #[serde(rename = "redirectURL")]
    redirect_url: &'static str,
    headers_size: i64,
    body_size: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    size: u64,
    mime_type: &'a str,
}

#[derive(Serialize)]
struct Pair<'a> {
    name: String,
    value: Cow<'a, str>,
}

/// Writes the entry, without a separator.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange, host: &str) -> io::Result<()> {
    let (request, answer) = (&exchange.request, &exchange.answer);
    let headers = request.headers(host);
    let field = |name: &str| {
        headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_ref())
    };
    let pairs = |text: Option<&str>, separator| -> Vec<Pair<'static>> {
        let parts = text.unwrap_or_default().split(separator).map(str::trim).filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Pair { name: name.to_owned(), value: value.to_owned().into() }
        };
        parts.map(pair).collect()
    };
    let post_data = request.body.as_deref().filter(|body| !body.is_empty()).map(|body| {
        let (text, encoding) = match text(body) {
            Text::Plain(text) => (text, None),
            Text::Base64(text) => (text, Some("base64")),
        };
        PostData { mime_type: field("content-type").unwrap_or_default(), text, encoding }
    });
    let url = format!("https://{host}{}", uri(&request.target));
    let target = (uri(&request.target) != request.target).then_some(request.target.as_str());
    let time = exchange.latency.as_secs_f64() * 1_000.0;
    let bytes = i64::try_from(exchange.bytes).unwrap_or(-1);
    let entry = Entry {
        started_date_time: exchange.at.to_string(),
        time,
        request: Request {
            method: request.method,
            url,
            target,
            http_version: "HTTP/1.1",
            cookies: pairs(field("cookie"), ';'),
            query_string: pairs(request.target.split_once('?').map(|(_, query)| query), '&'),
            post_data,
            headers_size: -1,
            body_size: request.body.as_ref().map_or(0, |body| body.len() as u64),
            headers: headers
                .iter()
                .map(|(name, value)| Pair { name: (*name).to_owned(), value: value.as_ref().into() })
                .collect(),
        },
        response: Response {
            status: answer.status,
            status_text: reason(answer.status),
            http_version: "HTTP/1.1",
            cookies: pairs(answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()), ';'),
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| Pair { name: name.clone(), value: value.as_str().into() })
                .collect(),
            content: Content {
                size: exchange.bytes,
                mime_type: answer.header("content-type").unwrap_or_default(),
            },
            redirect_url: "",
            headers_size: -1,
            body_size: bytes,
        },
        cache: Empty {},
        timings: Timings { send: 0.0, wait: time, receive: 0.0 },
        connection: exchange.connection.to_string(),
        id: exchange.id,
        peer: request.connection.peer.to_string(),
    };
    Ok(serde_json::to_writer(out, &entry)?)
}

/// A target as part of a URI (RFC 3986 section 2): what may not stand in one is percent-encoded.
fn uri(target: &str) -> Cow<'_, str> {
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    if target.bytes().all(stands) {
        return Cow::Borrowed(target);
    }
    Cow::Owned(target.bytes().fold(String::with_capacity(target.len() + 32), |mut uri, byte| {
        if stands(byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    }))
}

/// The reason phrase of a status that the bank gives.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        _ => "",
    }
}
