//! Why `step_up` asks for more.

use std::borrow::Cow;

use bartizan_model::{Reason, ReasonInfo, Severity, Verdict};
use http::{HeaderName, HeaderValue, StatusCode};

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The caller showed no, or not enough of a, second factor.
    Required,
    /// The caller did, but too long ago, or it is not known when.
    TooOld,
    /// The key's owner has no second factor to show.
    NotEnrolled,
    /// The code is not one of the present time.
    CodeWrong,
    /// The code, or a later one, was taken before.
    CodeReplayed,
    /// Too many wrong codes: the next is looked at in so many seconds.
    Throttled(u64),
}

impl Why {
    /// The fixed part.
    #[must_use]
    pub const fn info(self) -> ReasonInfo {
        const CODE: &str = "The one-time code is not valid";
        let (code, severity, public) = match self {
            Why::Required => ("step_up.required", Severity::Low, "A stronger authentication is required"),
            Why::TooOld => ("step_up.too_old", Severity::Low, "A more recent authentication is required"),
            Why::NotEnrolled => (
                "step_up.not_enrolled",
                Severity::Low,
                "A second factor is required, and none is enrolled for this key's owner",
            ),
            Why::CodeWrong => ("step_up.code_wrong", Severity::Medium, CODE),
            Why::CodeReplayed => ("step_up.code_replayed", Severity::High, CODE),
            Why::Throttled(_) => {
                ("step_up.throttled", Severity::High, "Too many wrong one-time codes; try again later")
            }
        };
        let (status, verdict) = match self {
            Why::Throttled(_) => (StatusCode::TOO_MANY_REQUESTS, Verdict::Throttle),
            _ => (StatusCode::UNAUTHORIZED, Verdict::Challenge),
        };
        ReasonInfo { code, status, severity, verdict, public }
    }

    fn sentence(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Why::Required => "the caller showed no second factor that `step_up` accepts",
            Why::TooOld => {
                "the caller was authenticated longer ago than `step_up.max_age`, or it is not known when"
            }
            Why::NotEnrolled => "the API key's owner has no second factor",
            Why::CodeWrong => "the one-time code is not one of the present time",
            Why::CodeReplayed => "the one-time code, or a later one, was taken before",
            Why::Throttled(seconds) => {
                return Cow::Owned(format!(
                    "there were too many wrong one-time codes: the next one is looked at in {seconds} s"
                ));
            }
        })
    }

    fn advice(self) -> &'static str {
        match self {
            Why::Required | Why::TooOld => {
                "get a token by the authentication that the challenge names; with an API key, send the code of the \
                 authenticator app as `X-Bartizan-TOTP`"
            }
            Why::NotEnrolled => "enroll one by `bartizan mfa enroll OWNER`",
            Why::CodeWrong => {
                "see that the clocks agree: codes of 30 s before and after the present ones are taken"
            }
            Why::CodeReplayed => "wait for the app's next code: each one is taken once",
            Why::Throttled(_) => {
                "wait; somebody who has the key guesses codes, or the app knows another secret"
            }
        }
    }
}

/// What is missing, with the challenge that asks for it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What.
    pub why: Why,
    /// What the caller is told of how to go on.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reason for Refusal {
    const ALL: &'static [ReasonInfo] = &[
        Why::Required.info(),
        Why::TooOld.info(),
        Why::NotEnrolled.info(),
        Why::CodeWrong.info(),
        Why::CodeReplayed.info(),
        Why::Throttled(0).info(),
    ];

    fn info(&self) -> ReasonInfo {
        self.why.info()
    }

    fn detail(&self) -> Cow<'static, str> {
        self.why.sentence()
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(self.why.advice()))
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.clone()
    }
}
