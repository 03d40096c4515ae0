//! What a policy reads of principal and request, and as what: the schema declares it so, and nothing else is looked up.

use std::collections::BTreeMap;

use bartizan_model::compile::FieldKind;
use serde_json::Value;

/// Whose attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Root {
    Principal,
    Context,
}

/// The attributes that lead to a value: `context.body.amount` is `Context`, `[body, amount]`.
pub(super) type Path = (Root, Vec<String>);

/// How a value is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// As what, where the policy tells.
    pub kind: Option<FieldKind>,
    /// Whether the policy asks first whether it is there.
    pub tested: bool,
    /// Whether its value is read.
    pub read: bool,
}

/// What one policy reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    pub values: BTreeMap<Path, Use>,
    /// Whether roles matter: `principal in Role::".."`.
    pub roles: bool,
}

impl Uses {
    /// Reads the JSON form of a policy.
    pub(super) fn of(policy: &Value) -> Self {
        let mut uses = Uses { roles: mentions_role(policy), ..Uses::default() };
        for condition in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            if let Some(body) = condition.get("body") {
                uses.visit(body, Some(FieldKind::Boolean));
            }
        }
        uses
    }

    fn note(&mut self, path: Path, kind: Option<FieldKind>, tested: bool) {
        let entry = self.values.entry(path).or_default();
        entry.kind = entry.kind.or(kind);
        entry.tested |= tested;
        entry.read |= !tested;
    }

    fn visit(&mut self, expr: &Value, want: Option<FieldKind>) {
        if let Some(path) = path_of(expr) {
            return self.note(path, want, false);
        }
        let Some((operator, body)) = expr.as_object().and_then(|map| map.iter().next()) else { return };
        let side = |name: &str| body.get(name).unwrap_or(&Value::Null);
        match operator.as_str() {
            "has" => {
                let attribute = body.get("attr").and_then(Value::as_str);
                match (path_of(side("left")), attribute) {
                    (Some((root, mut path)), Some(attribute)) => {
                        path.push(attribute.to_owned());
                        self.note((root, path), None, true);
                    }
                    _ => self.visit(side("left"), None),
                }
            }
            "&&" | "||" => self.both(side("left"), side("right"), Some(FieldKind::Boolean)),
            "!" => self.visit(side("arg"), Some(FieldKind::Boolean)),
            "if-then-else" => {
                self.visit(side("if"), Some(FieldKind::Boolean));
                self.both(side("then"), side("else"), want);
            }
            "==" | "!=" => {
                let kind = kind_of(side("left")).or_else(|| kind_of(side("right"))).or(Some(FieldKind::Text));
                self.both(side("left"), side("right"), kind);
            }
            "<" | "<=" | ">" | ">=" | "+" | "-" | "*" => {
                self.both(side("left"), side("right"), Some(FieldKind::Integer));
            }
            "neg" => self.visit(side("arg"), Some(FieldKind::Integer)),
            "like" => self.visit(side("left"), Some(FieldKind::Text)),
            "contains" => {
                let item = kind_of(side("right")).or_else(|| kind_of(side("left")).and_then(item));
                self.visit(side("left"), Some(list(item)));
                self.visit(side("right"), Some(item.unwrap_or(FieldKind::Text)));
            }
            "containsAll" | "containsAny" => {
                let kind = kind_of(side("left")).or_else(|| kind_of(side("right")));
                self.both(side("left"), side("right"), Some(kind.unwrap_or(FieldKind::Texts)));
            }
            "isEmpty" => self.visit(side("arg"), Some(FieldKind::Texts)),
            "lessThan" | "lessThanOrEqual" | "greaterThan" | "greaterThanOrEqual" => {
                self.all(body, Some(FieldKind::Decimal));
            }
            "Set" => self.all(body, want.and_then(item)),
            "Value" | "Var" | "Slot" | "Unknown" => {}
            // Whatever else there is: nothing is known of the types, but what is read is read.
            _ => self.all(body, None),
        }
    }

    fn both(&mut self, left: &Value, right: &Value, want: Option<FieldKind>) {
        self.visit(left, want);
        self.visit(right, want);
    }

    fn all(&mut self, body: &Value, want: Option<FieldKind>) {
        match body {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item, want)),
            Value::Object(map) => map.values().for_each(|value| self.visit(value, want)),
            _ => {}
        }
    }
}

/// The attributes that an expression leads along, if it begins with the principal or the context.
fn path_of(expr: &Value) -> Option<Path> {
    if let Some(access) = expr.get(".") {
        let (root, mut path) = path_of(access.get("left")?)?;
        path.push(access.get("attr")?.as_str()?.to_owned());
        return Some((root, path));
    }
    match expr.get("Var")?.as_str()? {
        "principal" => Some((Root::Principal, Vec::new())),
        "context" => Some((Root::Context, Vec::new())),
        _ => None,
    }
}

/// What an expression is, where that is plain.
fn kind_of(expr: &Value) -> Option<FieldKind> {
    if let Some((root, path)) = path_of(expr) {
        return fixed(root, &path);
    }
    let (operator, body) = expr.as_object()?.iter().next()?;
    match operator.as_str() {
        "Value" => match body {
            Value::String(_) => Some(FieldKind::Text),
            Value::Number(_) => Some(FieldKind::Integer),
            Value::Bool(_) => Some(FieldKind::Boolean),
            _ => None,
        },
        "Set" => Some(list(body.as_array()?.iter().find_map(kind_of))),
        "decimal" => Some(FieldKind::Decimal),
        "+" | "-" | "*" | "neg" => Some(FieldKind::Integer),
        "==" | "!=" | "<" | "<=" | ">" | ">=" | "&&" | "||" | "!" | "like" | "has" | "in" | "is"
        | "contains" | "containsAll" | "containsAny" | "isEmpty" => Some(FieldKind::Boolean),
        _ => None,
    }
}

/// What is the same for every API.
pub(super) fn fixed(root: Root, path: &[String]) -> Option<FieldKind> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (root, path.as_slice()) {
        (
            Root::Principal,
            ["subject" | "issuer" | "tenant" | "kind" | "strength" | "acr" | "client" | "session"],
        )
        | (Root::Context, ["method" | "host" | "api" | "target" | "country" | "operation"])
        | (Root::Context, ["time", "date"]) => Some(FieldKind::Text),
        (Root::Principal, ["scopes" | "roles" | "amr"]) => Some(FieldKind::Texts),
        (Root::Principal, ["auth_age"])
        | (Root::Context, ["asn" | "risk"])
        | (Root::Context, ["time", "hour" | "minute" | "weekday" | "epoch"]) => Some(FieldKind::Integer),
        (Root::Context, ["tls"]) => Some(FieldKind::Boolean),
        _ => None,
    }
}

fn list(item: Option<FieldKind>) -> FieldKind {
    if item == Some(FieldKind::Integer) { FieldKind::Integers } else { FieldKind::Texts }
}

fn item(list: FieldKind) -> Option<FieldKind> {
    match list {
        FieldKind::Texts => Some(FieldKind::Text),
        FieldKind::Integers => Some(FieldKind::Integer),
        _ => None,
    }
}

fn mentions_role(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            map.get("type").and_then(Value::as_str) == Some("Role") || map.values().any(mentions_role)
        }
        Value::Array(items) => items.iter().any(mentions_role),
        _ => false,
    }
}
