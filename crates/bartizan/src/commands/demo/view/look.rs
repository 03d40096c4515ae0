//! How the view looks: colours where they are wanted, block characters where the terminal has them.

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

/// What the terminal can and may show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours; false under `NO_COLOR`.
    pub colour: bool,
    /// Characters beyond ASCII.
    pub blocks: bool,
}

impl Look {
    /// By `NO_COLOR` (<https://no-color.org>), `TERM` and the locale.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        // The console of a virtual machine has no block characters whatever its locale says.
        let blocks = utf8 && set("TERM").as_deref() != Some("linux");
        Look { colour: set("NO_COLOR").is_none(), blocks }
    }

    fn paint(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// What went well.
    pub fn good(self) -> Style {
        self.paint(Color::Green)
    }

    /// What went wrong.
    pub fn bad(self) -> Style {
        self.paint(Color::Red)
    }

    /// What matters less.
    pub fn quiet(self) -> Style {
        if self.colour { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    /// Names of things to look at.
    pub fn name(self) -> Style {
        self.paint(Color::Cyan)
    }

    /// What is read first.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A title with a rule after it, and words at its right end.
    pub fn rule(self, title: &str, right: &str, width: usize) -> Line<'static> {
        let dash = if self.blocks { "─" } else { "-" };
        let used = title.chars().count() + right.chars().count();
        let room = width.saturating_sub(used + 5);
        let right = if right.is_empty() { String::new() } else { format!(" {right}") };
        let fill = if right.is_empty() { room + 1 } else { room };
        Line::from(vec![
            Span::styled(format!("{dash} "), self.quiet()),
            Span::styled(title.to_owned(), self.strong()),
            Span::styled(format!(" {}", dash.repeat(fill)), self.quiet()),
            Span::styled(right, self.quiet()),
        ])
    }

    /// Columns for the values, the newest at the right, scaled to the largest.
    pub fn sparkline(self, values: &[u64]) -> String {
        let steps: &[char] = if self.blocks {
            &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &['.', ':', '-', '=', '+', '*', '%', '#']
        };
        let most = values.iter().copied().max().unwrap_or(0).max(1);
        let last = steps.len() as u64 - 1;
        let step = |value: u64| usize::try_from((value * last + most / 2) / most).unwrap_or(0);
        values.iter().filter_map(|&value| steps.get(step(value))).collect()
    }

    /// A bar of so many columns: the stopped part, the part that got through. Whatever is not zero has a column at least.
    pub fn bar(self, stopped: u64, through: u64, columns: usize) -> Vec<Span<'static>> {
        let all = stopped + through;
        if all == 0 {
            return vec![Span::styled(if self.blocks { "·" } else { "." }.repeat(columns), self.quiet())];
        }
        let share = usize::try_from(stopped * columns as u64 / all).unwrap_or(0);
        let least = usize::from(stopped > 0);
        let most = columns.saturating_sub(usize::from(through > 0));
        let share = share.clamp(least.min(most), most);
        let (full, hollow) = if self.blocks { ("█", "░") } else { ("#", "o") };
        vec![
            Span::styled(full.repeat(share), self.good()),
            Span::styled(hollow.repeat(columns.saturating_sub(share)), self.bad()),
        ]
    }
}
