//! Requests without what their contract does not name.

use bartizan_contract::{
    check::{Checks, MediaChoice, Member, Part, Violation, without_members},
    shape::{Direction, Noticed},
};
use bartizan_pattern::body::{Content, Reading};
use bytes::Bytes;

/// Members of a sequence that are told.
pub(super) const TOLD: usize = 32;

/// What is sent in place of what the client sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The query; inside, `None` for none.
    pub query: Option<Option<String>>,
    /// The body, without content coding.
    pub body: Option<Bytes>,
}

/// A query without the pairs of these numbers.
pub(super) fn query(query: &str, without: &[usize]) -> Option<String> {
    let kept: Vec<&str> = query
        .split('&')
        .enumerate()
        .filter(|(number, _)| without.binary_search(number).is_err())
        .map(|(_, pair)| pair)
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// A body without the members for which `cut` says so, of those that were found in it.
///
/// # Errors
/// Why it cannot be done safely, in words that follow "it cannot be taken out".
pub(crate) fn body(
    checks: &Checks,
    media: &MediaChoice,
    reading: &Reading<'_>,
    direction: Direction,
    members: &[Member],
    cut: &dyn Fn(Noticed) -> bool,
) -> Result<Vec<u8>, &'static str> {
    let gone = members.iter().filter(|member| cut(member.noticed));
    match reading.content() {
        Content::Json(tape) => {
            let keys: Vec<u32> = gone.map(|member| member.key).collect();
            Ok(without_members(tape, &keys))
        }
        // The pointers behind the first ones are not told.
        Content::Form(_) if gone.clone().any(|member| member.pointer.is_empty()) => Err("there are too many"),
        Content::Form(_) => {
            let gone: Vec<_> = gone.map(violation).collect();
            form(reading, &gone).ok_or("a field is inside another")
        }
        _ => checks.without(media, reading, direction, cut),
    }
}

/// A form without the members at these pointers; `None` for bodies that are no form, and where a member is inside another.
fn form(reading: &Reading<'_>, without: &[Violation]) -> Option<Vec<u8>> {
    let Content::Form(form) = reading.content() else { return None };
    let names: Vec<String> = without
        .iter()
        .map(|violation| {
            let name = violation.pointer.strip_prefix('/').filter(|name| !name.contains('/'))?;
            Some(name.replace("~1", "/").replace("~0", "~"))
        })
        .collect::<Option<_>>()?;
    let kept: Vec<&[u8]> = form
        .bytes()
        .split(|byte| *byte == b'&')
        .zip(form.pairs())
        .filter(|(_, pair)| !names.iter().any(|name| *pair.name() == *name.as_bytes()))
        .map(|(raw, _)| raw)
        .collect();
    Some(kept.join(&b"&"[..]))
}

/// A member that has no business in a request.
pub(crate) fn violation(member: &Member) -> Violation {
    let (keyword, expectation) = match member.noticed {
        Noticed::ReadOnly => ("readOnly", "a member that only the API writes not to be sent"),
        Noticed::Undeclared | Noticed::WriteOnly => ("undeclared", "no such member"),
    };
    Violation {
        part: Part::Body,
        name: "".into(),
        pointer: member.pointer.clone(),
        keyword: keyword.to_owned(),
        expectation: expectation.to_owned(),
        contract: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_what_is_named_as_it_is_written() {
        assert_eq!(query("a=1&x=2&b=%20", &[1]).as_deref(), Some("a=1&b=%20"));
        assert_eq!(query("x=2", &[0]), None);
        assert_eq!(query("a&&x", &[2]).as_deref(), Some("a&"));
    }
}
