//! Self-proof: the gateway shows that it enforces what its policy says.
//!
//! Every guard offers probes from its compiled state. Each one is sent through everything that an accepted connection
//! goes through (the strict reader, the HTTP library, the pipeline, the guards under their modes, the editing of the
//! response), over a stream inside the process whose connection carries a [`Mark`]. A cleared probe ends at an echo in
//! place of the upstream. Nothing of it is counted: limits and keys are looked up in a store of the probe's own, no
//! event is published, no connection is counted, no key set is fetched. What happened is compared with the mode that the
//! policy states.

mod edge;
mod guards;
mod judge;
mod mark;
mod modes;
mod plan;
mod proof;
mod report;
mod run;
mod scratch;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

pub use mark::Mark;
pub(crate) use mark::echo;
pub use proof::SelfProof;
pub use report::{ApiReport, Level, Remark, Report, Row};

use crate::gateway::Gateway;

/// How much a run may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Probes; what lies beyond is left out, and told.
    pub probes: usize,
    /// The whole run; what lies beyond is left out, and told.
    pub time: Duration,
    /// One answer.
    pub answer: Duration,
}

impl Bounds {
    /// At start and after each reload: what no orchestrator notices.
    pub const READINESS: Bounds =
        Bounds { probes: 2_000, time: Duration::from_secs(2), answer: Duration::from_secs(1) };

    /// When somebody asks: as much as a policy of some thousand different operations needs.
    pub const DOCTOR: Bounds =
        Bounds { probes: 50_000, time: Duration::from_secs(30), answer: Duration::from_secs(2) };
}

/// Why a run came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Another policy was put in force meanwhile.
    Superseded,
    /// The process is on its way out.
    Draining,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Interrupted::Superseded => "another policy was put in force meanwhile; ask again",
            Interrupted::Draining => "the gateway is on its way out",
        })
    }
}

/// Probes the policy in force.
///
/// # Errors
/// The run came to no end.
pub async fn run(gateway: &Arc<Gateway>, bounds: Bounds) -> Result<Report, Interrupted> {
    run::Run::new(gateway, bounds).all().await
}
