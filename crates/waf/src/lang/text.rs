//! Text with macros, `%{tx.score}`, parsed once at load and expanded at run time.

use super::source::Fault;
use crate::variables::Variable;

/// Text in which `%{NAME}` and `%{NAME.key}` stand for values of variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
}

/// A piece of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Stands for itself.
    Literal(Box<[u8]>),
    /// Stands for the first value of a variable.
    Macro {
        /// Which.
        variable: Variable,
        /// Its part, in lower case.
        key: Option<Box<[u8]>>,
    },
}

impl Text {
    /// Text without macros.
    #[must_use]
    pub fn literal(text: &[u8]) -> Self {
        Text { parts: if text.is_empty() { Vec::new() } else { vec![Part::Literal(text.into())] } }
    }

    /// Reads a text; `at` is its offset for faults. `%{` that is never closed stands for itself.
    ///
    /// # Errors
    /// A macro that names no variable.
    pub fn parse(text: &str, at: usize) -> Result<Self, Fault> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut literal = String::new();
        while let Some((before, opened)) = rest.split_once("%{") {
            let Some((name, after)) = opened.split_once('}') else { break };
            literal.push_str(before);
            let offset = at + (text.len() - rest.len()) + before.len();
            let part = Self::variable(name).map_err(|fault| fault.at(offset))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into_bytes().into()));
            }
            parts.push(part);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into_bytes().into()));
        }
        Ok(Text { parts })
    }

    fn variable(name: &str) -> Result<Part, Fault> {
        let (variable, key) = match name.split_once(['.', ':']) {
            Some((variable, key)) => (variable.trim(), Some(key)),
            None => (name.trim(), None),
        };
        let Some(known) = Variable::by_name(variable) else {
            return Err(Fault::new(
                format!("macro `%{{{name}}}` names no variable"),
                Variable::refusal(variable).unwrap_or("write `%{tx.name}` or the name of a variable"),
            ));
        };
        Ok(Part::Macro { variable: known, key: key.map(|key| key.to_ascii_lowercase().into_bytes().into()) })
    }

    /// The pieces, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The bytes, where there is no macro.
    #[must_use]
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> String {
        let mut source = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => source.push_str(&String::from_utf8_lossy(text)),
                Part::Macro { variable, key: None } => {
                    source.push_str(&format!("%{{{}}}", variable.name()));
                }
                Part::Macro { variable, key: Some(key) } => {
                    let key = String::from_utf8_lossy(key);
                    source.push_str(&format!("%{{{}.{key}}}", variable.name()));
                }
            }
        }
        source
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn macros_are_found_and_unknown_ones_refused() {
        let text = Text::parse("a %{TX.Score}% of %{request_method}", 0).unwrap();
        assert_eq!(text.source(), "a %{TX.score}% of %{REQUEST_METHOD}");
        assert_eq!(text.parts().len(), 4);
        assert_eq!(Text::parse("100%{", 0).unwrap().as_literal(), Some(&b"100%{"[..]));
        let fault = Text::parse("ab%{nothing}", 5).unwrap_err();
        assert_eq!(fault.offset, 7);
        assert!(fault.message.contains("%{nothing}"));
    }
}
