//! The words of SQL and the fingerprints of injections, from the tables of libinjection.

use std::sync::LazyLock;

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

/// No word is longer; what is longer is in no table.
pub(super) const LONGEST: usize = 31;
/// Places of the table of words; about a quarter is taken.
const PLACES: usize = 4096;

/// Bits of the sieve: eight for each fingerprint.
const SIEVE: usize = 1 << 16;

/// The kind of token that a word in the tables marks as a fingerprint.
const FINGERPRINT: u8 = b'F';
/// The kind of a token that is any word.
const WORD: u8 = b'n';

/// A word in capitals.
#[derive(Debug)]
pub(super) struct Entry {
    pub word: &'static [u8],
    /// Its kind.
    pub kind: u8,
    /// Whether the tables have it, and not only words that begin with it.
    pub listed: bool,
    /// Whether a longer word begins with it and a space.
    pub begins: bool,
}

struct Tables {
    /// For each hash, the place of a word in `words` and more bits of its hash above; 0 is an empty place, and where a
    /// place is taken by another word, the next one is looked at.
    places: Vec<u32>,
    /// The first is none.
    words: Vec<Entry>,
    /// Fingerprints, each packed into a number, in order.
    fingerprints: Vec<u64>,
    /// A bit for the hash of each fingerprint: most texts have one that is in no table, and are done with here.
    sieve: Vec<u64>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables {
        places: vec![0; PLACES],
        words: vec![Entry { word: b"", kind: 0, listed: false, begins: false }],
        fingerprints: Vec::new(),
        sieve: vec![0; SIEVE / 64],
    };
    for keyword in SQL_KEYWORDS {
        let word = keyword.word.as_bytes();
        match (keyword.token_type, word.split_first()) {
            (FINGERPRINT, Some((_, letters))) => tables.fingerprints.push(pack(letters)),
            _ => tables.insert(word, keyword.token_type),
        }
    }
    tables.fingerprints.sort_unstable();
    for packed in &tables.fingerprints {
        let (word, bit) = sieve_bit(*packed);
        if let Some(bits) = tables.sieve.get_mut(word) {
            *bits |= bit;
        }
    }
    tables
});

impl Tables {
    /// Adds a word, and what it begins with up to each of its spaces.
    fn insert(&mut self, word: &'static [u8], kind: u8) {
        let entry = self.entry(word);
        entry.kind = kind;
        entry.listed = true;
        for (at, byte) in word.iter().enumerate() {
            if *byte == b' '
                && let Some(beginning) = word.get(..at)
            {
                self.entry(beginning).begins = true;
            }
        }
    }

    /// The entry of a word, made where there is none.
    fn entry(&mut self, word: &'static [u8]) -> &mut Entry {
        let (place, index) = self.find(word);
        let index = index.unwrap_or_else(|| {
            let index = self.words.len();
            if let (Some(slot), Ok(number)) = (self.places.get_mut(place), u16::try_from(index)) {
                *slot = hash(word) & TAG | u32::from(number);
                self.words.push(Entry { word, kind: WORD, listed: false, begins: false });
            }
            index
        });
        let last = self.words.len() - 1;
        #[expect(
            clippy::indexing_slicing,
            reason = "INVARIANT: there is an entry from the start, and `last` is one"
        )]
        &mut self.words[index.min(last)]
    }

    /// The place of a word, and its entry, if it has one.
    fn find(&self, word: &[u8]) -> (usize, Option<usize>) {
        let hash = hash(word);
        let mut place = hash as usize % PLACES;
        loop {
            let taken = self.places.get(place).copied().unwrap_or_default();
            if taken == 0 {
                return (place, None);
            }
            let index = (taken & !TAG) as usize;
            if taken & TAG == hash & TAG
                && self.words.get(index).is_some_and(|entry| entry.word.eq_ignore_ascii_case(word))
            {
                return (place, Some(index));
            }
            place = (place + 1) % PLACES;
        }
    }
}

/// The bits of a hash that a place keeps.
const TAG: u32 = 0xFFFF_0000;

/// The same number for words that differ in case alone: of their first and last eight letters and their length.
fn hash(word: &[u8]) -> u32 {
    const LETTERS: u64 = 0xDFDF_DFDF_DFDF_DFDF;
    let (first, last) = match (word.first_chunk(), word.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (word.iter().fold(0, |letters, byte| letters << 8 | u64::from(*byte)), 0),
    };
    let length = u64::try_from(word.len()).unwrap_or_default();
    let mixed = (first & LETTERS) ^ (last & LETTERS).rotate_left(29) ^ length.rotate_left(56);
    let hash = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let [a, b, c, d, ..] = (hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn pack(letters: &[u8]) -> u64 {
    letters.iter().fold(0, |packed, letter| packed << 8 | u64::from(letter.to_ascii_uppercase()))
}

/// The word and the bit of a fingerprint in the sieve.
const fn sieve_bit(packed: u64) -> (usize, u64) {
    let hash = packed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    let hash = hash as usize;
    (hash / 64, 1 << (hash % 64))
}

/// A word of the tables, in any case.
pub(super) fn look_up(word: &[u8]) -> Option<&'static Entry> {
    // No word of the tables is shorter.
    if word.len() < 2 || word.len() > LONGEST {
        return None;
    }
    let tables = &*TABLES;
    tables.find(word).1.and_then(|index| tables.words.get(index))
}

/// Whether the tables have a fingerprint. Letters compare in any case, as in libinjection.
pub(super) fn is_injection(fingerprint: &[u8]) -> bool {
    let packed = pack(fingerprint);
    let (word, bit) = sieve_bit(packed);
    let tables = &*TABLES;
    tables.sieve.get(word).is_some_and(|bits| bits & bit != 0)
        && tables.fingerprints.binary_search(&packed).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn the_tables_are_as_the_look_ups_take_them() {
        let words = SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type != FINGERPRINT);
        for keyword in words {
            let word = keyword.word.as_bytes();
            assert!(word.len() >= 2 && word.len() <= LONGEST && !word.contains(&b'`'), "{}", keyword.word);
            let found = look_up(keyword.word.to_lowercase().as_bytes()).unwrap();
            assert_eq!((found.word, found.kind), (word, keyword.token_type));
            assert!(found.listed);
        }
        assert!(look_up(b"lock in share").unwrap().begins);
        assert!(!look_up(b"lock in share mode").unwrap().begins);
        assert!(TABLES.words.len() < PLACES / 3);
        assert_eq!(TABLES.fingerprints.len(), 8367);
        assert!(TABLES.fingerprints.iter().all(|packed| *packed < 1 << 40));
        assert!(look_up(b"selec").is_none());
        assert!(is_injection(b"s&sos") && !is_injection(b"n") && !is_injection(b""));
    }

    /// What `harmless_sql` takes for granted.
    #[test]
    fn no_fingerprint_is_made_of_what_harmless_shapes_have() {
        let fingerprints = SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type == FINGERPRINT);
        let mut pairs = Vec::new();
        for fingerprint in fingerprints.map(|keyword| keyword.word.get(1..).unwrap()) {
            let others = fingerprint.trim_matches(['1', 'N', 'O', '.', ':', ',', ';']);
            assert!(!others.is_empty(), "{fingerprint}");
            let is_number = |index| matches!(fingerprint.as_bytes().get(index), Some(b'1' | b'N'));
            assert!(fingerprint.len() > 3 || !is_number(0) || !is_number(1), "{fingerprint}");
            if fingerprint.len() < 3 {
                pairs.push(fingerprint);
            }
        }
        assert_eq!(pairs, ["1C", "1U", "NC", "SC", "VC", "VU", "X"]);
    }
}
