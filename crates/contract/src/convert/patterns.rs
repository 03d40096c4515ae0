//! Patterns that look around or back: what they become, so that every value is matched in linear time.
//!
//! A look-ahead behind the `^` of a pattern asks something of the whole text, and so does a look-behind before its `$`:
//! they are patterns of their own.

/// What a pattern can be checked as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// It looks nowhere: as it is.
    Linear,
    /// One pattern without looking.
    Simple(String),
    /// Several patterns.
    Parts {
        /// All of these match.
        all: Vec<String>,
        /// None of these does.
        none: Vec<String>,
    },
    /// Nothing that takes linear time is known to mean the same; why.
    Impossible(&'static str),
}

/// What to check instead of a pattern.
pub(super) fn rewrite(pattern: &str) -> Rewrite {
    match looks(pattern) {
        None => Rewrite::Linear,
        Some(Look::Back) => Rewrite::Impossible("refers back to what a group matched"),
        Some(Look::Around) => around(pattern).unwrap_or(Rewrite::Impossible("looks around")),
    }
}

/// The pattern inside of slashes, as JavaScript writes it. Only where `/^` shows that the slashes are no part of it: a text
/// begins nowhere behind a slash.
pub(super) fn without_slashes(pattern: &str) -> Option<&str> {
    let inner = pattern.strip_prefix('/')?.strip_suffix('/')?;
    inner.starts_with('^').then_some(inner)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Around,
    Back,
}

/// The characters of a pattern with what they are part of.
struct Scan<'p> {
    rest: std::str::CharIndices<'p>,
    in_class: bool,
}

/// What stands at one place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Open,
    Close,
    Escape(char),
    Or,
    Other,
}

impl<'p> Scan<'p> {
    fn new(pattern: &'p str) -> Self {
        Scan { rest: pattern.char_indices(), in_class: false }
    }
}

impl Iterator for Scan<'_> {
    type Item = (usize, Piece);

    fn next(&mut self) -> Option<(usize, Piece)> {
        let (at, character) = self.rest.next()?;
        let piece = match character {
            '\\' => {
                let escaped = self.rest.next().map_or('\\', |(_, character)| character);
                if self.in_class { Piece::Other } else { Piece::Escape(escaped) }
            }
            '[' if !self.in_class => {
                self.in_class = true;
                Piece::Other
            }
            ']' if self.in_class => {
                self.in_class = false;
                Piece::Other
            }
            _ if self.in_class => Piece::Other,
            '(' => Piece::Open,
            ')' => Piece::Close,
            '|' => Piece::Or,
            _ => Piece::Other,
        };
        Some((at, piece))
    }
}

/// Whether a pattern looks somewhere.
fn looks(pattern: &str) -> Option<Look> {
    let mut found = None;
    for (at, piece) in Scan::new(pattern) {
        let rest = pattern.get(at..).unwrap_or_default();
        match piece {
            Piece::Escape('1'..='9') => return Some(Look::Back),
            Piece::Escape('k') if rest.starts_with("\\k<") => return Some(Look::Back),
            Piece::Open if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| rest.starts_with(look)) => {
                found = Some(Look::Around);
            }
            _ => {}
        }
    }
    found
}

/// A group at the beginning of a text: what is inside, and the text behind it.
fn group(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, piece) in Scan::new(text) {
        match piece {
            Piece::Open => depth += 1,
            Piece::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((text.get(1..at)?, text.get(at + 1..)?));
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Whether there is an `|` outside of groups: then `^` and `$` are of one alternative only.
fn has_alternatives(pattern: &str) -> bool {
    let mut depth = 0_usize;
    Scan::new(pattern).any(|(_, piece)| {
        match piece {
            Piece::Open => depth += 1,
            Piece::Close => depth = depth.saturating_sub(1),
            Piece::Or => return depth == 0,
            _ => {}
        }
        false
    })
}

fn around(pattern: &str) -> Option<Rewrite> {
    if has_alternatives(pattern) {
        return None;
    }
    if let Some(rewrite) = tempered(pattern) {
        return Some(rewrite);
    }
    let mut rest = pattern.strip_prefix('^')?;
    let (mut all, mut none) = (Vec::new(), Vec::new());
    loop {
        let (negative, look) = match () {
            () if rest.starts_with("(?=") => (false, 2),
            () if rest.starts_with("(?!") => (true, 2),
            () => break,
        };
        let (inside, behind) = group(rest)?;
        if behind.starts_with(['*', '+', '?', '{']) {
            return None;
        }
        let inside = inside.get(look..)?;
        if looks(inside).is_some() {
            return None;
        }
        let anchored = format!("^(?:{inside})");
        if negative {
            none.push(anchored)
        } else {
            all.push(anchored)
        }
        rest = behind;
    }
    // A look-behind before the end.
    let mut end = "";
    if let Some(before) = rest.strip_suffix('$').filter(|before| !before.ends_with('\\')) {
        rest = before;
        end = "$";
        while let Some(at) = rest.rfind("(?<") {
            let (inside, behind) = group(rest.get(at..)?)?;
            if !behind.is_empty() {
                break;
            }
            let negative = match inside.get(..3)? {
                "?<!" => true,
                "?<=" => false,
                _ => break,
            };
            let inside = inside.get(3..)?;
            if looks(inside).is_some() {
                return None;
            }
            let anchored = format!("(?:{inside})$");
            if negative {
                none.push(anchored)
            } else {
                all.push(anchored)
            }
            rest = rest.get(..at)?;
        }
    }
    if looks(rest).is_some() {
        return None;
    }
    // Not blank: it holds something else than white space.
    let blank = none.len();
    none.retain(|pattern| pattern != r"^(?:\s*$)");
    if none.len() < blank {
        all.push(r"\S".to_owned());
    }
    if !(rest.is_empty() && end.is_empty() || rest == ".*" && end.is_empty()) {
        all.push(format!("^{rest}{end}"));
    }
    Some(match (all.as_slice(), none.as_slice()) {
        ([one], []) => Rewrite::Simple(one.clone()),
        _ => Rewrite::Parts { all, none },
    })
}

/// `^((?!X).)*$`: a text on one line in which `X` stands nowhere.
fn tempered(pattern: &str) -> Option<Rewrite> {
    let inner = pattern.strip_prefix('^')?;
    let (inside, behind) = group(inner)?;
    let repeated = match behind {
        "*$" => ".*",
        "+$" => ".+",
        _ => return None,
    };
    let inside = inside.strip_prefix("?:").unwrap_or(inside);
    let (look, dot) = group(inside)?;
    let look = look.strip_prefix("?!")?;
    // What may be empty stands everywhere.
    let plain = !look.is_empty() && look.chars().all(|c| c.is_alphanumeric() || " _-@/:<>=,;".contains(c));
    if dot != "." || !plain {
        return None;
    }
    Some(Rewrite::Parts { all: vec![format!("^{repeated}$")], none: vec![look.to_owned()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(all: &[&str], none: &[&str]) -> Rewrite {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Rewrite::Parts { all: owned(all), none: owned(none) }
    }

    #[test]
    fn what_looks_nowhere_stays() {
        for pattern in [r"^\d+$", r"(?:a|b)", r"(?<name>x)", r"\(?=", r"[(?=]+", r"\\(?i)a", "", r"[\]](a)\0"]
        {
            assert_eq!(rewrite(pattern), Rewrite::Linear, "{pattern}");
        }
    }

    #[test]
    fn looks_at_both_ends_become_patterns_of_their_own() {
        assert_eq!(
            rewrite(r"^(?=.*[A-Z])(?=.*\d)(?!.*(.)x)[\w!]{8,64}$"),
            parts(&[r"^(?:.*[A-Z])", r"^(?:.*\d)", r"^[\w!]{8,64}$"], &[r"^(?:.*(.)x)"])
        );
        assert_eq!(rewrite(r"^(?!\s*$).+"), parts(&[r"\S", "^.+"], &[]));
        assert_eq!(rewrite(r"^(?!\s*$)"), Rewrite::Simple(r"\S".to_owned()));
        assert_eq!(rewrite(r"^(?=.{1,5}$)"), Rewrite::Simple("^(?:.{1,5}$)".to_owned()));
        assert_eq!(rewrite(r"^[a-z.]+(?<!\.)(?<=x)$"), parts(&[r"(?:x)$", r"^[a-z.]+$"], &[r"(?:\.)$"]));
        assert_eq!(rewrite(r"^(?:(?!admin).)*$"), parts(&["^.*$"], &["admin"]));
        assert_eq!(rewrite(r"^((?!--).)+$"), parts(&["^.+$"], &["--"]));
    }

    #[test]
    fn what_has_no_equal_is_not_made_up() {
        for pattern in [
            r"(a)\1",
            r"(?<q>['\x22]).*\k<q>",
            r"a(?=b)",
            r"^(?=a)*b",
            r"^(?=a)b|c",
            r"^(?!a(?=b))c",
            r"^((?!a*).)*$",
            r"^a(?!b)c$",
            r"(?=.*\d).{8,}",
            r"^(?=a",
        ] {
            assert!(matches!(rewrite(pattern), Rewrite::Impossible(_)), "{pattern}: {:?}", rewrite(pattern));
        }
    }

    #[test]
    fn slashes_of_javascript_are_told_from_slashes_of_paths() {
        assert_eq!(without_slashes("/^a$/"), Some("^a$"));
        assert_eq!(without_slashes("/a/"), None);
        assert_eq!(without_slashes("/"), None);
    }
}
