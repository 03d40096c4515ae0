//! A screen of text: wrapped to the terminal's width, aligned, coloured where that is wanted.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// Narrower terminals get lines of this width: less cannot hold a field and its value.
const MIN_WIDTH: usize = 40;

/// Text wider than this is hard to read; terminals may be wider.
const MAX_WIDTH: usize = 200;

/// From here on a line of a list holds everything.
const WIDE: usize = 120;

/// Characters of an id that a narrow list shows; `bartizan why` takes them.
const ID_END: usize = 8;

/// Columns of a field's name.
const NAME: usize = 12;

/// What a piece of text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// It went through.
    Good,
    /// It would have been stopped.
    Warn,
    /// It was stopped, or failed.
    Bad,
}

impl Tone {
    /// SGR parameters (ECMA-48 section 8.3.117): bold with a colour.
    const fn sgr(self) -> Option<&'static str> {
        match self {
            Tone::Plain => None,
            Tone::Good => Some("1;32"),
            Tone::Warn => Some("1;33"),
            Tone::Bad => Some("1;31"),
        }
    }
}

/// A cell of a table.
#[derive(Debug)]
pub struct Cell {
    text: String,
    width: usize,
}

impl Cell {
    pub fn new(text: &str) -> Self {
        Cell { text: text.to_owned(), width: text.width() }
    }

    /// Whether this is its text.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// The screen.
#[derive(Debug)]
pub struct Screen {
    out: String,
    width: usize,
    color: bool,
}

impl Screen {
    pub fn new(width: usize, color: bool) -> Self {
        Screen { out: String::with_capacity(2048), width: width.clamp(MIN_WIDTH, MAX_WIDTH), color }
    }

    /// Everything, without an empty line at the end.
    pub fn finish(self) -> String {
        self.out
    }

    pub fn gap(&mut self) {
        self.out.push('\n');
    }

    /// A heading with an empty line before it.
    pub fn section(&mut self, name: &str) {
        self.gap();
        let (on, off) = if self.color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let _ = writeln!(self.out, "{on}{name}{off}");
    }

    /// A name and its value.
    pub fn field(&mut self, name: &str, value: &str) {
        self.paragraph(Tone::Plain, &format!("{name:<NAME$}"), value);
    }

    /// A remark below a table.
    pub fn note(&mut self, text: &str) {
        self.paragraph(Tone::Plain, "   ", text);
    }

    /// Rows of cells, each in one line that is cut at the width. A narrow screen has no day and no client, and
    /// the end of the id.
    pub fn lines(&mut self, rows: &[(Tone, [String; 6])]) {
        let wide = self.width >= WIDE;
        let shown = |cells: &[String; 6]| -> Vec<String> {
            let [id, time, status, client, reason, what] = cells.clone();
            let short = time.split_once(' ').map(|(_, clock)| clock.to_owned());
            // The end of an id is random, and tells it from the others.
            let end: String = id.chars().skip(id.chars().count().saturating_sub(ID_END)).collect();
            match (wide, short) {
                (false, Some(short)) => vec![format!("..{end}"), short, status, reason, what],
                _ => vec![id, time, status, client, reason, what],
            }
        };
        let shown: Vec<(Tone, Vec<String>)> =
            rows.iter().map(|(tone, cells)| (*tone, shown(cells))).collect();
        let columns = shown.first().map_or(0, |(_, cells)| cells.len());
        let column =
            |at: usize| shown.iter().filter_map(|(_, cells)| cells.get(at)).map(|cell| cell.width()).max();
        let widths: Vec<usize> = (0..columns).map(|at| column(at).unwrap_or(0)).collect();
        for (tone, cells) in &shown {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let padding = width - cell.width() + 2;
                let _ = write!(line, "{cell}{:padding$}", "");
            }
            self.line(*tone, line.trim_end());
        }
    }

    /// One line, cut where it is too long.
    fn line(&mut self, tone: Tone, text: &str) {
        let (mut kept, mut column) = (String::new(), 0);
        for c in text.chars() {
            let wide = width_of(c);
            if column + wide > self.width {
                while column > self.width - 2 {
                    column -= kept.pop().map_or(1, width_of);
                }
                kept.push_str("..");
                break;
            }
            kept.push(c);
            column += wide;
        }
        self.toned(tone, &kept);
        self.out.push('\n');
    }

    /// A line as it is: what is to be copied is not wrapped.
    pub fn verbatim(&mut self, lead: &str, line: &str) {
        let _ = writeln!(self.out, "{lead}{line}");
    }

    /// Rows of cells in columns; the last cell is wrapped below itself.
    pub fn table<const N: usize>(&mut self, rows: &[(Tone, [Cell; N])]) {
        let column =
            |at: usize| rows.iter().filter_map(|(_, cells)| cells.get(at)).map(|cell| cell.width).max();
        let widths: Vec<usize> =
            (0..N).map(|at| column(at).unwrap_or(0).max(if at == 0 { 2 } else { 0 })).collect();
        for (tone, cells) in rows {
            let mut lead = String::new();
            let (Some(last), before) = (cells.last(), cells.get(..N - 1).unwrap_or_default()) else {
                continue;
            };
            for (cell, width) in before.iter().zip(&widths) {
                let padding = width - cell.width + if lead.is_empty() { 1 } else { 2 };
                let _ = write!(lead, "{}{:padding$}", cell.text, "");
            }
            self.paragraph(*tone, &lead, &last.text);
        }
    }

    /// Wraps `value` at spaces, and inside words that are longer than a line; `lead` stands before the first line and as
    /// many columns before the others.
    pub fn paragraph(&mut self, tone: Tone, lead: &str, value: &str) {
        let indent = lead.width();
        let room = self.width.saturating_sub(indent).max(MIN_WIDTH / 2);
        for (at, line) in wrapped(value, room).into_iter().enumerate() {
            if at == 0 {
                // The lead of a table's row is part of what is told.
                self.toned(tone, &format!("{lead}{line}"));
            } else {
                let _ = write!(self.out, "{:indent$}", "");
                self.toned(tone, &line);
            }
            self.out.push('\n');
        }
    }

    fn toned(&mut self, tone: Tone, text: &str) {
        match tone.sgr().filter(|_| self.color) {
            Some(sgr) => {
                let _ = write!(self.out, "\u{1b}[{sgr}m{text}\u{1b}[0m");
            }
            None => self.out.push_str(text),
        }
    }
}

fn width_of(c: char) -> usize {
    unicode_width::UnicodeWidthChar::width(c).unwrap_or(0)
}

/// Lines of at most `room` columns; one at least.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let wide = word.width();
        if column > 0 && column + 1 + wide > room {
            lines.push(std::mem::take(&mut line));
            column = 0;
        }
        if column > 0 {
            line.push(' ');
            column += 1;
        }
        for c in word.chars() {
            if column + width_of(c) > room {
                lines.push(std::mem::take(&mut line));
                column = 0;
            }
            line.push(c);
            column += width_of(c);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn lines_end_at_the_width_whatever_is_in_them() {
        let text = format!("a {} word and \u{5b57}\u{5b57}\u{5b57} more", "x".repeat(100));
        for room in [20, 33, 80] {
            let lines = wrapped(&text, room);
            assert!(lines.iter().all(|line| line.width() <= room), "{lines:?}");
            let joined: String = lines.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>(), "nothing is lost");
        }
        assert_eq!(wrapped("", 20), [""]);
    }

    #[test]
    fn columns_align_and_the_last_cell_wraps_below_itself() {
        let mut screen = Screen::new(40, false);
        let row = |mark: &str, name: &str, told: &str| {
            (Tone::Bad, [Cell::new(mark), Cell::new(name), Cell::new(told)])
        };
        screen.table(&[row("", "a", "passed"), row("->", "identity", "refused: because of something long")]);
        let out = screen.finish();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.first().unwrap(), &"   a         passed");
        assert_eq!(lines.get(1).unwrap(), &"-> identity  refused: because of");
        assert_eq!(lines.get(2).unwrap(), &"             something long");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let mut plain = Screen::new(80, false);
        plain.paragraph(Tone::Bad, "", "no");
        assert_eq!(plain.finish(), "no\n");
        let mut coloured = Screen::new(80, true);
        coloured.paragraph(Tone::Bad, "", "no");
        assert_eq!(coloured.finish(), "\u{1b}[1;31mno\u{1b}[0m\n");
    }

    #[test]
    fn a_line_is_cut_to_the_width() {
        let mut screen = Screen::new(40, false);
        screen.line(Tone::Plain, &"y".repeat(90));
        assert_eq!(screen.finish(), format!("{}..\n", "y".repeat(38)));
    }
}
