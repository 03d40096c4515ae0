//! Rules that make one kind of principal of the tokens of many platforms.

use std::{collections::BTreeMap, sync::Arc};

/// How an issuer's claims become a principal. Each list has alternatives: the first whose claims are all there is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimMap {
    /// The subject; empty for `sub`. A token for which none applies is refused.
    pub subject: Vec<Template>,
    /// The tenant.
    pub tenant: Vec<Template>,
    /// Roles, besides those of the usual claims: all that apply.
    pub roles: Vec<Template>,
    /// Scopes, besides those of the usual claims: all that apply.
    pub scopes: Vec<Template>,
    /// Attributes by name.
    pub attributes: BTreeMap<Arc<str>, Vec<Template>>,
    /// What holds for tokens of some claims; all that apply, in order.
    pub rules: Vec<Rule>,
}

/// Text with claims in it: `{sub}`, `{/kubernetes.io/namespace}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(Arc<str>),
    /// The claim at this JSON pointer (RFC 6901).
    Claim(Arc<str>),
}

/// What holds for tokens of some claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// JSON pointers of claims, each with a pattern in which `*` stands for any text; all must match.
    pub when: Vec<(Arc<str>, Arc<str>)>,
    /// Further roles.
    pub roles: Vec<Template>,
    /// Further scopes.
    pub scopes: Vec<Template>,
    /// Another tenant.
    pub tenant: Option<Template>,
    /// Further attributes.
    pub attributes: BTreeMap<Arc<str>, Template>,
}

impl std::str::FromStr for Template {
    type Err = String;

    /// Names in braces are claims: a JSON pointer where they begin with `/`, else the name of a claim.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if before.contains('}') {
                return Err(format!("`{text}` closes a brace that it does not open"));
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{text}` opens a brace that it does not close"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            if matches!(pieces.last(), Some(Piece::Claim(_))) {
                return Err(format!("`{text}` has two claims side by side; put a text between them"));
            }
            pieces.push(Piece::Claim(pointer(name)?.into()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("`{text}` closes a brace that it does not open"));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        if pieces.is_empty() {
            Err("a template is empty; write `{sub}`, for example".to_owned())
        } else {
            Ok(Template(pieces))
        }
    }
}

/// The JSON pointer of a claim that is named, or pointed at.
///
/// # Errors
/// It is empty or has a brace.
pub fn pointer(name: &str) -> Result<String, String> {
    match name {
        "" | "/" => Err("a claim has no name; write `{sub}`, for example".to_owned()),
        name if name.contains(['{', '}']) => Err(format!("`{name}` has a brace in it")),
        name if name.starts_with('/') => Ok(name.to_owned()),
        name => Ok(format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn templates_are_text_and_claims() {
        let template: Template = "k8s:{/kubernetes.io/namespace}/{sub}".parse().unwrap();
        assert_eq!(
            template.0,
            [
                Piece::Text("k8s:".into()),
                Piece::Claim("/kubernetes.io/namespace".into()),
                Piece::Text("/".into()),
                Piece::Claim("/sub".into()),
            ]
        );
        assert_eq!("{a/b}".parse::<Template>().unwrap().0, [Piece::Claim("/a~1b".into())]);
        for wrong in ["", "{", "}", "{}", "a}b", "{a}{b}", "{/}", "{a{b}}"] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
    }
}
