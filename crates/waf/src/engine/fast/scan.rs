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
use crate::{operator::Operator, transform::ByteSet};

/// What the automaton of all patterns may take before it is built while running, bytes: the Core Rule Set at its
/// highest level takes a third.
const MAX_NFA: usize = 48 << 20;
/// What each thread may build of it, bytes.
const MAX_CACHE: usize = 2 << 20;
/// Up to this many bytes of phrases, their automaton is the fast kind that takes about a thousand times as many bytes.
const MAX_FAST_PHRASES: usize = 8 << 10;

/// The tests of many rules.
#[derive(Debug)]
pub(super) struct Scanner {
    /// How many tests there are.
    tests: usize,
    groups: Vec<Group>,
    phrases: Option<AhoCorasick>,
    /// Phrase to test.
    phrase_tests: Vec<usize>,
}

/// Patterns that are searched at once: those that the same kinds of bytes allow. Few of them may be in a text of words,
/// so that its automaton stays small whatever the words are.
#[derive(Debug)]
struct Group {
    automaton: DFA,
    /// Pattern to test.
    tests: Vec<usize>,
}

/// The kinds of bytes with which a group of patterns may be found; a last group has the rest.
const GROUPS: [ByteSet; 2] = [WORDS, MARKED];
const WORDS: ByteSet = ByteSet::UPPER
    .with(ByteSet::LOWER)
    .with(ByteSet::DIGIT)
    .with(ByteSet::ZERO)
    .with(ByteSet::UNDERSCORE)
    .with(ByteSet::DASH)
    .with(ByteSet::DOT)
    .with(ByteSet::SPACE);
const MARKED: ByteSet = WORDS
    .with(ByteSet::COLON)
    .with(ByteSet::SLASH)
    .with(ByteSet::COMMA)
    .with(ByteSet::PLUS)
    .with(ByteSet::AT)
    .with(ByteSet::PERCENT)
    .with(ByteSet::AMPERSAND)
    .with(ByteSet::EQUALS);

/// What one thread keeps of a [`Scanner`].
#[derive(Debug)]
pub(super) struct ScanCache {
    automata: Vec<Cache>,
}

impl ScanCache {
    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.automata.iter().map(Cache::memory_usage).sum()
    }
}

impl Scanner {
    /// The scanner of these operators, the numbers of those that it does not take, and what each of the others needs by kinds of
    /// bytes and by letters.
    pub(super) fn new(operators: &[Option<&Operator>]) -> (Self, Vec<usize>, Vec<[Needs; 2]>) {
        let mut left_out = Vec::new();
        let mut needs = vec![<[Needs; 2]>::default(); operators.len()];
        let mut grouped: [(Vec<Hir>, Vec<usize>); GROUPS.len() + 1] = Default::default();
        let mut scanner =
            Scanner { tests: operators.len(), groups: Vec::new(), phrases: None, phrase_tests: Vec::new() };
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
                        let allows = |kinds: &ByteSet| needs[0].allow((*kinds).into(), usize::MAX);
                        let group = GROUPS.iter().position(allows).unwrap_or(GROUPS.len());
                        if let Some((hirs, tests)) = grouped.get_mut(group) {
                            hirs.push(hir);
                            tests.push(test);
                        }
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
        for (hirs, mut tests) in grouped {
            match automaton(&hirs) {
                Some(automaton) => scanner.groups.push(Group { automaton, tests }),
                None => left_out.append(&mut tests),
            }
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

    /// The tests that each automaton of patterns makes, and those of the automaton of phrases.
    pub(super) fn tests(&self) -> (Vec<Bits>, Bits) {
        let of = |tests: &[usize]| {
            let mut bits = Bits::new(self.tests);
            tests.iter().for_each(|test| bits.insert(*test));
            bits
        };
        (self.groups.iter().map(|group| of(&group.tests)).collect(), of(&self.phrase_tests))
    }

    pub(super) fn cache(&self) -> ScanCache {
        ScanCache { automata: self.groups.iter().map(|group| group.automaton.create_cache()).collect() }
    }

    /// Sets the bits of the tests of a group whose pattern is found in `text`.
    pub(super) fn scan_patterns(&self, group: usize, text: &[u8], cache: &mut ScanCache, found: &mut [u64]) {
        if let (Some(group), Some(states)) = (self.groups.get(group), cache.automata.get_mut(group))
            && group.search(states, text, found).is_none()
        {
            // The text makes too many states: nothing is proved about it.
            group.tests.iter().for_each(|test| set(found, *test));
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

impl Group {
    fn search(&self, states: &mut Cache, text: &[u8], found: &mut [u64]) -> Option<()> {
        let automaton = &self.automaton;
        let mut state = automaton.start_state_forward(states, &Input::new(text)).ok()?;
        for byte in text {
            state = automaton.next_state(states, state, *byte).ok()?;
            if state.is_tagged() {
                if state.is_match() {
                    self.matched(states, state, found);
                } else if state.is_dead() {
                    return Some(());
                } else if state.is_quit() {
                    return None;
                }
            }
        }
        state = automaton.next_eoi_state(states, state).ok()?;
        if state.is_match() {
            self.matched(states, state, found);
        }
        Some(())
    }

    fn matched(&self, states: &Cache, state: LazyStateID, found: &mut [u64]) {
        for index in 0..self.automaton.match_len(states, state) {
            let pattern = self.automaton.match_pattern(states, state, index);
            if let Some(test) = self.tests.get(pattern.as_usize()) {
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
            compile("rx", "[(]x|a<"),
        ];
        let (scanner, left_out, _) = Scanner::new(&operators.iter().map(Some).collect::<Vec<_>>());
        assert_eq!(left_out, [4]);
        let mut cache = scanner.cache();
        for (text, expected) in [
            ("SELECT", 0b011),
            ("xselect", 0b110),
            ("nothing", 0),
            ("", 0),
            ("azzzb", 0b1000),
            ("a<b(", 0b10_0000),
        ] {
            let mut found = vec![0];
            for group in 0..scanner.groups.len() {
                scanner.scan_patterns(group, text.as_bytes(), &mut cache, &mut found);
            }
            scanner.scan_phrases(text.as_bytes(), &mut found);
            assert_eq!(found, [expected], "{text}");
        }
    }
}
