//! The roles file as it is written.

use bartizan_contract::{
    tree::{Node, Span, Value},
    yaml::{self, Budget},
};
use bartizan_model::{Diagnostic, Diagnostics, diagnostic::Place};

use super::grant::Scope;
use crate::names::hint;

/// A roles file.
///
/// ```yaml
/// roles:
///   customer: [GET /accounts/**, POST /transfers]
///   teller: { inherits: [customer], allow: [tag:branch, "read /reports/**"] }
/// members:
///   corp/alice: [teller]
/// ```
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// The file as the policy names it.
    pub file: String,
    /// The roles, in the order of the file.
    pub entries: Vec<RoleEntry>,
    /// Subjects by `issuer/subject`, with roles that they have besides those of their credential.
    pub members: Vec<(String, Vec<Named>)>,
}

/// One role.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    /// Its name, as credentials carry it.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The roles whose grants it has, too.
    pub inherits: Vec<Named>,
    /// What it may do.
    pub allow: Vec<(Scope, Named)>,
}

/// A text and where it is written.
#[derive(Clone, Debug)]
pub struct Named {
    /// The text.
    pub text: String,
    /// Where.
    pub place: Place,
}

const SHAPE: &str =
    "write `roles: { NAME: [GET /path, ..] }`, or `NAME: { inherits: [..], allow: [GET /path, ..] }`";

impl Roles {
    /// Reads a roles file, YAML or JSON.
    ///
    /// # Errors
    /// Everything that is wrong with it, with places.
    pub fn parse(text: &str, file: &str) -> Result<Self, Diagnostics> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = yaml::parse(text, file, 0, Budget::POLICY).map_err(|error| Diagnostics(vec![*error]))?;
        let mut reader = Reader { file, report: Diagnostics::new() };
        let roles = reader.roles(&root);
        if reader.report.has_errors() { Err(reader.report) } else { Ok(roles) }
    }

    /// The role with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RoleEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

struct Reader<'f> {
    file: &'f str,
    report: Diagnostics,
}

impl Reader<'_> {
    fn place(&self, span: Span) -> Place {
        Place { file: self.file.to_owned(), line: span.line, column: span.column }
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let place = self.place(span);
        self.report.push(Diagnostic::error("", message).help(help).at(place));
    }

    fn roles(&mut self, root: &Node) -> Roles {
        let mut roles = Roles { file: self.file.to_owned(), ..Roles::default() };
        for entry in root.entries() {
            match entry.key.as_str() {
                "roles" if matches!(entry.value.value, Value::Map(_)) => {
                    for role in entry.value.entries() {
                        self.name(&role.key, role.key_span);
                        let read = self.role(role.key.clone(), role.key_span, &role.value);
                        roles.entries.push(read);
                    }
                }
                "members" => {
                    for member in entry.value.entries() {
                        let names = self.texts(&member.value, "a list of roles");
                        roles.members.push((member.key.clone(), names));
                    }
                }
                "roles" => self.error(entry.value.span, "`roles` is a map of roles", SHAPE),
                other => {
                    let help = hint(other, ["roles", "members"], "a roles file has `roles` and `members`");
                    self.error(entry.key_span, format!("`{other}` is not known in a roles file"), help);
                }
            }
        }
        if root.get("roles").is_none() {
            self.error(root.span, "the file names no roles", SHAPE);
        }
        roles
    }

    fn name(&mut self, name: &str, span: Span) {
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            self.error(span, "a role has a name of 1 to 128 characters", SHAPE);
        }
    }

    fn role(&mut self, name: String, span: Span, node: &Node) -> RoleEntry {
        let mut role = RoleEntry { name, place: self.place(span), inherits: Vec::new(), allow: Vec::new() };
        if matches!(node.value, Value::List(_)) || node.is_null() {
            role.allow = self.grants(node);
            return role;
        }
        if !matches!(node.value, Value::Map(_)) {
            self.error(node.span, format!("a role is a list or a map, found {}", node.kind()), SHAPE);
        }
        for entry in node.entries() {
            match entry.key.as_str() {
                "inherits" => role.inherits = self.texts(&entry.value, "a list of roles"),
                "allow" => role.allow = self.grants(&entry.value),
                "description" => {}
                other => {
                    let known = ["inherits", "allow", "description"];
                    let help = hint(other, known, "a role has `inherits`, `allow` and `description`");
                    self.error(entry.key_span, format!("`{other}` is not known of a role"), help);
                }
            }
        }
        role
    }

    /// A list of texts, or one text alone.
    fn texts(&mut self, node: &Node, wanted: &str) -> Vec<Named> {
        if node.is_null() {
            return Vec::new();
        }
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Scalar { .. } => std::slice::from_ref(node),
            Value::Map(_) => {
                self.error(node.span, format!("expected {wanted}, found a map"), SHAPE);
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in items {
            match item.as_str() {
                Some(text) => texts.push(Named { text: text.to_owned(), place: self.place(item.span) }),
                None => self.error(item.span, format!("expected text, found {}", item.kind()), SHAPE),
            }
        }
        texts
    }

    fn grants(&mut self, node: &Node) -> Vec<(Scope, Named)> {
        let mut grants = Vec::new();
        for named in self.texts(node, "a list of operations") {
            match Scope::parse(&named.text) {
                Ok(scope) => grants.push((scope, named)),
                Err(text) => {
                    let (message, help) = text.split_once("; ").unwrap_or((&text, SHAPE));
                    let error = Diagnostic::error("", message).help(help).at(named.place.clone());
                    self.report.push(error);
                }
            }
        }
        grants
    }
}
