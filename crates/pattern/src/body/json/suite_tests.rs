//! The public JSONTestSuite: what must be read is read, what must not is not, and what may be either is written down.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{collections::BTreeMap, path::PathBuf};

use super::*;

/// Where RFC 8259 leaves it open, and why each is decided as it is: numbers are text, of the range of a double; text is
/// UTF-8 without a mark, and has no half characters. docs/contracts.md tells it.
const OPEN: [(&str, Option<JsonProblem>); 35] = [
    ("i_number_double_huge_neg_exp.json", None),
    ("i_number_huge_exp.json", Some(JsonProblem::NumberTooLarge)),
    ("i_number_neg_int_huge_exp.json", Some(JsonProblem::NumberTooLarge)),
    ("i_number_pos_double_huge_exp.json", Some(JsonProblem::NumberTooLarge)),
    ("i_number_real_neg_overflow.json", Some(JsonProblem::NumberTooLarge)),
    ("i_number_real_pos_overflow.json", Some(JsonProblem::NumberTooLarge)),
    ("i_number_real_underflow.json", None),
    ("i_number_too_big_neg_int.json", None),
    ("i_number_too_big_pos_int.json", None),
    ("i_number_very_big_negative_int.json", None),
    ("i_object_key_lone_2nd_surrogate.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_1st_surrogate_but_2nd_missing.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_UTF-16LE_with_BOM.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_UTF-8_invalid_sequence.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_UTF8_surrogate_U+D800.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_incomplete_surrogate_and_escape_valid.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_incomplete_surrogate_pair.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_incomplete_surrogates_escape_valid.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_invalid_lonely_surrogate.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_invalid_surrogate.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_invalid_utf-8.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_inverted_surrogates_U+1D11E.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_iso_latin_1.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_lone_second_surrogate.json", Some(JsonProblem::LoneSurrogate)),
    ("i_string_lone_utf8_continuation_byte.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_not_in_unicode_range.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_overlong_sequence_2_bytes.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_overlong_sequence_6_bytes.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_overlong_sequence_6_bytes_null.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_truncated-utf-8.json", Some(JsonProblem::InvalidUtf8)),
    ("i_string_utf16BE_no_BOM.json", Some(JsonProblem::ExpectedValue)),
    ("i_string_utf16LE_no_BOM.json", Some(JsonProblem::ExpectedValue)),
    ("i_structure_500_nested_arrays.json", None),
    ("i_structure_UTF-8_BOM_empty_object.json", Some(JsonProblem::ByteOrderMark)),
];

#[test]
fn the_suite_of_parsers_is_passed() {
    let suites = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites")),
        PathBuf::from,
    );
    let folder = suites.join("json-parsing/test_parsing");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("SKIPPED: JSONTestSuite is not at {}", folder.display());
        return;
    };
    let open: BTreeMap<_, _> = OPEN.into_iter().collect();
    let mut buffer = TapeBuffer::new();
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for file in files.map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let result = Tape::parse(&bytes, &JsonLimits::default(), &mut buffer);
        let problem = result.err().map(|error| error.problem);
        let fine = match name.as_bytes()[0] {
            b'y' => problem.is_none(),
            b'n' => problem.is_some(),
            _ => open.get(name.as_str()) == Some(&problem),
        };
        counts[usize::from(name.starts_with('n')) + 2 * usize::from(name.starts_with('i'))] += 1;
        if !fine {
            wrong.push(format!("{name}: {problem:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(counts, [95, 188, 35]);
}
