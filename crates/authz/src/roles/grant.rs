//! What one line of a role allows: methods and paths, or everything with a tag.

use bartizan_pattern::{path::folded, template::PathPattern};
use http::Method;

use crate::actions::Action;

/// A part of an API.
#[derive(Clone, Debug, PartialEq)]
pub enum Scope {
    /// Everything with a tag of the contract: `tag:accounts`.
    Tag(String),
    /// Methods and a pattern of paths: `GET /accounts/**`, `GET,POST /notes`, `read /reports/*`, `* /**`.
    Paths {
        /// Which methods.
        methods: Methods,
        /// Below the base path.
        pattern: PathPattern,
    },
}

/// Which methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// All.
    Any,
    /// Those that change nothing.
    Read,
    /// Those that change something.
    Write,
    /// These, `HEAD` being `GET`.
    Listed(Vec<String>),
}

/// How a scope relates to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// No request of the action.
    None,
    /// Every one.
    All,
    /// It depends on the path.
    Some,
}

impl Scope {
    /// Reads a scope.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead, as `what; remedy`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "write a method and a path such as `GET /accounts/**`, `read /reports/*`, `* /**`, or `tag:NAME`";
        let text = text.trim();
        if let Some(tag) = text.strip_prefix("tag:") {
            let tag = tag.trim();
            return if tag.is_empty() {
                Err(format!("`{text}` names no tag; {FORM}"))
            } else {
                Ok(Scope::Tag(tag.to_owned()))
            };
        }
        let mut words = text.split_ascii_whitespace();
        let (methods, path) = match (words.next(), words.next(), words.next()) {
            (Some(path), None, None) if path.starts_with('/') => (Methods::Any, path),
            (Some(methods), Some(path), None) => (Methods::parse(methods)?, path),
            _ => return Err(format!("`{text}` names no operations; {FORM}")),
        };
        let pattern = PathPattern::parse(path)
            .map_err(|error| if error.contains("; ") { error } else { error.replacen(": ", "; ", 1) })?;
        Ok(Scope::Paths { methods, pattern })
    }

    /// Whether it names one operation, which then has to be there.
    pub(super) fn names_one(&self) -> bool {
        match self {
            Scope::Tag(_) => true,
            Scope::Paths { methods, pattern } => {
                matches!(methods, Methods::Listed(list) if list.len() == 1)
                    && !pattern.as_str().split('/').any(|segment| matches!(segment, "*" | "**"))
            }
        }
    }

    /// How it relates to an action.
    pub(super) fn coverage(&self, action: &Action) -> Coverage {
        match self {
            Scope::Tag(tag) if action.tags.iter().any(|own| **own == **tag) => Coverage::All,
            Scope::Tag(_) => Coverage::None,
            Scope::Paths { methods, .. } if !methods.contain(&action.method) => Coverage::None,
            Scope::Paths { pattern, .. } => match action.path.as_deref() {
                None => Coverage::Some,
                Some(path) if action.is_one_template() => {
                    // A parameter stands as a segment that only `*` and parameters match.
                    if pattern.matches(&folded(path)) {
                        return Coverage::All;
                    }
                    let template = PathPattern::parse(&path.replace('*', "%2A"));
                    match template {
                        Ok(template) if !pattern.overlaps(&template) => Coverage::None,
                        _ => Coverage::Some,
                    }
                }
                Some(path) => match PathPattern::parse(path) {
                    Ok(own) if own == *pattern => Coverage::All,
                    Ok(own) if !own.overlaps(pattern) => Coverage::None,
                    _ => Coverage::Some,
                },
            },
        }
    }

    /// Whether it has the path, folded and below the base path; the method is the action's.
    pub(super) fn has(&self, folded_path: &str) -> bool {
        match self {
            Scope::Tag(_) => false,
            Scope::Paths { pattern, .. } => pattern.matches(folded_path),
        }
    }
}

impl Methods {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Methods::Any),
            "read" => Ok(Methods::Read),
            "write" => Ok(Methods::Write),
            _ => {
                let mut listed = Vec::new();
                for name in text.split(',') {
                    let upper = name.to_ascii_uppercase();
                    let known = Method::from_bytes(upper.as_bytes());
                    known.map_err(|_| {
                        format!("`{name}` is not a method; write `GET`, `GET,POST`, `read`, `write` or `*`")
                    })?;
                    listed.push(if upper == "HEAD" { "GET".to_owned() } else { upper });
                }
                Ok(Methods::Listed(listed))
            }
        }
    }

    fn contain(&self, method: &str) -> bool {
        let safe = matches!(method, "GET" | "OPTIONS" | "QUERY");
        match self {
            Methods::Any => true,
            Methods::Read => safe,
            Methods::Write => !safe,
            Methods::Listed(list) => list.iter().any(|name| name == method),
        }
    }
}
