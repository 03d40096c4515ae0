//! What only Swagger 2.0 has: bodies and forms among the parameters, `consumes` and `produces`.

use super::Reader;
use crate::{
    documents::Site,
    form::{Body, Encoding, Location, Media, MediaRange, Operation},
    tree::Node,
};

/// What a body is where neither the operation nor the document says.
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

impl<'a> Reader<'a> {
    /// The body parameter or the form parameters of an operation.
    pub(super) fn swagger_body(&mut self, item: &Site<'a>, site: &Site<'a>, operation: &mut Operation) {
        let mut fields: Vec<(&'a str, Site<'a>)> = Vec::new();
        let mut body: Option<Site<'a>> = None;
        let lists = [site.get("parameters"), item.get("parameters")];
        for entry in lists.iter().flatten().flat_map(Site::items) {
            // What leads nowhere has been said of where parameters are read.
            let Ok(entry) = self.documents.follow(entry) else { continue };
            match entry.text("in") {
                Some("body") if body.is_none() => body = Some(entry),
                Some("formData") => match entry.text("name") {
                    Some(name) if !fields.iter().any(|(known, _)| *known == name) => {
                        fields.push((name, entry))
                    }
                    Some(_) => {}
                    None => self.report.error(&entry, "the form parameter has no name", "add `name`"),
                },
                _ => {}
            }
        }
        if let (Some(_), Some((_, field))) = (&body, fields.first()) {
            let message = "the operation has a body and form parameters; the body counts";
            self.report.warn(field, message, "keep one of the two (Swagger 2.0, Parameter Object)");
            fields.clear();
        }
        let place = site.place();
        let media = |range: &str, schema| Media {
            range: MediaRange::parse(range),
            schema,
            item_schema: None,
            encodings: Vec::new(),
            prefix_encodings: Vec::new(),
            item_encoding: None,
            place: place.clone(),
        };
        if let Some(body) = body {
            let schema = body.get("schema").map(|schema| self.schema(schema));
            let ranges = self.media_types(site, "consumes", JSON);
            operation.body = Some(Body {
                required: body.flag("required"),
                media: ranges.iter().map(|range| media(range, schema.clone())).collect(),
                place: body.place(),
            });
        } else if !fields.is_empty() {
            let files = fields.iter().any(|(_, field)| field.text("type") == Some("file"));
            let ranges = self.media_types(site, "consumes", if files { MULTIPART } else { FORM });
            let encodings: Vec<Encoding> = fields
                .iter()
                .filter(|(_, field)| field.text("type") == Some("array"))
                .map(|(name, field)| {
                    let (style, explode) = self.collection_format(field, Location::Query);
                    Encoding {
                        property: Box::from(*name),
                        content_types: Vec::new(),
                        headers: Vec::new(),
                        style: Some(style),
                        explode,
                        allow_reserved: false,
                    }
                })
                .collect();
            let required = fields.iter().any(|(_, field)| field.flag("required"));
            let schema = self.schemas.form(site, &fields);
            operation.body = Some(Body {
                required,
                media: ranges
                    .iter()
                    .map(|range| Media { encodings: encodings.clone(), ..media(range, Some(schema.clone())) })
                    .collect(),
                place: site.place(),
            });
        }
    }

    /// The body of a response.
    pub(super) fn swagger_response(&mut self, operation: &Site<'a>, site: &Site<'a>) -> Vec<Media> {
        let Some(schema) = site.get("schema") else { return Vec::new() };
        let schema = self.schema(schema);
        let ranges = self.media_types(operation, "produces", JSON);
        let media = |range: &String| Media {
            range: MediaRange::parse(range),
            schema: Some(schema.clone()),
            item_schema: None,
            encodings: Vec::new(),
            prefix_encodings: Vec::new(),
            item_encoding: None,
            place: site.place(),
        };
        ranges.iter().map(media).collect()
    }

    /// `consumes` or `produces`, the operation's or the document's.
    fn media_types(&self, operation: &Site<'_>, key: &str, default: &str) -> Vec<String> {
        let root = self.documents.top(self.documents.root());
        let list = operation.get(key).or_else(|| root.get(key));
        let stated: Vec<String> = list
            .iter()
            .flat_map(|list| list.node.items())
            .filter_map(Node::as_str)
            .map(str::to_owned)
            .collect();
        if stated.is_empty() { vec![default.to_owned()] } else { stated }
    }
}
