//! One expression, compiled when it is first searched for, and the automata that a worker builds while it searches, within a budget for all
//! expressions together.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use ahash::AHashMap;
use regex_automata::{
    Anchored, Input,
    meta::{BuildError, Cache, Config, Regex},
};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

/// What one compiled expression may take: twice what the largest of the Core Rule Set takes.
const PROGRAM_BYTES: usize = 8 << 20;
/// An expression of which this much is expected is compiled when it is loaded: it may be too large.
const SUSPECT_BYTES: u64 = 2 << 20;
/// What the lazily built automaton of one expression may take in one worker.
const AUTOMATON_BYTES: usize = 1 << 20;
/// What the automata of all expressions may take in one worker. Where that is not enough, some go, whichever they are:
/// were it those that were not used for longest, rules that are tried one after the other would drop each other's.
const WORKER_BYTES: usize = 8 << 20;

/// Each expression has a number of its own, by which workers keep its automaton.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// An expression that compiles.
#[derive(Debug)]
pub(in crate::operator) struct Expression {
    text: Box<str>,
    /// Compiled when it is first searched for: most rules of a set never are in the life of a process.
    regex: OnceLock<Option<Regex>>,
    groups: usize,
    number: usize,
}

impl Expression {
    /// Checks a translated expression.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let hir = parse(text)?;
        let regex = OnceLock::new();
        if size(&hir) > SUSPECT_BYTES {
            let _ = regex.set(Some(build(&hir)?));
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let groups = hir.properties().explicit_captures_len() + 1;
        Ok(Self { text: text.into(), regex, groups, number })
    }

    /// The compiled expression. There is always one: what may be too large was compiled when it was loaded.
    fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| parse(&self.text).ok().and_then(|hir| build(&hir).ok())).as_ref()
    }

    pub(super) const fn text(&self) -> &str {
        &self.text
    }

    /// How many groups there are, the whole match included.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// The first match at or after `from`, with what lies before in view.
    pub(super) fn find(&self, value: &[u8], from: usize, automata: &mut Automata) -> Option<(usize, usize)> {
        if from > value.len() {
            return None;
        }
        // An expression that cannot be searched for matches everything: nothing slips through.
        let Some(regex) = self.regex() else { return Some((from, value.len())) };
        let input = Input::new(value).range(from..);
        let found = automata.with(self, regex, |cache| regex.search_with(cache, &input))?;
        Some((found.start(), found.end()))
    }

    /// The groups of the match that begins at `start`.
    pub(super) fn capture(
        &self,
        value: &[u8],
        start: usize,
        automata: &mut Automata,
        mut note: impl FnMut(usize, Option<(usize, usize)>),
    ) {
        let Some(regex) = self.regex() else { return };
        let mut captures = regex.create_captures();
        let input = Input::new(value).range(start..).anchored(Anchored::Yes);
        automata.with(self, regex, |cache| regex.search_captures_with(cache, &input, &mut captures));
        for (index, group) in captures.iter().enumerate() {
            note(index, group.map(|group| (group.start, group.end)));
        }
    }
}

/// Reads an expression over bytes: `.` is any of them, and letters are those of ASCII.
fn parse(text: &str) -> Result<Hir, String> {
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build();
    parser.parse(text).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("no regular expression: {reason}")
    })
}

fn build(hir: &Hir) -> Result<Regex, String> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(PROGRAM_BYTES))
        .hybrid_cache_capacity(AUTOMATON_BYTES);
    Regex::builder().configure(config).build_from_hir(hir).map_err(|error| reason(&error))
}

fn reason(error: &BuildError) -> String {
    match error.size_limit() {
        Some(limit) => {
            format!("the expression takes more than {limit} bytes compiled: use smaller repetitions")
        }
        None => format!("the expression cannot be compiled: {error}"),
    }
}

/// What an expression takes compiled, bytes, at most: a state for each byte and each fork of it, as often as it is repeated.
fn size(hir: &Hir) -> u64 {
    const STATE: u64 = 64;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len() as u64 * STATE,
        HirKind::Class(Class::Bytes(class)) => STATE + class.ranges().len() as u64 * 16,
        HirKind::Class(Class::Unicode(class)) => STATE + class.ranges().len() as u64 * 8 * STATE,
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min).max(repetition.min).max(1)) + 1;
            (size(&repetition.sub).saturating_add(2 * STATE)).saturating_mul(times)
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2 * STATE),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(2 * STATE, |sum, part| sum.saturating_add(size(part)).saturating_add(STATE))
        }
    }
}

/// The automata that one worker has built so far.
#[derive(Debug, Default)]
pub(in crate::operator) struct Automata {
    /// Where in `built` that of an expression is.
    places: AHashMap<usize, usize>,
    built: Vec<Built>,
    bytes: usize,
    /// The state of the dice that choose which goes.
    dice: u32,
}

#[derive(Debug)]
struct Built {
    expression: usize,
    cache: Cache,
    bytes: usize,
}

impl Automata {
    /// Searches with the automaton of an expression.
    fn with<T>(&mut self, expression: &Expression, regex: &Regex, search: impl FnOnce(&mut Cache) -> T) -> T {
        let place = match self.places.get(&expression.number) {
            Some(place) => *place,
            None => {
                let cache = regex.create_cache();
                self.built.push(Built { expression: expression.number, cache, bytes: 0 });
                self.places.insert(expression.number, self.built.len() - 1);
                self.built.len() - 1
            }
        };
        let Some(built) = self.built.get_mut(place) else {
            return search(&mut regex.create_cache());
        };
        let result = search(&mut built.cache);
        let bytes = built.cache.memory_usage();
        self.bytes = self.bytes + bytes - built.bytes;
        built.bytes = bytes;
        while self.bytes > WORKER_BYTES && self.built.len() > 1 {
            self.drop_one();
        }
        result
    }

    fn drop_one(&mut self) {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = (self.dice >> 8) as usize % self.built.len().max(1);
        if place >= self.built.len() {
            return;
        }
        let dropped = self.built.swap_remove(place);
        self.bytes -= dropped.bytes;
        self.places.remove(&dropped.expression);
        if let Some(moved) = self.built.get(place) {
            self.places.insert(moved.expression, place);
        }
    }

    /// What they take together.
    #[cfg(test)]
    pub(in crate::operator) const fn bytes(&self) -> usize {
        self.bytes
    }
}
