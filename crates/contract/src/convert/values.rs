//! Keywords whose values are plain: numbers, types, enumerations, patterns.

use serde_json::{Map, Value, json};

use super::{
    keywords,
    patterns::{self, Rewrite},
    schema::{At, Frame, Walk},
};
use crate::{
    documents::Site,
    form::{Dialect, OpenApi},
    pointer,
    tree::{Node, Scalar, Value as Tree},
};

impl<'a> Walk<'_, 'a> {
    /// A number, or a text that is one.
    pub(super) fn number(&mut self, site: &Site<'a>, keyword: &str) -> Option<Value> {
        if let Some(Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_)) = site.node.scalar() {
            return Some(site.node.to_json());
        }
        let read = site.node.as_str().map(|text| Node::plain(text.trim())).filter(Value::is_number);
        if read.is_some() {
            let message =
                format!("`{keyword}` is a number that is written as text; it is read as the number");
            self.to.report.warn_alike("number as text", site, message, "remove the quotes");
        } else {
            let message = format!("`{keyword}` is a number, found {}", site.node.kind());
            self.to.report.error(site, message, "write a number");
        }
        read
    }

    /// Until draft 4 these are booleans beside `minimum` and `maximum`.
    pub(super) fn exclusive(
        &mut self,
        at: &At<'a>,
        keyword: &str,
        site: &Site<'a>,
        map: &mut Map<String, Value>,
    ) {
        let Some(flag) = site.node.as_bool() else {
            if let Some(number) = self.number(site, keyword) {
                map.insert(keyword.to_owned(), number);
            }
            return;
        };
        if at.dialect == Dialect::Draft4 {
            map.insert(keyword.to_owned(), Value::Bool(flag));
            return;
        }
        if !self.is_older() {
            let message = format!("`{keyword}` is a number in OpenAPI 3.1; the boolean is read as in 3.0");
            self.to.report.warn_alike("exclusive flag", site, message, format!("write `{keyword}: 5`"));
        }
        let inclusive = if keyword == "exclusiveMinimum" { "minimum" } else { "maximum" };
        if flag
            && let Some(bound) = at.site.get(inclusive)
            && let Some(number) = self.number(&bound, inclusive)
        {
            map.insert(keyword.to_owned(), number);
            let mut out = at.out.clone();
            pointer::push_token(&mut out, keyword);
            self.note(&out, site);
        }
    }

    pub(super) fn required(&mut self, site: &Site<'a>) -> Option<Value> {
        if site.node.as_bool().is_some() {
            // Told of, and obeyed, where the properties are read.
            return None;
        }
        let names: Vec<Value> = site.node.items().iter().filter_map(Node::as_str).map(Value::from).collect();
        if !matches!(site.node.value, Tree::List(_)) || names.len() != site.node.items().len() {
            let message = "`required` is a list of names of properties";
            self.to.report.error(site, message, "write `required: [name, ..]`");
        }
        Some(names.into())
    }

    pub(super) fn types(&mut self, site: &Site<'a>, map: &mut Map<String, Value>) -> Option<Value> {
        let known = ["string", "integer", "number", "boolean", "object", "array", "null"];
        let mut one = |walk: &mut Self, node: &Node| -> Option<Value> {
            if node.is_null() {
                return Some(Value::from("null"));
            }
            let text = node.as_str()?;
            if known.contains(&text) {
                return Some(Value::from(text));
            }
            if text == "file" && walk.openapi == OpenApi::V2 {
                map.insert("format".to_owned(), Value::from("binary"));
                return Some(Value::from("string"));
            }
            let Some(meant) = keywords::meant(text) else {
                let any = matches!(text.to_ascii_lowercase().as_str(), "any" | "mixed" | "*");
                let message = format!("`{text}` is not a type");
                let help = "`type` is `string`, `integer`, `number`, `boolean`, `object`, `array` or `null`";
                match any {
                    true => walk.to.report.warn_alike(
                        "any type",
                        site,
                        format!("{message}; anything is let through"),
                        help,
                    ),
                    false => walk.to.report.error(site, message, help),
                }
                return None;
            };
            let message = format!("`{text}` is not a type; it is read as `{meant}`");
            walk.to.report.warn_alike(
                &format!("type {text}"),
                site,
                message,
                format!("write `type: {meant}`"),
            );
            Some(Value::from(meant))
        };
        match &site.node.value {
            Tree::List(items) => {
                let mut list: Vec<Value> = items.iter().filter_map(|item| one(self, item)).collect();
                list.dedup();
                (!list.is_empty()).then(|| Value::Array(list))
            }
            Tree::Scalar { .. } if !site.node.is_null() => one(self, site.node),
            _ => None,
        }
    }

    /// `enum`, its values of the type that the schema states where only quotes are wrong.
    pub(super) fn values(&mut self, at: &At<'a>, site: &Site<'a>) -> Value {
        let stated = at.site.text("type");
        let numbers = matches!(stated, Some("integer" | "number"));
        let mut mended = false;
        let mut one = |node: &Node| match (&node.value, node.scalar()) {
            (
                Tree::Scalar { text, .. },
                Some(Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_)),
            ) if stated == Some("string") => {
                mended = true;
                Value::from(text.as_str())
            }
            (_, Some(Scalar::Text(text))) if numbers => {
                match Some(Node::plain(text)).filter(Value::is_number) {
                    Some(number) => {
                        mended = true;
                        number
                    }
                    None => Value::from(text),
                }
            }
            _ => node.to_json(),
        };
        let list: Vec<Value> = site.node.items().iter().map(&mut one).collect();
        if mended {
            let message =
                "the values of `enum` are not of the `type` beside it; they are read as if they were";
            self.to.report.warn_alike(
                "enum type",
                site,
                message,
                "write texts in quotes and numbers without",
            );
        }
        if list.is_empty() {
            self.to.report.error(
                site,
                "`enum` is a list with at least one value",
                "write `enum: [..]`, or remove it",
            );
        }
        list.into()
    }

    pub(super) fn pattern(&mut self, at: &At<'a>, frame: &mut Frame<'a>) {
        let report = self.to.report;
        let Some(text) = at.site.node.as_str() else {
            return report.error(&at.site, "`pattern` is a text", "write a regular expression");
        };
        let text = match patterns::without_slashes(text) {
            Some(inner) => {
                let message = format!(
                    "the pattern `{text}` has slashes around it, as in JavaScript; it is read without"
                );
                report.warn_alike("slashes", &at.site, message, format!("write `{inner}`"));
                inner
            }
            None => text,
        };
        let kind = format!("pattern {text}");
        match patterns::rewrite(text) {
            Rewrite::Linear => {
                frame.map.insert("pattern".to_owned(), Value::from(text));
            }
            Rewrite::Simple(pattern) => {
                let message = format!(
                    "the pattern `{text}` looks around; it is checked as `{pattern}`, which is the same"
                );
                report.warn_alike(&kind, &at.site, message, format!("write `{pattern}`"));
                frame.map.insert("pattern".to_owned(), Value::from(pattern));
            }
            Rewrite::Parts { all, none } => {
                let mut parts: Vec<Value> = all.iter().map(|pattern| json!({ "pattern": pattern })).collect();
                parts.extend(
                    none.iter().map(|pattern| json!({ "not": { "type": "string", "pattern": pattern } })),
                );
                let shown = Value::Array(parts.clone());
                let message = format!(
                    "the pattern `{text}` looks around; it is checked as several, which are the same"
                );
                report.warn_alike(&kind, &at.site, message, format!("write `allOf: {shown}`"));
                frame.also.extend(parts.into_iter().map(|part| (part, at.site.clone())));
            }
            Rewrite::Impossible(why) => {
                let message = format!(
                    "the pattern `{text}` {why}, which takes more than linear time: it is not checked"
                );
                let help = "write it without, or bound the value by `maxLength`, `enum` or `format`";
                report.warn_alike(&kind, &at.site, message, help);
            }
        }
    }

    /// `nullable`, and the bounds that formats of integers have.
    pub(super) fn finish_types(&mut self, at: &At<'a>, wrapped: bool, frame: &mut Frame<'a>) {
        let marked = |key| at.site.node.get(key).and_then(Node::as_bool) == Some(true);
        let nullable = marked("nullable") || self.openapi == OpenApi::V2 && marked("x-nullable");
        if nullable && !self.is_older() {
            let message = "`nullable` is of OpenAPI 3.0; it is read as it is there";
            self.to.report.warn_alike("nullable", &at.site, message, "write `type: [.., 'null']`");
        } else if nullable && wrapped && at.site.text("$ref").is_some() {
            let message =
                "`nullable` beside `$ref` means nothing in OpenAPI 3.0; `null` is let through all the same";
            let help = "write `nullable: true` and `allOf: [{ $ref: .. }]`";
            self.to.report.warn_alike("nullable ref", &at.site, message, help);
        }
        let map = &mut frame.map;
        if nullable && !wrapped {
            match map.get_mut("type") {
                Some(Value::Array(list)) if !list.iter().any(|known| known == "null") => {
                    list.push("null".into())
                }
                Some(one @ Value::String(_)) => *one = json!([one.take(), "null"]),
                _ => {}
            }
            // A schema that says both means that `null` may be sent.
            if let Some(Value::Array(list)) = map.get_mut("enum").filter(|_| !map_has_null(at)) {
                list.push(Value::Null);
            }
        }
        let integer = |types: &Value| {
            types == "integer" || types.as_array().is_some_and(|all| all.contains(&"integer".into()))
        };
        if map.get("type").is_some_and(integer) {
            let bounds = match map.get("format").and_then(Value::as_str) {
                Some("int8") => (i64::from(i8::MIN), i64::from(i8::MAX)),
                Some("int16") => (i64::from(i16::MIN), i64::from(i16::MAX)),
                Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
                Some("int64") => (i64::MIN, i64::MAX),
                Some("uint8") => (0, i64::from(u8::MAX)),
                Some("uint16") => (0, i64::from(u16::MAX)),
                Some("uint32") => (0, i64::from(u32::MAX)),
                _ => return,
            };
            for (keyword, stricter, bound) in
                [("minimum", "exclusiveMinimum", bounds.0), ("maximum", "exclusiveMaximum", bounds.1)]
            {
                if !map.contains_key(keyword) && !map.contains_key(stricter) {
                    map.insert(keyword.to_owned(), bound.into());
                }
            }
        }
    }
}

/// Whether `enum` has `null` already.
fn map_has_null(at: &At<'_>) -> bool {
    at.site.node.get("enum").is_some_and(|list| list.items().iter().any(Node::is_null))
}
