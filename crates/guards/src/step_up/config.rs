//! The settings of the `step_up` block.

use std::{borrow::Cow, fmt, str::FromStr};

use bartizan_model::Period;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What a caller has to show beyond its credential.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Context classes of which a token's `acr` must be one: a name or a list. Default: any.
    pub acr: Names,
    /// Methods that a token's `amr` must all hold: a name or a list. Default: where `acr` and `max_age` are absent, too,
    /// any method beyond a password (`mfa`, `otp`, `hwk`, ..).
    pub amr: Names,
    /// How long ago the subject may have been authenticated: the token's `auth_time`, or the last code of a key holder.
    /// Default: any time.
    pub max_age: Option<Period>,
    /// What holders of API keys show: `totp` (the default), a code in `X-Bartizan-TOTP`, or `none`: they cannot call.
    pub factor: Factor,
    /// How long one code of a key holder holds for the same key from the same client. Default: for its request only.
    pub valid_for: Option<Period>,
    /// Only where this holds, such as `risk >= 40`: the risk that `session` finds in how a credential is used. Default:
    /// always.
    pub when: Option<When>,
}

/// What holders of API keys show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// A time-based one-time password.
    #[default]
    Totp,
    /// Nothing suffices.
    None,
}

/// A name, or a list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> de::Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or a list of names")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names(vec![name.to_owned()]))
    }

    fn visit_u64<E: de::Error>(self, name: u64) -> Result<Names, E> {
        Ok(Names(vec![name.to_string()]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(Names(name)) = list.next_element::<Names>()? {
            names.extend(name);
        }
        Ok(Names(names))
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Names")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer", "array"],
            "items": { "type": ["string", "integer"] },
            "description": "a name, or a list of names",
        })
    }
}

/// `risk >= N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// The least risk at which the demand holds.
    pub risk: u8,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a condition; write `risk >= 40`, from 1 to 100");
        let words: String = text.split_whitespace().collect();
        let (number, more) = match words.strip_prefix("risk>=") {
            Some(number) => (number, 0),
            None => (words.strip_prefix("risk>").ok_or_else(wrong)?, 1),
        };
        let risk = number.parse::<u8>().ok().and_then(|risk| risk.checked_add(more)).ok_or_else(wrong)?;
        if (1..=100).contains(&risk) { Ok(When { risk }) } else { Err(wrong()) }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for When {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("When")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*risk\s*>=?\s*[0-9]{1,3}\s*$", "description": "`risk >= 40`" })
    }
}
