//! What the kinds of bytes of a text and its length alone prove: which transformations leave it as it is, and which
//! tests find nothing in it. Remembered by worker: few shapes are common.

use ahash::AHashMap;

use super::{bits::Bits, set::ScanSet};
use crate::transform::ByteSet;

/// How many shapes one worker remembers, of about 100 bytes each. Beyond them nothing is proved until the next phase.
const MAX_SHAPES: usize = 4096;
/// Up to this length, every length is a shape of its own.
const EXACT: usize = 8;
/// Lengths are taken for the first of these that is no shorter.
const LENGTHS: [usize; 4] = [10, 12, 16, 24];

/// What is known of texts of one shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The transformations that may change the text, as bits.
    pub(super) changing: u64,
    /// The transformations after which nothing is known of what comes of the text, as bits.
    pub(super) wild: u64,
    /// Where the tests that may find something begin.
    place: usize,
}

/// The shapes that one worker met.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    places: AHashMap<(u32, usize), Shape>,
    possible: Vec<u64>,
}

impl Shapes {
    /// Makes room; what was known of shapes before means nothing any more.
    pub(super) fn begin(&mut self, set: &ScanSet) {
        if self.places.len() >= MAX_SHAPES || self.possible.is_empty() {
            self.places.clear();
            self.possible.clear();
            // The first tests are those of a text of which nothing is known.
            self.possible.resize(Bits::words(set.tests).max(1), u64::MAX);
        }
    }

    /// The tests that may find something in texts of this shape.
    pub(super) fn possible(&self, set: &ScanSet, shape: &Shape) -> &[u64] {
        self.possible.get(shape.place..shape.place + Bits::words(set.tests)).unwrap_or_default()
    }

    /// The shape of a text of these kinds and this length.
    pub(super) fn of(&mut self, set: &ScanSet, kinds: ByteSet, length: usize) -> Shape {
        let length = match length {
            0..=EXACT => length,
            _ => LENGTHS.into_iter().find(|most| length <= *most).unwrap_or(usize::MAX),
        };
        match self.places.get(&(kinds.bits(), length)) {
            Some(shape) => *shape,
            None => self.add(set, kinds, length),
        }
    }

    #[cold]
    fn add(&mut self, set: &ScanSet, kinds: ByteSet, length: usize) -> Shape {
        let later = kinds.after_bounded();
        let (mut changing, mut wild) = (0, 0);
        for step in &set.steps {
            let bit = 1 << *step as u32;
            if step.may_change(&kinds) {
                changing |= bit;
            }
            if step.may_change(&later) && !step.is_bounded_for(kinds) {
                wild |= bit;
            }
        }
        if self.places.len() >= MAX_SHAPES {
            return Shape { changing, wild, place: 0 };
        }
        let mut possible = Bits::new(set.tests);
        for (test, [needs, _]) in set.needs.iter().enumerate() {
            if needs.allow(kinds.into(), length) {
                possible.insert(test);
            }
        }
        let shape = Shape { changing, wild, place: self.possible.len() };
        self.possible.extend_from_slice(possible.as_words());
        self.places.insert((kinds.bits(), length), shape);
        shape
    }
}
