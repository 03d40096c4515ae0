//! From documents to the normal form: every version of OpenAPI, everything that is wrong told at once.

mod bodies;
mod operations;
mod parameters;
mod servers;
mod swagger;

use bartizan_model::{Diagnostics, Level};
use bartizan_pattern::template::PathRouter;
use http::Method;

use crate::{
    convert::Converter,
    demand,
    documents::{ContractFiles, Documents, OneFile, Site, stated},
    form::{Description, OpenApi, Operation, SchemaRef, SecurityScheme},
    report::Report,
    tree::Node,
    yaml::Budget,
};

impl Description {
    /// Reads a document, JSON or YAML, and the files that it refers to. `name` is its file name, as messages call it. The
    /// second part of the answer are warnings: what the document leaves in doubt, and how it was understood.
    ///
    /// # Errors
    /// Everything that is wrong, with JSON pointer, place and remedy.
    pub fn read(
        bytes: &[u8],
        name: &str,
        files: &dyn ContractFiles,
        budget: Budget,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::of(&Documents::read(bytes, name, files, budget)?)
    }

    /// Reads a document that refers to no other file.
    ///
    /// # Errors
    /// As for [`Description::read`].
    pub fn read_one(bytes: &[u8], name: &str, budget: Budget) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::read(bytes, name, &OneFile, budget)
    }

    /// The normal form of documents.
    ///
    /// # Errors
    /// As for [`Description::read`].
    pub fn of(documents: &Documents) -> Result<(Self, Diagnostics), Diagnostics> {
        let report = Report::default();
        let root = documents.top(documents.root());
        let openapi = match stated(root.node) {
            Ok(Some(openapi)) => openapi,
            Ok(None) => {
                report.error(&root, "this is not an OpenAPI document", VERSIONS);
                return Err(report.finish());
            }
            Err(text) => {
                let site = root.get("openapi").or_else(|| root.get("swagger"));
                let message = format!("`{text}` is not a known version of OpenAPI");
                report.error(&site.unwrap_or(root), message, VERSIONS);
                return Err(report.finish());
            }
        };
        let mut reader = Reader {
            documents,
            report: &report,
            openapi,
            schemas: Converter::new(documents, &report),
            routers: Vec::new(),
            operations: Vec::new(),
            security_schemes: servers::security_schemes(documents, &root),
        };
        reader.paths(&root);
        reader.components(&root);
        let Reader { schemas, operations, security_schemes, .. } = reader;
        let servers = servers::servers(openapi, &root);
        let schemas = schemas.finish();
        if report.has_errors() {
            return Err(report.finish());
        }
        let mut description = Description {
            title: info(&root, "title"),
            version: info(&root, "version"),
            openapi,
            base_paths: servers::base_paths(&root),
            hosts: servers::hosts(&servers),
            servers,
            security_schemes,
            operations,
            schemas,
            files: documents.list().iter().map(|document| document.file.to_string()).collect(),
        };
        for operation in &mut description.operations {
            operation.spec.fields = demand::fields(operation, &description.schemas);
        }
        let mut warnings = report.finish();
        warnings.0.retain(|diagnostic| diagnostic.level == Level::Warning);
        Ok((description, warnings))
    }
}

const VERSIONS: &str = "it begins with `openapi: 3.0.x`, `3.1.x` or `3.2.x`, or `swagger: \"2.0\"`";

fn info(root: &Site<'_>, key: &str) -> String {
    root.node.get("info").and_then(|info| info.get(key)).and_then(Node::as_str).unwrap_or_default().to_owned()
}

/// One pass over the documents.
pub(crate) struct Reader<'a> {
    pub(crate) documents: &'a Documents,
    pub(crate) report: &'a Report,
    pub(crate) openapi: OpenApi,
    pub(crate) schemas: Converter<'a>,
    routers: Vec<(Method, PathRouter<usize>)>,
    operations: Vec<Operation>,
    security_schemes: Vec<SecurityScheme>,
}

impl<'a> Reader<'a> {
    /// Follows the `$ref` of a value that may be one; says where it leads nowhere.
    pub(crate) fn follow(&self, site: Site<'a>) -> Option<Site<'a>> {
        match self.documents.follow(site) {
            Ok(found) => Some(found),
            Err(broken) => {
                self.report.broken(&broken);
                None
            }
        }
    }

    /// A schema that checks something.
    pub(crate) fn schema(&mut self, site: Site<'a>) -> SchemaRef {
        self.schemas.root(site)
    }

    /// Schemas that the document defines are read whether or not an operation uses them: what is wrong with them is said.
    fn components(&mut self, root: &Site<'a>) {
        let defined = match self.openapi {
            OpenApi::V2 => root.get("definitions"),
            _ => root.get("components").and_then(|components| components.get("schemas")),
        };
        for (_, schema) in defined.iter().flat_map(Site::named) {
            self.schema(schema);
        }
    }
}
