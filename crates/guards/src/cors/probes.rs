//! What `cors` can be probed with: an origin that the policy does not name, and a preflight for a method that it does not.

use bartizan_model::probe::{Doubt, Edit, Probe, Probes, Weight};
use http::{HeaderName, HeaderValue, Method, header};

use super::{
    Cors,
    origin::{Origin, OriginPattern},
};

/// Origins of nobody (RFC 2606 section 2), and the opaque one.
const FOREIGN: [&str; 3] = ["https://elsewhere.invalid", "https://elsewhere.invalid:8443", "null"];

/// What the guard offers.
pub(super) fn offer(guard: &Cors) -> Probes {
    let mut hostile = Vec::new();
    let named = |text: &str| {
        Origin::parse(text).is_some_and(|origin| guard.origins.iter().any(|p| p.matches(&origin)))
    };
    if let Some(foreign) = FOREIGN.into_iter().find(|text| !named(text)).map(HeaderValue::from_static) {
        hostile.push(Probe::refused(
            "a preflight of an origin that `origins` does not name",
            preflight(foreign.clone(), HeaderValue::from_static("GET")),
        ));
        let origin = Edit::Header(header::ORIGIN, foreign);
        hostile.push(if guard.block_other_origins {
            Probe::refused("a request of an origin that `origins` does not name", vec![origin])
        } else {
            // An upstream that answers every origin must not be believed.
            let careless = HeaderValue::from_static("*");
            Probe::answered(
                "an upstream's permission for an origin that `origins` does not name",
                vec![origin, Edit::Reply(header::ACCESS_CONTROL_ALLOW_ORIGIN, careless)],
                vec![(header::ACCESS_CONTROL_ALLOW_ORIGIN, None)],
            )
        });
    }
    let other = [Method::DELETE, Method::PATCH, Method::PUT, Method::POST, Method::GET];
    let other = other.into_iter().find(|method| guard.methods.as_ref().is_some_and(|m| !m.contains(method)));
    if let (Some(method), Some(origin)) = (other, guard.origins.iter().find_map(example))
        && let Ok(method) = HeaderValue::from_str(method.as_str())
    {
        hostile.push(Probe::refused("a preflight for a method that is not named", preflight(origin, method)));
    }
    let any = guard.origins.contains(&OriginPattern::Any);
    let doubts = any.then(|| Doubt {
        code: "any_origin",
        weight: Weight::Note,
        what: "`origins: [\"*\"]` lets the pages of every web site read the answers, without credentials"
            .into(),
        remedy: "name the origins, unless the answers are for everybody".into(),
    });
    Probes { hostile, doubts: Vec::from_iter(doubts), ..Probes::default() }
}

fn preflight(origin: HeaderValue, method: HeaderValue) -> Vec<Edit> {
    let asked: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
    vec![Edit::Method(Method::OPTIONS), Edit::Header(header::ORIGIN, origin), Edit::Header(asked, method)]
}

/// An origin that the pattern names.
fn example(pattern: &OriginPattern) -> Option<HeaderValue> {
    let write = |scheme: &str, host: &str, port: Option<u16>| match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    let text = match pattern {
        OriginPattern::Any => "https://probe.invalid".to_owned(),
        OriginPattern::Exact(Origin::Opaque) => "null".to_owned(),
        OriginPattern::Exact(Origin::Tuple { scheme, host, port }) => write(scheme, host, *port),
        OriginPattern::Subdomains { scheme, suffix, port } => write(scheme, &format!("probe{suffix}"), *port),
    };
    HeaderValue::from_str(&text).ok()
}
