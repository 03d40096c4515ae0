//! Values of which something was proved before they came here: which tests may find something in them, whatever they are.
//! Worked out once for each bound, when rules are built, so that such a value costs one look at a table, and the few tests
//! that are left.
//!
//! What is worked out is exact about bytes: an expression is read with every class cut down to the bytes that a text can
//! have, and what is left of it tells the shortest text in which it could be found. Only a test that no text within the
//! bound can satisfy is left out, so that nothing is missed.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use ahash::AHashMap;
use bartizan_pattern::alphabet::Bound;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    reach::{Reach, Test},
    set::{Form, ScanSet},
};
use crate::transform::Transformation;

/// How many bounds are told apart; what is bounded in another way is looked at like any other value.
const MAX_BOUNDS: usize = 128;
/// Of how many sets the tables are kept.
const MAX_SETS: usize = 32;
/// How many tests that are left are made one by one; more of them are cheaper together.
const MAX_LEFT: usize = 6;

/// The bounds of which a program knows what they rule out.
#[derive(Debug, Default)]
pub(in crate::engine) struct Bounds {
    identity: usize,
    all: Vec<Bound>,
    numbers: AHashMap<Bound, u8>,
    tables: Mutex<Vec<(usize, Arc<Spared>)>>,
}

impl Bounds {
    /// The same as one of those that are in use, where they are alike.
    pub(in crate::engine) fn shared(bounds: &[Bound], used: &Mutex<Vec<Weak<Self>>>) -> Arc<Self> {
        let mut all = bounds.to_vec();
        all.sort_unstable();
        all.dedup();
        all.truncate(MAX_BOUNDS);
        let mut used = used.lock();
        used.retain(|one| one.strong_count() > 0);
        if let Some(known) = used.iter().filter_map(Weak::upgrade).find(|known| known.all == all) {
            return known;
        }
        let bounds = Arc::new(Self::new(all));
        used.push(Arc::downgrade(&bounds));
        bounds
    }

    fn new(all: Vec<Bound>) -> Self {
        static IDENTITIES: AtomicUsize = AtomicUsize::new(1);
        let numbers = all.iter().copied().zip(1..).collect();
        let identity = IDENTITIES.fetch_add(1, Ordering::Relaxed);
        Bounds { identity, all, numbers, tables: Mutex::default() }
    }

    /// The number of a bound; 0 for one that is not known here.
    pub(in crate::engine) fn number(&self, bound: &Bound) -> u8 {
        self.numbers.get(bound).copied().unwrap_or_default()
    }

    /// The bound of a number.
    pub(in crate::engine) fn get(&self, number: u8) -> Option<Bound> {
        self.all.get(usize::from(number).checked_sub(1)?).copied()
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells these bounds from those of other programs.
    pub(super) fn identity(&self) -> usize {
        self.identity
    }

    /// What they rule out of a set.
    pub(super) fn spared(&self, set: &ScanSet) -> Arc<Spared> {
        let mut tables = self.tables.lock();
        if let Some((_, known)) = tables.iter().find(|(identity, _)| *identity == set.identity) {
            return Arc::clone(known);
        }
        let spared = Arc::new(Spared::new(set, &self.all));
        if tables.len() >= MAX_SETS {
            tables.remove(0);
        }
        tables.push((set.identity, Arc::clone(&spared)));
        spared
    }
}

/// A test that may find something, and what is done to a value before: steps that cannot change it are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Left {
    pub(super) steps: SmallVec<[Transformation; 4]>,
    pub(super) test: usize,
}

/// By tree of a set and by bound, the tests that may find something in a value within it.
#[derive(Debug, Default)]
pub(super) struct Spared {
    left: Vec<Box<[Left]>>,
    bounds: usize,
}

impl Spared {
    fn new(set: &ScanSet, bounds: &[Bound]) -> Self {
        let tests: Vec<Test> = set.operators.iter().map(Test::of).collect();
        let forms = || set.sources.iter().flat_map(|source| source.forms());
        let trees = forms().map(|form| form.tree as usize + 1).max().unwrap_or_default();
        let mut spared = Spared { left: vec![Box::default(); trees * bounds.len()], bounds: bounds.len() };
        for (number, bound) in bounds.iter().enumerate() {
            let mut gathering = Gathering { tests: &tests, known: AHashMap::new(), bound };
            for form in forms() {
                let mut left = Vec::new();
                gathering.form(form, &Reach::of(bound), &SmallVec::new(), &mut left);
                if let Some(place) = spared.left.get_mut(form.tree as usize * bounds.len() + number) {
                    *place = left.into();
                }
            }
        }
        spared
    }

    fn get(&self, tree: u32, bound: u8) -> Option<&[Left]> {
        let bound = usize::from(bound).checked_sub(1).filter(|bound| *bound < self.bounds)?;
        self.left.get(tree as usize * self.bounds + bound).map(|left| &**left)
    }

    /// The tests to make of a value, where those are few; `None` where all of the tree is to be looked at.
    pub(super) fn few(&self, tree: u32, bound: u8) -> Option<&[Left]> {
        self.get(tree, bound).filter(|left| left.len() <= MAX_LEFT)
    }

    /// How many tests of the tree may find something in a value within the bound of this number.
    pub(super) fn left(&self, tree: u32, bound: u8) -> usize {
        self.get(tree, bound).map_or(usize::MAX, <[Left]>::len)
    }
}

/// A walk over trees with what a value of a bound becomes on the way.
struct Gathering<'g> {
    tests: &'g [Test],
    /// Whether a test may find something in what is reached: it is asked the same of many trees.
    known: AHashMap<(usize, Reach), bool>,
    bound: &'g Bound,
}

impl Gathering<'_> {
    /// Adds the tests of the form, and of all that is made of it, that may find something.
    fn form(
        &mut self,
        form: &Form,
        reach: &Reach,
        steps: &SmallVec<[Transformation; 4]>,
        left: &mut Vec<Left>,
    ) {
        for test in form.tests.iter() {
            let Some(made) = self.tests.get(test) else { continue };
            let whole = steps.is_empty().then_some(self.bound);
            let may = || made.may_find(reach, whole);
            let may = match whole {
                Some(_) => may(),
                None => *self.known.entry((test, reach.clone())).or_insert_with(may),
            };
            // A test of every form is made once of forms that are alike.
            if may && !left.iter().any(|known| known.test == test && known.steps == *steps) {
                left.push(Left { steps: steps.clone(), test });
            }
        }
        for (step, next) in &form.next {
            match reach.after(*step) {
                Some(same) if same == *reach && !step.may_change(&reach.kinds()) => {
                    self.form(next, reach, steps, left);
                }
                after => {
                    let mut steps = steps.clone();
                    steps.push(*step);
                    self.form(next, &after.unwrap_or_else(Reach::anything), &steps, left);
                }
            }
        }
    }
}
