//! Lets only requests through that the API's contract calls valid.
//!
//! # What it does
//! Each operation of the OpenAPI document (`contract:` of the API) says what its requests are: parameters of path, query,
//! header fields and cookies in every style, the media type of the body, and what is in it. Everything is decoded once, typed
//! by its schema, and checked by JSON Schema (drafts 4 to 2020-12) with formats asserted. The guard is there wherever an API has
//! a contract, in the API's mode.
//!
//! Members that no schema names are taken out of bodies before these go on, and so are parameters of the query: a client cannot
//! set what the contract does not offer. A schema that says `additionalProperties` has decided for itself;
//! an object none of whose members is named is free. A document that describes no query parameter and no body anywhere is a
//! list of paths: nothing is undeclared. Members that are `readOnly` refuse the request.
//!
//! What fits is proved: a number, a UUID, a date, one of a list, a text of an anchored pattern can hold no attack that needs
//! other characters.
//!
//! # Why
//! OWASP API3:2023 (mass assignment), API8:2023 and every injection: what is not allowed is refused, whatever it is. The
//! contract is the only allow list that an API's developers already keep.
//!
//! # Example
//! ```yaml
//! undeclared_properties: deny
//! detail: full
//! ```
//!
//! # When it refuses
//! With 400 where parameters or the body do not fit or something is not named, 415 where the media type is none of the
//! operation's, 413 where the body is larger than `max_body`. With `detail: full` the problem has each violation with its JSON
//! pointer and what is expected, never what was sent.
//!
//! # Limits
//! JSON, forms, multipart, XML and text; of other media types the size. A range such as `*/*` lets no JSON past its schema:
//! what looks like JSON is checked as JSON. What a body has to be whatever its schema says (one name once, UTF-8, depth, sizes)
//! is decided by `request_limits.bodies` before; a name twice in an object of JSON, and parts that are not written to the letter, are
//! refused here, too. Defaults of parameters and members are not added to requests. Members inside one parameter that nothing
//! names are refused, since nothing of a value is taken out. At most 32 violations are told; in documents that are larger than
//! 4,096 values or deeper than 6 it is told only that they do not fit. A taken-out member changes the body: its digest and signature go with it.
//! Formats of internationalized names are not checked.
//!
//! # References
//! - OpenAPI 2.0, 3.0.4, 3.1.2, 3.2.0; JSON Schema drafts 4, 6, 7, 2019-09, 2020-12
//! - OWASP API Security Top 10 2023, API3 and API8
//! - RFC 8259, RFC 3986, RFC 6570, RFC 7578, RFC 9457

mod config;
mod probes;
mod reason;
pub(crate) mod strip;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use bartizan_contract::{
    check::{
        BodyResult, Checks, MediaChoice, OperationCheck, ParameterProof, RequestHead, Sequence, Violation,
    },
    shape::{Direction, Noticed, Proof},
};
use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Finding, Guard, Outcome, Phase, Reason as _, Severity,
    Timestamp, Transaction, probe::Probes,
};
use bartizan_pattern::body::{Reading, UnreadableReason};
use http::header;

pub use config::{Config, Detail, Undeclared};
pub use reason::{Told, Why};
pub use strip::Edits;

use self::reason::told_of;
use crate::body::HeldBody;

/// The compiled guard.
pub struct Contract {
    checks: Arc<Checks>,
    /// The contract says too little for anything to be undeclared.
    bare: bool,
    base_path: Box<str>,
    settings: Config,
}

/// What the contract proves of one request, for guards that would look for attacks in it. Kept in the transaction's memory
/// under [`Contract::ID`] once the body was checked; absent where nothing was.
#[derive(Debug, Default)]
pub struct Proved {
    /// Of parameters and fields of forms, by part and name. The decoder that was used is that of the style in the contract:
    /// whoever reads them in another way holds what he read against the bound.
    pub parameters: Vec<ParameterProof>,
    /// Of values of the JSON body, by their numbers in the tape, ascending.
    pub body: Vec<(u32, Proof)>,
    wants: Option<usize>,
    edits: Edits,
}

/// The contract that the policy compiled, where the API has one.
pub(crate) fn known(context: &CompileContext<'_>) -> Option<Arc<Checks>> {
    context.spec.contract.clone().and_then(|contract| contract.0.downcast::<Checks>().ok())
}

/// The contract that the policy compiled, for the guards that check by it.
pub(crate) fn compiled(context: &CompileContext<'_>, guard: &str) -> Result<Arc<Checks>, Diagnostics> {
    match known(context) {
        Some(checks) => Ok(checks),
        None => {
            let message = format!("`{guard}` needs the contract of the API");
            Err(Diagnostic::error("", message).help("write `contract: file:openapi.yaml` for the API").into())
        }
    }
}

impl Guard for Contract {
    const ID: &'static str = "contract";
    type Config = Config;
    type Reason = Why;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let checks = compiled(context, Self::ID)?;
        let bare = checks.names_paths_only();
        Ok(Contract { checks, bare, base_path: context.spec.base_path.as_str().into(), settings: config })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Why> {
        if probes::is_probe(transaction) {
            let violation = Violation { keyword: "media_type".to_owned(), ..missing_body() };
            return self.deny(transaction, vec![violation], Why::MediaType);
        }
        // Requests of other guards' probes are made without the contract: what they hold says nothing.
        if transaction.scratch.is_some() {
            return Outcome::Continue;
        }
        let Some(check) = self.checks.operation(&transaction.operation) else { return Outcome::Continue };
        let mut kept = Box::<Proved>::default();
        let outcome = self.head(check, transaction, &mut kept);
        transaction.memory.keep(Self::ID, kept);
        outcome
    }

    fn needs_body(&self, transaction: &Transaction) -> Option<usize> {
        transaction.memory.get::<Proved>(Self::ID)?.wants
    }

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer()
    }
}

impl Contract {
    /// The parameters and the media type.
    fn head(&self, check: &OperationCheck, transaction: &mut Transaction, kept: &mut Proved) -> Outcome<Why> {
        let declared_body = transaction.request.content_length.is_some_and(|length| length > 0);
        if declared_body && !check.has_body() && self.properties() != Undeclared::Allow {
            return self.deny(transaction, vec![unwanted_body()], Why::Undeclared);
        }
        if transaction.request.content_length != Some(0) {
            match (check.media(&transaction.request.headers), transaction.request.content_length) {
                (Ok(choice), Some(length)) if check.has_body() && choice.only_size() => {
                    let found = self.checks.size(&choice, length);
                    if !found.is_empty() {
                        return self.deny(transaction, found, Why::Body);
                    }
                }
                (Ok(_), _) => kept.wants = Some(self.max_body()),
                // There may be no body: then it has no type.
                (Err(_), None) if !transaction.request.headers.contains_key(header::CONTENT_TYPE) => {
                    kept.wants = Some(self.max_body());
                }
                (Err(violation), _) => return self.deny(transaction, vec![violation], Why::MediaType),
            }
        }
        if transaction.request.content_length == Some(0) && check.misses_body(&transaction.request.headers) {
            return self.deny(transaction, vec![missing_body()], Why::BodyMissing);
        }
        let path =
            transaction.request.path.strip_prefix(&*self.base_path).unwrap_or(&transaction.request.path);
        let request = RequestHead {
            path,
            query: transaction.request.query.as_deref(),
            headers: &transaction.request.headers,
        };
        let found = check.head(&self.checks, &request);
        kept.parameters = found.proofs;
        if !found.violations.is_empty() {
            return self.deny(transaction, found.violations, Why::Parameter);
        }
        if found.undeclared.is_empty() {
            return Outcome::Continue;
        }
        let undeclared = |name: &String| Violation {
            part: bartizan_contract::check::Part::Query,
            name: name.as_str().into(),
            pointer: String::new(),
            keyword: "undeclared".to_owned(),
            expectation: "no such parameter".to_owned(),
            contract: String::new(),
        };
        let violations: Vec<Violation> = found.undeclared_names.iter().map(undeclared).collect();
        match self.settings.undeclared_parameters {
            _ if self.bare => Outcome::Continue,
            Undeclared::Allow => Outcome::Continue,
            Undeclared::Deny => self.deny(transaction, violations, Why::Undeclared),
            Undeclared::Strip => {
                let query = transaction.request.query.as_deref().unwrap_or_default();
                kept.edits.query = Some(strip::query(query, &found.undeclared));
                tell_stripped(transaction, Phase::RequestHeaders, &violations);
                Outcome::Continue
            }
        }
    }

    /// Checks the body, or that there is none.
    pub fn request_body(&self, transaction: &mut Transaction, held: &HeldBody) -> Outcome<Why> {
        let Some(mut kept) = transaction.memory.take::<Proved>(Self::ID) else { return Outcome::Continue };
        let outcome = match self.checks.operation(&transaction.operation) {
            Some(check) => self.body(check, transaction, held, &mut kept),
            None => Outcome::Continue,
        };
        transaction.memory.keep(Self::ID, kept);
        outcome
    }

    fn body(
        &self,
        check: &OperationCheck,
        transaction: &mut Transaction,
        held: &HeldBody,
        kept: &mut Proved,
    ) -> Outcome<Why> {
        if kept.wants.is_none() && transaction.request.content_length != Some(0) {
            return Outcome::Continue;
        }
        if !held.whole || held.bytes.len() > self.max_body() {
            return Outcome::Deny(Why::TooLarge { limit: self.settings.max_body.0 });
        }
        if held.bytes.is_empty() {
            return match transaction.request.content_length != Some(0)
                && check.misses_body(&transaction.request.headers)
            {
                true => self.deny(transaction, vec![missing_body()], Why::BodyMissing),
                false => Outcome::Continue,
            };
        }
        if !check.has_body() {
            return match self.properties() {
                Undeclared::Allow => Outcome::Continue,
                _ => self.deny(transaction, vec![unwanted_body()], Why::Undeclared),
            };
        }
        let choice = match check.media(&transaction.request.headers) {
            Ok(choice) => choice,
            Err(violation) => return self.deny(transaction, vec![violation], Why::MediaType),
        };
        let reading = held.reading();
        if let Some(sequence) = choice.sequence() {
            return self.items(transaction, &sequence, &reading, kept);
        }
        let mut found = self.checks.body(&choice, &reading, Direction::Request);
        if !found.violations.is_empty() {
            return self.deny(transaction, found.violations, Why::Body);
        }
        kept.body = std::mem::take(&mut found.proofs);
        kept.parameters.append(&mut found.fields);
        self.members(transaction, &choice, held, found, kept)
    }

    /// A body that is a sequence: each of its items.
    fn items(
        &self,
        transaction: &mut Transaction,
        sequence: &Sequence,
        reading: &Reading<'_>,
        kept: &mut Proved,
    ) -> Outcome<Why> {
        let malformed =
            |what: String| Violation { keyword: "malformed".to_owned(), expectation: what, ..missing_body() };
        // What is in its codings was not seen.
        if let Some(reason @ (UnreadableReason::Decode(_) | UnreadableReason::TooLong)) = reading.reason() {
            let what = format!("a body that can be read ({})", reason.code());
            return self.deny(transaction, vec![malformed(what)], Why::Body);
        }
        let strips = |noticed| self.setting(noticed) == Undeclared::Strip;
        let found = self.checks.items(sequence, reading.bytes(), Direction::Request, &strips);
        let mut violations = found.violations;
        if found.unreadable {
            violations.push(malformed("items that are JSON documents".to_owned()));
        }
        if !violations.is_empty() {
            return self.deny(transaction, violations, Why::Body);
        }
        let of = |wanted: Undeclared| {
            let members = found.members.iter().filter(|member| self.setting(member.noticed) == wanted);
            members.take(strip::TOLD).map(strip::violation).collect::<Vec<_>>()
        };
        let refused = of(Undeclared::Deny);
        if !refused.is_empty() {
            return self.deny(transaction, refused, Why::Undeclared);
        }
        if let Some(bytes) = found.rewritten {
            kept.edits.body = Some(bytes.into());
            tell_stripped(transaction, Phase::RequestBody, &of(Undeclared::Strip));
        }
        Outcome::Continue
    }

    /// What becomes of members of a kind.
    fn setting(&self, noticed: Noticed) -> Undeclared {
        match noticed {
            Noticed::ReadOnly => self.settings.read_only,
            Noticed::Undeclared | Noticed::WriteOnly => self.settings.undeclared_properties,
        }
    }

    /// Members that have no business in a request: each by the setting for its kind.
    fn members(
        &self,
        transaction: &mut Transaction,
        choice: &MediaChoice,
        held: &HeldBody,
        found: BodyResult,
        kept: &mut Proved,
    ) -> Outcome<Why> {
        let (mut refused, mut stripped) = (Vec::new(), Vec::new());
        let mut strips = false;
        for member in &found.members {
            let into = match self.setting(member.noticed) {
                Undeclared::Allow => continue,
                Undeclared::Deny => &mut refused,
                Undeclared::Strip => {
                    strips = true;
                    &mut stripped
                }
            };
            if !member.pointer.is_empty() {
                into.push(strip::violation(member));
            }
        }
        if !refused.is_empty() {
            return self.deny(transaction, refused, Why::Undeclared);
        }
        if !strips {
            return Outcome::Continue;
        }
        let cut = |noticed| self.setting(noticed) == Undeclared::Strip;
        let edited =
            strip::body(&self.checks, choice, &held.reading(), Direction::Request, &found.members, &cut);
        match edited {
            Ok(bytes) => {
                kept.edits.body = Some(bytes.into());
                tell_stripped(transaction, Phase::RequestBody, &stripped);
                Outcome::Continue
            }
            Err(why) => {
                let refused = stripped.into_iter().map(|violation| Violation {
                    expectation: format!("{}, and it cannot be taken out: {why}", violation.expectation),
                    ..violation
                });
                self.deny(transaction, refused.collect(), Why::Undeclared)
            }
        }
    }

    /// What has to be sent in place of what the client sent; asked where the guard enforces.
    #[must_use]
    pub fn edits(&self, transaction: &mut Transaction) -> Edits {
        let Some(mut kept) = transaction.memory.take::<Proved>(Self::ID) else { return Edits::default() };
        let edits = std::mem::take(&mut kept.edits);
        transaction.memory.keep(Self::ID, kept);
        edits
    }

    /// What becomes of a body that nothing describes.
    fn properties(&self) -> Undeclared {
        if self.bare { Undeclared::Allow } else { self.settings.undeclared_properties }
    }

    fn max_body(&self) -> usize {
        usize::try_from(self.settings.max_body.0).unwrap_or(usize::MAX)
    }

    /// A refusal with all its violations: the first is its own finding, the others have theirs.
    fn deny(
        &self,
        transaction: &mut Transaction,
        violations: Vec<Violation>,
        why: impl FnOnce(Told) -> Why,
    ) -> Outcome<Why> {
        let full = self.settings.detail == Detail::Full;
        let why = why(Told { violations, full });
        let info = why.info();
        let phase = match why {
            Why::Parameter(_) | Why::MediaType(_) => Phase::RequestHeaders,
            _ => Phase::RequestBody,
        };
        if let Why::Parameter(told) | Why::Body(told) | Why::Undeclared(told) = &why {
            for violation in told.violations.iter().skip(1) {
                transaction.find(finding(info.code, info.severity, phase, told_of(violation)));
            }
        }
        Outcome::Deny(why)
    }
}

fn finding(code: &'static str, severity: Severity, phase: Phase, detail: String) -> Finding {
    let mode = bartizan_model::Mode::Enforce;
    Finding { guard: Contract::ID, code, severity, phase, mode, detail: Cow::Owned(detail), remedy: None }
}

fn tell_stripped(transaction: &mut Transaction, phase: Phase, violations: &[Violation]) {
    for violation in violations {
        let detail = format!("{}{} is not part of the contract", place(violation), violation.pointer);
        transaction.find(finding("contract.undeclared", Severity::Low, phase, detail));
    }
}

fn place(violation: &Violation) -> String {
    match &*violation.name {
        "" => violation.part.as_str().to_owned(),
        name => format!("{}.{name}", violation.part.as_str()),
    }
}

fn missing_body() -> Violation {
    Violation {
        part: bartizan_contract::check::Part::Body,
        name: "".into(),
        pointer: String::new(),
        keyword: "required".to_owned(),
        expectation: "a body".to_owned(),
        contract: String::new(),
    }
}

fn unwanted_body() -> Violation {
    Violation { keyword: "undeclared".to_owned(), expectation: "no body".to_owned(), ..missing_body() }
}
