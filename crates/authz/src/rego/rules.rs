//! The definitions of `allow` and `deny` in a module, each given a name of its own, so that a decision can say which held.
//!
//! `allow if { .. }` in line 12 becomes `bartizan_allow_12 if { .. }`, and behind the module stands
//! `allow := v if { v := bartizan_allow_12 }`: what the module means stays the same, and its lines stay where they are.

use bartizan_model::{Diagnostic, diagnostic::Place};
use regorus::unstable::{Expr, Module, Rule, RuleHead, Span};

/// Whether a definition permits or forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

impl Effect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Effect::Allow, Effect::Deny].into_iter().find(|effect| effect.name() == name)
    }
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub effect: Effect,
    /// Its name after the renaming; `None` for a `default`, which keeps its name.
    pub name: Option<String>,
    pub line: u32,
}

/// A module whose definitions have names of their own.
pub(super) struct Named {
    pub text: String,
    pub definitions: Vec<Definition>,
}

/// Gives each definition of a module its name.
pub(super) fn name(module: &Module, file: &str, text: &str) -> Result<Named, Diagnostic> {
    let mut named = Named { text: String::with_capacity(text.len() + 256), definitions: Vec::new() };
    let mut behind = String::new();
    let mut copied = 0;
    for (number, rule) in module.policy.iter().enumerate() {
        let (refr, is_set) = match rule.as_ref() {
            Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => (refr, false),
            Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => (refr, true),
            Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => {
                if let Some(effect) = root(refr) {
                    return Err(unusual(effect, refr.span(), file));
                }
                continue;
            }
            Rule::Default { refr, .. } => {
                if let Some(effect) = root(refr) {
                    named.definitions.push(Definition { effect, name: None, line: refr.span().line });
                }
                continue;
            }
        };
        let Some(effect) = root(refr) else { continue };
        let Expr::Var { span, .. } = refr.as_ref() else { return Err(unusual(effect, refr.span(), file)) };
        let (start, end) = (span.start as usize, span.end as usize);
        let own = format!("bartizan_{}_{}_{number}", effect.name(), span.line);
        named.text.push_str(text.get(copied..start).unwrap_or_default());
        named.text.push_str(&own);
        copied = end;
        let again = effect.name();
        behind.push_str(&if is_set {
            format!("\n{again} contains v if {{ some v in {own} }}")
        } else {
            format!("\n{again} := v if {{ v := {own} }}")
        });
        named.definitions.push(Definition { effect, name: Some(own), line: span.line });
    }
    named.text.push_str(text.get(copied..).unwrap_or_default());
    named.text.push_str(&behind);
    named.text.push('\n');
    Ok(named)
}

/// The effect that a head's first name stands for.
fn root(refr: &Expr) -> Option<Effect> {
    match refr {
        Expr::Var { span, .. } => Effect::of(span.text()),
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => root(refr),
        _ => None,
    }
}

fn unusual(effect: Effect, span: &Span, file: &str) -> Diagnostic {
    let name = effect.name();
    let place = Place { file: file.to_owned(), line: span.line, column: span.col };
    Diagnostic::error("", format!("`{name}` is a truth value or a set of messages here"))
        .help(format!("write `{name} if {{ .. }}`, or `deny contains \"why\" if {{ .. }}`"))
        .at(place)
}
