//! An XML body to what rules can look at: the text of each element, and attributes.

use bartizan_pattern::body::xml::{Xml, XmlKind, XmlNode};

use super::exchange::{Entry, Exchange, XmlValue};
use crate::lang::XmlIntoArgs;

/// An element with text and elements in it: its first node, the end, and the names down to it.
type Mixed = (u32, u32, Vec<Box<[u8]>>);

/// An element that is not closed yet.
struct Open<'x> {
    node: XmlNode<'x>,
    /// Which value has its own text.
    text: Option<usize>,
    has_elements: bool,
}

impl Exchange {
    /// Takes over texts and attributes. Pieces of one element's text are one value, whatever comments, instructions and
    /// CDATA sections stand between them: who reads the document sees them joined. Where elements stand within text, all
    /// of it is a value as well, as the string value of XPath (section 5.2) has it.
    pub(super) fn read_xml(&mut self, xml: Xml<'_>, limit: usize, into_args: XmlIntoArgs) -> Option<String> {
        let begin = self.xml.len();
        let mut open: Vec<Open<'_>> = Vec::new();
        // The outermost of them.
        let mut mixed: Vec<Mixed> = Vec::new();
        for node in xml.nodes() {
            while open.last().is_some_and(|element| element.node.next_index() <= node.index()) {
                close(&mut open, &mut mixed);
            }
            match node.kind() {
                XmlKind::Element => {
                    if let Some(parent) = open.last_mut() {
                        parent.has_elements = true;
                    }
                    open.push(Open { node, text: None, has_elements: false });
                }
                XmlKind::Attribute => {
                    let (attribute, text) = (Some(node.name().into()), node.text().into_owned());
                    self.xml.push(XmlValue { elements: names(&open), attribute, text });
                }
                XmlKind::Text | XmlKind::CData => {
                    let begun = open.last().and_then(|element| element.text);
                    if let Some(value) = begun.and_then(|index| self.xml.get_mut(index)) {
                        node.text_into(&mut value.text);
                        continue;
                    }
                    let text = node.text().into_owned();
                    if text.trim_ascii().is_empty() {
                        continue;
                    }
                    let elements = names(&open);
                    if let Some(element) = open.last_mut() {
                        element.text = Some(self.xml.len());
                    }
                    self.xml.push(XmlValue { elements, attribute: None, text });
                }
                XmlKind::Comment | XmlKind::Instruction => {}
            }
        }
        while !open.is_empty() {
            close(&mut open, &mut mixed);
        }
        if into_args != XmlIntoArgs::Off {
            let texts = self.xml.get(begin..).unwrap_or_default().iter();
            for value in texts.filter(|value| value.attribute.is_none()) {
                let name = [&b"xml"[..]].into_iter().chain(value.elements.iter().map(|name| &**name));
                let name = name.collect::<Vec<_>>().join(&b'.');
                self.args_post.push(Entry::new(name, value.text.clone()));
                if self.args_post.len() > limit {
                    return Some("XML parsing error: too many values".to_owned());
                }
            }
        }
        if into_args == XmlIntoArgs::Only {
            self.xml.truncate(begin);
            return None;
        }
        for (from, to, elements) in mixed {
            let mut text = Vec::new();
            for node in (from..to).filter_map(|index| xml.node(index)) {
                if matches!(node.kind(), XmlKind::Text | XmlKind::CData) {
                    node.text_into(&mut text);
                }
            }
            self.xml.push(XmlValue { elements, attribute: None, text });
        }
        None
    }
}

/// Closes the innermost element.
fn close(open: &mut Vec<Open<'_>>, mixed: &mut Vec<Mixed>) {
    let elements = open.last().filter(|element| element.text.is_some() && element.has_elements);
    if let Some(element) = elements {
        let (from, to) = (element.node.index(), element.node.next_index());
        while mixed.last().is_some_and(|(inner, ..)| *inner > from) {
            mixed.pop();
        }
        mixed.push((from, to, names(open)));
    }
    open.pop();
}

fn names(open: &[Open<'_>]) -> Vec<Box<[u8]>> {
    open.iter().map(|element| element.node.name().into()).collect()
}
