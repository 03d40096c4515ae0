//! What a schema expected, in words. Nothing that was sent is repeated: names of members excepted, which are bounded.

use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

/// Characters of an expectation that are told.
const WORDS: usize = 200;
/// Characters of one name that are told.
const NAME: usize = 64;
/// Names or values that are listed.
const LISTED: usize = 8;

/// What the keyword demands.
pub(super) fn expectation(error: &ValidationError<'_>) -> String {
    let text = match error.kind() {
        Kind::AdditionalItems { limit } => format!("at most {limit} items"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("no member {}", list(unexpected.iter().map(|name| short(name, NAME))))
        }
        Kind::AnyOf { .. } => "one of the alternatives".to_owned(),
        Kind::OneOfNotValid { .. } => "exactly one of the alternatives, and none fits".to_owned(),
        Kind::OneOfMultipleValid { .. } => {
            "exactly one of the alternatives, and more than one fits".to_owned()
        }
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "a text that the pattern can be tried on".to_owned()
        }
        Kind::Constant { expected_value } => value(expected_value),
        Kind::Contains => "an item that fits `contains`".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("text in {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("text of type {content_media_type}"),
        Kind::Custom { message, .. } => message.clone(),
        Kind::Enum { options } => match options.as_array() {
            Some(options) => list(options.iter().map(value)),
            None => value(options),
        },
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::FalseSchema => "nothing here".to_owned(),
        Kind::Format { format } => format!("the format `{format}`"),
        Kind::FromUtf8 { .. } => "text in UTF-8".to_owned(),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MaxProperties { limit } => format!("at most {limit} members"),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MinProperties { limit } => format!("at least {limit} members"),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::Not { .. } => "not what `not` describes".to_owned(),
        Kind::Pattern { pattern } => format!("the pattern `{pattern}`"),
        Kind::PropertyNames { error } => format!("names with {}", expectation(error)),
        Kind::Required { property } => format!("the member {}", value(property)),
        Kind::Type { kind } => match kind {
            TypeKind::Single(kind) => type_name(*kind).to_owned(),
            TypeKind::Multiple(kinds) => list(kinds.iter().map(|kind| type_name(kind).to_owned())),
        },
        Kind::UnevaluatedItems { .. } => "no further item".to_owned(),
        Kind::UniqueItems => "items that differ from one another".to_owned(),
        Kind::Referencing(_) => "a schema that can be resolved".to_owned(),
    };
    short(&text, WORDS)
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn value(value: &Value) -> String {
    short(&value.to_string(), NAME)
}

fn list(names: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = names.take(LISTED + 1).collect();
    if all.len() > LISTED {
        all.truncate(LISTED);
        all.push("others".to_owned());
    }
    all.join(", ")
}

/// The beginning of a text.
pub(crate) fn short(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
