//! JSON texts inside other values: parameters with a media type, fields of forms, items of streams.

use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer, Value};

/// Text that is no JSON document that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoJson {
    /// It is none.
    Malformed,
    /// It is one with a name twice in an object, or beyond a limit.
    Refused,
}

/// Reads a small JSON text inside another value, and shows it.
pub(crate) fn with_json<T>(
    text: &[u8],
    limits: &JsonLimits,
    show: impl FnOnce(Value<'_>) -> T,
) -> Result<T, NoJson> {
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(text, limits, &mut buffer).map_err(|error| match error.problem.is_limit() {
        true => NoJson::Refused,
        false => NoJson::Malformed,
    })?;
    if tape.duplicate_key().is_some() {
        return Err(NoJson::Refused);
    }
    tape.root().map(show).ok_or(NoJson::Malformed)
}
