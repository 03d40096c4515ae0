//! JSON as JOSE demands it: one object, no member twice (RFC 7515 section 4, RFC 7519 section 4).

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not acceptable as a header or a claims set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnObject {
    /// Not JSON, not an object, or followed by something else.
    Malformed,
    /// Some object in it names a member twice.
    Duplicate,
}

/// The members of one object as they came, text borrowed from it where nothing is escaped: what is read of a token and mostly
/// thrown away again.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'t>(Vec<(Cow<'t, str>, Member<'t>)>);

/// The value of a member.
#[derive(Clone, Debug)]
pub(super) enum Member<'t> {
    Text(Cow<'t, str>),
    /// Anything but a text.
    Other(Value),
}

/// Members that are compared one by one; the names of more are hashed, so that no object takes more than linear time.
const FEW: usize = 32;

/// Reads one JSON object. Depth is limited to 128 by the parser, size by the caller.
pub(super) fn members(bytes: &[u8]) -> Result<Members<'_>, NotAnObject> {
    serde_json::from_slice(bytes).map_err(|error| reason(&error))
}

impl<'t> Members<'t> {
    pub(super) fn get(&self, name: &str) -> Option<&Member<'t>> {
        self.0.iter().find(|(known, _)| *known == *name).map(|(_, member)| member)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Member::as_str)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Member<'t>> {
        let at = self.0.iter().position(|(known, _)| *known == *name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.0.iter().map(|(name, member)| (name.clone().into_owned(), member.clone().into_value())).collect()
    }
}

impl<'t> IntoIterator for Members<'t> {
    type Item = (Cow<'t, str>, Member<'t>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Map<String, Value>> for Members<'_> {
    fn from(map: Map<String, Value>) -> Self {
        let member = |value| match value {
            Value::String(text) => Member::Text(Cow::Owned(text)),
            other => Member::Other(other),
        };
        Members(map.into_iter().map(|(name, value)| (Cow::Owned(name), member(value))).collect())
    }
}

impl Member<'_> {
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Member::Text(text) => Some(text),
            Member::Other(_) => None,
        }
    }

    /// What it is, unless it is a text.
    pub(super) fn other(&self) -> Option<&Value> {
        match self {
            Member::Text(_) => None,
            Member::Other(value) => Some(value),
        }
    }

    /// Whether it is this.
    pub(super) fn is(&self, value: &Value) -> bool {
        match self {
            Member::Text(text) => value.as_str() == Some(text),
            Member::Other(other) => other == value,
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Member::Text(text) => Value::String(text.into_owned()),
            Member::Other(value) => value,
        }
    }
}

/// Reads one JSON object as a map, for what looks at it from many sides. Depth is limited to 128 by the parser, size by the
/// caller.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err(NotAnObject::Malformed),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &serde_json::Error) -> NotAnObject {
    if error.to_string().starts_with(DUPLICATE) { NotAnObject::Duplicate } else { NotAnObject::Malformed }
}

const DUPLICATE: &str = "duplicate member";

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members(Vec::with_capacity(12));
        let mut many: Option<HashSet<Cow<'de, str>>> = None;
        while let Some(Name(name)) = entries.next_key()? {
            let member = entries.next_value()?;
            if members.0.len() == FEW {
                many = Some(members.0.iter().map(|(name, _)| name.clone()).collect());
            }
            let twice = match &mut many {
                Some(names) => !names.insert(name.clone()),
                None => members.has(&name),
            };
            if twice {
                return Err(A::Error::custom(DUPLICATE));
            }
            members.0.push((name, member));
        }
        Ok(members)
    }
}

/// The name of a member.
struct Name<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor).map(Name)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Member<'de>, E> {
        StrictVisitor.visit_bool(value).map(Member::Other)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Member<'de>, E> {
        StrictVisitor.visit_i64(value).map(Member::Other)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Member<'de>, E> {
        StrictVisitor.visit_u64(value).map(Member::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Member<'de>, E> {
        StrictVisitor.visit_f64(value).map(Member::Other)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Member<'de>, E> {
        StrictVisitor.visit_unit().map(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Member<'de>, A::Error> {
        StrictVisitor.visit_seq(items).map(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Member<'de>, A::Error> {
        StrictVisitor.visit_map(entries).map(Member::Other)
    }
}

/// A JSON value none of whose objects names a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    /// Both ways to read say the same.
    fn read(bytes: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
        let map = object(bytes);
        assert_eq!(members(bytes).map(|members| members.to_map()), map);
        map
    }

    #[test]
    fn members_are_what_they_were_in_the_text() {
        let text =
            r#"{"a":"x","b":"\u00e9","c":1.5,"d":[null,true],"\u0065":{"f":-1},"g":18446744073709551615}"#;
        let map = read(text.as_bytes()).unwrap();
        assert_eq!(Value::Object(map.clone()), serde_json::from_str::<Value>(text).unwrap());
        let mut members = members(text.as_bytes()).unwrap();
        assert_eq!((members.text("a"), members.text("b"), members.text("c")), (Some("x"), Some("é"), None));
        assert!(members.has("e") && !members.has("f") && members.get("c").unwrap().is(&map["c"]));
        assert_eq!(members.remove("e").map(Member::into_value), Some(map["e"].clone()));
        assert!(members.remove("e").is_none());
        assert_eq!(Members::from(map.clone()).to_map(), map);
    }

    #[test]
    fn many_members_are_told_apart_in_linear_time() {
        let member = |number: usize| format!("\"n{number}\":{number}");
        let all: Vec<String> = (0..20_000).map(member).collect();
        let begun = std::time::Instant::now();
        assert_eq!(read(format!("{{{}}}", all.join(",")).as_bytes()).map(|map| map.len()), Ok(20_000));
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        for twice in [0, FEW - 1, FEW, FEW + 1, 19_999] {
            let text = format!("{{{},{}}}", all.join(","), member(twice));
            assert_eq!(read(text.as_bytes()), Err(NotAnObject::Duplicate), "{twice}");
        }
    }

    #[test]
    fn duplicates_are_refused_at_every_depth() {
        assert!(read(br#"{"a":1,"b":{"c":[{"d":null}]}}"#).is_ok());
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#] {
            assert_eq!(read(text.as_bytes()), Err(NotAnObject::Duplicate), "{text}");
        }
    }

    #[test]
    fn only_one_whole_object_is_read() {
        for text in
            ["", "[]", "1", "\"a\"", "null", "{} {}", "{}x", "{", "{\"a\":NaN}", "{\"a\":1e999}", "{'a':1}"]
        {
            assert_eq!(read(text.as_bytes()), Err(NotAnObject::Malformed), "{text}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(NotAnObject::Malformed));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read(deep.as_bytes()), Err(NotAnObject::Malformed));
    }
}
