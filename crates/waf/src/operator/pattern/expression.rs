//! One compiled expression, and the automata that a worker builds while it searches, within a budget for all
//! expressions together.

use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::AHashMap;
use regex_automata::{
    Anchored, Input,
    meta::{BuildError, Cache, Config, Regex},
    util::syntax,
};

/// What one compiled expression may take: twice what the largest of the Core Rule Set takes.
const PROGRAM_BYTES: usize = 8 << 20;
/// What the lazily built automaton of one expression may take in one worker.
const AUTOMATON_BYTES: usize = 1 << 20;
/// What the automata of all expressions may take in one worker. Where that is not enough, some go, whichever they are:
/// were it those that were not used for longest, rules that are tried one after the other would drop each other's.
const WORKER_BYTES: usize = 4 << 20;

/// Each expression has a number of its own, by which workers keep its automaton.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// A compiled expression.
#[derive(Debug)]
pub(in crate::operator) struct Expression {
    text: Box<str>,
    regex: Regex,
    number: usize,
}

impl Expression {
    /// Compiles a translated expression.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let regex = Regex::builder()
            .configure(
                Config::new()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(PROGRAM_BYTES))
                    .hybrid_cache_capacity(AUTOMATON_BYTES),
            )
            .syntax(syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true))
            .build(text)
            .map_err(|error| reason(&error))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Self { text: text.into(), regex, number })
    }

    pub(super) const fn text(&self) -> &str {
        &self.text
    }

    /// How many groups there are, the whole match included.
    pub(super) fn groups(&self) -> usize {
        self.regex.group_info().group_len(regex_automata::PatternID::ZERO)
    }

    /// The first match at or after `from`, with what lies before in view.
    pub(super) fn find(&self, value: &[u8], from: usize, automata: &mut Automata) -> Option<(usize, usize)> {
        if from > value.len() {
            return None;
        }
        let found =
            automata.with(self, |cache| self.regex.search_with(cache, &Input::new(value).range(from..)))?;
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
        let mut captures = self.regex.create_captures();
        let input = Input::new(value).range(start..).anchored(Anchored::Yes);
        automata.with(self, |cache| self.regex.search_captures_with(cache, &input, &mut captures));
        for (index, group) in captures.iter().enumerate() {
            note(index, group.map(|group| (group.start, group.end)));
        }
    }
}

fn reason(error: &BuildError) -> String {
    if let Some(limit) = error.size_limit() {
        return format!("the expression takes more than {limit} bytes compiled: use smaller repetitions");
    }
    let text = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("no regular expression: {reason}")
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
    fn with<T>(&mut self, expression: &Expression, search: impl FnOnce(&mut Cache) -> T) -> T {
        let place = match self.places.get(&expression.number) {
            Some(place) => *place,
            None => {
                let cache = expression.regex.create_cache();
                self.built.push(Built { expression: expression.number, cache, bytes: 0 });
                self.places.insert(expression.number, self.built.len() - 1);
                self.built.len() - 1
            }
        };
        let Some(built) = self.built.get_mut(place) else {
            return search(&mut expression.regex.create_cache());
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
