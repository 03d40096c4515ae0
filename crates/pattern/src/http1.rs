//! The strict reading of HTTP/1 bytes from a client: every head is validated before an HTTP library sees it.

mod chunked;
mod head;
mod host;
mod refusal;
#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod tests;

use chunked::Chunked;
use head::{BESIDE_TARGET, Head, is_method_byte};
pub use host::is_authority;
pub use refusal::HeadRefusal;

/// What one head may cost.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Header fields, and as many trailer fields.
    pub header_count: usize,
    /// Bytes of the whole head, and as many of the trailer.
    pub header_bytes: usize,
}

/// What to do with the bytes that were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing can be said yet: show the same bytes again with more behind them.
    NeedMore,
    /// A complete, valid head of so many bytes: release them.
    Head {
        /// Its length including the empty line.
        bytes: usize,
    },
    /// So many body bytes are well framed: release them.
    Body {
        /// How many.
        bytes: usize,
    },
    /// What follows must not be released.
    Refuse(HeadRefusal),
}

/// What the last complete head said about its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFacts {
    /// The value of `Content-Length`.
    pub content_length: Option<u64>,
    /// The body is chunked.
    pub chunked: bool,
    /// The client waits for `100 Continue` (never with HTTP/1.0).
    pub expect_continue: bool,
    /// The version is HTTP/1.0.
    pub http_1_0: bool,
}

impl HeadFacts {
    /// Whether a body with at least one byte of framing or data follows.
    #[must_use]
    pub fn has_body(self) -> bool {
        self.chunked || self.content_length.is_some_and(|length| length > 0)
    }
}

/// Follows the client's bytes of one connection: heads, and just enough of bodies to find the next head.
///
/// What is said never depends on how the bytes were cut into reads. Each byte of a head is looked at about once however
/// slowly it comes, and nothing is allocated.
#[derive(Debug)]
pub struct Scanner {
    bounds: HeadBounds,
    state: State,
    facts: HeadFacts,
}

#[derive(Debug)]
enum State {
    Head(Lines),
    Fixed { left: u64 },
    Chunked(Chunked),
    Refused(HeadRefusal),
}

/// How far a head has been read, in bytes from its start.
#[derive(Debug, Default)]
struct Lines {
    /// Where the next line begins.
    line: usize,
    /// Before here no line ends that was not read.
    searched: usize,
    /// An empty line came first (RFC 9112 section 2.2).
    skipped_empty: bool,
    /// The request line has been read.
    begun: bool,
    head: Head,
}

impl Scanner {
    /// At the start of a connection.
    #[must_use]
    pub fn new(bounds: HeadBounds) -> Self {
        Scanner { bounds, state: State::Head(Lines::default()), facts: HeadFacts::default() }
    }

    /// Looks at `input`, the bytes that follow those already released. After a refusal it stays refused.
    pub fn scan(&mut self, input: &[u8]) -> Progress {
        match &mut self.state {
            State::Head(lines) => match lines.read(input, &self.bounds) {
                Ok(None) => Progress::NeedMore,
                Ok(Some((bytes, facts))) => {
                    self.facts = facts;
                    self.state = match facts.content_length {
                        _ if facts.chunked => State::Chunked(Chunked::new()),
                        Some(left) if left > 0 => State::Fixed { left },
                        _ => State::Head(Lines::default()),
                    };
                    Progress::Head { bytes }
                }
                Err(refusal) => self.refuse(refusal),
            },
            State::Fixed { left } => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                if bytes == 0 {
                    return Progress::NeedMore;
                }
                *left -= bytes as u64;
                if *left == 0 {
                    self.state = State::Head(Lines::default());
                }
                Progress::Body { bytes }
            }
            State::Chunked(body) => {
                let step = body.follow(input, &self.bounds);
                if body.is_done() {
                    self.state = State::Head(Lines::default());
                }
                match step.refusal {
                    // The well-framed bytes first: the next look comes to the same refusal.
                    _ if step.bytes > 0 => Progress::Body { bytes: step.bytes },
                    Some(refusal) => self.refuse(refusal),
                    None => Progress::NeedMore,
                }
            }
            State::Refused(refusal) => Progress::Refuse(*refusal),
        }
    }

    /// Whether the scanner stands between two requests (nothing of a head or body is pending).
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(&self.state, State::Head(lines) if !lines.begun && lines.searched == lines.line)
    }

    /// What the head that was released last said about its body.
    #[must_use]
    pub fn head_facts(&self) -> HeadFacts {
        self.facts
    }

    fn refuse(&mut self, refusal: HeadRefusal) -> Progress {
        self.state = State::Refused(refusal);
        Progress::Refuse(refusal)
    }
}

impl Lines {
    /// Reads the lines that are complete; the length of the head and its facts at its end.
    fn read(&mut self, input: &[u8], bounds: &HeadBounds) -> Result<Option<(usize, HeadFacts)>, HeadRefusal> {
        loop {
            let fresh = input.get(self.searched..).unwrap_or_default();
            let line_feed = memchr::memchr(b'\n', fresh).map(|at| self.searched + at);
            let end = line_feed.map_or(input.len(), |at| at + 1);
            self.check_beginning(input.get(self.line..end).unwrap_or_default(), bounds)?;
            if end > bounds.header_bytes {
                return Err(HeadRefusal::HeadTooLarge);
            }
            let Some(line_feed) = line_feed else {
                self.searched = input.len();
                return Ok(None);
            };
            let start = std::mem::replace(&mut self.line, end);
            self.searched = end;
            let line = input.get(start..line_feed).unwrap_or_default();
            let line = line.strip_suffix(b"\r").ok_or(HeadRefusal::BareLf)?;
            match (self.begun, line.is_empty()) {
                (false, true) if self.skipped_empty => return Err(HeadRefusal::EmptyLines),
                (false, true) => self.skipped_empty = true,
                (false, false) => {
                    self.head.request_line(line, start, bounds)?;
                    self.begun = true;
                }
                (true, false) => self.head.field_line(line, start, bounds)?,
                (true, true) => {
                    let facts = self.head.finish(input.get(..end).unwrap_or_default())?;
                    return Ok(Some((end, facts)));
                }
            }
        }
    }

    /// What can be said of a request line before it is complete, so that bytes that are no HTTP are refused at once.
    fn check_beginning(&self, line: &[u8], bounds: &HeadBounds) -> Result<(), HeadRefusal> {
        if self.begun {
            return Ok(());
        }
        // No longer than the whole head may be, so that the refusal is one however the line comes.
        let longest = bounds.target_bytes.saturating_add(BESIDE_TARGET + "\r\n".len());
        let longest = longest.min(bounds.header_bytes.saturating_sub(self.line));
        match line.first() {
            None | Some(b'\r' | b'\n') => Ok(()),
            Some(first) if !is_method_byte(*first) => Err(HeadRefusal::Method),
            Some(_) if line.len() > longest => Err(HeadRefusal::TargetTooLong),
            Some(_) => Ok(()),
        }
    }
}
