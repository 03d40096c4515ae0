//! SQL injection: is the text, as it stands or after a quotation mark, part of a statement?

mod fold;
mod token;
mod words;

use memchr::memchr;

use self::{
    fold::{Folded, fold},
    token::{Mode, Tokenizer, kind},
};
use super::Fingerprint;

/// The fingerprint of the injection that `value` is, if it is one.
pub(super) fn judge(value: &[u8]) -> Option<Fingerprint> {
    if value.is_empty() {
        return None;
    }
    let in_quote = |quote: u8| memchr(quote, value).is_some();
    try_mode(value, 0, false)
        .or_else(|| in_quote(b'\'').then(|| try_mode(value, b'\'', false)).flatten())
        .or_else(|| in_quote(b'"').then(|| try_mode(value, b'"', true)).flatten())
}

/// The tokens of a text as it stands, each with its letter, before or after folding.
pub(super) fn tokens(value: &[u8], mysql: bool, folded: bool) -> Vec<Vec<u8>> {
    let mode = Mode { quote: 0, mysql };
    if folded {
        return fold(value, mode).tokens().map(|token| token.describe(value)).collect();
    }
    let mut tokenizer = Tokenizer::new(value, mode);
    std::iter::from_fn(|| tokenizer.next()).map(|token| token.describe(value)).collect()
}

/// Judges the text as if `quote` stood before it, and once more as MySQL reads it where that may differ.
fn try_mode(value: &[u8], quote: u8, mysql: bool) -> Option<Fingerprint> {
    let folded = fold(value, Mode { quote, mysql });
    match found(value, &folded) {
        Some(fingerprint) => Some(fingerprint),
        None if folded.ambiguous && !mysql => found(value, &fold(value, Mode { quote, mysql: true })),
        None => None,
    }
}

fn found(value: &[u8], folded: &Folded<'_>) -> Option<Fingerprint> {
    let (letters, length) = folded.fingerprint();
    let fingerprint = letters.get(..length)?;
    if words::is_injection(fingerprint) && !is_innocent(value, folded, fingerprint) {
        return Some(Fingerprint { letters, length });
    }
    None
}

/// Whether a text with the fingerprint of an injection is likelier to be something else.
fn is_innocent(value: &[u8], folded: &Folded<'_>, fingerprint: &[u8]) -> bool {
    if fingerprint.len() > 1
        && fingerprint.last() == Some(&kind::COMMENT)
        && memchr::memmem::find(value, b"sp_password").is_some()
    {
        return false;
    }
    match fingerprint {
        [_, _] => is_innocent_pair(value, folded),
        [_, _, _] => is_innocent_triple(folded, fingerprint),
        _ => false,
    }
}

fn is_innocent_pair(value: &[u8], folded: &Folded<'_>) -> bool {
    let (first, second) = (folded.token(0), folded.token(1));
    if second.kind == kind::UNION {
        return folded.count == 2;
    }
    // Too many harmless texts have a `#`.
    if second.first() == b'#' {
        return true;
    }
    if second.kind == kind::COMMENT {
        let c_style = second.first() == b'/';
        match first.kind {
            kind::WORD if !c_style => return true,
            kind::NUMBER if c_style || folded.count > 2 => return false,
            // Only where the comment follows the number at once, or after white space. (libinjection looks for the
            // end of the number as if it began the text, and reads bytes above ASCII as white space.)
            kind::NUMBER => {
                let rest = value.get(first.text.len()..).unwrap_or_default();
                return !matches!(rest, [0..=b' ' | 0x80.., ..] | [b'/', b'*', ..] | [b'-', b'-', ..]);
            }
            _ => {}
        }
    }
    second.text.len() > 2 && second.first() == b'-'
}

fn is_innocent_triple(folded: &Folded<'_>, fingerprint: &[u8]) -> bool {
    let (first, middle, last) = (folded.token(0), folded.token(1), folded.token(2));
    match fingerprint {
        // `..foo' + 'bar..` only where both ends are open and the marks fit.
        b"sos" | b"s&s" => return !(first.open == 0 && last.close == 0 && first.close == last.open),
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" if folded.count == 3 => return true,
        _ => {}
    }
    middle.kind == kind::KEYWORD
        && !(middle.text.len() >= 5
            && middle.text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"INTO")))
}
