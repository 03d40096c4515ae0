//! One scan for all tests: an automaton for the patterns and one for the phrases.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind as PhraseMatch};
use regex_automata::{
    Input, MatchKind,
    hybrid::{
        LazyStateID,
        dfa::{Cache, DFA},
    },
    nfa::thompson::{self, WhichCaptures},
};
use regex_syntax::{ParserBuilder, hir::Hir};

use super::{
    bits::{Bits, set},
    needs::{Needs, Terms, by_kinds, by_letters},
};
use crate::operator::Operator;

/// What the automaton of all patterns may take before it is built while running, bytes: the Core Rule Set at its
/// highest level takes a third.
const MAX_NFA: usize = 48 << 20;
/// What each thread may build of it, bytes.
const MAX_CACHE: usize = 4 << 20;
/// Up to this many bytes of phrases, their automaton is the fast kind that takes about a thousand times as many bytes.
const MAX_FAST_PHRASES: usize = 8 << 10;

/// The tests of many rules.
#[derive(Debug)]
pub(super) struct Scanner {
    /// How many tests there are.
    tests: usize,
    patterns: Option<DFA>,
    /// Pattern to test.
    pattern_tests: Vec<usize>,
    phrases: Option<AhoCorasick>,
    /// Phrase to test.
    phrase_tests: Vec<usize>,
}

/// What one thread keeps of a [`Scanner`].
#[derive(Debug)]
pub(super) struct ScanCache {
    automaton: Option<Cache>,
}

impl Scanner {
    /// The scanner of these operators, the numbers of those that it does not take, and what each of the others needs by kinds of
    /// bytes and by letters.
    pub(super) fn new(operators: &[Option<&Operator>]) -> (Self, Vec<usize>, Vec<[Needs; 2]>) {
        let mut left_out = Vec::new();
        let mut needs = vec![<[Needs; 2]>::default(); operators.len()];
        let mut hirs: Vec<Hir> = Vec::new();
        let mut scanner = Scanner {
            tests: operators.len(),
            patterns: None,
            pattern_tests: Vec::new(),
            phrases: None,
            phrase_tests: Vec::new(),
        };
        let mut phrases: Vec<&[u8]> = Vec::new();
        for ((test, operator), needs) in operators.iter().enumerate().zip(&mut needs) {
            let Some(operator) = operator else {
                left_out.push(test);
                continue;
            };
            if let Some(expression) = operator.expression() {
                match parse(expression) {
                    Some(hir) => {
                        *needs = [by_kinds as Terms, by_letters].map(|terms| Needs::of_pattern(&hir, terms));
                        hirs.push(hir);
                        scanner.pattern_tests.push(test);
                    }
                    None => left_out.push(test),
                }
            } else if let Some(list) = operator.phrases() {
                *needs = [by_kinds as Terms, by_letters].map(|terms| Needs::of_phrases(list, terms));
                phrases.extend(list.iter().map(|phrase| &**phrase));
                scanner.phrase_tests.resize(phrases.len(), test);
            } else {
                left_out.push(test);
            }
        }
        scanner.patterns = automaton(&hirs);
        if scanner.patterns.is_none() {
            left_out.append(&mut scanner.pattern_tests);
        }
        let small = phrases.iter().map(|phrase| phrase.len()).sum::<usize>() <= MAX_FAST_PHRASES;
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(PhraseMatch::Standard)
            .kind(small.then_some(AhoCorasickKind::DFA))
            .build(&phrases);
        match built {
            Ok(built) if !phrases.is_empty() => scanner.phrases = Some(built),
            Ok(_) => {}
            Err(_) => {
                scanner.phrase_tests.dedup();
                left_out.append(&mut scanner.phrase_tests);
            }
        }
        (scanner, left_out, needs)
    }

    /// The tests that the automaton of patterns makes, and those of the automaton of phrases.
    pub(super) fn tests(&self) -> (Bits, Bits) {
        let of = |tests: &[usize]| {
            let mut bits = Bits::new(self.tests);
            tests.iter().for_each(|test| bits.insert(*test));
            bits
        };
        (of(&self.pattern_tests), of(&self.phrase_tests))
    }

    pub(super) fn cache(&self) -> ScanCache {
        ScanCache { automaton: self.patterns.as_ref().map(DFA::create_cache) }
    }

    /// Sets the bits of the tests whose pattern is found in `text`.
    pub(super) fn scan_patterns(&self, text: &[u8], cache: &mut ScanCache, found: &mut [u64]) {
        let (Some(automaton), Some(states)) = (&self.patterns, &mut cache.automaton) else { return };
        if self.search(automaton, states, text, found).is_none() {
            // The text makes too many states: nothing is proved about it.
            self.pattern_tests.iter().for_each(|test| set(found, *test));
        }
    }

    fn search(&self, automaton: &DFA, states: &mut Cache, text: &[u8], found: &mut [u64]) -> Option<()> {
        let mut state = automaton.start_state_forward(states, &Input::new(text)).ok()?;
        for byte in text {
            state = automaton.next_state(states, state, *byte).ok()?;
            if state.is_tagged() {
                if state.is_match() {
                    self.matched(automaton, states, state, found);
                } else if state.is_dead() {
                    return Some(());
                } else if state.is_quit() {
                    return None;
                }
            }
        }
        state = automaton.next_eoi_state(states, state).ok()?;
        if state.is_match() {
            self.matched(automaton, states, state, found);
        }
        Some(())
    }

    fn matched(&self, automaton: &DFA, states: &Cache, state: LazyStateID, found: &mut [u64]) {
        for index in 0..automaton.match_len(states, state) {
            let pattern = automaton.match_pattern(states, state, index);
            if let Some(test) = self.pattern_tests.get(pattern.as_usize()) {
                set(found, *test);
            }
        }
    }

    /// Sets the bits of the tests that have a phrase in `text`.
    pub(super) fn scan_phrases(&self, text: &[u8], found: &mut [u64]) {
        let Some(phrases) = &self.phrases else { return };
        for one in phrases.find_overlapping_iter(text) {
            if let Some(test) = self.phrase_tests.get(one.pattern().as_usize()) {
                set(found, *test);
            }
        }
    }
}

pub(super) fn parse(expression: &str) -> Option<Hir> {
    ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build().parse(expression).ok()
}

fn automaton(hirs: &[Hir]) -> Option<DFA> {
    if hirs.is_empty() {
        return None;
    }
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(MAX_NFA)),
        )
        .build_many_from_hir(hirs)
        .ok()?;
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(MAX_CACHE)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(8))
        .minimum_bytes_per_state(Some(16));
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::files::MemoryFiles;

    #[test]
    fn one_scan_answers_for_all_tests() {
        let files = MemoryFiles::default();
        let compile = |name, argument| Operator::compile(name, argument, &files).unwrap();
        let operators = [
            compile("rx", "(?i)^sel"),
            compile("pm", "union select"),
            compile("rx", "ect$"),
            compile("pm", "zzz"),
            compile("streq", "x"),
        ];
        let (scanner, left_out, _) = Scanner::new(&operators.iter().map(Some).collect::<Vec<_>>());
        assert_eq!(left_out, [4]);
        let mut cache = scanner.cache();
        for (text, expected) in
            [("SELECT", 0b011), ("xselect", 0b110), ("nothing", 0), ("", 0), ("azzzb", 0b1000)]
        {
            let mut found = vec![0];
            scanner.scan_patterns(text.as_bytes(), &mut cache, &mut found);
            scanner.scan_phrases(text.as_bytes(), &mut found);
            assert_eq!(found, [expected], "{text}");
        }
    }
}
