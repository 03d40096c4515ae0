//! The rules that may match the values of one exchange.

use std::sync::Arc;

use ahash::AHashMap;

use super::{
    bits::Bits,
    plan::{Form, Plan, ScanSet},
    scan::ScanCache,
};
use crate::{
    engine::{exchange::Exchange, live::Live, values::View},
    lang::{Phase, RuleSet},
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
    found: Vec<u64>,
    hasher: ahash::RandomState,
    buffers: Vec<Vec<u8>>,
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
        scratch.found.clear();
        let view = View { exchange, live, rules };
        let Scratch { caches, seen, found, hasher, buffers } = scratch;
        let (_, cache) = caches.get_mut(at)?;
        let mut work = Work { set: &set, cache, seen, found, hasher, buffers, tests: &mut tests };
        for source in &set.sources {
            view.visit(&source.target, |bytes| work.form(&source.forms, bytes, ByteSet::of(bytes), None));
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
    found: &'w mut Vec<u64>,
    hasher: &'w ahash::RandomState,
    buffers: &'w mut Vec<Vec<u8>>,
    tests: &'w mut Bits,
}

impl Work<'_> {
    /// Looks at one form of a value and at all that is made of it; `start` is what was found in these bytes before.
    fn form(&mut self, form: &Form, bytes: &[u8], kinds: ByteSet, mut start: Option<usize>) {
        if !form.steps.iter().any(|step| step.may_change(&kinds)) {
            self.scan(bytes, &form.all, &mut start);
            return;
        }
        if let Some(tests) = &form.tests {
            self.scan(bytes, tests, &mut start);
        }
        for (step, next) in &form.next {
            if step.may_change(&kinds) {
                let mut out = self.buffers.pop().unwrap_or_default();
                if step.apply(bytes, &mut out) {
                    self.form(next, &out, ByteSet::of(&out), None);
                } else {
                    self.form(next, bytes, kinds, start);
                }
                self.buffers.push(out);
            } else {
                self.form(next, bytes, kinds, start);
            }
        }
    }

    fn scan(&mut self, bytes: &[u8], tests: &Bits, known: &mut Option<usize>) {
        let words = self.set.scanner.words();
        let start = match known {
            Some(start) => *start,
            None => {
                let hash = self.hasher.hash_one(bytes);
                let next = self.found.len();
                let start = *self.seen.entry(hash).or_insert(next);
                if start == next {
                    self.found.resize(next + words, 0);
                    let found = self.found.get_mut(next..).unwrap_or_default();
                    self.set.scanner.scan(bytes, self.cache, found);
                }
                *known = Some(start);
                start
            }
        };
        self.tests.insert_common(self.found.get(start..start + words).unwrap_or_default(), tests);
    }
}
