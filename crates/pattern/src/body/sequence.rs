//! Bodies that are sequences of items, cut into these as they come: JSON Lines, JSON text sequences (RFC 7464) and
//! server-sent events (HTML Living Standard section 9.2.5).
//!
//! A [`Splitter`] says where an item ends as soon as its last byte was seen, and never waits for the next one. It keeps a few
//! flags and no bytes, so that whoever holds the bytes decides how many of them.

#[cfg(test)]
mod tests;

use memchr::{memchr, memchr2};

use super::media_type::MediaType;

/// The byte that begins a text of a JSON text sequence (RFC 7464 section 2.2).
const RECORD_SEPARATOR: u8 = 0x1e;

/// How items stand in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A JSON text in each line; empty lines are nothing.
    Lines,
    /// A JSON text between a record separator and a line feed (RFC 7464).
    Records,
    /// Fields in lines, and an empty line behind them.
    Events,
}

impl Framing {
    /// The framing of a media type; none where it is no sequence that is read here.
    #[must_use]
    pub fn of(media: &MediaType<'_>) -> Option<Self> {
        Self::named(&format!("{}/{}", media.top(), media.subtype()).to_ascii_lowercase())
    }

    /// The same of `type/subtype` in lower case.
    #[must_use]
    pub fn named(essence: &str) -> Option<Self> {
        match essence {
            "text/event-stream" => Some(Framing::Events),
            "application/jsonl"
            | "application/jsonlines"
            | "application/json-lines"
            | "application/x-jsonlines"
            | "application/x-json-lines"
            | "application/ndjson"
            | "application/x-ndjson"
            | "application/stream+json"
            | "application/x-json-stream" => Some(Framing::Lines),
            "application/json-seq" => Some(Framing::Records),
            _ if essence.ends_with("+json-seq") => Some(Framing::Records),
            _ => None,
        }
    }
}

/// Finds the ends of items in bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    framing: Framing,
    /// The open item has bytes.
    open: bool,
    text: Text,
    lines: Lines,
}

/// Where a JSON text of a record stands.
#[derive(Clone, Copy, Debug, Default)]
struct Text {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// A separator began it.
    begun: bool,
    /// Something but space was seen.
    content: bool,
}

/// Where a block of fields stands.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    in_line: bool,
    in_comment: bool,
    /// The block has a line that is no comment.
    fields: bool,
    after_return: bool,
}

impl Splitter {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Splitter { framing, open: false, text: Text::default(), lines: Lines::default() }
    }

    /// Looks at the next bytes. Answers how many of them belong to the open item where it ends among them or before them; else
    /// all of them belong to it. What is behind has to be shown again.
    ///
    /// Items may be empty lines, comments or the end of a line: something to pass on, with nothing in it.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        let end = match self.framing {
            Framing::Lines => memchr(b'\n', bytes).map(|at| at + 1),
            Framing::Records => self.record(bytes),
            Framing::Events => self.event(bytes),
        };
        self.open = end.is_none();
        end
    }

    fn record(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            let text = &mut self.text;
            match byte {
                // No JSON text has one: what it begins ends what was there before.
                &RECORD_SEPARATOR => {
                    if self.open || at > 0 {
                        self.text = Text::default();
                        return Some(at);
                    }
                    text.begun = true;
                }
                _ if text.in_string => match (text.escaped, byte) {
                    (false, b'\\') => text.escaped = true,
                    (false, b'"') => text.in_string = false,
                    _ => text.escaped = false,
                },
                // Space may stand in front of a text.
                b'\n' if text.depth == 0 && (text.content || !text.begun) => {
                    self.text = Text::default();
                    return Some(at + 1);
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => {
                    text.content = true;
                    match byte {
                        b'"' => text.in_string = true,
                        b'{' | b'[' => text.depth = text.depth.saturating_add(1),
                        b'}' | b']' => text.depth = text.depth.saturating_sub(1),
                        _ => {}
                    }
                }
            }
        }
        None
    }

    fn event(&mut self, bytes: &[u8]) -> Option<usize> {
        let lines = &mut self.lines;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if std::mem::take(&mut lines.after_return) && *byte == b'\n' {
                at += 1;
                // The end of a line whose item has gone already.
                if !self.open && at == 1 {
                    return Some(1);
                }
                continue;
            }
            if !matches!(byte, b'\r' | b'\n') {
                if !lines.in_line {
                    lines.in_line = true;
                    lines.in_comment = *byte == b':';
                    lines.fields |= !lines.in_comment;
                }
                let rest = bytes.get(at..).unwrap_or_default();
                at += memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                continue;
            }
            let ends = !lines.in_line || lines.in_comment && !lines.fields;
            at += 1;
            lines.after_return = *byte == b'\r';
            (lines.in_line, lines.in_comment) = (false, false);
            if ends {
                if lines.after_return && bytes.get(at) == Some(&b'\n') {
                    lines.after_return = false;
                    at += 1;
                }
                lines.fields = false;
                return Some(at);
            }
        }
        None
    }
}

/// One line of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLine<'a> {
    /// The line with its end.
    pub raw: &'a [u8],
    /// The name of the field; empty in comments and in empty lines.
    pub name: &'a [u8],
    /// Its value, without the space in front of it.
    pub value: &'a [u8],
    /// `\n`, `\r`, `\r\n`, or nothing at the end of the bytes.
    pub end: &'a [u8],
}

/// The lines of an event, as section 9.2.6 reads them.
pub fn event_lines(block: &[u8]) -> impl Iterator<Item = EventLine<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(length)?;
        let width = if behind.starts_with(b"\r\n") { 2 } else { behind.len().min(1) };
        let (raw, next) = rest.split_at_checked(length + width)?;
        rest = next;
        let (name, value) = match memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) {
            Some((name, value)) => {
                let value = value.get(1..).unwrap_or_default();
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, [].as_slice()),
        };
        Some(EventLine { raw, name, value, end: behind.get(..width).unwrap_or_default() })
    })
}
