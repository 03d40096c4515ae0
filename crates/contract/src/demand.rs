//! What the requests of an operation hold, as far as decisions read it: typed parameters and members of JSON bodies.

use std::sync::Arc;

use bartizan_model::compile::{FieldKind, FieldPlace, FieldSpec};
use serde_json::Value;

use crate::form::{Location, Operation, ParameterValue, SchemaRef, Schemas};

/// Typed values of one operation at most: a decision reads a few of them.
const MAX_FIELDS: usize = 256;

/// Schemas within schemas, and parts of schemas within those, at most: a schema may contain itself.
const MAX_DEPTH: usize = 6;

/// Schemas that are looked at for one operation, at most: parts of parts multiply.
const MAX_SCHEMAS: usize = 2_048;

/// The typed values of an operation's requests.
pub(crate) fn fields(operation: &Operation, schemas: &Schemas) -> Vec<FieldSpec> {
    let mut fields: Vec<FieldSpec> = Vec::new();
    for parameter in &operation.parameters {
        let place = match parameter.location {
            Location::Path => FieldPlace::Path,
            Location::Query => FieldPlace::Query,
            Location::Header => FieldPlace::Header,
            Location::Cookie => continue,
        };
        let kind = match &parameter.value {
            ParameterValue::Schema(schema) => kind(schemas, schema),
            _ => FieldKind::Other,
        };
        add(&mut fields, place, &[Arc::from(&*parameter.name)], kind);
    }
    for media in operation.body.iter().flat_map(|body| &body.media) {
        if media.range.is_json()
            && let Some(schema) = &media.schema
        {
            Walk { schemas, path: Vec::new(), looked: 0, fields: &mut fields }.members(schema, 0);
        }
    }
    fields
}

/// The first one to name a value types it.
fn add(fields: &mut Vec<FieldSpec>, place: FieldPlace, path: &[Arc<str>], kind: FieldKind) {
    let known = fields.iter().any(|field| field.place == place && field.path == path);
    if !known && fields.len() < MAX_FIELDS {
        fields.push(FieldSpec { place, path: path.to_vec(), kind });
    }
}

/// A walk over the schema of one body.
struct Walk<'s, 'f> {
    schemas: &'s Schemas,
    path: Vec<Arc<str>>,
    looked: usize,
    fields: &'f mut Vec<FieldSpec>,
}

impl Walk<'_, '_> {
    /// The members of an object's schema, those of its parts, and those below them.
    fn members(&mut self, at: &SchemaRef, depth: usize) {
        self.looked += 1;
        if depth == MAX_DEPTH || self.looked > MAX_SCHEMAS {
            return;
        }
        let Some((at, schema)) = self.schemas.resolve(at) else { return };
        for combined in ["allOf", "oneOf", "anyOf"] {
            let parts = schema.get(combined).and_then(Value::as_array).map_or(0, Vec::len);
            for index in 0..parts {
                self.members(&at.below(combined).below(&index.to_string()), depth + 1);
            }
        }
        // The kinds that a `discriminator` tells apart.
        if schema.get("then").is_some() {
            self.members(&at.below("then"), depth + 1);
        }
        for name in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
        {
            let member = at.below("properties").below(name);
            self.path.push(Arc::from(name.as_str()));
            let own = self.schemas.resolve(&member);
            let nested = |(_, own): (SchemaRef, &Value)| {
                ["properties", "allOf", "anyOf"].iter().any(|key| own.get(key).is_some())
            };
            if own.is_some_and(nested) {
                self.members(&member, depth + 1);
            } else {
                add(self.fields, FieldPlace::Body, &self.path, kind(self.schemas, &member));
            }
            self.path.pop();
        }
    }
}

/// What a schema allows, where it is one simple thing (`null` beside it is left aside).
fn kind(schemas: &Schemas, at: &SchemaRef) -> FieldKind {
    let single = |schema: &Value| -> Option<String> {
        match schema.get("type")? {
            Value::Array(types) => {
                let mut named = types.iter().filter_map(Value::as_str).filter(|name| *name != "null");
                named.next().filter(|_| named.next().is_none()).map(str::to_owned)
            }
            one => one.as_str().map(str::to_owned),
        }
    };
    let Some((at, schema)) = schemas.resolve(at) else { return FieldKind::Other };
    match single(schema).as_deref() {
        Some("string") => FieldKind::Text,
        Some("integer") => FieldKind::Integer,
        Some("number") => FieldKind::Decimal,
        Some("boolean") => FieldKind::Boolean,
        Some("array") => {
            let items = schemas.resolve(&at.below("items"));
            match items.and_then(|(_, items)| single(items)).as_deref() {
                Some("string") => FieldKind::Texts,
                Some("integer") => FieldKind::Integers,
                _ => FieldKind::Other,
            }
        }
        // `enum` and `const` of texts often stand without a type.
        None if schema
            .get("enum")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().all(Value::is_string)) =>
        {
            FieldKind::Text
        }
        _ => FieldKind::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]
    use std::sync::Arc;

    use bartizan_model::compile::{OperationSpec, SchemeDemand, SchemeKind};

    use super::*;
    use crate::{form::Description, yaml::Budget};

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
        let (description, _) = Description::read_one(BANK.as_bytes(), "bank.yaml", Budget::CONTRACT).unwrap();
        description.operations.into_iter().map(|operation| operation.spec).collect()
    }

    #[test]
    fn security_is_the_operations_own_or_the_documents() {
        let operations = read();
        let of = |label: &str| operations.iter().find(|operation| &*operation.label == label).unwrap();
        let oauth = |scope: &str| SchemeDemand {
            scheme: "oauth".into(),
            kind: SchemeKind::Token,
            field: None,
            scopes: true,
            names: vec![scope.into()],
        };
        assert_eq!(of("GET /accounts/{id}").security, Some(vec![vec![oauth("read")]]));
        let delete = of("DELETE /accounts/{id}");
        let key = SchemeDemand {
            scheme: "key".into(),
            kind: SchemeKind::ApiKey,
            field: Some("x-api-key".into()),
            scopes: false,
            names: Vec::new(),
        };
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
