//! The settings of `ownership`.

use std::{collections::BTreeMap, fmt};

use bartizan_model::{ByteSize, Period};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, MapAccess, Visitor},
};

/// The rules by operation, `GET /accounts/{id}`, and the settings that they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What all rules share.
    pub shared: Settings,
    /// Rules by operation.
    pub operations: BTreeMap<String, Entry>,
}

/// Settings beside the rules.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The rule of the operation in whose block it stands, or of every operation of the API: a predicate, or a list of
    /// which all must hold. At the level of the API rules are written by operation, as `GET /accounts/{id}: ..`.
    pub rule: Option<Rule>,
    /// What becomes of an answer that cannot be decided: `deny` or `allow`; both tell. Default: `deny`.
    pub undecided: Undecided,
    /// How a refusal looks: 404, the same as for an object that does not exist, or 403. Default: 404.
    pub answer: RefusedAs,
    /// What becomes of a list with foreign records: `refuse` it, or `filter` them out of it. Default: `refuse`.
    pub on_foreign: OnForeign,
    /// Bytes of an answer that are read before its first byte is sent; a longer one cannot be decided. Default: `1MiB`.
    pub max_response: ByteSize,
    /// The same parameter in path, query and body.
    pub parameters: Parameters,
    /// Callers that ask for one object after the other.
    pub enumeration: Enumeration,
    /// Whether events keep tokens of the ids in paths, claims and answers, so that `bartizan ownership suggest` finds which
    /// of them are equal; no value can be read from a token. Default: no.
    pub learn: bool,
}

/// A predicate, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a predicate such as `response.ownerId == principal.sub`, or a list of them"
)]
pub enum Rule {
    /// One.
    One(String),
    /// All of them must hold.
    All(Vec<String>),
}

/// What stands at an operation: its rule, or the rule with settings of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a predicate such as `response.ownerId == principal.sub`, a list of them, or a map with `rule`"
)]
pub enum Entry {
    /// A predicate.
    One(String),
    /// Predicates, of which all must hold.
    All(Vec<String>),
    /// A rule with settings.
    Own(Own),
}

/// A rule with settings of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// A predicate, or a list of which all must hold.
    pub rule: Rule,
    /// As above, for this operation.
    #[serde(default)]
    pub undecided: Option<Undecided>,
    /// As above, for this operation.
    #[serde(default)]
    pub answer: Option<RefusedAs>,
    /// As above, for this operation.
    #[serde(default)]
    pub on_foreign: Option<OnForeign>,
    /// As above, for this operation.
    #[serde(default)]
    pub max_response: Option<ByteSize>,
}

/// What becomes of an answer that cannot be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undecided {
    /// It is withheld.
    #[default]
    Deny,
    /// It passes, with a finding.
    Allow,
}

/// How a refusal looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusedAs {
    /// 404: nothing tells whether the object exists.
    #[default]
    NotFound,
    /// 403: it exists, and belongs to somebody else.
    Forbidden,
}

impl<'de> Deserialize<'de> for RefusedAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            404 => Ok(RefusedAs::NotFound),
            403 => Ok(RefusedAs::Forbidden),
            other => Err(de::Error::custom(format!(
                "{other} is not how a foreign object is refused; write 404, which hides that it exists, or 403"
            ))),
        }
    }
}

impl JsonSchema for RefusedAs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RefusedAs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "integer", "enum": [403, 404] })
    }
}

/// What becomes of a list with foreign records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnForeign {
    /// The answer is withheld.
    #[default]
    Refuse,
    /// Foreign records are taken out.
    Filter,
}

/// The same parameter in path, query and body, or twice in one of them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Whether names that say of themselves that they are ids (`id`, `accountId`, `user_id`, `uuid`) may have one value
    /// only. Default: yes.
    pub ids: bool,
    /// Values that must be the same where more than one of them is there: `[[path.id, request.body.accountId]]`.
    pub same: Vec<Vec<String>>,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters { ids: true, same: Vec::new() }
    }
}

/// When a caller that asks for one object after the other is told of, and what becomes of it. Callers are principals, and
/// addresses where nobody is identified.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Enumeration {
    /// Different objects of others, asked for within `window`. 0 does not count them. Default: 3.
    pub foreign: u32,
    /// Objects that are foreign or missing, with ids one after the other. 0 does not count them. Default: 5.
    pub sequence: u32,
    /// How seldom a caller is suspected whose share of missing and refused objects is that of all others: once in so many.
    /// 0 does not test. Default: 10000.
    pub confidence: u32,
    /// How long counters remember. Default: `1h`.
    pub window: Period,
    /// What becomes of the caller: `finding` tells, `refuse` also answers 429 on these operations for `refuse_for`.
    /// Default: `finding`.
    pub action: Action,
    /// How long `refuse` holds. Default: `10m`.
    pub refuse_for: Period,
}

impl Default for Enumeration {
    fn default() -> Self {
        let minutes = |n: u64| Period(std::time::Duration::from_secs(60 * n));
        Enumeration {
            foreign: 3,
            sequence: 5,
            confidence: 10_000,
            window: minutes(60),
            action: Action::Finding,
            refuse_for: minutes(10),
        }
    }
}

/// What becomes of a caller that enumerates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is told.
    #[default]
    Finding,
    /// It is told, and refused for a time.
    Refuse,
    /// Nothing is counted.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rule: None,
            undecided: Undecided::default(),
            answer: RefusedAs::default(),
            on_foreign: OnForeign::default(),
            max_response: ByteSize(1 << 20),
            parameters: Parameters::default(),
            enumeration: Enumeration::default(),
            learn: false,
        }
    }
}

impl Rule {
    /// The predicates with their path below the rule: `[1]`, or nothing for one alone.
    pub(super) fn predicates(&self) -> Vec<(String, &str)> {
        match self {
            Rule::One(text) => vec![(String::new(), text)],
            Rule::All(texts) => {
                texts.iter().enumerate().map(|(at, text)| (format!("[{at}]"), text.as_str())).collect()
            }
        }
    }
}

impl From<Entry> for Own {
    fn from(entry: Entry) -> Own {
        let rule = match entry {
            Entry::One(text) => Rule::One(text),
            Entry::All(texts) => Rule::All(texts),
            Entry::Own(own) => return own,
        };
        Own { rule, undecided: None, answer: None, on_foreign: None, max_response: None }
    }
}

/// Whether a key of the block names an operation: a method, a space and a path.
fn names_operation(key: &str) -> bool {
    key.contains([' ', '/'])
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Block;
        impl<'de> Visitor<'de> for Block {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of rules by operation, such as `GET /accounts/{id}: response.ownerId == principal.sub`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Config, A::Error> {
                let mut operations = BTreeMap::new();
                let settings = Others { map, operations: &mut operations };
                let shared = Settings::deserialize(de::value::MapAccessDeserializer::new(settings))?;
                Ok(Config { shared, operations })
            }
        }
        deserializer.deserialize_map(Block)
    }
}

/// Shows the settings of a block, and keeps the rules by operation.
struct Others<'o, A> {
    map: A,
    operations: &'o mut BTreeMap<String, Entry>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if !names_operation(&key) {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            let entry = self.map.next_value()?;
            self.operations.insert(key, entry);
        }
        Ok(None)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl JsonSchema for Config {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ownership".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Settings::json_schema(generator);
        let entry = generator.subschema_for::<Entry>();
        let described = "The rules by operation, `GET /accounts/{id}`, and the settings that they share.";
        schema.insert("description".to_owned(), described.into());
        schema.insert("patternProperties".to_owned(), serde_json::json!({ "[ /]": entry }));
        schema
    }
}
