//! Requests that find each operation of an API: what probes of a policy are sent as.

use std::sync::Arc;

use bartizan_pattern::{path::PathRules, path::canonical, template::PathPattern};
use http::Method;

use super::OperationTable;
use crate::snapshot::Operation;

/// Stands for one parameter, `*` or `**`.
const FILLING: &str = "1";

/// What no contract and no block is likely to name.
const UNDECLARED: &str = "/bartizan-probe/undeclared";

impl OperationTable {
    /// Every operation that can occur, those of unknown requests included; not `OPTIONS` of paths that do not declare it.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Operation>> {
        let variants = self.operations.iter().chain([&self.unknown]);
        variants.flat_map(|variants| variants.0.values())
    }

    /// What the API itself says, before any block: a request that nothing names gets it, unless a block is for everything.
    #[must_use]
    pub fn without_blocks(&self) -> Option<&Arc<Operation>> {
        self.unknown.get(&[])
    }

    /// Whether a contract names operations.
    #[must_use]
    pub fn has_contract(&self) -> bool {
        !self.contract.is_empty()
    }

    /// A path below the API's base path that is not expected to be named anywhere.
    #[must_use]
    pub fn undeclared_path(&self) -> String {
        format!("{}{UNDECLARED}", self.base_path)
    }

    /// How many of [`Self::samples`] come before the pairs.
    #[must_use]
    pub fn singles(&self) -> usize {
        let contract: usize = self.contract.values().map(|router| router.len()).sum();
        contract + self.blocks.iter().count() + 1
    }

    /// Requests by method and whole canonical path: one for each operation of the contract and each block, then for
    /// pairs that one path can match, then one that nothing names. Which operation each finds is for [`Self::find`] to
    /// say.
    pub fn samples(&self) -> impl Iterator<Item = (Method, String)> {
        let mut contract: Vec<(&Method, &str)> = self
            .contract
            .iter()
            .flat_map(|(method, router)| router.iter().map(move |(template, _)| (method, template.as_str())))
            .collect();
        contract.sort_unstable_by_key(|(method, text)| (*text, method.as_str()));
        let blocks = || self.blocks.iter().map(|(pattern, (_, block))| (pattern, block));
        let singles =
            contract.clone().into_iter().map(|(method, text)| (method.clone(), filled(text))).chain(
                blocks().map(|(pattern, block)| {
                    (block.method.clone().unwrap_or(Method::GET), filled(pattern.as_str()))
                }),
            );
        let declared_pairs = contract.into_iter().flat_map(move |(method, text)| {
            let path = PathPattern::parse(&text.replace('*', "%2A")).ok();
            blocks().filter(move |(_, block)| block.covers(method)).filter_map(move |(pattern, _)| {
                let both = path.as_ref().is_some_and(|path| pattern.overlaps(path));
                both.then(|| (method.clone(), merged(text, pattern.as_str())))
            })
        });
        let block_pairs = blocks().flat_map(move |(one, first)| {
            blocks().filter(move |(other, _)| *other != one && other.overlaps(one)).map(
                move |(other, second)| {
                    let method = first.method.clone().or_else(|| second.method.clone());
                    (method.unwrap_or(Method::GET), merged(one.as_str(), other.as_str()))
                },
            )
        });
        let undeclared = [(Method::GET, UNDECLARED.to_owned())];
        singles.chain(undeclared).chain(declared_pairs).chain(block_pairs).filter_map(|(method, path)| {
            let path = canonical(&path, PathRules::default()).ok()?;
            Some((method, format!("{}{path}", self.base_path)))
        })
    }

    /// The labels of the blocks that apply to a request, the most specific first.
    #[must_use]
    pub fn blocks_of(&self, method: &Method, path: &str) -> Vec<&str> {
        let below = path.strip_prefix(self.base_path.as_str()).filter(|below| !below.is_empty());
        let folded = bartizan_pattern::path::folded(below.unwrap_or("/"));
        let found = self.blocks.find(&folded).filter(|(_, (_, block))| block.covers(method));
        let mut matching: Vec<(u16, &str)> =
            found.map(|(_, (index, block))| (*index, block.label.as_str())).collect();
        matching.sort_unstable_by(|a, b| b.cmp(a));
        matching.into_iter().map(|(_, label)| label).collect()
    }
}

/// A template or pattern with everything that stands for a part of a path filled in.
fn filled(text: &str) -> String {
    let segments: Vec<String> = segments(text).map(filled_segment).collect();
    encoded(&format!("/{}", segments.join("/")))
}

/// A path of two templates or patterns that overlap: the literal text of either.
fn merged(one: &str, other: &str) -> String {
    let (mut one, mut other) = (segments(one).peekable(), segments(other).peekable());
    let mut path = String::new();
    while one.peek().is_some() || other.peek().is_some() {
        let rest = |piece: Option<&&str>| piece == Some(&"**");
        // `**` lasts to the end of the other.
        let (a, b) = match (rest(one.peek()), rest(other.peek())) {
            (true, true) => break,
            (true, false) => (None, other.next()),
            (false, true) => (one.next(), None),
            (false, false) => (one.next(), other.next()),
        };
        let Some(segment) = a.into_iter().chain(b).min_by_key(|piece| openness(piece)) else { break };
        path.push('/');
        path.push_str(&filled_segment(segment));
    }
    encoded(if path.is_empty() { "/" } else { &path })
}

/// How much a segment leaves open: nothing, a part of it, all of it.
fn openness(segment: &str) -> u8 {
    match segment {
        "*" => 2,
        _ if !segment.contains('{') => 0,
        _ if segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1) => 2,
        _ => 1,
    }
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('/').unwrap_or(text);
    text.split('/').filter(move |piece| !(text.is_empty() && piece.is_empty()))
}

fn filled_segment(segment: &str) -> String {
    if matches!(segment, "*" | "**") {
        return FILLING.to_owned();
    }
    let mut out = String::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str(FILLING);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// The path as a request line may hold it: what stands outside visible ASCII becomes escapes.
fn encoded(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_wildcards_are_filled() {
        for (text, path) in [
            ("/", "/"),
            ("/login", "/login"),
            ("/accounts/{id}", "/accounts/1"),
            ("/files/{name}.{ext}", "/files/1.1"),
            ("/admin/**", "/admin/1"),
            ("/a/*/c", "/a/1/c"),
            ("/jobs/{id}:cancel", "/jobs/1:cancel"),
            ("/caf\u{e9}/", "/caf%C3%A9/"),
        ] {
            assert_eq!(filled(text), path, "{text}");
        }
    }

    #[test]
    fn a_path_that_two_patterns_match_has_the_text_of_both() {
        for (one, other, path) in [
            ("/accounts/{id}", "/accounts/me", "/accounts/me"),
            ("/accounts/me", "/accounts/{id}", "/accounts/me"),
            ("/{tenant}/users", "/acme/*", "/acme/users"),
            ("/v1/admin/users", "/v1/**", "/v1/admin/users"),
            ("/v1/**", "/v1/admin/{x}", "/v1/admin/1"),
            ("/**", "/**", "/"),
            ("/files/{name}.pdf", "/files/*", "/files/1.pdf"),
        ] {
            assert_eq!(merged(one, other), path, "{one} and {other}");
        }
    }
}
