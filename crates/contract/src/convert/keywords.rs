//! What each keyword of a schema holds.

/// What the value of a keyword is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A schema or a boolean.
    Schema,
    /// A list of schemas.
    Schemas,
    /// Schemas by name.
    Named,
    /// A schema, or a list of them for the first items.
    Items,
    /// A number of things.
    Count,
    /// A number.
    Number,
    /// `exclusiveMinimum`, `exclusiveMaximum`: a number, or a boolean until draft 4.
    Exclusive,
    /// A regular expression.
    Pattern,
    /// Names of properties.
    Required,
    /// A type, or a list of them.
    Type,
    /// A list of values.
    Enum,
    /// Lists of names, or schemas, by name (until draft 7).
    Dependencies,
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// Any value, kept as it is.
    Value,
    /// A reference to a schema.
    Reference,
    /// What moves identity: of JSON Schema itself only, not of OpenAPI 2.0 and 3.0.
    Identity,
    /// Looked at with its schema.
    Elsewhere,
    /// Of no consequence for traffic.
    Annotation,
}

/// What a keyword holds; `None` for one that is not known.
pub(super) fn shape(keyword: &str) -> Option<Shape> {
    Some(match keyword {
        "additionalProperties"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema"
        | "additionalItems" => Shape::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Shape::Schemas,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Shape::Named,
        "items" => Shape::Items,
        "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties" | "minProperties"
        | "minContains" | "maxContains" => Shape::Count,
        "maximum" | "minimum" | "multipleOf" => Shape::Number,
        "exclusiveMaximum" | "exclusiveMinimum" => Shape::Exclusive,
        "pattern" => Shape::Pattern,
        "required" => Shape::Required,
        "type" => Shape::Type,
        "enum" => Shape::Enum,
        "dependencies" => Shape::Dependencies,
        "uniqueItems" | "readOnly" | "writeOnly" | "deprecated" => Shape::Flag,
        "format" | "contentEncoding" | "contentMediaType" => Shape::Text,
        "const" | "default" | "xml" | "discriminator" | "dependentRequired" => Shape::Value,
        "$ref" => Shape::Reference,
        "$id" | "id" | "$schema" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef"
        | "$recursiveAnchor" | "$vocabulary" => Shape::Identity,
        "nullable" => Shape::Elsewhere,
        "title" | "description" | "summary" | "example" | "examples" | "externalDocs" | "$comment"
        | "name" | "in" | "collectionFormat" | "allowEmptyValue" | "explode" | "style" | "allowReserved"
        | "content" | "schema" => Shape::Annotation,
        _ => return None,
    })
}

/// Keywords that only describe: they say nothing about which values are valid.
pub(super) fn describes(keyword: &str) -> bool {
    keyword.starts_with("x-")
        || matches!(
            keyword,
            "$ref"
                | "nullable"
                | "readOnly"
                | "writeOnly"
                | "deprecated"
                | "default"
                | "xml"
                | "discriminator"
        )
        || shape(keyword) == Some(Shape::Annotation)
}

/// Keywords of JSON Schema that OpenAPI 3.0 and Swagger 2.0 leave out, and that are enforced all the same.
pub(super) fn is_newer(keyword: &str) -> bool {
    matches!(
        keyword,
        "if" | "then"
            | "else"
            | "contains"
            | "minContains"
            | "maxContains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "prefixItems"
            | "patternProperties"
            | "dependentSchemas"
            | "dependentRequired"
            | "dependencies"
            | "const"
    )
}

/// The type that a word means which is none of JSON Schema's: generators write names of their own languages.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "string" | "str" | "text" | "date" | "datetime" | "date-time" | "uuid" | "email" | "uri" | "url"
        | "password" | "char" | "varchar" | "byte" | "bytes" | "binary" => "string",
        "integer" | "int" | "int32" | "int64" | "long" | "short" | "bigint" => "integer",
        "number" | "float" | "double" | "decimal" | "numeric" => "number",
        "boolean" | "bool" => "boolean",
        "object" | "dict" | "map" | "json" | "struct" => "object",
        "array" | "list" | "tuple" => "array",
        "null" | "none" | "nil" => "null",
        _ => return None,
    })
}

/// The keyword that an unknown one was probably meant to be: the same letters, or one letter apart.
pub(super) fn near(keyword: &str) -> Option<&'static str> {
    const CONSTRAINTS: [&str; 28] = [
        "type",
        "enum",
        "const",
        "format",
        "pattern",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "maxLength",
        "minLength",
        "maximum",
        "minimum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "multipleOf",
        "maxItems",
        "minItems",
        "uniqueItems",
        "maxProperties",
        "minProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "nullable",
        "readOnly",
        "writeOnly",
    ];
    CONSTRAINTS.into_iter().find(|known| {
        let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        known.len() > 3 && plain(known) == plain(keyword) || known.len() > 5 && one_apart(known, keyword)
    })
}

/// Whether one text becomes the other by one letter that is added, left out, changed or swapped with the next.
fn one_apart(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let front = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (a, b) = (one.get(front..).unwrap_or_default(), other.get(front..).unwrap_or_default());
    match (a, b) {
        ([x, y, ra @ ..], [u, v, rb @ ..]) if x == v && y == u && ra == rb => true,
        ([_, ra @ ..], [_, rb @ ..]) if ra == rb => true,
        ([_, ra @ ..], _) if ra == b => true,
        (_, [_, rb @ ..]) if a == rb => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_words_of_ones_own() {
        for (slip, meant) in [
            ("maxlength", "maxLength"),
            ("min_length", "minLength"),
            ("patern", "pattern"),
            ("requried", "required"),
            ("propertys", "properties"),
        ] {
            // `propertys` is two letters away.
            let expected = (slip != "propertys").then_some(meant);
            assert_eq!(near(slip), expected, "{slip}");
        }
        assert_eq!(near("owner"), None);
    }
}
