//! Path templates of OpenAPI documents, path patterns of policies, and the trees that find them.

mod pattern;
mod router;
mod segment;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

pub use pattern::{PathPattern, PatternSet, Specificity};
pub use router::{Conflict, Params, PathRouter};
use segment::Segment;

/// An OpenAPI path template such as `/accounts/{id}`, `/files/{name}.{ext}` or `/jobs/{id}:cancel`.
///
/// Literal text is compared as a canonical path writes it, so that `/caf%c3%a9`, `/café` and `/caf%C3%A9` are one
/// template. A parameter stands for at least one byte and never spans `/`. A slash at the end counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    segments: Vec<Segment>,
    names: Vec<Box<str>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead, as text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("the path template `{text}` does not begin with `/`"));
        };
        let mut names: Vec<Box<str>> = Vec::new();
        let mut segments = Vec::new();
        let mut pieces = segment::split(path).peekable();
        while let Some(piece) = pieces.next() {
            // Only the last segment may be empty: a slash at the end.
            if piece.is_empty() && pieces.peek().is_some() {
                return Err(format!("the path template `{text}` holds an empty segment: write one `/`"));
            }
            let segment = Segment::parse(piece, &mut names)
                .map_err(|problem| format!("in the path template `{text}`, {problem}"))?;
            segments.push(segment);
        }
        for (at, name) in names.iter().enumerate() {
            if names.iter().skip(at + 1).any(|other| other == name) {
                return Err(format!("the path template `{text}` names the parameter `{name}` twice"));
            }
        }
        Ok(Template { text: text.into(), segments, names })
    }

    /// The text that was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in the order of the path.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
