//! The reference page of a guard, made from what the code says: module documentation, schema and reasons.

use schemars::Schema;
use serde_json::Value;

use crate::GuardInfo;

/// The headings of every guard's module documentation, in this order.
pub const HEADINGS: [&str; 6] = ["What it does", "Why", "Example", "When it refuses", "Limits", "References"];

/// `docs/guards/<id>.md`: the module documentation, with the settings after the example and the reasons after "When it
/// refuses".
#[must_use]
pub fn page(info: &GuardInfo) -> String {
    let mut page =
        format!("<!-- Generated from crates/guards/src/{}; do not edit. -->\n\n# {}\n\n", info.id, info.id);
    let mut fenced = false;
    let mut section = "";
    for line in documentation(info.source) {
        fenced ^= line.starts_with("```");
        match line.strip_prefix("# ") {
            Some(heading) if !fenced => {
                page.push_str(&table_after(info, section));
                page.push_str("\n## ");
                page.push_str(heading);
                section = heading;
            }
            _ => page.push_str(line),
        }
        page.push('\n');
    }
    page.push_str(&table_after(info, section));
    tidy(&page)
}

/// The yaml block below `# Example`: a value of the guard's own configuration.
#[must_use]
pub fn example(source: &str) -> Option<String> {
    let mut lines = documentation(source).skip_while(|line| *line != "# Example");
    let mut lines = lines.by_ref().skip_while(|line| *line != "```yaml");
    lines.next()?;
    Some(lines.take_while(|line| *line != "```").fold(String::new(), |text, line| text + line + "\n"))
}

/// The headings that the module documentation has, in its order.
#[must_use]
pub fn headings(source: &str) -> Vec<&str> {
    let mut fenced = false;
    documentation(source)
        .filter(|line| {
            fenced ^= line.starts_with("```");
            !fenced
        })
        .filter_map(|line| line.strip_prefix("# "))
        .collect()
}

/// The lines of the module documentation, without `//!`.
fn documentation(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
}

fn table_after(info: &GuardInfo, section: &str) -> String {
    match section {
        "Example" => settings(&(info.schema)()),
        "When it refuses" => reasons(info),
        _ => String::new(),
    }
}

fn reasons(info: &GuardInfo) -> String {
    if info.reasons.is_empty() {
        return String::new();
    }
    let mut table =
        "\n| reason | status | verdict | severity | what the client is told |\n|---|---|---|---|---|\n"
            .to_owned();
    for reason in info.reasons {
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            reason.code,
            reason.status.as_u16(),
            reason.verdict.as_str(),
            reason.severity.as_str(),
            reason.public
        ));
    }
    table
}

/// Deeper than any guard's settings; a schema that refers to itself ends here.
const DEEPEST: usize = 6;

fn settings(schema: &Schema) -> String {
    let root = schema.as_value();
    let mut rows = String::new();
    rows_of(root, root, "", DEEPEST, &mut rows);
    if rows.is_empty() {
        return String::new();
    }
    format!("\n## Settings\n\n| setting | type | meaning |\n|---|---|---|\n{rows}")
}

/// One row per setting, those of nested blocks under their full path.
fn rows_of(root: &Value, schema: &Value, path: &str, depth: usize, rows: &mut String) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let schema = resolved(root, schema);
    for alternative in alternatives(schema) {
        rows_of(root, alternative, path, depth, rows);
    }
    if let Some(items) = schema.get("items") {
        rows_of(root, items, &format!("{path}[]"), depth, rows);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let meaning = text(property, "description").or_else(|| text(resolved(root, property), "description"));
        let meaning = meaning.unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        rows.push_str(&format!("| `{path}` | {} | {meaning} |\n", kind(root, property)));
        rows_of(root, property, &path, depth, rows);
    }
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    text(schema, "$ref").and_then(|reference| root.pointer(reference.strip_prefix('#')?)).unwrap_or(schema)
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

/// What may be written, in a word or two.
fn kind(root: &Value, schema: &Value) -> String {
    if let Some(name) = text(schema, "$ref").and_then(|reference| reference.rsplit('/').next()) {
        let named = match name {
            "ByteSize" => Some("size"),
            "Period" => Some("duration"),
            "Rate" => Some("rate"),
            "SecretReference" => Some("secret reference"),
            "FileReference" => Some("file reference"),
            "Setting" => Some("text or `off`"),
            _ => None,
        };
        if let Some(named) = named {
            return named.to_owned();
        }
    }
    let schema = resolved(root, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().filter_map(|v| Some(format!("`{}`", v.as_str()?))).collect();
        return values.join(", ");
    }
    if let Some(value) = text(schema, "const") {
        return format!("`{value}`");
    }
    let mut kinds: Vec<String> = Vec::new();
    for alternative in alternatives(schema) {
        let kind = kind(root, alternative);
        if !kind.is_empty() && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if !kinds.is_empty() {
        return kinds.join(" or ");
    }
    let one = |name: &str| match name {
        "array" => {
            format!("list of {}", schema.get("items").map(|items| kind(root, items)).unwrap_or_default())
        }
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "object" => "map".to_owned(),
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => one(name),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

/// No line ends in a space, no two empty lines follow each other, one line break at the end.
fn tidy(page: &str) -> String {
    let mut tidy = String::with_capacity(page.len());
    let mut empty = false;
    for line in page.lines().map(str::trim_end) {
        if !(line.is_empty() && empty) {
            tidy.push_str(line);
            tidy.push('\n');
        }
        empty = line.is_empty();
    }
    let end = tidy.trim_end().len();
    tidy.truncate(end);
    tidy.push('\n');
    tidy
}
