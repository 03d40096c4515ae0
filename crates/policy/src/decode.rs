//! From a tree to typed settings, reporting every error at once: a wrong value is reported, cut out, and the rest tried again.

use std::{collections::HashSet, fmt};

use bartizan_contract::tree::{Node, Scalar, Span, Value};
use bartizan_model::Diagnostic;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};

use crate::{source::Sources, suggest};

/// Errors reported for one section; more are rarely of use.
const MAX_FAULTS: usize = 64;

/// Reads `T` from `node`. What is wrong is reported and removed from `node`; `None` when nothing useful is left.
pub(crate) fn decode<T: DeserializeOwned>(
    node: &mut Node,
    path: &str,
    sources: &Sources,
    report: &mut Vec<Diagnostic>,
) -> Option<T> {
    let mut removed = HashSet::new();
    for _ in 0..MAX_FAULTS {
        let mut fault = match T::deserialize(Tree(node)) {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        fault.path.reverse();
        let follow_up = fault.missing.is_some_and(|field| {
            let mut steps = fault.path.clone();
            steps.push(Step::Key(field.to_owned()));
            removed.contains(&steps)
        });
        if !follow_up {
            report.push(fault.diagnostic(node, path, sources));
        }
        if fault.meant.is_some_and(|meant| rename(node, &fault.path, meant)) {
            continue;
        }
        if fault.path.is_empty() || !prune(node, &fault.path) {
            return None;
        }
        if let (Some(meant), Some((_, parent))) = (fault.meant, fault.path.split_last()) {
            let mut steps = parent.to_vec();
            steps.push(Step::Key(meant.to_owned()));
            removed.insert(steps);
        }
        removed.insert(fault.path);
    }
    None
}

/// Reads a misspelt key as the one that was meant, so that what belongs to it is not missed. Not where that one is written.
fn rename(node: &mut Node, path: &[Step], meant: &str) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match (first, &mut node.value) {
        (Step::Key(key), Value::Map(entries)) => {
            if rest.is_empty() && entries.iter().any(|entry| entry.key == meant) {
                return false;
            }
            let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) else { return false };
            if rest.is_empty() {
                meant.clone_into(&mut entry.key);
                return true;
            }
            rename(&mut entry.value, rest, meant)
        }
        (Step::Index(index), Value::List(items)) => {
            items.get_mut(*index).is_some_and(|item| rename(item, rest, meant))
        }
        _ => false,
    }
}

/// Removes the value at `path`.
fn prune(node: &mut Node, path: &[Step]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match (first, &mut node.value) {
        (Step::Key(key), Value::Map(entries)) => {
            let Some(index) = entries.iter().position(|entry| entry.key == *key) else { return false };
            if rest.is_empty() {
                entries.remove(index);
                return true;
            }
            entries.get_mut(index).is_some_and(|entry| prune(&mut entry.value, rest))
        }
        (Step::Index(index), Value::List(items)) => {
            if rest.is_empty() {
                if *index >= items.len() {
                    return false;
                }
                items.remove(*index);
                return true;
            }
            items.get_mut(*index).is_some_and(|item| prune(item, rest))
        }
        _ => false,
    }
}

/// One step into a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Writes steps as a path: `apis[0].upstream`.
pub(crate) fn path_text(base: &str, steps: &[Step]) -> String {
    let mut text = base.to_owned();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

const NEEDS_SETTINGS: &str = "a name alone is not enough here";

/// Why a value could not be read.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Innermost step first until `decode` turns it round.
    path: Vec<Step>,
    span: Option<Span>,
    message: String,
    help: Option<String>,
    missing: Option<&'static str>,
    /// The known key that an unknown one was probably meant to be.
    meant: Option<&'static str>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Fault {
            path: Vec::new(),
            span: None,
            message: message.into(),
            help: None,
            missing: None,
            meant: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A name alone, where its settings belong to it.
    fn needing(mut self, name: &str) -> Self {
        if self.message == NEEDS_SETTINGS {
            self.message = format!("`{name}` needs settings of its own");
            self.help = Some(format!("write `{{ {name}: .. }}`"));
        }
        self
    }

    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    fn diagnostic(&self, node: &Node, base: &str, sources: &Sources) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(path_text(base, &self.path), self.message.clone());
        diagnostic.help.clone_from(&self.help);
        diagnostic.place = sources.place(self.span.unwrap_or(node.span));
        diagnostic
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Splits `what; how to do it right` as typed scalars write it.
fn split_remedy(text: &str) -> Fault {
    match text.split_once("; ") {
        Some((message, help)) => Fault::new(message).help(help),
        None => Fault::new(text),
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        split_remedy(&message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Str(_) => "text",
            de::Unexpected::Bool(_) => "a boolean",
            de::Unexpected::Unit | de::Unexpected::Option => "nothing",
            de::Unexpected::UnitVariant => return Fault::new(NEEDS_SETTINGS),
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map | de::Unexpected::StructVariant => "a map",
            de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) => "a number",
            _ => "something else",
        };
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
            other => other,
        };
        Fault::new(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let number = match found {
            de::Unexpected::Signed(number) => number.to_string(),
            de::Unexpected::Unsigned(number) => number.to_string(),
            de::Unexpected::Float(number) => number.to_string(),
            _ => return Fault::new(format!("this value does not fit: expected {expected}")),
        };
        let fault = Fault::new(format!("`{number}` does not fit here"));
        match expected.to_string().as_str() {
            "u16" => fault.help("write a whole number from 0 to 65535"),
            "u32" => fault.help("write a whole number from 0 to 4294967295"),
            "u64" | "usize" => fault.help("write a whole number that is not negative"),
            other => fault.help(format!("write {other}")),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        suggest::unknown_value(variant, expected).into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut fault = Fault::from(suggest::unknown_key(field, expected));
        fault.meant = suggest::closest(field, expected);
        fault
    }

    fn missing_field(field: &'static str) -> Self {
        let mut fault = Fault::new(format!("`{field}` is missing here")).help(format!("add `{field}:`"));
        fault.missing = Some(field);
        fault
    }
}

impl From<(String, String)> for Fault {
    fn from((message, help): (String, String)) -> Self {
        Fault::new(message).help(help)
    }
}

fn expected(what: &str, node: &Node) -> Fault {
    Fault::new(format!("expected {what}, found {}", node.kind())).at(node.span)
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.scalar() {
                Some(Scalar::Integer(value)) => visitor.visit_i64(value),
                Some(Scalar::Unsigned(value)) => visitor.visit_u64(value),
                Some(Scalar::Float(value)) => visitor.visit_f64(value),
                _ => Err(expected("a number", &self)),
            }
            .map_err(|fault: Fault| fault.at(self.span))
        })*
    };
}

struct Tree<'de>(&'de Node);

impl std::ops::Deref for Tree<'_> {
    type Target = Node;
    fn deref(&self) -> &Node {
        self.0
    }
}

impl<'de> de::Deserializer<'de> for Tree<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let span = self.span;
        match (&self.0.value, self.0.scalar()) {
            (Value::List(_), _) => return self.deserialize_seq(visitor),
            (Value::Map(_), _) => return self.deserialize_map(visitor),
            (_, None | Some(Scalar::Null)) => visitor.visit_unit(),
            (_, Some(Scalar::Bool(value))) => visitor.visit_bool(value),
            (_, Some(Scalar::Integer(value))) => visitor.visit_i64(value),
            (_, Some(Scalar::Unsigned(value))) => visitor.visit_u64(value),
            (_, Some(Scalar::Float(value))) => visitor.visit_f64(value),
            (_, Some(Scalar::Text(text))) => visitor.visit_borrowed_str(text),
        }
        .map_err(|fault: Fault| fault.at(span))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.as_bool() {
            Some(value) => visitor.visit_bool(value),
            None => Err(expected("`true` or `false`", &self)),
        }
    }

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
    deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let span = self.span;
        match self.0.as_str() {
            Some(text) => visitor.visit_borrowed_str(text).map_err(|fault: Fault| fault.at(span)),
            None => Err(expected("text", &self)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_null() { visitor.visit_unit() } else { Err(expected("nothing", &self)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// A key without a value (all of it commented out, say) is an empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self.value, Value::List(_)) && !self.is_null() {
            return Err(expected("a list", &self).help("write `[a, b]`, or one `- item` on each line"));
        }
        let span = self.span;
        visitor.visit_seq(Items { items: self.0.items(), next: 0 }).map_err(|fault: Fault| fault.at(span))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    /// A key without a value is an empty map.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self.value, Value::Map(_)) && !self.is_null() {
            return Err(
                expected("a map", &self).help("write `{ key: value }`, or one `key: value` on each line")
            );
        }
        let span = self.span;
        visitor.visit_map(Entries { node: self.0, next: 0 }).map_err(|fault: Fault| fault.at(span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if !matches!(self.value, Value::Map(_)) && !self.is_null() {
            return Err(expected("a map of settings", &self).help(format!("its keys are {}", listed(fields))));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let span = self.span;
        if let Some(text) = self.0.as_str() {
            let variant: de::value::StrDeserializer<'_, Fault> = text.into_deserializer();
            return visitor.visit_enum(variant).map_err(|fault: Fault| fault.needing(text).at(span));
        }
        match self.0.entries() {
            [entry] => {
                let variant = Variant { key: &entry.key, key_span: entry.key_span, value: &entry.value };
                visitor.visit_enum(variant).map_err(|fault: Fault| fault.at(span))
            }
            _ => Err(expected(&format!("one of {}", listed(variants)), &self)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 }
}

struct Items<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Tree(item)).map(Some).map_err(|fault| fault.at(item.span).under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len().saturating_sub(self.next))
    }
}

struct Entries<'de> {
    node: &'de Node,
    next: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.node.entries().get(self.next) else { return Ok(None) };
        let key: de::value::BorrowedStrDeserializer<'de, Fault> =
            de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault: Fault| fault.at(entry.key_span).under(Step::Key(entry.key.clone())))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.node.entries().get(self.next) else {
            return Err(Fault::new("a key has no value"));
        };
        self.next += 1;
        let place = if entry.value.is_null() { entry.key_span } else { entry.value.span };
        seed.deserialize(Tree(&entry.value))
            .map_err(|fault| fault.at(place).under(Step::Key(entry.key.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.node.entries().len().saturating_sub(self.next))
    }
}

/// `{ variant: content }`.
struct Variant<'de> {
    key: &'de str,
    key_span: Span,
    value: &'de Node,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Content<'de>;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de>), Fault> {
        let key: de::value::BorrowedStrDeserializer<'de, Fault> =
            de::value::BorrowedStrDeserializer::new(self.key);
        let variant = seed.deserialize(key).map_err(|fault: Fault| fault.at(self.key_span))?;
        Ok((variant, Content { key: self.key, value: self.value }))
    }
}

struct Content<'de> {
    key: &'de str,
    value: &'de Node,
}

impl<'de> Content<'de> {
    fn inside<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.at(self.value.span).under(Step::Key(self.key.to_owned())))
    }
}

impl<'de> de::VariantAccess<'de> for Content<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        if self.value.is_null() {
            return Ok(());
        }
        Err(Fault::new(format!("`{}` takes no settings", self.key))
            .help("write its name alone")
            .at(self.value.span))
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let result = seed.deserialize(Tree(self.value));
        self.inside(result)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        let result = de::Deserializer::deserialize_seq(Tree(self.value), visitor);
        self.inside(result)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = de::Deserializer::deserialize_struct(Tree(self.value), "", fields, visitor);
        self.inside(result)
    }
}
