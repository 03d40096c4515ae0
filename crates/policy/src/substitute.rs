//! `${NAME}` and `${NAME:-default}` in values, from the source's variables and the environment. `$${` stays `${`.

use bartizan_contract::tree::{Node, Value};
use bartizan_model::Diagnostic;

use crate::source::Sources;

/// Replaces every variable in every value of the tree; what is missing is reported at its place.
pub(crate) fn substitute(
    node: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    sources: &Sources,
    report: &mut Vec<Diagnostic>,
) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| substitute(item, lookup, sources, report)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| substitute(&mut entry.value, lookup, sources, report));
        }
        Value::Scalar { text, quoted } if text.contains("${") => match expand(text, lookup) {
            Ok(expanded) => {
                // An empty value is empty text, not the absence of a value.
                *quoted |= expanded.is_empty();
                *text = expanded;
            }
            Err((message, help)) => {
                let mut diagnostic = Diagnostic::error("", message).help(help);
                diagnostic.place = sources.place(node.span);
                report.push(diagnostic);
                // Anything is better than a second complaint about the same text.
                text.clear();
                *quoted = false;
            }
        },
        Value::Scalar { .. } => {}
    }
}

fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            return Err((
                "`${` is not closed".to_owned(),
                "write `${NAME}` or `${NAME:-default}`, or `$${` for the text itself".to_owned(),
            ));
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err((
                format!("`{name}` is not the name of an environment variable"),
                "write `${NAME}` or `${NAME:-default}`, or `$${` for the text itself".to_owned(),
            ));
        }
        match (lookup(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err((
                    format!("the environment variable `{name}` is not set"),
                    format!("set it, or write a default: `${{{name}:-default}}`"),
                ));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_escapes() {
        let lookup = |name: &str| (name == "SET").then(|| "yes".to_owned());
        assert_eq!(expand("a ${SET} b", &lookup), Ok("a yes b".to_owned()));
        assert_eq!(expand("${UNSET:-x:1}", &lookup), Ok("x:1".to_owned()));
        assert_eq!(expand("$${SET}", &lookup), Ok("${SET}".to_owned()));
        assert!(
            expand("${UNSET}", &lookup).is_err_and(|(message, _)| message.contains("`UNSET` is not set"))
        );
        assert!(expand("${SET", &lookup).is_err());
        assert!(expand("${a b}", &lookup).is_err());
    }
}
