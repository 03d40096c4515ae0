//! A file of policies as statements with their places: each is parsed by itself, so that every mistake is told at once.

use bartizan_model::diagnostic::Place;

/// One statement: a policy with its annotations, without what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statement<'t> {
    pub text: &'t str,
    /// Bytes before it in the file.
    pub start: usize,
}

/// The statements of a file: each ends with a semicolon outside texts and comments.
pub(super) fn statements(text: &str) -> Vec<Statement<'_>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while bytes.get(at).is_some_and(|&byte| byte != b'\n') {
                    at += 1;
                }
                continue;
            }
            b'"' => {
                start.get_or_insert(at);
                at += 1;
                while let Some(&byte) = bytes.get(at) {
                    match byte {
                        b'\\' => at += 1,
                        b'"' => break,
                        _ => {}
                    }
                    at += 1;
                }
            }
            b';' => {
                let from = start.take().unwrap_or(at);
                found.extend(text.get(from..=at).map(|text| Statement { text, start: from }));
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                start.get_or_insert(at);
            }
        }
        at += 1;
    }
    if let Some(from) = start {
        found.extend(text.get(from..).map(|text| Statement { text, start: from }));
    }
    found
}

/// The place of a byte of a file.
pub(super) fn place(file: &str, text: &str, offset: usize) -> Place {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place {
        file: file.to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    #[test]
    fn statements_end_with_semicolons_outside_texts_and_comments() {
        let text = "// a; b\n@id(\"x;y\\\";\")\npermit(principal, action, resource); // c;\n  forbid(principal,\n action, resource) ;\npermit(";
        let found = statements(text);
        assert_eq!(found.len(), 3);
        assert!(found[0].text.starts_with("@id") && found[0].text.ends_with("resource);"));
        assert_eq!(place("p", text, found[1].start).line, 4);
        assert_eq!(place("p", text, found[1].start).column, 3);
        assert_eq!(found[2].text, "permit(");
        assert!(statements("// only words;\n").is_empty());
        assert_eq!(statements("\"é;").len(), 1, "an open text ends with the file");
    }
}
