//! What `request_limits` can be probed with: one more than each bound allows.

use bartizan_model::probe::{Edit, Probe, Probes};
use http::{HeaderName, HeaderValue, Method};

use super::RequestLimits;

/// Bytes that a probe's head may have: one that is larger meets the listener's bound first and says nothing of this one.
const LARGEST: usize = 24 * 1024;

/// Header fields that a probe may have, for the same reason.
const MOST: usize = 500;

/// What the guard offers.
pub(super) fn offer(guard: &RequestLimits) -> Probes {
    let bounds = &guard.bounds;
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1);
    let mut hostile = Vec::new();
    if let Some(max) = guard.own_max_body().and_then(|max| max.checked_add(1)) {
        hostile
            .push(Probe::refused("a body of one byte more than `max_body`", vec![Edit::ContentLength(max)]));
    }
    let query = bytes(bounds.max_query_bytes.0);
    if query <= LARGEST {
        let text = "q".repeat(query);
        hostile
            .push(Probe::refused("a query that is longer than `max_query_bytes`", vec![Edit::Query(text)]));
    }
    let parameters = bounds.max_query_parameters.saturating_add(1);
    if parameters <= LARGEST / 2 {
        let text = vec!["q"; parameters].join("&");
        hostile.push(Probe::refused("more parameters than `max_query_parameters`", vec![Edit::Query(text)]));
    }
    let header = bytes(bounds.max_header_bytes.0);
    if header <= LARGEST {
        let value = HeaderValue::from_str(&"h".repeat(header)).ok();
        let edit = value.map(|value| Edit::Header(HeaderName::from_static("x-probe"), value));
        hostile.push(Probe::refused("a field that is larger than `max_header_bytes`", Vec::from_iter(edit)));
    }
    let fields = bounds.max_headers.saturating_add(1);
    if fields <= MOST {
        let field = || Edit::Header(HeaderName::from_static("x-probe"), HeaderValue::from_static("1"));
        hostile
            .push(Probe::refused("more fields than `max_headers`", (0..fields).map(|_| field()).collect()));
    }
    let other = [Method::DELETE, Method::PATCH, Method::PUT, Method::POST, Method::GET];
    if let Some(method) = other.into_iter().find(|method| !guard.permits(method)) {
        hostile.push(Probe::refused("a method that `methods` does not list", vec![Edit::Method(method)]));
    }
    Probes { hostile, ..Probes::default() }
}
