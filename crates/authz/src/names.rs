//! The known name that was probably meant.

use std::cmp::Ordering;

/// The known name with the fewest edits from `wanted`, if that is a third of its length at most, or one of two letters.
pub(crate) fn nearest<'k>(wanted: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (wanted.chars().count() / 3).max(1);
    let scored = known.into_iter().map(|name| (edits(folded(wanted), folded(name)), name));
    let best = scored.min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(b.1)).then(Ordering::Equal))?;
    (best.0 <= limit).then_some(best.1)
}

/// `did you mean ..`, or what to do otherwise.
pub(crate) fn hint<'k>(wanted: &str, known: impl IntoIterator<Item = &'k str>, otherwise: &str) -> String {
    match nearest(wanted, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise.to_owned(),
    }
}

/// Letters of any case are equal.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_lowercase)
}

/// The Levenshtein distance.
pub(crate) fn edits(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    let other: Vec<char> = other.collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        let mut next = vec![left];
        for (above, same) in row.iter().skip(1).zip(other.iter().map(|&c| c == letter)) {
            left = (diagonal + usize::from(!same)).min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["customer", "clerk", "admin"];
        assert_eq!(nearest("custmer", known), Some("customer"));
        assert_eq!(nearest("Admin", known), Some("admin"));
        assert_eq!(nearest("auditor", known), None);
        assert_eq!(hint("auditor", known, "add it"), "add it");
    }
}
