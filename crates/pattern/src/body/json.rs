//! JSON (RFC 8259, strictly) as a tape: one flat list of nodes that point into the original bytes.
//!
//! One pass, no recursion, and after the first request no allocation: a [`TapeBuffer`] is used again. Strings stay where
//! they are until somebody asks for their text; numbers stay text for ever.

mod error;
mod parse;
mod scan;
#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub use error::{JsonError, JsonProblem};
pub use value::{Entries, Items, Value};
pub use walk::{PathStyle, Walker};

use super::keys::KeySet;

/// What one document may cost. A document beyond any of them is an error that says which and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Arrays and objects inside one another.
    pub depth: u32,
    /// Values and keys in all; a node takes 16 bytes. Never more than 2^26, whatever is said here.
    pub nodes: u32,
    /// Keys of one object.
    pub keys: u32,
    /// Bytes of one string or key as it is written, without its quotes.
    pub string_bytes: u32,
    /// Bytes of one number: text that no number needs is work for every reader behind.
    pub number_bytes: u32,
    /// Bytes of all keys that lead to a value: names are built from them, and scanned once per value.
    pub path_bytes: u32,
    /// Whether a number has to be one that an IEEE 754 double can hold: of `1e309` one reader makes infinity, the next an
    /// error, a third the number that it says (RFC 8259 section 6).
    pub double_range: bool,
}

impl Default for JsonLimits {
    /// The depth that the recommended ModSecurity configuration sets, 512; 2^18 nodes (4 MiB), 10,000 keys per object,
    /// 1 MiB per string, 256 bytes per number, which a double has to be able to hold, and 4 KiB per path.
    fn default() -> Self {
        JsonLimits {
            depth: 512,
            nodes: 1 << 18,
            keys: 10_000,
            string_bytes: 1 << 20,
            number_bytes: 256,
            path_bytes: 4096,
            double_range: true,
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number, as text.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Null,
        Kind::False,
        Kind::True,
        Kind::Number,
        Kind::String,
        Kind::Array,
        Kind::Object,
        Kind::Object,
    ];

    /// Whether values may be inside.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Kind::Array | Kind::Object)
    }
}

/// One value or key: where it stands, and where the next one behind it (and behind all that is inside it) is.
#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    end: u32,
    next: u32,
    /// Kind in three bits, two flags, and above them the number of items or entries.
    meta: u32,
}

impl Node {
    /// A string with at least one escape: its text has to be decoded.
    const ESCAPED: u32 = 1 << 3;
    /// An object with a key that comes twice.
    const DUPLICATE: u32 = 1 << 4;
    const COUNT_SHIFT: u32 = 5;

    fn kind(self) -> Kind {
        Kind::ALL.get((self.meta & 7) as usize).copied().unwrap_or(Kind::Null)
    }

    fn is_escaped(self) -> bool {
        self.meta & Self::ESCAPED != 0
    }

    fn has_duplicate(self) -> bool {
        self.meta & Self::DUPLICATE != 0
    }

    fn count(self) -> u32 {
        self.meta >> Self::COUNT_SHIFT
    }
}

/// The storage of one tape, used again for the next.
#[derive(Debug, Default)]
pub struct TapeBuffer {
    nodes: Vec<Node>,
    open: Vec<parse::Open>,
    keys: KeySet,
    duplicate: Option<u32>,
    /// Bytes of the document that was read last.
    length: usize,
}

impl TapeBuffer {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tape that was read last, over the same bytes again; after an error, what stood before it (an array or object
    /// that was cut off ends there). Other bytes of the same length give wrong values, bytes of another length none.
    #[must_use]
    pub fn tape<'a>(&'a self, bytes: &'a [u8]) -> Tape<'a> {
        let nodes = if bytes.len() == self.length { self.nodes.as_slice() } else { &[] };
        // Looked at once here, and not again for every key and value.
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        });
        Tape { bytes, text, nodes, duplicate: self.duplicate }
    }

    /// Gives memory back that one large document left behind, keeping room for `nodes`.
    pub fn shrink(&mut self, nodes: usize) {
        self.nodes.clear();
        self.nodes.shrink_to(nodes);
        self.open.clear();
        self.open.shrink_to(nodes);
        self.keys.shrink(nodes);
        self.length = 0;
        self.duplicate = None;
    }
}

/// A document: its nodes in the order of the text, over the original bytes. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Tape<'a> {
    bytes: &'a [u8],
    /// The same as text; behind an error, what is valid before it.
    text: &'a str,
    nodes: &'a [Node],
    duplicate: Option<u32>,
}

impl<'a> Tape<'a> {
    /// Reads one document.
    ///
    /// What is beyond RFC 8259 is refused: a byte order mark, bytes behind the document, `NaN`, comments, commas at the
    /// end, single quotes. So is what parsers are known to disagree on: bytes that are no UTF-8, and surrogates without
    /// their partner. Keys that come twice are no error (section 4 leaves them open), but [`Tape::duplicate_key`] names
    /// the first.
    ///
    /// # Errors
    /// The first offset at which the bytes are no document, or beyond `limits`, and why.
    pub fn parse(
        bytes: &'a [u8],
        limits: &JsonLimits,
        buffer: &'a mut TapeBuffer,
    ) -> Result<Tape<'a>, JsonError> {
        parse::parse(bytes, limits, buffer)?;
        Ok(buffer.tape(bytes))
    }

    /// The document's value; none where nothing was read.
    #[must_use]
    pub fn root(self) -> Option<Value<'a>> {
        self.value(0)
    }

    /// The node of this number: values and keys are numbered in the order of the text, from 0 (the root).
    #[must_use]
    pub fn value(self, index: u32) -> Option<Value<'a>> {
        let node = *self.nodes.get(index as usize)?;
        Some(Value { tape: self, node, index })
    }

    /// How many nodes there are, keys included.
    #[must_use]
    pub fn len(self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// The bytes that all spans are of.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The first key (by the end of its object) that its object already has, compared after decoding. Readers disagree
    /// on which of the two counts, so that one value can be checked and the other used.
    #[must_use]
    pub fn duplicate_key(self) -> Option<Value<'a>> {
        self.value(self.duplicate?)
    }
}
