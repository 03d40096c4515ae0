//! How long something takes, as commands are told it: minutes, also parts of them.

use std::{str::FromStr, time::Duration};

/// A number of minutes: above 0, at most a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minutes(pub Duration);

/// The minutes of a year.
const YEAR: f64 = 525_600.0;

impl FromStr for Minutes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(minutes) if minutes > 0.0 && minutes <= YEAR => {
                Ok(Minutes(Duration::from_secs_f64(minutes * 60.0)))
            }
            _ => Err("write a number of minutes above 0 and at most 525600, such as `5` or `0.5`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_minutes_are_understood_and_nonsense_is_not() {
        assert_eq!("0.5".parse(), Ok(Minutes(Duration::from_secs(30))));
        assert_eq!("43200".parse(), Ok(Minutes(Duration::from_secs(30 * 86_400))));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "5m", ""] {
            assert!(wrong.parse::<Minutes>().is_err(), "{wrong}");
        }
    }
}
