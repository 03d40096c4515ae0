//! From a canonical path to the value of its template.

use std::{fmt, ops::Range};

use super::{
    Template,
    segment::Ranges,
    tree::{Node, Tree},
};

/// Finds the value of the template that matches a path, whatever the method.
///
/// Concrete segments win over parameters, from left to right (OpenAPI 3.1, Paths Object: "concrete definitions are
/// matched before their templated counterparts"); where that leads nowhere, the parameter is tried. A look-up
/// allocates only where a segment holds escapes, or for a ninth parameter.
#[derive(Clone, Debug)]
pub struct PathRouter<T> {
    tree: Tree<Option<Entry<T>>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    template: Template,
    value: T,
}

/// Two templates that match the same paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The template that was there first, as it was written.
    pub existing: String,
    /// The template that was refused.
    pub refused: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { existing, refused } = self;
        write!(f, "the path template `{refused}` matches the same paths as `{existing}`: keep one of them")
    }
}

impl std::error::Error for Conflict {}

impl<T> Default for PathRouter<T> {
    fn default() -> Self {
        PathRouter { tree: Tree::default(), len: 0 }
    }
}

impl<T> PathRouter<T> {
    /// Without templates.
    #[must_use]
    pub fn new() -> Self {
        PathRouter::default()
    }

    /// Adds a template.
    ///
    /// # Errors
    /// A template of the same shape is there; nothing is changed.
    pub fn insert(&mut self, template: &Template, value: T) -> Result<(), Conflict> {
        let Some(leaf) = self.tree.leaf_of(&template.segments) else { return Ok(()) };
        if let Some(entry) = leaf {
            return Err(Conflict {
                existing: entry.template.as_str().to_owned(),
                refused: template.as_str().to_owned(),
            });
        }
        *leaf = Some(Entry { template: template.clone(), value });
        self.len += 1;
        Ok(())
    }

    /// The value of the template of the same shape, made where there is none: for documents that write one shape with
    /// different names, each with methods of its own. The parameters keep the names of the first; `None` never comes.
    pub fn get_or_insert_with(&mut self, template: &Template, value: impl FnOnce() -> T) -> Option<&mut T> {
        if self.get(template).is_none() {
            let fresh = Entry { template: template.clone(), value: value() };
            *self.tree.leaf_of(&template.segments)? = Some(fresh);
            self.len += 1;
        }
        self.get_mut(template)
    }

    /// The value of the template of the same shape, for a change.
    pub fn get_mut(&mut self, template: &Template) -> Option<&mut T> {
        // The look-up first, so that asking adds no node.
        self.get(template)?;
        self.tree.leaf_of(&template.segments)?.as_mut().map(|entry| &mut entry.value)
    }

    /// The value of the template of the same shape.
    #[must_use]
    pub fn get(&self, template: &Template) -> Option<&T> {
        self.tree.existing(&template.segments)?.as_ref().map(|entry| &entry.value)
    }

    /// The templates with their values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Template, &T)> {
        self.tree.leaves().flatten().map(|entry| (&entry.template, &entry.value))
    }

    /// How many templates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of the most concrete template that matches the canonical path, with its parameters.
    #[must_use]
    pub fn find<'r, 'p>(&'r self, path: &'p str) -> Option<(&'r T, Params<'r, 'p>)> {
        let segments = path.strip_prefix('/')?;
        let mut ranges = Ranges::new();
        let entry = self.search(self.tree.root()?, path, path.len() - segments.len(), &mut ranges)?;
        Some((&entry.value, Params { template: &entry.template, path, ranges }))
    }

    /// Follows the segment that begins at `start`, and those behind it. The depth is that of the deepest template.
    fn search<'r>(
        &'r self,
        node: &'r Node<Option<Entry<T>>>,
        path: &str,
        start: usize,
        ranges: &mut Ranges,
    ) -> Option<&'r Entry<T>> {
        let rest = path.get(start..)?;
        let end = memchr::memchr(b'/', rest.as_bytes()).map_or(path.len(), |length| start + length);
        let segment = path.get(start..end)?;
        let follow = |next: &'r Node<Option<Entry<T>>>, ranges: &mut Ranges| {
            if end == path.len() { next.leaf.as_ref() } else { self.search(next, path, end + 1, ranges) }
        };
        if let Some(next) = self.tree.literal(node, segment)
            && let Some(found) = follow(next, ranges)
        {
            return Some(found);
        }
        if segment.is_empty() {
            return None;
        }
        let kept = ranges.len();
        for (partial, next) in self.tree.partials(node) {
            let Some(parameters) = partial.find(segment, start) else { continue };
            ranges.extend(parameters);
            if let Some(found) = follow(next, ranges) {
                return Some(found);
            }
            ranges.truncate(kept);
        }
        let next = self.tree.any(node)?;
        ranges.push(start..end);
        let found = follow(next, ranges);
        if found.is_none() {
            ranges.truncate(kept);
        }
        found
    }
}

/// The parameters of a matched path: slices of it, still encoded.
#[derive(Clone, Debug)]
pub struct Params<'r, 'p> {
    template: &'r Template,
    path: &'p str,
    ranges: Ranges,
}

impl<'r, 'p> Params<'r, 'p> {
    /// The template that matched.
    #[must_use]
    pub fn template(&self) -> &'r Template {
        self.template
    }

    /// Names and values, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, &'p str)> {
        let path = self.path;
        let values = self.ranges.iter().map(move |range| path.get(range.clone()).unwrap_or_default());
        self.template.names.iter().map(AsRef::as_ref).zip(values)
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Where the values lie in the path, in bytes.
    #[must_use]
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }
}
