//! Doubts about an API as a whole: operations that take guesses without a limit, sensitive ones that anybody may call.

use bartizan_contract::Description;
use bartizan_model::{
    Level, Mode,
    compile::{ApiSpec, OperationSpec, SchemeDemand},
};

use super::{Compiler, api::WrittenBlock};
use crate::effective::EffectiveOperation;

impl Compiler<'_> {
    /// Sensitive operations need a rule of who may call them.
    pub(super) fn warn_of_sensitive(
        &mut self,
        told: &[EffectiveOperation],
        spec: &ApiSpec,
        blocks: &[(u32, WrittenBlock)],
        path: &str,
    ) {
        let mut said: Vec<&str> = Vec::new();
        for operation in told.iter().filter(|operation| operation.known) {
            let own = spec.operations.iter().find(|own| *own.label == *operation.label);
            let Some(why) = sensitive(&operation.label, own) else { continue };
            let ruled = operation.guards.iter().any(|guard| {
                let rules = ["roles", "policies", "require_scopes", "require_roles", "authzen"];
                guard.guard == "access"
                    && guard.mode != Mode::Off.as_str()
                    && rules.iter().any(|rule| guard.config.get(*rule).is_some_and(says_something))
            });
            let scoped = own.and_then(|own| own.security.as_ref()).is_some_and(|alternatives| {
                let named = |alternative: &Vec<_>| {
                    alternative.iter().any(|demand: &SchemeDemand| !demand.names.is_empty())
                };
                !alternatives.is_empty() && alternatives.iter().all(named)
            });
            let access = operation.guards.iter().any(|guard| guard.guard == "access" && guard.mode != "off");
            if ruled || scoped && access || said.contains(&operation.label.as_str()) {
                continue;
            }
            said.push(&operation.label);
            let block = blocks.iter().find(|(_, written)| written.block.label == operation.label);
            let at = match block {
                Some((_, written)) => format!("{}.match", written.path),
                None if own.is_some_and(|own| own.declared) => format!("{path}.contract"),
                None => path.to_owned(),
            };
            let label = &operation.label;
            self.warn(
                &at,
                format!("`{label}` is sensitive ({why}), and no rule says who may call it"),
                "add `guards: { access: { require_roles: [..] } }` to its block, or `access: { roles: file:roles.yaml }` to the API",
            );
        }
    }

    /// Operations that take guesses need a limit.
    pub(super) fn warn_of_logins(
        &mut self,
        told: &[EffectiveOperation],
        blocks: &[(u32, WrittenBlock)],
        contract: Option<&Description>,
        path: &str,
    ) {
        let mut said: Vec<&str> = Vec::new();
        for operation in told.iter().filter(|operation| operation.known && takes_guesses(&operation.label)) {
            let limited = operation
                .guards
                .iter()
                .any(|guard| guard.guard == "rate_limit" && guard.mode != Mode::Off.as_str());
            if limited || said.contains(&operation.label.as_str()) {
                continue;
            }
            said.push(&operation.label);
            let block = blocks.iter().find(|(_, written)| written.block.label == operation.label);
            let at = match (block, contract) {
                (Some((_, written)), _) => format!("{}.match", written.path),
                (None, Some(_)) => format!("{path}.contract"),
                _ => path.to_owned(),
            };
            let label = &operation.label;
            self.report.push({
                let mut diagnostic = bartizan_model::Diagnostic::warning(
                    at.clone(),
                    format!("`{label}` takes credentials and has no limit: they can be guessed"),
                )
                .help("add `guards: { rate_limit: [{ name: guesses, key: ip, rate: 10/m }] }` to its block");
                diagnostic.place = self.sources.place(self.tree.locate(&at));
                diagnostic.level = Level::Warning;
                diagnostic
            });
        }
    }
}

/// Whether a setting is more than nothing: `require_roles: []` demands nobody.
fn says_something(value: &serde_json::Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty())
}

/// Why an operation is sensitive: its contract says so, or its path begins or ends as those of operators do.
fn sensitive(label: &str, own: Option<&OperationSpec>) -> Option<String> {
    const TAGS: [&str; 3] = ["sensitive", "admin", "internal"];
    const WORDS: [&str; 9] = [
        "admin",
        "administration",
        "internal",
        "management",
        "actuator",
        "debug",
        "superuser",
        "backoffice",
        "root",
    ];
    if own.is_some_and(|own| own.sensitive) {
        return Some("`x-sensitive`".to_owned());
    }
    let tag =
        own.into_iter().flat_map(|own| &own.tags).find(|tag| TAGS.contains(&&*tag.to_ascii_lowercase()));
    if let Some(tag) = tag {
        return Some(format!("tag `{tag}`"));
    }
    let (_, path) = label.split_once(' ')?;
    let word = path.split('/').find(|segment| WORDS.contains(&&*segment.to_ascii_lowercase()))?;
    Some(format!("`{word}` in its path"))
}

/// Whether an operation's name says that credentials are tried there.
fn takes_guesses(label: &str) -> bool {
    const WORDS: [&str; 13] = [
        "login",
        "log-in",
        "signin",
        "sign-in",
        "logon",
        "token",
        "password",
        "passwords",
        "otp",
        "mfa",
        "2fa",
        "authenticate",
        "verify-otp",
    ];
    let Some((method, path)) = label.split_once(' ') else { return false };
    if !matches!(method, "POST" | "PUT" | "*") {
        return false;
    }
    let last = path.rsplit('/').find(|segment| !segment.is_empty() && !segment.starts_with('{'));
    last.is_some_and(|segment| {
        let segment = segment.to_ascii_lowercase();
        WORDS.contains(&segment.as_str()) || segment.starts_with("login") || segment.ends_with("password")
    })
}
