//! The demo in plain lines, where there is no terminal: one for each thing that happens first, and figures every few seconds.

use std::{collections::BTreeSet, time::Duration};

use bartizan_traffic::Kind;

use super::{
    kinds::{ahead, title},
    score::Score,
    view::Facts,
    words::{clock, count, duration, percent},
};

/// Between two lines of figures.
const FIGURES: Duration = Duration::from_secs(5);

/// What has been told already.
#[derive(Debug, Default)]
pub struct Plain {
    stopped: BTreeSet<(Kind, &'static str)>,
    through: BTreeSet<Kind>,
    wrong: usize,
    generation: u64,
    problem: Option<String>,
    figures: Duration,
}

impl Plain {
    /// What is said first.
    pub fn opening(facts: &Facts) -> Vec<String> {
        let attacks = match facts.cast.len() {
            0 => "no attackers".to_owned(),
            count => format!("{count} attackers"),
        };
        let mut lines = vec![format!(
            "Bartizan demo: a bank with {} planted flaws, {} people, {attacks}; seed {}",
            facts.flaws, facts.people, facts.seed
        )];
        if let Some(open) = facts.open {
            lines.push(format!("protected on http://{open}, unprotected on http://{}", facts.bank));
        }
        lines.push(format!("policy       {}", facts.policy));
        lines.push(format!("metrics      curl -s http://{}/metrics", facts.admin));
        lines.push(format!("explanation  {} why EVENT --state {}", facts.program, facts.state));
        lines
    }

    /// What is new.
    pub fn news(&mut self, score: &Score, facts: &Facts) -> Vec<String> {
        let mut lines = Vec::new();
        let now = clock(facts.elapsed);
        let mut refusals: Vec<_> = score.refusals().collect();
        refusals.reverse();
        for refusal in refusals {
            let Some(kind) = refusal.kind else { continue };
            if kind != Kind::Person && self.stopped.insert((kind, refusal.reason)) {
                let from = refusal.from.map(|ip| format!(" from {ip}")).unwrap_or_default();
                lines.push(format!(
                    "{:>5}  stopped  {}{from}: {}, {}, event {}",
                    clock(refusal.at),
                    title(kind),
                    refusal.operation,
                    refusal.reason,
                    refusal.id
                ));
            }
        }
        for kind in &facts.cast {
            if score.attack(*kind).through > 0 && self.through.insert(*kind) {
                lines.push(format!("{now:>5}  through  {}: {}", title(*kind), ahead(*kind)));
            }
        }
        for wrong in score.people.wrong.iter().skip(self.wrong) {
            lines.push(format!("{now:>5}  wrong    {wrong}"));
        }
        self.wrong = score.people.wrong.len();
        if self.generation > 0 && facts.generation != self.generation {
            lines.push(format!("{now:>5}  policy   generation {} is in force", facts.generation));
        }
        self.generation = facts.generation;
        if let Some(problem) =
            facts.problem.as_ref().filter(|&problem| self.problem.as_ref() != Some(problem))
        {
            lines.push(format!("{now:>5}  policy   {problem}"));
        }
        self.problem.clone_from(&facts.problem);
        if facts.elapsed >= self.figures + FIGURES {
            self.figures = facts.elapsed;
            let attacks = score.attacks();
            lines.push(format!(
                "{now:>5}  {} requests/s; people: {} of {} succeeded, 99% within {}; attacks: {} tried, {} stopped, {} \
                 through",
                count(score.rate(facts.elapsed)),
                percent(score.people.success()),
                count(score.people.sent),
                duration(score.people.percentile(99)),
                count(attacks.tried),
                count(attacks.stopped),
                count(attacks.through)
            ));
        }
        lines
    }
}
