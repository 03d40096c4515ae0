//! Where guards may ask somebody else.

use http::Uri;

/// What is sent goes over TLS, or stays on this machine.
///
/// # Errors
/// One sentence: what is wrong with the URL, and what to write. `what` names what is sent, `example` a URL.
pub(crate) fn check_url(text: &str, what: &str, example: &str) -> Result<(), String> {
    let uri: Option<Uri> = text.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("https") if !host.is_empty() => Ok(()),
        Some("http") if loopback => Ok(()),
        Some("http") => {
            Err(format!("{what} that are sent in cleartext can be read on the way; write an `https://` URL"))
        }
        _ => Err(format!("this is not a URL to ask at; write `{example}`, for example")),
    }
}
