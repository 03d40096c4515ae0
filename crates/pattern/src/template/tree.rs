//! The tree of segments that routers and pattern sets share.

use ahash::AHashMap;

use super::segment::{Partial, Segment, comparable};

/// Nodes by position; the first one is the root. Every node stands for one list of segments, so that a search visits
/// none twice: it costs at most as many steps as there are templates, whatever the path.
#[derive(Clone, Debug)]
pub(super) struct Tree<L> {
    nodes: Vec<Node<L>>,
}

/// What may follow a list of segments.
#[derive(Clone, Debug)]
pub(super) struct Node<L> {
    literals: AHashMap<Box<str>, usize>,
    /// The most literal text first; of equals, the first inserted.
    partials: Vec<(Partial, usize)>,
    any: Option<usize>,
    /// What ends here.
    pub(super) leaf: L,
}

impl<L: Default> Default for Tree<L> {
    fn default() -> Self {
        Tree { nodes: vec![Node::default()] }
    }
}

impl<L: Default> Default for Node<L> {
    fn default() -> Self {
        Node { literals: AHashMap::new(), partials: Vec::new(), any: None, leaf: L::default() }
    }
}

impl<L> Tree<L> {
    pub(super) fn root(&self) -> Option<&Node<L>> {
        self.nodes.first()
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = &L> {
        self.nodes.iter().map(|node| &node.leaf)
    }

    /// The leaf of the list of segments, made where it is not there yet; `None` never happens.
    pub(super) fn leaf_of(&mut self, segments: &[Segment]) -> Option<&mut L>
    where
        L: Default,
    {
        let mut at = 0;
        for segment in segments {
            let fresh = self.nodes.len();
            let next = self.nodes.get_mut(at)?.child(segment, fresh);
            if next == fresh {
                self.nodes.push(Node::default());
            }
            at = next;
        }
        self.nodes.get_mut(at).map(|node| &mut node.leaf)
    }

    /// The leaf of the list of segments, where it is there.
    pub(super) fn existing(&self, segments: &[Segment]) -> Option<&L> {
        let mut node = self.root()?;
        for segment in segments {
            let next = match segment {
                Segment::Literal(text) => node.literals.get(text).copied(),
                Segment::Partial(partial) => {
                    node.partials.iter().find(|(other, _)| other == partial).map(|(_, at)| *at)
                }
                Segment::Any => node.any,
            };
            node = self.nodes.get(next?)?;
        }
        Some(&node.leaf)
    }

    /// The node behind the literal that equals `segment`.
    pub(super) fn literal(&self, node: &Node<L>, segment: &str) -> Option<&Node<L>> {
        if node.literals.is_empty() {
            return None;
        }
        node.literals.get(&*comparable(segment)).and_then(|at| self.nodes.get(*at))
    }

    /// The nodes behind partial segments, the most concrete first, whether they match or not.
    pub(super) fn partials<'t>(
        &'t self,
        node: &'t Node<L>,
    ) -> impl Iterator<Item = (&'t Partial, &'t Node<L>)> {
        node.partials.iter().filter_map(|(partial, at)| Some((partial, self.nodes.get(*at)?)))
    }

    /// The node behind a parameter.
    pub(super) fn any(&self, node: &Node<L>) -> Option<&Node<L>> {
        node.any.and_then(|at| self.nodes.get(at))
    }
}

impl<L> Node<L> {
    /// The position of the child, which is `fresh` where there was none.
    fn child(&mut self, segment: &Segment, fresh: usize) -> usize {
        match segment {
            Segment::Literal(text) => *self.literals.entry(text.clone()).or_insert(fresh),
            Segment::Any => *self.any.get_or_insert(fresh),
            Segment::Partial(partial) => {
                if let Some((_, at)) = self.partials.iter().find(|(other, _)| other == partial) {
                    return *at;
                }
                let bytes = partial.literal_bytes();
                let place = self.partials.partition_point(|(other, _)| other.literal_bytes() >= bytes);
                self.partials.insert(place, (partial.clone(), fresh));
                fresh
            }
        }
    }
}
