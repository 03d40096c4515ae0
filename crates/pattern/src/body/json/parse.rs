//! The one pass over the bytes: a loop with a stack of its own, so that no depth of nesting is a danger.

use super::{JsonError, JsonLimits, JsonProblem, Kind, Node, Tape, TapeBuffer, Value, scan};

/// Nodes that a tape can number, and items that a node can count.
const MOST_NODES: u32 = 1 << 26;

/// An array or object whose end has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    node: u32,
    /// Items or keys until now.
    count: u32,
    /// Bytes of the keys that lead to what is inside: of the outer ones, and with the current one.
    outer_path: u32,
    path: u32,
    object: bool,
    /// A bit for each key that came, of its length and its outer bytes: no key came twice while no bit did.
    marks: u128,
    /// Keys have to be compared.
    suspect: bool,
}

/// Fills `buffer`. After an error it holds what came before.
pub(super) fn parse(bytes: &[u8], limits: &JsonLimits, buffer: &mut TapeBuffer) -> Result<(), JsonError> {
    buffer.nodes.clear();
    buffer.open.clear();
    buffer.duplicate = None;
    buffer.length = bytes.len();
    if u32::try_from(bytes.len()).is_err() {
        return Err(JsonError { offset: 0, problem: JsonProblem::DocumentTooLong });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError { offset: 0, problem: JsonProblem::ByteOrderMark });
    }
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes,
        Err(error) => bytes.get(..error.valid_up_to()).unwrap_or_default(),
    };
    let limits = JsonLimits { nodes: limits.nodes.min(MOST_NODES), ..*limits };
    let mut parser = Parser { bytes: valid, at: 0, limits, buffer };
    let result = parser.document();
    let Err(error) = result else {
        if valid.len() == bytes.len() {
            return Ok(());
        }
        return Err(JsonError { offset: valid.len(), problem: JsonProblem::InvalidUtf8 });
    };
    parser.cut_off(error.offset);
    match error.problem {
        JsonProblem::UnexpectedEnd if valid.len() < bytes.len() => {
            Err(JsonError { offset: valid.len(), problem: JsonProblem::InvalidUtf8 })
        }
        _ => Err(error),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: JsonLimits,
    buffer: &'a mut TapeBuffer,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        loop {
            self.skip_space();
            let Some(&byte) = self.bytes.get(self.at) else { return self.fail(JsonProblem::UnexpectedEnd) };
            let complete = match byte {
                b'"' => self.string().map(|_| true)?,
                b'-' | b'0'..=b'9' => self.number().map(|()| true)?,
                b'{' => self.open(Kind::Object)?,
                b'[' => self.open(Kind::Array)?,
                b't' => self.literal(b"true", Kind::True).map(|()| true)?,
                b'f' => self.literal(b"false", Kind::False).map(|()| true)?,
                b'n' => self.literal(b"null", Kind::Null).map(|()| true)?,
                _ => return self.fail(JsonProblem::ExpectedValue),
            };
            if complete && self.close()? {
                return match self.bytes.get(self.at) {
                    None => Ok(()),
                    Some(_) => self.fail(JsonProblem::TrailingBytes),
                };
            }
        }
    }

    /// Begins an array or object; true when it ends at once, else its first value comes next.
    fn open(&mut self, kind: Kind) -> Result<bool, JsonError> {
        if self.buffer.open.len() >= self.limits.depth as usize {
            return self.fail(JsonProblem::TooDeep);
        }
        let object = kind == Kind::Object;
        let node = self.node(kind, self.at, self.at, 0)?;
        self.at += 1;
        self.skip_space();
        let outer_path = self.buffer.open.last().map_or(0, |outer| outer.path);
        self.buffer.open.push(Open {
            node,
            count: 0,
            outer_path,
            path: outer_path,
            object,
            marks: 0,
            suspect: false,
        });
        match self.bytes.get(self.at) {
            Some(b'}') if object => Ok(true),
            Some(b']') if !object => Ok(true),
            Some(_) if object => self.key().map(|()| false),
            Some(_) => self.item().map(|()| false),
            None => self.fail(JsonProblem::UnexpectedEnd),
        }
    }

    /// Behind a value: ends what ends here, up to the next value. True at the end of the document.
    fn close(&mut self) -> Result<bool, JsonError> {
        loop {
            self.skip_space();
            let Some(&open) = self.buffer.open.last() else { return Ok(true) };
            match self.bytes.get(self.at) {
                Some(b',') if open.object => {
                    self.at += 1;
                    self.skip_space();
                    return self.key().map(|()| false);
                }
                Some(b',') => {
                    self.at += 1;
                    return self.item().map(|()| false);
                }
                Some(b'}') if open.object => self.end(open),
                Some(b']') if !open.object => self.end(open),
                Some(_) => return self.fail(JsonProblem::ExpectedCommaOrEnd),
                None => return self.fail(JsonProblem::UnexpectedEnd),
            }
        }
    }

    fn end(&mut self, open: Open) {
        self.at += 1;
        self.buffer.open.pop();
        self.finish(open, self.at);
    }

    /// Writes down where a container ends and what it has.
    fn finish(&mut self, open: Open, end: usize) {
        let next = span(self.buffer.nodes.len());
        let duplicate = if open.suspect { self.duplicate(open) } else { None };
        if let Some(node) = self.buffer.nodes.get_mut(open.node as usize) {
            node.end = span(end);
            node.next = next;
            node.meta |= open.count << Node::COUNT_SHIFT;
            if duplicate.is_some() {
                node.meta |= Node::DUPLICATE;
            }
        }
        self.buffer.duplicate = self.buffer.duplicate.or(duplicate);
    }

    /// The first key of an object that came before in it.
    fn duplicate(&mut self, open: Open) -> Option<u32> {
        let TapeBuffer { nodes, keys, .. } = &mut *self.buffer;
        let tape = Tape { bytes: self.bytes, text: "", nodes, duplicate: None };
        let mut index = open.node + 1;
        let ours = std::iter::from_fn(|| {
            let key = index;
            index = nodes.get(key as usize + 1)?.next;
            Some(key)
        });
        keys.first_duplicate(open.count as usize, ours, |key| {
            tape.value(key).map(Value::decoded).unwrap_or_default()
        })
    }

    fn item(&mut self) -> Result<(), JsonError> {
        if let Some(open) = self.buffer.open.last_mut() {
            open.count += 1;
        }
        Ok(())
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'"') => {}
            Some(_) => return self.fail(JsonProblem::ExpectedKey),
            None => return self.fail(JsonProblem::UnexpectedEnd),
        }
        let (bytes, escaped) = self.string()?;
        let text = self.bytes.get(start + 1..self.at - 1).unwrap_or_default();
        let mark = mark(text);
        let (keys, paths) = (self.limits.keys, self.limits.path_bytes);
        if let Some(open) = self.buffer.open.last_mut() {
            open.count += 1;
            open.path = open.outer_path.saturating_add(bytes);
            // What an escape stands for is only known when it is decoded.
            open.suspect |= escaped || open.marks & mark != 0;
            open.marks |= mark;
            let problem = match () {
                () if open.count > keys => Some(JsonProblem::TooManyKeys),
                () if open.path > paths => Some(JsonProblem::PathTooLong),
                () => None,
            };
            if let Some(problem) = problem {
                return Err(JsonError { offset: start, problem });
            }
        }
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b':') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.fail(JsonProblem::ExpectedColon),
            None => self.fail(JsonProblem::UnexpectedEnd),
        }
    }

    /// A string at its opening quote; the bytes between its quotes, and whether there are escapes among them.
    #[inline]
    fn string(&mut self) -> Result<(u32, bool), JsonError> {
        let start = self.at;
        let (quote, escaped) = scan::string(self.bytes, start + 1)?;
        let length = span(quote - start - 1);
        if length > self.limits.string_bytes {
            return Err(JsonError { offset: start, problem: JsonProblem::StringTooLong });
        }
        self.at = quote + 1;
        self.node(Kind::String, start, self.at, if escaped { Node::ESCAPED } else { 0 })?;
        Ok((length, escaped))
    }

    #[inline]
    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at = scan::number(self.bytes, start)?;
        if span(self.at - start) > self.limits.number_bytes {
            return Err(JsonError { offset: start, problem: JsonProblem::NumberTooLong });
        }
        if self.limits.double_range && is_beyond_double(self.bytes.get(start..self.at).unwrap_or_default()) {
            return Err(JsonError { offset: start, problem: JsonProblem::NumberTooLarge });
        }
        self.node(Kind::Number, start, self.at, 0).map(|_| ())
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.fail(match word.starts_with(rest) {
                true => JsonProblem::UnexpectedEnd,
                false => JsonProblem::InvalidLiteral,
            });
        }
        self.at += word.len();
        self.node(kind, start, self.at, 0).map(|_| ())
    }

    /// Adds a node; its number.
    #[inline]
    fn node(&mut self, kind: Kind, start: usize, end: usize, flags: u32) -> Result<u32, JsonError> {
        let index = span(self.buffer.nodes.len());
        if index >= self.limits.nodes {
            return Err(JsonError { offset: start, problem: JsonProblem::TooManyNodes });
        }
        let meta = kind as u32 | flags;
        self.buffer.nodes.push(Node { start: span(start), end: span(end), next: index + 1, meta });
        Ok(index)
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, problem: JsonProblem) -> Result<T, JsonError> {
        Err(JsonError { offset: self.at, problem })
    }

    /// Ends everything that is open where the error is, so that what was read can be walked. A key whose value is
    /// missing is left out.
    fn cut_off(&mut self, end: usize) {
        while let Some(mut open) = self.buffer.open.pop() {
            let inside = self.children(open);
            open.count = if open.object {
                if inside % 2 == 1 {
                    self.buffer.nodes.pop();
                }
                inside / 2
            } else {
                inside
            };
            self.finish(open, end);
        }
    }

    /// How many nodes are directly inside.
    fn children(&self, open: Open) -> u32 {
        let (mut index, mut count) = (open.node + 1, 0);
        while let Some(node) = self.buffer.nodes.get(index as usize) {
            index = node.next;
            count += 1;
        }
        count
    }
}

/// Digits that a number without an exponent may have and still be below the largest double, 1.8e308.
const DOUBLE_DIGITS: usize = 308;

/// Whether the nearest double of a number is an infinite one.
#[inline]
fn is_beyond_double(number: &[u8]) -> bool {
    if number.len() <= DOUBLE_DIGITS && memchr::memchr2(b'e', b'E', number).is_none() {
        return false;
    }
    let read = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    read.is_none_or(f64::is_infinite)
}

/// One bit for a key's length and outer bytes.
#[inline]
fn mark(key: &[u8]) -> u128 {
    let byte = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    let (first, last) = (byte(key.first()), byte(key.last()));
    1 << ((first.wrapping_mul(7) ^ last.wrapping_mul(13) ^ span(key.len()).wrapping_mul(3)) & 127)
}

/// An offset or a count: both are below 2^32, which is checked at the start.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "INVARIANT: a document has fewer than 2^32 bytes and nodes"
)]
fn span(offset: usize) -> u32 {
    offset as u32
}
