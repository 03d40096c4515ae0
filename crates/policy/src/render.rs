//! Diagnostics for people: each with its line of the document and what to do.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level as Title, Origin, Renderer, Snippet, renderer::DecorStyle};
use bartizan_model::{Diagnostic, Diagnostics, Level};

use crate::source::Sources;

/// Keys whose values may be a secret that was written where it does not belong.
const SECRET_WORDS: [&str; 7] =
    ["secret", "password", "passwd", "passphrase", "token", "credential", "authorization"];

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
    let shown;
    if let Some(place) = &diagnostic.place {
        let number = usize::try_from(place.line).unwrap_or(usize::MAX);
        let source = sources.text(&place.file).and_then(|text| text.lines().nth(number.saturating_sub(1)));
        match source {
            Some(source) => {
                shown = Shown::new(source);
                let start = shown.place(byte_of(source, place.column));
                let end = token_end(&shown.line, start);
                group = group.element(
                    Snippet::source(shown.line.as_str())
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

/// A line as it may be shown, and where what was hidden stood.
struct Shown {
    line: String,
    /// Bytes of the original that `***` replaces: in order, and never overlapping.
    hidden: Vec<Range<usize>>,
}

const STARS: &str = "***";

impl Shown {
    /// Hides values of keys that name secrets, unless they are references, and credentials in URLs.
    fn new(line: &str) -> Self {
        let mut hidden = secret_values(line);
        hidden.extend(credentials(line));
        hidden.sort_by_key(|range| range.start);
        let (mut text, mut kept, mut done) = (String::new(), Vec::new(), 0);
        for range in hidden {
            if range.start < done {
                continue;
            }
            text.push_str(line.get(done..range.start).unwrap_or_default());
            text.push_str(STARS);
            done = range.end;
            kept.push(range);
        }
        text.push_str(line.get(done..).unwrap_or_default());
        Shown { line: text, hidden: kept }
    }

    /// Where a byte of the original line is shown.
    fn place(&self, at: usize) -> usize {
        let mut place = at;
        for range in self.hidden.iter().take_while(|range| range.start < at) {
            // Within what is hidden, its beginning.
            place = (place + STARS.len()).saturating_sub(range.end.min(at) - range.start);
            if at < range.end {
                place = place.saturating_sub(STARS.len());
            }
        }
        place
    }
}

/// The values of keys that name secrets, also of keys that no policy has: `api_token`, `clientSecret`.
fn secret_values(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (colon, _) in line.match_indices(':') {
        let before = line.get(..colon).unwrap_or_default().trim_end_matches(['"', '\'']);
        let length = before
            .bytes()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
            .count();
        let key = before.get(before.len() - length..).unwrap_or_default();
        if !names_a_secret(key) {
            continue;
        }
        let value = line.get(colon + 1..).unwrap_or_default().trim_start();
        let bare = value.trim_start_matches(['"', '\'']);
        let reference = ["env:", "file:", "${", "{", "[", "&", "#"].iter().any(|form| bare.starts_with(form));
        let start = line.len() - value.len();
        let end = token_end(line, start);
        let token = line.get(start..end).unwrap_or_default().trim_matches(['"', '\'']);
        // A private key is no short word; what limits count by is.
        let word = token.len() <= 32 && token.bytes().all(|b| b.is_ascii_lowercase() || b"-_.".contains(&b));
        let switch = ["true", "false"].contains(&token);
        if reference || switch || bare.is_empty() || (key == "key" && word) {
            continue;
        }
        found.push(start..end);
    }
    found
}

/// Whether a key's name says that its value is a secret, however it is written.
fn names_a_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    plain.ends_with("key") || SECRET_WORDS.iter().any(|word| plain.contains(word))
}

/// What stands before the `@` of URLs.
fn credentials(line: &str) -> Vec<Range<usize>> {
    let authority = |start: usize| {
        let rest = line.get(start..).unwrap_or_default();
        let end = rest.find(|c: char| "/?#\"' ,]}".contains(c)).unwrap_or(rest.len());
        rest.get(..end).and_then(|authority| authority.rfind('@')).map(|at| start..start + at)
    };
    line.match_indices("://").filter_map(|(at, slashes)| authority(at + slashes.len())).collect()
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

    fn shown(line: &str) -> String {
        Shown::new(line).line
    }

    #[test]
    fn secrets_are_hidden_and_references_are_shown() {
        assert_eq!(shown("    secret: hunter2"), "    secret: ***");
        assert_eq!(
            shown("  - { name: a, secret: \"hun ter2\", x: 1 }"),
            "  - { name: a, secret: ***, x: 1 }"
        );
        assert_eq!(shown("secret: env:TOKEN"), "secret: env:TOKEN");
        assert_eq!(shown("\"secret\": \"hunter2\""), "\"secret\": ***");
        assert_eq!(shown("client_key: s3cret"), "client_key: ***");
        assert_eq!(shown("  - { name: a, key: ip, rate: 5/m }"), "  - { name: a, key: ip, rate: 5/m }");
        assert_eq!(shown("key: principle"), "key: principle");
        assert_eq!(shown("key: MIIEvQIBADAN"), "key: ***");
        assert_eq!(shown("{ api_token: \"hun ter2\", x: 1 }"), "{ api_token: ***, x: 1 }");
        assert_eq!(shown("clientSecret: hunter2"), "clientSecret: ***");
        assert_eq!(shown("X-Api-Key: hunter2"), "X-Api-Key: ***");
        assert_eq!(shown("{ forward_credential: false }"), "{ forward_credential: false }");
        assert_eq!(shown("api_key: { header: X-API-Key }"), "api_key: { header: X-API-Key }");
        assert_eq!(shown("address: \"127.0.0.1:8080\""), "address: \"127.0.0.1:8080\"");
    }

    #[test]
    fn credentials_of_urls_are_hidden() {
        assert_eq!(shown("storage: postgres://user:p@ss@db/x"), "storage: postgres://***@db/x");
        assert_eq!(shown("[http://a:b@c, http://d/e@f]"), "[http://***@c, http://d/e@f]");
    }

    #[test]
    fn a_place_after_what_is_hidden_is_still_right() {
        let line = "{ secret: hunter2hunter2, rate: 100, url: http://u:p@h/, x: 1 }";
        let shown = Shown::new(line);
        assert_eq!(shown.line, "{ secret: ***, rate: 100, url: http://***@h/, x: 1 }");
        for word in ["secret", "rate", "100", "@h/", "x: 1"] {
            let at = line.find(word).unwrap_or_default();
            assert_eq!(shown.line.find(word), Some(shown.place(at)), "{word}");
        }
        assert_eq!(shown.place(12), 10, "inside what is hidden");
        assert_eq!(shown.place(10), 10);
    }

    #[test]
    fn tokens_end_where_yaml_ends_them() {
        assert_eq!(token_end("a: http://x:1/ # c", 3), 14);
        assert_eq!(token_end("a: [b, c]", 4), 5);
        assert_eq!(token_end("key: 1", 0), 3);
        assert_eq!(token_end("a: \"b c\" # d", 3), 8);
    }
}
