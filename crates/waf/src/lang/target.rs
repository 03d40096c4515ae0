//! Which values a rule looks at: `ARGS|!ARGS:id|&REQUEST_HEADERS:Host|TX:/^score_/`.

use std::sync::Arc;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::{source::Fault, xpath::XPath};
use crate::variables::Variable;

/// The largest compiled form of a pattern in a selector, bytes: patterns of names are short.
const PATTERN_SIZE: usize = 1 << 20;

/// The variables of one condition.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// In the order in which they are looked at.
    pub included: Vec<Target>,
    /// What of them is left out.
    pub excluded: Vec<Target>,
}

/// One variable, or the number of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Which.
    pub variable: Variable,
    /// Which parts of a collection.
    pub selector: Selector,
    /// `&`: how many there are, instead of the values.
    pub count: bool,
}

/// Which parts of a collection are meant.
#[derive(Clone, Debug)]
pub enum Selector {
    /// All.
    All,
    /// Those of one name, in lower case: names are compared without regard to case.
    Name(Box<[u8]>),
    /// Those whose name matches.
    Pattern {
        /// As it was written between the slashes.
        source: Arc<str>,
        /// Compiled, without regard to case.
        pattern: Regex,
        /// In lower case, what every name that matches has in it: most names are told apart by it alone.
        literal: Box<[u8]>,
    },
    /// A path into an XML document.
    Path(Arc<XPath>),
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Selector::All, Selector::All) => true,
            (Selector::Name(a), Selector::Name(b)) => a == b,
            (Selector::Pattern { source: a, .. }, Selector::Pattern { source: b, .. }) => a == b,
            (Selector::Path(a), Selector::Path(b)) => a == b,
            _ => false,
        }
    }
}

impl Selector {
    /// Whether a part of this name is meant.
    #[must_use]
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Selector::All => true,
            Selector::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Selector::Pattern { pattern, literal, .. } => {
                // Names with capitals may have the literal in another case.
                let may = name.iter().any(u8::is_ascii_uppercase) || memmem::find(name, literal).is_some();
                may && pattern.is_match(name)
            }
            Selector::Path(path) => path.source().as_bytes() == name,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.count { "&" } else { "" }, self.variable.name())?;
        match &self.selector {
            Selector::All => Ok(()),
            Selector::Name(name) => write!(f, ":{}", String::from_utf8_lossy(name)),
            Selector::Pattern { source, .. } => write!(f, ":/{source}/"),
            Selector::Path(path) => write!(f, ":{}", path.source()),
        }
    }
}

impl std::fmt::Display for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, target) in self.included.iter().enumerate() {
            write!(f, "{}{target}", if index > 0 { "|" } else { "" })?;
        }
        for target in &self.excluded {
            write!(f, "|!{target}")?;
        }
        Ok(())
    }
}

impl Targets {
    /// Reads a list separated by `|` or `,`.
    ///
    /// # Errors
    /// An empty list or entry, an unknown variable, a selector that cannot be.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut targets = Targets::default();
        let mut rest = text;
        loop {
            let offset = text.len() - rest.len();
            let (entry, after) = entry(rest).map_err(|fault| fault.at(offset))?;
            let indent = entry.len() - entry.trim_start().len();
            let (list, target) = match entry.trim().strip_prefix('!') {
                Some(excluded) => (&mut targets.excluded, Target::parse(excluded)),
                None => (&mut targets.included, Target::parse(entry.trim())),
            };
            list.push(target.map_err(|fault| fault.at(offset + indent))?);
            match after {
                Some(after) => rest = after,
                None => return Ok(targets),
            }
        }
    }

    /// Adds what `SecRuleUpdateTargetBy..` and `ctl:ruleRemoveTargetBy..` say.
    pub fn update(&mut self, update: &Targets) {
        for target in &update.included {
            self.excluded.retain(|excluded| excluded != target);
            if !self.included.contains(target) {
                self.included.push(target.clone());
            }
        }
        for target in &update.excluded {
            if !self.excluded.contains(target) {
                self.excluded.push(target.clone());
            }
        }
    }

    /// Whether a value of `variable` with this name is left out.
    #[must_use]
    pub fn excludes(&self, variable: Variable, name: &[u8]) -> bool {
        self.excluded.iter().any(|target| target.variable == variable && target.selector.selects(name))
    }
}

/// The text up to the next separator that is in no quotes and no `/../`, and what follows that separator.
fn entry(text: &str) -> Result<(&str, Option<&str>), Fault> {
    let bytes = text.as_bytes();
    let mut at = 0;
    if let Some(colon) = bytes.iter().position(|byte| matches!(byte, b':' | b'|' | b','))
        && bytes.get(colon) == Some(&b':')
    {
        at = colon + 1;
        let quote = bytes.get(at).copied().filter(|byte| matches!(byte, b'\'' | b'"'));
        let start = if quote.is_some() { at + 1 } else { at };
        let is_path =
            text.get(..colon).is_some_and(|name| name.trim_start_matches(['!', '&']).trim() == "XML");
        if bytes.get(start) == Some(&b'/') && !is_path {
            at = pattern_end(bytes, start + 1).ok_or_else(|| {
                Fault::new(
                    format!("the pattern of `{text}` is never closed"),
                    "end a pattern with `/` before the next `|` or the end",
                )
            })?;
        }
        if let Some(quote) = quote {
            let from = at.max(start);
            let tail = bytes.get(from..).unwrap_or_default();
            let length = tail.iter().position(|byte| *byte == quote).ok_or_else(|| {
                Fault::new(format!("the quote of `{text}` is never closed"), "close it before the next `|`")
            })?;
            at = from + length + 1;
        }
    }
    let tail = bytes.get(at..).unwrap_or_default();
    match tail.iter().position(|byte| matches!(byte, b'|' | b',')) {
        Some(length) => Ok((
            text.get(..at + length).unwrap_or_default(),
            Some(text.get(at + length + 1..).unwrap_or_default()),
        )),
        None => Ok((text, None)),
    }
}

/// Where the pattern that begins at `start` ends: behind the first `/` that is not escaped and that a separator, a quote
/// or the end follows.
fn pattern_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'/' if matches!(bytes.get(at + 1), None | Some(b'|' | b',' | b'\'' | b'"' | b' ')) => {
                return Some(at + 1);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

impl Target {
    /// Reads one entry, without `!`.
    ///
    /// # Errors
    /// An unknown variable, a selector on a variable without parts or that is no pattern.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (count, text) = match text.strip_prefix('&') {
            Some(text) => (true, text.trim_start()),
            None => (false, text),
        };
        let (name, selector) = match text.split_once(':') {
            Some((name, selector)) => (name.trim(), Some(selector)),
            None => (text, None),
        };
        let Some(variable) = Variable::by_name(name) else {
            return Err(unknown(name));
        };
        let selector = match selector {
            // All of a document is all text in it.
            None if variable == Variable::Xml => Self::selector(variable, "/*")?,
            None => Selector::All,
            Some(selector) if !variable.is_collection() => {
                return Err(Fault::new(
                    format!("`{}` has no parts, so `:{selector}` selects nothing", variable.name()),
                    format!("write `{}` alone", variable.name()),
                ));
            }
            Some(selector) => Self::selector(variable, selector)?,
        };
        Ok(Target { variable, selector, count })
    }

    fn selector(variable: Variable, text: &str) -> Result<Selector, Fault> {
        let text = ['\'', '"']
            .into_iter()
            .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(text);
        if text.is_empty() {
            return Err(Fault::new(
                "a selector is empty",
                "name a part behind the colon, or remove the colon",
            ));
        }
        if variable == Variable::Xml {
            return Ok(Selector::Path(Arc::new(XPath::parse(text)?)));
        }
        let Some(source) = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) else {
            return Ok(Selector::Name(text.to_ascii_lowercase().into_bytes().into()));
        };
        let pattern = RegexBuilder::new(&source.replace("\\/", "/"))
            .case_insensitive(true)
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_SIZE)
            .build();
        match pattern {
            Ok(pattern) => {
                let literal = literal(source).to_ascii_lowercase().into_bytes().into();
                Ok(Selector::Pattern { source: Arc::from(source), pattern, literal })
            }
            Err(error) => Err(Fault::new(
                format!("the pattern `/{source}/` cannot be used: {}", reason(&error)),
                "write a pattern without look-around and back-references",
            )),
        }
    }
}

/// Letters, digits and `_` at the start of a pattern, where nothing behind them can make them optional.
fn literal(pattern: &str) -> &str {
    let rest = pattern.strip_prefix('^').unwrap_or(pattern);
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
    let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match behind.as_bytes().first() {
        _ if pattern.contains('|') => "",
        // The last letter may be missing.
        Some(b'*' | b'?' | b'{') => word.get(..word.len().saturating_sub(1)).unwrap_or_default(),
        _ => word,
    }
}

fn unknown(name: &str) -> Fault {
    if let Some(why) = Variable::refusal(name) {
        return Fault::new(format!("variable `{name}` does not exist here"), why);
    }
    let near = super::near(name, Variable::names());
    let help = near.map_or("`docs/rules.md` has the list of variables".to_owned(), |near| {
        format!("did you mean `{near}`?")
    });
    Fault::new(format!("`{name}` is no variable"), help)
}

/// The last line of the regex crate's explanation, which holds the reason.
pub(super) fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    #[test]
    fn lists_are_split_outside_patterns_and_quotes() {
        let targets = Targets::parse(
            r"ARGS|!ARGS:/^[\w]+\[[\w\-]+\]|x$/|&REQUEST_HEADERS:Host|ARGS:'/a|b/'|XML:/*|XML://@*|TX:1",
        )
        .unwrap();
        assert_eq!(
            targets.to_string(),
            r"ARGS|&REQUEST_HEADERS:host|ARGS:/a|b/|XML:/*|XML://@*|TX:1|!ARGS:/^[\w]+\[[\w\-]+\]|x$/"
        );
        assert!(targets.excludes(Variable::Args, b"X"));
        assert!(!targets.excludes(Variable::Args, b"y"));
    }

    #[test]
    fn the_literal_of_a_pattern_is_in_every_match() {
        for (pattern, expected) in [
            ("^header_name_920450_", "header_name_920450_"),
            ("paramcounter_.*", "paramcounter_"),
            ("CONTENT_TYPES_*", "CONTENT_TYPES"),
            ("a|b", ""),
            ("^tok", "tok"),
            ("(a)", ""),
            ("ab{0}", "a"),
        ] {
            assert_eq!(literal(pattern), expected, "{pattern}");
        }
        let targets = Targets::parse("TX:/^Score_[0-9]/").unwrap();
        let selector = &targets.included[0].selector;
        assert!(
            selector.selects(b"score_1") && selector.selects(b"SCORE_1") && !selector.selects(b"score_x")
        );
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_place() {
        for (text, offset, message) in [
            ("ARGS|ARG", 5, "`ARG` is no variable"),
            ("REQUEST_URI:x", 0, "`REQUEST_URI` has no parts"),
            ("ARGS:/(?=a)/", 0, "cannot be used"),
            ("ARGS:/a", 0, "never closed"),
            ("ARGS||TX", 5, "`` is no variable"),
            ("PERF_ALL", 0, "does not exist here"),
        ] {
            let fault = Targets::parse(text).unwrap_err();
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
            assert_eq!(fault.offset, offset, "{text}");
        }
    }
}
