//! What guards are probed with, so that a gateway can prove that it enforces what its policy says.
//!
//! A guard knows best what it must refuse: it offers probes from its compiled state. The gateway sends them through its
//! own live path, to an echo inside the process, and compares what happened with the mode that the policy states.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue, Method};

use crate::{
    Mode,
    services::{ApiKeys, LimitStore},
};

/// What one guard offers.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// What a request needs so that this guard has nothing against it.
    pub pass: Vec<Edit>,
    /// The reason code that every request ends with which can be made here, such as `identity.missing` where nobody but
    /// an issuer can make a credential. `None` where `pass` suffices.
    pub unmet: Option<&'static str>,
    /// Requests that the guard must not let through as they are.
    pub hostile: Vec<Probe>,
    /// What the guard's own settings leave open.
    pub doubts: Vec<Doubt>,
}

/// One request that a guard must not let through as it is.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What is sent, for operators: ``an address of `deny` ``. Never a secret.
    pub name: Cow<'static, str>,
    /// How it differs from a request that the guard has nothing against.
    pub edits: Vec<Edit>,
    /// What must happen.
    pub expect: Expect,
    /// What to do where it does not, if the settings are to blame; otherwise the gateway is.
    pub remedy: Option<Cow<'static, str>>,
}

impl Probe {
    /// A request that must be refused.
    pub fn refused(name: impl Into<Cow<'static, str>>, edits: Vec<Edit>) -> Self {
        Probe { name: name.into(), edits, expect: Expect::Refused, remedy: None }
    }

    /// A response that must have each of these fields with this value, or, with `None`, lack it.
    pub fn answered(
        name: impl Into<Cow<'static, str>>,
        edits: Vec<Edit>,
        fields: Vec<(HeaderName, Option<HeaderValue>)>,
    ) -> Self {
        Probe { name: name.into(), edits, expect: Expect::Fields(fields), remedy: None }
    }

    /// The same, with what to do where it goes wrong.
    #[must_use]
    pub fn mended_by(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// One change of a request, or of what the echo answers to it.
#[derive(Clone, Debug)]
pub enum Edit {
    /// It comes from the first of these addresses that is not banned.
    Peers(Vec<IpAddr>),
    /// It has this method.
    Method(Method),
    /// It has this field, beside others of the name.
    Header(HeaderName, HeaderValue),
    /// It has this query, without the `?`.
    Query(String),
    /// It declares a body of so many bytes, and sends none of it.
    ContentLength(u64),
    /// It presents, in this field, an API key that only the probe's own store knows.
    ApiKey(HeaderName),
    /// The counter of a limit is spent.
    Spent {
        /// Its place, from 0, among the limits that are asked before the caller is identified, or after.
        place: usize,
        /// Which of the two.
        identified: bool,
    },
    /// The echo's answer has this field.
    Reply(HeaderName, HeaderValue),
}

/// What must happen to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is refused before the echo; in monitor mode it leaves a finding.
    Refused,
    /// The response has each of these fields with this value, or, with `None`, lacks it.
    Fields(Vec<(HeaderName, Option<HeaderValue>)>),
}

/// Something that a guard's settings leave open although it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Stable, such as `anonymous`.
    pub code: &'static str,
    /// How much it weighs.
    pub weight: Weight,
    /// What is open, a sentence for operators.
    pub what: Cow<'static, str>,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
}

/// How much a doubt weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// Sound for single operations; where the whole API has it, the guard protects nothing.
    WholeApi,
    /// The guard protects nothing.
    Open,
}

/// A mounted guard with what it offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Which guard, and how it is mounted.
    pub part: Part,
    /// What it offers.
    pub probes: Probes,
}

/// One place of the pipeline as one operation has it: which guard is mounted there, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The guard's id.
    pub guard: &'static str,
    /// The mode that the policy gives it; `off` when absent.
    pub mode: Mode,
    /// Tells mounted guards apart: equal for operations that share one, 0 when absent.
    pub instance: usize,
}

/// What a probe counts and looks up in, instead of what callers are counted and looked up in.
#[derive(Clone)]
pub struct Scratch {
    /// Counters that end with the probe.
    pub limits: Arc<dyn LimitStore>,
    /// The one key that was made for the probe.
    pub api_keys: Arc<dyn ApiKeys>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}
