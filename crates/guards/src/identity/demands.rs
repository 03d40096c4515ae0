//! What a contract's `security` demands, beside what is accepted here: which credentials a request showed, for whoever
//! holds them against it, and what cannot be held to it at all.

use std::sync::Arc;

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics,
    compile::{SchemeDemand, SchemeKind},
};
use http::HeaderName;

use super::Valid;

/// What is accepted for an operation, of the kinds that a contract can demand.
#[derive(Debug, Default)]
pub struct Taken {
    /// Tokens.
    pub tokens: bool,
    /// The fields that API keys are taken from.
    pub keys: Vec<HeaderName>,
}

/// The verified credentials of a request, kept in the transaction's memory under [`Shown::KEY`].
#[derive(Debug)]
pub struct Shown {
    /// What would have been accepted.
    pub taken: Arc<Taken>,
    /// There is a token.
    pub token: bool,
    /// The fields with an API key.
    pub keys: Vec<HeaderName>,
}

impl Shown {
    /// Its name in the transaction's memory.
    pub const KEY: &'static str = "identity.shown";

    pub(super) fn new(taken: &Arc<Taken>, valid: &Valid) -> Self {
        let keys = valid.api_keys.iter().map(|(field, _)| field.clone()).collect();
        Shown { taken: Arc::clone(taken), token: valid.jwt.is_some() || valid.opaque.is_some(), keys }
    }
}

impl Taken {
    /// Whether a scheme is one that is verified here, in the place that the contract names.
    fn takes(&self, demand: &SchemeDemand) -> bool {
        match demand.kind {
            SchemeKind::Token => self.tokens,
            SchemeKind::ApiKey => {
                demand.field.as_deref().is_some_and(|field| self.keys.iter().any(|own| own == field))
            }
            SchemeKind::Certificate => true,
            SchemeKind::Other => false,
        }
    }

    /// The operations none of whose alternatives can be held to the letter, told once for each scheme.
    pub(super) fn doubts(&self, context: &CompileContext<'_>) -> Diagnostics {
        let mut found: Vec<(Arc<str>, String, usize)> = Vec::new();
        let asked = context
            .spec
            .operations
            .iter()
            .filter(|operation| context.operation.is_none_or(|label| label == &*operation.label));
        for operation in asked {
            let Some(alternatives) = operation.security.as_deref().filter(|all| !all.is_empty()) else {
                continue;
            };
            if alternatives.iter().any(|one| one.iter().all(|demand| self.takes(demand))) {
                continue;
            }
            let unheld = alternatives.iter().flatten().find(|demand| !self.takes(demand));
            let Some(demand) = unheld else { continue };
            match found.iter_mut().find(|(scheme, ..)| *scheme == demand.scheme) {
                Some((_, _, more)) => *more += 1,
                None => {
                    let text = format!("`{}` demands `{}`, {}", operation.label, demand.scheme, told(demand));
                    found.push((Arc::clone(&demand.scheme), text, 0));
                }
            }
        }
        let warnings = found.into_iter().map(|(_, text, more)| {
            let others = match more {
                0 => String::new(),
                1 => " (and one more operation)".to_owned(),
                more => format!(" (and {more} more operations)"),
            };
            let message = format!("the contract's {text}{others}: any accepted credential passes in its place");
            Diagnostic::warning("accept", message).help(
                "accept that kind of credential, in that field, or let the contract name what is accepted here",
            )
        });
        Diagnostics(warnings.collect())
    }
}

/// A scheme that is not verified here.
fn told(demand: &SchemeDemand) -> String {
    match (demand.kind, &demand.field) {
        (SchemeKind::Token, _) => "a token, and no issuer is accepted".to_owned(),
        (SchemeKind::ApiKey, Some(field)) => {
            format!("a key in `{field}`, and no key is taken from that field")
        }
        (SchemeKind::ApiKey, None) => "a key in the query, where no credential is taken".to_owned(),
        (SchemeKind::Certificate | SchemeKind::Other, _) => {
            "a password, a cookie or a scheme that is not known, which is not verified here".to_owned()
        }
    }
}
