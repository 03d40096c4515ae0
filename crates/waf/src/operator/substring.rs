//! Comparisons of texts, byte for byte: `@contains`, `@within`, `@beginsWith`, `@streq` and their kin.

use memchr::memmem;

use super::OperatorContext;

/// How value and argument are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    Contains,
    ContainsWord,
    Within,
    BeginsWith,
    EndsWith,
    Equal,
}

impl Comparison {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let is = |candidate: &str| name.eq_ignore_ascii_case(candidate);
        Some(match () {
            () if is("contains") || is("strmatch") => Self::Contains,
            () if is("containsWord") => Self::ContainsWord,
            () if is("within") => Self::Within,
            () if is("beginsWith") => Self::BeginsWith,
            () if is("endsWith") => Self::EndsWith,
            () if is("streq") => Self::Equal,
            () => return None,
        })
    }

    /// Whether only a value that has the argument in it matches.
    pub(super) const fn needs_argument(self) -> bool {
        !matches!(self, Self::Within)
    }

    #[inline(never)]
    pub(super) fn matches(self, value: &[u8], argument: &[u8], context: &mut OperatorContext) -> bool {
        let start = match self {
            Self::Contains => memmem::find(value, argument),
            Self::ContainsWord => word(value, argument),
            Self::Within => {
                let found = value.is_empty() || memmem::find(argument, value).is_some();
                if found {
                    context.found(0, value.len());
                }
                return found;
            }
            Self::BeginsWith => value.starts_with(argument).then_some(0),
            Self::EndsWith => value.ends_with(argument).then(|| value.len() - argument.len()),
            Self::Equal => (value == argument).then_some(0),
        };
        if let Some(start) = start {
            context.found(start, start + argument.len());
        }
        start.is_some()
    }
}

/// Where `word` stands in `value` between bytes that are no ASCII letters. Linear: an occurrence is looked at once,
/// and the next is searched from the byte after its start.
fn word(value: &[u8], word: &[u8]) -> Option<usize> {
    if word.is_empty() {
        return Some(0);
    }
    let boundary = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphabetic());
    let finder = memmem::Finder::new(word);
    let mut from = 0;
    while let Some(at) = value.get(from..).and_then(|rest| finder.find(rest)) {
        let start = from + at;
        let before = start.checked_sub(1).and_then(|index| value.get(index));
        if boundary(before) && boundary(value.get(start + word.len())) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}
