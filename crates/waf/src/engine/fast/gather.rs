//! The rules that may match the values of one exchange.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use smallvec::SmallVec;

use super::{
    bits::{Bits, set as set_bit},
    memo::Memo,
    plan::Plan,
    proved::{Bounds, Left, Spared},
    scan::ScanCache,
    set::{Form, ScanSet},
    shape::{Shape, Shapes},
};
use crate::{
    engine::{
        exchange::Exchange,
        live::Live,
        values::{View, each_part},
    },
    lang::{Phase, RuleSet},
    operator::OperatorContext,
    transform::Letters,
    variables::Variable,
};

/// Of how many sets one thread keeps automata and what it remembers.
const MAX_CACHES: usize = 4;
/// What the automata of the other sets may take while one is used, bytes.
const MAX_OTHERS: usize = 2 << 20;
/// How much of a buffer is kept from one inspection to the next, bytes.
const MAX_KEPT: usize = 1 << 20;
/// Of how many programs with the same rules one thread keeps what their bounds rule out.
const MAX_SPARED: usize = 16;

/// How many patterns of one group are searched for one by one; more of them are searched at once.
const MAX_ALONE: u32 = 3;

/// The longest text whose letters are looked at, bytes: longer ones have most of them.
const MAX_TOLD: usize = 128;

/// What one thread keeps from scan to scan.
#[derive(Debug, Default)]
pub(in crate::engine) struct Scratch {
    caches: Vec<Kept>,
    /// Where what was found in texts that were scanned already stands in `found`, by hash.
    seen: AHashMap<u64, usize>,
    /// Values that were looked at already: by which tree, and their hash.
    visited: AHashSet<(u32, u64)>,
    found: Vec<u64>,
    hasher: ahash::RandomState,
    buffers: Vec<Vec<u8>>,
}

/// What one thread keeps of a [`ScanSet`].
#[derive(Debug)]
struct Kept {
    identity: usize,
    automata: ScanCache,
    shapes: Shapes,
    memo: Memo,
    /// What bounds rule out, by the identity of the bounds.
    spared: Vec<(usize, Arc<Spared>)>,
}

impl Kept {
    /// What the bounds rule out of the set.
    fn spared(&mut self, set: &ScanSet, bounds: &Bounds) -> Option<Arc<Spared>> {
        if bounds.is_empty() {
            return None;
        }
        if let Some((_, known)) = self.spared.iter().find(|(identity, _)| *identity == bounds.identity()) {
            return Some(Arc::clone(known));
        }
        if self.spared.len() >= MAX_SPARED {
            self.spared.remove(0);
        }
        let spared = bounds.spared(set);
        self.spared.push((bounds.identity(), Arc::clone(&spared)));
        Some(spared)
    }
}

impl Scratch {
    /// Buffers to work in.
    pub(in crate::engine) fn buffers(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.buffers
    }

    /// Drops automata of other sets where they take too much; where this one is then.
    fn make_room(&mut self, mut at: usize) -> usize {
        while self.caches.len() > 1 {
            let others = self.caches.iter().enumerate().filter(|(other, _)| *other != at);
            if others.map(|(_, kept)| kept.automata.bytes()).sum::<usize>() <= MAX_OTHERS {
                break;
            }
            let first = usize::from(at == 0);
            self.caches.remove(first);
            at -= usize::from(first < at);
        }
        at
    }

    /// Gives back what one large exchange left behind.
    pub(in crate::engine) fn shrink(&mut self) {
        for buffer in &mut self.buffers {
            buffer.shrink_to(MAX_KEPT);
        }
        self.seen.shrink_to(1 << 12);
        self.visited.shrink_to(1 << 12);
        self.found.shrink_to(1 << 15);
    }
}

/// The rules of a phase that may match.
#[derive(Debug)]
pub(in crate::engine) struct Candidates {
    /// The stations of rules that may match; those that cannot be scanned for are among them.
    stations: Bits,
}

impl Candidates {
    /// Scans everything that rules of the phase look at.
    pub(in crate::engine) fn gather(
        plan: &Plan,
        phase: Phase,
        (exchange, bounds): (&Exchange, &Bounds),
        live: &Live,
        rules: &RuleSet,
        scratch: &mut Scratch,
        operator: &mut OperatorContext,
    ) -> Option<Self> {
        let set = plan.phase(phase)?.set(rules, &live.tx);
        let at = match scratch.caches.iter().position(|kept| kept.identity == set.identity) {
            Some(at) => at,
            None => {
                if scratch.caches.len() >= MAX_CACHES {
                    scratch.caches.remove(0);
                }
                let (identity, automata) = (set.identity, set.scanner.cache());
                let (shapes, memo) = (Shapes::default(), Memo::default());
                scratch.caches.push(Kept { identity, automata, shapes, memo, spared: Vec::new() });
                scratch.caches.len() - 1
            }
        };
        let at = scratch.make_room(at);
        scratch.seen.clear();
        scratch.visited.clear();
        scratch.found.clear();
        operator.capturing = false;
        let Scratch { caches, seen, visited, found, hasher, buffers } = scratch;
        let kept = caches.get_mut(at)?;
        kept.shapes.begin(&set);
        let spared = kept.spared(&set, bounds);
        let tests = Bits::new(set.tests);
        let mut work = Work { set: &set, kept, seen, visited, found, hasher, buffers, operator, tests };
        for source in &set.sources {
            if source.variable == Variable::Xml {
                let trees = source.selected.iter().filter(|_| !exchange.xml.is_empty());
                for (target, form) in trees {
                    for value in (View { exchange, live, rules }).values(target) {
                        work.value(form, &value.bytes);
                    }
                }
                continue;
            }
            each_part(exchange, source.variable, |name, alias, bytes, bound| {
                source.show(name, alias, |form| {
                    match spared
                        .as_ref()
                        .filter(|_| bound > 0)
                        .and_then(|spared| spared.few(form.tree, bound))
                    {
                        Some(left) => work.left(left, bytes),
                        None => work.value(form, bytes),
                    }
                });
            });
        }
        let mut stations = set.unscanned.clone();
        for station in work.tests.iter().filter_map(|test| set.stations.get(test)) {
            stations.insert(*station);
        }
        Some(Candidates { stations })
    }

    /// The first station at or behind this one whose rule may match.
    pub(in crate::engine) fn next(&self, station: usize) -> Option<usize> {
        self.stations.next(station)
    }
}

struct Work<'w> {
    set: &'w ScanSet,
    kept: &'w mut Kept,
    seen: &'w mut AHashMap<u64, usize>,
    visited: &'w mut AHashSet<(u32, u64)>,
    found: &'w mut Vec<u64>,
    hasher: &'w ahash::RandomState,
    buffers: &'w mut Vec<Vec<u8>>,
    operator: &'w mut OperatorContext,
    /// The tests that hold somewhere.
    tests: Bits,
}

impl Work<'_> {
    /// Looks at a value and at all that is made of it, unless nothing can be found there, or it is known what is
    /// found in an equal value.
    fn value(&mut self, form: &Form, bytes: &[u8]) {
        if self.operator.work.is_over() {
            return;
        }
        self.operator.work.charge(0, 1);
        let mut text = self.text(bytes);
        if form.steps & text.shape.changing == 0 && !self.is_open(&form.all, &text.shape) {
            return;
        }
        let hash = self.hasher.hash_one(bytes);
        text.hash = Some(hash);
        if !Memo::takes(bytes) {
            if self.visited.insert((form.tree, hash)) {
                self.form(form, bytes, &mut text);
            }
            return;
        }
        let words = Bits::words(self.set.tests);
        if let Some(found) = self.kept.memo.get(form.tree, bytes, hash, words) {
            self.tests.insert_words(found);
            return;
        }
        // What is remembered is all that holds here, whatever holds elsewhere.
        let before = std::mem::replace(&mut self.tests, Bits::new(self.set.tests));
        self.form(form, bytes, &mut text);
        // What was cut short for want of work is not all that holds.
        if !self.operator.work.is_over() {
            self.kept.memo.put(form.tree, bytes, hash, self.tests.as_words());
        }
        self.tests.insert_all(&before);
    }

    /// Makes the few tests that are left for a value of which something was proved.
    fn left(&mut self, left: &[Left], bytes: &[u8]) {
        for Left { steps, test } in left {
            if self.tests.contains(*test) || self.operator.work.is_over() {
                continue;
            }
            let Some(made) = self.set.operators.get(*test) else { continue };
            let mut current = self.buffers.pop().unwrap_or_default();
            let mut next = self.buffers.pop().unwrap_or_default();
            let mut changed = false;
            for step in steps {
                let before = if changed { &current } else { bytes };
                self.operator.work.charge(before.len(), 1);
                if step.apply(before, &mut next) {
                    std::mem::swap(&mut current, &mut next);
                    changed = true;
                }
            }
            let seen = if changed { &current } else { bytes };
            if made.operator.matches(seen, self.operator) != made.negated {
                self.tests.insert(*test);
            }
            self.buffers.extend([current, next]);
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Text {
        let has = Letters::of(bytes);
        let shape = self.kept.shapes.of(self.set, has.kinds(), bytes.len());
        Text { has, shape, later: None, hash: None, found: None, refuted: 0 }
    }

    /// Whether one of the tests may find something that is not known yet in texts of the shape.
    fn is_open(&self, tests: &Bits, shape: &Shape) -> bool {
        let possible = self.kept.shapes.possible(self.set, shape);
        let mut words = tests.as_words().iter().zip(possible).zip(self.tests.as_words());
        words.any(|((test, possible), known)| test & possible & !known != 0)
    }

    /// Whether one of the tests may find something that is not known yet, in texts of the shape that have only these.
    fn may_find(&self, tests: &Bits, shape: &Shape, has: Letters, bytes: &[u8]) -> bool {
        let possible = self.kept.shapes.possible(self.set, shape);
        let words = tests.as_words().iter().zip(possible).zip(self.tests.as_words()).enumerate();
        for (at, ((test, possible), known)) in words {
            let open = test & possible & !known;
            if open != 0 && told(self.set, at, open, has, bytes.len()) != 0 {
                return true;
            }
        }
        false
    }

    /// Looks at one form and at all that is made of it.
    fn form(&mut self, form: &Form, bytes: &[u8], text: &mut Text) {
        if self.operator.work.is_over() {
            return;
        }
        if form.steps & text.shape.changing == 0 {
            self.make(&form.all, bytes, text);
            return;
        }
        self.make(&form.tests, bytes, text);
        for (step, next) in &form.next {
            let own = 1 << *step as u32;
            let behind = own | next.steps;
            if behind & text.shape.changing == 0 {
                self.make(&next.all, bytes, text);
            } else if own & text.shape.changing == 0 {
                self.form(next, bytes, text);
            } else if behind & text.shape.wild != 0 || self.may_find_later(&next.all, bytes, text) {
                let mut out = self.buffers.pop().unwrap_or_default();
                self.operator.work.charge(bytes.len(), 1);
                if step.apply(bytes, &mut out) {
                    let mut text = self.text(&out);
                    self.form(next, &out, &mut text);
                } else {
                    self.form(next, bytes, text);
                }
                self.buffers.push(out);
            }
        }
    }

    /// Whether one of the tests may find something in what bounded transformations make of the text.
    fn may_find_later(&mut self, tests: &Bits, bytes: &[u8], text: &mut Text) -> bool {
        let later = match text.later {
            Some(later) => later,
            None => {
                let kinds = text.has.kinds().after_bounded();
                let later = self.kept.shapes.of(self.set, kinds, bytes.len());
                text.later = Some(later);
                later
            }
        };
        self.may_find(tests, &later, text.has.after_bounded(), bytes)
    }

    /// Makes these tests.
    fn make(&mut self, tests: &Bits, bytes: &[u8], text: &mut Text) {
        let set = self.set;
        let (mut scanned, mut direct) = (0, 0);
        let mut open: SmallVec<[u64; 16]> = SmallVec::new();
        let possible = self.kept.shapes.possible(set, &text.shape);
        let words =
            tests.as_words().iter().zip(possible).zip(self.tests.as_words()).zip(set.direct.as_words());
        for (((test, possible), known), one) in words {
            let left = test & possible & !known;
            scanned |= left & !one;
            direct |= left & one;
            open.push(left);
        }
        if scanned != 0 {
            self.scan(&open, bytes, text);
        }
        if direct != 0 {
            self.direct(&open, bytes, text);
        }
    }

    /// Makes the tests that are not scanned for, one by one.
    fn direct(&mut self, open: &[u64], bytes: &[u8], text: &mut Text) {
        let set = self.set;
        for (at, (open, direct)) in open.iter().zip(set.direct.as_words()).enumerate() {
            let mut left = told(set, at, open & direct, text.has, bytes.len());
            while left != 0 {
                let number = at * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(direct) = set.operators.get(number) else { continue };
                if text.refuted & direct.bit != 0 || self.operator.work.is_over() {
                    continue;
                }
                if direct.operator.matches(bytes, self.operator) != direct.negated {
                    self.tests.insert(number);
                } else {
                    text.refuted |= direct.bit;
                }
            }
        }
    }

    /// Finds out which of the open tests find something in the text, as far as that is not known.
    fn scan(&mut self, open: &[u64], bytes: &[u8], text: &mut Text) {
        let set = self.set;
        let words = Bits::words(set.tests);
        let (place, is_new) = match text.found {
            Some(place) => (place, false),
            None => {
                let hash = text.hash.unwrap_or_else(|| self.hasher.hash_one(bytes));
                let next = self.found.len();
                let place = *self.seen.entry(hash).or_insert(next);
                if place == next {
                    self.found.resize(next + 2 * words, 0);
                }
                (text.found, text.hash) = (Some(place), Some(hash));
                (place, place == next)
            }
        };
        let known = self.found.get_mut(place..place + 2 * words).unwrap_or_default();
        let (decided, holds) = known.split_at_mut(words.min(known.len()));
        if is_new {
            self.operator.work.charge(bytes.len(), 1);
            set.scanner.refute(bytes, text.has.kinds(), &mut self.kept.automata, decided);
        }
        let mut left: SmallVec<[u64; 16]> = SmallVec::new();
        for (at, ((open, one), decided)) in
            open.iter().zip(set.direct.as_words()).zip(&mut *decided).enumerate()
        {
            let undecided = open & !one & !*decided;
            let told = told(set, at, undecided, text.has, bytes.len());
            *decided |= undecided & !told;
            left.push(told);
        }
        for (number, group) in set.groups.iter().enumerate() {
            let of_group = left.iter().zip(group.as_words());
            let count: u32 = of_group.map(|(left, group)| (left & group).count_ones()).sum();
            if count <= MAX_ALONE {
                continue;
            }
            self.operator.work.charge(bytes.len(), 1);
            if set.scanner.search(number, bytes, &mut self.kept.automata, holds) {
                let words = group.as_words().iter().zip(decided.iter_mut()).zip(&mut left);
                for ((group, decided), left) in words {
                    *decided |= group;
                    *left &= !group;
                }
            }
        }
        for (at, mut left) in left.into_iter().enumerate() {
            while left != 0 {
                let number = at * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(test) = set.operators.get(number).filter(|_| !self.operator.work.is_over()) else {
                    continue;
                };
                set_bit(decided, number);
                if test.operator.matches(bytes, self.operator) {
                    set_bit(holds, number);
                }
            }
        }
        for (at, (open, holds)) in open.iter().zip(&*holds).enumerate() {
            self.tests.insert_word(at, open & holds);
        }
    }
}

/// Of some tests, those that may find something in a text that has these letters: `open` is one word of their bits.
fn told(set: &ScanSet, at: usize, open: u64, has: Letters, length: usize) -> u64 {
    if length > MAX_TOLD {
        return open;
    }
    let mut left = open;
    let mut rest = open;
    while rest != 0 {
        let number = at * 64 + rest.trailing_zeros() as usize;
        let needs = set.needs.get(number);
        if needs.is_some_and(|[_, needs]| !needs.allow(has, length)) {
            left &= !(rest & rest.wrapping_neg());
        }
        rest &= rest - 1;
    }
    left
}

/// What is known of the bytes that are looked at.
struct Text {
    has: Letters,
    shape: Shape,
    /// The shape of what bounded transformations make of it.
    later: Option<Shape>,
    hash: Option<u64>,
    /// Where it stands which tests are decided, and then which of them hold, once it was scanned.
    found: Option<usize>,
    /// Direct tests that do not hold for it, as bits.
    refuted: u64,
}
