//! Which sets of blocks can match one path at once, so that every operation is compiled before the first request.

use bartizan_pattern::template::PathPattern;
use http::Method;

use super::Block;

/// A block that may match, in the order of application.
pub(crate) struct Candidate<'a> {
    /// Its index.
    pub index: u16,
    /// The block.
    pub block: &'a Block,
}

/// Enumerates the sets of blocks that can match requests of some methods, on the paths of a template or on any path.
pub(crate) struct Enumeration<'a> {
    /// All blocks, the least specific first.
    pub blocks: &'a [Candidate<'a>],
    /// The template's pattern; `None` for any path.
    pub within: Option<&'a PathPattern>,
    /// Sets beyond this are an error.
    pub limit: usize,
}

impl Enumeration<'_> {
    /// Every set for any of the methods, each in ascending order.
    ///
    /// # Errors
    /// There are more than the limit: the labels of the blocks that may or may not match.
    pub(crate) fn sets(&self, methods: &[Method]) -> Result<Vec<Vec<u16>>, Vec<String>> {
        let mut all: Vec<Vec<u16>> = Vec::new();
        for method in methods {
            let candidates: Vec<&Candidate<'_>> = self
                .blocks
                .iter()
                .filter(|candidate| candidate.block.covers(method))
                .filter(|candidate| self.within.is_none_or(|path| candidate.block.pattern.overlaps(path)))
                .collect();
            let mut sets = Vec::new();
            if !self.extend(&candidates, &mut Vec::new(), &mut sets) {
                return Err(candidates.iter().map(|candidate| candidate.block.label.clone()).collect());
            }
            for set in sets {
                if !all.contains(&set) {
                    all.push(set);
                }
            }
        }
        Ok(all)
    }

    /// Decides the next candidate both ways; false when the limit is passed.
    fn extend(&self, rest: &[&Candidate<'_>], chosen: &mut Vec<usize>, sets: &mut Vec<Vec<u16>>) -> bool {
        // Depth first over positions, without recursion on user input beyond the number of blocks.
        struct Frame {
            position: usize,
            chosen: Vec<usize>,
        }
        let mut stack = vec![Frame { position: 0, chosen: std::mem::take(chosen) }];
        while let Some(Frame { position, chosen }) = stack.pop() {
            let Some(candidate) = rest.get(position) else {
                sets.push(
                    chosen.iter().filter_map(|&at| rest.get(at)).map(|candidate| candidate.index).collect(),
                );
                if sets.len() > self.limit {
                    return false;
                }
                continue;
            };
            let pattern = &candidate.block.pattern;
            let earlier = |at: &usize| rest.get(*at).map(|candidate| &candidate.block.pattern);
            let possible = chosen.iter().filter_map(earlier).all(|other| other.overlaps(pattern))
                && (0..position)
                    .filter(|at| !chosen.contains(at))
                    .filter_map(|at| earlier(&at))
                    .all(|other| !contains(other, pattern));
            let certain = self.within.is_some_and(|path| contains(pattern, path))
                || chosen.iter().filter_map(earlier).any(|other| contains(pattern, other));
            if !certain || !possible {
                stack.push(Frame { position: position + 1, chosen: chosen.clone() });
            }
            if possible {
                let mut with = chosen;
                with.push(position);
                stack.push(Frame { position: position + 1, chosen: with });
            }
        }
        true
    }
}

/// Whether everything that `inner` matches is matched by `outer`. In doubt: no.
pub(crate) fn contains(outer: &PathPattern, inner: &PathPattern) -> bool {
    let (outer, outer_rest) = segments(outer);
    let (inner, inner_rest) = segments(inner);
    let fits = match (outer_rest, inner_rest) {
        (true, _) => inner.len() >= outer.len(),
        (false, true) => false,
        (false, false) => inner.len() == outer.len(),
    };
    fits && outer.iter().zip(&inner).all(|(outer, inner)| is_any(outer) || outer.eq_ignore_ascii_case(inner))
}

/// The segments of a pattern, and whether it ends in `**`.
fn segments(pattern: &PathPattern) -> (Vec<&str>, bool) {
    let mut segments: Vec<&str> = pattern.as_str().split('/').filter(|segment| !segment.is_empty()).collect();
    let rest = segments.last() == Some(&"**");
    if rest {
        segments.pop();
    }
    (segments, rest)
}

/// `*`, or one parameter and nothing else.
fn is_any(segment: &str) -> bool {
    segment == "*"
        || (segment.starts_with('{') && segment.find('}').is_some_and(|end| end + 1 == segment.len()))
}
