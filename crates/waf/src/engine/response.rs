//! A response to what rules can look at.

use bartizan_pattern::body::json::{Tape, TapeBuffer};

use super::{
    body::{body_limits, read_json},
    exchange::{Entry, Exchange},
    live::Controls,
};
use crate::lang::{Processor, Settings};

impl Exchange {
    pub(super) fn read_response_head(&mut self, status: u16, version: &[u8], headers: &[(&[u8], &[u8])]) {
        self.status = Some(status);
        self.response_protocol = version.to_vec();
        self.response_headers = headers.iter().map(|(name, value)| Entry::new(*name, *value)).collect();
    }

    /// The media type of the response, in lower case, without parameters; empty where there is none.
    pub(super) fn response_type(&self) -> Vec<u8> {
        let value = self.response_header(b"content-type").unwrap_or_default();
        let media = value.split(|byte| *byte == b';').next().unwrap_or_default();
        media.trim_ascii().to_ascii_lowercase()
    }

    /// Whether rules look into bodies of the response's media type.
    pub(super) fn has_response_type(&self, settings: &Settings) -> bool {
        let media = self.response_type();
        let mut types = settings.response_body_types.iter();
        types.any(|known| known.as_bytes() == media || (media.is_empty() && &**known == "null"))
    }

    pub(super) fn read_response_body(&mut self, body: &[u8], settings: &Settings, controls: &Controls) {
        self.response_body = body.to_vec();
        if controls.response_processor == Some(Processor::Json) {
            // A body that is no document leaves no arguments; the text itself is looked at either way.
            let mut buffer = TapeBuffer::new();
            if let Ok(tape) = Tape::parse(body, &body_limits(settings, controls).json, &mut buffer) {
                read_json(tape, settings.arguments_limit, [], &mut self.response_args);
            }
        }
    }
}
