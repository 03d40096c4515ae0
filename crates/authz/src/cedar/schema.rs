//! The schema that policies are validated against, derived from the API's operations and from what policies read.

use std::collections::BTreeMap;

use bartizan_model::compile::{FieldKind, FieldPlace};
use serde_json::{Map, Value, json};

use super::uses::{Root, Use, Uses, fixed};
use crate::actions::{Action, Actions};

/// A value, or a record of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub kind: Option<FieldKind>,
    pub members: BTreeMap<String, Shape>,
    /// A policy asks whether it is there.
    pub tested: bool,
}

/// Two policies, or a policy and the contract, read one value as different things.
#[derive(Debug)]
pub(super) struct Conflict {
    pub path: String,
    pub one: FieldKind,
    pub other: FieldKind,
}

/// The attributes that every API has, by root.
const PRINCIPAL: [&str; 12] = [
    "subject", "issuer", "tenant", "kind", "strength", "acr", "client", "session", "scopes", "roles", "amr",
    "auth_age",
];
const CONTEXT: [&str; 9] = ["method", "host", "api", "target", "operation", "country", "asn", "risk", "tls"];
const TIME: [&str; 5] = ["hour", "minute", "weekday", "epoch", "date"];

/// The records of a request that a policy names members of.
pub(super) const RECORDS: [(&str, FieldPlace); 4] = [
    ("path", FieldPlace::Path),
    ("query", FieldPlace::Query),
    ("header", FieldPlace::Header),
    ("body", FieldPlace::Body),
];

impl Shape {
    /// The member at a path, made where it is not there.
    pub fn at(&mut self, path: &[String]) -> &mut Shape {
        path.iter().fold(self, |shape, key| shape.members.entry(key.clone()).or_default())
    }

    /// The member at a path.
    pub fn get(&self, path: &[String]) -> Option<&Shape> {
        path.iter().try_fold(self, |shape, key| shape.members.get(key))
    }

    fn set(&mut self, path: &[String], kind: Option<FieldKind>) -> Result<(), Conflict> {
        let shape = self.at(path);
        match (shape.kind, kind) {
            (Some(one), Some(other)) if one != other => Err(Conflict { path: path.join("."), one, other }),
            (None, Some(kind)) => {
                shape.kind = Some(kind);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The type in Cedar's JSON form.
    fn json(&self) -> Value {
        if !self.members.is_empty() {
            return record(
                self.members.iter().map(|(key, shape)| (key.as_str(), shape.json(), !shape.tested)),
            );
        }
        match self.kind.unwrap_or(FieldKind::Text) {
            FieldKind::Text | FieldKind::Other => json!({ "type": "String" }),
            FieldKind::Integer => json!({ "type": "Long" }),
            FieldKind::Decimal => json!({ "type": "Extension", "name": "decimal" }),
            FieldKind::Boolean => json!({ "type": "Boolean" }),
            FieldKind::Texts => json!({ "type": "Set", "element": { "type": "String" } }),
            FieldKind::Integers => json!({ "type": "Set", "element": { "type": "Long" } }),
        }
    }
}

fn record<'k>(members: impl Iterator<Item = (&'k str, Value, bool)>) -> Value {
    let mut attributes = Map::new();
    for (key, mut value, required) in members {
        if let Some(map) = value.as_object_mut() {
            map.insert("required".to_owned(), Value::Bool(required));
        }
        attributes.insert(key.to_owned(), value);
    }
    json!({ "type": "Record", "attributes": attributes })
}

/// The principal that these uses read: what is fixed, and the claims that are named.
pub(super) fn principal(uses: &[&Uses]) -> Result<Shape, Conflict> {
    let mut shape = Shape::default();
    for name in PRINCIPAL {
        let path = [name.to_owned()];
        shape.set(&path, fixed(Root::Principal, &path))?;
    }
    shape.at(&["claims".to_owned()]);
    open(&mut shape, uses, Root::Principal, |path| path.first().is_some_and(|first| first == "claims"))?;
    tested(&mut shape, uses, Root::Principal);
    Ok(shape)
}

/// The context of one action that these uses read.
pub(super) fn context(action: &Action, uses: &[&Uses]) -> Result<Shape, Conflict> {
    let mut shape = Shape::default();
    for name in CONTEXT {
        let path = [name.to_owned()];
        shape.set(&path, fixed(Root::Context, &path))?;
    }
    for name in TIME {
        let path = ["time".to_owned(), name.to_owned()];
        shape.set(&path, fixed(Root::Context, &path))?;
    }
    for (record, place) in RECORDS {
        shape.at(&[record.to_owned()]);
        if place == FieldPlace::Path {
            for name in action.parameters() {
                shape.at(&[record.to_owned(), name.to_owned()]);
            }
        }
        for field in action.fields.iter().filter(|field| field.place == place) {
            if field.kind == FieldKind::Other {
                continue;
            }
            let mut path = vec![record.to_owned()];
            path.extend(field.path.iter().map(ToString::to_string));
            // A member that is declared as a value in one media type and as a record in another stays a record.
            shape.set(&path, Some(field.kind))?;
        }
    }
    open(&mut shape, uses, Root::Context, |path| {
        let record = RECORDS.iter().find(|(record, _)| path.first().is_some_and(|first| first == record));
        record.is_some_and(|(_, place)| is_open(action, *place))
    })?;
    tested(&mut shape, uses, Root::Context);
    Ok(shape)
}

/// Whether nothing says which values may stand there, so that a policy may name any.
fn is_open(action: &Action, place: FieldPlace) -> bool {
    match place {
        FieldPlace::Header => true,
        FieldPlace::Path => false,
        FieldPlace::Query => !action.declared,
        FieldPlace::Body => {
            let mut typed = action.fields.iter().filter(|field| field.place == place).peekable();
            typed.peek().is_none() || typed.any(|field| field.kind == FieldKind::Other)
        }
    }
}

/// Adds the values that are read and that nothing else declares.
fn open(
    shape: &mut Shape,
    uses: &[&Uses],
    root: Root,
    is_open: impl Fn(&[String]) -> bool,
) -> Result<(), Conflict> {
    for ((of, path), used) in uses.iter().flat_map(|uses| &uses.values) {
        if *of == root && path.len() > 1 && is_open(path) {
            // What the contract types stays as it types it: a policy that reads it as something else is told so.
            let declared = shape.get(path).is_some_and(|known| known.kind.is_some() && !is_inferred(path));
            if declared {
                continue;
            }
            shape.set(path, used.kind)?;
        }
    }
    Ok(())
}

/// Whether the type of a value is always taken from the policies.
fn is_inferred(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == "claims" || first == "header")
}

/// Marks what is asked for with `has`.
fn tested(shape: &mut Shape, uses: &[&Uses], root: Root) {
    for ((of, path), Use { tested, .. }) in uses.iter().flat_map(|uses| &uses.values) {
        if *of == root
            && *tested
            && let Some(last) = path.split_last()
            && let Some(parent) = last.1.iter().try_fold(&mut *shape, |shape, key| shape.members.get_mut(key))
            && let Some(member) = parent.members.get_mut(last.0)
        {
            member.tested = true;
        }
    }
}

/// The kinds of callers.
pub(super) const CALLERS: [&str; 3] = ["User", "Service", "Anonymous"];

/// The schema in Cedar's JSON form, for policies with these uses and these kinds of callers. All kinds have the same
/// attributes, so that one of them stands for all where the policies name none.
pub(super) fn json(actions: &Actions, uses: &[&Uses], callers: &[&str]) -> Result<Value, Conflict> {
    let principal = principal(uses)?.json();
    let mut declared = Map::new();
    for (_, action) in actions.iter() {
        let shape = context(action, uses)?;
        let mut context = shape.json();
        if let Some(attributes) = context.get_mut("attributes").and_then(Value::as_object_mut) {
            attributes
                .insert("ip".to_owned(), json!({ "type": "Extension", "name": "ipaddr", "required": true }));
            // An empty record is still a record.
            for (name, _) in RECORDS {
                attributes.entry(name).and_modify(|value| {
                    if shape.members.get(name).is_some_and(|member| member.members.is_empty()) {
                        *value = json!({ "type": "Record", "attributes": {}, "required": true });
                    }
                });
            }
        }
        let groups = action.groups();
        for group in &groups {
            declared.entry(group.clone()).or_insert_with(|| json!({}));
        }
        let member_of: Vec<Value> = groups.iter().map(|group| json!({ "id": group })).collect();
        let applies = json!({
            "principalTypes": callers,
            "resourceTypes": ["Api"],
            "context": context,
        });
        declared.insert(action.name.to_string(), json!({ "memberOf": member_of, "appliesTo": applies }));
    }
    let mut principal = principal;
    if let Some(claims) = principal.pointer_mut("/attributes/claims")
        && claims.get("attributes").is_none()
    {
        *claims = json!({ "type": "Record", "attributes": {}, "required": true });
    }
    let caller = json!({ "memberOfTypes": ["Role"], "shape": principal });
    Ok(json!({ "": {
        "entityTypes": {
            "User": caller, "Service": caller, "Anonymous": caller,
            "Role": { "memberOfTypes": ["Role"] },
            "Api": {},
        },
        "actions": declared,
    } }))
}
