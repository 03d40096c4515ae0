//! Looks for attacks in requests, and for leaks in responses, with rules in the language of ModSecurity: the OWASP Core Rule
//! Set as it is published, and rules of your own.
//!
//! # What it does
//! Reads the rule files when the policy is compiled; whatever of them is not understood is an error at its line, and whatever
//! does nothing here, such as the removal of a rule that does not exist, a warning ([rules.md](../rules.md)). Each request
//! is given to the rules when its head is known, and again with its body, which is held for that up to `max_body`: query,
//! form, JSON, multipart and XML values, header fields, cookies, names of files. Rules of the Core Rule Set add to a score, and
//! the score refuses. With `responses`, heads and texts of responses are looked at before they are sent.
//!
//! Rules that keep something from one request to the next (`initcol`, `setsid`, `expirevar`) find it again, after a reload
//! too: up to 65,536 collections and 32 MiB, the ones that were used longest ago forgotten first.
//!
//! Each rule that matched is a finding with its number, file and line, the variable, what was undone before it matched, its
//! score, and a token of the matched bytes; the bytes themselves are not told. Each exchange tells what it came to: an
//! exchange that was let through, though one grave rule more would have refused it, is a near miss, and counted as one
//! (`bartizan_waf_near_misses_total`; `bartizan_waf_score` has all scores, `bartizan_waf_rule_matches_total` the rules).
//! Requests without any match are no near misses, whatever the threshold.
//!
//! In monitor mode nothing ends at the first rule that would refuse: all of request and response is looked at. Single rules
//! are watched, or left out, by `modes`.
//!
//! Blocks with the same rule files share them in memory, whatever else they set, and a reload reads only what changed.
//!
//! What the API's contract proves of a value (a number, a UUID, a date, one of a list, a text of an anchored pattern) is
//! believed, unless `trust_contract` is `false`: rules that can match no text of such characters and such a length are not run
//! on it. That is worked out from the rules when the policy is compiled, and the value itself is held against what is proved of
//! it, as rules decode it; so nothing is missed. `bartizan explain` tells which values were spared, and why. Where the contract
//! refuses a request, rules are asked all the same, and what they find is told beside the refusal.
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
//! modes: { 942110: monitor }
//! exclusions:
//!   - { rule: 942100, parameter: request.body.text, reason: free text, expires: 2100-01-31 }
//! ```
//!
//! # When it refuses
//! 403, or the status that a rule sets, when rules say so: `redirect` answers with 302 and the address, `drop` ends the
//! connection behind the refusal. 413 for a body beyond `max_body`, 400 for one that cannot be read as what it says it is, 415
//! for one of a type that is not read, unless the settings let them pass; 403 for what gives rules more to do than `max_work`,
//! since the rest of it was not looked at. The table below has the codes. `waf.match` and `waf.unseen` are findings that refuse
//! nothing by themselves.
//!
//! # Limits
//! gRPC over HTTP/2 and the frames of WebSockets are not looked into: their heads are, and `waf.unseen` says so; a call may
//! be a stream whose other end waits, and its messages have no names without a descriptor. Responses in a content coding
//! other than gzip, deflate, br and zstd are looked at by their heads only. Rules see the target as the client sent it; the
//! upstream gets its canonical form. Phase 5 of the language, which only logs, runs when the exchange ends. Stored
//! collections are this process's own. Text of XML is excluded as a whole, by `XML:/*`.
//! A field of a multipart form that names a foreign charset or a transfer encoding is unreadable: services undo them or not.
//!
//! # References
//! - OWASP Core Rule Set 4 and 3.3, coreruleset.org
//! - The ModSecurity reference manual, version 3
//! - OWASP Top 10 2021, A03; OWASP API Security Top 10 2023, API7 and API8

mod config;
mod exclusions;
mod look;
mod probes;
mod reason;
mod rules;
mod score;
mod tell;
#[cfg(test)]
mod tests;
mod trusted;

use std::sync::Arc;

use bartizan_model::{
    CompileContext, Diagnostics, Guard, Outcome, ResponseHead, Timestamp, TokenKey, Transaction,
    probe::Probes,
};
use bartizan_waf::{
    engine::Program,
    variables::{Collections, MemoryCollections},
};

pub use config::{Config, Exclusion, OverLimit, RuleSource, UnknownType, Unreadable};
use look::{Ground, Looking};
pub use reason::Why;
pub use rules::{DEBIAN, DEBIAN_SETUP, Origin, is_setting};
pub use trusted::{Trusted, TrustedValue};

use crate::{body::HeldBody, contract};

/// The compiled guard.
pub struct Waf {
    /// The rules as their files have them, shared with every block that names the same files.
    base: Arc<Program>,
    /// The same as this block has them.
    program: Arc<Program>,
    settings: Config,
    /// What is doubtful about the policy's own rule files.
    doubts: Arc<Diagnostics>,
    tokens: TokenKey,
    collections: Arc<dyn Collections>,
}

/// Stored collections (`IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`) of all rules: they outlive exchanges and policies.
struct Stored(Arc<MemoryCollections>);

/// Collections that are kept, and bytes of them.
const COLLECTIONS: usize = 65_536;
const COLLECTION_BYTES: usize = 32 << 20;

impl Default for Stored {
    fn default() -> Self {
        Stored(Arc::new(MemoryCollections::new(COLLECTIONS, COLLECTION_BYTES)))
    }
}

impl Guard for Waf {
    const ID: &'static str = "waf";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let rules::Compiled { base, program, doubts } = rules::compile(&config, context)?;
        let collections = Arc::clone(&context.services.kept.of::<Stored>().0);
        let tokens = context.services.tokens.clone();
        Ok(Waf { base, program, settings: config, doubts, tokens, collections })
    }

    fn warnings(&self, now: Timestamp) -> Diagnostics {
        let mut warnings = exclusions::expired(&self.settings.exclusions, now);
        warnings.0.extend(self.doubts.0.iter().cloned());
        warnings
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        let ground = Ground {
            program: &self.program,
            tokens: &self.tokens,
            collections: &self.collections,
            max_work: self.settings.max_work.0,
            trusting: self.settings.trust_contract,
        };
        let mut looking = Box::new(Looking::begin(&ground, transaction));
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
        probes::offer(&self.settings, self.base.rules())
    }

    fn settle(&self, transaction: &mut Transaction) {
        if let Some(mut looking) = transaction.memory.take::<Looking>(Self::ID) {
            looking.finish(transaction);
            // A question is told what no event keeps.
            if transaction.probe && self.settings.trust_contract {
                let proved = transaction.memory.get::<contract::Proved>(contract::Contract::ID);
                let trusted = Box::new(Trusted::of(looking.inspection(), proved));
                transaction.memory.keep(Self::ID, trusted);
            }
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
        self.look(transaction, |looking, transaction| {
            looking.response_body(transaction, body, &self.settings)
        })
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
