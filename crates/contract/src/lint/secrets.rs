//! Secrets in examples, defaults and descriptions: contracts are published.

use super::{Auditor, access, rules};
use crate::{
    documents::{Document, Documents},
    pointer,
    tree::{Node, Scalar, Value},
};

/// Looks at every text of every file.
pub(super) fn look(auditor: &mut Auditor<'_>, documents: &Documents) {
    for document in documents.list() {
        Walk { auditor, document, pointer: String::new() }.value(&document.root, "", false);
    }
}

struct Walk<'w, 'a> {
    auditor: &'w mut Auditor<'a>,
    document: &'w Document,
    pointer: String,
}

impl Walk<'_, '_> {
    /// `name` is that of the property whose example this is; `given`: it is an example or a default.
    fn value(&mut self, node: &Node, name: &str, given: bool) {
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(&index.to_string(), |walk| walk.value(item, name, given));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let key = entry.key.as_str();
                    let gives = matches!(key, "example" | "examples" | "default" | "x-example");
                    // `examples: { one: { value: .. } }`: names of examples are no names of properties.
                    let own = match key {
                        _ if given && !matches!(key, "value") => key,
                        "properties" | "items" | "schema" | "value" => name,
                        _ if gives => name,
                        other => other,
                    };
                    self.below(key, |walk| walk.value(&entry.value, own, given || gives));
                }
            }
            Value::Scalar { .. } => {
                if let Some(Scalar::Text(text)) = node.scalar() {
                    self.text(node, text, name, given);
                }
            }
        }
    }

    fn below(&mut self, token: &str, look: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        pointer::push_token(&mut self.pointer, token);
        look(self);
        self.pointer.truncate(length);
    }

    fn text(&mut self, node: &Node, text: &str, name: &str, given: bool) {
        let place = node.span.place(&self.document.file);
        if let Some(kind) = secret(text) {
            // Never the secret itself: reports travel further than contracts.
            let message = format!("this holds what looks like {kind}");
            self.auditor.check(&rules::EXAMPLE_SECRET);
            self.auditor.report(&rules::EXAMPLE_SECRET, message, self.pointer.clone(), place);
        } else if given && access::is_credential(name) {
            let wrong = (!is_placeholder(text)).then(|| format!("an example of `{name}` is given in clear"));
            self.auditor.judge(&rules::EXAMPLE_CREDENTIAL, place.as_ref(), &self.pointer, wrong);
        }
    }
}

/// What a text holds that only secrets look like.
fn secret(text: &str) -> Option<&'static str> {
    let alphanumeric: fn(char) -> bool = |c| c.is_ascii_alphanumeric();
    let upper: fn(char) -> bool = |c| c.is_ascii_uppercase() || c.is_ascii_digit();
    let token: fn(char) -> bool = |c| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let hex: fn(char) -> bool = |c| c.is_ascii_hexdigit();
    // How it begins, how many characters follow at least, of which kind, and what it is.
    let kinds = [
        ("AKIA", 16, upper, "an AWS access key"),
        ("ASIA", 16, upper, "an AWS access key"),
        ("ghp_", 36, alphanumeric, "a GitHub token"),
        ("gho_", 36, alphanumeric, "a GitHub token"),
        ("github_pat_", 40, token, "a GitHub token"),
        ("glpat-", 20, token, "a GitLab token"),
        ("sk_live_", 20, alphanumeric, "a Stripe key"),
        ("rk_live_", 20, alphanumeric, "a Stripe key"),
        ("xoxb-", 24, token, "a Slack token"),
        ("xoxp-", 24, token, "a Slack token"),
        ("AIza", 35, token, "a Google API key"),
        ("dop_v1_", 64, hex, "a DigitalOcean token"),
        ("npm_", 36, alphanumeric, "an npm token"),
        ("SG.", 22, token, "a SendGrid key"),
    ];
    for (beginning, length, allowed, kind) in kinds {
        for (at, _) in text.match_indices(beginning) {
            let apart = text.get(..at).is_none_or(|before| !before.ends_with(alphanumeric));
            let rest = text.get(at + beginning.len()..).unwrap_or_default();
            let run: String = rest.chars().take_while(|c| allowed(*c)).collect();
            if apart && run.len() >= length && !is_placeholder(&run) {
                return Some(kind);
            }
        }
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") && text.len() > 200 {
        return Some("a private key");
    }
    let jwt = text.split(|c: char| !token(c) && c != '.').any(|word| {
        let mut parts = word.split('.');
        let header = parts.next().is_some_and(|part| part.starts_with("eyJ") && part.len() >= 16);
        let body = parts.next().is_some_and(|part| part.starts_with("eyJ") && part.len() >= 16);
        header && body && parts.next().is_some_and(|signature| signature.len() >= 20)
    });
    jwt.then_some("a signed token")
}

/// Whether a text is there to be replaced: few different characters, or words that say so.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let says = [
        "example",
        "xxxx",
        "your",
        "placeholder",
        "<",
        "{",
        "****",
        "...",
        "changeme",
        "redacted",
        "string",
        "1234567890",
        "abcdef",
    ];
    let mut characters: Vec<char> = lower.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    text.trim().is_empty() || characters.len() < 4 || says.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_placeholders() {
        let key = format!("AKIA{}", "Q3ZT7WKDMV9LXPB2");
        assert_eq!(secret(&format!("key={key}&x")), Some("an AWS access key"));
        assert_eq!(secret("AKIAIOSFODNN7EXAMPLE"), None);
        assert_eq!(secret(&format!("sk_live_{}", "4eC39HqLyjWDarjtT1zdp7dc")), Some("a Stripe key"));
        let part = "eyJhbGciOiJIUzI1NiJ9";
        let signed = format!("Bearer {part}.{part}.{}", "dBjftJeZ4CVPmB92K27uhbUJU1p1r");
        assert_eq!(secret(&signed), Some("a signed token"));
        assert_eq!(secret("eyJhbGci.eyJzdWIi.xxx"), None);
        assert_eq!(secret("a key begins with AKIA"), None);
        assert!(is_placeholder("<password>") && is_placeholder("********") && !is_placeholder("hunter2!"));
    }
}
