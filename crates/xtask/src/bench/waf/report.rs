//! What was measured, as a table, as Markdown or as one object.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::engine::Memory;
use crate::bench::{Output, table};

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Interleaved rounds; the median of them counts.
    pub rounds: usize,
    /// How many rules each engine has.
    pub rules: usize,
    /// The shapes of the requests, from small to large.
    pub shapes: Vec<&'static str>,
    /// Who was measured with what.
    pub costs: Vec<Cost>,
    /// What rules weigh.
    pub weights: Vec<Weight>,
    /// What rules and workers allocate, by level.
    pub allocated: BTreeMap<u8, Memory>,
}

/// What one server makes of all shapes.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// `nginx`, `nginx + libmodsecurity`, `engine in process`, `gateway`.
    pub server: String,
    /// The paranoia level; none without rules.
    pub level: Option<u8>,
    /// Processor time for one request, microseconds: the median of the rounds, shape by shape.
    pub microseconds: Vec<f64>,
    /// The same of the cheapest round.
    pub least: Vec<f64>,
}

/// What a server weighs at rest, having served.
#[derive(Debug, Serialize)]
pub struct Weight {
    /// As in [`Cost`].
    pub server: String,
    /// The paranoia level; none without rules.
    pub level: Option<u8>,
    /// From the start of the process until it accepts.
    pub start_ms: f64,
    /// Resident memory of all its processes.
    pub resident_mb: f64,
}

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn print(&self, output: Output) -> Result<()> {
        if output == Output::Json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "microseconds of processor time for one request, medians of {} interleaved rounds (the cheapest round), {} rules\n",
            self.rounds, self.rules
        );
        let mut head = vec!["server", "level"];
        head.extend(&self.shapes);
        let rows = self.costs.iter().map(|cost| {
            let figures = cost.microseconds.iter().zip(&cost.least);
            let figures = figures.map(|(median, least)| format!("{} ({})", short(*median), short(*least)));
            [cost.server.clone(), level(cost.level)].into_iter().chain(figures).collect()
        });
        table(output, &head, rows.collect());
        println!();
        let rows = self.weights.iter().map(|weight| {
            vec![
                weight.server.clone(),
                level(weight.level),
                format!("{:.0}", weight.start_ms),
                format!("{:.1}", weight.resident_mb),
            ]
        });
        table(output, &["server", "level", "start to accept ms", "RSS MB"], rows.collect());
        println!();
        let rows = self.allocated.iter().map(|(level, memory)| {
            vec![
                level.to_string(),
                format!("{:.0}", memory.load_ms),
                format!("{:.1}", memory.shared_mb),
                format!("{:.1}", memory.loading_peak_mb),
                format!("{:.1}", memory.worker_mb),
                format!("{:.1}", memory.worker_peak_mb),
            ]
        });
        table(
            output,
            &[
                "level",
                "load ms",
                "shared MB",
                "most while loading MB",
                "per worker MB",
                "most in a request MB",
            ],
            rows.collect(),
        );
        Ok(())
    }
}

fn level(level: Option<u8>) -> String {
    level.map_or_else(|| "-".to_owned(), |level| level.to_string())
}

/// Three digits that count.
fn short(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") }
}
