//! `security_headers` refuses nothing.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo};

/// Has no value: there is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {}

impl Reason for Why {
    const ALL: &'static [ReasonInfo] = &[];

    fn info(&self) -> ReasonInfo {
        match *self {}
    }

    fn detail(&self) -> Cow<'static, str> {
        match *self {}
    }
}
