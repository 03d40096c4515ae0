//! Downloads: over TLS, from the host that was named and from no other.

use std::{net::IpAddr, time::Duration};

use bartizan_gateway::download::{Fetched, download};
use http::{Uri, uri::Scheme};

/// One download with its redirects.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Redirects that are followed; release pages need one.
const MAX_REDIRECTS: usize = 5;

/// Fetches at most `max_bytes`.
///
/// # Errors
/// What is wrong, in one line.
pub fn fetch(url: &str, max_bytes: usize) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let fetched = runtime.block_on(async { tokio::time::timeout(TIMEOUT, follow(url, max_bytes)).await });
    fetched.unwrap_or_else(|_| Err(format!("`{url}` was not there whole within {} s", TIMEOUT.as_secs())))
}

async fn follow(url: &str, max_bytes: usize) -> Result<Vec<u8>, String> {
    let first = parse(url)?;
    let mut at = first.clone();
    for _ in 0..=MAX_REDIRECTS {
        let fetched = download(&at.to_string(), max_bytes).await;
        match fetched.map_err(|error| format!("`{at}`: {error} (at most {} MiB)", max_bytes >> 20))? {
            Fetched::Bytes(bytes) => return Ok(bytes.to_vec()),
            Fetched::Elsewhere(location) => {
                let location = location.ok_or_else(|| format!("`{at}` redirects to nowhere"))?;
                at = target(&at, &location)?;
                if (at.scheme(), at.authority()) != (first.scheme(), first.authority()) {
                    return Err(format!(
                        "`{url}` redirects to another place, `{at}`, which is not followed; name that address itself if you \
                         trust it"
                    ));
                }
            }
        }
    }
    Err(format!("`{url}` redirects more than {MAX_REDIRECTS} times"))
}

/// An address that may be fetched from.
///
/// # Errors
/// It is none: what to write instead.
pub fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri =
        url.parse().map_err(|_| format!("`{url}` is no URL; write one that begins with `https://`"))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let names_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme() {
        _ if host.is_empty() || names_user => {
            Err("a URL has a host and no credentials; write one such as `https://rules.example/crs.tar.gz`"
                .to_owned())
        }
        Some(scheme) if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && loopback) => Ok(uri),
        _ => Err(format!("`{url}` is not fetched over TLS; write a URL that begins with `https://`")),
    }
}

/// Where a `Location` leads (RFC 9110 section 10.2.2): a whole URL, or a path at the same place.
fn target(at: &Uri, location: &str) -> Result<Uri, String> {
    let unclear = || format!("`{at}` redirects to `{}`, which is no URL", location.escape_debug());
    if location.starts_with('/') && !location.starts_with("//") {
        let mut parts = at.clone().into_parts();
        parts.path_and_query = Some(location.parse().map_err(|_| unclear())?);
        return Uri::from_parts(parts).map_err(|_| unclear());
    }
    let uri: Uri = location.parse().map_err(|_| unclear())?;
    if uri.scheme().is_some() && uri.authority().is_some() { Ok(uri) } else { Err(unclear()) }
}
