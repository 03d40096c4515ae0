//! Why `response_contract` withholds a response.

use std::borrow::Cow;

use bartizan_contract::shape::Noticed;
use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::StatusCode;

/// What the contract does not say of a response. The text is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The status.
    Status(String),
    /// The media type.
    MediaType(String),
    /// A header field.
    Header(String),
    /// Members that no schema names.
    Undeclared(String),
    /// Members that only clients write.
    WriteOnly(String),
    /// Something else that does not fit.
    Invalid(String),
    /// It could not be judged.
    Undecided(String),
}

impl Why {
    /// Of a member at a JSON pointer.
    pub(super) fn of_member(noticed: Noticed, pointer: &str) -> Self {
        match noticed {
            Noticed::WriteOnly => Why::WriteOnly(format!("response{pointer} is `writeOnly`")),
            Noticed::Undeclared | Noticed::ReadOnly => {
                Why::Undeclared(format!("response{pointer} is not part of the contract"))
            }
        }
    }

    /// The same, where it cannot be taken out.
    pub(super) fn because(self, why: &str) -> Self {
        let text = |text: String| format!("{text}, and cannot be taken out: {why}");
        match self {
            Why::Undeclared(told) => Why::Undeclared(text(told)),
            Why::WriteOnly(told) => Why::WriteOnly(text(told)),
            other => other,
        }
    }
}

const STATUS: ReasonInfo = ReasonInfo {
    code: "response_contract.status",
    status: StatusCode::BAD_GATEWAY,
    severity: Severity::Low,
    verdict: Verdict::Deny,
    public: "The API's answer is withheld",
};
const MEDIA_TYPE: ReasonInfo = ReasonInfo { code: "response_contract.media_type", ..STATUS };
const HEADER: ReasonInfo = ReasonInfo { code: "response_contract.header", ..STATUS };
const UNDECLARED: ReasonInfo =
    ReasonInfo { code: "response_contract.undeclared", severity: Severity::Medium, ..STATUS };
const WRITE_ONLY: ReasonInfo =
    ReasonInfo { code: "response_contract.write_only", severity: Severity::High, ..STATUS };
const INVALID: ReasonInfo = ReasonInfo { code: "response_contract.invalid", ..STATUS };
const UNDECIDED: ReasonInfo = ReasonInfo { code: "response_contract.undecided", ..STATUS };

impl Reason for Why {
    const ALL: &'static [ReasonInfo] =
        &[STATUS, MEDIA_TYPE, HEADER, UNDECLARED, WRITE_ONLY, INVALID, UNDECIDED];

    fn info(&self) -> ReasonInfo {
        match self {
            Why::Status(_) => STATUS,
            Why::MediaType(_) => MEDIA_TYPE,
            Why::Header(_) => HEADER,
            Why::Undeclared(_) => UNDECLARED,
            Why::WriteOnly(_) => WRITE_ONLY,
            Why::Invalid(_) => INVALID,
            Why::Undecided(_) => UNDECIDED,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Owned(match self {
            Why::Status(text)
            | Why::MediaType(text)
            | Why::Header(text)
            | Why::Undeclared(text)
            | Why::WriteOnly(text)
            | Why::Invalid(text)
            | Why::Undecided(text) => text.clone(),
        })
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        let setting = match self {
            Why::Status(_) => "status",
            Why::MediaType(_) => "media_type",
            Why::Header(_) => "header",
            Why::Undeclared(_) => "undeclared_properties",
            Why::WriteOnly(_) => "write_only",
            Why::Invalid(_) => "invalid",
            Why::Undecided(_) => "undecided",
        };
        let text = format!(
            "if the answer is right, say so in the contract; `response_contract.{setting}: monitor` lets it leave meanwhile"
        );
        Some(text.into())
    }
}
