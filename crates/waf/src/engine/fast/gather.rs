//! The rules that may match the values of one exchange.

use ahash::{AHashMap, AHashSet};

use super::{
    bits::Bits,
    memo::Memo,
    plan::Plan,
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
const MAX_OTHERS: usize = 4 << 20;
/// How much of a buffer is kept from one inspection to the next, bytes.
const MAX_KEPT: usize = 1 << 20;

/// The longest text whose letters are looked at, bytes: longer ones have most of them.
const MAX_TOLD: usize = 128;

/// What one thread keeps from scan to scan.
#[derive(Debug, Default)]
pub(in crate::engine) struct Scratch {
    caches: Vec<Kept>,
    /// What was found in texts that were scanned already, by hash.
    seen: AHashMap<u64, Found>,
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
        exchange: &Exchange,
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
                scratch.caches.push(Kept { identity, automata, shapes, memo });
                scratch.caches.len() - 1
            }
        };
        let at = scratch.make_room(at);
        scratch.seen.clear();
        scratch.visited.clear();
        scratch.found.clear();
        let Scratch { caches, seen, visited, found, hasher, buffers } = scratch;
        let kept = caches.get_mut(at)?;
        kept.shapes.begin(&set);
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
            each_part(exchange, source.variable, |name, alias, bytes| {
                source.show(name, alias, |form| work.value(form, bytes));
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
    seen: &'w mut AHashMap<u64, Found>,
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
        let mut text = self.text(bytes);
        if form.steps & text.shape.changing == 0 && !self.may_find(&form.all, &text.shape, text.has, bytes) {
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
        self.kept.memo.put(form.tree, bytes, hash, self.tests.as_words());
        self.tests.insert_all(&before);
    }

    fn text(&mut self, bytes: &[u8]) -> Text {
        let has = Letters::of(bytes);
        let shape = self.kept.shapes.of(self.set, has.kinds(), bytes.len());
        Text { has, shape, later: None, hash: None, found: None, groups: 0, phrases: false, refuted: 0 }
    }

    /// Whether one of the tests may find something that is not known yet, in texts of the shape that have only these.
    fn may_find(&self, tests: &Bits, shape: &Shape, has: Letters, bytes: &[u8]) -> bool {
        let possible = self.kept.shapes.possible(self.set, shape);
        let words = tests.as_words().iter().zip(possible).zip(self.tests.as_words()).enumerate();
        for (at, ((test, possible), known)) in words {
            let open = test & possible & !known;
            if open != 0 && (bytes.len() > MAX_TOLD || self.told(at, open, has, bytes.len()) != 0) {
                return true;
            }
        }
        false
    }

    /// Of some tests, those that may find something in a text that has these letters: `open` is one word of their bits.
    fn told(&self, at: usize, open: u64, has: Letters, length: usize) -> u64 {
        let mut left = open;
        let mut rest = open;
        while rest != 0 {
            let number = at * 64 + rest.trailing_zeros() as usize;
            let needs = self.set.needs.get(number);
            if needs.is_some_and(|[_, needs]| !needs.allow(has, length)) {
                left &= !(rest & rest.wrapping_neg());
            }
            rest &= rest - 1;
        }
        left
    }

    /// Looks at one form and at all that is made of it.
    fn form(&mut self, form: &Form, bytes: &[u8], text: &mut Text) {
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
        let (mut groups, mut phrases, mut direct) = (0u8, 0, 0);
        let set = self.set;
        let possible = self.kept.shapes.possible(set, &text.shape);
        let kinds = set.phrases.as_words().iter().zip(set.direct.as_words());
        let words = tests.as_words().iter().zip(possible).zip(self.tests.as_words()).zip(kinds);
        for (at, (((test, possible), known), (phrase, one))) in words.enumerate() {
            let mut open = test & possible & !known;
            if open == 0 {
                continue;
            }
            if bytes.len() <= MAX_TOLD {
                open = self.told(at, open, text.has, bytes.len());
            }
            for (group, patterns) in set.groups.iter().enumerate() {
                let patterns = patterns.as_words().get(at).copied().unwrap_or_default();
                groups |= u8::from(open & patterns != 0) << group;
            }
            phrases |= open & phrase;
            direct |= open & one;
        }
        if groups != 0 || phrases != 0 {
            self.scan(tests, bytes, text, groups, phrases != 0);
        }
        if direct != 0 {
            self.direct(tests, bytes, text);
        }
    }

    /// Makes the tests that no automaton makes, one by one.
    fn direct(&mut self, tests: &Bits, bytes: &[u8], text: &mut Text) {
        let set = self.set;
        for (at, (test, direct)) in tests.as_words().iter().zip(set.direct.as_words()).enumerate() {
            let possible = self.kept.shapes.possible(set, &text.shape).get(at).copied().unwrap_or_default();
            let known = self.tests.as_words().get(at).copied().unwrap_or_default();
            let mut open = test & direct & possible & !known;
            while open != 0 {
                let number = at * 64 + open.trailing_zeros() as usize;
                open &= open - 1;
                let Some(direct) = set.operators.get(number) else { continue };
                if text.refuted & direct.bit != 0 {
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

    /// Scans the text for all patterns of some groups, for all phrases, or both, unless that was done.
    fn scan(&mut self, tests: &Bits, bytes: &[u8], text: &mut Text, groups: u8, phrases: bool) {
        let words = Bits::words(self.set.tests);
        let place = match text.found {
            Some(place) => place,
            None => {
                let hash = text.hash.unwrap_or_else(|| self.hasher.hash_one(bytes));
                let next = self.found.len();
                let found = self.seen.entry(hash).or_insert(Found { place: next, groups: 0, phrases: false });
                if found.place == next {
                    self.found.resize(next + words, 0);
                }
                text.found = Some(found.place);
                text.hash = Some(hash);
                text.groups = found.groups;
                text.phrases = found.phrases;
                found.place
            }
        };
        let found = self.found.get_mut(place..place + words).unwrap_or_default();
        let mut scanned = false;
        for group in (0..self.set.groups.len()).filter(|group| groups & !text.groups & 1 << group != 0) {
            self.set.scanner.scan_patterns(group, bytes, &mut self.kept.automata, found);
            scanned = true;
        }
        text.groups |= groups;
        if phrases && !text.phrases {
            self.set.scanner.scan_phrases(bytes, found);
            text.phrases = true;
            scanned = true;
        }
        self.tests.insert_common(found, tests);
        if scanned
            && let Some(hash) = text.hash
            && let Some(found) = self.seen.get_mut(&hash)
        {
            (found.groups, found.phrases) = (text.groups, text.phrases);
        }
    }
}

/// What was found in a text.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Where its words begin.
    place: usize,
    /// The groups of patterns that were looked for, as bits.
    groups: u8,
    /// Whether all phrases were looked for.
    phrases: bool,
}

/// What is known of the bytes that are looked at.
struct Text {
    has: Letters,
    shape: Shape,
    /// The shape of what bounded transformations make of it.
    later: Option<Shape>,
    hash: Option<u64>,
    /// Where the tests that they matched begin, once they were scanned.
    found: Option<usize>,
    groups: u8,
    phrases: bool,
    /// Direct tests that do not hold for it, as bits.
    refuted: u64,
}
