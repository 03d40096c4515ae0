//! JSON to a tree with places, under budgets and without duplicate keys.

use bartizan_model::{Diagnostic, diagnostic::Place};
use bartizan_pattern::body::json::{JsonError, JsonLimits, Kind, Tape, TapeBuffer, Value as JsonValue};

use crate::{
    tree::{Entry, Node, Span, Value},
    yaml::Budget,
};

/// Reads one JSON document.
pub(crate) fn parse(text: &str, file: &str, source: u16, budget: Budget) -> Result<Node, Box<Diagnostic>> {
    if text.len() > budget.bytes {
        let error = Diagnostic::error("", format!("`{file}` is larger than {} bytes", budget.bytes));
        return Err(Box::new(error.help("split the document or remove what is not needed")));
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let limits = JsonLimits {
        depth: number(budget.depth),
        // Keys are nodes of the tape.
        nodes: number(budget.nodes.saturating_mul(2)),
        keys: number(budget.nodes),
        string_bytes: number(budget.bytes),
        number_bytes: 1024,
        path_bytes: 1 << 16,
        double_range: false,
    };
    let mut buffer = TapeBuffer::new();
    let mut places = Lines::new(text);
    let tape = match Tape::parse(text.as_bytes(), &limits, &mut buffer) {
        Ok(tape) => tape,
        Err(JsonError { offset, problem }) => {
            let place = places.place(offset, file);
            let help = match problem.is_limit() {
                true => "split the document or make it smaller",
                false => "check quotes, commas and brackets at this place",
            };
            let error = Diagnostic::error("", format!("not valid JSON: {}", problem.text())).help(help);
            return Err(Box::new(error.at(place)));
        }
    };
    if let Some(key) = tape.duplicate_key() {
        let name = key.as_str().unwrap_or_default().into_owned();
        let place = places.place(key.span().start, file);
        let error = Diagnostic::error("", format!("`{name}` is written twice")).help("keep one of the two");
        return Err(Box::new(error.at(place)));
    }
    Ok(tape.root().map_or_else(|| Node::empty_map(source), |root| node(root, source, &mut places)))
}

/// The tree of a value. As deep as the tape's limit allows, no deeper.
fn node(value: JsonValue<'_>, source: u16, places: &mut Lines<'_>) -> Node {
    let span = places.span(value.span().start, source);
    let value = match value.kind() {
        Kind::Array => Value::List(value.items().map(|item| node(item, source, places)).collect()),
        Kind::Object => Value::Map(
            value
                .entries()
                .map(|(key, value)| Entry {
                    key: key.as_str().unwrap_or_default().into_owned(),
                    key_span: places.span(key.span().start, source),
                    value: node(value, source, places),
                })
                .collect(),
        ),
        Kind::String => Value::Scalar { text: value.as_str().unwrap_or_default().into_owned(), quoted: true },
        Kind::Null => Value::Scalar { text: String::new(), quoted: false },
        Kind::Number | Kind::True | Kind::False => {
            let text = String::from_utf8_lossy(value.raw()).into_owned();
            Value::Scalar { text, quoted: false }
        }
    };
    Node { span, origin: 0, value }
}

/// Lines and columns of offsets that only grow: each byte is looked at once, however long its line is.
struct Lines<'t> {
    rest: std::iter::Enumerate<std::str::Bytes<'t>>,
    line: u32,
    column: u32,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Lines { rest: text.bytes().enumerate(), line: 1, column: 1 }
    }

    fn at(&mut self, offset: usize) -> (u32, u32) {
        while self.rest.clone().next().is_some_and(|(at, _)| at < offset) {
            match self.rest.next() {
                Some((_, b'\n')) => (self.line, self.column) = (self.line.saturating_add(1), 1),
                // Characters, not bytes: a byte that continues a character is none.
                Some((_, byte)) if byte & 0xC0 != 0x80 => self.column = self.column.saturating_add(1),
                _ => {}
            }
        }
        (self.line, self.column)
    }

    fn span(&mut self, offset: usize, source: u16) -> Span {
        let (line, column) = self.at(offset);
        Span { source, line, column }
    }

    fn place(&mut self, offset: usize, file: &str) -> Place {
        let (line, column) = self.at(offset);
        Place { file: file.to_owned(), line, column }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    fn read(text: &str) -> Result<Node, Box<Diagnostic>> {
        parse(text, "t.json", 0, Budget::POLICY)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text = "{\"a\": 1,\n \"é\": [true, {\"x\": \"y\\n\", \"z\": -2.5e3}], \"n\": null}";
        let node = read(text).unwrap();
        let z = node.locate("é[1].z");
        assert_eq!((z.line, z.column), (2, 32));
        assert_eq!((node.entries()[1].key_span.line, node.entries()[1].key_span.column), (2, 2));
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(node.to_json(), json);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = read("{\"a\": 1,\n \"b\": {\"c\": 1, \"c\": 2}}").unwrap_err();
        assert_eq!(error.message, "`c` is written twice");
        assert_eq!(error.place.unwrap().to_string(), "t.json:2:16");
        let error = read("{\n  \"a\": [1,]}").unwrap_err();
        assert!(error.message.starts_with("not valid JSON"), "{error}");
        assert_eq!(error.place.unwrap().to_string(), "t.json:2:11");
        assert!(read(&"[".repeat(500)).unwrap_err().message.contains("deep"));
        let many = format!("[{}0]", "0,".repeat(200_001));
        assert!(read(&many).is_err());
    }

    #[test]
    fn a_document_on_one_line_is_read_in_linear_time() {
        let long =
            format!("{{{}\"z\": 1}}", (0..60_000).map(|at| format!("\"k{at}\":0,")).collect::<String>());
        let node = read(&long).unwrap();
        assert_eq!(node.entries().len(), 60_001);
        assert_eq!(node.entries()[60_000].key_span.column as usize, long.len() - 6);
    }
}
