//! What is refused, what becomes of the rest, and that no way around a rule is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{borrow::Cow, path::PathBuf};

use proptest::prelude::*;

use super::*;
use crate::template::PathPattern;

const STRICT: PathRules = PathRules { encoded_slash: false, parameters: false };
const LENIENT: PathRules = PathRules { encoded_slash: true, parameters: true };

#[test]
fn canonical_forms() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61dmin/%7Euser/%2d", "/admin/~user/-"),
        ("/a//b///c", "/a/b/c"),
        ("//a", "/a"),
        ("/a//", "/a/"),
        ("//", "/"),
        ("/a/./b", "/a/b"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/b/../../c", "/c"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/.c./d..", "/a/..b/.c./d.."),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/%e6%97%a5", "/%E6%97%A5"),
        ("/stra%c3%9fe", "/stra%C3%9Fe"),
        ("/%F0%9F%98%80", "/%F0%9F%98%80"),
        ("/a%20b", "/a%20b"),
        ("/%20", "/%20"),
        ("/100%25", "/100%25"),
        ("/100%25x", "/100%25x"),
        ("/50%25-off", "/50%25-off"),
        ("/a%40b@c", "/a%40b@c"),
        ("/a%2bb+c", "/a%2Bb+c"),
        ("/!$&'()*+,=:@", "/!$&'()*+,=:@"),
        ("/[slug]/a|b", "/%5Bslug%5D/a%7Cb"),
        ("/%5bslug%5d", "/%5Bslug%5D"),
        ("/%22%3c%3e%5e%60%7b%7c%7d", "/%22%3C%3E%5E%60%7B%7C%7D"),
    ] {
        assert_eq!(canonical(path, STRICT).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn refusals() {
    use PathRefusal::*;
    for (path, refusal) in [
        ("", NotAbsolute),
        ("*", NotAbsolute),
        ("a/b", NotAbsolute),
        ("http://x/", NotAbsolute),
        ("/é", NonAscii),
        ("/a b", Control),
        ("/a\tb", Control),
        ("/a\u{7f}", Control),
        ("/a\0", Control),
        ("/a\"", Character),
        ("/<a>", Character),
        ("/a^", Character),
        ("/a`", Character),
        ("/{id}", Character),
        ("/a\\b", Backslash),
        ("/a%5cb", Backslash),
        ("/a#b", Delimiter),
        ("/a?b", Delimiter),
        ("/a%3Fb", Delimiter),
        ("/a%23b", Delimiter),
        ("/%", BrokenEscape),
        ("/%2", BrokenEscape),
        ("/%zz", BrokenEscape),
        ("/%2%65", BrokenEscape),
        ("/% 2", BrokenEscape),
        ("/%+1", BrokenEscape),
        ("/%u002e", UnicodeEscape),
        ("/%U002e", UnicodeEscape),
        ("/a%2Fb", EncodedSlash),
        ("/a%2f", EncodedSlash),
        ("/a%00", EncodedControl),
        ("/a%0d%0a", EncodedControl),
        ("/a%7F", EncodedControl),
        ("/%252e", DoubleEncoding),
        ("/%25%32%65", DoubleEncoding),
        ("/%25%3265", DoubleEncoding),
        ("/%2525", DoubleEncoding),
        ("/%25u002e", DoubleEncoding),
        ("/a;b=c", Parameters),
        ("/a%3bb", Parameters),
        ("/..;/a", Parameters),
        ("/..%20/a", DisguisedDots),
        ("/.%20", DisguisedDots),
        ("/%20./a", DisguisedDots),
        ("/...", ManyDots),
        ("/a/..../b", ManyDots),
        ("/%2e%2e%2e", ManyDots),
        ("/%c0%ae", InvalidUtf8),
        ("/%e0%80%af", InvalidUtf8),
        ("/%ed%a0%80", InvalidUtf8),
        ("/%f5%80%80%80", InvalidUtf8),
        ("/%c3", InvalidUtf8),
        ("/%c3a9", InvalidUtf8),
        ("/%c3/%a9", InvalidUtf8),
        ("/%ff", InvalidUtf8),
        ("/%80", InvalidUtf8),
        ("/%c3%zz", BrokenEscape),
        ("/..", AboveRoot),
        ("/../a", AboveRoot),
        ("/a/../..", AboveRoot),
        ("/./../a", AboveRoot),
    ] {
        assert_eq!(canonical(path, STRICT), Err(refusal), "{path}");
    }
}

#[test]
fn look_alikes_are_refused() {
    for character in [
        'Ａ',
        'ａ',
        '／',
        '．',
        '＼',
        '；',
        '\u{2024}',
        '\u{2025}',
        '\u{2026}',
        '\u{2044}',
        '\u{2215}',
        '\u{2216}',
        'ı',
        'İ',
        'ſ',
        '\u{212A}',
        '\u{FE68}',
        '\u{200B}',
        '\u{200D}',
        '\u{202E}',
        '\u{2066}',
        '\u{FEFF}',
        '\u{85}',
        '\u{A0}',
        '\u{AD}',
        '\u{37E}',
        '²',
        'ª',
        'ﬁ',
        '\u{2028}',
        '\u{E0041}',
        '\u{3000}',
    ] {
        let path: String = std::iter::once("/x".to_owned())
            .chain(character.to_string().bytes().map(|byte| format!("%{byte:02x}")))
            .collect();
        assert_eq!(canonical(&path, STRICT), Err(PathRefusal::LookAlike), "{character:?}");
    }
    for character in ['é', 'É', 'ß', 'ñ', 'ø', 'я', 'λ', '日', '한', 'م', '😀', 'ẞ', 'ð', 'Ā', 'ė']
    {
        let path: String = std::iter::once("/x".to_owned())
            .chain(character.to_string().bytes().map(|b| format!("%{b:02X}")))
            .collect();
        assert_eq!(canonical(&path, STRICT).as_deref(), Ok(path.as_str()), "{character:?}");
    }
}

#[test]
fn encoded_slashes_where_allowed() {
    let rules = PathRules { encoded_slash: true, parameters: false };
    assert_eq!(canonical("/p/group%2fname/x", rules).as_deref(), Ok("/p/group%2Fname/x"));
    assert_eq!(canonical("/p/a%2F%2Fb", rules).as_deref(), Ok("/p/a%2F%2Fb"));
    for path in ["/p/..%2fx", "/p/x%2f..", "/p/x%2f%2e%2e%2fy", "/p/.%2Fx", "/p/a%2f..%20%2fb"] {
        assert_eq!(canonical(path, rules), Err(PathRefusal::DisguisedDots), "{path}");
    }
    assert_eq!(canonical("/p/a%2f...", rules), Err(PathRefusal::ManyDots));
    assert_eq!(canonical("/a%252fb", rules), Err(PathRefusal::DoubleEncoding));
}

#[test]
fn parameters_where_allowed() {
    let rules = PathRules { encoded_slash: false, parameters: true };
    assert_eq!(canonical("/a;v=1/b;x", rules).as_deref(), Ok("/a;v=1/b;x"));
    assert_eq!(canonical("/a%3bv", rules).as_deref(), Ok("/a%3Bv"));
    assert_eq!(canonical("/a/;id=5/b", rules).as_deref(), Ok("/a/;id=5/b"));
    assert_eq!(canonical("/a/;id=5", PathRules::default()), Err(PathRefusal::Parameters));
    for path in [
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/.;/b",
        "/;/a",
        "/a/;x",
        "/a/;=x",
        "/a/;.=x",
        "/a/%3bx=1",
        "/a/..%3b/b",
        "/a/%2e%2e;/b",
        "/%3b/a",
        "/..%20;/a",
    ] {
        assert_eq!(canonical(path, rules), Err(PathRefusal::DisguisedDots), "{path}");
    }
}

#[test]
fn folded_forms() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/Admin/USERS", "/admin/users"),
        ("/admin/", "/admin"),
        ("/admin./users.../x", "/admin/users/x"),
        ("/admin%20/users", "/admin/users"),
        ("/admin.%20.%20", "/admin"),
        ("/%20/admin/%20", "/admin"),
        ("/admin;x=1/users;y", "/admin/users"),
        ("/admin%3Bx/users", "/admin/users"),
        ("/admin.;x", "/admin"),
        ("/a%40b", "/a@b"),
        ("/%C3%89t%C3%A9", "/%C3%A9t%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/p/Group%2FName", "/p/group%2Fname"),
        ("/%20", "/"),
    ] {
        assert_eq!(folded(path), expected, "{path}");
    }
    assert!(matches!(folded("/users/17/roles.json"), Cow::Borrowed(_)));
    assert!(matches!(folded("/"), Cow::Borrowed(_)));
}

#[test]
fn codes_are_distinct_and_of_one_family() {
    let codes: std::collections::BTreeSet<_> =
        PathRefusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), PathRefusal::ALL.len());
    assert!(codes.iter().all(|code| code.starts_with("ingress.path_")));
}

/// The paths that a careless server might look up for a forwarded path.
fn lenient_readings(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    for _ in 0..3 {
        let bytes = text.as_bytes();
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) if bytes[at] == b'%' => {
                    decoded.push(byte);
                    at += 3;
                }
                _ => {
                    decoded.push(bytes[at]);
                    at += 1;
                }
            }
        }
        text = String::from_utf8_lossy(&decoded).into_owned();
    }
    let text: String = text.nfkc().collect::<String>().replace('\\', "/");
    let text = text.split(['\0', '?', '#']).next().unwrap_or_default().to_lowercase();
    let stripped = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default();
        if name == ".." || name == "." {
            name.to_owned()
        } else {
            name.trim_end_matches(['.', ' ', '\t']).to_owned()
        }
    };
    let resolve = |segments: Vec<String>| {
        let mut kept: Vec<String> = Vec::new();
        for segment in segments {
            match segment.as_str() {
                "" | "." => {}
                ".." => drop(kept.pop()),
                _ => kept.push(segment),
            }
        }
        format!("/{}", kept.join("/"))
    };
    let stripped_first = resolve(text.split('/').map(stripped).collect());
    let resolved_first = resolve(text.split('/').map(str::to_owned).collect());
    let then_stripped = resolve(resolved_first.split('/').map(stripped).collect());
    vec![stripped_first, then_stripped]
}

fn reaches_admin_users(path: &str) -> bool {
    lenient_readings(path)
        .iter()
        .any(|reading| reading == "/admin/users" || reading.starts_with("/admin/users/"))
}

fn assert_no_bypass(path: &str, rules: PathRules) {
    let Ok(canonical_path) = canonical(path, rules) else { return };
    let exact = PathPattern::parse("/admin/users").unwrap();
    let prefix = PathPattern::parse("/admin/**").unwrap();
    let seen = folded(&canonical_path);
    for reading in lenient_readings(&canonical_path) {
        if reading == "/admin/users" {
            assert!(
                exact.matches(&seen),
                "{path} -> {canonical_path} -> {seen} reaches {reading} around the exact rule"
            );
        }
        if reading == "/admin" || reading.starts_with("/admin/") {
            assert!(
                prefix.matches(&seen),
                "{path} -> {canonical_path} -> {seen} reaches {reading} around the prefix"
            );
        }
    }
}

#[test]
fn no_way_around_a_rule_is_left_by_the_suite() {
    let root = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(root.join("path-bypass/paths.json")) else {
        eprintln!("SKIPPED: path-bypass suite not found");
        return;
    };
    let suite: serde_json::Value = serde_json::from_str(&text).unwrap();
    let targets = suite["paths"].as_array().unwrap();
    assert!(targets.len() >= 80);
    let mut reaching = 0;
    for target in targets.iter().map(|entry| entry["target"].as_str().unwrap()) {
        let path = target.strip_prefix("http://localhost").unwrap_or(target);
        let path = path.split('?').next().unwrap();
        assert_no_bypass(path, STRICT);
        reaching += usize::from(reaches_admin_users(path) && canonical(path, STRICT).is_ok());
    }
    assert!(reaching > 20, "the oracle no longer sees the attacks: {reaching}");
    assert!(reaches_admin_users("/public/..;/admin/users"));
}

fn crafted() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "admin",
        "admin",
        "users",
        "users",
        "Admin",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        ";",
        "%3b",
        ";x=1",
        "%20",
        "%2f",
        "%5c",
        "\\",
        "%252e",
        "%25",
        "2e",
        "%61dmin",
        "user%73",
        "a",
        "%c3%a9",
        "%C3%89",
        "%ef%bc%a1",
        "%00",
        "%09",
        "%3f",
        "%23",
        "[",
        "|",
        "%40",
        "@",
        "%c0%ae",
        "%",
        "public",
        "%e2%80%8b",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn canonical_is_idempotent(path in crafted(), lenient in any::<bool>()) {
        let rules = if lenient { LENIENT } else { STRICT };
        if let Ok(once) = canonical(&path, rules) {
            prop_assert_eq!(canonical(&once, rules), Ok(once.clone()));
            prop_assert!(once.starts_with('/') && once.is_ascii());
            prop_assert!(!once.contains("//"));
            let folded_once = folded(&once).into_owned();
            prop_assert_eq!(folded(&folded_once), folded_once.as_str());
        }
    }

    #[test]
    fn no_crafted_path_gets_around_a_rule(path in crafted()) {
        assert_no_bypass(&path, STRICT);
        assert_no_bypass(&path, PathRules { encoded_slash: false, parameters: true });
    }

    #[test]
    fn any_text_is_answered(path in "\\PC*", lenient in any::<bool>()) {
        let rules = if lenient { LENIENT } else { STRICT };
        if let Ok(once) = canonical(&path, rules) {
            prop_assert_eq!(canonical(&once, rules), Ok(once.clone()));
        }
        let _ = folded(&path);
    }
}
