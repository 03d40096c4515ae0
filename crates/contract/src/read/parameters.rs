//! Parameters and headers (OpenAPI 3.1 sections 4.8.12 and 4.8.21), with the styles that Swagger 2.0 calls formats.

use super::Reader;
use crate::{
    documents::Site,
    form::{Location, OpenApi, Parameter, ParameterValue, Style},
    tree::Node,
};

impl<'a> Reader<'a> {
    /// One entry of `parameters`; `None` where it is none of a request's own (the body and forms of Swagger 2.0), or where
    /// it cannot be read, which is said.
    pub(super) fn parameter(&mut self, site: &Site<'a>) -> Option<Parameter> {
        let location = match site.text("in") {
            Some("path") => Location::Path,
            Some("query") => Location::Query,
            Some("header") => Location::Header,
            Some("cookie") if self.openapi >= OpenApi::V3_0 => Location::Cookie,
            Some("body" | "formData") if self.openapi == OpenApi::V2 => return None,
            Some(other) => {
                let help = match other {
                    "body" | "formData" => "describe the body in `requestBody`",
                    _ => "`in` is `path`, `query`, `header` or `cookie`",
                };
                self.report.error(site, format!("parameters are not sent in `{other}`"), help);
                return None;
            }
            None => {
                self.report.error(
                    site,
                    "the parameter does not say where it is sent",
                    "add `in: path`, `query`, `header` or `cookie`",
                );
                return None;
            }
        };
        let Some(name) = site.text("name") else {
            self.report.error(site, "the parameter has no name", "add `name`");
            return None;
        };
        // OpenAPI 3.1 section 4.8.12.1: what describes these is `content` and `security`.
        let described_elsewhere = ["accept", "content-type", "authorization"];
        if self.openapi >= OpenApi::V3_0
            && location == Location::Header
            && described_elsewhere.contains(&&*name.to_ascii_lowercase())
        {
            return None;
        }
        if location == Location::Path && site.node.get("required").and_then(Node::as_bool) != Some(true) {
            let message = format!("the path parameter `{name}` is not marked as required: it always is");
            self.report.warn_alike("path required", site, message, "add `required: true`");
        }
        Some(self.described(site, name, location))
    }

    /// A header of a response or part; its name is the key of its map.
    pub(super) fn header(&mut self, name: &str, site: Site<'a>) -> Option<Parameter> {
        let site = self.follow(site)?;
        Some(self.described(&site, name, Location::Header))
    }

    /// What parameters and headers have in common.
    fn described(&mut self, site: &Site<'a>, name: &str, location: Location) -> Parameter {
        let name = if location == Location::Header { name.to_ascii_lowercase() } else { name.to_owned() };
        let (style, explode) = match self.openapi {
            OpenApi::V2 => self.collection_format(site, location),
            _ => self.style(site, location),
        };
        Parameter {
            name: name.into_boxed_str(),
            location,
            style,
            explode,
            allow_reserved: site.flag("allowReserved"),
            allow_empty: location == Location::Query && site.flag("allowEmptyValue"),
            required: location == Location::Path || site.flag("required"),
            deprecated: site.flag("deprecated"),
            value: self.value(site),
            place: site.place(),
        }
    }

    fn value(&mut self, site: &Site<'a>) -> ParameterValue {
        if self.openapi == OpenApi::V2 {
            // The parameter is its own schema.
            return ParameterValue::Schema(self.schemas.parameter(site.clone()));
        }
        if let Some(schema) = site.get("schema") {
            return ParameterValue::Schema(self.schema(schema));
        }
        if let Some(content) = site.get("content") {
            let mut entries = content.named();
            let first = entries.next();
            if entries.next().is_some() {
                let message =
                    "the `content` of a parameter has more than one media type; the first one counts";
                self.report.warn(&content, message, "keep one of them (OpenAPI 3.1 section 4.8.12.2)");
            }
            return match first.and_then(|(range, media)| self.media(range, media)) {
                Some(media) => ParameterValue::Content(Box::new(media)),
                None => ParameterValue::Anything,
            };
        }
        if site.node.get("type").is_some() {
            self.report.warn_alike(
                "bare type",
                site,
                "the parameter has a `type` and no `schema`, as in Swagger 2.0; it is read as its schema",
                "write `schema: { type: .. }`",
            );
            return ParameterValue::Schema(self.schemas.parameter(site.clone()));
        }
        ParameterValue::Anything
    }

    /// `style` and `explode`, by default as the location has them.
    pub(super) fn style(&self, site: &Site<'_>, location: Location) -> (Style, bool) {
        let default = match location {
            Location::Path | Location::Header => Style::Simple,
            Location::Query | Location::Cookie => Style::Form,
        };
        let stated = site.text("style");
        let style = match (stated, location) {
            (None, _) => default,
            (Some("simple"), Location::Path | Location::Header) => Style::Simple,
            (Some("label"), Location::Path) => Style::Label,
            (Some("matrix"), Location::Path) => Style::Matrix,
            (Some("form"), Location::Query | Location::Cookie) => Style::Form,
            (Some("spaceDelimited"), Location::Query) => Style::SpaceDelimited,
            (Some("pipeDelimited"), Location::Query) => Style::PipeDelimited,
            (Some("deepObject"), Location::Query) => Style::DeepObject,
            (Some("cookie"), Location::Cookie) => Style::Cookie,
            (Some(other), _) => {
                let message =
                    format!("there is no style `{other}` in a {}: the default is used", location.as_str());
                self.report.warn_alike("style", site, message, "see `style` of the Parameter Object");
                default
            }
        };
        let explode = site.node.get("explode").and_then(Node::as_bool);
        let by_default = matches!(style, Style::Form | Style::Cookie | Style::DeepObject);
        (style, explode.unwrap_or(by_default))
    }

    /// `collectionFormat` of Swagger 2.0.
    pub(super) fn collection_format(&self, site: &Site<'_>, location: Location) -> (Style, bool) {
        let separated = match location {
            Location::Query | Location::Cookie => Style::Form,
            Location::Path | Location::Header => Style::Simple,
        };
        match site.text("collectionFormat") {
            None | Some("csv") => (separated, false),
            Some("ssv") => (Style::SpaceDelimited, false),
            Some("tsv") => (Style::TabDelimited, false),
            Some("pipes") => (Style::PipeDelimited, false),
            Some("multi") if location == Location::Query => (Style::Form, true),
            Some(other) => {
                let message = format!(
                    "there is no `collectionFormat: {other}` in a {}: `csv` is used",
                    location.as_str()
                );
                self.report.warn_alike(
                    "collectionFormat",
                    site,
                    message,
                    "write `csv`, `ssv`, `tsv` or `pipes`",
                );
                (separated, false)
            }
        }
    }
}
