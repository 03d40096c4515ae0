//! What was measured, for people and for programs.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::corpus::{Family, Kind};

/// Everything.
pub struct Report {
    pub levels: Vec<Level>,
}

/// What one way of setting the rules up made of all families.
pub struct Level {
    pub name: String,
    pub families: Vec<Counted>,
}

/// What became of one family.
pub struct Counted {
    name: String,
    kind: Kind,
    texts: usize,
    /// How many were refused.
    pub stopped: usize,
    /// Some that were judged wrongly.
    pub shown: Vec<String>,
}

impl Counted {
    pub fn of(family: &Family) -> Self {
        Counted {
            name: family.name.clone(),
            kind: family.kind,
            texts: family.texts.len(),
            stopped: 0,
            shown: Vec::new(),
        }
    }

    /// What should happen to the family: how many texts it happened to, of all.
    fn right(&self) -> usize {
        match self.kind {
            Kind::Attack => self.stopped,
            Kind::Harmless => self.texts - self.stopped,
        }
    }
}

impl Report {
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let names = self.levels.iter().map(|level| level.name.clone());
        table.set_header(["family", "texts", "should be"].map(str::to_owned).into_iter().chain(names));
        for kind in [Kind::Attack, Kind::Harmless] {
            for (index, family) in self.families(kind) {
                let verdict = if kind == Kind::Attack { "blocked" } else { "passed" };
                let mut row = vec![family.name.clone(), family.texts.to_string(), verdict.to_owned()];
                let levels = self.levels.iter().filter_map(|level| level.families.get(index));
                row.extend(levels.map(|counted| share(counted.right(), counted.texts)));
                table.add_row(row);
            }
            let mut row = vec!["all".to_owned()];
            let all = |level: &Level| {
                level
                    .families
                    .iter()
                    .filter(|family| family.kind == kind)
                    .fold((0, 0), |(right, texts), family| (right + family.right(), texts + family.texts))
            };
            let texts = self.levels.first().map_or(0, |level| all(level).1);
            if texts > 0 {
                row.push(texts.to_string());
                row.push(if kind == Kind::Attack { "blocked" } else { "passed" }.to_owned());
                row.extend(self.levels.iter().map(|level| {
                    let (right, texts) = all(level);
                    share(right, texts)
                }));
                table.add_row(row);
            }
        }
        let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        for level in &self.levels {
            for family in level.families.iter().filter(|family| !family.shown.is_empty()) {
                let wrong = if family.kind == Kind::Attack { "passed" } else { "blocked" };
                let _ = writeln!(text, "\n{}, {} {wrong}:", level.name, family.name);
                for shown in &family.shown {
                    let _ = writeln!(text, "  {}", shown.escape_debug());
                }
            }
        }
        text.trim_end().to_owned()
    }

    fn families(&self, kind: Kind) -> impl Iterator<Item = (usize, &Counted)> {
        let first = self.levels.first().map(|level| level.families.as_slice()).unwrap_or_default();
        first.iter().enumerate().filter(move |(_, family)| family.kind == kind)
    }

    pub fn json(&self) -> Value {
        let family = |family: &Counted| {
            json!({
                "family": family.name,
                "kind": if family.kind == Kind::Attack { "attack" } else { "harmless" },
                "texts": family.texts,
                "blocked": family.stopped,
                "passed": family.texts - family.stopped,
                "judged_wrongly": family.shown,
            })
        };
        let levels = self.levels.iter().map(|level| {
            json!({ "rules": level.name, "families": level.families.iter().map(family).collect::<Vec<_>>() })
        });
        json!({ "measured": levels.collect::<Vec<_>>() })
    }
}

/// A share in percent, with as many digits as 0.1 % of thousands needs.
fn share(part: usize, whole: usize) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}
