//! JSON texts inside other values: parameters with a media type, fields of forms, items of streams.

use bartizan_pattern::body::json::{JsonLimits, Tape, TapeBuffer, Value};

/// Text that is no JSON document, or one with a name twice in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoJson;

/// Reads a small JSON text inside another value, and shows it.
pub(crate) fn with_json<T>(
    text: &[u8],
    limits: &JsonLimits,
    show: impl FnOnce(Value<'_>) -> T,
) -> Result<T, NoJson> {
    let mut buffer = TapeBuffer::new();
    let tape = Tape::parse(text, limits, &mut buffer).map_err(|_| NoJson)?;
    if tape.duplicate_key().is_some() {
        return Err(NoJson);
    }
    tape.root().map(show).ok_or(NoJson)
}
