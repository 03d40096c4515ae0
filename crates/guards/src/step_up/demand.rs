//! What has to be shown, compiled, and whether it was.

use std::{sync::Arc, time::Duration};

use bartizan_model::{
    CompileContext, CredentialKind, Diagnostic, Diagnostics, Principal, Timestamp, Transaction,
    services::Factors,
};
use http::{
    HeaderName, HeaderValue,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{
    config::{Config, Factor},
    reason::{Refusal, Why},
    totp,
};
use crate::{client_print::ClientPrint, digest, remembered::Remembered};

/// Where a code is expected. The gateway passes no field of its own name on.
pub(super) const CODE: HeaderName = HeaderName::from_static("x-bartizan-totp");

/// Names the factor that is asked for.
const FACTOR: HeaderName = HeaderName::from_static("x-bartizan-step-up");

/// Keys from clients whose last code is remembered.
const GRANTS: usize = 65_536;

/// Under which name an exchange remembers that its code was taken.
const MEMORY: &str = "step_up";

/// Methods beyond something that is known (RFC 8176 section 2): any of them is a second factor, or stands for several.
const BEYOND_A_PASSWORD: [&str; 14] =
    ["mfa", "otp", "hwk", "swk", "sc", "pop", "sms", "tel", "fpt", "face", "iris", "retina", "vbm", "mca"];

/// A compiled demand.
pub(crate) struct Demand {
    acr: Vec<String>,
    amr: Vec<String>,
    max_age: Option<Duration>,
    factor: Factor,
    valid_for: Duration,
    /// What bearers of tokens are told (RFC 9470 section 3).
    bearer: HeaderValue,
    /// What bearers of tokens are told whose authentication is too old.
    bearer_again: HeaderValue,
    /// What holders of keys are told.
    holder: HeaderValue,
    factors: Arc<dyn Factors>,
    grants: Arc<Grants>,
}

/// When the last code of a key from a client was taken.
struct Grants(Remembered<Timestamp>);

impl Default for Grants {
    fn default() -> Self {
        Grants(Remembered::new(GRANTS))
    }
}

/// A code was taken in this exchange.
struct Shown;

impl Demand {
    pub(crate) fn compile(config: &Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        for (key, names) in [("acr", &config.acr), ("amr", &config.amr)] {
            let plain = |name: &str| {
                (1..=256).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
            };
            if let Some(wrong) = names.0.iter().find(|name| !plain(name)) {
                problems.push(
                    Diagnostic::error(key, format!("`{}` cannot stand in a challenge", wrong.escape_debug()))
                        .help("write visible ASCII characters without space, quote and backslash"),
                );
            }
        }
        for (key, period) in [("max_age", config.max_age), ("valid_for", config.valid_for)] {
            if period.is_some_and(|period| period.0.is_zero()) {
                problems.push(Diagnostic::error(key, "nothing is as recent as `0`").help("write `5m`"));
            }
        }
        let quotable =
            |c: char| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' };
        let realm: String = context.api.chars().map(quotable).collect();
        let max_age = config.max_age.map(|age| age.0);
        let bearer = |description: &str| {
            let mut text = format!(
                "Bearer realm=\"{realm}\", error=\"insufficient_user_authentication\", error_description=\"{description}\""
            );
            if !config.acr.0.is_empty() {
                text.push_str(&format!(", acr_values=\"{}\"", config.acr.0.join(" ")));
            }
            if let Some(age) = max_age {
                text.push_str(&format!(", max_age=\"{}\"", age.as_secs()));
            }
            value(&text)
        };
        let services = context.services;
        problems.or(Demand {
            bearer: bearer("A different authentication level is required"),
            bearer_again: bearer("More recent authentication is required"),
            holder: value(&format!("TOTP realm=\"{realm}\", header=\"X-Bartizan-TOTP\"")),
            acr: config.acr.0.clone(),
            amr: config.amr.0.clone(),
            max_age,
            factor: config.factor,
            valid_for: config.valid_for.map_or(Duration::ZERO, |period| period.0),
            factors: Arc::clone(&services.factors),
            grants: services.kept.of::<Grants>(),
        })
    }

    /// Whether the caller showed what is demanded, and `after` that moment, where one is given.
    ///
    /// # Errors
    /// What is missing, with its challenge.
    pub(crate) fn judge(
        &self,
        transaction: &mut Transaction,
        after: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let code = take_code(transaction);
        let Some(principal) = transaction.principal.clone() else {
            return Err(self.token_refusal(Why::Required));
        };
        match principal.kind {
            CredentialKind::ApiKey => self
                .holder(&principal, code, transaction, after)
                .map_err(|why| Refusal { why, headers: self.holder_headers(why) }),
            _ => self.token(&principal, transaction.started, after).map_err(|why| self.token_refusal(why)),
        }
    }

    /// What the token says of its subject's authentication.
    fn token(&self, principal: &Principal, now: Timestamp, after: Option<Timestamp>) -> Result<(), Why> {
        let shown = &principal.authentication;
        let has = |method: &str| shown.amr.iter().any(|known| **known == *method);
        let level = shown.acr.as_deref();
        if !self.acr.is_empty() && !self.acr.iter().any(|acr| level == Some(acr.as_str())) {
            return Err(Why::Required);
        }
        if !self.amr.iter().all(|method| has(method)) {
            return Err(Why::Required);
        }
        let anything = self.acr.is_empty() && self.amr.is_empty() && self.max_age.is_none();
        if anything && !BEYOND_A_PASSWORD.iter().any(|method| has(method)) {
            return Err(Why::Required);
        }
        // A date in the future is nobody's: it would never grow old.
        let time = shown.time.filter(|time| *time <= now.plus(SKEW));
        let recent = self.max_age.is_none_or(|age| time.is_some_and(|time| now.since(time) <= age));
        if recent && after.is_none_or(|after| time.is_some_and(|time| time > after)) {
            Ok(())
        } else {
            Err(Why::TooOld)
        }
    }

    /// Whether the holder of a key shows a code, or did so a while ago.
    fn holder(
        &self,
        principal: &Principal,
        code: Option<Presented>,
        transaction: &mut Transaction,
        after: Option<Timestamp>,
    ) -> Result<(), Why> {
        // Probes have no app, and a question must not use a code up.
        if self.factor == Factor::None || transaction.scratch.is_some() {
            return Err(Why::Required);
        }
        if transaction.memory.get::<Shown>(MEMORY).is_some() {
            return Ok(());
        }
        let (owner, now) = (&*principal.subject, transaction.started);
        let factor = self.factors.totp(owner).ok_or(Why::NotEnrolled)?;
        let id = principal.credential_id.as_deref().unwrap_or_default();
        let print = ClientPrint::of(transaction).number().to_be_bytes();
        let grant = digest::of_parts(&[b"step_up", id.as_bytes(), &print]);
        let Some(code) = code.filter(|_| !transaction.probe) else {
            let holds = self.max_age.map_or(self.valid_for, |age| age.min(self.valid_for));
            let taken = self.grants.0.find(&grant, |at| *at);
            let holds = |at: Timestamp| now.since(at) < holds && after.is_none_or(|after| at > after);
            return if taken.is_some_and(holds) { Ok(()) } else { Err(Why::Required) };
        };
        self.factors.attempt(owner, now).map_err(|wait| {
            Why::Throttled(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
        })?;
        let Presented::Code(code) = code else { return Err(Why::CodeWrong) };
        let step = totp::step_of(&code, &factor, now).ok_or(Why::CodeWrong)?;
        if !self.factors.accept(owner, step) {
            return Err(Why::CodeReplayed);
        }
        self.grants.0.with(grant, || now, |at| *at = now);
        transaction.memory.keep(MEMORY, Box::new(Shown));
        Ok(())
    }

    fn token_refusal(&self, why: Why) -> Refusal {
        let challenge = if why == Why::TooOld { &self.bearer_again } else { &self.bearer };
        Refusal { why, headers: vec![(WWW_AUTHENTICATE, challenge.clone())] }
    }

    fn holder_headers(&self, why: Why) -> Vec<(HeaderName, HeaderValue)> {
        if let Why::Throttled(seconds) = why {
            return vec![(RETRY_AFTER, HeaderValue::from(seconds))];
        }
        match self.factor {
            Factor::Totp => {
                vec![(WWW_AUTHENTICATE, self.holder.clone()), (FACTOR, HeaderValue::from_static("totp"))]
            }
            Factor::None => vec![(WWW_AUTHENTICATE, self.bearer.clone())],
        }
    }
}

/// How far an issuer's clock may be ahead.
const SKEW: Duration = Duration::from_secs(60);

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// What stands where a code is expected.
enum Presented {
    Code(String),
    /// Several fields, or no text.
    Malformed,
}

/// Takes the code out of the request: nobody after this sees it.
fn take_code(transaction: &mut Transaction) -> Option<Presented> {
    let request = &mut transaction.request;
    let mut found: Vec<HeaderValue> = request.headers.get_all(CODE).iter().cloned().collect();
    request.headers.remove(CODE);
    // The gateway sets fields of its own name aside before guards run.
    request.removed.retain(|(name, value)| {
        let ours = *name == CODE;
        if ours {
            found.push(value.clone());
        }
        !ours
    });
    match found.as_slice() {
        [] => None,
        [one] => match one.to_str() {
            // People type the blank that their app shows.
            Ok(text) => Some(Presented::Code(text.trim().replace(' ', ""))),
            Err(_) => Some(Presented::Malformed),
        },
        _ => Some(Presented::Malformed),
    }
}
