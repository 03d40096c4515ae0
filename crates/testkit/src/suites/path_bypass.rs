//! The `path-bypass` suite: spellings of `/admin/users` that try to slip past a rule on it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{Gateway, RawUpstream, raw_request, reply};

/// A spelling of the protected path.
#[derive(Clone, Debug, Deserialize)]
pub struct Variant {
    /// The request target, as sent.
    pub target: String,
    /// What is tried.
    pub why: String,
}

/// What the suite found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Score {
    /// Spellings sent.
    pub cases: usize,
    /// Spellings of the protected path that reached the upstream.
    pub bypasses: Vec<String>,
    /// Spellings refused by the gateway.
    pub refused: usize,
}

#[derive(Deserialize)]
struct Document {
    paths: Vec<Variant>,
}

/// Reads the suite.
///
/// # Errors
/// The file is missing or not as described.
pub fn variants(suites: &Path) -> Result<Vec<Variant>> {
    let file = suites.join("path-bypass/paths.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(serde_json::from_str::<Document>(&text)?.paths)
}

/// One way to write the rule.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `prefix`, `exact`, `pattern` or `openapi`.
    pub name: &'static str,
    matched: &'static str,
}

/// Every way to write the rule.
pub const RULES: &[Rules] = &[
    Rules { name: "prefix", matched: "* /admin/**" },
    Rules { name: "exact", matched: "GET /admin/users" },
    Rules { name: "pattern", matched: "GET /admin/{list}" },
    Rules { name: "openapi", matched: "GET /admin/users" },
];

impl Rules {
    /// A policy that refuses `/admin/users` to every address, in front of this upstream.
    #[must_use]
    pub fn config(&self, upstream: &str) -> String {
        let contract = if self.name == "openapi" { "    contract: file:openapi.yaml\n" } else { "" };
        format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\n\
             apis:\n  - name: shop\n    upstream: {upstream}\n{contract}    unknown_operations: allow\n    operations:\n      \
             - match: \"{}\"\n        guards: {{ ip_access: {{ deny: [0.0.0.0/0] }} }}\n",
            self.matched
        )
    }

    /// Writes the files that the policy names.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn prepare(&self, dir: &Path) -> Result<()> {
        let document = "openapi: 3.1.0\ninfo: { title: shop, version: '1' }\npaths:\n  /admin/users:\n    get: { responses: \
                        { '200': { description: ok } } }\n  /public/info:\n    get: { responses: { '200': { description: ok } } }\n";
        Ok(fs::write(dir.join("openapi.yaml"), document)?)
    }
}

/// Sends every spelling to a gateway whose policy refuses `/admin/users`.
///
/// # Errors
/// The gateway does not forward what is allowed, so that nothing would be proven.
pub fn run(gateway: &Gateway, upstream: &RawUpstream, variants: &[Variant]) -> Result<Score> {
    let public = gateway.get("/public/info", &[]);
    anyhow::ensure!(
        public.status == 200,
        "`/public/info` was answered with {}: {}",
        public.status,
        public.text()
    );
    let mut score = Score { cases: variants.len(), ..Score::default() };
    for variant in variants {
        upstream.clear();
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", variant.target);
        let status = reply(&raw_request(gateway.address, request.as_bytes(), Duration::from_secs(2))).status;
        let reached = upstream.requests();
        if let Some(request) = reached.iter().find(|request| may_be_protected(&request.target())) {
            score.bypasses.push(format!(
                "{} ({}): {status}, the upstream saw `{}`",
                variant.target,
                variant.why,
                request.target()
            ));
        } else if reached.is_empty() {
            score.refused += 1;
        }
    }
    Ok(score)
}

/// Whether any server that we know of could take this target for `/admin/users`: decoded up to three times, with
/// backslashes as slashes, parameters dropped, slashes merged, dot segments resolved, letters folded, and blanks and
/// dots at the end of a segment dropped.
fn may_be_protected(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("http://localhost").unwrap_or(path);
    let mut readings = vec![path.as_bytes().to_vec()];
    for _ in 0..3 {
        let next = decode(readings.last().map_or(&[][..], Vec::as_slice));
        readings.push(next);
    }
    readings.iter().any(|reading| {
        let text = String::from_utf8_lossy(reading).replace("%u002e", ".").replace('‥', "..");
        // C strings end at NUL.
        let text: String = text.split('\0').next().unwrap_or_default().chars().map(fold).collect();
        resolve(&text, false) == "/admin/users" || resolve(&text, true) == "/admin/users"
    })
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match (first, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// Letters folded, full-width forms and other slashes as what they look like.
fn fold(c: char) -> char {
    match c {
        '\\' | '\u{2215}' | '\u{2044}' | '\u{29f8}' => '/',
        '\u{ff01}'..='\u{ff5e}' => {
            let plain = char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c);
            if plain == '\\' { '/' } else { plain.to_ascii_lowercase() }
        }
        '\u{2024}' => '.',
        'ı' => 'i',
        _ => c.to_ascii_lowercase(),
    }
}

fn resolve(path: &str, drop_ends: bool) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let mut segment = segment.split(';').next().unwrap_or_default();
        if drop_ends && !matches!(segment, "." | "..") {
            segment = segment.trim_matches(|c: char| c.is_whitespace() || c.is_control());
            segment = segment.trim_end_matches('.');
        }
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings_are_recognised() {
        for target in [
            "/admin/users",
            "//admin/users",
            "/public/%2e%2e/admin/users",
            "/public/..%252fadmin/users",
            "/%61dmin/users/",
            "/admin;x=1/users?y",
            "/ADMIN/users",
            "/public/..\\admin\\users",
            "/admin%20/users",
            "/admin./users",
            "/public/‥/admin/users",
            "/admin/users%00.css",
            "/adm%C4%B1n/users",
        ] {
            assert!(may_be_protected(target), "{target}");
        }
        for target in ["/public/info", "/adminx/users", "/admin/users/7", "/?p=/admin/users"] {
            assert!(!may_be_protected(target), "{target}");
        }
    }
}
