//! XML 1.0 as a flat list of nodes over the original text: no DTD, no entities but the five, nothing from outside.
//!
//! A DTD is what bombs and file disclosure are made of, and no API needs one; it is refused by name.

mod error;
mod node;
mod parse;
#[cfg(test)]
mod tests;

pub use error::{XmlError, XmlProblem};
pub use node::{XmlChildren, XmlKind, XmlNode};

use super::keys::KeySet;

/// What one document may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlLimits {
    /// Elements inside one another.
    pub depth: u32,
    /// Elements, attributes, texts, comments and instructions in all; a node takes 32 bytes.
    pub nodes: u32,
    /// Attributes of one element.
    pub attributes: u32,
}

impl Default for XmlLimits {
    /// The depth that libxml2 allows, 256; 2^16 nodes (2 MiB), and 256 attributes per element.
    fn default() -> Self {
        XmlLimits { depth: 256, nodes: 1 << 16, attributes: 256 }
    }
}

/// The storage of one document's nodes, used again for the next.
#[derive(Debug, Default)]
pub struct XmlBuffer {
    nodes: Vec<node::Record>,
    open: Vec<u32>,
    keys: KeySet,
    length: usize,
}

impl XmlBuffer {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The document that was read last, over the same text again; after an error, what stood before it.
    #[must_use]
    pub fn xml<'a>(&'a self, text: &'a [u8]) -> Xml<'a> {
        let nodes = if text.len() == self.length { self.nodes.as_slice() } else { &[] };
        Xml { text, nodes }
    }

    /// Gives memory back, keeping room for so many nodes.
    pub fn shrink(&mut self, nodes: usize) {
        self.nodes.clear();
        self.nodes.shrink_to(nodes);
        self.open.clear();
        self.keys.shrink(nodes);
        self.length = 0;
    }
}

/// A document. A copy costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Xml<'a> {
    text: &'a [u8],
    nodes: &'a [node::Record],
}

impl<'a> Xml<'a> {
    /// Reads one document, which is UTF-8 without a byte order mark. The
    /// encoding that its declaration names is not looked at: [`declared_encoding`] gives it to who decodes.
    ///
    /// # Errors
    /// The first offset at which the text is not well formed (XML 1.0, fifth edition), has what is refused, or is beyond
    /// `limits`, and why. What came before is in [`XmlBuffer::xml`].
    pub fn parse(text: &'a [u8], limits: &XmlLimits, buffer: &'a mut XmlBuffer) -> Result<Xml<'a>, XmlError> {
        parse::parse(text, limits, buffer)?;
        Ok(buffer.xml(text))
    }

    /// The outermost element.
    #[must_use]
    pub fn root(self) -> Option<XmlNode<'a>> {
        self.nodes().find(|node| node.kind() == XmlKind::Element)
    }

    /// All nodes in the order of the text, an element before its attributes and these before what is inside it.
    pub fn nodes(self) -> impl Iterator<Item = XmlNode<'a>> + Clone {
        let numbered = self.nodes.iter().zip(0..);
        numbered.map(move |(record, index)| XmlNode { xml: self, record: *record, index })
    }

    /// The node of this number: nodes are numbered in the order of the text, from 0.
    #[must_use]
    pub fn node(self, index: u32) -> Option<XmlNode<'a>> {
        let record = *self.nodes.get(index as usize)?;
        Some(XmlNode { xml: self, record, index })
    }

    /// All texts and CDATA sections in their order, those of white space only included.
    pub fn texts(self) -> impl Iterator<Item = XmlNode<'a>> + Clone {
        self.nodes().filter(|node| matches!(node.kind(), XmlKind::Text | XmlKind::CData))
    }

    /// All attributes in their order, namespace declarations included.
    pub fn attributes(self) -> impl Iterator<Item = XmlNode<'a>> + Clone {
        self.nodes().filter(|node| node.kind() == XmlKind::Attribute)
    }

    /// Writes all text of the document, as XPath's string value of `/*` has it (comments and instructions left out),
    /// behind what `out` has.
    pub fn text_into(self, out: &mut Vec<u8>) {
        for node in self.texts() {
            node.text_into(out);
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// The text that all spans are of.
    #[must_use]
    pub fn source(self) -> &'a [u8] {
        self.text
    }
}

/// The encoding that the XML declaration names, where bytes that ASCII is a part of begin with one.
#[must_use]
pub fn declared_encoding(bytes: &[u8]) -> Option<&[u8]> {
    let declaration = bytes.strip_prefix(b"<?xml")?;
    // A declaration has three attributes, and no encoding has a long name.
    let declaration = declaration.get(..declaration.len().min(256))?;
    let declaration = declaration.get(..memchr::memmem::find(declaration, b"?>")?)?;
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let value = declaration.get(at + 8..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    value.get(..memchr::memchr(*quote, value)?)
}
