//! OpenAPI 2.0, 3.0, 3.1 and 3.2 documents: which methods and paths an API has.

use bartizan_model::{Diagnostic, Diagnostics, compile::OperationSpec};
use bartizan_pattern::template::{PathRouter, Template};
use http::Method;

use crate::{
    demand,
    tree::{Entry, Node, Span, Value},
    yaml::{self, Budget},
};

/// What an OpenAPI document says of an API.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// The paths of `servers`, or `basePath`: without a slash at the end, empty for the root, each once.
    pub base_paths: Vec<String>,
    /// The operations, in document order. No two have the same method and the same shape of path.
    pub operations: Vec<ContractOperation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractOperation {
    /// The method.
    pub method: Method,
    /// Its path, below the base path.
    pub template: Template,
    /// `operationId`.
    pub operation_id: Option<String>,
    /// Whether it is marked as deprecated.
    pub deprecated: bool,
    /// What decides about access: tags, `security`, typed parameters. Its label is `METHOD /template`.
    pub spec: OperationSpec,
}

/// The fixed fields of a Path Item Object that are operations (OpenAPI 3.2 section 4.9.1; `query` is new there).
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Operations of one document; more than any known API has.
const MAX_OPERATIONS: usize = 20_000;

/// `$ref` after `$ref`, at most.
const MAX_REFERENCES: usize = 8;

impl Contract {
    /// Reads a document, JSON or YAML. The second part of the answer are warnings.
    ///
    /// # Errors
    /// Everything that is wrong, with places in `file` where they are known (JSON knows the place of syntax errors only).
    pub fn parse(bytes: &[u8], file: &str, budget: Budget) -> Result<(Self, Diagnostics), Diagnostics> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Diagnostic::error("", format!("`{file}` is not UTF-8 text")).help("save it as UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = if text.trim_start().starts_with('{') {
            crate::json::parse(text, file, budget)
        } else {
            yaml::parse(text, file, 0, budget)
        };
        let root = root.map_err(|diagnostic| Diagnostics(vec![*diagnostic]))?;
        let mut reader = Reader { file, root: &root, report: Diagnostics::new(), operations: Vec::new() };
        reader.read();
        let Reader { report, operations, .. } = reader;
        if report.has_errors() {
            return Err(report);
        }
        let text = |path: &[&str]| {
            path.iter()
                .try_fold(&root, |node, key| node.get(key))
                .and_then(Node::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let contract = Contract {
            title: text(&["info", "title"]),
            version: text(&["info", "version"]),
            base_paths: base_paths(&root),
            operations,
        };
        Ok((contract, report))
    }
}

struct Reader<'a> {
    file: &'a str,
    root: &'a Node,
    report: Diagnostics,
    operations: Vec<ContractOperation>,
}

impl<'a> Reader<'a> {
    fn say(&mut self, mut diagnostic: Diagnostic, span: Span) {
        diagnostic.place = span.place(self.file);
        self.report.push(diagnostic);
    }

    fn read(&mut self) {
        let root = self.root;
        if !self.version_is_known() {
            return;
        }
        let Some(paths) = root.get("paths") else {
            // OpenAPI 3.1 allows a document with only `components` or `webhooks`.
            let error = Diagnostic::error("paths", "the contract names no paths")
                .help("a contract for a gateway needs `paths`");
            return self.say(error, root.span);
        };
        let mut routers: Vec<(Method, PathRouter<usize>)> = Vec::new();
        for entry in paths.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
            self.path_item(entry, &mut routers);
        }
        if self.operations.is_empty() && !self.report.has_errors() {
            let warning =
                Diagnostic::warning("paths", "the contract names no operation: every request is unknown")
                    .help("add operations below `paths`");
            self.say(warning, paths.span);
        }
    }

    fn version_is_known(&mut self) -> bool {
        let root = self.root;
        let stated = root.get("openapi").or_else(|| root.get("swagger"));
        let text = stated.and_then(Node::as_str).unwrap_or_default();
        let known = match root.get("openapi") {
            Some(_) => ["3.0", "3.1", "3.2"].iter().any(|version| {
                text.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }),
            None => text == "2.0" || text == "2",
        };
        if !known {
            let message = match stated {
                Some(_) => format!("`{text}` is not a known version of OpenAPI"),
                None => "this is not an OpenAPI document".to_owned(),
            };
            let error = Diagnostic::error(if stated.is_some() { "openapi" } else { "" }, message)
                .help("it begins with `openapi: 3.0.x`, `3.1.x` or `3.2.x`, or `swagger: \"2.0\"`");
            self.say(error, stated.map_or(root.span, |node| node.span));
        }
        known
    }

    fn path_item(&mut self, entry: &'a Entry, routers: &mut Vec<(Method, PathRouter<usize>)>) {
        let path = format!("paths.{}", entry.key);
        // A fragment is never sent (RFC 9110 section 4.2.5); documents use it to tell variants of one operation apart.
        let (written, variant) = match entry.key.split_once('#') {
            Some((path, _)) => (path, true),
            None => (entry.key.as_str(), false),
        };
        let template = match Template::parse(written) {
            Ok(template) => template,
            Err(text) => {
                let error = Diagnostic::error(path, text).help("correct the path in the contract");
                return self.say(error, entry.key_span);
            }
        };
        let Some(item) = self.resolve(&entry.value, &path) else { return };
        let declared = item.entries().iter().filter(|field| METHODS.contains(&field.key.as_str()));
        let additional = item.get("additionalOperations").map(Node::entries).unwrap_or_default();
        for field in declared.chain(additional) {
            let fixed = METHODS.contains(&field.key.as_str());
            let name = if fixed { field.key.to_ascii_uppercase() } else { field.key.clone() };
            let Ok(method) = Method::from_bytes(name.as_bytes()) else {
                let error = Diagnostic::error(path.clone(), format!("`{name}` is not a method"));
                self.say(error, field.key_span);
                continue;
            };
            if !matches!(field.value.value, Value::Map(_)) {
                let error =
                    Diagnostic::error(format!("{path}.{}", field.key), "an operation is a map of settings")
                        .help("see the Operation Object of OpenAPI");
                self.say(error, field.key_span);
                continue;
            }
            let spec = demand::operation(self.root, item, &field.value, &method, &template);
            self.operation(method, &template, &field.value, spec, (field.key_span, variant), routers);
        }
    }

    fn operation(
        &mut self,
        method: Method,
        template: &Template,
        operation: &Node,
        spec: OperationSpec,
        (span, variant): (Span, bool),
        routers: &mut Vec<(Method, PathRouter<usize>)>,
    ) {
        if self.operations.len() >= MAX_OPERATIONS {
            let error =
                Diagnostic::error("paths", format!("the contract has more than {MAX_OPERATIONS} operations"))
                    .help("split it into several APIs");
            if self.operations.len() == MAX_OPERATIONS && !self.report.has_errors() {
                self.say(error, span);
            }
            return;
        }
        let at = match routers.iter().position(|(known, _)| *known == method) {
            Some(at) => at,
            None => {
                routers.push((method.clone(), PathRouter::new()));
                routers.len() - 1
            }
        };
        let Some((_, router)) = routers.get_mut(at) else { return };
        if let Err(conflict) = router.insert(template, self.operations.len()) {
            if !variant {
                // OpenAPI forbids it, published contracts do it: the first one names the operation.
                let message = format!(
                    "the path `{}` matches the same requests as `{}` and is counted as that one",
                    conflict.refused, conflict.existing
                );
                let path = format!("paths.{}.{}", template.as_str(), method.as_str().to_ascii_lowercase());
                let warning = Diagnostic::warning(path, format!("{message} ({method})"));
                self.say(warning.help("keep one of the two in the contract"), span);
            }
            return;
        }
        self.operations.push(ContractOperation {
            method,
            template: template.clone(),
            operation_id: operation.get("operationId").and_then(Node::as_str).map(str::to_owned),
            deprecated: operation.get("deprecated").and_then(Node::as_bool).unwrap_or(false),
            spec,
        });
    }

    /// Follows `$ref` pointers within the document (JSON Pointer, RFC 6901, in a URI fragment).
    fn resolve(&mut self, item: &'a Node, path: &str) -> Option<&'a Node> {
        let mut item = item;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = item.get("$ref") else { return Some(item) };
            let target = reference.as_str().unwrap_or_default();
            let error = match target.strip_prefix('#') {
                None => Diagnostic::error(path, format!("`{target}` lies in another document"))
                    .help("bundle the contract into one file"),
                Some(pointer) => {
                    if let Some(node) = pointed(self.root, pointer) {
                        item = node;
                        continue;
                    }
                    Diagnostic::error(path, format!("`{target}` is not in this document"))
                        .help("correct the `$ref`, or bundle the contract into one file")
                }
            };
            self.say(error, reference.span);
            return None;
        }
        let error = Diagnostic::error(
            path,
            format!("more than {MAX_REFERENCES} references lead from one to the next"),
        )
        .help("point at the path item itself");
        self.say(error, item.span);
        None
    }
}

/// The value at a JSON Pointer.
pub(crate) fn pointed<'n>(root: &'n Node, pointer: &str) -> Option<&'n Node> {
    if pointer.is_empty() {
        return Some(root);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(root, |node, token| {
        let token = token.replace("%7B", "{").replace("%7D", "}").replace("~1", "/").replace("~0", "~");
        match &node.value {
            Value::List(items) => items.get(token.parse::<usize>().ok()?),
            _ => node.get(&token),
        }
    })
}

/// The path of every server.
fn base_paths(root: &Node) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |path: &str| {
        let path = path.trim_end_matches('/').to_owned();
        if !found.contains(&path) {
            found.push(path);
        }
    };
    if let Some(base) = root.get("basePath").and_then(Node::as_str) {
        add(base);
    }
    for server in root.get("servers").map(Node::items).unwrap_or_default() {
        let Some(url) = server.get("url").and_then(Node::as_str) else { continue };
        let url = expand(url, server.get("variables"));
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default()),
            None if url.starts_with('/') => url.as_str(),
            None => "",
        };
        add(path.split(['?', '#']).next().unwrap_or_default());
    }
    if found.is_empty() {
        found.push(String::new());
    }
    found
}

/// Server variables by their defaults.
fn expand(url: &str, variables: Option<&Node>) -> String {
    let mut out = url.to_owned();
    for variable in variables.map(Node::entries).unwrap_or_default() {
        if let Some(default) = variable.value.get("default").and_then(Node::as_str) {
            out = out.replace(&format!("{{{}}}", variable.key), default);
        }
    }
    out
}
