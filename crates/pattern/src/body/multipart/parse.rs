//! The one pass over the lines of a body.

use memchr::memmem;

use super::{
    KeySet, MultipartBuffer, MultipartError, MultipartFlag, MultipartLimits, MultipartProblem, Outcome,
    boundary, disposition,
    part::{self, HeaderRecord, Record},
};

/// Fills `buffer`.
pub(super) fn parse(
    content_type: &[u8],
    bytes: &[u8],
    limits: &MultipartLimits,
    buffer: &mut MultipartBuffer,
) {
    buffer.parts.clear();
    buffer.headers.clear();
    buffer.length = bytes.len();
    let found = boundary::read(content_type);
    let error = found.problem.map(|problem| MultipartError { offset: 0, problem });
    let outcome = Outcome { flags: found.flags, error, ..Outcome::default() };
    let mut parser = Parser {
        bytes,
        limits: *limits,
        form: found.form,
        quoted: found.flags.contains(MultipartFlag::BoundaryQuoted),
        marker: found.marker.as_deref().unwrap_or_default(),
        buffer,
        outcome,
        part: None,
        boundaries: 0,
        files: 0,
        crlf_line: false,
    };
    match found.marker {
        Some(_) if u32::try_from(bytes.len()).is_err() => parser.fail(0, MultipartProblem::BodyTooLong),
        Some(_) => parser.body(),
        None => {}
    }
    parser.finish();
}

struct Parser<'a> {
    bytes: &'a [u8],
    limits: MultipartLimits,
    /// Parts are fields of a form: each has a name.
    form: bool,
    quoted: bool,
    /// Two dashes and the boundary.
    marker: &'a [u8],
    buffer: &'a mut MultipartBuffer,
    outcome: Outcome,
    part: Option<Open>,
    boundaries: u32,
    files: u32,
    crlf_line: bool,
}

/// A part whose end has not come.
struct Open {
    record: Record,
    in_headers: bool,
}

/// What a line is.
enum Line {
    Boundary { last: bool },
    Other,
}

impl Parser<'_> {
    fn body(&mut self) {
        let finder = memmem::Finder::new(self.marker);
        let mut inner = finder.find_iter(self.bytes).peekable();
        let dashes = memmem::Finder::new(b"\n--");
        let mut at = 0;
        while at < self.bytes.len() && !self.outcome.complete {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let mut end = memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |length| at + length + 1);
            if !rest.starts_with(b"--") {
                if self.part.as_ref().is_some_and(|part| !part.in_headers) {
                    // Of data only lines of dashes are looked at.
                    end = dashes.find(rest).map_or(self.bytes.len(), |length| at + length + 1);
                }
                while inner.next_if(|hit| *hit < at).is_some() {}
                if inner.peek().is_some_and(|hit| *hit < end) {
                    self.unmatched();
                }
            }
            let line = self.bytes.get(at..end).unwrap_or_default();
            match self.classify(line, at) {
                Line::Boundary { last } => {
                    self.close(at);
                    self.boundaries += 1;
                    self.outcome.complete = last;
                    if !last && !self.begin(end) {
                        return;
                    }
                }
                Line::Other => self.other(line, at),
            }
            at = end;
        }
        if self.outcome.complete {
            if at < self.bytes.len() {
                self.flag(MultipartFlag::DataAfter);
            }
        } else {
            self.close(self.bytes.len());
            let problem = match self.boundaries {
                0 => MultipartProblem::NoBoundaryLine,
                _ => MultipartProblem::FinalBoundaryMissing,
            };
            self.fail(self.bytes.len(), problem);
        }
    }

    fn classify(&mut self, line: &[u8], at: usize) -> Line {
        let Some(dashed) = line.strip_prefix(b"--").filter(|dashed| dashed.len() > 1) else {
            return Line::Other;
        };
        let Some(behind) = line.strip_prefix(self.marker) else {
            let name = self.marker.get(2..).unwrap_or_default();
            let decorated = self.quoted
                && dashed.strip_prefix(b"\"").is_some_and(|inner| inner.starts_with(name))
                || dashed.first().is_some_and(u8::is_ascii_whitespace)
                    && dashed.trim_ascii_start().starts_with(name);
            if decorated {
                self.fail(at, MultipartProblem::BoundaryLineDecorated);
            } else {
                self.unmatched();
            }
            return Line::Other;
        };
        if self.boundaries > 0 && line.ends_with(b"\n") {
            self.outcome.unmatched_boundary = 2;
        }
        let last = behind.starts_with(b"--");
        let ending = if last { behind.get(2..).unwrap_or_default() } else { behind };
        match ending {
            b"\r\n" | b"\n" => self.line_end(ending),
            b"" if last && self.boundaries > 0 => {}
            b"" => return Line::Other,
            // Padding is allowed by RFC 2046 and not known to every reader.
            _ if ending.ends_with(b"\n") && ending.trim_ascii().is_empty() => {
                self.fail(at, MultipartProblem::BoundaryLine);
                self.line_end(ending);
            }
            _ => {
                self.fail(at, MultipartProblem::BoundaryLine);
                return Line::Other;
            }
        }
        Line::Boundary { last }
    }

    fn unmatched(&mut self) {
        self.outcome.unmatched_boundary = 1;
        self.flag(MultipartFlag::UnmatchedBoundary);
    }

    /// Begins the part behind a boundary; false where it is one too many.
    fn begin(&mut self, at: usize) -> bool {
        if self.buffer.parts.len() >= self.limits.parts as usize {
            self.fail(at, MultipartProblem::TooManyParts);
            return false;
        }
        let headers = offset(self.buffer.headers.len());
        let record = Record {
            headers: (headers, headers),
            start: offset(at),
            data: (offset(at), offset(at)),
            ..Record::default()
        };
        self.part = Some(Open { record, in_headers: true });
        true
    }

    /// Ends the part before a boundary line at `at`, or before the end of the body.
    fn close(&mut self, at: usize) {
        let in_headers = self.part.as_ref().is_some_and(|part| part.in_headers);
        if in_headers {
            self.end_headers(at, at);
        }
        // RFC 2046 lets a part end with its header; readers disagree on whether the empty line's end begins the boundary.
        let ends_early = self.part.as_ref().is_some_and(|part| part.record.data.0 as usize == at);
        if ends_early && (in_headers || self.form) {
            self.fail(at, MultipartProblem::BodyMissing);
            self.invalid_part();
        }
        // The line end before a boundary belongs to it (RFC 2046 section 5.1.1), and is CRLF.
        let before = self.bytes.get(..at).unwrap_or_default();
        let line_end = match before {
            _ if at == self.bytes.len() => 0,
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => {
                self.part_flag(MultipartFlag::LfLine);
                1
            }
            _ => 0,
        };
        let Some(Open { mut record, .. }) = self.part.take() else { return };
        record.data.1 = offset(at - line_end).max(record.data.0);
        self.outcome.flags.add(record.flags);
        self.buffer.parts.push(record);
    }

    /// A line that is no boundary.
    fn other(&mut self, line: &[u8], at: usize) {
        match &self.part {
            None => self.flag(MultipartFlag::DataBefore),
            Some(part) if part.in_headers => self.header_line(line, at),
            Some(_) => {}
        }
    }

    fn header_line(&mut self, line: &[u8], at: usize) {
        self.line_end(line);
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() && line.ends_with(b"\n") {
            self.end_headers(at, at + line.len());
            return;
        }
        if text.contains(&0) {
            self.fail(at, MultipartProblem::HeaderNul);
        }
        if line.first().is_some_and(|byte| is_space(*byte)) {
            self.folded(text, at);
            return;
        }
        let colon = memchr::memchr(b':', text);
        let problem = match colon.and_then(|colon| text.get(..colon)) {
            None => Some(MultipartProblem::HeaderColon),
            Some(name) if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) => {
                Some(MultipartProblem::HeaderName)
            }
            Some(name) if self.has_header(name) => Some(MultipartProblem::HeaderDuplicate),
            Some(_) if text.len() > self.limits.header_bytes as usize => {
                Some(MultipartProblem::HeaderTooLong)
            }
            Some(_) => None,
        };
        if let Some(problem) = problem {
            self.fail(at, problem);
        }
        let Some(Open { record, .. }) = &mut self.part else { return };
        if record.headers.1 - record.headers.0 >= self.limits.headers {
            self.fail(at, MultipartProblem::TooManyHeaders);
            return;
        }
        record.headers.1 += 1;
        self.buffer.headers.push(HeaderRecord {
            start: offset(at),
            colon: offset(at + colon.unwrap_or_default()),
            value: offset(at + colon.map_or(0, |colon| colon + 1)),
            end: offset(at + text.len()),
        });
    }

    /// A line that goes on with the field before it.
    fn folded(&mut self, text: &[u8], at: usize) {
        self.part_flag(MultipartFlag::HeaderFolding);
        let prefix = text.iter().take_while(|byte| is_space(**byte));
        if prefix.clone().any(|byte| !matches!(byte, b' ' | b'\t')) || text.is_empty() {
            self.part_flag(MultipartFlag::InvalidHeaderFolding);
        }
        let first = self.part.as_ref().is_none_or(|part| part.record.headers.0 == part.record.headers.1);
        match self.buffer.headers.last_mut() {
            Some(header) if !first => {
                header.end = offset(at + text.len());
                if header.end - header.start > self.limits.header_bytes {
                    self.fail(at, MultipartProblem::HeaderTooLong);
                }
            }
            _ => self.fail(at, MultipartProblem::HeaderFolding),
        }
    }

    fn has_header(&self, name: &[u8]) -> bool {
        self.part.as_ref().is_some_and(|open| {
            let part = part::Part { bytes: self.bytes, headers: &self.buffer.headers, record: open.record };
            part.headers().any(|header| header.name.eq_ignore_ascii_case(name))
        })
    }

    /// The header fields of the part are complete: its data begins at `data`.
    fn end_headers(&mut self, at: usize, data: usize) {
        let Some(Open { record, in_headers }) = &mut self.part else { return };
        *in_headers = false;
        record.data = (offset(data), offset(data));
        let part = part::Part { bytes: self.bytes, headers: &self.buffer.headers, record: *record };
        let field = part.headers().find(|header| header.name.eq_ignore_ascii_case(b"content-disposition"));
        let Some(field) = field else {
            if self.form {
                self.fail(at, MultipartProblem::DispositionMissing);
                self.invalid_part();
            }
            return;
        };
        let start = field.offset;
        let base = start + field.line.trim_ascii_end().len() - field.value.len();
        let found = disposition::read(field.value, offset(base), self.form);
        record.name = found.name;
        record.filename = found.filename;
        record.extended = found.extended;
        record.flags.add(found.flags);
        let is_file = found.filename.is_some_and(|text| text.start < text.end);
        let named = found.name.is_some_and(|text| text.start < text.end);
        if !found.valid {
            self.fail(start, MultipartProblem::Disposition);
            self.invalid_part();
        }
        if self.form && !named {
            self.fail(start, MultipartProblem::NameMissing);
            self.invalid_part();
        }
        if is_file {
            self.files += 1;
            if self.files > self.limits.files {
                self.part_flag(MultipartFlag::FileLimitExceeded);
            }
        }
    }

    /// Notes how a boundary or header line ends.
    fn line_end(&mut self, line: &[u8]) {
        match line {
            [.., b'\r', b'\n'] => self.crlf_line = true,
            _ => self.flag(MultipartFlag::LfLine),
        }
    }

    fn invalid_part(&mut self) {
        self.part_flag(MultipartFlag::InvalidPart);
    }

    fn part_flag(&mut self, flag: MultipartFlag) {
        self.flag(flag);
        if let Some(part) = &mut self.part {
            part.record.flags.set(flag);
        }
    }

    fn flag(&mut self, flag: MultipartFlag) {
        self.outcome.flags.set(flag);
    }

    fn fail(&mut self, offset: usize, problem: MultipartProblem) {
        self.outcome.error.get_or_insert(MultipartError { offset, problem });
    }

    /// What only the whole body tells.
    fn finish(&mut self) {
        if self.crlf_line && self.outcome.flags.contains(MultipartFlag::LfLine) {
            self.flag(MultipartFlag::CrlfLfLines);
        }
        let MultipartBuffer { parts, keys, .. } = &mut *self.buffer;
        if has_duplicate_name(self.bytes, parts, keys) {
            self.flag(MultipartFlag::DuplicateName);
        }
        self.buffer.outcome = self.outcome;
    }
}

fn has_duplicate_name(bytes: &[u8], parts: &[Record], keys: &mut KeySet) -> bool {
    let name = |index: u32| parts.get(index as usize).and_then(|part| part.name);
    let named = (0..offset(parts.len())).filter(|index| name(*index).is_some());
    let text = |index| name(index).map(|text| part::decode(bytes, text)).unwrap_or_default();
    keys.first_duplicate(parts.len(), named, text).is_some()
}

/// White space as C's `isspace` has it, which is what PHP and ModSecurity fold at.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// An offset or count: both are below 2^32, which is checked at the start.
#[expect(clippy::cast_possible_truncation, reason = "INVARIANT: a body has fewer than 2^32 bytes")]
fn offset(at: usize) -> u32 {
    at as u32
}
