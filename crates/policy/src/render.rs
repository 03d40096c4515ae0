//! Diagnostics for people: each with its line of the document and what to do.

use annotate_snippets::{AnnotationKind, Level as Title, Origin, Renderer, Snippet, renderer::DecorStyle};
use bartizan_model::{Diagnostic, Diagnostics, Level};

use crate::source::Sources;

/// Keys whose values may be a secret that was written where it does not belong.
const SECRET_KEYS: [&str; 6] = ["secret", "password", "client_key", "token", "key", "api_key"];

/// Renders every diagnostic with its source line, and a last line that counts them. Colour only when asked.
///
/// A line that holds a literal secret is shown without it.
#[must_use]
pub fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for diagnostic in &diagnostics.0 {
        text.push_str(&one(diagnostic, sources, &renderer));
        text.push_str("\n\n");
    }
    let count = |level: Level| diagnostics.0.iter().filter(|diagnostic| diagnostic.level == level).count();
    let plural = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => {}
        (0, warnings) => text.push_str(&format!("{}\n", plural(warnings, "warning"))),
        (errors, 0) => text.push_str(&format!("{}\n", plural(errors, "error"))),
        (errors, warnings) => {
            text.push_str(&format!("{}, {}\n", plural(errors, "error"), plural(warnings, "warning")));
        }
    }
    text
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let mut group = level.primary_title(diagnostic.message.as_str()).elements(Vec::<Origin<'_>>::new());
    let line;
    if let Some(place) = &diagnostic.place {
        let number = usize::try_from(place.line).unwrap_or(usize::MAX);
        let source = sources.text(&place.file).and_then(|text| text.lines().nth(number.saturating_sub(1)));
        match source {
            Some(source) => {
                line = shown(source);
                let start = byte_of(&line, place.column);
                let end = token_end(&line, start);
                group = group.element(
                    Snippet::source(line.as_str())
                        .line_start(number)
                        .path(place.file.as_str())
                        .annotation(AnnotationKind::Primary.span(start..end)),
                );
            }
            None => {
                let column = usize::try_from(place.column).unwrap_or(1);
                group = group.element(Origin::path(place.file.as_str()).line(number).char_column(column));
            }
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Title::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The line as it may be shown: values of keys that name secrets are hidden unless they are references.
fn shown(line: &str) -> String {
    let mut shown = line.to_owned();
    for key in SECRET_KEYS {
        let mut from = 0;
        while let Some(at) = shown.get(from..).and_then(|rest| rest.find(key)).map(|at| from + at) {
            let end = at + key.len();
            from = end;
            let starts_word = shown.get(..at).is_none_or(|before| {
                before.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
            });
            let Some(value) =
                shown.get(end..).and_then(|rest| rest.strip_prefix(':')).filter(|_| starts_word)
            else {
                continue;
            };
            let start = end + 1 + (value.len() - value.trim_start().len());
            let Some(value) = shown.get(start..) else { continue };
            let bare = value.trim_start_matches(['"', '\'']);
            let reference =
                ["env:", "file:", "${", "{", "[", "&", "#"].iter().any(|form| bare.starts_with(form));
            let harmless =
                key == "key" && ["ip", "principal", "header."].iter().any(|form| bare.starts_with(form));
            if reference || harmless || bare.is_empty() {
                continue;
            }
            let stop = token_end(&shown, start);
            shown.replace_range(start..stop, "***");
        }
    }
    shown
}

/// The byte of a column counted in characters from 1.
fn byte_of(line: &str, column: u32) -> usize {
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

/// Where the YAML token that begins at `start` ends.
fn token_end(line: &str, start: usize) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    let length = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            rest.get(1..).and_then(|inside| inside.find(quote)).map_or(rest.len(), |at| at + 2)
        }
        Some(_) => {
            let ends = [": ", ", ", " #", "]", "}", ","];
            let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
            let end = rest.get(..end).map_or(0, |token| token.trim_end().trim_end_matches(':').len());
            end.max(1)
        }
        None => 0,
    };
    (start + length).min(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_references_are_shown() {
        assert_eq!(shown("    secret: hunter2"), "    secret: ***");
        assert_eq!(
            shown("  - { name: a, secret: \"hun ter2\", x: 1 }"),
            "  - { name: a, secret: ***, x: 1 }"
        );
        assert_eq!(shown("secret: env:TOKEN"), "secret: env:TOKEN");
        assert_eq!(shown("client_key: s3cret"), "client_key: ***");
        assert_eq!(shown("  - { name: a, key: ip, rate: 5/m }"), "  - { name: a, key: ip, rate: 5/m }");
    }

    #[test]
    fn tokens_end_where_yaml_ends_them() {
        assert_eq!(token_end("a: http://x:1/ # c", 3), 14);
        assert_eq!(token_end("a: [b, c]", 4), 5);
        assert_eq!(token_end("key: 1", 0), 3);
        assert_eq!(token_end("a: \"b c\" # d", 3), 8);
    }
}
