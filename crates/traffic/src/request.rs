//! Requests as actors plan them, and what they hear of the answers.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use crate::{device::Device, label::Label};

/// A connection as the server sees it: requests with equal numbers of one actor share it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Counts up within one actor; a changed number is a new connection.
    pub number: u64,
    /// The address and port that the PROXY protocol tells.
    pub peer: SocketAddr,
    /// What sends: its header set and its TLS settings.
    pub device: Arc<Device>,
}

/// One request, complete but for its place in time.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Where it comes from.
    pub connection: Arc<Connection>,
    /// The method as it is written on the wire.
    pub method: &'static str,
    /// The request target in origin form, as it is written on the wire; it may be hostile.
    pub target: String,
    /// The fields that this request has beside those of its device, `Host` and `Content-Length`.
    pub fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The body; `None` sends neither a body nor a length.
    pub body: Option<Vec<u8>>,
    /// The truth about it, which nobody on the way sees.
    pub label: Label,
    /// The status that the vulnerable bank gives where nothing stands before it: what the simulation answers.
    pub foreseen: u16,
}

impl Planned {
    /// Every header field in the order of its device. `Host` is `host`; a field of the request takes the place that the
    /// device has for its name and comes last where it has none.
    pub fn headers<'a>(&'a self, host: &'a str) -> Vec<(&'a str, Cow<'a, str>)> {
        let own = |name: &str| self.fields.iter().position(|(field, _)| field.eq_ignore_ascii_case(name));
        let mut headers = Vec::with_capacity(self.connection.device.headers.len() + self.fields.len());
        let mut placed = 0_u64;
        for (name, fixed) in &self.connection.device.headers {
            if let Some(at) = own(name) {
                placed |= 1_u64.checked_shl(u32::try_from(at).unwrap_or(64)).unwrap_or_default();
                if let Some((_, value)) = self.fields.get(at) {
                    headers.push((name.as_ref(), Cow::Borrowed(value.as_ref())));
                }
            } else if let Some(fixed) = fixed {
                headers.push((name.as_ref(), Cow::Borrowed(fixed.as_ref())));
            } else if name.eq_ignore_ascii_case("host") {
                headers.push((name.as_ref(), Cow::Borrowed(host)));
            } else if let (true, Some(body)) = (name.eq_ignore_ascii_case("content-length"), &self.body) {
                headers.push((name.as_ref(), Cow::Owned(body.len().to_string())));
            }
        }
        for (at, (name, value)) in self.fields.iter().enumerate() {
            if at >= 64 || placed & 1 << at == 0 {
                headers.push((name.as_ref(), Cow::Borrowed(value.as_ref())));
            }
        }
        headers
    }
}

/// An answer, as far as actors look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, with values, in the order of the answer.
    pub headers: Vec<(String, String)>,
    /// The body as far as it was kept.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a field; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx or 101.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 101 | 200..=299)
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The seconds of `Retry-After` (RFC 9110 section 10.2.3), where it has them.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }
}
