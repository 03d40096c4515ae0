//! What schemas say beside validity: which members they name, which only one side may write, and what a text can hold.
//!
//! `jsonschema` answers whether a value fits. It does not say which members no schema has ever named, which of them are
//! `readOnly`, or that a text of some format can hold no quote. A [`Shape`] is the union of all schemas that may apply at
//! one place, through `$ref`, `allOf`, `anyOf`, `oneOf`, `if` and dependent schemas; one walk over a value with its shape
//! answers all of these. What alternatives name counts as named; what is proved has to hold in every alternative.

mod alphabet;
mod build;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashMap;

use bartizan_pattern::alphabet::Bound;
use regex::Regex;

pub use alphabet::{Proof, ProofClass};
pub use build::Builder;
pub use walk::{Direction, Noticed, Walk};

/// Shapes of one contract; more make a contract that refers to itself in ways that nobody wrote by hand.
const MAX_SHAPES: usize = 200_000;

/// The number of a shape in its [`Shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(u32);

/// What a value may be at one place.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The types that its schemas leave.
    pub types: Types,
    /// Members by name.
    pub(crate) named: HashMap<Box<str>, ShapeId, ahash::RandomState>,
    /// Members by pattern.
    pub(crate) patterns: Vec<(Regex, ShapeId)>,
    /// All other members.
    pub(crate) rest: Rest,
    /// The first items, each with a shape of its own.
    pub(crate) first_items: Vec<ShapeId>,
    /// All other items.
    pub(crate) items: Option<ShapeId>,
    /// Only the API writes it.
    pub read_only: bool,
    /// Only clients write it.
    pub write_only: bool,
    /// What a text of it can hold.
    pub proof: Option<Proof>,
    /// Its content is bytes (`format: binary`, or a media type without an encoding), not text.
    pub binary: bool,
    /// How XML writes it.
    pub xml: Option<Box<Xml>>,
    /// What the JSON document holds that its text is (`contentSchema`).
    pub content: Option<ShapeId>,
}

/// What is known of members that nothing names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rest {
    /// No schema names any member, so that every one may be there.
    #[default]
    Free,
    /// Schemas name members, and do not say whether there may be others.
    Undeclared,
    /// A schema says that there may be others, and what these are where it says that, too.
    Declared(Option<ShapeId>),
}

/// How XML writes a value (OpenAPI 3.1 section 4.8.26).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xml {
    /// The name of its element or attribute, where it is not that of the member.
    pub name: Option<Box<str>>,
    /// The namespace of its element.
    pub namespace: Option<Box<str>>,
    /// It is an attribute.
    pub attribute: bool,
    /// It is the text of the element around it (OpenAPI 3.2, `nodeType`).
    pub text: bool,
    /// The items of a list stand in an element of their own.
    pub wrapped: bool,
}

/// A set of JSON types; whole numbers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u8);

impl Types {
    /// `null`
    pub const NULL: Types = Types(1);
    /// `boolean`
    pub const BOOLEAN: Types = Types(2);
    /// `integer`
    pub const INTEGER: Types = Types(4);
    /// `number`, which whole numbers are, too.
    pub const NUMBER: Types = Types(8 | 4);
    /// `string`
    pub const STRING: Types = Types(16);
    /// `array`
    pub const ARRAY: Types = Types(32);
    /// `object`
    pub const OBJECT: Types = Types(64);
    /// All of them.
    pub const ALL: Types = Types(127);
    /// None of them.
    pub const NONE: Types = Types(0);

    /// Whether all of `other` are among these.
    #[must_use]
    pub fn has(self, other: Types) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    /// Without these.
    #[must_use]
    pub fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The type of this name; none where it is no type.
    #[must_use]
    pub fn named(name: &str) -> Types {
        match name {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER,
            "string" => Types::STRING,
            "array" => Types::ARRAY,
            "object" => Types::OBJECT,
            _ => Types::NONE,
        }
    }
}

impl Default for Types {
    fn default() -> Self {
        Types::ALL
    }
}

/// All shapes of a contract.
#[derive(Debug, Default)]
pub struct Shapes {
    shapes: Vec<Shape>,
}

impl Shapes {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.shapes.get(id.0 as usize)
    }

    /// All bounds to which values that fit may keep; some may come several times.
    pub fn bounds(&self) -> impl Iterator<Item = Bound> {
        use ProofClass as C;
        let of_json = [C::Boolean, C::Null].into_iter().filter_map(Proof::of_class);
        let of_texts = self.shapes.iter().filter_map(|shape| shape.proof);
        let of_all = of_json.chain(of_texts).flat_map(|proof| [Some(proof.bound), proof.plain()]);
        alphabet::NUMBERS.into_iter().chain(of_all.flatten())
    }

    /// The shape of a member of an object, `None` where nothing is known of it.
    #[must_use]
    pub fn member(&self, of: ShapeId, name: &str) -> Option<ShapeId> {
        let shape = self.get(of)?;
        match shape.member(name) {
            Member::Named(id) => Some(id),
            Member::Free | Member::Undeclared => None,
        }
    }

    /// The shape of an item of an array, `None` where nothing is known of it.
    #[must_use]
    pub fn item(&self, of: ShapeId, number: usize) -> Option<ShapeId> {
        let shape = self.get(of)?;
        shape.first_items.get(number).copied().or(shape.items)
    }
}

/// What a shape says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// This is what it may be.
    Named(ShapeId),
    /// It may be there, and be anything.
    Free,
    /// Nothing names it, although members are named.
    Undeclared,
}

impl Shape {
    /// What is said of a member of this name.
    pub(crate) fn member(&self, name: &str) -> Member {
        if let Some(id) = self.named.get(name) {
            return Member::Named(*id);
        }
        if let Some((_, id)) = self.patterns.iter().find(|(pattern, _)| pattern.is_match(name)) {
            return Member::Named(*id);
        }
        match self.rest {
            Rest::Free | Rest::Declared(None) => Member::Free,
            Rest::Declared(Some(id)) => Member::Named(id),
            Rest::Undeclared => Member::Undeclared,
        }
    }

    /// The names that it has, in no order.
    pub fn names(&self) -> impl Iterator<Item = (&str, ShapeId)> {
        self.named.iter().map(|(name, id)| (&**name, *id))
    }

    /// Whether members that it does not name may be there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.rest, Rest::Undeclared)
    }
}
