//! What guards see of a body: held once, under a budget, and decoded and parsed once, for all of them.

mod path;

use std::{
    cell::RefCell,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bartizan_pattern::body::{
    self, BodyLimits, Buffers, Content, Reading, form::FormLimits, json::Tape, media_type::BodyKind,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

pub use path::{BodyPath, Field, FieldValue};

/// Storage for readings that a thread keeps for its next bodies.
const POOLED: usize = 4;
/// Bytes that each kind of pooled storage may keep.
const POOLED_BYTES: usize = 64 << 10;
/// The longest pair of a form that is read: the body has its own limit.
const PAIR_BYTES: u32 = 1 << 30;

thread_local! {
    static POOL: RefCell<Vec<Buffers>> = const { RefCell::new(Vec::new()) };
}

/// The beginning of a body, or all of it. A copy shares bytes and reading.
///
/// [`HeldBody::reading`] undoes content codings and parses when it is first asked, and answers the same afterwards.
#[derive(Clone, Debug, Default)]
pub struct HeldBody {
    /// What is held; empty where there is no body, or where it is a stream that is not held.
    pub bytes: Bytes,
    /// Whether this is all of it.
    pub whole: bool,
    content_type: Option<HeaderValue>,
    codings: Option<Bytes>,
    bounds: Option<BodyLimits>,
    shared: OnceLock<Arc<Shared>>,
}

/// What was read, given back to the thread's pool at the end.
#[derive(Debug, Default)]
struct Shared(Buffers);

impl Deref for Shared {
    type Target = Buffers;

    fn deref(&self) -> &Buffers {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut buffers = std::mem::take(&mut self.0);
        buffers.shrink(POOLED_BYTES);
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < POOLED
            {
                pool.push(buffers);
            }
        });
    }
}

impl HeldBody {
    /// So much of a body, of a type that is not known.
    #[must_use]
    pub fn new(bytes: Bytes, whole: bool) -> Self {
        HeldBody { bytes, whole, ..HeldBody::default() }
    }

    /// The same, of the type and in the codings that the head of its message says.
    #[must_use]
    pub fn described(mut self, headers: &HeaderMap) -> Self {
        self.content_type = headers.get(header::CONTENT_TYPE).cloned();
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        self.codings = match (codings.next(), codings.next()) {
            (None, _) => None,
            (Some(one), None) => Some(Bytes::copy_from_slice(one.as_bytes())),
            (Some(_), Some(_)) => {
                let all: Vec<&[u8]> =
                    headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
                Some(all.join(&b","[..]).into())
            }
        };
        self.shared = OnceLock::new();
        self
    }

    /// The same, read within these bounds.
    #[must_use]
    pub fn within(mut self, bounds: BodyLimits) -> Self {
        self.bounds = Some(bounds);
        self.shared = OnceLock::new();
        self
    }

    /// Other bytes of the same type, all of them, without a content coding.
    #[must_use]
    pub fn instead(&self, bytes: Bytes) -> Self {
        HeldBody { bytes, whole: true, content_type: self.content_type.clone(), ..HeldBody::default() }
    }

    /// What a reading may cost: what the policy says, else what the recommended configuration of ModSecurity allows, over
    /// all that is held.
    #[must_use]
    pub fn limits(&self) -> BodyLimits {
        if let Some(bounds) = &self.bounds {
            return BodyLimits { bytes: bounds.bytes.max(self.bytes.len()), ..*bounds };
        }
        let mut limits = BodyLimits::default();
        limits.bytes = limits.bytes.max(self.bytes.len());
        limits.decode.output_bytes = limits.decode.output_bytes.max(self.bytes.len());
        limits.form = FormLimits { pair_bytes: PAIR_BYTES, ..limits.form };
        limits
    }

    /// The body as its type and codings say it is to be read: decoded and parsed once for everybody who asks.
    ///
    /// What cannot be read has a reason, and what was read before it. Of a body that is not whole this is the beginning:
    /// only what needs no end is [`Reading::Parsed`].
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        let shared = self.shared.get_or_init(|| {
            let pooled = POOL.try_with(|pool| pool.try_borrow_mut().ok().and_then(|mut pool| pool.pop()));
            let mut buffers = pooled.ok().flatten().unwrap_or_default();
            let content_type = self.content_type.as_ref().map(HeaderValue::as_bytes);
            let _ =
                body::read(content_type, self.codings.as_deref(), &self.bytes, &self.limits(), &mut buffers);
            Arc::new(Shared(buffers))
        });
        shared.reading(&self.bytes)
    }

    /// The JSON document that the body is; `None` for anything else, and for one that is not whole or not well-formed.
    #[must_use]
    pub fn json(&self) -> Option<Tape<'_>> {
        if !self.whole {
            return None;
        }
        match self.reading() {
            Reading::Parsed(parsed) => match parsed.content {
                Content::Json(tape) => Some(tape),
                _ => None,
            },
            Reading::Unreadable(_) => None,
        }
    }

    /// The one value that a path names: `request.body.user.name` is `user.name` here.
    #[must_use]
    pub fn field(&self, path: &BodyPath) -> Field<'_> {
        path.find(self)
    }

    /// The reading, where somebody who wants it as `kind` within `limits` would read just that: the limits are the same, or
    /// it was read to its end within narrower ones. Limits of bytes are not compared: whoever has one looks at the length
    /// of what was read.
    #[must_use]
    pub fn reading_as(&self, kind: Option<BodyKind>, limits: &BodyLimits) -> Option<Reading<'_>> {
        let own = self.limits();
        let alike = own.json == limits.json
            && own.form == limits.form
            && own.multipart == limits.multipart
            && own.xml == limits.xml;
        if !alike && !is_within(&own, limits, self.bytes.len().max(self.reading().bytes().len())) {
            return None;
        }
        let reading = self.reading();
        if !alike && matches!(reading, Reading::Unreadable(_)) {
            return None;
        }
        let read_as = match &reading {
            Reading::Parsed(parsed) => Some(parsed.kind),
            Reading::Unreadable(unreadable) => unreadable.kind,
        };
        let same = kind.is_none() || kind == read_as;
        (same && reading.bytes().len() <= limits.bytes && self.bytes.len() <= limits.bytes).then_some(reading)
    }
}

/// Whether a text of `length` bytes that is read to its end within `own` is read just so within `other`.
fn is_within(own: &BodyLimits, other: &BodyLimits, length: usize) -> bool {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let (json, of) = (&own.json, &other.json);
    let by_json = json.depth <= of.depth
        && json.nodes <= of.nodes
        && json.keys <= of.keys
        && json.string_bytes.min(length) <= of.string_bytes
        && json.number_bytes <= of.number_bytes
        && json.path_bytes <= of.path_bytes
        && json.double_range >= of.double_range;
    let (form, of) = (&own.form, &other.form);
    let by_form =
        form.separator == of.separator && form.pairs <= of.pairs && form.pair_bytes <= of.pair_bytes;
    let (parts, of) = (&own.multipart, &other.multipart);
    // Files beyond their number only set a flag: it has to be set alike.
    let by_parts = parts.parts <= of.parts
        && parts.files == of.files
        && parts.headers <= of.headers
        && parts.header_bytes <= of.header_bytes;
    let (xml, of) = (&own.xml, &other.xml);
    let by_xml = xml.depth <= of.depth && xml.nodes <= of.nodes && xml.attributes <= of.attributes;
    by_json && by_form && by_parts && by_xml
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn held(content_type: &'static str, bytes: &'static [u8]) -> HeldBody {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        HeldBody::new(Bytes::from_static(bytes), true).described(&headers)
    }

    #[test]
    fn a_body_is_read_once_and_shared_by_its_copies() {
        let body = held("application/json", b"{\"a\": [1, 2]}");
        let first = body.json().unwrap();
        let copy = body.clone();
        let second = copy.json().unwrap();
        assert!(std::ptr::eq(first.bytes(), second.bytes()));
        assert_eq!(second.root().unwrap().get("a").unwrap().len(), 2);
        assert!(std::ptr::eq(body.shared.get().unwrap().as_ref(), copy.shared.get().unwrap().as_ref()));
    }

    #[test]
    fn what_is_no_document_is_none() {
        assert!(held("application/json", b"{\"a\":").json().is_none());
        assert!(held("text/plain", b"{}").json().is_none());
        let mut cut = held("application/json", b"{}");
        cut.whole = false;
        assert!(cut.json().is_none(), "what follows may say otherwise");
    }

    #[test]
    fn codings_are_undone_within_the_limits() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // `{"a":1}`, stored: one block without compression.
        let packed: &[u8] = &[
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 7, 0, 248, 255, b'{', b'"', b'a', b'"', b':', b'1',
            b'}', 0xaf, 0xac, 0x1b, 0x56, 7, 0, 0, 0,
        ];
        let body = HeldBody::new(Bytes::from_static(packed), true).described(&headers);
        assert_eq!(body.reading().reason(), None);
        assert_eq!(body.json().unwrap().bytes(), b"{\"a\":1}");
    }

    #[test]
    fn another_kind_or_other_limits_are_read_apart() {
        let body = held("application/json", b"{}");
        let limits = body.limits();
        assert!(body.reading_as(Some(BodyKind::Json), &limits).is_some());
        assert!(body.reading_as(Some(BodyKind::Xml), &limits).is_none());
        let mut flat = limits;
        flat.json.depth = 1;
        assert!(body.reading_as(Some(BodyKind::Json), &flat).is_none());
        assert!(body.reading_as(None, &BodyLimits { bytes: 1, ..limits }).is_none());
    }

    #[test]
    fn what_is_read_within_narrower_bounds_is_shared_and_what_is_not_is_read_apart() {
        let mut narrow = BodyLimits::default();
        narrow.json.depth = 2;
        let wide = held("application/json", b"").limits();
        let body = held("application/json", b"[[1]]").within(narrow);
        assert!(body.reading_as(None, &wide).is_some());
        let deep = held("application/json", b"[[[1]]]").within(narrow);
        assert_eq!(deep.reading().reason().map(|why| why.code()), Some("json.too_deep"));
        assert!(deep.reading_as(None, &wide).is_none(), "who allows more has to read it himself");
    }
}
