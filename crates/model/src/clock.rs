//! Time as an argument: rooms never read the system clock themselves.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Wall-clock time in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Timestamp(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000
    }

    /// This moment moved forward by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC with microseconds: `2026-11-21T23:48:19.000125Z`. Texts of equal length sort by time.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds() / 86_400, self.seconds() % 86_400);
        // Days to a civil date over 400-year eras that begin on 1 March, so that the leap day comes last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
            self.0 % 1_000_000
        )
    }
}

/// A date of RFC 3339 in UTC: `2026-01-31`, `2026-01-31T12:00:00Z`, with any fraction of a second.
impl std::str::FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a moment; write it as `2026-01-31` or `2026-01-31T12:00:00Z`");
        let number = |text: &str, digits: usize, range: std::ops::RangeInclusive<u64>| {
            let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u64>().ok().filter(|n| plain && range.contains(n)).ok_or_else(wrong)
        };
        let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
        let mut parts = date.split('-');
        let mut part = || parts.next().unwrap_or_default();
        let (year, month, day) =
            (number(part(), 4, 1970..=9999)?, number(part(), 2, 1..=12)?, number(part(), 2, 1..=31)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let longest = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if parts.next().is_some() || day > longest {
            return Err(wrong());
        }
        // Years that begin on 1 March, so that the leap day comes last.
        let (shifted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days =
            shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (153 * from_march + 2) / 5 + day
                - 1;
        let mut micros = 0;
        let mut seconds = days.checked_sub(719_468).ok_or_else(wrong)? * 86_400;
        if let Some(time) = time {
            let time = time.strip_suffix('Z').ok_or_else(wrong)?;
            let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
            let mut parts = time.split(':');
            let mut part = |range| number(parts.next().unwrap_or_default(), 2, range);
            seconds += part(0..=23)? * 3_600 + part(0..=59)? * 60 + part(0..=59)?;
            if parts.next().is_some() || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit())
            {
                return Err(wrong());
            }
            micros = fraction
                .bytes()
                .chain(std::iter::repeat(b'0'))
                .take(6)
                .fold(0, |n, b| n * 10 + u64::from(b - b'0'));
        }
        Ok(Timestamp(seconds * 1_000_000 + micros))
    }
}

/// A source of time. Drills and tests run a scaled or a fixed one.
pub trait Clock: Send + Sync {
    /// Wall-clock time: for records, `exp`/`nbf` and expiry dates. May jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment in the past; never goes back. For limits and time-outs.
    fn monotonic(&self) -> Duration;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Timestamp::from_seconds(seconds).to_string(), text);
        }
        assert_eq!(Timestamp(1_000_125).to_string(), "1970-01-01T00:00:01.000125Z");
        for seconds in [0, 951_782_400, 951_868_800, 1_704_067_199, 4_107_542_399, 4_107_542_400] {
            let moment = Timestamp(seconds * 1_000_000 + 125);
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
        assert_eq!("2024-02-29".parse(), Ok(Timestamp::from_seconds(1_709_164_800)));
        for wrong in [
            "",
            "2023-02-29",
            "2026-13-01",
            "2026-1-01",
            "2026-01-01T",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00+01:00",
            "1969-12-31",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }
}
