//! Operators on what a suite does not hold: the syntax of expressions, equivalents, arguments that are refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::{Expanding, Operator, OperatorContext, number, pattern::translate};
use crate::files::MemoryFiles;

fn compile(name: &str, argument: &str) -> Result<Operator, String> {
    Operator::compile(name, argument, &MemoryFiles::default())
}

fn matches(name: &str, argument: &str, value: &[u8]) -> bool {
    compile(name, argument).unwrap().matches(value, &mut OperatorContext::default())
}

/// The groups that a match leaves, as text.
fn groups(name: &str, argument: &str, value: &[u8]) -> Vec<Option<String>> {
    let mut context = OperatorContext::for_capturing();
    compile(name, argument).unwrap().matches(value, &mut context);
    let mut groups: Vec<_> = (0..super::GROUPS)
        .map(|index| context.group(index, value).map(|group| String::from_utf8_lossy(group).into_owned()))
        .collect();
    while groups.last() == Some(&None) {
        groups.pop();
    }
    groups
}

#[test]
fn expressions_mean_what_pcre_means() {
    for (pattern, value, expected) in [
        (r"\x{e9}", b"\xe9".as_slice(), true),
        (r"\x{e9}", "é".as_bytes(), false),
        ("é", "é".as_bytes(), true),
        ("[é]", b"\xA9", true),
        (r"\<script\>", b"<script>", true),
        (r"a\/b\-c\_d\@e", b"a/b-c_d@e", true),
        (r"a\vb", b"a\x0Ab", true),
        (r"[\v]", b"\x0D", true),
        (r"\h+$", b"\xA0\t ", true),
        ("a{b", b"a{b", true),
        ("{", b"{", true),
        ("a{,3}", b"a{,3}", true),
        ("^a{2,3}$", b"aaa", true),
        ("^a{2}$", b"aaa", false),
        ("[[]", b"[", true),
        ("[]a]", b"]", true),
        ("[^]a]", b"]", false),
        ("[a&&b]", b"&", true),
        ("[+--]", b",", true),
        (r"[\w-.]", b"-", true),
        (r"[a-\d]", b"-", true),
        (r"[a-z-9]", b"-", true),
        ("[[:alpha:]-]", b"-", true),
        ("[[:^digit:]]", b"5", false),
        ("[~~]", b"~", true),
        (r"\Qa.b[\E.", b"a.b[x", true),
        (r"\Qa.b\E", b"axb", false),
        (r"\0\01\012", b"\x00\x01\x0A", true),
        (r"[\101]", b"A", true),
        (r"\o{101}\cA\e", b"A\x01\x1B", true),
        (r"\x4a\x", b"J\x00", true),
        ("a.b", b"a\nb", true),
        ("^b", b"a\nb", false),
        ("a$", b"a\n", false),
        (r"a\Z", b"a\n", true),
        ("(?i)k", "\u{212A}".as_bytes(), false),
        ("(?i:SELECT)", b"select", true),
        ("(?#comment)a", b"a", true),
        ("(?<name>a)", b"a", true),
        ("(?'name'a)", b"a", true),
        (r"\d", "٣".as_bytes(), false),
        (r"\bé\b", "é".as_bytes(), false),
        (r"[^\x00-\x7f]", b"\xff", true),
        ("", b"", true),
    ] {
        assert_eq!(matches("rx", pattern, value), expected, "`{pattern}` on {}", value.escape_ascii());
    }
}

#[test]
fn what_cannot_run_in_linear_time_is_refused_with_its_reason() {
    for (pattern, reason) in [
        ("a(?=b)", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back reference"),
        (r"(?P<a>x)(?P=a)", "back references"),
        ("a++b", "possessive"),
        ("a{2}+", "possessive"),
        ("(?>a)", "atomic"),
        ("(?R)", "recursion"),
        ("(*ACCEPT)", "verbs"),
        (r"\p{L}", "bytes"),
        (r"\x{20AC}", "above 255"),
        ("(a", "regular expression"),
        ("[a", "never closed"),
        ("a\\", "backslash"),
        ("(?:a{1000}){1000}", "compiled"),
    ] {
        let error = compile("rx", pattern).unwrap_err();
        assert!(error.contains(reason), "`{pattern}`: {error}");
    }
}

#[test]
fn groups_are_those_of_the_match() {
    let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        groups("rx", "(a)(b)?(c)", b"xac"),
        [Some("ac".into()), Some("a".into()), None, Some("c".into())]
    );
    assert_eq!(groups("rx", "(?:^|x)(a)", b"bxa"), some(&["xa", "a"]));
    assert_eq!(groups("rxGlobal", "[a-z]+", b"ab1c2d"), some(&["ab", "c", "d"]));
    assert_eq!(
        groups("rxGlobal", "(.)(.)", b"0123456789"),
        some(&["01", "0", "1", "23", "2", "3", "45", "4", "5", "67"])
    );
    assert_eq!(groups("pm", "foo bar", b"xBARx"), some(&["BAR"]));
    assert_eq!(groups("detectSQLi", "", b"1' or '1'='1"), some(&["s&sos"]));
    assert_eq!(groups("verifyCC", r"\d{13,16}", b"x4417123456789113"), some(&["4417123456789113"]));
    let mut context = OperatorContext::default();
    assert!(compile("rx", "(b)").unwrap().matches(b"abc", &mut context));
    assert_eq!((context.span(), context.group(0, b"abc")), (Some((1, 2)), None));
    assert!(!compile("rx", "x").unwrap().matches(b"abc", &mut context));
    assert_eq!(context.span(), None);
}

#[test]
fn phrases_are_of_any_case_and_may_name_bytes() {
    assert!(matches("pm", "a|20 2F|b", b"xA /Bx"));
    assert!(matches("pm", r"a\|b", b"a|b"));
    assert!(matches("pm", "? =", b"="));
    assert!(!matches("pm", "", b"anything"));
    assert!(compile("pm", "a|2").unwrap_err().contains("no second"));
    assert!(compile("pm", "|2x|").unwrap_err().contains("hexadecimal"));
    let mut files = MemoryFiles::default();
    files.insert("list.data", b"# comment\r\nfoo \r\n\n  # also\n   \nb#r".to_vec());
    let operator = Operator::compile("pmFromFile", "list.data", &files).unwrap();
    let phrases: Vec<_> = operator.phrases().unwrap().iter().map(|phrase| phrase.to_vec()).collect();
    assert_eq!(phrases, [b"foo ".to_vec(), b"b#r".to_vec()]);
    assert!(Operator::compile("pmf", "none.data", &files).unwrap_err().contains("cannot read `none.data`"));
}

#[test]
fn addresses_are_matched_in_files_and_lists() {
    assert!(matches("ipMatch", "192.0.2.1, 2001:db8::/32", b"2001:db8::1"));
    assert!(matches("ipMatch", "192.0.2.1", b"::ffff:192.0.2.1"));
    assert!(matches("ipMatch", "::ffff:192.0.2.0/120", b"192.0.2.9"));
    assert!(!matches("ipMatch", "192.0.2.1", b"192.0.2.1 "));
    assert!(!matches("ipMatch", "0.0.0.0/0", b"localhost"));
    assert!(compile("ipMatch", "").unwrap_err().contains("needs an address"));
    assert!(compile("ipMatch", "host.example").unwrap_err().contains("no address"));
    let many: String = (0..40).map(|host| format!("10.0.{host}.0/24 # office\n")).collect();
    let mut files = MemoryFiles::default();
    files.insert("nets", many.into_bytes());
    let operator = Operator::compile("ipMatchFromFile", "nets", &files).unwrap();
    let mut context = OperatorContext::default();
    assert!(operator.matches(b"10.0.39.255", &mut context));
    assert!(!operator.matches(b"10.0.40.0", &mut context));
    files.insert("nets", b"10.0.0.1\nx\n".to_vec());
    assert!(Operator::compile("ipMatchF", "nets", &files).unwrap_err().contains("nets:2"));
}

#[test]
fn texts_are_compared_byte_for_byte() {
    assert!(matches("within", "|GET| |POST|", b"|POST|"));
    assert!(!matches("within", "GET POST", b"PUT"));
    assert!(matches("containsWord", "or", b"1 or 1"));
    assert!(matches("containsWord", "or", b"1or1"));
    assert!(!matches("containsWord", "or", b"order"));
    assert!(!matches("streq", "a", b"A"));
    assert!(matches("endsWith", ".php", b"x.php"));
}

#[test]
fn numbers_are_what_a_text_begins_with() {
    assert_eq!(number(b" \t-12abc"), -12);
    assert_eq!(number(b"+7"), 7);
    assert_eq!(number(b"x"), 0);
    assert_eq!(number(b"99999999999999999999"), i64::MAX);
    assert_eq!(number(b"-99999999999999999999"), i64::MIN);
    assert!(matches("gt", "5", b"10 apples"));
}

#[test]
fn malformed_values_are_found_where_they_are() {
    let span = |name, argument, value: &[u8]| {
        let mut context = OperatorContext::default();
        compile(name, argument).unwrap().matches(value, &mut context).then(|| context.span().unwrap())
    };
    assert_eq!(span("validateByteRange", "32-36,38-126", b"ab%c"), Some((2, 3)));
    assert_eq!(span("validateByteRange", "9,10,13,32-126,128-255", b"a\tb\xff"), None);
    assert!(compile("validateByteRange", "5-300").unwrap_err().contains("no range"));
    assert!(compile("validateByteRange", "9-5").unwrap_err().contains("no range"));
    assert_eq!(span("validateUrlEncoding", "", b"a%41%4"), Some((4, 6)));
    assert_eq!(span("validateUtf8Encoding", "", b"ab\xC0\xAF"), Some((2, 3)));
    assert_eq!(span("validateUtf8Encoding", "", b"\xED\xA0\x80").map(|(start, _)| start), Some(0));
    assert_eq!(span("validateUtf8Encoding", "", b"\xF4\x90\x80\x80").map(|(start, _)| start), Some(0));
}

#[test]
fn macros_are_expanded_by_the_caller() {
    let mut context = OperatorContext::for_capturing();
    let mut test = |name: &str, argument: &[u8], value: &[u8]| {
        let found = Expanding::compile(name).unwrap().matches(argument, value, &mut context);
        (found, context.group(1, value).map(<[u8]>::to_vec), context.expanded.len())
    };
    assert!(test("within", b"GET POST", b"POST").0);
    assert!(!test("within", b"GET", b"POST").0);
    assert!(test("ge", b"5", b"7").0);
    assert!(test("ipMatch", b"10.0.0.0/8", b"10.1.1.1").0);
    for argument in ["^a+$", "^b(c)$", "^a+$"] {
        assert_eq!(test("rx", argument.as_bytes(), b"aaa").0, argument == "^a+$");
    }
    assert_eq!(test("rx", b"^b(c)$", b"bc").1.as_deref(), Some(b"c".as_slice()));
    assert!(!test("rx", b"(", b"(").0);
    assert!(Expanding::compile("detectSQLi").unwrap_err().contains("macros"));
    // What a client can vary does not pile up.
    for index in 0..200 {
        let text = index.to_string();
        let (found, _, kept) = test("rx", text.as_bytes(), text.as_bytes());
        assert!(found && kept <= 32);
    }
}

/// What a worker builds while it searches stays within its budget, whatever is searched for.
/// What is too large says so when rules are loaded, though most expressions are compiled only when they are needed.
#[test]
fn expressions_that_are_too_large_are_refused_at_once() {
    for (pattern, fits) in [
        ("a{1000}", true),
        ("(?:a{100}b){40}", true),
        ("[a-z]{3,5000}", true),
        ("(?:[a-z]{1000}){1000}", false),
        ("(?:(?:x{200}){200}){9}", false),
        (&format!("(?:{}){{900}}", "word|".repeat(300)), false),
    ] {
        let compiled = compile("rx", pattern);
        assert_eq!(compiled.is_ok(), fits, "{pattern}");
        match compiled {
            Ok(operator) => assert!(!operator.matches(b"-", &mut OperatorContext::default())),
            Err(error) => assert!(error.contains("use smaller repetitions"), "{error}"),
        }
    }
}

#[test]
fn automata_of_many_expressions_stay_small() {
    let operators: Vec<_> = (0..200)
        .map(|index| compile("rx", &format!("(?i)[a-f]{{3}}.{{0,30}}x{index}y[0-9]{{2,9}}")).unwrap())
        .collect();
    let mut context = OperatorContext::for_capturing();
    let mut state = 1_u32;
    let mut value = Vec::new();
    for _ in 0..4000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value.push(b"abcdefxy0123456789"[(state >> 16) as usize % 18]);
    }
    value.extend_from_slice(b"abc x77y123 abc x199y45");
    for _ in 0..2 {
        for (index, operator) in operators.iter().enumerate() {
            let found = operator.matches(&value, &mut context);
            assert!(found || !matches!(index, 77 | 199), "{index}");
            assert!(context.automata.bytes() <= 8 << 20, "{}", context.automata.bytes());
        }
    }
}

#[test]
fn what_is_refused_is_refused_by_name() {
    for (name, reason) in [
        ("inspectFile", "files of the host"),
        ("fuzzyHash", "files of the host"),
        ("gsbLookup", "has ended"),
        ("rsub", "rewrite"),
        ("validateHash", "content injection"),
        ("validateSchema", "OpenAPI"),
        ("validateDTD", "definitions are refused"),
        ("nothing", "there is no operator `@nothing`"),
    ] {
        assert!(compile(name, "x").unwrap_err().contains(reason), "{name}");
    }
    for name in ["geoLookup", "rbl"] {
        let operator = compile(name, "x").unwrap();
        assert!(operator.limitation().is_some());
        assert!(!operator.matches(b"192.0.2.1", &mut OperatorContext::default()));
    }
    assert!(compile("rx", "a").unwrap().limitation().is_none());
}

#[test]
fn a_possessive_quantifier_that_changes_nothing_is_read_as_one_that_gives_back() {
    let pattern = r#"(?i:["'`]\s*?(?:[^?\w\s=.,;)(]++\s*?[(@\"'`]*?\s*?\w+\W+\w))"#;
    assert!(matches("rx", pattern, b"'-'('x y"));
    assert!(!matches("rx", pattern, b"'x y"));
}

/// The three expressions as the rule files of the Core Rule Set 3.3.4 have them.
const PHP_TAG: &str = r"<\?(?!xml)";
const FILE_NAME: &str = r#"(?<!&(?:[aAoOuUyY]uml)|&(?:[aAeEiIoOuU]circ)|&(?:[eEiIoOuUyY]acute)|&(?:[aAeEiIoOuU]grave)|&(?:[cC]cedil)|&(?:[aAnNoO]tilde)|&(?:amp)|&(?:apos));|['\"=]"#;
const TAUTOLOGY: &str = r#"(?i:[\s'\"`()]*?\b([\d\w]+)\b[\s'\"`()]*?(?:<(?:=(?:[\s'\"`()]*?(?!\b\1\b)[\d\w]+|>[\s'\"`()]*?(?:\b\1\b))|>?[\s'\"`()]*?(?!\b\1\b)[\d\w]+)|(?:not\s+(?:regexp|like)|is\s+not|>=?|!=|\^)[\s'\"`()]*?(?!\b\1\b)[\d\w]+|(?:(?:sounds\s+)?like|r(?:egexp|like)|=)[\s'\"`()]*?(?:\b\1\b)))"#;

#[test]
fn three_expressions_of_an_older_rule_set_have_equivalents() {
    for (pattern, value, expected) in [
        (PHP_TAG, "<?php", Some("<?")),
        (PHP_TAG, "<?xml ?>", None),
        (PHP_TAG, "<?xml <?", Some("<?")),
        (FILE_NAME, "a.txt", None),
        (FILE_NAME, "a;b", Some(";")),
        (FILE_NAME, "b&auml;r&amp;&apos;&Ntilde;", None),
        (FILE_NAME, "&auml;;", Some(";")),
        (FILE_NAME, "&xuml;", Some(";")),
        (FILE_NAME, "a\"b", Some("\"")),
        (TAUTOLOGY, "1=1", Some("1=1")),
        (TAUTOLOGY, "1=2", None),
        (TAUTOLOGY, "x 'a' LIKE 'A'", Some(" 'a' LIKE 'A")),
        (TAUTOLOGY, "a like b", None),
        (TAUTOLOGY, "a not like b", Some("a not like b")),
        (TAUTOLOGY, "a not like a", None),
        (TAUTOLOGY, "1 <> 2", Some("1 <> 2")),
        (TAUTOLOGY, "1 <=> 1", Some("1 <=> 1")),
        (TAUTOLOGY, "1 <=> 2", None),
        (TAUTOLOGY, "1 <= 1", None),
        (TAUTOLOGY, "a sounds like a", Some("a sounds like a")),
        (TAUTOLOGY, "a is nothing", Some("a is nothing")),
        (TAUTOLOGY, "id=5", None),
        (TAUTOLOGY, "", None),
    ] {
        let found = groups("rx", pattern, value.as_bytes());
        assert_eq!(found.first().and_then(|group| group.as_deref()), expected, "`{pattern}` on `{value}`");
    }
    assert_eq!(groups("rx", TAUTOLOGY, b"x or abc=ABC")[1].as_deref(), Some("abc"));
    assert!(compile("rx", PHP_TAG).unwrap().expression().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Translation never panics, and what it lets through is ASCII.
    #[test]
    fn any_text_is_translated_or_refused(pattern in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(expression) = translate(&pattern) {
            prop_assert!(expression.is_ascii());
        }
    }

    /// A text with every byte that means something escaped matches itself alone.
    #[test]
    fn escaped_text_is_itself(text in prop::collection::vec(any::<u8>(), 1..20), other in prop::collection::vec(any::<u8>(), 1..20)) {
        let mut pattern = String::from(r"\A");
        for byte in &text {
            pattern.push_str(&format!("\\x{{{byte:02x}}}"));
        }
        pattern.push_str(r"\z");
        prop_assert!(matches("rx", &pattern, &text));
        prop_assert_eq!(matches("rx", &pattern, &other), text == other);
    }

    /// No operator panics on any bytes, and every span lies within the value.
    #[test]
    fn any_value_is_tested(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut context = OperatorContext::for_capturing();
        for (name, argument) in [
            ("rx", r"(\w+)[^a]*(.)?"), ("rx", PHP_TAG), ("rx", FILE_NAME), ("rx", TAUTOLOGY), ("rxGlobal", r"\w*"),
            ("pm", "a bc"), ("ipMatch", "10.0.0.0/8"), ("contains", "a"), ("containsWord", "a"), ("within", "abc"),
            ("detectSQLi", ""), ("detectXSS", ""), ("validateByteRange", "1-127"), ("validateUrlEncoding", ""),
            ("validateUtf8Encoding", ""), ("verifyCC", r"\d+"), ("verifySSN", r"[\d-]+"), ("verifyCPF", ".*"),
            ("verifySVNR", r"\d*"), ("eq", "1"),
        ] {
            if compile(name, argument).unwrap().matches(&value, &mut context)
                && let Some((start, end)) = context.span()
            {
                prop_assert!(start <= end && end <= value.len(), "{} {}", name, argument);
            }
        }
    }
}
