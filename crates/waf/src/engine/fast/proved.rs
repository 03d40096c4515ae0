//! Values of which something was proved before they came here: in which of them a tree of tests can find nothing, whatever
//! they are. Worked out once for each bound, when rules are built, so that such a value costs one look at a table.
//!
//! What is proved is exact about bytes: an expression is read with every class cut down to the alphabet, and what is left
//! of it tells the shortest text in which it could be found. Only tests that no text within the bound can satisfy count,
//! so that nothing is missed by leaving them out.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use ahash::AHashMap;
use bartizan_pattern::alphabet::{Alphabet, Bound};
use parking_lot::Mutex;
use regex_syntax::hir::{Hir, HirKind};

use super::{
    atoms::of_bytes,
    bits::Bits,
    scan::parse,
    set::{Direct, Form, ScanSet},
};
use crate::{
    operator::Trace,
    transform::{ByteSet, Transformation},
};

/// How many bounds are told apart; what is bounded in another way is looked at like any other value.
const MAX_BOUNDS: usize = 128;
/// Of how many sets the tables are kept.
const MAX_SETS: usize = 32;

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
        Bounds {
            identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
            all,
            numbers,
            tables: Mutex::default(),
        }
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

/// By tree of a set and by bound, how many tests may find something in a value within it.
#[derive(Debug, Default)]
pub(super) struct Spared {
    left: Vec<u16>,
    bounds: usize,
}

impl Spared {
    fn new(set: &ScanSet, bounds: &[Bound]) -> Self {
        let alphabets = Alphabets::new(bounds);
        let possible = possible(set, bounds, &alphabets);
        let forms = || set.sources.iter().flat_map(|source| source.forms());
        let trees = forms().map(|form| form.tree as usize + 1).max().unwrap_or_default();
        let mut spared = Spared { left: vec![u16::MAX; trees * bounds.len()], bounds: bounds.len() };
        for form in forms() {
            for (number, (bound, tests)) in bounds.iter().zip(&possible).enumerate() {
                let mut left = Bits::new(set.tests);
                tests.gather(form, kinds_of(bound.alphabet), false, &mut left);
                let place = spared.left.get_mut(form.tree as usize * bounds.len() + number);
                if let Some(place) = place {
                    *place = u16::try_from(left.iter().count()).unwrap_or(u16::MAX);
                }
            }
        }
        spared
    }

    /// How many tests of the tree may find something in a value within the bound of this number.
    pub(super) fn left(&self, tree: u32, bound: u8) -> u16 {
        let bound = usize::from(bound).checked_sub(1).filter(|bound| *bound < self.bounds);
        let place = bound.and_then(|bound| self.left.get(tree as usize * self.bounds + bound));
        place.copied().unwrap_or(u16::MAX)
    }
}

/// The tests that may find something in texts within a bound: as they are, and behind bounded transformations.
struct Possible([Bits; 2]);

impl Possible {
    /// Adds the tests of the form, and of all that is made of it, that may find something. `later` says that something was
    /// done to the text.
    fn gather(&self, form: &Form, kinds: ByteSet, later: bool, left: &mut Bits) {
        let [now, then] = &self.0;
        let tests = if later { then } else { now };
        for (at, (own, may)) in form.tests.as_words().iter().zip(tests.as_words()).enumerate() {
            left.insert_word(at, own & may);
        }
        for (step, next) in &form.next {
            // Without an escape, this one makes at most a space of a plus.
            let is_plain = matches!(step, Transformation::UrlDecode | Transformation::UrlDecodeUni)
                && !kinds.any(ByteSet::PERCENT);
            if !step.may_change(&kinds) {
                self.gather(next, kinds, later, left);
            } else if step.is_bounded() || is_plain {
                self.gather(next, kinds.after_bounded(), true, left);
            } else {
                left.insert_all(&next.all);
            }
        }
    }
}

/// The distinct alphabets of some bounds, as they are and behind bounded transformations.
struct Alphabets {
    all: Vec<Alphabet>,
    /// By bound, the places of both.
    places: Vec<[usize; 2]>,
}

impl Alphabets {
    fn new(bounds: &[Bound]) -> Self {
        let mut all: Vec<Alphabet> = Vec::new();
        let mut place = |alphabet: Alphabet| match all.iter().position(|known| *known == alphabet) {
            Some(at) => at,
            None => {
                all.push(alphabet);
                all.len() - 1
            }
        };
        let places =
            bounds.iter().map(|bound| [place(bound.alphabet), place(later(bound.alphabet))]).collect();
        Alphabets { all, places }
    }
}

/// The characters that a text may have after bounded transformations; see [`ByteSet::after_bounded`].
fn later(alphabet: Alphabet) -> Alphabet {
    let add = |set: Alphabet, byte: u8| set.with(byte).unwrap_or(set);
    let mut set = add(alphabet, b' ');
    for byte in alphabet.bytes() {
        set = add(add(set, byte.to_ascii_lowercase()), byte.to_ascii_uppercase());
    }
    if alphabet.has(b'\\') { add(set, b'/') } else { set }
}

fn kinds_of(alphabet: Alphabet) -> ByteSet {
    alphabet.bytes().fold(ByteSet::default(), |kinds, byte| kinds.with(ByteSet::of(&[byte])))
}

/// By bound, the tests of a set that may find something.
fn possible(set: &ScanSet, bounds: &[Bound], alphabets: &Alphabets) -> Vec<Possible> {
    let none = || Possible([Bits::new(set.tests), Bits::new(set.tests)]);
    let mut possible: Vec<Possible> = bounds.iter().map(|_| none()).collect();
    for (test, made) in set.operators.iter().enumerate() {
        let hir = made.operator.expression().filter(|_| !made.negated).map(parse);
        let shortest: Vec<Option<usize>> = match hir {
            Some(None) => vec![Some(0); alphabets.all.len()],
            Some(Some(hir)) => alphabets.all.iter().map(|alphabet| shortest(&hir, *alphabet)).collect(),
            None => alphabets.all.iter().map(|alphabet| shortest_of(made, *alphabet)).collect(),
        };
        for ((bound, places), possible) in bounds.iter().zip(&alphabets.places).zip(&mut possible) {
            for (place, tests) in places.iter().zip(&mut possible.0) {
                let least = shortest.get(*place).copied().flatten();
                if least.is_some_and(|least| least as u64 <= u64::from(bound.longest)) {
                    tests.insert(test);
                }
            }
        }
    }
    possible
}

/// The length of the shortest text of these characters in which the expression may be found; `None` where there is none.
/// What stands around a place (`^`, `\b`) is taken to be so.
pub(super) fn shortest(hir: &Hir, alphabet: Alphabet) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => alphabet.covers(&literal.0).then_some(literal.0.len()),
        HirKind::Class(class) => {
            let Some(class) = of_bytes(class) else { return Some(1) };
            let mut bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            bytes.any(|byte| alphabet.has(byte)).then_some(1)
        }
        HirKind::Repetition(repetition) if repetition.min == 0 => Some(0),
        HirKind::Repetition(repetition) => {
            let times = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            shortest(&repetition.sub, alphabet).map(|length| length.saturating_mul(times))
        }
        HirKind::Capture(capture) => shortest(&capture.sub, alphabet),
        HirKind::Concat(parts) => parts
            .iter()
            .try_fold(0usize, |length, part| Some(length.saturating_add(shortest(part, alphabet)?))),
        HirKind::Alternation(parts) => parts.iter().filter_map(|part| shortest(part, alphabet)).min(),
    }
}

/// The same of a test that is no expression.
fn shortest_of(made: &Direct, alphabet: Alphabet) -> Option<usize> {
    if made.negated {
        return Some(0);
    }
    let covers = |text: &[u8]| {
        text.iter()
            .all(|byte| alphabet.has(byte.to_ascii_lowercase()) || alphabet.has(byte.to_ascii_uppercase()))
    };
    if let Some(phrases) = made.operator.phrases() {
        return phrases.iter().filter(|phrase| covers(phrase)).map(|phrase| phrase.len()).min();
    }
    match made.operator.trace() {
        Trace::Never => None,
        Trace::Kinds(kinds) => kinds_of(alphabet).any(kinds).then_some(1),
        Trace::Bytes(bytes) => alphabet.covers(bytes).then_some(bytes.len()),
        Trace::Unknown => Some(0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn an_expression_has_a_shortest_text_in_an_alphabet() {
        for (expression, alphabet, expected) in [
            ("(?i)select", "selct", Some(6)),
            ("(?i)select", "SELCT", Some(6)),
            ("(?i)select", "selc", None),
            (r"\d+\s*--", "0123456789-", Some(3)),
            (r"\d+\s+--", "0123456789-", None),
            ("a|bcd|'", "bcd", Some(3)),
            ("[^0-9]", "0123456789", None),
            ("(?:ab){3}x?", "ab", Some(6)),
            ("^$", "", Some(0)),
            (r"\bor\b", "0123", None),
            (".", "a", Some(1)),
            (r"[\x80-\xff]", "abc", None),
        ] {
            let alphabet = Alphabet::of(alphabet.as_bytes()).unwrap();
            assert_eq!(shortest(&parse(expression).unwrap(), alphabet), expected, "{expression}");
        }
    }
}
