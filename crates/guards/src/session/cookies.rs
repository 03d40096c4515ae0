//! Cookies on both ways: which of a request are watched, and how those of a response are hardened (RFC 6265, and its
//! successor draft-ietf-httpbis-rfc6265bis-22).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use percent_encoding::percent_decode;

use super::config::{SameSite, SetCookie};

/// Cookies of one response that are told of, and whose clients are remembered; browsers keep fewer.
const MAX_COOKIES: usize = 64;

/// Names, in which `*` stands for any characters.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    pub(super) fn new(names: &[String]) -> Self {
        Patterns(names.to_vec())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names are compared as they are: cookies are case-sensitive.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), name))
    }
}

/// Greedy matching with one point to return to: linear for one `*`, and never worse than the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(byte) if name.get(n) == Some(byte) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, from)) = back else { return false };
                (p, n, back) = (after, from + 1, Some((after, from + 1)));
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// Names and values of a request's cookies, in order: all of them, as one that were left out could hide behind others. The
/// bounds on a head bound them.
pub(super) fn sent(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter(|pair| !pair.trim_ascii().is_empty()).map(pair)
}

/// What applications read: without the quotes that some strip, with the escapes undone that some undo. Two spellings of one
/// session are one session.
pub(super) fn plain(text: &[u8]) -> Vec<u8> {
    let inner = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let text = inner.map_or_else(|| text.to_vec(), unescaped);
    let mut bytes: Vec<u8> = percent_decode(&text).collect();
    bytes.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    bytes
}

/// A quoted string without its backslashes: before three octal digits, which stand for a byte, and before any other.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(*escaped);
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    bytes
}

/// Name and value; a pair without `=` is a value without a name.
fn pair(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'=').and_then(|at| text.split_at_checked(at)) {
        Some((name, value)) => (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or(value).trim_ascii()),
        None => (b"", text.trim_ascii()),
    }
}

/// One field `Set-Cookie`, taken apart.
struct Field<'f> {
    first: &'f [u8],
    name: &'f [u8],
    value: &'f [u8],
    attributes: Vec<(&'f [u8], &'f [u8])>,
}

impl<'f> Field<'f> {
    fn parse(field: &'f [u8]) -> Self {
        let mut parts = field.split(|byte| *byte == b';');
        let first = parts.next().unwrap_or_default();
        let (name, value) = pair(first);
        let attribute = |part: &'f [u8]| match part.iter().position(|byte| *byte == b'=') {
            Some(_) => pair(part),
            None => (part.trim_ascii(), &b""[..]),
        };
        Field { first, name, value, attributes: parts.map(attribute).collect() }
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The last one counts (section 5.6.7 of the draft).
    fn same_site(&self) -> Option<Site> {
        let last = self.attributes.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(b"samesite"))?;
        let is = |name: &str| last.1.eq_ignore_ascii_case(name.as_bytes());
        [("none", Site::None), ("lax", Site::Lax), ("strict", Site::Strict)]
            .into_iter()
            .find_map(|(name, site)| is(name).then_some(site))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    None,
    Lax,
    Strict,
}

/// The compiled hardening.
pub(super) struct Hardening {
    names: Patterns,
    readable: Patterns,
    cross_site: Patterns,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
}

/// What a cookie lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    secure: bool,
    http_only: bool,
    same_site: Option<&'static str>,
    /// `__Host-` demands `Path=/` and no `Domain`.
    host: bool,
}

impl Lacks {
    fn nothing(&self) -> bool {
        *self == Lacks::default()
    }

    /// What is added, for people.
    pub(super) fn told(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.secure.then_some("`Secure`"));
        parts.extend(self.http_only.then_some("`HttpOnly`"));
        parts.extend(self.same_site);
        parts.extend(self.host.then_some("`Path=/` without `Domain`"));
        parts.join(", ")
    }
}

impl Hardening {
    pub(super) fn new(config: &SetCookie) -> Self {
        Hardening {
            names: Patterns::new(&config.names),
            readable: Patterns::new(&config.readable),
            cross_site: Patterns::new(&config.cross_site),
            secure: config.secure,
            http_only: config.http_only,
            same_site: config.same_site,
        }
    }

    fn lacks(&self, field: &Field<'_>) -> Lacks {
        if !self.names.matches(field.name) {
            return Lacks::default();
        }
        let prefixed = |prefix: &str| {
            field.name.get(..prefix.len()).is_some_and(|name| name.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        // `__Host-Http-` is both.
        let http = prefixed("__Http-") || prefixed("__Host-Http-");
        let (host, secure) = (prefixed("__Host-"), prefixed("__Secure-") || http || field.has("partitioned"));
        let site = field.same_site();
        let same_site = match self.same_site {
            SameSite::Off => None,
            _ if site == Some(Site::None) && self.cross_site.matches(field.name) => None,
            SameSite::Lax => (site < Some(Site::Lax)).then_some("`SameSite=Lax`"),
            SameSite::Strict => (site < Some(Site::Strict)).then_some("`SameSite=Strict`"),
        };
        // Browsers refuse these without it, whatever the policy says (sections 4.1.2.7 and 4.1.3 of the draft).
        let needs_secure = host || secure || site == Some(Site::None) && same_site.is_none();
        let mut paths = field.attributes.iter().rev().filter(|(name, _)| name.eq_ignore_ascii_case(b"path"));
        Lacks {
            secure: (self.secure || needs_secure) && !field.has("secure"),
            http_only: (self.http_only && !self.readable.matches(field.name) || http)
                && !field.has("httponly"),
            same_site,
            host: host && (paths.next().is_none_or(|(_, path)| *path != b"/") || field.has("domain")),
        }
    }

    /// What the response's cookies lack, with their names.
    pub(super) fn found(&self, headers: &HeaderMap) -> Vec<(String, Lacks)> {
        let fields = headers.get_all(SET_COOKIE).iter().take(MAX_COOKIES);
        let found = fields.filter_map(|field| {
            let field = Field::parse(field.as_bytes());
            let lacks = self.lacks(&field);
            (!lacks.nothing()).then(|| (String::from_utf8_lossy(field.name).into_owned(), lacks))
        });
        found.collect()
    }

    /// Adds what the response's cookies lack; what lacks nothing stays as it is, byte for byte.
    pub(super) fn harden(&self, headers: &mut HeaderMap) {
        let weak = |field: &HeaderValue| !self.lacks(&Field::parse(field.as_bytes())).nothing();
        if !headers.get_all(SET_COOKIE).iter().any(weak) {
            return;
        }
        let fields: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for field in fields {
            headers.append(SET_COOKIE, self.hardened(&field).unwrap_or(field));
        }
    }

    fn hardened(&self, field: &HeaderValue) -> Option<HeaderValue> {
        let field = Field::parse(field.as_bytes());
        let lacks = self.lacks(&field);
        if lacks.nothing() {
            return None;
        }
        let mut text = field.first.trim_ascii_end().to_vec();
        let mut add = |name: &[u8], value: &[u8]| {
            text.extend_from_slice(b"; ");
            text.extend_from_slice(name);
            if !value.is_empty() {
                text.push(b'=');
                text.extend_from_slice(value);
            }
        };
        for (name, value) in &field.attributes {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            let replaced = lacks.same_site.is_some() && is("samesite")
                || lacks.host && (is("path") || is("domain"))
                || name.is_empty() && value.is_empty();
            if !replaced {
                add(name, value);
            }
        }
        if lacks.host {
            add(b"Path", b"/");
        }
        if lacks.secure {
            add(b"Secure", b"");
        }
        if lacks.http_only {
            add(b"HttpOnly", b"");
        }
        match lacks.same_site {
            Some("`SameSite=Strict`") => add(b"SameSite", b"Strict"),
            Some(_) => add(b"SameSite", b"Lax"),
            None => {}
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

/// Names and values of the cookies that a response sets, but for those that it takes away.
pub(super) fn issued(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = headers.get_all(SET_COOKIE).iter().take(MAX_COOKIES);
    let pairs = fields.map(|field| {
        let field = Field::parse(field.as_bytes());
        (field.name.to_vec(), field.value.to_vec())
    });
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

/// The field of responses that is edited.
pub(super) const FIELD: HeaderName = SET_COOKIE;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn hardened(config: &SetCookie, field: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        Hardening::new(config).harden(&mut headers);
        assert_eq!(headers.len(), 1);
        let hard = headers.get(SET_COOKIE).unwrap().clone();
        assert!(Hardening::new(config).found(&headers).is_empty(), "{hard:?} lacks nothing any more");
        String::from_utf8_lossy(hard.as_bytes()).into_owned()
    }

    #[test]
    fn cookies_get_what_they_lack() {
        let all = SetCookie::default();
        for (field, expected) in [
            ("sid=1", "sid=1; Secure; HttpOnly; SameSite=Lax"),
            ("sid=1; path=/; HTTPONLY", "sid=1; path=/; HTTPONLY; Secure; SameSite=Lax"),
            ("sid=1; secure; httponly; samesite=lax", "sid=1; secure; httponly; samesite=lax"),
            ("sid=1;Secure;HttpOnly;SameSite=Strict", "sid=1;Secure;HttpOnly;SameSite=Strict"),
            ("sid=1; SameSite=None; Secure; HttpOnly", "sid=1; Secure; HttpOnly; SameSite=Lax"),
            ("sid=1; Secure; HttpOnly; SameSite", "sid=1; Secure; HttpOnly; SameSite=Lax"),
            ("sid=1; Secure; HttpOnly; SameSite=Bogus", "sid=1; Secure; HttpOnly; SameSite=Lax"),
            (
                "sid=1; SameSite=Strict; SameSite=None; Secure; HttpOnly",
                "sid=1; Secure; HttpOnly; SameSite=Lax",
            ),
            ("sid=a=b=c;;  ; Max-Age=60 ;", "sid=a=b=c; Max-Age=60; Secure; HttpOnly; SameSite=Lax"),
            (
                "sid=1; Expires=Wed, 21 Oct 2065 07:28:00 GMT",
                "sid=1; Expires=Wed, 21 Oct 2065 07:28:00 GMT; Secure; HttpOnly; SameSite=Lax",
            ),
            ("sid=\"a b\"", "sid=\"a b\"; Secure; HttpOnly; SameSite=Lax"),
            ("nameless", "nameless; Secure; HttpOnly; SameSite=Lax"),
            ("=value", "=value; Secure; HttpOnly; SameSite=Lax"),
            ("sid = 1 ; Secure = yes", "sid = 1; Secure=yes; HttpOnly; SameSite=Lax"),
            ("XSRF-TOKEN=1", "XSRF-TOKEN=1; Secure; SameSite=Lax"),
            (
                "__Host-sid=1; Domain=example.com; Path=/app",
                "__Host-sid=1; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            ("__Http-sid=1", "__Http-sid=1; Secure; HttpOnly; SameSite=Lax"),
            (
                "__host-sid=1; Secure; HttpOnly; SameSite=Lax; Path=/",
                "__host-sid=1; Secure; HttpOnly; SameSite=Lax; Path=/",
            ),
            ("sid=\u{fc}", "sid=\u{fc}; Secure; HttpOnly; SameSite=Lax"),
        ] {
            assert_eq!(hardened(&all, field), expected, "{field}");
        }
    }

    #[test]
    fn the_policy_says_which_and_how() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let some = SetCookie { names: names(&["*sess*", "sid"]), ..SetCookie::default() };
        assert_eq!(hardened(&some, "theme=dark"), "theme=dark");
        assert_eq!(hardened(&some, "PHPsessID=1"), "PHPsessID=1; Secure; HttpOnly; SameSite=Lax");
        let plain = SetCookie { secure: false, ..SetCookie::default() };
        assert_eq!(hardened(&plain, "sid=1"), "sid=1; HttpOnly; SameSite=Lax");
        assert_eq!(hardened(&plain, "__Secure-sid=1"), "__Secure-sid=1; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(hardened(&plain, "w=1; Partitioned"), "w=1; Partitioned; Secure; HttpOnly; SameSite=Lax");
        let scripts = SetCookie { http_only: false, secure: false, ..SetCookie::default() };
        assert_eq!(
            hardened(&scripts, "__Host-Http-sid=1"),
            "__Host-Http-sid=1; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        let strict = SetCookie { same_site: SameSite::Strict, ..SetCookie::default() };
        assert_eq!(hardened(&strict, "sid=1; SameSite=Lax"), "sid=1; Secure; HttpOnly; SameSite=Strict");
        let embedded = SetCookie { cross_site: names(&["widget"]), secure: false, ..SetCookie::default() };
        assert_eq!(
            hardened(&embedded, "widget=1; SameSite=None"),
            "widget=1; SameSite=None; Secure; HttpOnly"
        );
        let off =
            SetCookie { same_site: SameSite::Off, secure: false, http_only: false, ..SetCookie::default() };
        assert_eq!(hardened(&off, "sid=1"), "sid=1");
    }

    #[test]
    fn several_fields_keep_their_order() {
        let mut headers = HeaderMap::new();
        for field in ["a=1", "b=2; Secure; HttpOnly; SameSite=Lax", "c=3"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        Hardening::new(&SetCookie::default()).harden(&mut headers);
        let after: Vec<_> =
            headers.get_all(SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert_eq!(
            after,
            [
                "a=1; Secure; HttpOnly; SameSite=Lax",
                "b=2; Secure; HttpOnly; SameSite=Lax",
                "c=3; Secure; HttpOnly; SameSite=Lax"
            ]
        );
    }

    #[test]
    fn sent_cookies_are_taken_apart() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; sid=\"x=y\";; b"));
        headers.append(COOKIE, HeaderValue::from_static(" sid = 2 "));
        let all: Vec<_> = sent(&headers).collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"sid", b"\"x=y\""), (b"", b"b"), (b"sid", b"2")];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_cookie_has_one_plain_form() {
        for spelling in ["a b/1", "\"a b/1\"", "a%20b%2f1", "a+b/1", "\"a\\040b\\/1\"", "%61 b/1"] {
            assert_eq!(plain(spelling.as_bytes()), b"a b/1", "{spelling}");
        }
        for other in ["\"", "\"\\\"", "%", "\\"] {
            assert_ne!(plain(other.as_bytes()), b"a b/1", "{other}");
        }
    }

    #[test]
    fn stars_match_anything_and_stay_cheap() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("sid", "sid", true),
            ("sid", "SID", false),
            ("*session*", "PHPsession", true),
            ("s*d*", "sid", true),
            ("s*d", "sidx", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(!matches("*a*a*a*a*a*a*b".as_bytes(), "a".repeat(4_000).as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn no_cookie_is_lost_or_left_weak(bytes in proptest::collection::vec(0x20_u8..=0xff, 0..120)) {
            let mut headers = HeaderMap::new();
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            headers.append(SET_COOKIE, value.clone());
            let before = issued(&headers);
            let hardening = Hardening::new(&SetCookie::default());
            hardening.harden(&mut headers);
            proptest::prop_assert_eq!(issued(&headers), before);
            proptest::prop_assert!(hardening.found(&headers).is_empty());
        }
    }
}
