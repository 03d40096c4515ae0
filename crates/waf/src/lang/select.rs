//! Which rules are meant: by number, by tag, by message.

use regex::bytes::{Regex, RegexBuilder};

use super::{source::Fault, target::reason};

/// The largest compiled form of a tag's pattern, bytes.
const PATTERN_SIZE: usize = 1 << 20;

/// Numbers of rules: single ones and ranges, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids(Vec<(u64, u64)>);

impl Ids {
    /// Reads `920100`, `920100-920199`, and several of them separated by spaces or commas.
    ///
    /// # Errors
    /// What is no number, a range that ends before it begins, an empty list.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut ids = Vec::new();
        for entry in text.split([' ', ',']).map(|entry| entry.trim_matches(['"', '\''])) {
            if entry.is_empty() {
                continue;
            }
            let (low, high) = entry.split_once('-').unwrap_or((entry, entry));
            match (low.parse(), high.parse()) {
                (Ok(low), Ok(high)) if low <= high => ids.push((low, high)),
                _ => {
                    return Err(Fault::new(
                        format!("`{entry}` is no rule number and no range of them"),
                        "write `920100` or `920100-920199`",
                    ));
                }
            }
        }
        if ids.is_empty() {
            return Err(Fault::new("no rule number is given", "write `920100` or `920100-920199`"));
        }
        Ok(Ids(ids))
    }

    /// Whether a rule of this number is meant.
    #[must_use]
    pub fn contains(&self, id: u64) -> bool {
        self.0.iter().any(|&(low, high)| (low..=high).contains(&id))
    }

    /// The numbers that are named alone, not in a range: each should exist.
    pub fn singles(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter(|(low, high)| low == high).map(|(low, _)| *low)
    }
}

/// A tag or message: compared whole, or as a pattern where it has signs of one.
#[derive(Clone, Debug)]
pub struct Label {
    text: Box<str>,
    pattern: Option<Regex>,
}

impl Label {
    /// Reads a tag or message. Text with any of `^ $ * + ? [ ( | \` is also searched for as a pattern.
    ///
    /// # Errors
    /// Empty text; a pattern that cannot be compiled.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::new("a tag or message is empty", "name the tag or message that is meant"));
        }
        let is_pattern = text.contains(['^', '$', '*', '+', '?', '[', '(', '|', '\\']);
        let pattern = is_pattern
            .then(|| RegexBuilder::new(text).unicode(false).size_limit(PATTERN_SIZE).build())
            .transpose()
            .map_err(|error| {
                Fault::new(
                    format!("the pattern `{text}` cannot be used: {}", reason(&error)),
                    "write the whole tag or message, or a pattern without look-around and back-references",
                )
            })?;
        Ok(Label { text: text.into(), pattern })
    }

    /// Whether this tag or message is meant.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        *self.text == *text || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text.as_bytes()))
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn numbers_ranges_and_lists() {
        let ids = Ids::parse("1, 5-7 \"9\"").unwrap();
        assert!([1, 5, 6, 7, 9].iter().all(|id| ids.contains(*id)));
        assert!([0, 2, 8, 10].iter().all(|id| !ids.contains(*id)));
        for wrong in ["", "x", "7-5", "1-"] {
            assert!(Ids::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_label_is_whole_or_a_pattern() {
        assert!(Label::parse("OWASP_CRS").unwrap().is("OWASP_CRS"));
        assert!(!Label::parse("OWASP_CRS").unwrap().is("OWASP_CRS/WEB"));
        assert!(Label::parse("^attack-").unwrap().is("attack-sqli"));
        assert!(Label::parse("(?=a)").is_err());
    }
}
