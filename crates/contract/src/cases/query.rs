//! The query as one value (`in: querystring`, OpenAPI 3.2 section 4.12).

use bartizan_pattern::body::media_type::BodyKind;
use serde_json::Value;

use super::{
    body::{body_kind, stated},
    mutate::{Surface, changes},
    request::{Draft, Requests, verdict},
    source,
    value::{Fill, Maker},
    write::{self, escape},
};
use crate::{
    form::{QueryString, SchemaRef},
    shape::Direction,
};

/// A value as the query of a media type.
fn write_query(query: &QueryString, value: &Value, maker: &Maker<'_>, at: &SchemaRef) -> Option<String> {
    let text = match body_kind(&stated(&query.media.range))? {
        BodyKind::Json => escape(&value.to_string()),
        BodyKind::Form => write::form(&query.media, value, maker, &source(at))?,
        _ => escape(value.as_str()?),
    };
    (!text.is_empty()).then_some(text)
}

impl<'c> Requests<'_, 'c> {
    /// A query that fits; what it is made of is kept for its cases. `None` where there is none.
    pub(super) fn query_string(&self, query: &'c QueryString) -> Option<(String, Value, Maker<'c>)> {
        let at = query.media.schema.as_ref()?;
        let writes = |value: &Value, maker: &Maker<'_>| write_query(query, value, maker, at).is_some();
        let schema = self.check.query_schema();
        let (value, maker) = self.generator.value(at, schema, Direction::Request, Fill::All, writes)?;
        Some((write_query(query, &value, &maker, at)?, value, maker))
    }

    /// Cases about it.
    pub(super) fn of_query_string(&mut self, query: &QueryString, value: &Value, maker: &Maker<'c>) {
        let Some(at) = &query.media.schema else { return };
        let json = body_kind(&stated(&query.media.range)) == Some(BodyKind::Json);
        let surface = if json { Surface::Json } else { Surface::Text };
        for change in changes(maker, &source(at), value, surface) {
            let Some(valid) = verdict(&change, self.check.query_schema()) else { continue };
            let bare = !json && !change.value.is_object();
            let Some(text) = write_query(query, &change.value, maker, at).filter(|_| !bare) else { continue };
            let draft = Draft { query: Some(text), ..self.base.clone() };
            self.case(format!("querystring {}: {}", change.pointer, change.rule), change.rule, valid, &draft);
        }
        if query.required {
            let draft = Draft { query: None, ..self.base.clone() };
            self.case("querystring: missing".to_owned(), "required", false, &draft);
        }
    }
}
