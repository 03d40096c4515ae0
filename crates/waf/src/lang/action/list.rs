//! The list of actions, split into names and values.

use crate::lang::{source::Fault, text::Text};

/// A name with its value, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// As it was written.
    pub name: String,
    /// Without its quotes.
    pub value: Option<String>,
    /// Where the name begins in the list.
    pub offset: usize,
}

impl Action {
    /// The value.
    ///
    /// # Errors
    /// There is none, or it is empty.
    pub fn value(&self) -> Result<&str, Fault> {
        self.value.as_deref().filter(|value| !value.is_empty()).ok_or_else(|| {
            Fault::new(
                format!("action `{}` lacks its value", self.name),
                format!("write `{}:value`", self.name),
            )
        })
    }

    /// The value with its macros.
    ///
    /// # Errors
    /// There is none; a macro names no variable.
    pub fn text(&self) -> Result<Text, Fault> {
        Text::parse(self.value()?, 0)
    }

    /// The value as a number.
    ///
    /// # Errors
    /// It is none, or out of bounds.
    pub fn number(&self, low: u64, high: u64) -> Result<u64, Fault> {
        let number = self.value()?.parse().ok().filter(|number| (low..=high).contains(number));
        number.ok_or_else(|| match high {
            u64::MAX => self.wrong(&format!("write a number from {low}")),
            _ => self.wrong(&format!("write a number from {low} to {high}")),
        })
    }

    /// `meaning`, where no value is given.
    ///
    /// # Errors
    /// There is a value.
    pub fn alone<T>(&self, meaning: T) -> Result<T, Fault> {
        match self.value {
            None => Ok(meaning),
            Some(_) => Err(Fault::new(
                format!("action `{}` takes no value", self.name),
                format!("write `{}` alone", self.name),
            )),
        }
    }

    /// A fault of the value.
    #[must_use]
    pub fn wrong(&self, help: &str) -> Fault {
        let value = self.value.as_deref().unwrap_or_default();
        Fault::new(format!("`{value}` is no value of action `{}`", self.name), help)
    }
}

/// Splits a list at its commas. A value in single quotes keeps its commas, and `\'` in it is a quote.
///
/// # Errors
/// A quote that is never closed, text behind a quote, an empty entry between commas.
pub fn split(text: &str) -> Result<Vec<Action>, Fault> {
    let mut actions = Vec::new();
    let mut rest = text;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let offset = text.len() - rest.len();
        let end = rest.find([':', ',']).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim().trim_matches('\'').to_owned();
        let behind = rest.get(end..).unwrap_or_default();
        if name.is_empty() {
            return Err(Fault::new("an action is empty", "remove the comma, or name an action").at(offset));
        }
        let value = if let Some(tail) = behind.strip_prefix(':') {
            let (value, tail) = value(tail.trim_start()).map_err(|fault| fault.at(offset))?;
            rest = tail;
            Some(value)
        } else {
            rest = behind;
            None
        };
        actions.push(Action { name, value, offset });
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(tail) => tail,
            None if rest.is_empty() => rest,
            None => {
                let offset = text.len() - rest.len();
                return Err(
                    Fault::new("text follows a quoted value", "separate actions by commas").at(offset)
                );
            }
        };
    }
    Ok(actions)
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Result<(String, &str), Fault> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    let mut open = false;
    let mut before = None;
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if open && characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
                value.push('\'');
            }
            '\'' if open => {
                open = false;
                // The value that began with a quote ends with it.
                if text.starts_with('\'') {
                    return Ok((value, text.get(at + 1..).unwrap_or_default()));
                }
            }
            '\'' if before.is_none() || before == Some('=') => open = true,
            ',' if !open => return Ok((value.trim_end().to_owned(), text.get(at..).unwrap_or_default())),
            _ => value.push(character),
        }
        before = Some(character);
    }
    if open {
        return Err(Fault::new("a quote is never closed", "close it, and write a quote inside as `\\'`"));
    }
    Ok((value.trim_end().to_owned(), ""))
}
