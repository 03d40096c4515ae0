//! Paths into XML documents, as far as rules use them: elements by name, their text, attributes.

use super::source::Fault;

/// A path such as `/*`, `//@*`, `//user/name` or `/order/item/@id`. Names are compared without their prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XPath {
    source: Box<str>,
    steps: Vec<Step>,
    leaf: Leaf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// `//`: any number of elements may stand before it.
    deep: bool,
    /// None is `*`.
    name: Option<Box<[u8]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    /// All text inside.
    Text,
    /// The text directly inside: `text()`.
    OwnText,
    /// One attribute, or all; `deep` is `//@`.
    Attribute { name: Option<Box<[u8]>>, deep: bool },
}

impl XPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Conditions, functions and axes other than `/`, `//`, `@` and `text()`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(
                format!("the path `{text}` cannot be used"),
                "write `XML:/*` for all text, `XML://@*` for all attributes, or names such as `XML:/order/item/@id`",
            )
        };
        let mut path = XPath { source: text.into(), steps: Vec::new(), leaf: Leaf::Text };
        let mut rest = text;
        while !rest.is_empty() {
            let (deep, behind) = match (rest.strip_prefix("//"), rest.strip_prefix('/')) {
                (Some(behind), _) => (true, behind),
                (None, Some(behind)) => (false, behind),
                (None, None) => return Err(wrong()),
            };
            let end = behind.find('/').unwrap_or(behind.len());
            let (step, after) = behind.split_at_checked(end).ok_or_else(wrong)?;
            let last = after.is_empty();
            match step {
                "text()" | "node()" if last => {
                    // `//text()` is all text.
                    path.leaf = if deep { Leaf::Text } else { Leaf::OwnText };
                }
                _ => match step.strip_prefix('@') {
                    Some(name) if last => {
                        path.leaf = Leaf::Attribute { name: self::name(name).ok_or_else(wrong)?, deep };
                    }
                    Some(_) => return Err(wrong()),
                    None => path.steps.push(Step { deep, name: self::name(step).ok_or_else(wrong)? }),
                },
            }
            rest = after;
        }
        if text.is_empty() { Err(wrong()) } else { Ok(path) }
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it means a text (or the attribute of that name) inside these elements, the outermost first.
    #[must_use]
    pub fn selects(&self, elements: &[Box<[u8]>], attribute: Option<&[u8]>) -> bool {
        let (whole, wanted) = match (&self.leaf, attribute) {
            (Leaf::Text, None) => (false, true),
            (Leaf::OwnText, None) => (true, true),
            (Leaf::Attribute { name, deep }, Some(attribute)) => (!deep, is(name.as_deref(), attribute)),
            _ => (false, false),
        };
        wanted && reaches(&self.steps, elements, whole)
    }
}

/// A name without its prefix; `Some(None)` is `*`.
fn name(step: &str) -> Option<Option<Box<[u8]>>> {
    let local = step.rsplit(':').next().unwrap_or(step);
    let is_name = !local.is_empty()
        && local.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'));
    match local {
        "*" => Some(None),
        _ => is_name.then(|| Some(local.as_bytes().into())),
    }
}

fn is(name: Option<&[u8]>, qualified: &[u8]) -> bool {
    let local = qualified.rsplit(|byte| *byte == b':').next().unwrap_or(qualified);
    name.is_none_or(|name| name == local)
}

/// Whether the steps lead to the innermost of the elements, or where not `whole` to any of them. Steps times elements,
/// both bounded by the rule and the depth of documents.
fn reaches(steps: &[Step], elements: &[Box<[u8]>], whole: bool) -> bool {
    // Which numbers of elements the steps so far may have passed.
    let mut at = vec![false; elements.len() + 1];
    if let Some(start) = at.first_mut() {
        *start = true;
    }
    for step in steps {
        let mut next = vec![false; elements.len() + 1];
        let mut reached = false;
        for (index, element) in elements.iter().enumerate() {
            let here = at.get(index) == Some(&true);
            reached = here || (step.deep && reached);
            if reached
                && is(step.name.as_deref(), element)
                && let Some(place) = next.get_mut(index + 1)
            {
                *place = true;
            }
        }
        at = next;
    }
    if whole { at.last() == Some(&true) } else { at.contains(&true) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn paths_lead_to_texts_and_attributes() {
        let elements =
            |path: &str| -> Vec<Box<[u8]>> { path.split('/').map(|name| name.as_bytes().into()).collect() };
        for (path, at, attribute, expected) in [
            ("/*", "a/b/c", None, true),
            ("/*", "a", Some("x"), false),
            ("//@*", "a/b", Some("x"), true),
            ("//@*", "a/b", None, false),
            ("/a/b", "a/b/c", None, true),
            ("/b", "a/b", None, false),
            ("//b", "a/b/c", None, true),
            ("//b/text()", "a/b/c", None, false),
            ("//b/text()", "a/b", None, true),
            ("/a/*/@id", "a/n:b", Some("n:id"), true),
            ("/a/@id", "a/b", Some("id"), false),
            ("//b//d", "a/b/c/d", None, true),
            ("//b/d", "a/b/c/d", None, false),
        ] {
            let path = XPath::parse(path).unwrap();
            let selects = path.selects(&elements(at), attribute.map(str::as_bytes));
            assert_eq!(selects, expected, "{} {at} {attribute:?}", path.source());
        }
        for wrong in ["", "a", "/a[1]", "//@id/b", "/count(a)", "/a/@", "/"] {
            assert!(XPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
