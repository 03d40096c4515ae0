//! Popularity by Zipf's law with exponent 1: the thing of rank k is asked for in proportion to 1/k.

use crate::draw::Draw;

/// Popularity of some number of things.
#[derive(Debug)]
pub struct Zipf {
    /// Sums of 1/k in units of 2^-32: whole numbers, so that every machine draws the same.
    sums: Vec<u64>,
}

impl Zipf {
    pub fn new(count: u64) -> Zipf {
        let sums = (1..=count).scan(0, |sum, rank| {
            *sum += (1_u64 << 32) / rank;
            Some(*sum)
        });
        Zipf { sums: sums.collect() }
    }

    /// The number of a thing, from 1; which numbers are popular is mixed.
    pub fn draw(&self, draw: &mut Draw) -> u64 {
        let count = self.sums.len() as u64;
        let at = draw.below(self.sums.last().copied().unwrap_or_default());
        let rank = self.sums.partition_point(|sum| *sum <= at) as u64;
        // 7,919 is prime and divides no count that is used here: every number has one rank.
        (rank * 7_919).checked_rem(count).unwrap_or_default() + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_most_popular_is_asked_for_twice_as_often_as_the_next() {
        let (zipf, mut draw) = (Zipf::new(2_000), Draw::of(1, "test", 2));
        let mut counts = HashMap::<u64, u32>::new();
        for _ in 0..100_000 {
            *counts.entry(zipf.draw(&mut draw)).or_default() += 1;
        }
        let mut sorted: Vec<u32> = counts.values().copied().collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        // H(2000) is 8.178: the first has 12.2 % and the second half of that.
        assert!(
            (11_700..12_800).contains(&sorted[0]) && (5_700..6_500).contains(&sorted[1]),
            "{:?}",
            &sorted[..3]
        );
        assert!(counts.keys().all(|id| (1..=2_000).contains(id)) && counts.len() > 1_900);
    }
}
