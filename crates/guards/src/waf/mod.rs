//! Looks for attacks in requests, and for leaks in responses, with rules in the language of ModSecurity: the OWASP Core Rule
//! Set as it is published, and rules of your own.
//!
//! # What it does
//! Reads the rule files when the policy is compiled; whatever of them is not understood is an error at its line. Each request
//! is given to the rules when its head is known, and again with its body, which is held for that up to `max_body`: query,
//! form, JSON, multipart and XML values, header fields, cookies, names of files. Rules of the Core Rule Set add to a score, and
//! the score refuses. With `responses`, heads and texts of responses are looked at before they are sent.
//!
//! Each rule that matched is a finding with its number, file and line, the variable, what was undone before it matched, its
//! score, and a token of the matched bytes; the bytes themselves are not told.
//!
//! # Why
//! Injection into databases, shells, templates, paths and pages (OWASP A03:2021), server-side request forgery (API7:2023), and
//! scanners that look for any of them.
//!
//! # Example
//! ```yaml
//! rules: [crs]
//! crs: file:crs
//! paranoia: 1
//! exclusions:
//!   - { rule: 942100, parameter: "ARGS:json.text", reason: free text, expires: 2100-01-31 }
//! ```
//!
//! # When it refuses
//! 403, or the status that a rule sets, when rules say so; 413 for a body beyond `max_body`, 400 for one that cannot be read
//! as what it says it is, unless the settings let them pass. The table below has the codes. `waf.match` and `waf.unseen` are
//! findings that refuse nothing by themselves.
//!
//! # Limits
//! gRPC streams over HTTP/2 and the frames of WebSockets are not looked into: their heads are, and `waf.unseen` says so. A
//! response that is compressed is looked at by its head only. Collections that outlive an exchange (`IP`, `SESSION`, ..) are
//! empty. Rules see the target as the client sent it; the upstream gets its canonical form.
//! Rules end where one of them refuses, in monitor mode too: a response behind that is not looked at.
//! Each block with settings of its own loads the rules again: tens of megabytes with the Core Rule Set.
//!
//! # References
//! - OWASP Core Rule Set 4 and 3.3, coreruleset.org
//! - The ModSecurity reference manual, version 3
//! - OWASP Top 10 2021, A03; OWASP API Security Top 10 2023, API7 and API8

mod config;
mod look;
mod probes;
mod reason;
mod rules;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_model::{
    CompileContext, Diagnostics, Guard, Outcome, ResponseHead, Timestamp, TokenKey, Transaction,
    probe::Probes,
};
use bartizan_waf::engine::Program;

pub use config::{Config, Exclusion, OverLimit, RuleSource, Unreadable};
use look::Looking;
pub use reason::Why;
pub use rules::{DEBIAN, DEBIAN_SETUP, Origin, is_setting};

use crate::body::HeldBody;

/// The compiled guard.
pub struct Waf {
    program: Arc<Program>,
    settings: Config,
    tokens: TokenKey,
}

impl Guard for Waf {
    const ID: &'static str = "waf";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let program = rules::compile(&config, context)?;
        Ok(Waf { program, settings: config, tokens: context.services.tokens.clone() })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let mut looking = Box::new(Looking::begin(&self.program, &self.tokens, transaction));
        let outcome = looking.request_head(transaction);
        transaction.memory.keep(Self::ID, looking);
        outcome
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        let has_body = transaction.request.content_length != Some(0);
        let wanted = transaction.memory.get::<Looking>(Self::ID).is_some_and(Looking::wants_request_body);
        (has_body && wanted).then(|| usize::try_from(self.settings.max_body.0).unwrap_or(usize::MAX))
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(&self.settings, self.program.rules())
    }

    fn settle(&self, transaction: &mut Transaction) {
        if let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) {
            looking.finish(transaction);
        }
    }
}

impl Waf {
    /// Gives the rules the body, or what is held of it; also where there is none.
    pub fn request_body(&self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Why> {
        self.look(transaction, |looking, transaction| looking.request_body(transaction, body, &self.settings))
    }

    /// Gives the rules the head of the upstream's response.
    pub fn response_head(&self, transaction: &mut Transaction, head: &ResponseHead) -> Outcome<Why> {
        if !self.settings.responses {
            return Outcome::Continue;
        }
        self.look(transaction, |looking, transaction| looking.response_head(transaction, head))
    }

    /// How many bytes of the response's body the rules have to see before it is sent, at most; asked after
    /// [`Waf::response_head`].
    #[must_use]
    pub fn needs_response_body(&self, transaction: &Transaction) -> Option<usize> {
        let looking = transaction.memory.get::<Looking>(Self::ID)?;
        let wanted = self.settings.responses && looking.wants_response_body();
        wanted.then(|| usize::try_from(self.settings.max_response.0).unwrap_or(usize::MAX))
    }

    /// Gives the rules the body of the response, or what is held of it.
    pub fn response_body(&self, transaction: &mut Transaction, body: &HeldBody) -> Outcome<Why> {
        self.look(transaction, |looking, transaction| looking.response_body(transaction, body))
    }

    /// Goes on with what began with the head; nothing where nothing began, as behind an answer of another guard.
    fn look(
        &self,
        transaction: &mut Transaction,
        with: impl FnOnce(&mut Looking, &mut Transaction) -> Outcome<Why>,
    ) -> Outcome<Why> {
        let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) else {
            return Outcome::Continue;
        };
        let outcome = with(&mut looking, transaction);
        transaction.memory.keep(Self::ID, looking);
        outcome
    }
}
