//! Who may use the admin API: the holder of the token, by the right name, and no web page.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bartizan_model::{Redacted, address::canonical};
use http::{HeaderMap, StatusCode, Uri, header, uri::Authority};

use crate::refusal::Refusal;

/// Paths that load balancers, orchestrators and Prometheus ask for without a token: they tell no event, key or name of
/// a caller. Security events prove themselves by their signature.
pub(crate) fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics" | "/.well-known/jwks.json" | crate::api::EVENTS)
}

/// Admits a request for an open path. Scrapers and load balancers may use any name that leads here, and HTTP/1.0 without one;
/// a browser only an address or name of our own, since a page that rebinds its own name to this address reads what it is
/// answered (DNS rebinding).
pub(crate) fn admit_open(headers: &HeaderMap, uri: &Uri, local: SocketAddr) -> Result<(), Refusal> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || hosts == 1 && is_browser(headers) {
        own_host(headers, uri, local)?;
    }
    Ok(())
}

/// Whether a browser asks: each sends `Accept-Language` or calls itself `Mozilla/`, and no page can take both away.
fn is_browser(headers: &HeaderMap) -> bool {
    let mozilla = |agent: &http::HeaderValue| agent.as_bytes().starts_with(b"Mozilla/");
    headers.get(header::USER_AGENT).is_some_and(mozilla)
        || [header::ACCEPT_LANGUAGE.as_str(), "origin", "sec-fetch-site"]
            .iter()
            .any(|name| headers.contains_key(*name))
}

/// Admits a request that shows the token, was sent to this address by name or number, and does not come from a web page
/// of another origin. `local` is the address that the connection arrived at.
pub(crate) fn admit(
    headers: &HeaderMap,
    uri: &Uri,
    local: SocketAddr,
    token: &Redacted<String>,
) -> Result<(), Refusal> {
    let host = own_host(headers, uri, local)?;
    refuse_other_sites(headers, &host)?;
    if presents(headers, token) {
        Ok(())
    } else {
        Err(Refusal {
            status: StatusCode::UNAUTHORIZED,
            code: "admin.unauthorized",
            title: "The admin token is needed",
            detail: "send `Authorization: Bearer ` with the content of `admin.token` in the state directory"
                .to_owned(),
        })
    }
}

/// A page that rebinds its own name to this address still sends its own name (DNS rebinding).
fn own_host(headers: &HeaderMap, uri: &Uri, local: SocketAddr) -> Result<Authority, Refusal> {
    let wrong = || Refusal {
        status: StatusCode::MISDIRECTED_REQUEST,
        code: "admin.host",
        title: "This is not the host that was asked for",
        detail: format!(
            "use `127.0.0.1:{port}`, `localhost:{port}` or the admin address itself",
            port = local.port()
        ),
    };
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err(wrong());
    };
    let host: Authority = host.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    let same = uri.authority().is_none_or(|authority| *authority == host);
    if same && is_own(&host, local) { Ok(host) } else { Err(wrong()) }
}

fn is_own(host: &Authority, local: SocketAddr) -> bool {
    if host.as_str().contains('@') || host.port_u16().unwrap_or(80) != local.port() {
        return false;
    }
    let name = host.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    literal.parse::<IpAddr>().is_ok_and(|ip| {
        let ip = canonical(ip);
        ip.is_loopback() || ip == canonical(local.ip())
    })
}

/// Browsers say where a request comes from: `Origin` (RFC 6454 section 7.3) and `Sec-Fetch-Site` (W3C Fetch Metadata).
fn refuse_other_sites(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        origin.to_str().ok().and_then(|text| text.strip_prefix("http://")) != Some(host.as_str())
    });
    let foreign_site = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    if foreign_origin || foreign_site {
        return Err(Refusal {
            status: StatusCode::FORBIDDEN,
            code: "admin.cross_site",
            title: "Other sites may not use the admin API",
            detail: "the request comes from a web page of another origin".to_owned(),
        });
    }
    Ok(())
}

fn presents(headers: &HeaderMap, token: &Redacted<String>) -> bool {
    let mut presented = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(credentials), None) = (presented.next(), presented.next()) else {
        return false;
    };
    let Some((scheme, presented)) = credentials.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer")
        && verify_slices_are_equal(presented.trim_start().as_bytes(), token.expose().as_bytes()).is_ok()
}
