//! Event identifiers: sortable by time, unguessable enough to quote in a response.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// 48 bits of milliseconds and 80 random bits (the layout of a ULID), written as 26 characters of Crockford base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl EventId {
    /// Builds an identifier from the moment and 80 bits of `random` (the upper bits are ignored).
    #[must_use]
    pub fn new(at: Timestamp, random: u128) -> Self {
        EventId((u128::from(at.millis()) << 80) | (random & ((1 << 80) - 1)))
    }

    /// The moment encoded in the identifier, to the millisecond.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp(u64::try_from(self.0 >> 80).unwrap_or(0).saturating_mul(1_000))
    }

    /// The 26 characters, without allocating.
    #[must_use]
    pub fn encode(self) -> [u8; 26] {
        let mut text = [b'0'; 26];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            let digit = usize::try_from(rest & 31).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.encode();
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEventId;

impl fmt::Display for NotAnEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an event id: expected 26 characters of 0-9 and A-Z without I, L, O, U")
    }
}

impl std::error::Error for NotAnEventId {}

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 26 {
            return Err(NotAnEventId);
        }
        let mut value: u128 = 0;
        for byte in text.bytes() {
            let upper = byte.to_ascii_uppercase();
            let digit = ALPHABET.iter().position(|&c| c == upper).ok_or(NotAnEventId)?;
            let digit = u128::try_from(digit).map_err(|_| NotAnEventId)?;
            value = value.checked_mul(32).and_then(|v| v.checked_add(digit)).ok_or(NotAnEventId)?;
        }
        Ok(EventId(value))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_are_the_same_id() {
        let id = EventId::new(Timestamp(1_763_000_000_123_000), 0xdead_beef_0123_4567_89ab);
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse::<EventId>(), Ok(id));
        assert_eq!(text.to_lowercase().parse::<EventId>(), Ok(id));
        assert_eq!(id.timestamp(), Timestamp(1_763_000_000_123_000));
        assert!("ILOU".parse::<EventId>().is_err());
        assert!("ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<EventId>().is_err());
    }
}
