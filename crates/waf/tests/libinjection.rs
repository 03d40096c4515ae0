//! The detectors of injection against libinjection: its own test files, its lines of data, mutations of them, and
//! random texts, the latter three with its port to Rust as the oracle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bartizan_waf::inject;
use proptest::prelude::*;

/// The folder of the suite, or one loud line where there is none.
fn suite() -> Option<PathBuf> {
    let suites = std::env::var_os("BARTIZAN_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"), PathBuf::from);
    let folder = suites.join("libinjection");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: no suite at {}", folder.display());
    None
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect()
}

/// The input and the expectation of a test file, both without white space at the end.
fn sections(content: &[u8]) -> (&[u8], &[u8]) {
    let after = |mark: &[u8]| {
        content.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len()).unwrap()
    };
    let (input, expected) = (after(b"--INPUT--\n"), after(b"--EXPECTED--\n"));
    let input = &content[input..expected - b"--EXPECTED--\n".len()];
    (input.strip_suffix(b"\n").unwrap_or(input), content[expected..].trim_ascii_end())
}

fn oracle_sqli(value: &[u8]) -> Option<Vec<u8>> {
    let result = libinjectionrs::detect_sqli(value);
    result.is_injection().then(|| result.fingerprint.as_ref().unwrap().as_str().as_bytes().to_vec())
}

fn ours_sqli(value: &[u8]) -> Option<Vec<u8>> {
    inject::sqli(value).map(|fingerprint| fingerprint.as_bytes().to_vec())
}

/// Both detectors agree with the oracle on a value.
fn agrees(value: &[u8]) -> Result<(), String> {
    let (ours, theirs) = (ours_sqli(value), oracle_sqli(value));
    if ours != theirs {
        return Err(format!("sqli {:?}: {ours:?}, not {theirs:?}", value.escape_ascii().to_string()));
    }
    let (ours, theirs) = (inject::xss(value), libinjectionrs::detect_xss(value).is_injection());
    if ours != theirs {
        return Err(format!("xss {:?}: {ours}, not {theirs}", value.escape_ascii().to_string()));
    }
    if inject::harmless(value) && (oracle_sqli(value).is_some() || theirs) {
        return Err(format!("{:?} is held to be harmless", value.escape_ascii().to_string()));
    }
    Ok(())
}

/// The tokens of markup, as the parser sees them that judges it.
fn html_tokens(input: &[u8]) -> Vec<Vec<u8>> {
    use libinjectionrs::xss::{Html5Flags, Html5State};
    let mut state = Html5State::new(input, Html5Flags::DataState);
    std::iter::from_fn(|| {
        state.next().then(|| {
            let text = &state.token_start[..state.token_len];
            [format!("{},{},", state.token_type, state.token_len).as_bytes(), text].concat()
        })
    })
    .collect()
}

#[test]
fn test_files() {
    let Some(folder) = suite() else { return };
    let mut score: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    for (name, content) in files(&folder.join("tests")) {
        let (input, expected) = sections(&content);
        let kind = ["test-sqli", "test-tokens", "test-folding", "test-html5"]
            .into_iter()
            .find(|kind| name.starts_with(kind))
            .unwrap();
        let result = match kind {
            "test-sqli" => ours_sqli(input).unwrap_or_default(),
            "test-tokens" => inject::sql_tokens(input, false, false).join(&b'\n'),
            "test-folding" => inject::sql_tokens(input, false, true).join(&b'\n'),
            _ => html_tokens(input).join(&b'\n'),
        };
        // A token without text leaves a space at the end of its line.
        let lines = |text: &[u8]| {
            text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_vec()).collect::<Vec<_>>()
        };
        let (passed, all) = score.entry(kind).or_default();
        *all += 1;
        if lines(result.trim_ascii_end()) == lines(expected) {
            *passed += 1;
        } else {
            failures.push(format!("{name}: {}\nnot {}", result.escape_ascii(), expected.escape_ascii()));
        }
    }
    let sum = score.values().fold((0, 0), |sum, (passed, all)| (sum.0 + passed, sum.1 + all));
    println!("libinjection test files: {} of {}: {score:?}", sum.0, sum.1);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(sum.1, 480);
}

/// Every line of data, as it is and decoded.
fn lines(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    for (name, content) in files(&folder.join("data")) {
        for line in
            content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        {
            lines.push((name.clone(), line.to_vec()));
            let mut decoded = Vec::new();
            if bartizan_waf::transform::Transformation::UrlDecode.apply(line, &mut decoded) {
                lines.push((name.clone(), decoded));
            }
        }
    }
    lines
}

#[test]
fn lines_of_data() {
    let Some(folder) = suite() else { return };
    let lines = lines(&folder);
    let failures: Vec<_> = lines.iter().filter_map(|(_, line)| agrees(line).err()).collect();
    let found = |prefix: &str, found: fn(&[u8]) -> bool| {
        let of_kind = || lines.iter().filter(|(name, _)| name.starts_with(prefix));
        (of_kind().filter(|(_, line)| found(line)).count(), of_kind().count())
    };
    println!(
        "libinjection data: {} lines, {} differ; sqli found in {:?}, xss in {:?}, false positives {:?}",
        lines.len(),
        failures.len(),
        found("sqli", |line| inject::sqli(line).is_some()),
        found("xss", inject::xss),
        found("false", |line| inject::sqli(line).is_some()),
    );
    assert!(failures.is_empty(), "{}", failures[..failures.len().min(20)].join("\n"));
}

/// Bytes and words that mean something in SQL or HTML.
const PIECES: &[&[u8]] = &[
    b"'",
    b"\"",
    b"`",
    b"\\",
    b" ",
    b"  ",
    b"\t",
    b"\n",
    b"\0",
    b"\xA0",
    b"\x0b",
    b"-",
    b"--",
    b"-- ",
    b"#",
    b"/*",
    b"*/",
    b"/*!",
    b"/",
    b"*",
    b"+",
    b"!",
    b"!!",
    b"~",
    b"%",
    b"^",
    b"&",
    b"&&",
    b"|",
    b"||",
    b"=",
    b"<",
    b">",
    b"<=>",
    b"<>",
    b":=",
    b"::",
    b":",
    b"(",
    b")",
    b"((",
    b"))",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b";",
    b".",
    b"?",
    b"@",
    b"@@",
    b"$",
    b"$$",
    b"$a$",
    b"0",
    b"1",
    b"12.5",
    b".5",
    b"1e5",
    b"1e",
    b"0x1F",
    b"0x",
    b"0b01",
    b"1d",
    b"1f",
    b"9U",
    b"$1,000.5",
    b"a",
    b"x",
    b"foo",
    b"bar_baz",
    b"\xe9",
    b"union",
    b"UNION ALL",
    b"select",
    b"SELECT",
    b"from",
    b"where",
    b"or",
    b"OR",
    b"and",
    b"not",
    b"NOT",
    b"in",
    b"IN",
    b"like",
    b"is",
    b"null",
    b"into",
    b"into outfile",
    b"user",
    b"USER",
    b"password",
    b"database",
    b"current_user",
    b"user_id",
    b"if",
    b"IF",
    b"case",
    b"int",
    b"varchar",
    b"binary",
    b"collate",
    b"utf8_bin",
    b"order by",
    b"group",
    b"having",
    b"limit",
    b"sleep",
    b"benchmark",
    b"waitfor delay",
    b"exec",
    b"declare",
    b"sp_password",
    b"lock in share mode",
    b"select.",
    b"`id`",
    b"b'01'",
    b"x'1F'",
    b"n'a'",
    b"q'(a)'",
    b"nq'[a]'",
    b"e'a'",
    b"u&'a'",
    b"\\N",
    b"sounds like",
    b"between",
    b"true",
    b"div",
    b"mod",
    b"<a",
    b"<a ",
    b"</a>",
    b"<script>",
    b"<svg",
    b"<x:xsl",
    b"<!--",
    b"-->",
    b"<!",
    b"<?",
    b"<%",
    b"%>",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE",
    b"<!ENTITY",
    b"[if",
    b"xml",
    b"import",
    b"href",
    b"src=",
    b"onload=",
    b"onerror",
    b"style=",
    b"xmlns",
    b"xlink:href=",
    b"by=",
    b"attributename=",
    b"javascript:",
    b"JaVaScRiPt",
    b"data:",
    b"vbscript",
    b"view-source",
    b"&#106;",
    b"&#x6A",
    b"&#x",
    b"&#",
    b"/>",
    b"!>",
    b"--!>",
];

/// A small random number generator with a seed, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }
}

#[test]
fn mutations_and_random_texts() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut values: Vec<Vec<u8>> = Vec::new();
    for _ in 0..60_000 {
        let count = 1 + random.below(8);
        values.push((0..count).flat_map(|_| PIECES[random.below(PIECES.len())]).copied().collect());
    }
    for _ in 0..20_000 {
        let count = random.below(24);
        values.push((0..count).map(|_| random.below(256).to_le_bytes()[0]).collect());
    }
    if let Some(folder) = suite() {
        let lines = lines(&folder);
        for _ in 0..60_000 {
            let mut line = lines[random.below(lines.len())].1.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(line.len() + 1);
                let end = (at + random.below(3)).min(line.len());
                line.splice(at..end, PIECES[random.below(PIECES.len())].iter().copied());
            }
            values.push(line);
        }
    }
    let failures: Vec<_> = values.iter().filter_map(|value| agrees(value).err()).collect();
    let harmless = values.iter().filter(|value| inject::harmless(value)).count();
    println!(
        "libinjection oracle: {} texts, {} differ, {harmless} harmless by shape",
        values.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures[..failures.len().min(20)].join("\n"));
}

/// What is harmless by its shape is so for the oracle: on texts of the kinds that the shape allows.
#[test]
fn harmless_shapes_are_harmless() {
    let words = [
        "union", "select", "or", "and", "1", "0x1F", "12d", "1e", "0b1", "0b01", "0b012", "int", "user",
        "null", "a", "_utf8", "é", "9", "N", "x", "in",
    ];
    let marks = ["", "", "", ";", ".", "-", ":", "/", "+", " ", "_", ",", "@", "%"];
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let mut harmless = 0;
    for _ in 0..200_000 {
        let value: String = (0..=random.below(6))
            .flat_map(|_| [words[random.below(words.len())], marks[random.below(marks.len())]])
            .collect();
        if inject::harmless(value.as_bytes()) {
            harmless += 1;
            assert_eq!(oracle_sqli(value.as_bytes()), None, "{value}");
            assert!(!libinjectionrs::detect_xss(value.as_bytes()).is_injection(), "{value}");
        }
    }
    println!("libinjection: {harmless} of 200000 texts of plain words and marks are harmless by shape");
    assert!(harmless > 10_000);
}

#[test]
fn values_of_every_day_are_harmless_by_shape() {
    for value in [
        "",
        "john",
        "12345",
        "-12.50",
        "2024-01-31",
        "10:20:30",
        "2024/01/31 10:20",
        "+49 30 1234567",
        "1,2;3",
        "c0ffee",
        "foo_bar2",
        "Grüße",
    ] {
        assert!(inject::harmless(value.as_bytes()), "{value}");
    }
    for value in ["1--", "a'b", "<b>", "a=b", "--", "/*", "1/*"] {
        assert!(!inject::harmless(value.as_bytes()), "{value}");
    }
}

/// Long texts made to hurt cost little more per byte than short ones: a twentyfold text must not take four hundred
/// times as long, with room for a busy machine.
#[test]
fn time_is_linear() {
    for unit in [
        "'", "\"", "/*", "select.", "$a", "1+", "<a ", "a=", "`", "{`a", "(", "--", "&#x4", "in.", "@", "x'",
        "`a`.", "1,", "\\'", "<!-", "<a b=c", "on", "-\0",
    ] {
        let run = |length: usize| {
            let value: Vec<u8> = unit.bytes().cycle().take(length).collect();
            let best = (0..5).map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box((inject::sqli(&value), inject::xss(&value)));
                start.elapsed()
            });
            best.min().unwrap()
        };
        let (small, large) = (run(2_000), run(40_000));
        assert!(
            large <= small * 200 + std::time::Duration::from_millis(20),
            "{unit:?}: {small:?} for 2 kB, {large:?} for 40 kB"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_bytes_are_judged_alike(value in prop::collection::vec(any::<u8>(), 0..48)) {
        prop_assert_eq!(agrees(&value), Ok(()));
    }
}
