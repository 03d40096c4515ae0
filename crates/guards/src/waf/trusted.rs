//! Which values the contract proved harmless, for whoever asks why rules did not look at them.

use bartizan_contract::shape::ProofClass;
use bartizan_waf::engine::{Inspection, Place, Spared};
use serde::Serialize;

use crate::contract::Proved;

/// Values that one answer tells.
const MAX_TOLD: usize = 64;

/// What the contract proved of a request's values, and what that spared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trusted {
    /// The first 64 values.
    pub values: Vec<TrustedValue>,
    /// How many there are.
    pub count: usize,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustedValue {
    /// As rules name it: `ARGS:json.amount`, `REQUEST_HEADERS:x-version`.
    pub value: String,
    /// Why it is known to be harmless: `integer`, `uuid`, `enum`.
    pub proof: &'static str,
    /// How many tests of rules look at such a value.
    pub tests: usize,
    /// How many of them could find something in a value of this kind: with 0 it was not looked at.
    pub left: usize,
}

impl Trusted {
    pub(super) fn of(inspection: &Inspection, proved: Option<&Proved>) -> Self {
        let spared = inspection.spared();
        // Values of a JSON body come in the order of its proofs.
        let mut of_body = proved.iter().flat_map(|proved| &proved.body).map(|(_, proof)| *proof);
        let mut class = |one: &Spared| {
            let parameters = proved.iter().flat_map(|proved| &proved.parameters);
            let mut named = parameters.filter(|known| known.name.as_bytes().eq_ignore_ascii_case(&one.name));
            let known = named.find(|known| known.proof.bound == one.bound).map(|known| known.proof);
            let proof = known.or_else(|| of_body.find(|proof| proof.bound == one.bound));
            proof.map_or("", |proof| ProofClass::as_str(proof.class))
        };
        let value = |one: &Spared| {
            let collection = match one.place {
                Place::Query | Place::Form => "ARGS",
                Place::Header => "REQUEST_HEADERS",
                Place::Cookie => "REQUEST_COOKIES",
            };
            let name: String = String::from_utf8_lossy(&one.name).chars().take(128).collect();
            let value = format!("{collection}:{name}");
            TrustedValue { value, proof: class(one), tests: one.tests, left: one.left }
        };
        Trusted { values: spared.iter().take(MAX_TOLD).map(value).collect(), count: spared.len() }
    }
}
