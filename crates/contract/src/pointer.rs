//! JSON Pointers (RFC 6901), alone and as fragments of URIs, and the URIs of a contract's files.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a fragment may not hold as it is: RFC 3986 section 3.5 allows pchar, `/` and `?`.
const FRAGMENT: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a path may not hold as it is.
const PATH: AsciiSet = FRAGMENT.add(b'?');

/// The scheme and the empty authority of the URIs of a contract's files.
pub(crate) const SCHEME: &str = "contract:///";

/// A pointer as the fragment of a URI.
pub(crate) fn encode_fragment(pointer: &str) -> Cow<'_, str> {
    utf8_percent_encode(pointer, &FRAGMENT).into()
}

/// The fragment of a URI as a pointer or anchor; `None` if it is not UTF-8 when decoded.
pub(crate) fn decode_fragment(fragment: &str) -> Option<String> {
    percent_decode_str(fragment).decode_utf8().ok().map(Cow::into_owned)
}

/// Adds a step to a pointer.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// A step of a pointer with its slash (RFC 6901 section 3).
pub(crate) fn step(token: &str) -> String {
    let mut step = String::with_capacity(token.len() + 1);
    push_token(&mut step, token);
    step
}

/// A step as it was before it was put into a pointer.
pub(crate) fn token(escaped: &str) -> Cow<'_, str> {
    if escaped.contains('~') {
        Cow::Owned(escaped.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(escaped)
    }
}

/// The hash of the root's pointer (FNV-1a, 64 bits: places are looked up by it, and nobody gains by a collision).
pub(crate) const ROOT_HASH: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of a pointer.
pub(crate) fn hash(pointer: &str) -> u64 {
    hash_on(ROOT_HASH, pointer)
}

/// The hash of a pointer whose beginning has this hash.
pub(crate) fn hash_on(beginning: u64, rest: &str) -> u64 {
    rest.bytes().fold(beginning, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The URI of a file, from its path below the folder of the contract.
pub(crate) fn file_uri(path: &str) -> String {
    format!("{SCHEME}{}", utf8_percent_encode(path, &PATH))
}

/// The path of a file below the folder of the contract, from its URI.
pub(crate) fn file_path(uri: &str) -> Option<String> {
    percent_decode_str(uri.strip_prefix(SCHEME)?).decode_utf8().ok().map(Cow::into_owned)
}

/// The URI that a relative reference to a file means in a file of the contract (RFC 3986 section 5.2, paths only). `None`
/// where it leads out of the contract's folder, or to anything but a file.
pub(crate) fn join(base: &str, reference: &str) -> Option<String> {
    if let Some((scheme, _)) = reference.split_once(':')
        && !scheme.contains('/')
    {
        return reference.starts_with(SCHEME).then(|| reference.to_owned());
    }
    let reference = reference.split('?').next().unwrap_or_default();
    if reference.starts_with('/') || reference.contains('\\') {
        return None;
    }
    let folder = base.strip_prefix(SCHEME)?.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in reference.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            step => steps.push(step),
        }
    }
    // One spelling for one file: what was percent-encoded without need is not the name of another document.
    let path = percent_decode_str(&steps.join("/")).decode_utf8().ok()?.into_owned();
    let plain = !path.is_empty() && !path.split('/').any(|step| matches!(step, "" | "." | ".."));
    (plain && !path.contains(['\\', '\0'])).then(|| file_uri(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_below_the_contract() {
        let join = |base: &str, reference: &str| join(&format!("{SCHEME}{base}"), reference);
        let found = |path: &str| Some(format!("{SCHEME}{path}"));
        assert_eq!(join("api.yaml", "schemas/a.yaml"), found("schemas/a.yaml"));
        assert_eq!(join("api.yaml", "./a b.yaml"), found("a%20b.yaml"));
        assert_eq!(join("api.yaml", "a%20b.yaml"), found("a%20b.yaml"));
        assert_eq!(join("schemas/a.yaml", "../b.yaml"), found("b.yaml"));
        assert_eq!(join("schemas/x/a.yaml", "..//./b.yaml"), found("schemas/b.yaml"));
        for outside in [
            "../b.yaml",
            "/etc/passwd",
            "a/../../b",
            "%2e%2e/b.yaml",
            "a/%2e%2e/%2e%2e/b",
            "..%2fb",
            "%2fetc/passwd",
            "https://example.com/a.yaml",
            "//example.com/a.yaml",
            "file:///etc/passwd",
            "C:\\a.yaml",
            "a%00.yaml",
            "",
        ] {
            assert_eq!(join("api.yaml", outside), None, "{outside}");
        }
    }

    #[test]
    fn pointers_are_fragments_when_encoded() {
        let mut pointer = String::new();
        push_token(&mut pointer, "paths");
        push_token(&mut pointer, "/a~b/{id} %");
        assert_eq!(pointer, "/paths/~1a~0b~1{id} %");
        assert_eq!(encode_fragment(&pointer), "/paths/~1a~0b~1%7Bid%7D%20%25");
        assert_eq!(decode_fragment(&encode_fragment(&pointer)).as_deref(), Some(pointer.as_str()));
        assert_eq!(token("~1a~0b~01"), "/a~b~1");
        assert_eq!(hash_on(hash("/a"), "/b"), hash("/a/b"));
    }
}
