//! The clock of a policy: the moment of a request as hour, weekday and date at a fixed offset from UTC.

use bartizan_model::Timestamp;
use time::{OffsetDateTime, UtcOffset};

/// A fixed offset from UTC, `+02:00`. Summer time is not followed: a policy that needs it names both hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(UtcOffset);

/// A moment as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 1 for Monday to 7 for Sunday (ISO 8601).
    pub weekday: i64,
    /// `2026-11-22`.
    pub date: String,
    /// Seconds since 1970 in UTC.
    pub epoch: i64,
}

impl Default for Zone {
    fn default() -> Self {
        Zone(UtcOffset::UTC)
    }
}

impl std::str::FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an offset from UTC; write `+02:00`, `-05:30` or `Z`");
        if matches!(text, "Z" | "z" | "UTC") {
            return Ok(Zone::default());
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
        let number = |text: &str, most: i8| {
            let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i8>().ok().filter(|number| plain && *number <= most).ok_or_else(wrong)
        };
        let (hours, minutes) = (number(hours, 14)?, number(minutes, 59)?);
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).map(Zone).map_err(|_| wrong())
    }
}

impl Zone {
    /// The moment at this offset.
    #[must_use]
    pub fn moment(self, time: Timestamp) -> Moment {
        let epoch = i64::try_from(time.0 / 1_000_000).unwrap_or(0);
        let local = OffsetDateTime::from_unix_timestamp(epoch)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .to_offset(self.0);
        Moment {
            hour: local.hour().into(),
            minute: local.minute().into(),
            weekday: local.weekday().number_from_monday().into(),
            date: format!("{:04}-{:02}-{:02}", local.year(), u8::from(local.month()), local.day()),
            epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn the_offset_moves_hour_and_date() {
        let time = Timestamp::from_seconds(1_774_740_600); // Saturday 2026-03-28 23:30 UTC
        let utc = Zone::default().moment(time);
        assert_eq!((utc.hour, utc.minute, utc.weekday, utc.date.as_str()), (23, 30, 6, "2026-03-28"));
        let east = "+02:00".parse::<Zone>().unwrap().moment(time);
        assert_eq!((east.hour, east.weekday, east.date.as_str()), (1, 7, "2026-03-29"));
        let west = "-05:30".parse::<Zone>().unwrap().moment(time);
        assert_eq!((west.hour, west.minute, west.epoch), (18, 0, utc.epoch));
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in ["", "2", "+2:00", "+24:00", "CET", "+02:60", "+0200", "++1:00"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }
}
