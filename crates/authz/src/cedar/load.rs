//! Files of policies to an index: parsed, given their names and places, validated against the API's schema.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use bartizan_model::{Diagnostic, Diagnostics, compile::FieldKind, diagnostic::Place};
use cedar_policy::{
    ActionConstraint, Authorizer, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    PrincipalConstraint, Schema, ValidationMode, Validator,
};
use hashbrown::HashMap;
use miette::Diagnostic as _;

use super::{
    Bucket, MAX_POLICIES, Policies, PolicyInfo,
    facts::Needs,
    forbids,
    schema::{self, CALLERS, Conflict, RECORDS, Shape},
    text::{self, Statement},
    uses::{Root, Uses},
};
use crate::{
    actions::{Action, Actions},
    names::hint,
    roles::RoleTable,
};

/// One file of policies.
#[derive(Clone, Copy, Debug)]
pub struct PolicyText<'t> {
    /// As the policy document names it.
    pub file: &'t str,
    /// Its text.
    pub text: &'t str,
}

/// What policies may refer to.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The API's name: the resource of every request is `Api::"NAME"`.
    pub api: &'a str,
    /// The roles file, if there is one: roles that it lacks are errors.
    pub roles: Option<&'a RoleTable>,
    /// Whether countries are known.
    pub country: bool,
    /// Whether autonomous systems are known.
    pub asn: bool,
}

/// A policy that was parsed.
struct Parsed<'t> {
    policy: Policy,
    file: PolicyText<'t>,
    statement: Statement<'t>,
    uses: Uses,
    info: PolicyInfo,
}

impl Parsed<'_> {
    fn place(&self, offset: usize) -> Place {
        text::place(self.file.file, self.file.text, self.statement.start + offset)
    }
}

impl Policies {
    /// Reads files of policies.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and remedy.
    pub fn load(
        files: &[PolicyText<'_>],
        actions: &Actions,
        options: Options<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut report = Diagnostics::new();
        let parsed = parse(files, &mut report);
        for policy in &parsed {
            check(policy, options, &mut report);
        }
        validate(&parsed, actions, &mut report);
        if report.has_errors() {
            return Err(report);
        }
        index(parsed, actions, options)
    }
}

/// Every statement by itself.
fn parse<'t>(files: &[PolicyText<'t>], report: &mut Diagnostics) -> Vec<Parsed<'t>> {
    let mut parsed: Vec<Parsed<'t>> = Vec::new();
    let mut places: HashMap<Arc<str>, Place> = HashMap::new();
    for file in files {
        let stem = file.file.rsplit('/').next().unwrap_or(file.file);
        for (number, statement) in text::statements(file.text).into_iter().enumerate() {
            let at = |offset| text::place(file.file, file.text, statement.start + offset);
            let policy = match Policy::parse(None, statement.text) {
                Ok(policy) => policy,
                Err(errors) => {
                    for error in errors.iter() {
                        let offset = offset(error).unwrap_or(0);
                        let help = error.help().map(|help| help.to_string());
                        let help = help.unwrap_or_else(|| "see docs/access.md for the language".to_owned());
                        report
                            .push(Diagnostic::error("", plain(&error.to_string())).help(help).at(at(offset)));
                    }
                    continue;
                }
            };
            let id: Arc<str> = match policy.annotation("id") {
                Some(id) if !id.is_empty() && id.len() <= 128 && !id.chars().any(char::is_control) => {
                    Arc::from(id)
                }
                Some(_) => {
                    let error = Diagnostic::error("", "`@id` is 1 to 128 characters");
                    report.push(error.help("write `@id(\"own-accounts\")`").at(at(0)));
                    continue;
                }
                None => Arc::from(format!("{stem}#{}", number + 1)),
            };
            let place = at(body_offset(statement.text));
            if let Some(first) = places.get(&id) {
                let error = Diagnostic::error("", format!("the policy `{id}` is there twice"));
                report.push(
                    error
                        .help(format!("give one of them another `@id`; the first one is at {first}"))
                        .at(place),
                );
                continue;
            }
            places.insert(Arc::clone(&id), place.clone());
            let json = policy.to_json().unwrap_or_default();
            let told = Arc::from(format!("policy `{id}` ({}:{})", place.file, place.line));
            let info = PolicyInfo {
                forbids: forbids(policy.effect()),
                description: policy.annotation("description").map(Arc::from),
                conditional: policy.has_non_scope_constraint(),
                bound: matches!(
                    policy.principal_constraint(),
                    PrincipalConstraint::In(_) | PrincipalConstraint::Eq(_) | PrincipalConstraint::IsIn(..)
                ),
                id: Arc::clone(&id),
                place,
                told,
            };
            let policy = policy.new_id(PolicyId::new(&*id));
            parsed.push(Parsed { policy, file: *file, statement, uses: Uses::of(&json), info });
            if parsed.len() > MAX_POLICIES {
                let error = Diagnostic::error("", format!("an API has at most {MAX_POLICIES} policies"));
                report.push(error.help("let policies name groups of operations").at(at(0)));
                return parsed;
            }
        }
    }
    parsed
}

/// Where a statement's own words begin, behind its annotations.
fn body_offset(statement: &str) -> usize {
    let found = ["permit", "forbid"].iter().filter_map(|word| statement.rfind(&format!("\n{word}")));
    found.max().map_or_else(
        || {
            if statement.starts_with('@') {
                statement.rfind("permit").or(statement.rfind("forbid")).unwrap_or(0)
            } else {
                0
            }
        },
        |at| at + 1,
    )
}

/// What Cedar's validator cannot know.
fn check(policy: &Parsed<'_>, options: Options<'_>, report: &mut Diagnostics) {
    let mut say = |message: String, help: String| {
        let at = policy.info.place.clone();
        report
            .push(Diagnostic::error("", format!("policy `{}`: {message}", policy.info.id)).help(help).at(at));
    };
    for ((root, path), used) in &policy.uses.values {
        let name = match root {
            Root::Principal => "principal",
            Root::Context => "context",
        };
        let whole = match (root, path.as_slice()) {
            (Root::Context, []) => true,
            (Root::Principal, [one]) => one == "claims",
            (Root::Context, [one]) => one == "time" || RECORDS.iter().any(|(record, _)| record == one),
            _ => false,
        };
        if whole && used.read {
            let path = std::iter::once(name).chain(path.iter().map(String::as_str));
            let path = path.collect::<Vec<_>>().join(".");
            say(format!("`{path}` is read as a whole"), format!("name a member of it: `{path}.NAME`"));
        }
        let geo = |wanted: &str, known: bool| {
            *root == Root::Context && path.first().is_some_and(|p| p == wanted) && !known
        };
        if geo("country", options.country) {
            say(
                "`context.country` needs a database".to_owned(),
                "add `geo: { country: file:GeoLite2-Country.mmdb }` to `access`".to_owned(),
            );
        }
        if geo("asn", options.asn) {
            say(
                "`context.asn` needs a database".to_owned(),
                "add `geo: { asn: file:GeoLite2-ASN.mmdb }` to `access`".to_owned(),
            );
        }
    }
    let Some(roles) = options.roles else { return };
    for literal in policy.policy.entity_literals() {
        let id = literal.id().unescaped();
        let known = ["anonymous", "authenticated"].contains(&id) || roles.role(id).is_some();
        if literal.type_name().basename() == "Role" && !known {
            let names = roles.roles().map(|(_, name)| &**name);
            say(format!("there is no role `{id}`"), hint(id, names, "add it to the roles file"));
        }
    }
}

/// Validates policies that read the same things against one schema.
fn validate(parsed: &[Parsed<'_>], actions: &Actions, report: &mut Diagnostics) {
    let mut groups: BTreeMap<String, Vec<&Parsed<'_>>> = BTreeMap::new();
    for policy in parsed {
        groups.entry(format!("{:?}", policy.uses.values)).or_default().push(policy);
    }
    for policies in groups.values() {
        let Some(first) = policies.first() else { continue };
        let mentioned = |caller: &str| policies.iter().any(|parsed| parsed.statement.text.contains(caller));
        let callers: Vec<&str> =
            CALLERS.into_iter().filter(|caller| *caller == "User" || mentioned(caller)).collect();
        let json = match schema::json(actions, &[&first.uses], &callers) {
            Ok(json) => json,
            Err(conflict) => {
                report.push(conflicting(&conflict).at(first.info.place.clone()));
                continue;
            }
        };
        let schema = match Schema::from_json_value(json) {
            Ok(schema) => schema,
            Err(error) => {
                let text = format!("the operations make no schema for policies: {error}");
                report.push(Diagnostic::error("", plain(&text)).at(first.info.place.clone()));
                continue;
            }
        };
        let set = match PolicySet::from_policies(policies.iter().map(|parsed| parsed.policy.clone())) {
            Ok(set) => set,
            Err(error) => {
                report.push(Diagnostic::error("", plain(&error.to_string())).at(first.info.place.clone()));
                continue;
            }
        };
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        // One mistake is found once for each operation and kind of caller.
        let mut said: Vec<Place> = Vec::new();
        for error in result.validation_errors() {
            let found = policies.iter().find(|parsed| parsed.policy.id() == error.policy_id());
            let Some(policy) = found else { continue };
            let place = policy.place(offset(error).unwrap_or(0));
            let message = plain(&error.to_string());
            let message = match message.split_once("`, ") {
                Some((head, rest)) if head.starts_with("for policy `") => {
                    format!("policy `{}`: {rest}", policy.info.id)
                }
                _ => message,
            };
            if said.contains(&place) {
                continue;
            }
            said.push(place.clone());
            let help = error.help().map(|help| help.to_string());
            report.push(Diagnostic::error("", &*message).help(remedy(&message, help, actions)).at(place));
        }
    }
}

/// What to do about a validation error.
fn remedy(message: &str, help: Option<String>, actions: &Actions) -> String {
    if message.contains("decimal") && message.contains("expected") {
        return "compare numbers with fractions as `context.body.amount.greaterThan(decimal(\"100.0\"))`"
            .to_owned();
    }
    if message.contains("unrecognized action") {
        let wanted = message.split('"').nth(1).unwrap_or_default();
        let groups = ["read", "write", "GET", "POST", "PUT", "PATCH", "DELETE", "unknown"];
        let names: Vec<String> = actions
            .iter()
            .map(|(_, action)| action.name.to_string())
            .chain(actions.iter().flat_map(|(_, action)| action.groups()))
            .collect();
        let known = names.iter().map(String::as_str).chain(groups);
        return match crate::names::nearest(wanted, known) {
            Some(name) => format!("did you mean `Action::\"{name}\"`?"),
            None => "name an operation as `Action::\"GET /accounts/{id}\"`, or a group: `read`, `write`, `GET`, `tag:NAME`"
                .to_owned(),
        };
    }
    help.unwrap_or_else(|| "docs/access.md lists what policies see".to_owned())
}

fn conflicting(conflict: &Conflict) -> Diagnostic {
    let name = |kind: FieldKind| match kind {
        FieldKind::Text => "text",
        FieldKind::Integer => "a whole number",
        FieldKind::Decimal => "a decimal",
        FieldKind::Boolean => "a boolean",
        FieldKind::Texts => "a list of texts",
        FieldKind::Integers => "a list of numbers",
        FieldKind::Other => "something else",
    };
    let Conflict { path, one, other } = conflict;
    let message = format!("`{path}` is read as {} and as {}", name(*one), name(*other));
    Diagnostic::error("", message).help("read it as one of them in every policy")
}

/// The policies by action.
fn index(parsed: Vec<Parsed<'_>>, actions: &Actions, options: Options<'_>) -> Result<Policies, Diagnostics> {
    let internal = |error: String| Diagnostics(vec![Diagnostic::error("", plain(&error))]);
    let kind = |name: &str| EntityTypeName::from_str(name).map_err(|error| internal(error.to_string()));
    let (action_type, api_type) = (kind("Action")?, kind("Api")?);
    let uid = |name: &str| EntityUid::from_type_name_and_id(action_type.clone(), EntityId::new(name));
    let mut policies = Policies {
        list: Vec::new(),
        numbers: HashMap::new(),
        buckets: Vec::new(),
        by_action: Vec::new(),
        actions: Vec::new(),
        api: EntityUid::from_type_name_and_id(api_type, EntityId::new(options.api)),
        authorizer: Authorizer::new(),
    };
    let mut buckets: HashMap<Vec<u32>, Vec<u32>> = HashMap::new();
    for (_, action) in actions.iter() {
        let groups = action.groups();
        let parents = groups.iter().map(|group| uid(group)).collect();
        let own = uid(&action.name);
        policies.actions.push((own.clone(), Entity::new_no_attrs(own, parents)));
        let members: Vec<u32> = (0..)
            .zip(&parsed)
            .filter(|(_, parsed)| applies(&parsed.policy.action_constraint(), &action.name, &groups))
            .map(|(number, _)| number)
            .collect();
        let needs = needs(action, &members, &parsed)
            .map_err(|(conflict, place)| Diagnostics(vec![conflicting(&conflict).at(place)]))?;
        let same = buckets
            .get(&members)
            .into_iter()
            .flatten()
            .find(|&&at| policies.buckets.get(at as usize).is_some_and(|bucket| bucket.needs == needs));
        let at = match same {
            Some(&at) => at,
            None => {
                let chosen = members.iter().filter_map(|&at| parsed.get(at as usize));
                let set = PolicySet::from_policies(chosen.map(|parsed| parsed.policy.clone()))
                    .map_err(|error| internal(error.to_string()))?;
                let at = u32::try_from(policies.buckets.len()).unwrap_or(u32::MAX);
                buckets.entry(members.clone()).or_default().push(at);
                policies.buckets.push(Bucket { set, members, needs });
                at
            }
        };
        policies.by_action.push(at);
    }
    for (number, parsed) in (0..).zip(parsed) {
        policies.numbers.insert(parsed.policy.id().clone(), number);
        policies.list.push(parsed.info);
    }
    Ok(policies)
}

/// Whether a policy's action is this one, or a group of it.
fn applies(constraint: &ActionConstraint, name: &str, groups: &[String]) -> bool {
    let is = |uid: &EntityUid| {
        let id = uid.id().unescaped();
        id == name || groups.iter().any(|group| group == id)
    };
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid.id().unescaped() == name,
        ActionConstraint::In(uids) => uids.iter().any(is),
    }
}

/// What the policies of an action read, and as what.
fn needs(action: &Action, members: &[u32], parsed: &[Parsed<'_>]) -> Result<Needs, (Conflict, Place)> {
    let chosen: Vec<&Parsed<'_>> = members.iter().filter_map(|&at| parsed.get(at as usize)).collect();
    let uses: Vec<&Uses> = chosen.iter().map(|parsed| &parsed.uses).collect();
    let place = |conflict: Conflict| {
        let reads = |parsed: &&&Parsed<'_>| {
            parsed.uses.values.keys().any(|(_, path)| path.join(".") == conflict.path)
        };
        let place = chosen.iter().rfind(reads).map(|parsed| parsed.info.place.clone());
        let unknown = Place { file: String::new(), line: 0, column: 0 };
        (conflict, place.unwrap_or(unknown))
    };
    let principal = schema::principal(&uses).map_err(place)?;
    let context = schema::context(action, &uses).map_err(place)?;
    let mut needs = Needs { roles: uses.iter().any(|uses| uses.roles), ..Needs::default() };
    for (root, path) in uses.iter().flat_map(|uses| uses.values.keys()) {
        let (from, into) = match root {
            Root::Principal => (&principal, &mut needs.principal),
            Root::Context => (&context, &mut needs.context),
        };
        needs.body |= *root == Root::Context && path.first().is_some_and(|first| first == "body");
        let kind = from.get(path).and_then(|shape| shape.kind);
        let shape: &mut Shape = into.at(path);
        shape.kind = shape.kind.or(kind);
    }
    Ok(needs)
}

/// Where an error points to, in bytes of its text.
fn offset(error: &dyn miette::Diagnostic) -> Option<usize> {
    Some(error.labels()?.next()?.offset())
}

/// A text of Cedar in the house's style: lower case at the start, no period at the end.
fn plain(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
