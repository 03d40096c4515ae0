//! The terminal that a command answers to: its width, and whether it shows colours.

use std::io::IsTerminal as _;

use bartizan_telemetry::Look;

/// Where nothing tells a width.
const WIDTH: usize = 100;

/// How a screen looks on standard output.
pub fn look() -> Look {
    Look { width: width(), color: color(), place: None }
}

/// The terminal's columns; what `COLUMNS` says where standard output is none.
fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let told = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.filter(|&width| width > 0).or_else(told).unwrap_or(WIDTH)
}

/// On a terminal that is not a dumb one, unless `NO_COLOR` says something (<https://no-color.org>).
fn color() -> bool {
    let says = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && says("NO_COLOR").is_none()
        && says("TERM").is_some_and(|term| term != "dumb")
}
