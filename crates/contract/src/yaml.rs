//! YAML 1.2 to a tree with places, under budgets: duplicate keys, foreign tags and more than one document are refused.

use std::collections::{HashMap, HashSet};

use bartizan_model::{Diagnostic, diagnostic::Place};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span as YamlSpan, Tag};

use crate::tree::{Entry, Node, Span, Value};

/// What reading one document may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of the source.
    pub bytes: usize,
    /// Values in all, those copied by aliases included.
    pub nodes: usize,
    /// Nested maps and lists.
    pub depth: usize,
    /// Whether merge keys (`<<`) are obeyed: they are not part of YAML 1.2, yet of documents that are published.
    pub merges: bool,
}

impl Budget {
    /// For documents that people write: 4 MiB, 100,000 values, 64 levels.
    pub const POLICY: Budget = Budget { bytes: 4 << 20, nodes: 100_000, depth: 64, merges: false };
    /// For API contracts, which are large and generated: 64 MiB, 4,000,000 values, 128 levels.
    pub const CONTRACT: Budget = Budget { bytes: 64 << 20, nodes: 4_000_000, depth: 128, merges: true };
}

/// Reads one document. An empty one is an empty map.
///
/// # Errors
/// The first thing that is wrong, with its place in `file`.
pub fn parse(text: &str, file: &str, source: u16, budget: Budget) -> Result<Node, Box<Diagnostic>> {
    let mut reader =
        Reader { file, source, budget, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    if text.len() > budget.bytes {
        return Err(Box::new(
            Diagnostic::error("", format!("`{file}` is larger than {} bytes", budget.bytes))
                .help("split the document or remove what is not needed"),
        ));
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.block_nesting_limit = budget.depth;
    options.flow_nesting_limit = budget.depth;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            let place = reader.place(marker.line(), marker.col());
            Box::new(
                Diagnostic::error("", format!("not valid YAML: {}", error.info()))
                    .help("check indentation, quotes and brackets at this place and on the line before")
                    .at(place),
            )
        })?;
        reader.accept(event, span)?;
    }
    Ok(reader.root.unwrap_or_else(|| Node::empty_map(source)))
}

struct Reader<'a> {
    file: &'a str,
    source: u16,
    budget: Budget,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A collection that is still open.
struct Frame {
    span: Span,
    anchor: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Span)>, merged: Vec<Node> },
}

impl Reader<'_> {
    fn place(&self, line: usize, column: usize) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: self.file.to_owned(), line: number(line.max(1)), column: number(column + 1) }
    }

    fn span(&self, span: YamlSpan) -> Span {
        let place = self.place(span.start.line(), span.start.col());
        Span { source: self.source, line: place.line, column: place.column }
    }

    fn refuse(&self, span: Span, message: String, help: &str) -> Box<Diagnostic> {
        let mut diagnostic = Diagnostic::error("", message).help(help);
        diagnostic.place = span.place(self.file);
        Box::new(diagnostic)
    }

    fn accept(&mut self, event: Event<'_>, span: YamlSpan) -> Result<(), Box<Diagnostic>> {
        let span = self.span(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err(self.refuse(
                span,
                "a second document begins here".to_owned(),
                "keep one document in a file: remove the `---` line and what follows",
            )),
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = self.is_text(span, style, tag.as_deref())?;
                self.count(1, span)?;
                let node = Node { span, origin: 0, value: Value::Scalar { text: text.into_owned(), quoted } };
                self.complete(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_text(span, ScalarStyle::Plain, tag.as_deref())?;
                self.open(Frame { span, anchor, kind: FrameKind::List(Vec::new()) })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_text(span, ScalarStyle::Plain, tag.as_deref())?;
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(Frame { span, anchor, kind })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(()) };
                let value = match frame.kind {
                    FrameKind::List(items) => Value::List(items),
                    FrameKind::Map { mut entries, mut seen, merged, .. } => {
                        // What a map states itself goes before what it merges, and what is merged first before the rest.
                        for entry in merged.into_iter().flat_map(Node::into_entries) {
                            if seen.insert(entry.key.clone()) {
                                entries.push(entry);
                            }
                        }
                        Value::Map(entries)
                    }
                };
                self.complete(Node { span: frame.span, origin: 0, value }, frame.anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(self.refuse(
                        span,
                        "an alias refers to a value that contains it".to_owned(),
                        "write the value out",
                    ));
                };
                self.count(node.size(), span)?;
                self.complete(node, 0)
            }
            _ => Ok(()),
        }
    }

    /// Whether a tag or style makes a scalar text whatever it looks like.
    fn is_text(&self, span: Span, style: ScalarStyle, tag: Option<&Tag>) -> Result<bool, Box<Diagnostic>> {
        match tag.map(|tag| tag.core_suffix()) {
            None => Ok(style != ScalarStyle::Plain),
            Some(Some("str")) => Ok(true),
            Some(Some("int" | "float" | "bool" | "null" | "map" | "seq")) => Ok(style != ScalarStyle::Plain),
            Some(_) => Err(self.refuse(
                span,
                "this YAML tag is not known".to_owned(),
                "remove the tag (`!..`); quote the value if it begins with `!`",
            )),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.budget.nodes {
            return Err(self.refuse(
                span,
                format!("the document has more than {} values", self.budget.nodes),
                "aliases count with what they copy; make the document smaller",
            ));
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) -> Result<(), Box<Diagnostic>> {
        self.count(1, frame.span)?;
        if self.stack.len() >= self.budget.depth {
            return Err(self.refuse(
                frame.span,
                format!("the document is nested deeper than {} levels", self.budget.depth),
                "make it flatter",
            ));
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let problem = match self.stack.last_mut() {
            None => {
                self.root = Some(node);
                None
            }
            Some(Frame { kind: FrameKind::List(items), .. }) => {
                items.push(node);
                None
            }
            Some(Frame { kind: FrameKind::Map { entries, seen, key, merged }, .. }) => match key.take() {
                Some((key, span)) if key == "<<" && self.budget.merges => match node.value {
                    Value::Map(_) => {
                        merged.push(node);
                        None
                    }
                    Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
                        merged.extend(items);
                        None
                    }
                    _ => Some((
                        span,
                        "a merge key (`<<`) takes a map, or a list of maps".to_owned(),
                        "write `<<: *anchor`",
                    )),
                },
                Some((key, key_span)) => {
                    entries.push(Entry { key, key_span, value: node });
                    None
                }
                None => match node.value {
                    Value::Scalar { text, quoted: false } if text == "<<" && !self.budget.merges => Some((
                        node.span,
                        "merge keys (`<<`) are not part of YAML 1.2".to_owned(),
                        "write the settings out",
                    )),
                    Value::Scalar { text, .. } if !seen.insert(text.clone()) => {
                        let first = entries.iter().find(|entry| entry.key == text);
                        let line = first.map_or(0, |entry| entry.key_span.line);
                        Some((
                            node.span,
                            format!("`{text}` is written twice; the first one is on line {line}"),
                            "keep one of the two",
                        ))
                    }
                    Value::Scalar { text, .. } => {
                        *key = Some((text, node.span));
                        None
                    }
                    _ => Some((node.span, "a key must be plain text".to_owned(), "write `key: value`")),
                },
            },
        };
        match problem {
            Some((span, message, help)) => Err(self.refuse(span, message, help)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests assert"
    )]
    use super::*;

    fn read(text: &str) -> Result<Node, Box<Diagnostic>> {
        parse(text, "t.yaml", 0, Budget::POLICY)
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        let node = read("a: 1\nb:\n  - x: {y: é, z: 2}\n").unwrap();
        let z = node.locate("b[0].x.z");
        assert_eq!((z.line, z.column), (3, 18));
        let b = node.locate("b");
        assert_eq!((b.line, b.column), (2, 1));
    }

    #[test]
    fn duplicate_keys_are_refused_with_both_lines() {
        let error = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert!(error.message.contains("`a` is written twice") && error.message.contains("line 1"));
        assert_eq!(error.place.unwrap().line, 3);
    }

    #[test]
    fn aliases_are_bounded() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(read(&text).unwrap_err().message.contains("values"));
        assert!(read(&"[".repeat(500)).is_err());
    }

    #[test]
    fn tags_merge_keys_and_second_documents_are_refused() {
        assert!(read("a: !secret x").is_err());
        assert!(read("a: &x {b: 1}\nc: {<<: *x}").unwrap_err().message.contains("merge"));
        let merges = |text: &str| parse(text, "t.yaml", 0, Budget::CONTRACT);
        let merged = merges("a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\nf: {c: 5, <<: [*x, *y]}").unwrap();
        let json = serde_json::json!({"c": 5, "b": 1, "e": 4});
        assert_eq!(merged.get("f").unwrap().to_json(), json);
        assert!(merges("a: {<<: 1}").unwrap_err().message.contains("takes a map"));
        assert!(read("a: 1\n---\nb: 1").unwrap_err().message.contains("second document"));
        assert!(read("a: [1, 2").unwrap_err().message.contains("not valid YAML"));
        assert_eq!(read("").unwrap().entries().len(), 0);
    }
}
