//! Bodies of requests and responses, their media types and the encodings of forms (OpenAPI 3.2 sections 4.13 to 4.17).

use super::Reader;
use crate::{
    documents::Site,
    form::{Body, Encoding, Location, Media, MediaRange, OpenApi, Parameter, Response, ResponseStatus},
};

impl<'a> Reader<'a> {
    /// `requestBody`.
    pub(super) fn body(&mut self, site: Site<'a>) -> Option<Body> {
        let site = self.follow(site)?;
        Some(Body { required: site.flag("required"), media: self.content(&site), place: site.place() })
    }

    /// `content`.
    fn content(&mut self, site: &Site<'a>) -> Vec<Media> {
        let mut found: Vec<Media> = Vec::new();
        for (range, media) in site.get("content").iter().flat_map(Site::named) {
            let at = media.clone();
            let Some(media) = self.media(range, media) else { continue };
            if found.iter().any(|known| known.range == media.range) {
                let message = format!("`{}` is described twice; the first description counts", media.range);
                self.report.warn(&at, message, "keep one of the two");
            } else {
                found.push(media);
            }
        }
        found
    }

    /// One Media Type Object.
    pub(super) fn media(&mut self, range: &str, site: Site<'a>) -> Option<Media> {
        let site = self.follow(site)?;
        let parsed = MediaRange::parse(range);
        if !parsed.essence().contains('/') {
            let message = format!("`{range}` is not a media type: no body is ever of it");
            self.report.warn(&site, message, "write `type/subtype`, such as `application/json`");
        }
        let schema = site.get("schema").map(|schema| self.schema(schema));
        let item_schema = site.get("itemSchema").map(|schema| self.schema(schema));
        let named = |reader: &mut Self, (name, site): (&str, Site<'a>)| reader.encoding(name, site);
        let encodings: Vec<_> = site.get("encoding").iter().flat_map(Site::named).collect();
        let prefixes: Vec<_> = site.get("prefixEncoding").iter().flat_map(Site::items).collect();
        Some(Media {
            range: parsed,
            schema,
            item_schema,
            encodings: encodings.into_iter().map(|entry| named(self, entry)).collect(),
            prefix_encodings: prefixes.into_iter().map(|site| self.encoding("", site)).collect(),
            item_encoding: site.get("itemEncoding").map(|site| self.encoding("", site)),
            place: site.place(),
        })
    }

    /// One Encoding Object.
    fn encoding(&mut self, property: &str, site: Site<'a>) -> Encoding {
        for nested in ["encoding", "prefixEncoding", "itemEncoding"] {
            if let Some(nested) = site.get(nested) {
                let message = "the encoding of forms inside forms is not checked";
                self.report.warn_alike("nested encoding", &nested, message, "the outer encoding still holds");
            }
        }
        let styled = ["style", "explode", "allowReserved"].iter().any(|key| site.node.get(key).is_some());
        let (style, explode) = self.style(&site, Location::Query);
        let content_types = site.text("contentType").unwrap_or_default();
        let content_types = content_types.split(',').map(str::trim).filter(|text| !text.is_empty());
        Encoding {
            property: Box::from(property),
            content_types: content_types.map(MediaRange::parse).collect(),
            headers: self.headers(&site),
            style: styled.then_some(style),
            explode,
            allow_reserved: site.flag("allowReserved"),
        }
    }

    /// `headers`, without `Content-Type`, which other fields describe.
    fn headers(&mut self, site: &Site<'a>) -> Vec<Parameter> {
        let headers: Vec<_> = site.get("headers").iter().flat_map(Site::named).collect();
        let headers = headers.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        headers.filter_map(|(name, site)| self.header(name, site)).collect()
    }

    /// `responses`, the most specific first.
    pub(super) fn responses(&mut self, operation: &Site<'a>) -> Vec<Response> {
        let mut found: Vec<Response> = Vec::new();
        for (key, site) in operation.get("responses").iter().flat_map(Site::entries) {
            let Some(status) = status(key) else {
                let message = format!("`{key}` is not a status: the response is left aside");
                self.report.warn_alike("status", &site, message, "write `200`, `2XX` or `default`");
                continue;
            };
            let Some(site) = self.follow(site) else { continue };
            let headers = self.headers(&site);
            let media = match self.openapi {
                OpenApi::V2 => self.swagger_response(operation, &site),
                _ => self.content(&site),
            };
            if !found.iter().any(|known| known.status == status) {
                found.push(Response { status, headers, media, place: site.place() });
            }
        }
        found.sort_by_key(|response| response.status);
        found
    }
}

/// The key of a response.
fn status(key: &str) -> Option<ResponseStatus> {
    if key.eq_ignore_ascii_case("default") {
        return Some(ResponseStatus::Default);
    }
    if let Some(class) = key.strip_suffix("XX").or_else(|| key.strip_suffix("xx")) {
        return class.parse().ok().filter(|class| (1..=5).contains(class)).map(ResponseStatus::Class);
    }
    key.parse().ok().filter(|status| (100..600).contains(status)).map(ResponseStatus::Exact)
}
