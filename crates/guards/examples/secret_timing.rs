//! Whether the time of a comparison tells how much of a secret was guessed: two kinds of wrong guess, one wrong at its first
//! byte and one at its last, a million of each in random order, and Welch's t over their times.
//!
//! `cargo run --release -p bartizan-guards --example secret_timing`. A |t| below 4.5 is no signal (the bound of TVLA, ISO/IEC
//! 17825); the plain comparison, which stops at the first difference, is there to show that the program finds one.
#![allow(clippy::indexing_slicing, reason = "a program that measures: a wrong index ends it")]

use std::{hint::black_box, time::Instant};

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

/// Guesses of each kind.
const SAMPLES: usize = 1_000_000;
/// Slower ones were interrupted, and say nothing of the comparison: the share that is dropped of both kinds.
const DROPPED: f64 = 0.05;
/// Comparisons in one sample, so that the clock's grain is small beside it.
const REPEAT: usize = 8;

fn main() {
    println!(
        "{SAMPLES} guesses of each kind, {REPEAT} comparisons in each, slowest {DROPPED} dropped; |t| < 4.5 is no signal"
    );
    let secret = [0x5a_u8; 32];
    let (mut first, mut last) = (secret, secret);
    first[0] ^= 1;
    last[31] ^= 1;
    tell(
        "API key, SHA-256 compared by `subtle`",
        measure(&first, &last, |guess| bool::from(secret.ct_eq(guess))),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let tag = hmac::sign(&key, b"message");
    let mut tags = [[0_u8; 32]; 2];
    for (guess, at) in tags.iter_mut().zip([0, 31]) {
        guess.copy_from_slice(tag.as_ref());
        guess[at] ^= 1;
    }
    tell(
        "keyed hash of a request, `hmac::verify`",
        measure(&tags[0], &tags[1], |guess| hmac::verify(&key, b"message", guess).is_ok()),
    );
    let long = [0x5a_u8; 4096];
    let (mut early, mut late) = (long, long);
    early[0] ^= 1;
    late[4095] ^= 1;
    tell(
        "plain `==` over 4 KiB, for comparison",
        measure(&early, &late, |guess| long.iter().eq(guess.iter())),
    );
}

fn tell(what: &str, (means, t): ([f64; 2], f64)) {
    println!(
        "{what}: wrong at the first byte {:.1} ns, at the last {:.1} ns, t = {t:.2}",
        means[0], means[1]
    );
}

/// Mean times of both kinds in nanoseconds, and Welch's t.
fn measure<const N: usize>(
    first: &[u8; N],
    last: &[u8; N],
    compare: impl Fn(&[u8; N]) -> bool,
) -> ([f64; 2], f64) {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut guess = [0; N];
    while times.iter().any(|times| times.len() < SAMPLES) {
        // xorshift: the kinds come in an order that nothing in the machine follows.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let kind = usize::from(state & 1 == 1);
        // The same place in memory for both kinds.
        guess.copy_from_slice(if kind == 0 { first } else { last });
        let begun = Instant::now();
        for _ in 0..REPEAT {
            black_box(compare(black_box(&guess)));
        }
        let taken = begun.elapsed();
        if times[kind].len() < SAMPLES {
            times[kind].push(taken.as_nanos() as f64 / REPEAT as f64);
        }
    }
    let mut means = [0.0; 2];
    let mut errors = 0.0;
    for (kind, mut times) in times.into_iter().enumerate() {
        times.sort_by(f64::total_cmp);
        times.truncate((SAMPLES as f64 * (1.0 - DROPPED)) as usize);
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        means[kind] = mean;
        errors += variance / count;
    }
    (means, (means[0] - means[1]) / errors.sqrt())
}
