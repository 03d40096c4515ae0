//! What rules that add up to a score made of an exchange, and how far it was from a refusal.

use bartizan_model::transaction::{MAX_SCORED_RULES, Score};
use bartizan_waf::engine::Inspection;

/// What a grave rule counts where the rule set does not say: a critical one of the Core Rule Set.
const CRITICAL: u32 = 5;

/// The score of an exchange that is over. `refused` says that rules refused it, or would have in another mode.
pub(super) fn of(inspection: &Inspection, refused: bool) -> Score {
    let number = |names: &[&[u8]]| {
        names.iter().find_map(|name| {
            let text = std::str::from_utf8(inspection.tx().get(name)?).ok()?;
            text.trim().parse::<i64>().ok()
        })
    };
    let count = |names: &[&[u8]]| number(names).map(|n| u32::try_from(n).unwrap_or_default());
    // Version 3 of the Core Rule Set has other names.
    let inbound = count(&[b"blocking_inbound_anomaly_score", b"anomaly_score"]).unwrap_or_default();
    let inbound_threshold = count(&[b"inbound_anomaly_score_threshold"]).unwrap_or_default();
    let outbound =
        count(&[b"blocking_outbound_anomaly_score", b"outbound_anomaly_score"]).unwrap_or_default();
    let outbound_threshold = count(&[b"outbound_anomaly_score_threshold"]).unwrap_or_default();
    let critical = count(&[b"critical_anomaly_score"]).unwrap_or(CRITICAL);
    // A request that no rule scored is no miss, however little a refusal needs.
    let near = |score: u32, threshold: u32| {
        score > 0 && score < threshold && score.saturating_add(critical) >= threshold
    };
    let mut rules = Vec::new();
    for finding in inspection.findings().iter().filter(|finding| finding.log) {
        if rules.len() < MAX_SCORED_RULES && !rules.contains(&finding.rule) {
            rules.push(finding.rule);
        }
    }
    let near_miss = !refused && (near(inbound, inbound_threshold) || near(outbound, outbound_threshold));
    Score { inbound, inbound_threshold, outbound, outbound_threshold, near_miss, rules }
}
