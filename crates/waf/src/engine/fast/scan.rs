//! What tells of a text which tests may find something in it: one automaton for the pieces that tests ask for, and lazily
//! built ones for the patterns that ask for none.

use ahash::AHashMap;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind as PieceMatch};
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
    atoms::{Alphabet, Clause, MAX_CLAUSES},
    bits::{Bits, set},
    needs::{Needs, Terms, by_kinds, by_letters},
};
use crate::{operator::Operator, transform::ByteSet};

/// What the automaton of a group of patterns may take before it is built while running, bytes.
const MAX_NFA: usize = 48 << 20;
/// What each thread may build of it, bytes.
const MAX_CACHE: usize = 1 << 20;
/// Up to this many bytes of pieces, their automaton is the fast kind that takes some hundred times as many bytes.
const MAX_FAST_PIECES: usize = 48 << 10;
/// A text is to be longer than this many bytes for each state that it adds to a full automaton.
const BYTES_PER_STATE: usize = 16;

/// Clauses of a test: of any text, and of a plain one.
const SLOTS: usize = 2 * MAX_CLAUSES;

/// Bytes of which most values are made: no quotes, brackets, backslashes and other marks by which commands are hidden.
const PLAIN: ByteSet =
    MARKED.with(ByteSet::BREAK).with(ByteSet::COMMA).with(ByteSet::NBSP).with(ByteSet::HIGH);

/// The tests of many rules.
#[derive(Debug)]
pub(super) struct Scanner {
    /// How many words a bit for each test takes.
    words: usize,
    pieces: Option<AhoCorasick>,
    /// By piece, where its places in `fulfilled` end; they begin where those of the piece before end.
    ends: Vec<usize>,
    /// Each is a bit of all slots: what a piece fulfils.
    fulfilled: Vec<usize>,
    /// By slot, the tests that have no clause there.
    free: Vec<u64>,
    groups: Vec<Group>,
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
    fulfilled: Vec<u64>,
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
        let mut asked = Asked::new(operators.len());
        for ((test, operator), needs) in operators.iter().enumerate().zip(&mut needs) {
            let Some(operator) = operator else {
                left_out.push(test);
                continue;
            };
            if let Some(expression) = operator.expression() {
                let Some(hir) = parse(expression) else {
                    left_out.push(test);
                    continue;
                };
                *needs = [by_kinds as Terms, by_letters].map(|terms| Needs::of_pattern(&hir, terms));
                let is_asked = asked.add(test, 0, &Clause::of_expression(&hir, |_| true));
                asked.add(test, MAX_CLAUSES, &Clause::of_expression(&hir, PLAIN_BYTES));
                if !is_asked {
                    let allows = |kinds: &ByteSet| needs[0].allow((*kinds).into(), usize::MAX);
                    let group = GROUPS.iter().position(allows).unwrap_or(GROUPS.len());
                    if let Some((hirs, tests)) = grouped.get_mut(group) {
                        hirs.push(hir);
                        tests.push(test);
                    }
                }
            } else if let Some(list) = operator.phrases() {
                *needs = [by_kinds as Terms, by_letters].map(|terms| Needs::of_phrases(list, terms));
                match Clause::of_phrases(list.iter().map(|phrase| &**phrase)) {
                    Some(clause) => asked.add(test, 0, &[clause]),
                    None => false,
                };
            } else {
                left_out.push(test);
            }
        }
        let mut scanner = asked.scanner();
        let groups = grouped.into_iter().filter_map(|(hirs, tests)| {
            let automaton = automaton(&hirs)?;
            Some(Group { automaton, tests })
        });
        scanner.groups = groups.collect();
        (scanner, left_out, needs)
    }

    /// The tests of each group of patterns.
    pub(super) fn groups(&self) -> Vec<Bits> {
        let of = |tests: &[usize]| {
            let mut bits = Bits::new(self.words * 64);
            tests.iter().for_each(|test| bits.insert(*test));
            bits
        };
        self.groups.iter().map(|group| of(&group.tests)).collect()
    }

    pub(super) fn cache(&self) -> ScanCache {
        ScanCache {
            automata: self.groups.iter().map(|group| group.automaton.create_cache()).collect(),
            fulfilled: Vec::new(),
        }
    }

    /// Sets in `refuted` the bits of the tests that find nothing in a text of these kinds of bytes, for want of pieces.
    pub(super) fn refute(&self, text: &[u8], kinds: ByteSet, cache: &mut ScanCache, refuted: &mut [u64]) {
        let fulfilled = &mut cache.fulfilled;
        fulfilled.clear();
        fulfilled.extend_from_slice(&self.free);
        for piece in self.pieces.iter().flat_map(|pieces| pieces.find_overlapping_iter(text)) {
            let piece = piece.pattern().as_usize();
            let start = piece.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
            let end = self.ends.get(piece).copied().unwrap_or_default();
            for place in self.fulfilled.get(start.unwrap_or_default()..end).unwrap_or_default() {
                set(fulfilled, *place);
            }
        }
        let slots = if kinds.within(PLAIN) { SLOTS } else { MAX_CLAUSES };
        for slot in fulfilled.chunks_exact(self.words.max(1)).take(slots) {
            for (refuted, fulfilled) in refuted.iter_mut().zip(slot) {
                *refuted |= !fulfilled;
            }
        }
    }

    /// Sets the bits of the tests of a group whose pattern is found in `text`; `false` where the text makes too many states
    /// for that to be known.
    pub(super) fn search(&self, group: usize, text: &[u8], cache: &mut ScanCache, found: &mut [u64]) -> bool {
        match (self.groups.get(group), cache.automata.get_mut(group)) {
            (Some(group), Some(states)) => group.search(states, text, found).is_some(),
            _ => false,
        }
    }
}

/// The alphabet of plain texts.
const PLAIN_BYTES: Alphabet = |byte| ByteSet::of(&[byte]).within(PLAIN);

/// The pieces that tests ask for.
struct Asked {
    words: usize,
    /// By piece, what it fulfils.
    pieces: AHashMap<Box<[u8]>, Vec<usize>>,
    free: Vec<u64>,
}

impl Asked {
    fn new(tests: usize) -> Self {
        let words = Bits::words(tests);
        Asked { words, pieces: AHashMap::new(), free: vec![u64::MAX; words * SLOTS] }
    }

    /// Takes over clauses of a test from this slot on; whether there are any.
    fn add(&mut self, test: usize, slot: usize, clauses: &[Clause]) -> bool {
        for (clause, slot) in clauses.iter().zip(slot..slot + MAX_CLAUSES) {
            let place = slot * self.words * 64 + test;
            if let Some(word) = self.free.get_mut(place / 64) {
                *word &= !(1 << (place % 64));
            }
            for piece in &clause.pieces {
                self.pieces.entry(piece.clone()).or_default().push(place);
            }
        }
        !clauses.is_empty()
    }

    fn scanner(self) -> Scanner {
        let mut pieces: Vec<(Box<[u8]>, Vec<usize>)> = self.pieces.into_iter().collect();
        pieces.sort_unstable();
        let is_small = pieces.iter().map(|(piece, _)| piece.len()).sum::<usize>() <= MAX_FAST_PIECES;
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(PieceMatch::Standard)
            .kind(is_small.then_some(AhoCorasickKind::DFA))
            .build(pieces.iter().map(|(piece, _)| piece));
        let mut scanner = Scanner {
            words: self.words,
            pieces: None,
            ends: Vec::with_capacity(pieces.len()),
            fulfilled: Vec::new(),
            free: self.free,
            groups: Vec::new(),
        };
        match built {
            Ok(built) => scanner.pieces = Some(built).filter(|_| !pieces.is_empty()),
            // Without the automaton nothing is refuted.
            Err(_) => scanner.free.fill(u64::MAX),
        }
        for (_, places) in &pieces {
            scanner.fulfilled.extend_from_slice(places);
            scanner.ends.push(scanner.fulfilled.len());
        }
        scanner
    }
}

impl Group {
    /// `None` where the text makes more states than it is worth.
    fn search(&self, states: &mut Cache, text: &[u8], found: &mut [u64]) -> Option<()> {
        // How far each search came is told to the automaton: by that it knows whether to begin anew once it is full.
        states.search_start(0);
        let automaton = &self.automaton;
        let mut state = automaton.start_state_forward(states, &Input::new(text)).ok()?;
        let mut at = 0;
        for part in text.chunks(256) {
            for byte in part {
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
            at += part.len();
            states.search_update(at);
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
        .minimum_cache_clear_count(Some(1))
        .minimum_bytes_per_state(Some(BYTES_PER_STATE));
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use crate::files::MemoryFiles;

    fn scanner(operators: &[(&str, &str)]) -> (Scanner, Vec<usize>) {
        let files = MemoryFiles::default();
        let compile = |(name, argument): &(&str, &str)| Operator::compile(name, argument, &files).unwrap();
        let operators: Vec<Operator> = operators.iter().map(compile).collect();
        let (scanner, left_out, _) = Scanner::new(&operators.iter().map(Some).collect::<Vec<_>>());
        (scanner, left_out)
    }

    #[test]
    fn texts_without_their_pieces_are_refuted() {
        let (scanner, left_out) = scanner(&[
            ("rx", "(?i)^select"),
            ("pm", "union select"),
            ("rx", r#"c["']*a["']*t "#),
            ("streq", "x"),
            ("rx", "[a-z]+"),
        ]);
        assert_eq!(left_out, [3]);
        let mut cache = scanner.cache();
        for (text, expected) in [
            ("SELECT", 0b00100),
            ("xunion", 0b00101),
            ("nothing", 0b00111),
            ("", 0b00111),
            ("cat x", 0b00011),
            ("cart x", 0b00111),
            // Quotes may stand anywhere.
            ("c'art x", 0b00011),
        ] {
            let mut refuted = vec![0];
            scanner.refute(text.as_bytes(), ByteSet::of(text.as_bytes()), &mut cache, &mut refuted);
            assert_eq!(refuted[0] & 0b11111, expected, "{text}");
        }
    }

    #[test]
    fn one_search_answers_for_patterns_without_pieces() {
        let (scanner, _) = scanner(&[("rx", "^[a-c]+$"), ("rx", "[0-9]{3}"), ("rx", "^[d-z]*[0-9]+$")]);
        let mut cache = scanner.cache();
        for (text, expected) in [("abc", 0b001), ("abcd", 0), ("", 0), ("a123", 0b010), ("z12", 0b100)] {
            let mut found = vec![0];
            for group in 0..scanner.groups.len() {
                assert!(scanner.search(group, text.as_bytes(), &mut cache, &mut found));
            }
            assert_eq!(found, [expected], "{text}");
        }
    }

    #[test]
    fn a_full_automaton_begins_anew_however_often() {
        let word = "(?:[a-z][0-9]|[0-9][a-z]){4}[a-f]{3,9}[x-z]{2}(?:[0-4]{5}|[3-7]{4})$";
        let (scanner, _) = scanner(&[("rx", word), ("rx", &word.replace("a-f", "d-p"))]);
        let mut cache = scanner.cache();
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b"abcdefghijklmnopqrstuvwxyz0123456789"[(state >> 33) as usize % 36]
        };
        let mut refused_last = 0;
        for round in 0..20_000 {
            let text: Vec<u8> = (0..64).map(|_| next()).collect();
            if !scanner.search(0, &text, &mut cache, &mut [0]) {
                refused_last = round;
            }
        }
        // It may refuse for a while, but not from some time on for good.
        assert!(refused_last < 19_999, "{refused_last}");
    }
}
