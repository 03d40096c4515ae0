//! What the `match` of a policy's block says of paths.

use std::{fmt, hash};

use smallvec::SmallVec;

use super::{
    segment::{self, Segment},
    tree::{Node, Tree},
};
use crate::path::folded;

/// A path pattern of a policy: `/login`, `/users/*/roles`, `/users/{id}`, `/admin/**`.
///
/// `*` and `{name}` stand for exactly one segment, `{name}` also for a part of one (`/files/{name}.pdf`), `**` at the
/// end for the path before it and everything below. Matched against folded paths ([`folded`]) and folded like them, so
/// that case, a slash at the end and the like make no difference. Two patterns are equal when they match the same way.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
    /// `**` at the end.
    rest: bool,
}

/// How much a pattern says: the greater, the more specific. A pattern whose paths are a part of another's is greater.
///
/// Compared in this order: literal segments, segments that are partly literal and the bytes of that text, segments in
/// all, and whether the end is fixed (`**` is the least).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    literals: usize,
    partials: usize,
    partial_bytes: usize,
    segments: usize,
    ends: bool,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead, as text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("the path pattern `{text}` does not begin with `/`: write `/{text}`"));
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        let mut rest = false;
        let mut pieces = segment::split(path).peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                "" if path.is_empty() => {}
                "" => return Err(format!("the path pattern `{text}` holds an empty segment: write one `/`")),
                "**" if pieces.peek().is_none() => rest = true,
                "**" => {
                    return Err(format!(
                        "`**` of the path pattern `{text}` is not at the end: write `*` for one segment"
                    ));
                }
                "*" => segments.push(Segment::Any),
                _ if piece.contains('*') => {
                    return Err(format!(
                        "`{piece}` of the path pattern `{text}` mixes `*` with text: `*` stands for a whole segment, \
                         `{{name}}` also for a part of one, `%2A` for the character"
                    ));
                }
                _ => {
                    let parsed = Segment::parse(piece, &mut Vec::new())
                        .map_err(|problem| format!("in the path pattern `{text}`, {problem}"))?;
                    segments.push(fold(parsed).ok_or_else(|| {
                        format!(
                            "no path matches `{piece}` of the path pattern `{text}`: dots and spaces at the end of a segment and `;parameters` are dropped before"
                        )
                    })?);
                }
            }
        }
        Ok(PathPattern { text: text.into(), segments, rest })
    }

    /// The text that was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a folded path.
    #[must_use]
    pub fn matches(&self, folded_path: &str) -> bool {
        let mut path = segments_of(folded_path);
        self.segments.iter().all(|segment| path.next().is_some_and(|piece| segment.matches(piece)))
            && (self.rest || path.next().is_none())
    }

    /// Whether the pattern, taken as one path, is matched only by itself: no `*`, `{name}` or `**`.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.rest && self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// How specific it is. Of two blocks for one path the greater is applied later; with an equal path, a block for one
    /// method is more specific than one for all: sort by `(specificity, names a method)`.
    #[must_use]
    pub fn specificity(&self) -> Specificity {
        let mut specificity = Specificity {
            literals: 0,
            partials: 0,
            partial_bytes: 0,
            segments: self.segments.len(),
            ends: !self.rest,
        };
        for segment in &self.segments {
            match segment {
                Segment::Literal(_) => specificity.literals += 1,
                Segment::Partial(partial) => {
                    specificity.partials += 1;
                    specificity.partial_bytes += partial.literal_bytes();
                }
                Segment::Any => {}
            }
        }
        specificity
    }

    /// Whether some path can match both. Two segments that are each partly literal count as overlapping unless what is
    /// before the first and behind the last parameter excludes it.
    #[must_use]
    pub fn overlaps(&self, other: &PathPattern) -> bool {
        let long_enough = |long: &PathPattern, short: &PathPattern| {
            long.segments.len() == short.segments.len()
                || long.segments.len() > short.segments.len() && short.rest
        };
        (long_enough(self, other) || long_enough(other, self))
            && self.segments.iter().zip(&other.segments).all(|(mine, theirs)| mine.overlaps(theirs))
    }

    /// Whether the two are different patterns of equal specificity that can match one path, so that nothing says which
    /// of two blocks for the same methods comes first.
    #[must_use]
    pub fn ties_with(&self, other: &PathPattern) -> bool {
        self != other && self.specificity() == other.specificity() && self.overlaps(other)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.rest == other.rest && self.segments == other.segments
    }
}

impl Eq for PathPattern {}

impl hash::Hash for PathPattern {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.specificity().hash(state);
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The segment as it stands in a folded path, or `None` where no folded path holds it.
fn fold(segment: Segment) -> Option<Segment> {
    Some(match segment {
        Segment::Literal(text) => match folded(&format!("/{text}")).strip_prefix('/') {
            None | Some("") => return None,
            Some(text) => Segment::Literal(text.into()),
        },
        Segment::Partial(partial) => {
            let cut_off = |text: &str| text.contains(';') || text.contains("%3B");
            let dropped = |text: &str| text.ends_with('.') || text.ends_with("%20");
            if partial.literals().any(cut_off) || partial.literals().last().is_some_and(dropped) {
                return None;
            }
            // A letter behind the text keeps dots and spaces at its end, which are inside the segment here.
            let fold_text = |text: &str| folded(&format!("/{text}x")).trim_start_matches('/').to_owned();
            Segment::Partial(
                partial.map(|text| fold_text(text).strip_suffix('x').unwrap_or_default().to_owned()),
            )
        }
        Segment::Any => Segment::Any,
    })
}

/// The segments of a folded path: none for `/`.
fn segments_of(folded_path: &str) -> impl Iterator<Item = &str> {
    let path = folded_path.strip_prefix('/').unwrap_or(folded_path);
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Patterns with values, all of which that match a path are found in one pass.
#[derive(Clone, Debug)]
pub struct PatternSet<T> {
    tree: Tree<Ends>,
    /// The least specific first.
    entries: Vec<(PathPattern, T)>,
}

/// Which patterns end at a node: exactly, and with `**`.
#[derive(Clone, Debug, Default)]
struct Ends {
    here: Vec<usize>,
    rest: Vec<usize>,
}

impl<T> PatternSet<T> {
    /// Takes the patterns in; those of equal specificity keep their order.
    pub fn new(patterns: impl IntoIterator<Item = (PathPattern, T)>) -> Self {
        let mut entries: Vec<(PathPattern, T)> = patterns.into_iter().collect();
        entries.sort_by_key(|(pattern, _)| pattern.specificity());
        let mut tree = Tree::<Ends>::default();
        for (at, (pattern, _)) in entries.iter().enumerate() {
            if let Some(ends) = tree.leaf_of(&pattern.segments) {
                if pattern.rest { ends.rest.push(at) } else { ends.here.push(at) }
            }
        }
        PatternSet { tree, entries }
    }

    /// All patterns that match the folded path, the least specific first. Up to eight are found without an allocation.
    pub fn find(&self, folded_path: &str) -> impl Iterator<Item = (&PathPattern, &T)> {
        let mut found: SmallVec<[usize; 8]> = SmallVec::new();
        if let Some(root) = self.tree.root() {
            let path = folded_path.strip_prefix('/').unwrap_or(folded_path);
            self.collect(root, path, &mut found);
        }
        found.sort_unstable();
        found.into_iter().filter_map(|at| self.entries.get(at)).map(|(pattern, value)| (pattern, value))
    }

    /// The patterns with their values, the least specific first.
    pub fn iter(&self) -> impl Iterator<Item = (&PathPattern, &T)> {
        self.entries.iter().map(|(pattern, value)| (pattern, value))
    }

    fn collect(&self, node: &Node<Ends>, path: &str, found: &mut SmallVec<[usize; 8]>) {
        found.extend_from_slice(&node.leaf.rest);
        if path.is_empty() {
            found.extend_from_slice(&node.leaf.here);
            return;
        }
        let (segment, rest) = path.split_once('/').unwrap_or((path, ""));
        if let Some(next) = self.tree.literal(node, segment) {
            self.collect(next, rest, found);
        }
        for (partial, next) in self.tree.partials(node) {
            if partial.find(segment, 0).is_some() {
                self.collect(next, rest, found);
            }
        }
        if let Some(next) = self.tree.any(node) {
            self.collect(next, rest, found);
        }
    }
}

impl<T> Default for PatternSet<T> {
    fn default() -> Self {
        PatternSet::new([])
    }
}
