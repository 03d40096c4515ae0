//! What an exchange shows of itself so that rules can be found: tokens of the ids in its path and query, of the caller's
//! claims, and of the fields of its answer. Equal values have equal tokens, and no value can be read from one.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_model::{TokenKey, Transaction, event::Observed};
use bartizan_pattern::body::json::{Kind, Value};

use super::{parameters::is_id, values::pairs};
use crate::body::HeldBody;

/// Values of one exchange; more names than an object of an API has.
const MOST: usize = 96;
/// Items of a list that are looked at, and objects inside one another.
const ITEMS: usize = 16;
const DEPTH: usize = 4;
/// Bytes of a value that may be an id.
const LONGEST: usize = 128;

/// The values of an exchange, as tokens.
pub(super) struct Values {
    pub found: Vec<Observed>,
    tokens: TokenKey,
}

impl Values {
    /// The values of the request.
    pub(super) fn of_request(
        transaction: &Transaction,
        parameters: &BTreeMap<Arc<str>, String>,
        tokens: &TokenKey,
    ) -> Self {
        let mut values = Values { found: Vec::new(), tokens: tokens.clone() };
        for (name, value) in parameters {
            values.add(format!("path.{name}"), value);
        }
        if let Some(principal) = &transaction.principal {
            values.add("principal.sub".to_owned(), &principal.subject);
            if let Some(tenant) = &principal.tenant {
                values.add("principal.tenant".to_owned(), tenant);
            }
            for role in &principal.roles {
                values.add("principal.roles".to_owned(), role);
            }
            for (name, value) in &principal.attributes {
                if !matches!(
                    &**name,
                    "roles" | "tenant" | "tid" | "acr" | "amr" | "auth_time" | "azp" | "sid" | "client_id"
                ) {
                    values.claim(&claim(name), value);
                }
            }
        }
        for (name, value) in pairs(transaction.request.query.as_deref().unwrap_or_default()).take(MOST) {
            if is_id(&name) && is_name(&name) {
                values.add(format!("query.{name}"), &value);
            }
        }
        values
    }

    fn claim(&mut self, name: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => self.add(name.to_owned(), text),
            serde_json::Value::Number(number) => self.add(name.to_owned(), &number.to_string()),
            serde_json::Value::Array(items) => {
                for item in items.iter().take(ITEMS).filter(|item| item.is_string() || item.is_number()) {
                    let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                    self.add(format!("{name}[*]"), &text);
                }
            }
            _ => {}
        }
    }

    /// The values of the answer.
    pub(super) fn answer(&mut self, held: &HeldBody) {
        if let Some(root) = held.json().and_then(|tape| tape.root()) {
            self.value("response".to_owned(), root, DEPTH);
        }
    }

    fn value(&mut self, name: String, value: Value<'_>, depth: usize) {
        match value.kind() {
            Kind::String | Kind::Number => {
                let text = value.decoded();
                self.add(name, &String::from_utf8_lossy(&text));
            }
            Kind::Array if depth > 0 => {
                for item in value.items().take(ITEMS) {
                    // Lists of values are members; lists of objects are records.
                    let below = if item.kind() == Kind::Object { "[]" } else { "[*]" };
                    self.value(format!("{name}{below}"), item, depth - 1);
                }
            }
            Kind::Object if depth > 0 => {
                for (key, member) in value.entries().take(MOST) {
                    let key = key.decoded();
                    let key = String::from_utf8_lossy(&key);
                    if is_name(&key) {
                        self.value(format!("{name}.{key}"), member, depth - 1);
                    }
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: String, value: &str) {
        if self.found.len() < MOST && !value.is_empty() && value.len() <= LONGEST {
            let token = self.tokens.token(value.as_bytes());
            self.found.push(Observed { name: name.into(), token: token.into() });
        }
    }
}

/// A claim as a predicate names it.
fn claim(name: &str) -> String {
    if is_name(name) { format!("principal.claims.{name}") } else { format!("principal.claims[\"{name}\"]") }
}

/// Whether a key may be told: names of fields are words, and data that is used as a key is not.
fn is_name(key: &str) -> bool {
    (1..=40).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && key.bytes().filter(u8::is_ascii_digit).count() <= 3
}
