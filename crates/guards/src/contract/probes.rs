//! What `contract` can be probed with: a body of a media type that no operation accepts.

use bartizan_model::{
    Transaction,
    probe::{Edit, Probe, Probes},
};
use http::{HeaderValue, header};

/// No contract names it: a range that accepts every type does not accept this one from a probe.
const NOBODYS: HeaderValue = HeaderValue::from_static("application/vnd.bartizan.probe");

/// What the guard offers.
pub(super) fn offer() -> Probes {
    let edits = vec![Edit::Header(header::CONTENT_TYPE, NOBODYS), Edit::ContentLength(1)];
    let probe = Probe::refused("a body of a media type that the contract does not name", edits);
    Probes { hostile: vec![probe], ..Probes::default() }
}

/// Whether this is that probe, on the live path.
pub(super) fn is_probe(transaction: &Transaction) -> bool {
    transaction.scratch.is_some() && transaction.request.headers.get(header::CONTENT_TYPE) == Some(&NOBODYS)
}
