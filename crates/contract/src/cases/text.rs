//! Texts that fit a pattern or a format, and such as do not.

use regex::Regex;
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Repetition},
};

use super::dice::Dice;

/// Characters of a text at most: beyond, nothing is tried.
const LONGEST: usize = 20_000;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 4 << 20;

/// A pattern of a schema.
#[derive(Debug)]
pub(super) struct Pattern {
    hir: Hir,
    regex: Regex,
}

impl Pattern {
    /// Reads it; `None` where it cannot be tried here.
    pub(super) fn read(text: &str) -> Option<Self> {
        let hir = ParserBuilder::new().build().parse(text).ok()?;
        let regex = regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().ok()?;
        Some(Pattern { hir, regex })
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// A text that fits.
    pub(super) fn example(&self, dice: &mut Dice) -> Option<String> {
        self.text(1, dice).filter(|text| self.fits(text))
    }

    /// A text that should fit; `more` is how often a repetition goes beyond what it must.
    fn text(&self, more: u32, dice: &mut Dice) -> Option<String> {
        let mut out = String::new();
        write(&self.hir, more, dice, &mut out).then_some(out)
    }
}

/// Writes a text of an expression; `false` where it becomes too long, or there is none.
fn write(hir: &Hir, more: u32, dice: &mut Dice, out: &mut String) -> bool {
    if out.len() > LONGEST {
        return false;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                out.push_str(text);
                true
            }
            Err(_) => false,
        },
        HirKind::Class(Class::Unicode(class)) => {
            let ranges: Vec<(char, char)> =
                class.ranges().iter().map(|range| (range.start(), range.end())).collect();
            let found = character(&ranges, dice);
            out.extend(found);
            found.is_some()
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges: Vec<(char, char)> = class
                .ranges()
                .iter()
                .map(|range| (char::from(range.start()), char::from(range.end())))
                .collect();
            let found = character(&ranges, dice);
            out.extend(found);
            found.is_some()
        }
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            let times = max.unwrap_or(u32::MAX).min(min.saturating_add(more));
            (0..times).all(|_| write(sub, more.min(3), dice, out))
        }
        HirKind::Capture(capture) => write(&capture.sub, more, dice, out),
        HirKind::Concat(all) => all.iter().all(|one| write(one, more, dice, out)),
        HirKind::Alternation(all) => {
            all.get(dice.below(all.len())).is_some_and(|one| write(one, more, dice, out))
        }
    }
}

/// A character of some ranges: a letter or digit where there is one, for these need no escape anywhere.
fn character(ranges: &[(char, char)], dice: &mut Dice) -> Option<char> {
    let common = [('a', 'z'), ('A', 'Z'), ('0', '9'), ('-', '-'), ('_', '_'), ('!', '~')];
    let first = dice.below(3);
    let order = (0..3).map(|at| (at + first) % 3).chain(3..common.len());
    for (low, high) in order.filter_map(|at| common.get(at)) {
        let both = ranges.iter().map(|(start, end)| (*start.max(low), *end.min(high)));
        let inside: Vec<(char, char)> = both.filter(|(start, end)| start <= end).collect();
        if let Some((start, end)) = inside.get(dice.below(inside.len())) {
            return (*start..=*end).nth(dice.below(usize::MAX) % (1 + *end as usize - *start as usize));
        }
    }
    ranges.first().map(|(start, _)| *start)
}

/// What a text has to be, as far as schemas say so at one place.
#[derive(Debug, Default)]
pub(super) struct TextRules {
    pub(super) min: usize,
    pub(super) max: Option<usize>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) format: Option<String>,
}

impl TextRules {
    fn has_length(&self, text: &str, min: usize, max: usize) -> bool {
        let count = text.chars().count();
        count >= min && count <= max
    }

    /// A text that fits, with a number of characters in these bounds; `None` where none was found.
    pub(super) fn text(&self, min: usize, max: Option<usize>, dice: &mut Dice) -> Option<String> {
        let (min, max) = (min.max(self.min), max.unwrap_or(usize::MAX).min(self.max.unwrap_or(usize::MAX)));
        if min > max || min > LONGEST {
            return None;
        }
        if let Some(first) = self.patterns.first() {
            let steps = (0..40).chain([64, 100, 128, 200, 255, 256, 400, 512, 1_000, 2_000, 5_000]);
            let exact = u32::try_from(min).into_iter().chain(u32::try_from(max).ok());
            for more in exact.chain(steps).filter(|more| *more as usize <= LONGEST) {
                for _ in 0..4 {
                    let Some(text) = first.text(more, dice) else { continue };
                    let text = fill(text, min, first);
                    if self.has_length(&text, min, max)
                        && self.patterns.iter().all(|pattern| pattern.fits(&text))
                    {
                        return Some(text);
                    }
                }
            }
            return None;
        }
        if let Some(known) = self.format.as_deref().and_then(format) {
            let padded = known.padded.and_then(|pad| pad(min));
            let all = known.valid.iter().map(|text| (*text).to_owned()).chain(padded);
            let all: Vec<String> = all.filter(|text| self.has_length(text, min, max)).collect();
            return all.get(dice.below(all.len())).cloned();
        }
        let length = if max == usize::MAX { min.max(6) } else { min.max(6.min(max)) };
        Some((0..length).map(|_| char::from(b'a' + dice.byte() % 26)).collect())
    }

    /// Texts that have a length that fits, and violate the pattern.
    pub(super) fn off_pattern(&self) -> Option<String> {
        let pattern = self.patterns.first()?;
        let candidates = ["!", "~~~~~~", "not what it says", "0", "a", "A1", "", " ", "-_-", "\u{fc}"];
        let repeated = self.min.max(1);
        let all = candidates.iter().map(|text| (*text).to_owned());
        let long = ["!", "a", "0", "~"].iter().map(|text| text.repeat(repeated));
        all.chain(long).find(|text| {
            self.has_length(text, self.min, self.max.unwrap_or(usize::MAX)) && !pattern.fits(text)
        })
    }

    /// A text that is not of the format.
    pub(super) fn off_format(&self) -> Option<&'static str> {
        let known = format(self.format.as_deref()?)?;
        let fits = |text: &&&str| {
            self.has_length(text, self.min, self.max.unwrap_or(usize::MAX))
                && self.patterns.iter().all(|pattern| pattern.fits(text))
        };
        // The format alone is violated, where that can be.
        known.invalid.iter().find(fits).or(known.invalid.first()).copied()
    }
}

/// A text of a pattern without an end, made long enough.
fn fill(text: String, min: usize, pattern: &Pattern) -> String {
    let missing = min.saturating_sub(text.chars().count());
    if missing == 0 || missing > LONGEST {
        return text;
    }
    let longer = format!("{text}{}", "x".repeat(missing));
    if pattern.fits(&longer) { longer } else { text }
}

/// Texts of a format.
struct Format {
    valid: &'static [&'static str],
    invalid: &'static [&'static str],
    /// One of at least so many characters.
    padded: Option<fn(usize) -> Option<String>>,
}

const fn fixed(valid: &'static [&'static str], invalid: &'static [&'static str]) -> Option<Format> {
    Some(Format { valid, invalid, padded: None })
}

/// The formats that are asserted.
fn format(name: &str) -> Option<Format> {
    match name {
        "date" => fixed(&["2024-02-29", "1999-12-31"], &["2023-02-29", "2024-13-01", "yesterday"]),
        "date-time" => fixed(
            &["2024-02-29T23:59:59Z", "1999-12-31T00:00:00.123+02:00"],
            &["2024-02-29T25:00:00Z", "2024-02-29", "now"],
        ),
        "time" => fixed(&["23:59:59Z", "00:00:00+02:00"], &["25:00:00Z", "noon"]),
        "duration" => fixed(&["P3Y6M4DT12H30M5S", "PT1H"], &["PT", "one hour"]),
        "email" => Some(Format {
            valid: &["a@b.co", "ada@example.com", "ada.l+tag@mail.example.org"],
            invalid: &["ada.example.com", "@"],
            padded: Some(|min| {
                // 64 before the @ (RFC 5321 section 4.5.3.1.1), and labels of 63.
                let host = min.saturating_sub(1 + 12 + 1).min(60);
                (min <= 70).then(|| format!("ada@{}.example.com", "h".repeat(host.max(1))))
            }),
        }),
        "hostname" => Some(Format {
            valid: &["a.example", "api.example.com", "host"],
            invalid: &["-host-", "no host"],
            padded: Some(|min| {
                (min <= 240).then(|| {
                    let mut text = "api".to_owned();
                    while text.len() < min {
                        text.push_str(".label");
                    }
                    text
                })
            }),
        }),
        "ipv4" => fixed(&["192.0.2.1", "203.0.113.255"], &["192.0.2.256", "192.0.2"]),
        "ipv6" => fixed(&["2001:db8::1", "::1"], &["2001:db8::1::2", "192.0.2.1"]),
        "uri" => Some(Format {
            valid: &["https://example.com/a?b=c", "urn:isbn:1"],
            invalid: &["not a uri", "//example.com"],
            padded: Some(|min| Some(format!("https://example.com/{}", "a".repeat(min.saturating_sub(20))))),
        }),
        "uri-reference" | "iri-reference" => fixed(&["/a/b?c=d", "https://example.com/"], &["a b\\c"]),
        "iri" => fixed(&["https://example.com/"], &["not a uri"]),
        "uri-template" => fixed(&["/users/{id}", "/a"], &["/users/{id"]),
        "uuid" => fixed(
            &["3d6f4e9a-5b1c-4c8e-8f7a-2b9d0e1f3a4c", "1F0A7C52-1D6B-4B7E-9B3F-6A4F3D2C1B0A"],
            &["3d6f4e9a-5b1c-4c8e-8f7a-2b9d0e1f3a4", "3d6f4e9a-5b1c-4c8e-8f7a-2b9d0e1f3a4z"],
        ),
        "byte" => fixed(&["aGVsbG8=", "AAECAw==", "TWFu"], &["not base64", "a"]),
        "json-pointer" => fixed(&["/a/0", ""], &["a", "/~2"]),
        "relative-json-pointer" => fixed(&["0/a", "1#"], &["/a", "-1"]),
        "regex" => fixed(&["^a+$"], &["("]),
        _ => None,
    }
}

/// Whether a format is one whose texts are known here.
pub(super) fn knows_format(name: &str) -> bool {
    format(name).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn texts_of_patterns_fit_them_at_every_length() {
        let patterns = [
            r"^[a-z]{2,5}-\d+$",
            r"^(GET|POST|[A-Z]{3,7})$",
            r"^\+?[1-9]\d{1,14}$",
            r"[^a-z]",
            r"^.*$",
            r"^(?:[a-z0-9]+\.)*[a-z]{2,}$",
            r"^\p{L}+$",
            "^AC[0-9a-fA-F]{32}$",
        ];
        for text in patterns {
            let rules = TextRules { patterns: vec![Pattern::read(text).unwrap()], ..TextRules::default() };
            for seed in 0..20 {
                let made = rules.text(0, None, &mut Dice::new(seed)).unwrap();
                assert!(Pattern::read(text).unwrap().fits(&made), "{text}: {made}");
            }
            if let Some(off) = rules.off_pattern() {
                assert!(!Pattern::read(text).unwrap().fits(&off), "{text}: {off}");
            }
        }
    }

    #[test]
    fn lengths_are_met_exactly_where_they_can_be() {
        let of = |pattern: &str, length| {
            let rules = TextRules { patterns: vec![Pattern::read(pattern).unwrap()], ..TextRules::default() };
            rules.text(length, Some(length), &mut Dice::new(1)).map(|text| text.chars().count())
        };
        assert_eq!(of("^[a-z]{2,50}$", 50), Some(50));
        assert_eq!(of("^[a-z]{2,50}$", 2), Some(2));
        assert_eq!(of("^x.*$", 300), Some(300));
        assert_eq!(of("^[a-z]{2,50}$", 51), None);
        let plain = TextRules { min: 3, max: Some(8), ..TextRules::default() };
        assert_eq!(plain.text(8, None, &mut Dice::new(1)).map(|text| text.len()), Some(8));
    }
}
