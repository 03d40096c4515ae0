//! Typed scalars of the policy language. A wrong one is an error with the allowed form.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A positive whole number and the rest of the text.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

macro_rules! text_type {
    ($name:ident, $pattern:literal, $about:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

/// A duration: `250ms`, `5s`, `15m`, `12h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration; write a whole number and a unit: `250ms`, `5s`, `15m`, `12h` or `30d`"
            )
        };
        let (number, unit) = leading_number(text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(millis).map(|ms| Period(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if ms > 0 && ms.is_multiple_of(size) {
                return write!(f, "{}{unit}", ms / size);
            }
        }
        write!(f, "{ms}ms")
    }
}

text_type!(Period, r"^[0-9]+(ms|s|m|h|d)$", "a duration: `250ms`, `5s`, `15m`, `12h`, `30d`");

/// A rate: `20/s`, `5/m`, `1000/h`, `10000/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units per period, at least 1.
    pub count: u32,
    /// The period.
    pub period: Duration,
}

impl Rate {
    /// The time that one unit costs, in nanoseconds, at least 1.
    #[must_use]
    pub fn interval_ns(self) -> u64 {
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        (period / u64::from(self.count.max(1))).max(1)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a rate; write a count and a period: `20/s`, `5/m`, `1000/h` or `10000/d`"
            )
        };
        let (number, rest) = leading_number(text).ok_or_else(wrong)?;
        let seconds = match rest {
            "/s" => 1,
            "/m" => 60,
            "/h" => 3_600,
            "/d" => 86_400,
            _ => return Err(wrong()),
        };
        let count = u32::try_from(number).ok().filter(|&n| n > 0).ok_or_else(wrong)?;
        Ok(Rate { count, period: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period.as_secs() {
            1 => "s",
            60 => "m",
            3_600 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

text_type!(Rate, r"^[1-9][0-9]*/(s|m|h|d)$", "a rate: `20/s`, `5/m`, `1000/h`, `10000/d`");

/// A size in bytes: `512B`, `64KiB`, `10MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size; write a whole number and a unit: `512B`, `64KiB`, `10MiB` or `2GiB`"
            )
        };
        let (number, unit) = leading_number(text).ok_or_else(wrong)?;
        let factor: u64 = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

text_type!(ByteSize, r"^[0-9]+(B|KiB|MiB|GiB)$", "a size: `512B`, `64KiB`, `10MiB`, `2GiB`");

/// A reference to a file, `file:certs/api.pem`, relative to the document that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileReference(pub String);

impl FromStr for FileReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(FileReference(path.to_owned())),
            _ if looks_like_path(text) => {
                Err(format!("`{text}` is not a file reference; write `file:{text}`"))
            }
            // What is no path may be the secret itself, which is not repeated.
            _ => Err("this is not a file reference; write `file:` and a path, such as `file:certs/api.pem`"
                .to_owned()),
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    let suffix = text.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    text.len() <= 128 && text.bytes().all(plain) && (1..=5).contains(&suffix.len()) && !suffix.contains('/')
}

impl fmt::Display for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.0)
    }
}

text_type!(FileReference, r"^file:.+$", "a file: `file:certs/api.pem`, relative to this document");

/// A reference to a secret: `env:NAME` or `file:path`. A literal secret is an error, and is never repeated in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretReference {
    /// An environment variable.
    Env(String),
    /// A file, its trailing line break removed.
    File(String),
}

impl FromStr for SecretReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretReference::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretReference::File(path.to_owned())),
            _ => Err("a secret is never written in the policy; write `env:NAME` or `file:path/to/secret`"
                .to_owned()),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretReference::Env(name) => write!(f, "env:{name}"),
            SecretReference::File(path) => write!(f, "file:{path}"),
        }
    }
}

text_type!(SecretReference, r"^(env|file):.+$", "a secret by reference: `env:NAME` or `file:path`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_and_write_the_same_text() {
        for text in ["250ms", "5s", "15m", "12h", "30d"] {
            assert_eq!(text.parse::<Period>().map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for text in ["20/s", "5/m", "1000/h", "7/d"] {
            assert_eq!(text.parse::<Rate>().map(|r| r.to_string()), Ok(text.to_owned()));
        }
        for text in ["512B", "64KiB", "10MiB", "2GiB"] {
            assert_eq!(text.parse::<ByteSize>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn wrong_units_name_the_allowed_form() {
        for text in ["5", "5 s", "s", "-5s", "5sec", "99999999999999999999s"] {
            assert!(text.parse::<Period>().is_err_and(|e| e.contains("`5s`")), "{text}");
        }
        for text in ["0/s", "20", "20/week", "/s"] {
            assert!(text.parse::<Rate>().is_err_and(|e| e.contains("`20/s`")), "{text}");
        }
        assert!("64KB".parse::<ByteSize>().is_err());
        let error = "hunter2".parse::<SecretReference>().err().unwrap_or_default();
        assert!(error.contains("env:NAME") && !error.contains("hunter2"));
    }
}
