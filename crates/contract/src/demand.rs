//! What an operation of a contract demands of its callers, and what its requests hold: `security`, tags, typed parameters
//! and members of JSON bodies.

use std::sync::Arc;

use bartizan_model::compile::{
    FieldKind, FieldPlace, FieldSpec, OperationSpec, SchemeDemand, SchemeKind, SecurityAlternative,
};
use bartizan_pattern::template::Template;
use http::Method;

use crate::{
    openapi::pointed,
    tree::{Node, Value},
};

/// Typed values of one operation at most: a decision reads a few of them.
const MAX_FIELDS: usize = 256;

/// Schemas within schemas, and parts of schemas within those, at most: a schema may contain itself.
const MAX_DEPTH: usize = 6;

/// Schemas that are looked at for one operation, at most: parts of parts multiply.
const MAX_SCHEMAS: usize = 2_048;

/// `$ref` after `$ref`, at most.
const MAX_REFERENCES: usize = 8;

/// Reads what decides about one operation; `item` is its Path Item Object.
pub(crate) fn operation(
    root: &Node,
    item: &Node,
    operation: &Node,
    method: &Method,
    template: &Template,
) -> OperationSpec {
    let tags = operation.get("tags").map(Node::items).unwrap_or_default();
    let marked = |node: &Node| node.get("x-sensitive").is_some_and(|mark| mark.as_bool() == Some(true));
    OperationSpec {
        label: Arc::from(format!("{method} {}", template.as_str())),
        declared: true,
        tags: tags.iter().filter_map(Node::as_str).map(Arc::from).collect(),
        sensitive: marked(operation) || marked(item),
        security: operation.get("security").or_else(|| root.get("security")).map(|node| security(root, node)),
        fields: fields(root, item, operation),
    }
}

/// `security`: alternatives, each of which is a map of schemes to scopes.
fn security(root: &Node, node: &Node) -> Vec<SecurityAlternative> {
    let demand = |entry: &crate::tree::Entry| {
        let (kind, scopes) = scheme(root, &entry.key);
        SchemeDemand {
            scheme: Arc::from(entry.key.as_str()),
            kind,
            scopes,
            names: entry.value.items().iter().filter_map(Node::as_str).map(Arc::from).collect(),
        }
    };
    node.items().iter().map(|alternative| alternative.entries().iter().map(demand).collect()).collect()
}

/// What a scheme asks for, and whether its names are scopes: `oauth2`, `openIdConnect`. The names of one that is not defined
/// count as scopes, so that what it demands is never taken for less.
fn scheme(root: &Node, name: &str) -> (SchemeKind, bool) {
    let schemes = root
        .get("components")
        .and_then(|components| components.get("securitySchemes"))
        .or_else(|| root.get("securityDefinitions"));
    let Some(scheme) = schemes.and_then(|schemes| schemes.get(name)).and_then(|scheme| resolve(root, scheme))
    else {
        return (SchemeKind::Other, true);
    };
    let text = |key: &str| scheme.get(key).and_then(Node::as_str).unwrap_or_default();
    let is = |key: &str, value: &str| text(key).eq_ignore_ascii_case(value);
    match text("type") {
        "oauth2" | "openIdConnect" => (SchemeKind::Token, true),
        "http" if is("scheme", "bearer") => (SchemeKind::Token, false),
        // Documents of Swagger 2.0 have no other way to ask for a bearer token.
        "apiKey" if is("name", "authorization") => (SchemeKind::Token, false),
        "apiKey" if !is("in", "cookie") => (SchemeKind::ApiKey, false),
        "mutualTLS" => (SchemeKind::Certificate, false),
        "apiKey" | "http" | "basic" => (SchemeKind::Other, false),
        _ => (SchemeKind::Other, true),
    }
}

/// The parameters of the path item and of the operation, and the members of the JSON body.
fn fields(root: &Node, item: &Node, operation: &Node) -> Vec<FieldSpec> {
    let mut fields: Vec<FieldSpec> = Vec::new();
    let lists = [operation.get("parameters"), item.get("parameters")];
    for parameter in lists.into_iter().flatten().flat_map(Node::items) {
        let Some(parameter) = resolve(root, parameter) else { continue };
        let place = match parameter.get("in").and_then(Node::as_str) {
            Some("path") => FieldPlace::Path,
            Some("query") => FieldPlace::Query,
            Some("header") => FieldPlace::Header,
            // Swagger 2.0 has the body among the parameters.
            Some("body") => {
                if let Some(schema) = parameter.get("schema") {
                    members(root, schema, &mut fields);
                }
                continue;
            }
            _ => continue,
        };
        let Some(name) = parameter.get("name").and_then(Node::as_str) else { continue };
        let name = if place == FieldPlace::Header { name.to_ascii_lowercase() } else { name.to_owned() };
        let schema = parameter.get("schema").unwrap_or(parameter);
        add(&mut fields, place, &[Arc::from(name)], kind(root, schema));
    }
    let content = operation.get("requestBody").and_then(|body| resolve(root, body)?.get("content"));
    for media in content.map(Node::entries).unwrap_or_default() {
        let essence = media.key.split(';').next().unwrap_or_default().trim();
        if (essence == "application/json" || essence.ends_with("+json"))
            && let Some(schema) = media.value.get("schema")
        {
            members(root, schema, &mut fields);
        }
    }
    fields
}

/// The first one to name a value types it: an operation's parameters go before those of its path.
fn add(fields: &mut Vec<FieldSpec>, place: FieldPlace, path: &[Arc<str>], kind: FieldKind) {
    let known = fields.iter().any(|field| field.place == place && field.path == path);
    if !known && fields.len() < MAX_FIELDS {
        fields.push(FieldSpec { place, path: path.to_vec(), kind });
    }
}

/// A walk over the schema of one body.
struct Walk<'n, 'f> {
    root: &'n Node,
    path: Vec<Arc<str>>,
    schemas: usize,
    fields: &'f mut Vec<FieldSpec>,
}

impl Walk<'_, '_> {
    /// The members of an object's schema, those of its parts, and those below them.
    fn members(&mut self, schema: &Node, depth: usize) {
        self.schemas += 1;
        if depth == MAX_DEPTH || self.schemas > MAX_SCHEMAS {
            return;
        }
        let Some(schema) = resolve(self.root, schema) else { return };
        for combined in ["allOf", "oneOf", "anyOf"] {
            for part in schema.get(combined).map(Node::items).unwrap_or_default() {
                self.members(part, depth + 1);
            }
        }
        for member in schema.get("properties").map(Node::entries).unwrap_or_default() {
            self.path.push(Arc::from(member.key.as_str()));
            let own = resolve(self.root, &member.value);
            let nested =
                own.is_some_and(|own| ["properties", "allOf"].iter().any(|key| own.get(key).is_some()));
            if nested {
                self.members(&member.value, depth + 1);
            } else {
                add(self.fields, FieldPlace::Body, &self.path, kind(self.root, &member.value));
            }
            self.path.pop();
        }
    }
}

/// The members of a JSON body.
fn members(root: &Node, schema: &Node, fields: &mut Vec<FieldSpec>) {
    Walk { root, path: Vec::new(), schemas: 0, fields }.members(schema, 0);
}

/// What a schema allows, where it is one simple thing (`null` beside it is left aside).
fn kind(root: &Node, schema: &Node) -> FieldKind {
    let Some(schema) = resolve(root, schema) else { return FieldKind::Other };
    let single = |schema: &Node| -> Option<String> {
        let node = schema.get("type")?;
        match &node.value {
            Value::List(types) => {
                let mut named = types.iter().filter_map(Node::as_str).filter(|name| *name != "null");
                named.next().filter(|_| named.next().is_none()).map(str::to_owned)
            }
            _ => node.as_str().map(str::to_owned),
        }
    };
    match single(schema).as_deref() {
        Some("string") => FieldKind::Text,
        Some("integer") => FieldKind::Integer,
        Some("number") => FieldKind::Decimal,
        Some("boolean") => FieldKind::Boolean,
        Some("array") => {
            let items = schema.get("items").and_then(|items| resolve(root, items));
            match items.and_then(single).as_deref() {
                Some("string") => FieldKind::Texts,
                Some("integer") => FieldKind::Integers,
                _ => FieldKind::Other,
            }
        }
        // `enum` and `const` of texts often stand without a type.
        None if schema
            .get("enum")
            .is_some_and(|values| values.items().iter().all(|v| v.as_str().is_some())) =>
        {
            FieldKind::Text
        }
        _ => FieldKind::Other,
    }
}

/// Follows `$ref` within the document; `None` where it leads nowhere.
fn resolve<'n>(root: &'n Node, node: &'n Node) -> Option<&'n Node> {
    let mut node = node;
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = node.get("$ref").and_then(Node::as_str) else { return Some(node) };
        node = pointed(root, reference.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use super::*;
    use crate::{Contract, yaml::Budget};

    const BANK: &str = r##"
openapi: 3.1.0
info: { title: Bank, version: "1" }
security: [{ oauth: [read] }]
components:
  securitySchemes:
    oauth: { type: oauth2, flows: {} }
    key: { type: apiKey, in: header, name: X-API-Key }
  schemas:
    Money: { type: object, properties: { amount: { type: integer }, currency: { type: string } } }
    Node: { type: object, allOf: [{ $ref: "#/components/schemas/Node" }], properties: { next: { $ref: "#/components/schemas/Node" } } }
paths:
  /accounts/{id}:
    parameters: [{ name: id, in: path, schema: { type: string } }]
    get:
      tags: [accounts]
      parameters: [{ name: id, in: path, schema: { type: integer } }, { name: X-Tenant, in: header, schema: { type: string } }]
      responses: {}
    delete: { x-sensitive: true, security: [{ oauth: [write] }, { key: [] }], responses: {} }
  /health: { get: { security: [], responses: {} } }
  /transfers:
    post:
      security: [{}]
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                to: { type: string }
                value: { $ref: "#/components/schemas/Money" }
                labels: { type: array, items: { type: string } }
                ratio: { type: [number, "null"] }
                chain: { $ref: "#/components/schemas/Node" }
      responses: {}
"##;

    fn read() -> Vec<OperationSpec> {
        let (contract, _) = Contract::parse(BANK.as_bytes(), "bank.yaml", Budget::CONTRACT).unwrap();
        contract.operations.into_iter().map(|operation| operation.spec).collect()
    }

    #[test]
    fn security_is_the_operations_own_or_the_documents() {
        let operations = read();
        let of = |label: &str| operations.iter().find(|operation| &*operation.label == label).unwrap();
        let oauth = |scope: &str| SchemeDemand {
            scheme: "oauth".into(),
            kind: SchemeKind::Token,
            scopes: true,
            names: vec![scope.into()],
        };
        assert_eq!(of("GET /accounts/{id}").security, Some(vec![vec![oauth("read")]]));
        let delete = of("DELETE /accounts/{id}");
        let key =
            SchemeDemand { scheme: "key".into(), kind: SchemeKind::ApiKey, scopes: false, names: Vec::new() };
        assert_eq!(delete.security, Some(vec![vec![oauth("write")], vec![key]]));
        assert!(delete.sensitive);
        assert_eq!(of("GET /health").security, Some(Vec::new()));
        assert_eq!(of("POST /transfers").security, Some(vec![Vec::new()]));
    }

    #[test]
    fn values_are_typed_as_the_contract_says() {
        let operations = read();
        let of = |label: &str| operations.iter().find(|operation| &*operation.label == label).unwrap();
        let kind = |label: &str, place: FieldPlace, path: &str| {
            let path: Vec<Arc<str>> = path.split('.').map(Arc::from).collect();
            of(label).fields.iter().find(|field| field.place == place && field.path == path).map(|f| f.kind)
        };
        assert_eq!(kind("GET /accounts/{id}", FieldPlace::Path, "id"), Some(FieldKind::Integer));
        assert_eq!(kind("DELETE /accounts/{id}", FieldPlace::Path, "id"), Some(FieldKind::Text));
        assert_eq!(kind("GET /accounts/{id}", FieldPlace::Header, "x-tenant"), Some(FieldKind::Text));
        assert_eq!(kind("POST /transfers", FieldPlace::Body, "value.amount"), Some(FieldKind::Integer));
        assert_eq!(kind("POST /transfers", FieldPlace::Body, "labels"), Some(FieldKind::Texts));
        assert_eq!(kind("POST /transfers", FieldPlace::Body, "ratio"), Some(FieldKind::Decimal));
    }
}
