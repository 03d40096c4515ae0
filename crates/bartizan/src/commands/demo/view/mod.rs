//! The live view: what each terminal size shows, and where.

mod look;
mod sections;
#[cfg(test)]
mod tests;

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Text},
    widgets::Paragraph,
};

pub use look::Look;
pub use sections::Facts;

use super::{kinds::FAMILIES, score::Score};

/// From this width on, attacks stand beside the reasons and the commands.
const BESIDE: u16 = 180;
/// The columns of the attacks there.
const LEFT: u16 = 84;
/// Below this nothing reads well.
const LEAST: (u16, u16) = (60, 16);

/// Draws everything that fits.
pub fn draw(frame: &mut Frame<'_>, score: &Score, facts: &Facts, look: Look) {
    let all = frame.area();
    let width = usize::from(all.width);
    let mut page = Page { frame, rest: all };
    page.put(sections::header(facts, look, width));
    page.put(sections::traffic(score, facts, look, width));
    if all.width < LEAST.0 || all.height < LEAST.1 {
        let tally = score.attacks();
        let text =
            format!("Attacks  {} tried, {} stopped, {} through", tally.tried, tally.stopped, tally.through);
        page.put(vec![Line::raw(text), Line::raw("A larger window shows more.")]);
    } else if all.width >= BESIDE {
        beside(page, score, facts, look);
    } else {
        stacked(page, score, facts, look);
    }
}

/// Attacks left; reasons and commands right; refusals over the whole width below.
fn beside(mut page: Page<'_, '_>, score: &Score, facts: &Facts, look: Look) {
    page.gap(40);
    // Reasons and commands need lines, too, where there are no attacks.
    let height = attack_lines(facts, page.rest.height, 8).max(10);
    let block = page.take(height);
    let left = Rect { width: LEFT.min(block.width), ..block };
    let right =
        Rect { x: block.x + left.width + 2, width: block.width.saturating_sub(left.width + 2), ..block };
    let (width, rows) = (usize::from(right.width), usize::from(height));
    page.at(left, sections::attacks(score, facts, look, usize::from(left.width), rows));
    let commands = sections::closer(score, facts, look, width, rows.saturating_sub(4).min(6));
    let reasons = sections::reasons(score, look, width, rows.saturating_sub(commands.len() + 1));
    let below = u16::try_from(reasons.len().max(rows.saturating_sub(commands.len()))).unwrap_or(0);
    page.at(right, reasons);
    page.at(Rect { y: right.y + below, height: height.saturating_sub(below), ..right }, commands);
    page.gap(30);
    let (width, height) = page.size();
    page.put(sections::refusals(score, look, width, height));
}

/// Everything below each other.
fn stacked(mut page: Page<'_, '_>, score: &Score, facts: &Facts, look: Look) {
    page.gap(28);
    let (width, rest) = page.size();
    let height = attack_lines(facts, page.rest.height, 14);
    page.put(sections::attacks(score, facts, look, width, usize::from(height)));
    page.gap(28);
    let tall = rest >= 34 + usize::from(height);
    page.put(if tall {
        sections::reasons(score, look, width, 8)
    } else {
        vec![sections::reasons_line(score, look, width)]
    });
    page.gap(28);
    let (_, rest) = page.size();
    let commands = sections::closer(score, facts, look, width, if rest >= 16 { 7 } else { 4 });
    let left = rest.saturating_sub(commands.len());
    let refusals = page.take(u16::try_from(left).unwrap_or(0));
    page.at(refusals, sections::refusals(score, look, width, left));
    page.put(commands);
}

/// Lines for the table of attacks: each kind where `others` lines remain for the rest, else families.
fn attack_lines(facts: &Facts, rest: u16, others: u16) -> u16 {
    let lines = |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX);
    let each = lines(facts.cast.len() + 2);
    if facts.cast.is_empty() {
        2
    } else if facts.cast.len() <= FAMILIES.len() || rest >= each.saturating_add(others) {
        each
    } else {
        lines(FAMILIES.len() + 1)
    }
}

/// The frame, and what of it is empty yet.
struct Page<'f, 'b> {
    frame: &'f mut Frame<'b>,
    rest: Rect,
}

impl Page<'_, '_> {
    /// The columns and lines that are empty.
    fn size(&self) -> (usize, usize) {
        (usize::from(self.rest.width), usize::from(self.rest.height))
    }

    /// The next so many lines.
    fn take(&mut self, height: u16) -> Rect {
        let height = height.min(self.rest.height);
        let taken = Rect { height, ..self.rest };
        self.rest = Rect { y: self.rest.y + height, height: self.rest.height - height, ..self.rest };
        taken
    }

    /// An empty line in terminals of at least so many lines.
    fn gap(&mut self, least: u16) {
        if self.frame.area().height >= least {
            self.take(1);
        }
    }

    fn put(&mut self, lines: Vec<Line<'static>>) {
        let place = self.take(u16::try_from(lines.len()).unwrap_or(u16::MAX));
        self.at(place, lines);
    }

    fn at(&mut self, place: Rect, lines: Vec<Line<'static>>) {
        let place = place.intersection(self.frame.area());
        self.frame.render_widget(Paragraph::new(Text::from(lines)), place);
    }
}
