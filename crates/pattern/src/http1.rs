//! The strict reading of HTTP/1 bytes from a client.

/// What one head may cost.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Header fields.
    pub header_count: usize,
    /// Bytes of the whole head.
    pub header_bytes: usize,
}

/// Why a request is refused before anything decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadRefusal {
    /// Placeholder.
    Malformed,
}

impl HeadRefusal {
    /// Stable code, such as `ingress.two_hosts`.
    #[must_use]
    pub fn code(self) -> &'static str {
        "ingress.malformed"
    }
    /// The status of the refusal.
    #[must_use]
    pub fn status(self) -> u16 {
        400
    }
    /// Operator's detail.
    #[must_use]
    pub fn detail(self) -> &'static str {
        "malformed"
    }
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

/// Follows the client's bytes of one connection: heads, and just enough of bodies to find the next head.
#[derive(Debug)]
pub struct Scanner {
    bounds: HeadBounds,
}

impl Scanner {
    /// At the start of a connection.
    #[must_use]
    pub fn new(bounds: HeadBounds) -> Self {
        Scanner { bounds }
    }

    /// Looks at `input`, the bytes that follow those already released.
    pub fn scan(&mut self, input: &[u8]) -> Progress {
        let _ = self.bounds;
        Progress::Body { bytes: input.len() }
    }

    /// Whether the scanner stands between two requests (nothing of a head or body is pending).
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }

    /// How many of the next bytes are plain body and need not be shown (a `Content-Length` body); zero otherwise.
    #[must_use]
    pub fn body_left(&self) -> u64 {
        0
    }

    /// Tells that so many plain body bytes were released without being shown; at most [`Scanner::body_left`].
    pub fn skip_body(&mut self, bytes: u64) {
        let _ = bytes;
    }
}
