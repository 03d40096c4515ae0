//! The curve of days: when people come, and months as statements name them.

use std::time::Duration;

use bartizan_model::Timestamp;

use crate::draw::Draw;

const HOUR: u64 = 3_600_000_000;

/// Visits by hour of the day (UTC) on a working day, in thousandths of the day's.
const HOURS: [u64; 24] =
    [6, 4, 3, 2, 3, 8, 22, 45, 62, 66, 62, 60, 68, 60, 54, 54, 58, 66, 76, 78, 66, 44, 22, 11];

/// How much of a working day there is on each day of the week, Monday first, in percent.
const WEEKDAYS: [u64; 7] = [110, 105, 100, 100, 108, 72, 62];

/// How active a person is, in percent of the mean: Zipf's law with exponent 1 over a hundred classes, the most active at
/// eight times the mean. Who comes more owns more of what people make.
pub fn activity(seed: u64, id: u64) -> u64 {
    /// 100 % of a hundred classes, over the sum of 1/1 to 1/100.
    const FIRST: u64 = 1_928;
    let class = Draw::of(seed, "activity", id).below(100) + 1;
    (FIRST / class).min(800)
}

/// The time until the next visit of somebody who comes `visits` times a working day on the average, times an activity in
/// percent.
pub fn until_next(draw: &mut Draw, now: Timestamp, visits: u32, activity: u64) -> Duration {
    // One event of a Poisson process whose rate is that of the curve: a draw of the exponential distribution with mean 1,
    // in millionths, is used up hour by hour.
    let mut left = u64::try_from(draw.gap(Duration::from_secs(1)).as_micros()).unwrap_or_default();
    let mut at = now.0;
    // 60 days at most: somebody who comes never comes late.
    for _ in 0..24 * 60 {
        let hour = at / HOUR;
        let rate = rate(hour) * u64::from(visits) * activity / 100;
        let rest = HOUR - at % HOUR;
        // Millionths of an event in the rest of this hour: the rate is in hundred-thousandths an hour.
        let here = u128::from(rate) * 10 * u128::from(rest) / u128::from(HOUR);
        if u128::from(left) <= here && rate > 0 {
            let into = u128::from(left) * u128::from(HOUR) / (u128::from(rate) * 10);
            at += u64::try_from(into).unwrap_or(rest).min(rest);
            return Timestamp(at).since(now);
        }
        left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        at += rest;
    }
    Timestamp(at).since(now)
}

/// Visits in an hour since the epoch, in hundred-thousandths of a working day's.
fn rate(hour: u64) -> u64 {
    let of_day = usize::try_from(hour % 24).unwrap_or_default();
    // 1970-01-01 was a Thursday.
    let weekday = usize::try_from((hour / 24 + 3) % 7).unwrap_or_default();
    let thousandths = HOURS.get(of_day).copied().unwrap_or_default();
    thousandths * WEEKDAYS.get(weekday).copied().unwrap_or_default()
}

/// The month so many months before now, as (year, month).
pub fn month_before(now: Timestamp, months: u64) -> (u64, u64) {
    let text = now.to_string();
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<u64>().ok());
    let (year, month) = (number(0..4).unwrap_or(2026), number(5..7).unwrap_or(1));
    let count = (year * 12 + month - 1).saturating_sub(months);
    (count / 12, count % 12 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02, a Monday.
    const MONDAY: Timestamp = Timestamp::from_seconds(1_772_409_600);

    #[test]
    fn a_day_has_as_many_visits_as_asked_for_and_most_of_them_by_day() {
        assert_eq!(HOURS.iter().sum::<u64>(), 1_000);
        let mut draw = Draw::of(1, "test", 1);
        let (mut now, mut by_day, mut visits) = (MONDAY, 0, 0);
        while now.since(MONDAY) < Duration::from_secs(28 * 86_400) {
            now = now.plus(until_next(&mut draw, now, 5, 100));
            visits += 1;
            by_day += u32::from((7..22).contains(&(now.seconds() / 3_600 % 24)));
        }
        // 28 days of 5 visits, at 94 % of a working day's on the average: 131.
        assert!((105..=160).contains(&visits), "{visits}");
        assert!(by_day * 100 > visits * 80, "{by_day} of {visits}");
    }

    #[test]
    fn few_are_very_active_and_most_are_not() {
        let all: Vec<u64> = (1..=5_000).map(|id| activity(1, id)).collect();
        let mean = all.iter().sum::<u64>() / 5_000;
        assert!((80..=105).contains(&mean), "{mean} %");
        let below_half = all.iter().filter(|percent| **percent < 50).count();
        assert!(all.contains(&800) && below_half > 2_500, "{below_half}");
    }

    #[test]
    fn months_go_back_over_new_year() {
        assert_eq!(month_before(MONDAY, 1), (2026, 2));
        assert_eq!(month_before(MONDAY, 3), (2025, 12));
        assert_eq!(month_before(MONDAY, 14), (2025, 1));
    }
}
