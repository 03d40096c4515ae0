//! Requests over plain HTTP, in every form: none of their bytes may reach an upstream.

use std::time::Instant;

use anyhow::Result;
use bartizan_testkit::raw::{raw_request, reply};

use super::site::{CLEAR, HOST, Site};
use crate::{
    Figures, Stage,
    client::{PATIENCE, http2_request},
};

/// Stands for a token; no upstream may hear it.
const MARK: &str = "drill-plain-mark";

/// Sends them all, to both names.
pub fn attack(stage: &Stage, site: &Site, begun: Instant, figures: &mut Figures) -> Result<()> {
    for host in [CLEAR, HOST] {
        for form in forms(host) {
            stage.spend()?;
            let answer = raw_request(site.plain, &form, PATIENCE);
            let stopped = redirected(&answer) || refused(&answer);
            figures.attack(stopped);
            figures.add("plain_open", u64::from(!stopped));
            if stopped {
                figures.first_finding.get_or_insert_with(|| begun.elapsed());
            }
        }
        // The same where TLS is spoken: what is no TLS is not listened to.
        for form in forms(host) {
            stage.spend()?;
            let answer = raw_request(site.secure(), &form, PATIENCE);
            let stopped = !answer.starts_with(b"HTTP/") || refused(&answer);
            figures.attack(stopped);
            figures.add("plain_open", u64::from(!stopped));
        }
    }
    let clear: usize = site.clear.connections().iter().map(Vec::len).sum();
    let reached = clear as u64 + site.honest.bytes() + u64::from(site.honest.heard(MARK));
    figures.count("plain_bytes", reached);
    figures.leaked += (site.clear.requests().len() as u64).max(u64::from(reached > 0));
    Ok(())
}

/// A whole set of requests in clear.
fn forms(host: &str) -> Vec<Vec<u8>> {
    let token = format!("Authorization: Bearer {MARK}");
    let end = "\r\n\r\n";
    let get = |more: &str| format!("GET /v1/accounts HTTP/1.1\r\nHost: {host}\r\n{more}{end}");
    let post = |more: &str, body: &str| {
        format!("POST /v1/transfers HTTP/1.1\r\nHost: {host}\r\n{token}\r\n{more}{end}{body}")
    };
    let body = format!("{{\"text\":\"{MARK}\"}}");
    let length = format!("Content-Type: application/json\r\nContent-Length: {}", body.len());
    let chunked = format!("{:x}\r\n{body}\r\n0{end}", body.len());
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut forms: Vec<Vec<u8>> = [
        get("Accept: */*"),
        get(&token),
        get(&format!("Cookie: session={MARK}")),
        get(&format!("{token}\r\nX-Forwarded-Proto: https\r\nForwarded: proto=https;host={host}")),
        get(&format!("{token}\r\nUpgrade-Insecure-Requests: 1")),
        get(&format!(
            "{token}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
        )),
        get(&format!("{token}\r\n{websocket}")),
        post(&length, &body),
        post("Transfer-Encoding: chunked", &chunked),
        post(&format!("Expect: 100-continue\r\n{length}"), &body),
        post(&length, &body) + &get(&token),
        format!("PUT /v1/accounts HTTP/1.1\r\nHost: {host}\r\n{token}\r\n{length}{end}{body}"),
        format!("DELETE /v1/payees/1 HTTP/1.1\r\nHost: {host}\r\n{token}{end}"),
        format!("GET /v1/accounts HTTP/1.0\r\nHost: {host}\r\n{token}{end}"),
        format!("GET http://{host}/v1/accounts HTTP/1.1\r\nHost: {host}\r\n{token}{end}"),
        format!("GET https://{host}/v1/accounts HTTP/1.1\r\nHost: {host}\r\n{token}{end}"),
        format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n{token}{end}"),
        format!("GET /v1/accounts?token={MARK} HTTP/1.1\r\nHost: {host}{end}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    forms.push(http2(host, "GET", None));
    forms.push(http2(host, "POST", Some(&body)));
    forms
}

/// The same with HTTP/2 and prior knowledge.
fn http2(host: &str, method: &str, body: Option<&str>) -> Vec<u8> {
    http2_request(method, host, "/v1/transfers", &format!("Bearer {MARK}"), body)
}

/// Sent to https: by a 308 with such a `Location`, or, over HTTP/2, by a field that names https.
fn redirected(answer: &[u8]) -> bool {
    let reply = reply(answer);
    let to_https = reply.header("location").is_some_and(|location| location.starts_with("https://"));
    (reply.status == 308 && to_https) || http2_answered(answer)
}

/// Whether response headers came over HTTP/2 (RFC 9113 section 6.2).
fn http2_answered(answer: &[u8]) -> bool {
    let mut rest = answer;
    while let Some(([high, middle, low, kind, ..], after)) =
        rest.split_at_checked(9).and_then(|(head, after)| Some((<[u8; 9]>::try_from(head).ok()?, after)))
    {
        if kind == 1 {
            return true;
        }
        let length = u32::from_be_bytes([0, high, middle, low]);
        let Some(next) = after.get(length as usize..) else { return false };
        rest = next;
    }
    false
}

/// Refused: a status of the 4xx class, 501 for a method that is not spoken, or no answer at all.
fn refused(answer: &[u8]) -> bool {
    let status = reply(answer).status;
    answer.is_empty() || (400..500).contains(&status) || status == 501
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redirects_to_https_and_refusals_count_as_stopped() {
        assert!(redirected(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a/\r\n\r\n"));
        assert!(!redirected(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: http://a/\r\n\r\n"));
        assert!(!redirected(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(refused(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") && refused(b""));
        assert!(!refused(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!refused(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
        let settings_then_headers =
            [&[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88][..]].concat();
        assert!(http2_answered(&settings_then_headers));
        assert!(!http2_answered(&settings_then_headers[..9]));
    }
}
