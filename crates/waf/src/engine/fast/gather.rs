//! The rules that may match the values of one exchange.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::{
    bits::Bits,
    plan::{Form, Plan, ScanSet},
    scan::ScanCache,
};
use crate::{
    engine::{
        exchange::Exchange,
        live::Live,
        values::{View, each},
    },
    lang::{Phase, RuleSet},
    operator::OperatorContext,
    transform::ByteSet,
};

/// How many automata one thread keeps, each bounded in bytes.
const MAX_CACHES: usize = 4;

/// What one thread keeps from scan to scan.
#[derive(Debug, Default)]
pub(in crate::engine) struct Scratch {
    caches: Vec<(usize, ScanCache)>,
    /// What was found in texts that were scanned already, by hash: where their words begin in `found`.
    seen: AHashMap<u64, usize>,
    /// Values that were looked at already: for which source, and their hash.
    visited: AHashSet<(usize, u64)>,
    found: Vec<u64>,
    hasher: ahash::RandomState,
    buffers: Vec<Vec<u8>>,
    operator: OperatorContext,
}

/// How much of a buffer is kept from one inspection to the next, bytes.
const MAX_KEPT: usize = 1 << 20;

impl Scratch {
    /// Buffers to work in.
    pub(in crate::engine) fn buffers(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.buffers
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
    set: Arc<ScanSet>,
    tests: Bits,
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
    ) -> Option<Self> {
        let set = plan.phase(phase)?.set(rules, &live.tx);
        let mut tests = Bits::new(set.tests);
        let at = match scratch.caches.iter().position(|(identity, _)| *identity == set.identity) {
            Some(at) => at,
            None => {
                if scratch.caches.len() >= MAX_CACHES {
                    scratch.caches.remove(0);
                }
                scratch.caches.push((set.identity, set.scanner.cache()));
                scratch.caches.len() - 1
            }
        };
        scratch.seen.clear();
        scratch.visited.clear();
        scratch.found.clear();
        let view = View { exchange, live, rules };
        let Scratch { caches, seen, visited, found, hasher, buffers, operator } = scratch;
        let (_, cache) = caches.get_mut(at)?;
        let tests_found = &mut tests;
        let mut work =
            Work { set: &set, cache, seen, visited, found, hasher, buffers, operator, tests: tests_found };
        for (number, source) in set.sources.iter().enumerate() {
            let fixed = each(exchange, &source.target, |_, _, bytes| {
                work.value(number, &source.forms, bytes);
            });
            if !fixed {
                for value in view.values(&source.target) {
                    work.value(number, &source.forms, &value.bytes);
                }
            }
        }
        Some(Candidates { set, tests })
    }

    /// Whether the rule may match; `true` for one that was not scanned for.
    pub(in crate::engine) fn may_match(&self, rule: usize) -> bool {
        self.set.test(rule).is_none_or(|test| self.tests.contains(test))
    }
}

struct Work<'w> {
    set: &'w ScanSet,
    cache: &'w mut ScanCache,
    seen: &'w mut AHashMap<u64, usize>,
    visited: &'w mut AHashSet<(usize, u64)>,
    found: &'w mut Vec<u64>,
    hasher: &'w ahash::RandomState,
    buffers: &'w mut Vec<Vec<u8>>,
    operator: &'w mut OperatorContext,
    tests: &'w mut Bits,
}

impl Work<'_> {
    /// Looks at a value and at all that is made of it, unless an equal one was looked at for the same.
    fn value(&mut self, source: usize, form: &Form, bytes: &[u8]) {
        let hash = self.hasher.hash_one(bytes);
        if self.visited.insert((source, hash)) {
            let mut text = self.text(bytes);
            text.hash = Some(hash);
            self.form(form, bytes, &mut text);
        }
    }

    fn text(&self, bytes: &[u8]) -> Text {
        let kinds = ByteSet::of(bytes);
        let changing = self
            .set
            .steps
            .iter()
            .filter(|step| step.may_change(&kinds))
            .fold(0, |all, step| all | 1 << *step as u32);
        Text { changing, hash: None, found: None }
    }

    /// Looks at one form and at all that is made of it.
    fn form(&mut self, form: &Form, bytes: &[u8], text: &mut Text) {
        if form.steps & text.changing == 0 {
            self.scan(bytes, &form.all, text);
            self.direct(&form.direct_all, bytes);
            return;
        }
        if let Some(tests) = &form.tests {
            self.scan(bytes, tests, text);
        }
        self.direct(&form.direct, bytes);
        for (step, next) in &form.next {
            let own = 1 << *step as u32;
            if (own | next.steps) & text.changing == 0 && text.found == Some(NOTHING) {
                self.direct(&next.direct_all, bytes);
                continue;
            }
            if own & text.changing == 0 {
                self.form(next, bytes, text);
                continue;
            }
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

    /// Makes the tests that are made one by one, but for those that found something before.
    fn direct(&mut self, tests: &[usize], bytes: &[u8]) {
        for direct in tests.iter().filter_map(|test| self.set.direct.get(*test)) {
            if !self.tests.contains(direct.test)
                && direct.operator.matches(bytes, self.operator) != direct.negated
            {
                self.tests.insert(direct.test);
            }
        }
    }

    fn scan(&mut self, bytes: &[u8], tests: &Bits, text: &mut Text) {
        let words = self.set.scanner.words();
        let found = match text.found {
            Some(found) => found,
            None => {
                let hash = text.hash.unwrap_or_else(|| self.hasher.hash_one(bytes));
                let found = match self.seen.get(&hash) {
                    Some(found) => *found,
                    None => {
                        let next = self.found.len();
                        self.found.resize(next + words, 0);
                        let found = self.found.get_mut(next..).unwrap_or_default();
                        let any = self.set.scanner.scan(bytes, self.cache, found);
                        if !any {
                            self.found.truncate(next);
                        }
                        let found = if any { next } else { NOTHING };
                        self.seen.insert(hash, found);
                        found
                    }
                };
                text.found = Some(found);
                found
            }
        };
        if found != NOTHING {
            self.tests.insert_common(self.found.get(found..found + words).unwrap_or_default(), tests);
        }
    }
}

/// In place of where the found tests begin: there are none.
const NOTHING: usize = usize::MAX;

/// What is known of the bytes that are looked at.
struct Text {
    /// The transformations that may change them, as bits.
    changing: u64,
    hash: Option<u64>,
    /// Where the tests that they matched begin, once they were scanned.
    found: Option<usize>,
}
