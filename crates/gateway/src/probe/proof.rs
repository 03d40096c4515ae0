//! The proof behind readiness: the policy in force is probed at start, after each swap and when break-glass ends, and
//! again while something fails.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::watch;

use super::{Bounds, Interrupted, Level, Report, run};
use crate::gateway::Gateway;

/// How long `wait` waits for a proof that is on its way.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often what failed is tried again: a starved machine, or an issuer that was away, must not keep traffic away for
/// good.
const RETRY: Duration = Duration::from_secs(5);

/// What is known of the policy in force.
#[derive(Clone, Default)]
struct State {
    generation: u64,
    report: Option<Arc<Report>>,
}

/// Keeps the policy in force proven.
pub struct SelfProof {
    gateway: Weak<Gateway>,
    state: watch::Receiver<State>,
}

impl SelfProof {
    /// Probes at once, and from now on, on the current runtime; ends with the gateway.
    #[must_use]
    pub fn start(gateway: &Arc<Gateway>) -> Arc<Self> {
        let (tell, state) = watch::channel(State::default());
        tokio::spawn(keep(Arc::downgrade(gateway), tell));
        Arc::new(SelfProof { gateway: Arc::downgrade(gateway), state })
    }

    /// The report on the policy in force; waits a moment for one that is on its way. `None` where the policy switches
    /// readiness probes off.
    ///
    /// # Errors
    /// There is no proof yet, or it says that traffic should not come: for the operator, the failing probe named.
    pub async fn wait(&self) -> Result<Option<Arc<Report>>, String> {
        let mut state = self.state.clone();
        let proven = |state: &State| {
            let active = self.gateway.upgrade().map(|gateway| gateway.active());
            active.is_none_or(|active| state.generation == active.snapshot.generation)
        };
        let waited = tokio::time::timeout(PATIENCE, state.wait_for(proven)).await;
        let known = match waited {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => return Err("the gateway is on its way out".to_owned()),
            Err(_) => return Err("the guards of the policy in force are still being probed".to_owned()),
        };
        let Some(report) = known.report else { return Ok(None) };
        let failing: Vec<String> = report.unready().take(3).map(ToString::to_string).collect();
        let more = report.unready().count().saturating_sub(failing.len());
        match (failing.is_empty(), more) {
            (true, _) => Ok(Some(report)),
            (false, 0) => Err(format!("a probe failed: {}", failing.join("; "))),
            (false, more) => Err(format!("probes failed: {}; and {more} more", failing.join("; "))),
        }
    }
}

async fn keep(gateway: Weak<Gateway>, tell: watch::Sender<State>) {
    let Some(mut changes) = gateway.upgrade().map(|gateway| gateway.kicks.watch()) else { return };
    loop {
        let Some(held) = gateway.upgrade() else { return };
        changes.mark_unchanged();
        let (proven, state) = prove(&held).await;
        let failing = match state {
            Ok(state) => {
                let failing = state.report.as_ref().is_some_and(|report| report.unready().next().is_some());
                tell.send_replace(state);
                failing
            }
            Err(Interrupted::Superseded) => continue,
            Err(Interrupted::Draining) => return,
        };
        drop(held);
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(RETRY), if failing => break,
            }
            let Some(gateway) = gateway.upgrade() else { return };
            if Proven::now(&gateway) != proven {
                break;
            }
        }
    }
}

/// What a proof is about: it holds until one of these changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Proven {
    generation: u64,
    break_glass: bool,
}

impl Proven {
    fn now(gateway: &Gateway) -> Self {
        let break_glass = gateway.break_glass_at(gateway.services.clock.now());
        Proven { generation: gateway.active().snapshot.generation, break_glass }
    }
}

async fn prove(gateway: &Arc<Gateway>) -> (Proven, Result<State, Interrupted>) {
    let proven = Proven::now(gateway);
    let active = gateway.active();
    let generation = active.snapshot.generation;
    if !active.snapshot.admin.readiness_probes {
        return (proven, Ok(State { generation, report: None }));
    }
    let report = match run(gateway, Bounds::READINESS).await {
        Ok(report) => report,
        Err(interrupted) => return (proven, Err(interrupted)),
    };
    tell(&report);
    (proven, Ok(State { generation, report: Some(Arc::new(report)) }))
}

/// For the operator's log: what fails as errors, what is left open as one line.
fn tell(report: &Report) {
    for remark in report.unready() {
        tracing::error!("a probe failed, the gateway is not ready: {remark}; {}", remark.remedy);
    }
    let open: Vec<String> = report
        .findings
        .iter()
        .filter(|remark| !remark.unready && remark.level != Level::Note)
        .map(ToString::to_string)
        .collect();
    let (hostile, blocked, watched) = report.hostile();
    let took = report.took;
    tracing::info!(
        generation = report.generation,
        probes = report.probes,
        ?took,
        "the guards were probed: {blocked} of {hostile} hostile probes blocked, {watched} watched"
    );
    if !open.is_empty() {
        let count = open.len();
        let first = open.first().map(String::as_str).unwrap_or_default();
        tracing::warn!("the policy leaves {count} thing(s) open, `bartizan doctor` tells all; {first}");
    }
}
