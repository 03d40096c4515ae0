//! The whole query as one value (`in: querystring`, OpenAPI 3.2 section 4.12): a form or a JSON text by its schema.

use bartizan_pattern::body::form::{Form, FormBuffer, FormLimits};

use super::{
    Checks, MediaCheck, Part, QueryCheck, Violation,
    head::{HeadResult, escape, missing},
    parameter::Escapes,
};
use crate::{
    schema::View,
    shape::{Direction, Noticed, Walk},
    value::Built,
};

/// The longest pair that is read: the query has its own limit.
const PAIR_BYTES: u32 = 1 << 30;

impl Checks {
    /// Judges a query that is described as a whole. Pairs of a form that nothing names are told as undeclared.
    pub(super) fn query_string(&self, check: &QueryCheck, query: Option<&str>, result: &mut HeadResult) {
        let query = query.unwrap_or_default();
        if query.is_empty() {
            if check.required {
                result.fail(missing(Part::Query, &check.name));
            }
            return;
        }
        let media = &check.media;
        if media.range.essence() == "application/x-www-form-urlencoded" {
            return self.query_form(media, query, result);
        }
        // Anything else is one text, with its escapes undone once.
        let Some(text) = Escapes::Percent.undo(query) else {
            return result.fail(escape(Part::Query, &check.name));
        };
        if media.range.is_json() {
            return self.json_text(media.typed.as_ref(), &text, Part::Query, &check.name, result);
        }
        if let Some(typed) = &media.typed {
            let value = Built::Text(text);
            typed.check(View::Built(&value), Part::Query, &check.name, &mut result.violations);
        }
    }

    fn query_form(&self, media: &MediaCheck, query: &str, result: &mut HeadResult) {
        let mut buffer = FormBuffer::new();
        let limits = FormLimits { pair_bytes: PAIR_BYTES, ..FormLimits::default() };
        let Ok(form) = Form::parse(query.as_bytes(), &limits, &mut buffer) else {
            return result.fail(Violation::new(Part::Query, "", "encoding", "fewer parameters"));
        };
        let mut found = Vec::new();
        let value = self.form(media, form, &mut found);
        let Some(typed) = &media.typed else { return };
        typed.check(View::Built(&value), Part::Query, "", &mut found);
        for violation in found {
            result.fail(Violation { part: Part::Query, ..violation });
        }
        let mut walk = Walk::default();
        walk.built(&self.shapes, typed.shape, &value, Direction::Request, "");
        let pairs: Vec<(usize, String)> = query
            .split('&')
            .enumerate()
            .filter_map(|(number, pair)| {
                let name = Escapes::Form.undo(pair.split_once('=').map_or(pair, |(name, _)| name))?;
                Some((number, pointer(std::iter::once(&*name))))
            })
            .collect();
        undeclared(walk, Part::Query, "", &pairs, result);
    }
}

/// The JSON pointer of a member by the names that lead to it.
pub(super) fn pointer<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(crate::pointer::step).collect()
}

/// Tells members that have no business in a parameter: with the pairs of the query that they are written in, which can be
/// taken out, or, where they are a part of a pair, as what does not fit.
pub(super) fn undeclared(
    walk: Walk,
    part: Part,
    name: &str,
    pairs: &[(usize, String)],
    result: &mut HeadResult,
) {
    let mut untold = walk.noticed.len() > walk.pointers.len();
    for ((_, noticed), at) in walk.noticed.iter().zip(walk.pointers) {
        let inside = |pair: &&(usize, String)| {
            pair.1.strip_prefix(&*at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let numbers: Vec<usize> = pairs.iter().filter(inside).map(|(number, _)| *number).collect();
        if part == Part::Query && *noticed == Noticed::Undeclared && !numbers.is_empty() {
            result.leave_out(&numbers, &format!("{name}{at}"));
            continue;
        }
        let (keyword, what) = match noticed {
            Noticed::ReadOnly => ("readOnly", "a member that only the API writes not to be sent"),
            Noticed::Undeclared | Noticed::WriteOnly => ("undeclared", "no such member"),
        };
        result.fail(Violation::new(part, name, keyword, what).at(at));
        untold = false;
    }
    if untold {
        result.fail(Violation::new(part, name, "undeclared", "no such members"));
    }
}
