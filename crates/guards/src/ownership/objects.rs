//! Which object a request asks for, so that different ones are counted apart and the same one once.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bartizan_authz::ownership::Source;
use bartizan_pattern::path::folded;

use super::{parameters::is_id, rules::OperationRule, values::pairs};

/// Values of the query that tell objects apart; a request has a few.
const MAX_VALUES: usize = 16;

/// What a path names.
pub(super) struct Named<'p> {
    /// The values of its parameters; where none is known, the path.
    pub object: Vec<Cow<'p, str>>,
    /// The path without what looks like ids, where no template says so.
    pub shape: String,
    /// The last of its values that is a number.
    pub number: Option<u64>,
    /// Whether it names an object at all.
    pub has_ids: bool,
}

/// What a path below the base path names, by the template of its operation where there is one.
pub(super) fn named<'p>(
    template: &str,
    parameters: &'p BTreeMap<Arc<str>, String>,
    path: &'p str,
) -> Named<'p> {
    let mut named = Named { object: Vec::new(), shape: String::new(), number: None, has_ids: false };
    if !parameters.is_empty() {
        named.has_ids = true;
        named.object = parameters.values().map(|value| Cow::Borrowed(value.as_str())).collect();
        // In the order of the path, so that the last one is the innermost.
        let names = template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        let numbers = names.filter_map(|name| parameters.get(name)?.parse().ok());
        named.number = numbers.last();
        return named;
    }
    // Nothing says which segments are ids: those that look like some are.
    let is_fixed = !template.is_empty() && !template.contains('*');
    for segment in path.split('/').filter(|segment| !segment.is_empty() && !is_fixed) {
        named.shape.push('/');
        if looks_like_id(segment) {
            named.has_ids = true;
            named.number = segment.parse().ok().or(named.number);
            named.shape.push_str("{}");
        } else {
            named.shape.push_str(segment);
        }
    }
    if !named.has_ids {
        named.shape.clear();
    }
    named.object.push(folded(path));
    named
}

/// The values of the query that say which object: ids, and what the rule asks for.
pub(super) fn of_query(query: &str, rule: Option<&OperationRule>) -> Vec<(String, String)> {
    let asked = |name: &str| {
        let mut paths = rule.into_iter().flat_map(|rule| &rule.predicates).flat_map(|one| one.paths());
        paths.any(|path| matches!(&path.source, Source::Query(asked) if **asked == *name))
    };
    let of_object = |(name, _): &(String, String)| is_id(name) || asked(name);
    pairs(query).filter(of_object).take(MAX_VALUES).collect()
}

/// Whether a segment is what APIs make ids of: a number, a UUID, or a long text with digits.
fn looks_like_id(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let has_digit = segment.bytes().any(|byte| byte.is_ascii_digit());
    has_digit
        && (segment.bytes().all(|byte| byte.is_ascii_digit())
            || segment.len() >= 16 && segment.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_template_what_looks_like_an_id_is_one() {
        let none = BTreeMap::new();
        let of = |template: &str, path: &'static str| {
            let named = named(template, &none, path);
            (named.shape, named.number, named.has_ids)
        };
        assert_eq!(of("", "/accounts/17"), ("/accounts/{}".to_owned(), Some(17), true));
        assert_eq!(of("/**", "/a/7/b/8"), ("/a/{}/b/{}".to_owned(), Some(8), true));
        assert!(of("", "/files/0b8ce7a8-6f21-4ad0-8c2f-0f3d3b0d9c11").2);
        assert_eq!(of("", "/v1/accounts"), (String::new(), None, false));
        assert!(!of("/reports/2024", "/reports/2024").2, "a contract's own words are no ids");
        let parameters = BTreeMap::from([(Arc::from("a"), "9".to_owned()), (Arc::from("z"), "3".to_owned())]);
        assert_eq!(named("/x/{z}/y/{a}", &parameters, "/x/3/y/9").number, Some(9));
    }
}
