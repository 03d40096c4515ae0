//! From the normal form of a contract to its checks: every schema is compiled once, whoever uses it.

use std::{collections::HashMap, sync::Arc};

use bartizan_model::{Diagnostic, Diagnostics};
use bartizan_pattern::{body::sequence::Framing, template::PathRouter};
use serde_json::Value;

use super::{
    BodyCheck, Checks, EncodingCheck, MediaCheck, OperationCheck, ParameterCheck, QueryCheck, ResponseCheck,
    Typed, ValueCheck, items::ItemCheck, sides,
};
use crate::{
    form::{
        Description, Dialect, Location, Media, Operation, Parameter, ParameterValue, Response, SchemaRef,
        Schemas,
    },
    pointer::decode_fragment,
    schema::{Draft, Library, Schema, SchemaError},
    shape::{Builder, Direction, Types},
};

/// Header fields that are parameters of HTTP itself (OpenAPI 3.1 section 4.8.12.1).
const OF_HTTP: [&str; 3] = ["accept", "content-type", "authorization"];

/// Compiles a contract.
///
/// # Errors
/// Every schema that cannot be used: with its place, and what to write instead.
pub fn compile(contract: &Description) -> Result<Checks, Diagnostics> {
    let library = library(contract, None)?;
    let [of_requests, of_responses] = [Direction::Request, Direction::Response].map(|direction| {
        let documents = sides::documents(&contract.schemas, direction);
        documents.map(|documents| self::library(contract, Some(documents))).transpose()
    });
    let mut compiler = Compiler {
        schemas: &contract.schemas,
        library,
        of_requests: of_requests?,
        of_responses: of_responses?,
        direction: Direction::Request,
        shapes: Builder::new(&contract.schemas),
        known: HashMap::new(),
        problems: Diagnostics::new(),
    };
    let mut operations: HashMap<_, OperationCheck, _> = contract
        .operations
        .iter()
        .filter(|operation| !operation.opaque)
        .map(|operation| (operation.spec.label.as_ref().into(), compiler.operation(operation)))
        .collect();
    let Compiler { shapes, problems, .. } = compiler;
    let mut checks = Checks { shapes: shapes.finish(), ..Checks::default() };
    for operation in operations.values_mut() {
        operation.parameters.sort_by_key(|parameter| checks.takes_what_is_left(parameter));
    }
    checks.operations = operations;
    problems.or(checks)
}

/// The documents of a contract; `values` in place of their own where that is given.
pub(crate) fn library(contract: &Description, values: Option<Vec<Value>>) -> Result<Library, Diagnostics> {
    let all = contract.schemas.documents();
    let values = values.unwrap_or_else(|| all.iter().map(|document| document.value.clone()).collect());
    let documents = all.iter().zip(values).map(|(document, value)| {
        let draft = match document.dialect {
            Dialect::Draft4 => Draft::Draft4,
            Dialect::Draft6 => Draft::Draft6,
            Dialect::Draft7 => Draft::Draft7,
            Dialect::Draft2019 => Draft::Draft201909,
            Dialect::Draft2020 => Draft::Draft202012,
        };
        (&*document.uri, value, draft)
    });
    Library::new(documents).map_err(|error| {
        let help = "references are resolved in the files of the contract only: correct the `$ref`";
        Diagnostic::error("", error.message).help(help).into()
    })
}

struct Compiler<'c> {
    schemas: &'c Schemas,
    library: Library,
    /// What is in force for requests and for responses, where `readOnly` and `writeOnly` make a difference.
    of_requests: Option<Library>,
    of_responses: Option<Library>,
    /// Which way the values go whose schemas are compiled.
    direction: Direction,
    shapes: Builder<'c>,
    known: HashMap<(SchemaRef, bool), Option<Arc<Schema>>>,
    problems: Diagnostics,
}

impl Compiler<'_> {
    fn operation(&mut self, operation: &Operation) -> OperationCheck {
        let mut path = PathRouter::new();
        // One template meets no other.
        let _ = path.insert(&operation.template, ());
        let parameters = operation.parameters.iter();
        let own =
            |parameter: &&Parameter| parameter.location != Location::Header || !is_of_http(&parameter.name);
        OperationCheck {
            path,
            parameters: parameters.filter(own).map(|parameter| self.parameter(parameter)).collect(),
            query_string: operation.query_string.as_ref().map(|query| QueryCheck {
                name: query.name.clone(),
                required: query.required,
                media: self.media(&query.media),
            }),
            body: operation
                .body
                .as_ref()
                .map(|body| BodyCheck { required: body.required, media: self.medias(&body.media) }),
            responses: operation.responses.iter().map(|response| self.response(response)).collect(),
        }
    }

    fn parameter(&mut self, parameter: &Parameter) -> ParameterCheck {
        let value = match &parameter.value {
            ParameterValue::Schema(at) => self.typed(at).map_or(ValueCheck::Anything, ValueCheck::Typed),
            ParameterValue::Content(media) if media.range.is_json() => {
                ValueCheck::Json(media.schema.as_ref().and_then(|at| self.typed(at)))
            }
            ParameterValue::Content(media) => {
                let typed = media.schema.as_ref().and_then(|at| self.typed(at));
                typed.map_or(ValueCheck::Anything, ValueCheck::Typed)
            }
            ParameterValue::Anything => ValueCheck::Anything,
        };
        ParameterCheck {
            name: parameter.name.clone(),
            location: parameter.location,
            style: parameter.style,
            explode: parameter.explode,
            allow_empty: parameter.allow_empty,
            required: parameter.required,
            value,
        }
    }

    /// The most specific ranges first: the first that fits is the one that counts.
    fn medias(&mut self, all: &[Media]) -> Vec<Arc<MediaCheck>> {
        let mut all: Vec<Arc<MediaCheck>> = all.iter().map(|media| Arc::new(self.media(media))).collect();
        all.sort_by_key(|media| std::cmp::Reverse(media.range.specificity()));
        all
    }

    fn media(&mut self, media: &Media) -> MediaCheck {
        let encodings = media.encodings.iter().map(|encoding| EncodingCheck {
            property: encoding.property.clone(),
            content_types: encoding.content_types.clone(),
            style: encoding.style.map(|style| (style, encoding.explode)),
        });
        MediaCheck {
            range: media.range.clone(),
            typed: media.schema.as_ref().and_then(|at| self.typed(at)),
            item: self.item(media),
            any_text: media.schema.as_ref().is_some_and(|at| self.is_any_text(at)),
            encodings: encodings.collect(),
        }
    }

    /// What the items of a sequence are: what `itemSchema` says. Without one, `schema` is of the list of all items (OpenAPI 3.2
    /// section 4.14.3); one that is no list is of each item, as documents before 3.2 are written.
    fn item(&mut self, media: &Media) -> Option<ItemCheck> {
        let framing = Framing::named(media.range.essence());
        if let Some(at) = &media.item_schema {
            let contents = framing == Some(Framing::Events);
            return self.typed_item(at, contents).map(|typed| ItemCheck { typed, of_event: true });
        }
        let (framing, at) = (framing?, media.schema.as_ref()?);
        let (place, schema) = self.schemas.resolve(at)?;
        let of_list = schema.get("items").is_some_and(serde_json::Value::is_object);
        let typed = self.typed(at)?;
        let types = self.shapes.types_of(typed.shape);
        if of_list && !types.has(Types::OBJECT) {
            let contents = framing == Framing::Events;
            let typed = self.typed_item(&place.below("items"), contents)?;
            return Some(ItemCheck { typed, of_event: true });
        }
        // A text, or anything: the stream itself.
        if types == Types::ALL && !self.shapes.names_members(typed.shape) || types == Types::STRING {
            return None;
        }
        let of_event = framing == Framing::Events && self.shapes.is_event(typed.shape);
        let typed = if of_event { self.typed_item(at, true)? } else { typed };
        Some(ItemCheck { typed, of_event })
    }

    /// A schema of items. In events the contents of texts are checked, too.
    fn typed_item(&mut self, at: &SchemaRef, contents: bool) -> Option<Typed> {
        if !contents {
            return self.typed(at);
        }
        let at = self.schemas.resolve(at).map_or_else(|| at.clone(), |(at, _)| at);
        match self.library_of_side().compile_with_contents(&at.uri()) {
            Ok(schema) => Some(Typed { schema: Arc::new(schema), shape: self.shapes.shape(&at) }),
            Err(error) => {
                self.report(&at, &error);
                None
            }
        }
    }

    /// Whether a schema says `type: string`, and no more.
    fn is_any_text(&self, at: &SchemaRef) -> bool {
        let schema = self.schemas.resolve(at).and_then(|(_, schema)| schema.as_object());
        schema.is_some_and(|schema| {
            schema.iter().all(|(keyword, value)| match keyword.as_str() {
                "type" => value == "string",
                "default" | "deprecated" => true,
                _ => false,
            })
        })
    }

    fn response(&mut self, response: &Response) -> ResponseCheck {
        self.direction = Direction::Response;
        let check = ResponseCheck {
            status: response.status,
            headers: response.headers.iter().map(|header| self.parameter(header)).collect(),
            media: self.medias(&response.media),
        };
        self.direction = Direction::Request;
        check
    }

    /// The schemas as the side reads them whose values are described.
    fn library_of_side(&self) -> &Library {
        let own = match self.direction {
            Direction::Request => self.of_requests.as_ref(),
            Direction::Response => self.of_responses.as_ref(),
        };
        own.unwrap_or(&self.library)
    }

    fn typed(&mut self, at: &SchemaRef) -> Option<Typed> {
        let at = self.schemas.resolve(at).map_or_else(|| at.clone(), |(at, _)| at);
        // One schema serves both sides where both read it alike.
        let differ = self.of_requests.is_some() || self.of_responses.is_some();
        let key = (at, differ && self.direction == Direction::Response);
        let at = &key.0;
        if let Some(known) = self.known.get(&key) {
            let schema = known.clone()?;
            return Some(Typed { schema, shape: self.shapes.shape(at) });
        }
        let compiled = match self.library_of_side().compile(&at.uri()) {
            Ok(schema) => Some(Arc::new(schema)),
            Err(error) => {
                self.report(at, &error);
                None
            }
        };
        let shape = self.shapes.shape(at);
        self.known.insert(key, compiled.clone());
        Some(Typed { schema: compiled?, shape })
    }

    fn report(&mut self, at: &SchemaRef, error: &SchemaError) {
        let place = error.place.split_once('#').and_then(|(document, fragment)| {
            let pointer = decode_fragment(fragment.split(", at ").next()?)?.into_boxed_str();
            self.schemas.place(&SchemaRef { document: document.into(), pointer })
        });
        let message = format!("the schema `{at}` cannot be used: {}", error.message);
        let same =
            |said: &Diagnostic| said.message.split_once(": ").map(|(_, why)| why) == Some(&error.message);
        if self.problems.0.iter().any(|said| same(said) && said.place == place) {
            return;
        }
        let mut diagnostic = Diagnostic::error("", message)
            .help("correct the schema; patterns have no look-around and no back-references");
        diagnostic.place = place.or_else(|| self.schemas.place(at));
        self.problems.push(diagnostic);
    }
}

fn is_of_http(name: &str) -> bool {
    OF_HTTP.iter().any(|own| own.eq_ignore_ascii_case(name))
}
