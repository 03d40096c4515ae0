//! The parts of the view as lines of text: each fits the columns that it is given.

use std::{net::SocketAddr, time::Duration};

use bartizan_traffic::Kind;
use ratatui::text::{Line, Span};

use super::look::Look;
use crate::commands::demo::{
    kinds::{rows, title},
    score::{Refusal, Score},
    words::{clock, count, duration, fit, percent},
};

/// What the view tells beside the score.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How this program was called, as a shell takes it.
    pub program: String,
    /// Where anybody may call.
    pub open: Option<SocketAddr>,
    /// Where the bank answers.
    pub bank: SocketAddr,
    /// Where the admin API answers.
    pub admin: SocketAddr,
    /// The gateway's state, as a shell takes it.
    pub state: String,
    /// The policy's file, as a shell takes it.
    pub policy: String,
    /// The policy in force.
    pub generation: u64,
    /// Why the newest policy is not in force.
    pub problem: Option<String>,
    /// Since the start.
    pub elapsed: Duration,
    /// Whether the view is held still.
    pub held: bool,
    /// When it ends by itself.
    pub limit: Option<Duration>,
    /// The people who are about.
    pub people: usize,
    /// The kinds of attackers that are about.
    pub cast: Vec<Kind>,
    /// What everything follows from.
    pub seed: u64,
    /// The flaws of the bank.
    pub flaws: usize,
}

/// Left and right parts with room between; where both do not fit, the right one is left out.
fn spread(left: Vec<Span<'static>>, right: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let columns = |spans: &[Span<'_>]| spans.iter().map(Span::width).sum::<usize>();
    let used = columns(&left) + columns(&right);
    let mut line = left;
    if used + 2 <= width {
        line.push(Span::raw(" ".repeat(width - used)));
        line.extend(right);
    }
    Line::from(line)
}

/// Who stands where, how long, and which policy decides.
pub fn header(facts: &Facts, look: Look, width: usize) -> Vec<Line<'static>> {
    let time = match facts.limit {
        Some(limit) => format!("{} of {}", clock(facts.elapsed), clock(limit)),
        None => clock(facts.elapsed),
    };
    let mut cast = format!("  a bank with {} flaws, {} people", facts.flaws, facts.people);
    match facts.cast.len() {
        0 => cast.push_str(", no attackers"),
        count => cast.push_str(&format!(", {count} attackers")),
    }
    let first = spread(
        vec![Span::styled("Bartizan demo", look.strong()), Span::raw(cast)],
        vec![Span::styled(time, look.strong())],
        width,
    );
    let arrow = if look.blocks { "→" } else { "->" };
    let open = facts.open.map_or_else(|| "gateway".to_owned(), |address| format!("http://{address}"));
    let way = vec![Span::styled(open, look.name()), Span::raw(format!(" {arrow} bank at {}", facts.bank))];
    let policy = match &facts.problem {
        Some(_) => vec![Span::styled("the changed policy is refused", look.bad())],
        None => vec![Span::raw(format!("policy generation {}", facts.generation))],
    };
    let mut lines = vec![first, spread(way, policy, width)];
    if let Some(problem) = &facts.problem {
        lines.push(Line::styled(fit(problem, width), look.bad()));
    }
    lines
}

/// The pace, the verdicts, and how people fare.
pub fn traffic(score: &Score, facts: &Facts, look: Look, width: usize) -> Vec<Line<'static>> {
    let mut lines = [verdicts(score, facts, look, width), people(score, look, width)];
    // The sparkline stands where there is room for one.
    for line in &mut lines {
        let room = width.saturating_sub(line.iter().map(Span::width).sum::<usize>() + 2);
        if room >= 8 {
            line.push(Span::raw("  "));
            line.push(Span::styled(look.sparkline(&score.pace(facts.elapsed, room as u64)), look.name()));
            break;
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn verdicts(score: &Score, facts: &Facts, look: Look, width: usize) -> Vec<Span<'static>> {
    let (verdicts, wide) = (&score.verdicts, width >= 112);
    let mut parts = vec![
        (verdicts.allowed, "allowed", look.good()),
        (verdicts.denied, "refused", look.bad()),
        (verdicts.challenged, if wide { "without a valid token" } else { "no token" }, look.bad()),
        (verdicts.throttled, if wide { "over a limit" } else { "limited" }, look.bad()),
    ];
    if verdicts.failed > 0 {
        parts.push((verdicts.failed, "failed", look.bad()));
    }
    let rate = format!("{}{}  ", count(score.rate(facts.elapsed)), if wide { " requests/s" } else { "/s" });
    let mut spans = vec![Span::styled("Traffic  ", look.strong()), Span::raw(rate)];
    for (index, (number, word, style)) in parts.into_iter().enumerate() {
        spans.push(Span::raw(if index > 0 { ", " } else { "" }));
        spans.push(Span::styled(count(number), style));
        spans.push(Span::raw(format!(" {word}")));
    }
    spans
}

fn people(score: &Score, look: Look, width: usize) -> Vec<Span<'static>> {
    let people = &score.people;
    let fair = if people.sent == people.succeeded { look.good() } else { look.bad() };
    let requests = if width >= 112 { " requests" } else { "" };
    let mut spans = vec![
        Span::styled("People   ", look.strong()),
        Span::styled(percent(people.success()), fair),
        Span::raw(format!(" of {}{requests} succeeded, ", count(people.sent))),
        Span::raw(format!(
            "half within {}, 99% within {}",
            duration(people.percentile(50)),
            duration(people.percentile(99))
        )),
    ];
    if people.stopped > 0 {
        spans.push(Span::styled(format!(", {} refused wrongly", count(people.stopped)), look.bad()));
    }
    spans
}

/// Attacks by kind: tried, stopped, through, and what stops the rest. `height` lines at most.
pub fn attacks(score: &Score, facts: &Facts, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    if facts.cast.is_empty() {
        return vec![look.rule("Attacks", "", width), Line::raw("  none: `--no-attacks` was given")];
    }
    // Name, three numbers; what is left is the bar and the note.
    let note = if width >= 76 { 19 } else { 0 };
    let bar = width.saturating_sub(2 + 23 + 7 + 9 + 9 + 2 + note).min(40);
    let right =
        if note > 0 { format!("{:<width$}", "to be stopped by", width = note - 2) } else { String::new() };
    let head = format!("{:>7}{:>9}{:>9}  {:bar$}  {right}", "tried", "stopped", "through", "");
    let mut lines = vec![spread_title(look, &head, width)];
    let all = rows(score, &facts.cast, height.saturating_sub(2).max(1));
    for row in all.iter().take(height.saturating_sub(1)) {
        let tally = row.tally;
        let through = if tally.through > 0 { look.bad() } else { look.quiet() };
        let stopped = if tally.stopped > 0 { look.good() } else { look.quiet() };
        let mut spans = vec![
            Span::raw(format!("  {:<23}", row.name)),
            Span::raw(format!("{:>7}", count(tally.tried))),
            Span::styled(format!("{:>9}", count(tally.stopped)), stopped),
            Span::styled(format!("{:>9}", count(tally.through)), through),
            Span::raw("  "),
        ];
        spans.extend(look.bar(tally.stopped, tally.through, bar));
        if note > 0 {
            spans.push(Span::styled(format!("  {}", row.needs), look.quiet()));
        }
        lines.push(Line::from(spans));
    }
    if lines.len() < height && facts.cast.len() < height {
        let all = score.attacks();
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<23}", "all"), look.strong()),
            Span::raw(format!("{:>7}{:>9}{:>9}", count(all.tried), count(all.stopped), count(all.through))),
        ]));
    }
    lines
}

/// The title of the table, its columns over the numbers.
fn spread_title(look: Look, head: &str, width: usize) -> Line<'static> {
    let name = format!("{} Attacks ", if look.blocks { "─" } else { "-" });
    let fill = 25_usize.saturating_sub(name.chars().count());
    let dash = if look.blocks { "─" } else { "-" };
    let text = fit(head, width.saturating_sub(25));
    Line::from(vec![
        Span::styled(format!("{dash} "), look.quiet()),
        Span::styled("Attacks", look.strong()),
        Span::styled(format!(" {}", dash.repeat(fill)), look.quiet()),
        Span::styled(text, look.quiet()),
    ])
}

/// The most frequent reasons in one line.
pub fn reasons_line(score: &Score, look: Look, width: usize) -> Line<'static> {
    let mut spans = vec![Span::styled("Reasons  ", look.strong())];
    let mut used = spans.iter().map(Span::width).sum::<usize>();
    for (index, (reason, number)) in score.reasons().into_iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let text = format!(" {}", count(number));
        used += comma.len() + reason.len() + text.len();
        if used > width {
            break;
        }
        spans.push(Span::raw(comma));
        spans.push(Span::styled(reason, look.name()));
        spans.push(Span::raw(text));
    }
    Line::from(spans)
}

/// The most frequent reasons as a table with bars. `height` lines at most.
pub fn reasons(score: &Score, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let all = score.reasons();
    let most = all.first().map_or(1, |(_, count)| *count).max(1);
    let room = width.saturating_sub(2 + 32 + 8 + 2).min(60);
    let mut lines = vec![look.rule("Why refused", "", width)];
    for (reason, number) in all.into_iter().take(height.saturating_sub(1)) {
        let columns = usize::try_from(number * room as u64 / most).unwrap_or(0).max(1);
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<32}", fit(reason, 32)), look.name()),
            Span::raw(format!("{:>8}  ", count(number))),
            Span::styled(if look.blocks { "▪" } else { "=" }.repeat(columns), look.quiet()),
        ]));
    }
    lines
}

/// The latest refusals. `height` lines at most; a refusal has one line where there is room for it, else two.
pub fn refusals(score: &Score, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines = vec![look.rule("Latest refusals", "", width)];
    let one_line = width >= 112;
    for refusal in score.refusals() {
        let rows = if one_line { vec![wide(refusal, look, width)] } else { narrow(refusal, look, width) };
        if lines.len() + rows.len() > height {
            break;
        }
        lines.extend(rows);
    }
    lines
}

fn who(refusal: &Refusal) -> String {
    match (refusal.kind, refusal.from) {
        (Some(kind), _) => title(kind).to_owned(),
        (None, Some(from)) if from.is_loopback() => "you".to_owned(),
        (None, _) => String::new(),
    }
}

fn repeated(refusal: &Refusal) -> String {
    if refusal.count > 1 { format!("x{}", count(refusal.count)) } else { String::new() }
}

fn address(refusal: &Refusal) -> String {
    refusal.from.map(|ip| ip.to_string()).unwrap_or_default()
}

fn wide(refusal: &Refusal, look: Look, width: usize) -> Line<'static> {
    // Whole IPv6 addresses, long operations and who it was where there is room for them.
    let (from, reason, kind) = match width {
        180.. => (39, 34, 24),
        120..180 => (15, 33, 0),
        _ => (15, 26, 0),
    };
    let operation = width.saturating_sub(2 + 5 + 2 + from + 2 + 2 + reason + 7 + kind + 26).min(48);
    Line::from(vec![
        Span::raw(format!("  {:>5}  {:<from$}  ", clock(refusal.at), fit(&address(refusal), from))),
        Span::raw(format!("{:<operation$}  ", fit(&refusal.operation, operation))),
        Span::styled(format!("{:<reason$}", fit(refusal.reason, reason - 1)), look.name()),
        Span::raw(format!("{:<7}", fit(&repeated(refusal), 6))),
        Span::styled(format!("{:<kind$}", fit(&who(refusal), kind)), look.quiet()),
        Span::raw(refusal.id.to_string()),
    ])
}

fn narrow(refusal: &Refusal, look: Look, width: usize) -> Vec<Line<'static>> {
    let reason = fit(refusal.reason, 32);
    let operation = width.saturating_sub(2 + 5 + 2 + reason.len() + 2 + 6);
    vec![
        Line::from(vec![
            Span::raw(format!("  {:>5}  {}  ", clock(refusal.at), fit(&refusal.operation, operation))),
            Span::styled(reason, look.name()),
            Span::raw(format!(" {}", fit(&repeated(refusal), 6))),
        ]),
        Line::from(vec![
            Span::raw(format!("{:9}{}  {:<19}  ", "", refusal.id, fit(&address(refusal), 19))),
            Span::styled(who(refusal), look.quiet()),
        ]),
    ]
}

/// Commands to copy. `height` lines at most; the most useful ones come first.
pub fn closer(score: &Score, facts: &Facts, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let keys = if facts.held { "space goes on, q ends" } else { "space holds, q ends" };
    let mut lines = vec![look.rule("Look closer, in another terminal", keys, width)];
    let why =
        score.example().map(|id| [format!("{} why {id}", facts.program), format!("--state {}", facts.state)]);
    let metrics = [format!("curl -s http://{}/metrics", facts.admin), "| grep refusals".to_owned()];
    let call = facts
        .open
        .map(|open| [format!("curl -i http://{open}/v1/accounts"), "# be refused yourself".to_owned()]);
    let change = [format!("vi {}", facts.policy), "# what is saved is in force at once".to_owned()];
    for [first, rest] in [why, Some(metrics), call, Some(change)].into_iter().flatten() {
        let rows = if first.chars().count() + rest.chars().count() + 3 <= width {
            vec![format!("  {first} {rest}")]
        } else if rest.starts_with('#') {
            vec![format!("  {first}")]
        } else {
            vec![format!("  {first} \\"), format!("    {rest}")]
        };
        if lines.len() + rows.len() <= height {
            lines.extend(rows.into_iter().map(Line::raw));
        }
    }
    lines
}
