//! Helpful words about names that are not known: the closest known one, or that it belongs to a version to come.

/// Settings of features that this version does not have.
const TO_COME: &[&str] = &[
    "acme",
    "alerts",
    "anomaly",
    "bans",
    "bots",
    "cache",
    "discovery",
    "dlp",
    "feed",
    "feeds",
    "fleet",
    "graphql",
    "grpc",
    "http3",
    "inventory",
    "payload",
    "plugins",
    "quota",
    "quotas",
    "schema_validation",
    "sinks",
    "tenants",
    "threat_intel",
    "validation",
];

/// Whether a name belongs to a feature that this version does not have.
pub(crate) fn is_to_come(name: &str) -> bool {
    TO_COME.contains(&name)
}

/// What is wrong with an unknown key, and what to do.
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> (String, String) {
    if is_to_come(key) && !known.contains(&key) {
        return (
            format!("`{key}` is not available in this version"),
            format!("remove `{key}` from the policy"),
        );
    }
    let is_guard = bartizan_guards::REGISTRY.iter().any(|guard| guard.id == key && key != "identity");
    if is_guard && known.contains(&"guards") {
        return (
            format!("`{key}` is a guard, and does not stand here"),
            format!("write it below `guards`: `guards: {{ {key}: .. }}`"),
        );
    }
    let allowed = allowed(known);
    let help = match closest(key, known) {
        Some(near) => format!("did you mean `{near}`? {allowed}"),
        None => allowed,
    };
    (format!("`{key}` is not a known setting here"), help)
}

/// What is wrong with an unknown value, and what to do.
pub(crate) fn unknown_value(value: &str, known: &[&str]) -> (String, String) {
    if is_to_come(value) && !known.contains(&value) {
        return (format!("`{value}` is not available in this version"), allowed(known));
    }
    let allowed = allowed(known);
    let help = match closest(value, known) {
        Some(near) => format!("did you mean `{near}`? {allowed}"),
        None => allowed,
    };
    (format!("`{value}` is not one of the allowed values"), help)
}

fn allowed(known: &[&str]) -> String {
    if known.is_empty() {
        return "no settings are allowed here".to_owned();
    }
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("allowed: {}", names.join(", "))
}

/// The known name that differs least, if few enough edits apart to be a slip.
pub(crate) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name: String =
        name.chars().take(64).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect();
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(&name, candidate), *candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits apart: a letter more, less, other, or two neighbours exchanged (optimal string alignment, three rows).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let (mut older, mut old) = (Vec::new(), (0..=b.len()).collect::<Vec<usize>>());
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut edits =
                (at(&old, j) + usize::from(x != *y)).min(at(&old, j + 1) + 1).min(at(&row, j) + 1);
            let exchanged = j > 0 && last == Some(*y) && b.get(j - 1) == Some(&x);
            if exchanged {
                edits = edits.min(at(&older, j - 1) + 1);
            }
            row.push(edits);
        }
        last = Some(x);
        older = std::mem::replace(&mut old, row);
    }
    old.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_do_not() {
        let known = ["rate_limit", "ip_access", "cors"];
        assert_eq!(closest("rate_limits", &known), Some("rate_limit"));
        assert_eq!(closest("rate-limit", &known), Some("rate_limit"));
        assert_eq!(closest("ratelimit", &known), Some("rate_limit"));
        assert_eq!(closest("corse", &known), Some("cors"));
        assert_eq!(closest("banana", &known), None);
        assert_eq!(closest("psot", &["get", "post", "put"]), Some("post"));
        assert_eq!(closest("upstraem", &["upstream"]), Some("upstream"));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }

    #[test]
    fn features_to_come_are_refused_by_name() {
        assert_eq!(unknown_key("dlp", &["cors"]).0, "`dlp` is not available in this version");
    }
}
