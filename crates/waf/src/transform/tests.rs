//! Transformations on what a suite does not hold: the proofs of no change, bounds, the corners of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::{ByteSet, Chain, Letters, Transformation};

fn transform(name: &str, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let changed = Transformation::by_name(name).expect(name).apply(input, &mut out);
    if changed { out } else { input.to_vec() }
}

fn expect(name: &str, cases: &[(&[u8], &[u8])]) {
    for (input, output) in cases {
        assert_eq!(
            transform(name, input).escape_ascii().to_string(),
            output.escape_ascii().to_string(),
            "{name} of {}",
            input.escape_ascii()
        );
    }
}

#[test]
fn names_are_found_in_any_case_and_under_their_aliases() {
    for transformation in Transformation::ALL {
        assert_eq!(Transformation::by_name(transformation.name()), Some(*transformation));
        assert_eq!(Transformation::by_name(&transformation.name().to_uppercase()), Some(*transformation));
    }
    assert_eq!(Transformation::by_name("normalizePath"), Some(Transformation::NormalisePath));
    assert_eq!(Transformation::by_name("normalizePathWin"), Some(Transformation::NormalisePathWin));
    assert_eq!(Transformation::by_name("lower"), None);
    assert_eq!(Transformation::by_name(""), None);
}

#[test]
fn white_space_is_what_c_has_it_and_the_two_bytes_of_the_non_breaking_space() {
    expect(
        "removeWhitespace",
        &[(b"a \t\x0b\x0c\r\nb", b"ab"), (b"a\xC2\xA0b", b"ab"), (b"a\x85b", b"a\x85b")],
    );
    expect("compressWhitespace", &[(b"a \t b", b"a b"), (b"a\tb", b"a b"), (b"a\xA0b", b"a\xA0b")]);
    expect("trim", &[(b" \x0b ", b""), (b"\na b\r\n", b"a b")]);
}

#[test]
fn comments_end_where_modsecurity_ends_them() {
    expect(
        "removeComments",
        &[
            (b"a/*b*/c", b"ac"),
            (b"a/*b*/", b"a\0"),
            (b"a/*b-->c", b"ac"),
            (b"a<!-- b */c", b"ac"),
            (b"a--b", b"a"),
            (b"a#b", b"a"),
            (b"a/*", b"a "),
            (b"a/*/b", b"a "),
            (b"/**//**/x", b"/**/x"),
        ],
    );
    expect("replaceComments", &[(b"a/**/b/*", b"a b "), (b"/*/", b" "), (b"*/", b"*/")]);
    expect("removeCommentsChar", &[(b"a/**/b<!---->c-->d--e#f", b"abcdef"), (b"//**", b"/*")]);
}

#[test]
fn a_shell_reads_through_what_it_drops() {
    expect(
        "cmdLine",
        &[
            (b"c^a\"t /etc/pass'wd", b"cat/etc/passwd"),
            (b"a,;\t \r\nb", b"a b"),
            (b"x ( y", b"x( y"),
            (b"a\x0bb", b"a\x0bb"),
        ],
    );
}

#[test]
fn urls_are_decoded_once() {
    expect("urlDecode", &[(b"%2541", b"%41"), (b"%u0041", b"%u0041"), (b"a+b", b"a b"), (b"%4", b"%4")]);
    expect(
        "urlDecodeUni",
        &[
            (b"%u0041%U0062", b"Ab"),
            (b"%uFF07%uff5e%uff5f", b"'~\x5f"),
            (b"%u004", b"%u004"),
            (b"%u00%41", b"%u00A"),
            (b"%%41", b"%A"),
        ],
    );
}

#[test]
fn entities_need_no_semicolon() {
    expect(
        "htmlEntityDecode",
        &[
            (b"&lt;&GT&quot;&amp;lt;", b"<>\"&lt;"),
            (b"&ltx;", b"&ltx;"),
            (b"&#60&#x3c;&#X3C", b"<<<"),
            (b"&#99999999999999999999;", b"\xFF"),
            (b"&#", b"&#"),
            (b"&#x", b"&#x"),
            (b"&", b"&"),
            (b"&&lt;", b"&<"),
            (b"&#x&#65;", b"&#xA"),
        ],
    );
}

#[test]
fn escapes_end_where_their_digits_do() {
    expect(
        "jsDecode",
        &[(br"\u0061\x62\143\n\q\\", b"abc\nq\\"), (br"\400", b" 0"), (br"\uff1c", b"<"), (br"\8", b"8")],
    );
    expect(
        "cssDecode",
        &[(br"ja\vascript", b"javascript"), (br"\6a  x", b"j x"), (br"\00ff1cx", b"<x"), (br"a\", b"a")],
    );
    expect("escapeSeqDecode", &[(br"\x41\101\?\q\", b"AA?q\\"), (br"\501", b"A")]);
}

#[test]
fn base64_stops_or_skips() {
    expect(
        "base64Decode",
        &[(b"QUJD", b"ABC"), (b"QU\nJD", b"ABC"), (b"QUJD*QUJD", b"ABC"), (b"QUI=", b"AB"), (b"Q", b"")],
    );
    expect("base64DecodeExt", &[(b"Q.U*J D", b"ABC"), (b"-_-_", b"\xFB\xFF\xBF"), (b"QUJD9", b"ABC")]);
    expect("base64Encode", &[(b"ABCD", b"QUJDRA=="), (b"AB", b"QUI=")]);
}

#[test]
fn sql_literals_are_found_anywhere() {
    expect(
        "sqlHexDecode",
        &[(b"a 0x4142 0X43 0xz 00x44", b"a AB C 0xz 0D"), (b"abc", b"abc"), (b"0x414", b"A4")],
    );
}

#[test]
fn paths_lose_what_leads_nowhere() {
    expect(
        "normalisePath",
        &[
            (b"/a/./b/../c", b"/a/c"),
            (b"/../../etc", b"/etc"),
            (b"a/..", b""),
            (b"/", b"/"),
            (b"//", b"/"),
            (b"/a/..", b""),
        ],
    );
    expect("normalisePathWin", &[(b"\\a\\..\\b", b"/b"), (b"a\\\\\\b", b"a/b")]);
}

#[test]
fn characters_above_ascii_are_spelt_out() {
    expect(
        "utf8toUnicode",
        &[
            ("é€".as_bytes(), b"%u00e9%u20ac"),
            ("\u{1F600}".as_bytes(), b"%u1f600"),
            (b"\xE9", b""),
            (b"a\xE9b", b"ab"),
            (b"a\0b", b"ab"),
            (b"\xC0\xAF", b"%u002f\xC0"),
            (b"\x80", b"\x80"),
            (b"\xED\xA0\x80", b"%ud800\xED"),
        ],
    );
}

#[test]
fn none_empties_a_chain() {
    use Transformation::{Lowercase, None, RemoveNulls, UrlDecodeUni};
    let chain = Chain::new([Lowercase, None, UrlDecodeUni, RemoveNulls]);
    assert_eq!(chain.steps(), [UrlDecodeUni, RemoveNulls]);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert_eq!(chain.apply(b"a%00B", &mut first, &mut second), b"aB");
    assert_eq!(chain.apply(b"aB", &mut first, &mut second), b"aB");
    assert!(!chain.may_change(&ByteSet::of(b"plain")));
    assert!(chain.may_change(&ByteSet::of(b"100%")));
}

/// Bytes that mean something to some transformation, among others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(
        b"%+&#;xXuU0123456789abcdefABCDEF\\/.*-<>!'\"^,()[]=_ \t\n\r\0\xA0\xC2\x80\xE2\xED\xF0\xF5\xFFquotamplt".to_vec(),
    );
    prop::collection::vec(prop_oneof![8 => telling, 1 => any::<u8>()], 0..64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_proved_unchanged_is_unchanged(input in text()) {
        let bytes = ByteSet::of(&input);
        prop_assert_eq!(bytes.is_empty(), input.is_empty());
        for transformation in Transformation::ALL {
            let mut out = Vec::new();
            let changed = transformation.apply(&input, &mut out);
            let bound = (input.len() * transformation.growth()).max(20);
            if changed {
                prop_assert!(transformation.may_change(&bytes), "{}", transformation.name());
                prop_assert_ne!(&out, &input, "{}", transformation.name());
                prop_assert!(out.len() <= bound, "{} grew {} to {}", transformation.name(), input.len(), out.len());
            }
        }
    }

    #[test]
    fn bounded_transformations_add_no_kind_but_those_that_follow(input in text()) {
        let has = Letters::of(&input);
        let plain = !has.kinds().any(ByteSet::PERCENT);
        for transformation in Transformation::ALL {
            let decodes = matches!(transformation, Transformation::UrlDecode | Transformation::UrlDecodeUni);
            let mut out = Vec::new();
            if (transformation.is_bounded() || decodes && plain) && transformation.apply(&input, &mut out) {
                let (name, after) = (transformation.name(), Letters::of(&out));
                prop_assert!(after.within(has.after_bounded()), "{name} of {}", input.escape_ascii());
                prop_assert!(after.kinds().within(has.kinds().after_bounded()), "{name}");
                prop_assert!(out.len() <= input.len(), "{name} of {}", input.escape_ascii());
            }
        }
    }

    /// What comes before the first change is copied as it is; that makes no difference.
    #[test]
    fn short_cuts_change_nothing(input in text()) {
        for (name, before, after) in [("cmdLine", b"A".as_slice(), b"a".as_slice()), ("compressWhitespace", b"\tz", b" z")] {
            prop_assert_eq!(transform(name, &[before, &input].concat()), [after, &transform(name, &input)].concat());
        }
        for (name, win) in [("normalisePath", false), ("normalisePathWin", true)] {
            let mut out = Vec::new();
            let resolved = if super::path::resolve(&input, &mut out, win) { out } else { input.clone() };
            prop_assert_eq!(transform(name, &input), resolved);
        }
    }

    #[test]
    fn encodings_are_undone(input in prop::collection::vec(any::<u8>(), 0..64)) {
        for (encode, decode) in [("hexEncode", "hexDecode"), ("base64Encode", "base64Decode"), ("urlEncode", "urlDecode")] {
            prop_assert_eq!(&transform(decode, &transform(encode, &input)), &input);
        }
    }

    #[test]
    fn a_chain_is_its_steps(input in text(), picks in prop::collection::vec(0..Transformation::ALL.len(), 0..5)) {
        let steps: Vec<_> = picks.iter().map(|pick| Transformation::ALL[*pick]).collect();
        let chain = Chain::new(steps);
        let expected = chain.steps().iter().fold(input.clone(), |value, step| transform(step.name(), &value));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        prop_assert_eq!(chain.apply(&input, &mut first, &mut second), expected);
    }
}

/// Twenty times the input does not take four hundred times as long, for each transformation on texts made to hurt it.
#[test]
fn time_is_linear() {
    let hostile: [&[u8]; 14] = [
        b"/*", b"*/", b"<!--", b"-", b"../", b"a/../", b"&#x", b"&a", b"\\", b"%u", b"0x", b"[", b" ", b"[]",
    ];
    for transformation in Transformation::ALL {
        for unit in hostile {
            let run = |length: usize| {
                let input: Vec<u8> = unit.iter().copied().cycle().take(length).collect();
                let mut out = Vec::with_capacity(length * 4);
                let best = (0..3).map(|_| {
                    let start = std::time::Instant::now();
                    transformation.apply(&input, &mut out);
                    start.elapsed()
                });
                best.min().unwrap()
            };
            let (small, large) = (run(4_000), run(80_000));
            assert!(
                large <= small * 200 + std::time::Duration::from_millis(20),
                "{} on {:?}: {small:?} for 4 kB, {large:?} for 80 kB",
                transformation.name(),
                unit.escape_ascii().to_string()
            );
        }
    }
}
