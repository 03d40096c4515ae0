//! The bytes that a test sends, made as go-ftw makes them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use indexmap::IndexMap;
use serde::Deserialize;

/// The media type of a form, which go-ftw assumes where there is a body.
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Deserialize)]
pub(crate) struct Input {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    #[serde(default)]
    headers: IndexMap<String, String>,
    data: Option<String>,
    encoded_request: Option<String>,
    #[serde(default = "yes")]
    autocomplete_headers: bool,
    /// The older form's opposite of `autocomplete_headers`.
    #[serde(default)]
    stop_magic: bool,
}

fn yes() -> bool {
    true
}

impl Input {
    /// The whole request.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, String> {
        if let Some(encoded) = self.encoded_request.filter(|encoded| !encoded.trim().is_empty()) {
            let compact: String = encoded.split_whitespace().collect();
            return STANDARD.decode(compact).map_err(|error| format!("`encoded_request`: {error}"));
        }
        let completes = self.autocomplete_headers && !self.stop_magic;
        let mut headers = Headers(self.headers.into_iter().collect());
        let mut data = self.data.unwrap_or_default().into_bytes();
        let method = self.method.as_deref().unwrap_or("GET");
        if !data.is_empty() && completes {
            headers.complete("Content-Type", || FORM.to_owned());
            if headers.get("content-type") == Some(FORM) {
                data = encode(data);
            }
        }
        if headers.get("content-type").is_some_and(|kind| kind.starts_with("multipart/form-data;")) {
            data = with_line_ends(&data);
        }
        if completes {
            headers.complete("Connection", || "close".to_owned());
            let has_body = ["POST", "PUT", "PATCH", "DELETE"].iter().any(|known| method.contains(known));
            if !data.is_empty() || has_body {
                headers.complete("Content-Length", || data.len().to_string());
            }
        }
        let uri = self.uri.as_deref().unwrap_or("/");
        let version = self.version.as_deref().unwrap_or("HTTP/1.1");
        let mut bytes = format!("{method} {uri} {version}\r\n").into_bytes();
        for (name, value) in headers.0 {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(data);
        Ok(bytes)
    }
}

struct Headers(Vec<(String, String)>);

impl Headers {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a field that is not there.
    fn complete(&mut self, name: &str, value: impl FnOnce() -> String) {
        if self.get(name).is_none() {
            self.0.push((name.to_owned(), value()));
        }
    }
}

/// YAML ends lines by LF, multipart bodies by CR LF.
fn with_line_ends(data: &[u8]) -> Vec<u8> {
    let mut ended = Vec::with_capacity(data.len());
    for byte in data {
        if *byte == b'\n' {
            ended.push(b'\r');
        }
        ended.push(*byte);
    }
    ended
}

/// Encodes a form that is not encoded yet. What decoding changes, or cannot decode, is taken to be encoded already.
fn encode(data: Vec<u8>) -> Vec<u8> {
    if data.contains(&b'%') || data.contains(&b'+') {
        return data;
    }
    let mut encoded = Vec::with_capacity(data.len());
    for (index, pair) in data.split(|byte| *byte == b'&').enumerate() {
        if index > 0 {
            encoded.push(b'&');
        }
        for (index, part) in pair.splitn(2, |byte| *byte == b'=').enumerate() {
            if index > 0 {
                encoded.push(b'=');
            }
            for byte in part {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        encoded.push(*byte)
                    }
                    b' ' => encoded.push(b'+'),
                    _ => encoded.extend(format!("%{byte:02X}").bytes()),
                }
            }
        }
    }
    encoded
}
