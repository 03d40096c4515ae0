//! Mutations of real inputs, the same in every run: bytes changed, doubled, moved, cut, and pieces of other inputs between
//! them.

use std::time::{Duration, Instant};

/// The most inputs of one target in a run.
const INPUTS: usize = 30_000;

/// No target runs for longer, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that mean something to some parser.
const MARKS: &[u8] = b"\"'\\{}[]<>&;:=%+,.-/*#()|`\0\n\r\t \x7f\x80\xc0\xe2\xef\xf0\xff019azAZ";

/// Shows each seed, then mutations of them.
pub fn mutations(seeds: &[&[u8]], mut target: impl FnMut(&[u8])) {
    for seed in seeds {
        target(seed);
        (0..seed.len()).step_by(seed.len().div_ceil(64).max(1)).for_each(|end| target(&seed[..end]));
    }
    let end = Instant::now() + PATIENCE;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..INPUTS {
        if round % 64 == 0 && Instant::now() > end {
            break;
        }
        let mut bytes = seeds[random.below(seeds.len())].to_vec();
        for _ in 0..=random.below(6) {
            random.change(&mut bytes, seeds);
        }
        target(&bytes);
    }
}

/// Numbers that look random (xorshift), from one seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[&[u8]]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(16)).min(bytes.len());
        match self.below(8) {
            0 => bytes.insert(at, MARKS[self.below(MARKS.len())]),
            1 if at < bytes.len() => bytes[at] = MARKS[self.below(MARKS.len())],
            2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let times = 1 + self.below(40);
                bytes.splice(at..at, piece.repeat(times));
            }
            5 => {
                let other = seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let piece = &other[from..(from + self.below(24)).min(other.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
            6 => bytes.truncate(at),
            _ => {
                let mark = MARKS[self.below(MARKS.len())];
                let times = 1 + self.below(300);
                bytes.splice(at..at, std::iter::repeat_n(mark, times));
            }
        }
    }
}
