//! The boundary, as `Content-Type` gives it.

use memchr::memmem;
use smallvec::SmallVec;

use super::{MultipartFlag, MultipartFlags, MultipartProblem};

/// Longest field value that is looked at, as in ModSecurity.
const MOST_BYTES: usize = 1024;

/// Longest boundary (RFC 2046 section 5.1.1).
const LONGEST: usize = 70;

/// What `Content-Type` says about parts.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    /// Two dashes and the boundary; none where no boundary can be used.
    pub(super) marker: Option<SmallVec<[u8; 96]>>,
    /// It is `multipart/form-data`, whose parts have names.
    pub(super) form: bool,
    pub(super) flags: MultipartFlags,
    pub(super) problem: Option<MultipartProblem>,
}

/// Reads the field value, as far as it is clear what is meant.
pub(super) fn read(content_type: &[u8]) -> Boundary {
    let mut found = Boundary::default();
    let value = content_type.trim_ascii();
    if value.len() > MOST_BYTES {
        found.problem = Some(MultipartProblem::ContentTypeTooLong);
        return found;
    }
    let end = value.iter().position(|byte| is_space(*byte) || *byte == b';').unwrap_or(value.len());
    let (essence, rest) = value.split_at_checked(end).unwrap_or((value, b""));
    found.form = essence.eq_ignore_ascii_case(b"multipart/form-data");
    if !essence.get(..10).is_some_and(|top| top.eq_ignore_ascii_case(b"multipart/")) {
        found.problem = Some(MultipartProblem::NotMultipart);
        return found;
    }
    if !essence.iter().skip(10).all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(byte)) {
        found.note(MultipartProblem::ContentTypeMalformed);
    }
    let mut boundary = None;
    let complete = found.parameters(rest, &mut boundary);
    match boundary {
        Some(Ok(boundary)) => found.check(boundary),
        Some(Err(problem)) => found.note(problem),
        None if complete => found.note(MultipartProblem::BoundaryMissing),
        None => {}
    }
    found
}

impl Boundary {
    fn note(&mut self, problem: MultipartProblem) {
        self.problem.get_or_insert(problem);
    }

    /// Looks for the boundary among the parameters; whether all of them could be read.
    fn parameters<'a>(
        &mut self,
        mut rest: &'a [u8],
        boundary: &mut Option<Result<&'a [u8], MultipartProblem>>,
    ) -> bool {
        loop {
            rest = rest.trim_ascii_start();
            match rest.first() {
                None => return true,
                Some(b';') => rest = rest.get(1..).unwrap_or_default().trim_ascii_start(),
                Some(_) if starts_with_word(rest) => self.flags.set(MultipartFlag::MissingSemicolon),
                Some(_) => {
                    self.note(MultipartProblem::ContentTypeMalformed);
                    return false;
                }
            }
            if rest.is_empty() || rest.starts_with(b";") {
                continue;
            }
            let Some(parameter) = Parameter::read(rest) else {
                self.note(MultipartProblem::ContentTypeMalformed);
                return false;
            };
            rest = parameter.rest;
            if !parameter.name.eq_ignore_ascii_case(b"boundary") {
                if parameter.value.is_err() {
                    self.note(MultipartProblem::ContentTypeMalformed);
                }
                continue;
            }
            if parameter.name != b"boundary" {
                self.note(MultipartProblem::BoundaryCase);
            }
            if parameter.spaced {
                self.flags.set(MultipartFlag::BoundaryWhitespace);
            }
            if parameter.quoted && parameter.value.is_ok() {
                self.flags.set(MultipartFlag::BoundaryQuoted);
            }
            if parameter.padded {
                // Some readers take the space for a part of the boundary.
                self.note(MultipartProblem::BoundaryCharacters);
            }
            *boundary = Some(match boundary {
                Some(_) => Err(MultipartProblem::BoundaryDuplicate),
                None => parameter.value,
            });
        }
    }

    fn check(&mut self, boundary: &[u8]) {
        // The word itself and an equals sign inside: a reader that searches for them finds another boundary.
        if boundary.len().checked_sub(8).is_some_and(|last| {
            (0..=last).any(|at| {
                let (word, behind) =
                    boundary.get(at..).unwrap_or_default().split_at_checked(8).unwrap_or_default();
                word.eq_ignore_ascii_case(b"boundary") && behind.contains(&b'=')
            })
        }) {
            self.note(MultipartProblem::BoundaryDuplicate);
            return;
        }
        if boundary.is_empty() || boundary.len() > LONGEST {
            self.note(MultipartProblem::BoundaryLength);
            return;
        }
        if !boundary.iter().all(|byte| is_boundary_byte(*byte)) || boundary.ends_with(b" ") {
            self.note(MultipartProblem::BoundaryCharacters);
        }
        let mut marker = SmallVec::from_slice(b"--");
        marker.extend_from_slice(boundary);
        self.marker = Some(marker);
    }
}

/// One parameter, read as tolerantly as can be while it is clear where it ends.
struct Parameter<'a> {
    name: &'a [u8],
    value: Result<&'a [u8], MultipartProblem>,
    quoted: bool,
    /// White space is around the equals sign.
    spaced: bool,
    /// It is behind the equals sign.
    padded: bool,
    rest: &'a [u8],
}

impl<'a> Parameter<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        let end = text.iter().position(|byte| is_space(*byte) || matches!(byte, b'=' | b';' | b'"'))?;
        let (name, behind) = text.split_at_checked(end)?;
        let equals = behind.trim_ascii_start();
        let written = equals.strip_prefix(b"=")?;
        let value = written.trim_ascii_start();
        let padded = value.len() < written.len();
        let spaced = equals.len() < behind.len() || padded;
        if let Some(inner) = value.strip_prefix(b"\"") {
            let end = memchr::memchr(b'"', inner);
            let (value, rest) = match end {
                Some(end) => (inner.get(..end).ok_or(()), inner.get(end + 1..)?),
                None => (Err(()), b"".as_slice()),
            };
            let value = value.map_err(|()| MultipartProblem::BoundaryQuote);
            return Some(Parameter { name, value, quoted: true, spaced, padded, rest });
        }
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (value, rest) = value.split_at_checked(end)?;
        let value = value.trim_ascii_end();
        let value = if value.contains(&b'"') { Err(MultipartProblem::BoundaryQuote) } else { Ok(value) };
        Some(Parameter { name, value, quoted: false, spaced, padded, rest })
    }
}

/// Whether `boundary` and, anywhere behind it, an equals sign come next: the semicolon is missing.
fn starts_with_word(text: &[u8]) -> bool {
    text.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"boundary"))
        && memmem::find(text, b"=").is_some()
}

/// `bchars` of RFC 2046 section 5.1.1.
fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}
