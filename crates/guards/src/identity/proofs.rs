//! The verifiers of proofs of possession together: certificates, signatures and keyed hashes, from the head to the body.

use std::sync::Arc;

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Principal, Timestamp, Transaction,
    services::{Replay, Use},
};
use http::HeaderName;

use super::{
    flaw::Flaw,
    mac::{self, MacVerifier, Pending},
    mtls::{self, MtlsVerifier},
    signature::{SIGNATURE, SIGNATURE_INPUT, SignatureVerifier, digest::Expected},
};
use crate::body::HeldBody;

/// Which verifier an entry of `accept` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client certificate.
    Certificate,
    /// A signature.
    Signature,
    /// A keyed hash.
    Mac,
}

/// Every verifier, by kind and place.
pub(super) struct Proofs {
    certificates: Vec<MtlsVerifier>,
    signatures: Vec<SignatureVerifier>,
    macs: Vec<MacVerifier>,
    replay: Arc<dyn Replay>,
}

/// What of a request holds, as far as its head tells.
#[derive(Default)]
pub(super) struct Proved {
    found: Vec<(Kind, usize, Arc<Principal>)>,
    body: Option<Box<BodyCheck>>,
}

/// What the body must be.
#[derive(Default)]
pub(super) struct BodyCheck {
    /// Bytes that are held, at most.
    pub limit: usize,
    digests: Vec<Expected>,
    pending: Vec<Pending>,
    once: Vec<(u128, Timestamp)>,
}

impl Proved {
    /// Who proved to be who, of all kinds.
    pub(super) fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.found.iter().map(|(_, _, principal)| principal)
    }

    /// Whom one entry of `accept` names.
    pub(super) fn by(&self, kind: Kind, place: usize) -> Option<&Arc<Principal>> {
        self.found.iter().find(|(of, at, _)| *of == kind && *at == place).map(|(_, _, principal)| principal)
    }

    /// What the body still has to show.
    pub(super) fn take_body(&mut self) -> Option<Box<BodyCheck>> {
        self.body.take()
    }
}

impl Proofs {
    pub(super) fn new(context: &CompileContext<'_>) -> Self {
        Proofs {
            certificates: Vec::new(),
            signatures: Vec::new(),
            macs: Vec::new(),
            replay: Arc::clone(&context.services.replay),
        }
    }

    pub(super) fn add_certificate(
        &mut self,
        config: &mtls::Mtls,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<usize, Diagnostics> {
        self.certificates.push(MtlsVerifier::compile(config, path, context)?);
        Ok(self.certificates.len() - 1)
    }

    pub(super) fn add_signature(
        &mut self,
        config: &super::Signature,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<usize, Diagnostics> {
        self.signatures.push(SignatureVerifier::compile(config, path, context)?);
        Ok(self.signatures.len() - 1)
    }

    pub(super) fn add_mac(
        &mut self,
        config: &mac::Mac,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<usize, Diagnostics> {
        let verifier = MacVerifier::compile(config, path, context)?;
        if let Some(id) = self.macs.iter().find_map(|known| verifier.clash(known)) {
            let name = verifier.name();
            let (what, help) = if id.is_empty() {
                (
                    format!("another entry accepts `{name}` with other secrets or for another subject"),
                    "list all secrets in one entry, or give each sender an operation of its own",
                )
            } else {
                (
                    format!("another entry has the key id `{id}` of `{name}` with other secrets or rights"),
                    "list all secrets of a key in one entry",
                )
            };
            return Err(Diagnostic::error(format!("{path}.hmac"), what).help(help).into());
        }
        self.macs.push(verifier);
        Ok(self.macs.len() - 1)
    }

    /// The fields that hold the credential of an entry.
    pub(super) fn fields(&self, kind: Kind, place: usize) -> Vec<HeaderName> {
        match kind {
            Kind::Certificate => Vec::new(),
            Kind::Signature => vec![SIGNATURE, SIGNATURE_INPUT],
            Kind::Mac => self.macs.get(place).map(MacVerifier::field).into_iter().collect(),
        }
    }

    /// What callers may be asked for: schemes for `WWW-Authenticate`, and what signatures must cover.
    pub(super) fn challenges(&self) -> (Vec<String>, Option<String>) {
        let mut schemes = Vec::new();
        if !self.certificates.is_empty() {
            schemes.push("ClientCertificate".to_owned());
        }
        if !self.signatures.is_empty() {
            schemes.push("Signature".to_owned());
        }
        schemes.extend(self.macs.iter().map(|mac| format!("HMAC form=\"{}\",", mac.name())));
        (schemes, self.signatures.first().map(SignatureVerifier::wanted))
    }

    /// Verifies everything that is presented, as far as the head tells. Of several entries of one kind one has to hold.
    pub(super) fn verify(&self, transaction: &Transaction) -> Result<Proved, Flaw> {
        let mut proved = Proved::default();
        let now = transaction.started;
        if !self.certificates.is_empty()
            && let Some(certificate) = mtls::presented(transaction)?
        {
            let all = self.certificates.iter().map(|verifier| verifier.verify(certificate, now).map(Some));
            proved.keep(Kind::Certificate, all, |principal| principal)?;
        }
        let mut body = BodyCheck::default();
        let signatures = self.signatures.iter().map(|verifier| verifier.verify(transaction));
        proved.keep(Kind::Signature, signatures, |signed| {
            if !signed.digests.is_empty() {
                body.limit = body.limit.max(signed.max_body);
                body.digests.extend(signed.digests);
            }
            signed.once.into_iter().for_each(|once| body.spend(once));
            signed.principal
        })?;
        let macs = self.macs.iter().map(|verifier| verifier.read(transaction));
        proved.keep(Kind::Mac, macs, |claim| {
            if claim.pending.is_some() || !claim.digests.is_empty() {
                body.limit = body.limit.max(claim.max_body);
            }
            body.digests.extend(claim.digests);
            body.pending.extend(claim.pending);
            claim.once.into_iter().for_each(|once| body.spend(once));
            claim.principal
        })?;
        let open = !body.digests.is_empty() || !body.pending.is_empty();
        if open {
            proved.body = Some(Box::new(body));
        } else {
            self.use_up(&body, transaction)?;
        }
        Ok(proved)
    }

    /// Whether the body is what was signed.
    pub(super) fn body(
        &self,
        mut check: Box<BodyCheck>,
        transaction: &Transaction,
        body: &HeldBody,
    ) -> Result<(), Flaw> {
        if !body.whole || body.bytes.len() > check.limit {
            return Err(Flaw::BodyNotHeld);
        }
        if !check.digests.iter().all(|expected| expected.holds(&body.bytes)) {
            return Err(Flaw::DigestMismatch);
        }
        for pending in std::mem::take(&mut check.pending) {
            let once = pending.judge(&body.bytes)?;
            check.spend(once);
        }
        self.use_up(&check, transaction)
    }

    /// Takes what may be used once. A question of `explain` uses nothing up.
    fn use_up(&self, check: &BodyCheck, transaction: &Transaction) -> Result<(), Flaw> {
        if transaction.probe {
            return Ok(());
        }
        for (key, until) in &check.once {
            match self.replay.take(*key, *until, transaction.started) {
                Use::First => {}
                Use::Again => return Err(Flaw::SignatureReplayed),
                Use::Full => return Err(Flaw::ReplayFull),
            }
        }
        Ok(())
    }
}

impl BodyCheck {
    /// Notes what is used up. Two entries of `accept` may have found the same: once is enough, for as long as either says.
    fn spend(&mut self, (key, until): (u128, Timestamp)) {
        match self.once.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = until.max(*known),
            None => self.once.push((key, until)),
        }
    }
}

impl Proved {
    /// Keeps what holds; where nothing of a kind does, the first reason why.
    fn keep<T>(
        &mut self,
        kind: Kind,
        outcomes: impl Iterator<Item = Result<Option<T>, Flaw>>,
        mut principal: impl FnMut(T) -> Arc<Principal>,
    ) -> Result<(), Flaw> {
        let (mut flaw, mut held) = (None, false);
        for (place, outcome) in outcomes.enumerate() {
            match outcome {
                Ok(Some(found)) => {
                    held = true;
                    self.found.push((kind, place, principal(found)));
                }
                Ok(None) => {}
                Err(why) => flaw = flaw.or(Some(why)),
            }
        }
        match flaw {
            Some(why) if !held => Err(why),
            _ => Ok(()),
        }
    }
}
