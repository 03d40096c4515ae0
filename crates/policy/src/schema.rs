//! The JSON Schema of a whole policy document, for editors.

use bartizan_guards::REGISTRY;
use serde_json::{Map, Value, json};

use crate::document::PolicyDocument;

/// The JSON Schema (2020-12) of a policy document, the settings of every guard included.
#[must_use]
pub fn schema() -> Value {
    let mut root = schemars::schema_for!(PolicyDocument).to_value();
    let mut definitions = Map::new();
    let mut guards = Map::new();
    for info in REGISTRY {
        let name = format!("guard_{}", info.id);
        let schema = lift((info.schema)().to_value(), &name, &mut definitions);
        definitions.insert(name.clone(), mounted(&schema));
        if info.id != "identity" {
            guards.insert(info.id.to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
        }
    }
    let guards = json!({
        "type": ["object", "null"],
        "description": "The guards by name.",
        "properties": guards,
        "additionalProperties": false,
    });
    definitions.insert("guards".to_owned(), guards);
    if let Some(Value::Object(own)) = root.get_mut("$defs") {
        for name in ["ApiSettings", "OperationSettings"] {
            if let Some(Value::Object(properties)) =
                own.get_mut(name).and_then(|schema| schema.get_mut("properties"))
            {
                for (key, target) in [("guards", "guards"), ("identity", "guard_identity")] {
                    properties.insert(key.to_owned(), json!({ "$ref": format!("#/$defs/{target}") }));
                }
            }
        }
        own.extend(definitions);
    }
    if let Value::Object(root) = &mut root {
        root.insert("title".to_owned(), "Bartizan policy".into());
    }
    root
}

/// A guard's settings, beside which a `mode` may stand; the mode alone; a list also as `{ limits, mode }`.
fn mounted(schema: &Value) -> Value {
    let mode = json!({ "enum": ["enforce", "monitor", "off"], "description": "What a finding does." });
    let inherit = json!({ "type": "boolean", "description": "`false` starts over instead of merging." });
    if schema.get("type").and_then(Value::as_str) == Some("array") {
        let map = json!({
            "type": "object",
            "properties": { "mode": mode, "limits": schema, "inherit": inherit },
            "additionalProperties": false,
        });
        return json!({ "anyOf": [schema, map, mode, { "type": "null" }] });
    }
    let mut settings = schema.clone();
    if let Value::Object(settings) = &mut settings {
        let properties = settings.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            properties.insert("mode".to_owned(), mode.clone());
            properties.insert("inherit".to_owned(), inherit);
        }
    }
    json!({ "anyOf": [settings, mode, { "type": "null" }] })
}

/// Moves a schema's own definitions to the document's, under names that do not collide.
fn lift(mut schema: Value, prefix: &str, definitions: &mut Map<String, Value>) -> Value {
    let own = match &mut schema {
        Value::Object(object) => {
            object.remove("$schema");
            object.remove("$defs")
        }
        _ => None,
    };
    rename(&mut schema, prefix);
    if let Some(Value::Object(own)) = own {
        for (name, mut definition) in own {
            rename(&mut definition, prefix);
            definitions.insert(format!("{prefix}_{name}"), definition);
        }
    }
    schema
}

fn rename(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{prefix}_{name}");
                        } else if target == "#" {
                            *target = format!("#/$defs/{prefix}");
                        }
                    }
                    _ => rename(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, prefix)),
        _ => {}
    }
}
