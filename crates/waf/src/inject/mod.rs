//! Detectors of injection that judge the shape of a text: SQL and cross-site scripting.
//!
//! Verdicts and fingerprints are those of libinjection 3.10. SQL is judged by an implementation of this crate over the
//! tables of libinjection, which runs in time linear in the text; markup by the port of libinjection to Rust. Most
//! values are proved harmless by the kinds of their bytes alone ([`harmless`]).

mod sqli;

use libinjectionrs::detect_xss;
use memchr::memmem;

use crate::transform::ByteSet;

/// What libinjection calls the fingerprint of an injection: up to eight letters, one for each token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    letters: [u8; 8],
    length: usize,
}

impl Fingerprint {
    /// The letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }
}

/// Whether the shape of `value` alone proves that neither detector finds anything.
#[must_use]
pub fn harmless(value: &[u8]) -> bool {
    let bytes = ByteSet::of(value);
    harmless_sql(value, bytes) && harmless_markup(bytes)
}

/// The kinds of bytes of which a run is one word, or two numbers and a word.
const WORD: ByteSet =
    DIGITS.with(ByteSet::UPPER).with(ByteSet::LOWER).with(ByteSet::UNDERSCORE).with(ByteSet::HIGH);
const DIGITS: ByteSet = ByteSet::DIGIT.with(ByteSet::ZERO);
/// What every injection of SQL has one of: [`harmless_sql`] says why.
pub(crate) const BEYOND_WORDS: ByteSet = ByteSet::ANY.without(WORD);
/// What all markup that runs a script has one of: [`harmless_markup`] says why.
pub(crate) const MARKUP: ByteSet = ByteSet::ANGLE.with(ByteSet::EQUALS);

/// Whether the shape of a value of these kinds of bytes proves that it is no injection of SQL.
///
/// Either it is one run of letters, digits, underscores and bytes above ASCII: that is at most two numbers (`0b012`)
/// and a word. No fingerprint begins with two numbers, and the only one of a number and a word (`1U`) counts as
/// innocent where the text has no third token. Or it is made of digits, spaces and `. - : + % / , ;` without a
/// comment: then all tokens are numbers, operators and these marks, of which no fingerprint is made. (A test holds
/// the tables to all of that.)
#[must_use]
pub fn harmless_sql(value: &[u8], bytes: ByteSet) -> bool {
    const NUMERIC: ByteSet = DIGITS
        .with(ByteSet::DOT)
        .with(ByteSet::DASH)
        .with(ByteSet::COLON)
        .with(ByteSet::PLUS)
        .with(ByteSet::PERCENT)
        .with(ByteSet::SLASH)
        .with(ByteSet::COMMA)
        .with(ByteSet::SPACE);
    bytes.within(WORD)
        || bytes.within(NUMERIC) && (!bytes.any(ByteSet::DASH) || memmem::find(value, b"--").is_none())
}

/// Whether a value of these kinds of bytes cannot be markup that runs a script: only a tag, which begins with `<`, or
/// the value of an attribute, which follows `=`, is ever found to be one.
#[must_use]
pub const fn harmless_markup(bytes: ByteSet) -> bool {
    !bytes.any(MARKUP)
}

/// The fingerprint of the injection of SQL that `value` is, if it is one.
#[must_use]
pub fn sqli(value: &[u8]) -> Option<Fingerprint> {
    if harmless_sql(value, ByteSet::of(value)) {
        return None;
    }
    sqli::judge(value)
}

/// The tokens that the detector of SQL injection sees in a text as it stands, for explanations: the letter of each, a
/// space, and the beginning of its text (31 bytes). With `mysql` comments are read as MySQL does; `folded` gives those
/// of the fingerprint, of which there are at most five and a comment.
#[must_use]
pub fn sql_tokens(value: &[u8], mysql: bool, folded: bool) -> Vec<Vec<u8>> {
    sqli::tokens(value, mysql, folded)
}

/// Whether `value` is markup that runs a script.
#[must_use]
pub fn xss(value: &[u8]) -> bool {
    memchr::memchr2(b'<', b'=', value).is_some() && detect_xss(value).is_injection()
}
