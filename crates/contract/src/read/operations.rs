//! Paths and operations (OpenAPI 3.2 sections 4.8 to 4.10, Swagger 2.0 sections "Paths Object" and "Operation Object").

use std::sync::Arc;

use bartizan_model::compile::{OperationSpec, SchemeDemand, SchemeKind, SecurityAlternative};
use bartizan_pattern::template::{PathRouter, Template};
use http::Method;

use super::{Reader, servers};
use crate::{
    documents::Site,
    form::{Location, OpenApi, Operation, Parameter, ParameterValue, QueryString, SchemeType, Style},
    tree::Node,
};

/// The fixed fields of a Path Item Object that are operations (OpenAPI 3.2 section 4.9.1; `query` is new there).
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Operations of one document; more than any known API has.
const MAX_OPERATIONS: usize = 20_000;

/// One operation before it is read.
struct Found<'a> {
    method: Method,
    template: Template,
    /// The path was written with a fragment: one of several descriptions of the same requests.
    variant: bool,
    item: Site<'a>,
    site: Site<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn paths(&mut self, root: &Site<'a>) {
        let Some(paths) = root.get("paths") else {
            // OpenAPI 3.1 allows a document with only `components` or `webhooks`.
            let help = "a contract for a gateway needs `paths`";
            return self.report.error(root, "the contract names no paths", help);
        };
        for (path, item) in paths.entries() {
            self.path_item(path, item);
        }
        if self.operations.is_empty() && !self.report.has_errors() {
            self.report.warn(
                &paths,
                "the contract names no operation: every request is unknown",
                "add operations below `paths`",
            );
        }
    }

    fn path_item(&mut self, path: &str, own: Site<'a>) {
        // A fragment is never sent (RFC 9110 section 4.2.5); documents use it to tell variants of one operation apart. Nor
        // does a template hold a query, which is what parameters are for.
        let (written, variant) = match path.split_once(['#', '?']) {
            Some((path, _)) => (path, true),
            None => (path, false),
        };
        if path.contains('?') {
            let message = format!("the query in the path `{path}` is left aside");
            self.report.warn(&own, message, "describe it as parameters with `in: query`");
        }
        let template = match Template::parse(written) {
            Ok(template) => template,
            Err(text) => return self.report.error(&own, text, "correct the path in the contract"),
        };
        let Some(item) = self.follow(own.clone()) else { return };
        // What stands beside a `$ref` is part of the path item (OpenAPI 3.0 section 4.7.9).
        let parts = if item.pointer == own.pointer && item.document.uri == own.document.uri {
            vec![item.clone()]
        } else {
            vec![own, item.clone()]
        };
        let declared = parts.iter().flat_map(Site::entries).filter(|(key, _)| METHODS.contains(key));
        let declared: Vec<_> = declared.map(|(key, site)| (key.to_ascii_uppercase(), site)).collect();
        let additional = parts.iter().filter_map(|part| part.get("additionalOperations"));
        let additional: Vec<_> = additional.flat_map(|map| map.named()).collect();
        let additional = additional.into_iter().map(|(key, site)| (key.to_owned(), site));
        let of_item =
            parts.iter().map(servers::own_paths).find(|paths| !paths.is_empty()).unwrap_or_default();
        for (name, site) in declared.into_iter().chain(additional) {
            let Ok(method) = Method::from_bytes(name.as_bytes()) else {
                self.report.error(
                    &site,
                    format!("`{name}` is not a method"),
                    "a method is a token, such as `COPY`",
                );
                continue;
            };
            if !site.is_map() {
                let help = "see the Operation Object of OpenAPI";
                self.report.error(&site, "an operation is a map of settings", help);
                continue;
            }
            let of_operation = servers::own_paths(&site);
            let bases = if of_operation.is_empty() { &of_item } else { &of_operation };
            for prefix in self.prefixes(bases, &method, &template, &site) {
                let template = match &*prefix {
                    "" => template.clone(),
                    prefix => match Template::parse(&format!("{prefix}{written}")) {
                        Ok(template) => template,
                        Err(text) => {
                            self.report.error(&site, text, "correct the path of its server");
                            continue;
                        }
                    },
                };
                let (item, site) = (item.clone(), site.clone());
                self.operation(Found { method: method.clone(), template, variant, item, site });
            }
        }
    }

    /// What the servers of a path or operation put before it, below the base path of the document: nothing where it names
    /// none. Those that lie elsewhere are told.
    fn prefixes(
        &self,
        bases: &[String],
        method: &Method,
        template: &Template,
        site: &Site<'a>,
    ) -> Vec<String> {
        if bases.is_empty() {
            return vec![String::new()];
        }
        let of_document = servers::base_paths(&self.documents.top(self.documents.root()));
        let mut found: Vec<String> = Vec::new();
        for base in bases {
            let below = match of_document.as_slice() {
                [one] => base.strip_prefix(&**one).filter(|rest| rest.is_empty() || rest.starts_with('/')),
                all => all.contains(base).then_some(""),
            };
            match below {
                Some(below) if found.iter().any(|known| known == below) => {}
                Some(below) => found.push(below.to_owned()),
                None => {
                    let own = of_document.first().filter(|own| !own.is_empty()).map_or("/", |own| own);
                    let message = format!(
                        "a server of `{method} {template}` has the path `{}`, which does not lie below the document's own, `{own}`: \
                         requests are not matched there",
                        if base.is_empty() { "/" } else { base }
                    );
                    let help = "let the document's `servers` begin where all of them do, such as `/`, or put the operation into a \
                                contract and an API of its own, with its own `base_path`";
                    self.report.warn_alike("server path", site, message, help);
                }
            }
        }
        if found.is_empty() {
            found.push(String::new());
        }
        found
    }

    fn operation(&mut self, found: Found<'a>) {
        if self.operations.len() >= MAX_OPERATIONS {
            if !self.report.has_errors() {
                let message = format!("the contract has more than {MAX_OPERATIONS} operations");
                self.report.error(&found.site, message, "split it into several APIs");
            }
            return;
        }
        if !self.is_new(&found) {
            return;
        }
        let Found { method, template, item, site, .. } = found;
        let root = self.documents.top(self.documents.root());
        let marked = |site: &Site<'_>| site.flag("x-sensitive");
        let (place, own) = (site.place(), site.clone());
        // Not in the specification, yet published: an operation in a file of its own.
        let (site, opaque) = match self.documents.follow(site) {
            Ok(site) => (site, false),
            Err((at, broken)) if broken.missing => {
                let message = format!(
                    "{}: of `{method} {template}` only method and path are known, and nothing of it is checked",
                    broken.message
                );
                self.report.warn_alike("missing operation", &at, message, broken.help);
                (own, true)
            }
            Err(broken) => return self.report.broken(&broken),
        };
        let tags = site.get("tags");
        let tags = tags.iter().flat_map(|list| list.node.items()).filter_map(Node::as_str);
        let security = site.get("security").or_else(|| root.get("security"));
        let spec = OperationSpec {
            label: Arc::from(format!("{method} {}", template.as_str())),
            declared: true,
            tags: tags.map(Arc::from).collect(),
            sensitive: marked(&site) || marked(&item),
            security: security.map(|security| self.security(&security)),
            fields: Vec::new(),
        };
        let mut operation = Operation {
            method,
            template,
            operation_id: site.text("operationId").map(str::to_owned),
            deprecated: site.flag("deprecated"),
            spec,
            opaque,
            parameters: Vec::new(),
            query_string: None,
            body: None,
            responses: Vec::new(),
            place,
        };
        if !opaque {
            self.parameters(&item, &site, &mut operation);
            if self.openapi == OpenApi::V2 {
                self.swagger_body(&item, &site, &mut operation);
            } else if let Some(body) = site.get("requestBody") {
                operation.body = self.body(body);
            }
            operation.responses = self.responses(&site);
        }
        complete(&mut operation);
        self.operations.push(operation);
    }

    /// Whether no operation before has the same method and shape of path.
    fn is_new(&mut self, found: &Found<'a>) -> bool {
        let at = match self.routers.iter().position(|(known, _)| *known == found.method) {
            Some(at) => at,
            None => {
                self.routers.push((found.method.clone(), PathRouter::new()));
                self.routers.len() - 1
            }
        };
        let Some((_, router)) = self.routers.get_mut(at) else { return false };
        let Err(conflict) = router.insert(&found.template, self.operations.len()) else { return true };
        // OpenAPI forbids it, published contracts do it: the first one describes the operation.
        let message = format!(
            "the path `{}` matches the same requests as `{}` and is counted as that one ({})",
            conflict.refused, conflict.existing, found.method
        );
        let kind = if found.variant { "variants" } else { &format!("twin {}", found.template) };
        self.report.warn_alike(kind, &found.site, message, "keep one of the two in the contract");
        false
    }

    /// `security`: alternatives, each of which is a map of schemes to scopes.
    fn security(&self, site: &Site<'_>) -> Vec<SecurityAlternative> {
        let demand = |(name, site): (&str, Site<'_>)| {
            let (kind, scopes) = self.scheme(name);
            let names = site.node.items().iter().filter_map(Node::as_str).map(Arc::from).collect();
            SchemeDemand { scheme: Arc::from(name), kind, field: self.key_field(name), scopes, names }
        };
        site.items().map(|alternative| alternative.named().map(demand).collect()).collect()
    }

    /// What a scheme asks for, and whether its names are scopes: `oauth2`, `openIdConnect`. The names of one that is not
    /// defined count as scopes, so that what it demands is never taken for less.
    fn scheme(&self, name: &str) -> (SchemeKind, bool) {
        let Some(scheme) = self.security_schemes.iter().find(|scheme| &*scheme.name == name) else {
            return (SchemeKind::Other, true);
        };
        match &scheme.kind {
            SchemeType::OAuth2 { .. } | SchemeType::OpenIdConnect(_) => (SchemeKind::Token, true),
            SchemeType::Http(scheme) if &**scheme == "bearer" => (SchemeKind::Token, false),
            // Documents of Swagger 2.0 have no other way to ask for a bearer token.
            SchemeType::ApiKey { name, .. } if name.eq_ignore_ascii_case("authorization") => {
                (SchemeKind::Token, false)
            }
            SchemeType::ApiKey { location: Location::Cookie, .. } | SchemeType::Http(_) => {
                (SchemeKind::Other, false)
            }
            SchemeType::ApiKey { .. } => (SchemeKind::ApiKey, false),
            SchemeType::MutualTls => (SchemeKind::Certificate, false),
            SchemeType::Other(_) => (SchemeKind::Other, true),
        }
    }

    /// The header field that a scheme wants an API key in.
    fn key_field(&self, name: &str) -> Option<Arc<str>> {
        let scheme = self.security_schemes.iter().find(|scheme| &*scheme.name == name)?;
        match &scheme.kind {
            SchemeType::ApiKey { location: Location::Header, name } => Some(Arc::from(&**name)),
            _ => None,
        }
    }

    /// The parameters of the path item, with the operation's own laid over them.
    fn parameters(&mut self, item: &Site<'a>, site: &Site<'a>, operation: &mut Operation) {
        for holder in [site, item] {
            let mut list: Vec<Parameter> = Vec::new();
            for entry in holder.get("parameters").iter().flat_map(Site::items) {
                let at = entry.clone();
                let Some(entry) = self.follow(entry) else { continue };
                if entry.text("in") == Some("querystring") && self.openapi >= OpenApi::V3_1 {
                    let media = entry.get("content").and_then(|content| content.named().next());
                    match media {
                        Some((range, media)) if operation.query_string.is_none() => {
                            operation.query_string = self.media(range, media).map(|media| QueryString {
                                name: entry.text("name").unwrap_or_default().into(),
                                required: entry.flag("required"),
                                media,
                            });
                        }
                        Some(_) => {}
                        None => self.report.error(
                            &entry,
                            "a parameter with `in: querystring` has no `content`",
                            "say what the query holds: `content: { application/x-www-form-urlencoded: { schema: .. } }`",
                        ),
                    }
                    continue;
                }
                let Some(parameter) = self.parameter(&entry) else { continue };
                let same =
                    |other: &Parameter| other.location == parameter.location && other.name == parameter.name;
                if list.iter().any(same) {
                    let message = format!(
                        "the {} parameter `{}` is described twice; the first description counts",
                        parameter.location.as_str(),
                        parameter.name
                    );
                    self.report.warn(&at, message, "keep one of the two");
                } else if !operation.parameters.iter().any(same) {
                    list.push(parameter);
                }
            }
            operation.parameters.extend(list);
        }
        if operation.query_string.is_some()
            && operation.parameters.iter().any(|parameter| parameter.location == Location::Query)
        {
            let message = "`in: querystring` describes the whole query, and parameters with `in: query` stand beside it";
            self.report.error(site, message, "keep one of the two (OpenAPI 3.2 section 4.12.1)");
        }
        let template = operation.template.clone();
        operation.parameters.retain(|parameter| {
            let known = parameter.location != Location::Path
                || template.parameters().any(|name| *name == *parameter.name);
            if !known {
                let message = format!(
                    "the path `{template}` has no `{{{}}}`: the parameter is left aside",
                    parameter.name
                );
                self.report.warn_alike("path parameter", site, message, "correct its name, or remove it");
            }
            known
        });
    }
}

/// A template's parameters that nothing describes, so that whoever looks at requests finds each of them.
fn complete(operation: &mut Operation) {
    for name in operation.template.parameters() {
        let known = |parameter: &Parameter| parameter.location == Location::Path && *parameter.name == *name;
        if !operation.parameters.iter().any(known) {
            operation.parameters.push(Parameter {
                name: Box::from(name),
                location: Location::Path,
                style: Style::Simple,
                explode: false,
                allow_reserved: false,
                allow_empty: false,
                required: true,
                deprecated: false,
                value: ParameterValue::Anything,
                place: operation.place.clone(),
            });
        }
    }
}
