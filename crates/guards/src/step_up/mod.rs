//! Asks for a second factor where a credential alone is not enough.
//!
//! # What it does
//! An operation with `step_up` lets only callers through who showed more than their credential, or did so recently. For
//! tokens that is what their issuer says: `acr` (one of those listed), `amr` (all of those listed) and `auth_time`
//! (`max_age`). Holders of API keys, who have no issuer, show the code of an authenticator app, enrolled by
//! `bartizan mfa enroll OWNER`, in the field `X-Bartizan-TOTP`: six digits, a new one every 30 s. Each code is taken once;
//! with `valid_for` it then holds a while for the same key from the same client. The code goes no further than here.
//!
//! With `when: risk >= N` more is asked only of callers whose credential is used in an unusual way, as `session` finds.
//!
//! # Why
//! OWASP API2:2023 (broken authentication): a stolen token or key alone should not move money. RFC 9470 lets an API ask for
//! the authentication that an operation is worth.
//!
//! # Example
//! ```yaml
//! acr: [mfa, urn:example:loa:3]
//! max_age: 5m
//! valid_for: 2m
//! ```
//!
//! # When it refuses
//! - 401 for a token: `WWW-Authenticate: Bearer error="insufficient_user_authentication"` with `acr_values` and `max_age`
//!   (RFC 9470 section 3). A token without `auth_time` is never recent enough for `max_age`.
//! - 401 for an API key: `WWW-Authenticate: TOTP realm="..", header="X-Bartizan-TOTP"` and `X-Bartizan-Step-Up: totp`, with the
//!   problem `urn:bartizan:problem:step_up.required`, `.not_enrolled`, `.code_wrong` or `.code_replayed`.
//! - 429 with `Retry-After` after five wrong codes in a row: 30 s, then twice as long for each further one, up to an hour.
//!
//! # Limits
//! Codes of the step before and after the present one are taken, for clocks that disagree. Which codes were taken is
//! remembered over restarts, wrong ones and `valid_for` are not. One owner has one factor, for all of its keys. The last codes
//! of 65,536 keys and clients are remembered. Where neither `acr`, `amr` nor `max_age` is given, a token's `amr` must name a
//! method beyond a password: `mfa`, `otp`, `hwk`, `swk`, `sc`, `pop`, `sms`, `tel`, `fpt`, `face`, `iris`, `retina`, `vbm` or
//! `mca`. Callers by certificate or signature show no second factor.
//!
//! # References
//! - RFC 9470 (step-up authentication challenge), RFC 8176 (methods), OpenID Connect Core section 2 (`acr`, `auth_time`)
//! - RFC 6238 (TOTP), RFC 4226 (HOTP)
//! - OWASP API Security Top 10 2023, API2

mod config;
mod demand;
mod probes;
mod reason;
#[cfg(test)]
mod tests;
mod totp;

use bartizan_model::{CompileContext, Diagnostics, Guard, Outcome, Timestamp, Transaction, probe::Probes};
use http::StatusCode;

pub use config::{Config, Factor, Names, When};
pub(crate) use demand::Demand;
pub use reason::{Refusal, Why};

/// The compiled guard.
pub struct StepUp {
    demand: Demand,
    when: Option<When>,
}

impl Guard for StepUp {
    const ID: &'static str = "step_up";
    type Config = Config;
    type Reason = Refusal;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        Ok(StepUp { demand: Demand::compile(&config, context)?, when: config.when })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Refusal> {
        if self.when.is_some_and(|when| transaction.risk < when.risk) {
            return Outcome::Continue;
        }
        match self.demand.judge(transaction, None) {
            Ok(()) => Outcome::Continue,
            Err(refusal) if refusal.why.info().status == StatusCode::UNAUTHORIZED => {
                Outcome::Challenge(refusal)
            }
            Err(refusal) => Outcome::Deny(refusal),
        }
    }

    fn probes(&self, now: Timestamp) -> Probes {
        probes::offer(self, now)
    }
}
