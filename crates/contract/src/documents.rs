//! The files of a contract: the document itself and everything that it refers to, read before anything is looked at.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bartizan_model::{Diagnostic, Diagnostics, diagnostic::Place};

use crate::{
    form::OpenApi,
    pointer,
    tree::{Entry, Node, Span, Value},
    yaml::{self, Budget},
};

/// Where the files of a contract come from. Paths are below the folder of the contract's own document, with `/`.
pub trait ContractFiles {
    /// The content of a file.
    ///
    /// # Errors
    /// One sentence, lower case, that names the file and what to do.
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String>;

    /// How messages name a file.
    fn name(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A contract that stands alone: a reference to any other file is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneFile;

impl ContractFiles for OneFile {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        Err(format!("`{path}` is another file, and only one was given"))
    }
}

/// Files of one contract, at most: more than any published one has.
const MAX_FILES: usize = 2_000;

/// `$ref` after `$ref`, at most.
const MAX_REFERENCES: usize = 32;

/// Maps with more entries than this are indexed: references into them would cost a search each.
const WIDE: usize = 24;

/// One file as a tree.
#[derive(Debug)]
pub struct Document {
    /// Its position among the documents.
    pub(crate) index: usize,
    /// Its URI: `contract:///` and its path.
    pub(crate) uri: Arc<str>,
    /// How messages name it.
    pub(crate) file: Arc<str>,
    /// What it holds.
    pub(crate) root: Node,
    /// The version of OpenAPI that it states, or that of the contract.
    pub(crate) openapi: OpenApi,
    /// Positions in wide maps by the hash of the pointer.
    wide: HashMap<u64, u32>,
}

/// The files of a contract.
#[derive(Debug)]
pub struct Documents {
    list: Vec<Document>,
    /// Positions in the list, by URI.
    known: HashMap<String, usize>,
    /// What could not be read, by URI.
    missing: HashMap<String, Broken>,
    /// The `$id`s that schemas have: references to them are the schema compiler's.
    ids: HashSet<String>,
}

/// A value in one of the files.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) document: &'a Document,
    pub(crate) node: &'a Node,
    /// Where its key is, or itself in a list.
    pub(crate) span: Span,
    pub(crate) pointer: String,
}

impl<'a> Site<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<Site<'a>> {
        self.node.entry(key).map(|entry| self.at(entry))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.node.get(key).and_then(Node::as_str)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.node.get(key).and_then(Node::as_bool).unwrap_or(false)
    }

    fn at(&self, entry: &'a Entry) -> Site<'a> {
        let mut pointer = self.pointer.clone();
        pointer::push_token(&mut pointer, &entry.key);
        Site { document: self.document, node: &entry.value, span: entry.key_span, pointer }
    }

    /// The entries of a map that are no extensions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Site<'a>)> + use<'a> {
        let here = self.clone();
        let own = self.node.entries().iter().filter(|entry| !entry.key.starts_with("x-"));
        own.map(move |entry| (entry.key.as_str(), here.at(entry)))
    }

    /// All entries of a map whose keys are names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'a str, Site<'a>)> + use<'a> {
        let here = self.clone();
        self.node.entries().iter().map(move |entry| (entry.key.as_str(), here.at(entry)))
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Site<'a>> + use<'a> {
        let here = self.clone();
        self.node.items().iter().enumerate().map(move |(index, node)| {
            let pointer = format!("{}/{index}", here.pointer);
            Site { document: here.document, node, span: node.span, pointer }
        })
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.span.place(&self.document.file)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) message: String,
    pub(crate) help: &'static str,
    /// Whether it is a file that could not be read.
    pub(crate) missing: bool,
}

impl Documents {
    /// Reads a document, JSON or YAML, and the files that it refers to. `name` is its file name; what it refers to lies in
    /// its folder or below.
    ///
    /// Files that cannot be read are no error yet: whatever needs them says so.
    ///
    /// # Errors
    /// The documents that are not readable as such, with places.
    pub fn read(
        bytes: &[u8],
        name: &str,
        files: &dyn ContractFiles,
        budget: Budget,
    ) -> Result<Self, Diagnostics> {
        let path = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let mut documents = Documents {
            list: Vec::new(),
            known: HashMap::new(),
            missing: HashMap::new(),
            ids: HashSet::new(),
        };
        let mut report = Diagnostics::new();
        let mut left = budget;
        let mut waiting = Vec::new();
        documents.add(&pointer::file_uri(path), name, bytes, OpenApi::V3_1, &mut left, &mut waiting)?;
        while let Some(uri) = waiting.pop() {
            let Some(path) = pointer::file_path(&uri) else { continue };
            if documents.known.contains_key(&uri) || documents.missing.contains_key(&uri) {
                continue;
            }
            if documents.list.len() + documents.missing.len() >= MAX_FILES {
                let error =
                    Diagnostic::error("", format!("the contract refers to more than {MAX_FILES} files"));
                report.push(error.help("bundle it into fewer files"));
                break;
            }
            let version = documents.root().openapi;
            match files.read(&path) {
                Err(message) => {
                    let help = "put the file where the reference says, or correct the reference";
                    documents.missing.insert(uri, Broken { message, help, missing: true });
                }
                Ok(bytes) => {
                    let name = files.name(&path);
                    let added = documents.add(&uri, &name, &bytes, version, &mut left, &mut waiting);
                    if let Some(error) = added.err().and_then(|errors| errors.0.into_iter().next()) {
                        let message = match &error.place {
                            Some(place) => format!("{place}: {}", error.message),
                            None => error.message,
                        };
                        let help = "correct that file";
                        documents.missing.insert(uri, Broken { message, help, missing: false });
                    }
                }
            }
        }
        report.or(documents)
    }

    fn add(
        &mut self,
        uri: &str,
        file: &str,
        bytes: &[u8],
        version: OpenApi,
        left: &mut Budget,
        waiting: &mut Vec<String>,
    ) -> Result<(), Diagnostics> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Diagnostic::error("", format!("`{file}` is not UTF-8 text")).help("save it as UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        let root = if text.trim_start().starts_with(['{', '[']) {
            let json = crate::json::parse(text, file, source, *left);
            // The flow style of YAML begins like JSON.
            match json.is_err() && !file.ends_with(".json") {
                true => yaml::parse(text, file, source, *left).or(json),
                false => json,
            }
        } else {
            yaml::parse(text, file, source, *left)
        };
        let root = root.map_err(|diagnostic| Diagnostics(vec![*diagnostic]))?;
        left.bytes = left.bytes.saturating_sub(text.len());
        left.nodes = left.nodes.saturating_sub(root.size());
        let mut scan = Scan { uri, waiting, asked: HashSet::new(), ids: &mut self.ids, wide: HashMap::new() };
        scan.look(&root, false, pointer::ROOT_HASH);
        let wide = scan.wide;
        let openapi = stated(&root).ok().flatten().unwrap_or(version);
        let index = self.list.len();
        self.known.insert(uri.to_owned(), index);
        self.list.push(Document { index, uri: Arc::from(uri), file: Arc::from(file), root, openapi, wide });
        Ok(())
    }

    /// The document that the others belong to.
    pub(crate) fn root(&self) -> &Document {
        // INVARIANT: `read` begins with one, and none is ever taken away.
        #[expect(clippy::indexing_slicing, reason = "INVARIANT: the list is never empty")]
        &self.list[0]
    }

    /// All of them, that of the contract first.
    pub(crate) fn list(&self) -> &[Document] {
        &self.list
    }

    /// Whether a schema has this `$id`.
    pub(crate) fn has_id(&self, uri: &str) -> bool {
        self.ids.contains(uri)
    }

    /// The value at the root of a document.
    pub(crate) fn top<'a>(&self, document: &'a Document) -> Site<'a> {
        Site { document, node: &document.root, span: document.root.span, pointer: String::new() }
    }

    /// What a reference leads to from a value of a document: one step.
    pub(crate) fn target(&self, from: &Document, reference: &str) -> Result<Site<'_>, Broken> {
        let broken = |message: String, help| Broken { message, help, missing: false };
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let document = if file.is_empty() {
            self.list.get(from.index)
        } else {
            let Some(uri) = pointer::join(&from.uri, file) else {
                let network = file.contains("://") || file.starts_with("//");
                let help = match network {
                    true => "nothing is fetched: save the file beside the contract and refer to it there",
                    false => {
                        "keep the files of a contract in its folder, or put its document into a folder above them"
                    }
                };
                let what =
                    if network { "lies on the network" } else { "lies outside of the contract's folder" };
                return Err(broken(format!("`{reference}` {what}"), help));
            };
            if let Some(error) = self.missing.get(&uri) {
                let message = format!("`{reference}` cannot be used: {}", error.message);
                return Err(Broken { message, ..error.clone() });
            }
            self.known.get(&uri).and_then(|index| self.list.get(*index))
        };
        let nowhere = || {
            let help = if file.is_empty() && !reference.starts_with('#') || !fragment.starts_with('/') {
                "write a pointer such as `#/components/schemas/Name`"
            } else {
                "correct the `$ref`, or add what it names"
            };
            broken(format!("`{reference}` leads nowhere"), help)
        };
        let document = document.ok_or_else(nowhere)?;
        let fragment = pointer::decode_fragment(fragment).ok_or_else(nowhere)?;
        document.find(&fragment).ok_or_else(nowhere)
    }

    /// A value with its `$ref`s followed, and the value that the last one of them stands in.
    pub(crate) fn follow<'a>(&'a self, site: Site<'a>) -> Result<Site<'a>, (Site<'a>, Broken)> {
        let mut at = site;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = at.text("$ref") else { return Ok(at) };
            at = match self.target(at.document, reference) {
                Ok(next) => next,
                Err(broken) => return Err((at.get("$ref").unwrap_or(at), broken)),
            };
        }
        let message = format!("more than {MAX_REFERENCES} references lead from one to the next");
        Err((at, Broken { message, help: "refer to the thing itself", missing: false }))
    }
}

impl Document {
    /// The value at a JSON Pointer.
    pub(crate) fn find(&self, pointer: &str) -> Option<Site<'_>> {
        let mut site =
            Site { document: self, node: &self.root, span: self.root.span, pointer: pointer.to_owned() };
        if pointer.is_empty() {
            return Some(site);
        }
        let mut hash = pointer::ROOT_HASH;
        for escaped in pointer.strip_prefix('/')?.split('/') {
            hash = pointer::hash_on(pointer::hash_on(hash, "/"), escaped);
            (site.node, site.span) = self.step(site.node, escaped, hash)?;
        }
        Some(site)
    }

    /// The steps of a pointer, each with the value that it is taken from; ends where a step leads nowhere.
    pub(crate) fn steps<'p>(&self, pointer: &'p str) -> impl Iterator<Item = (&'p str, &Node)> {
        let (mut at, mut hash) = (Some(&self.root), pointer::ROOT_HASH);
        pointer.split('/').skip(1).map_while(move |escaped| {
            let from = at?;
            hash = pointer::hash_on(pointer::hash_on(hash, "/"), escaped);
            at = self.step(from, escaped, hash).map(|(node, _)| node);
            Some((escaped, from))
        })
    }

    /// One step, to the value whose pointer has this hash.
    fn step<'n>(&'n self, from: &'n Node, escaped: &str, hash: u64) -> Option<(&'n Node, Span)> {
        let token = pointer::token(escaped);
        match &from.value {
            Value::List(items) => {
                let item = items.get(token.parse::<usize>().ok()?)?;
                Some((item, item.span))
            }
            Value::Map(entries) => {
                let known = self.wide.get(&hash).and_then(|at| entries.get(*at as usize));
                let entry = known
                    .filter(|entry| entry.key == token)
                    .or_else(|| entries.iter().find(|entry| entry.key == token))?;
                Some((&entry.value, entry.key_span))
            }
            Value::Scalar { .. } => None,
        }
    }
}

/// Looks for references to files, `$id`s and wide maps.
struct Scan<'s> {
    uri: &'s str,
    waiting: &'s mut Vec<String>,
    /// What this file has asked for already.
    asked: HashSet<String>,
    ids: &'s mut HashSet<String>,
    wide: HashMap<u64, u32>,
}

impl Scan<'_> {
    /// `names`: the keys of this map are names that somebody chose, not keywords.
    fn look(&mut self, node: &Node, names: bool, hash: u64) {
        if let Value::List(items) = &node.value {
            for (index, item) in items.iter().enumerate() {
                self.look(item, false, pointer::hash_on(hash, &format!("/{index}")));
            }
            return;
        }
        let entries = node.entries();
        for (at, entry) in entries.iter().enumerate() {
            let mut token = String::with_capacity(entry.key.len() + 1);
            pointer::push_token(&mut token, &entry.key);
            let below = pointer::hash_on(hash, &token);
            if entries.len() > WIDE {
                self.wide.insert(below, u32::try_from(at).unwrap_or(u32::MAX));
            }
            match (entry.key.as_str(), entry.value.as_str()) {
                // Values are data, whatever they look like.
                ("example" | "examples" | "default" | "enum" | "const", _) if !names => continue,
                ("$ref", Some(text)) => self.refer(text),
                ("$id" | "id", Some(text)) if !names => {
                    self.ids.insert(text.trim_end_matches('#').to_owned());
                }
                _ => {}
            }
            let mapping = entry.key == "mapping" && !names;
            if mapping {
                let targets = entry.value.entries().iter().filter_map(|entry| entry.value.as_str());
                targets.filter(|text| text.contains(['/', '#', '.'])).for_each(|text| self.refer(text));
            }
            let chosen = matches!(
                entry.key.as_str(),
                "properties"
                    | "patternProperties"
                    | "definitions"
                    | "$defs"
                    | "dependentSchemas"
                    | "schemas"
                    | "paths"
                    | "responses"
                    | "parameters"
                    | "headers"
                    | "requestBodies"
                    | "pathItems"
                    | "encoding"
            );
            self.look(&entry.value, chosen && !names, below);
        }
    }

    fn refer(&mut self, reference: &str) {
        let file = reference.split('#').next().unwrap_or_default();
        if !file.is_empty()
            && let Some(uri) = pointer::join(self.uri, file)
            && uri != self.uri
            && self.asked.insert(uri.clone())
        {
            self.waiting.push(uri);
        }
    }
}

/// The version of OpenAPI that a document states: `Ok(None)` if it states none, the text if it is not known.
pub(crate) fn stated(root: &Node) -> Result<Option<OpenApi>, &str> {
    if let Some(node) = root.get("openapi") {
        let text = node.as_str().unwrap_or_default();
        let is = |version: &str| {
            text.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        };
        return match () {
            () if is("3.0") => Ok(Some(OpenApi::V3_0)),
            () if is("3.1") => Ok(Some(OpenApi::V3_1)),
            () if is("3.2") => Ok(Some(OpenApi::V3_2)),
            () => Err(text),
        };
    }
    match root.get("swagger").map(|node| node.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some("2.0" | "2") => Ok(Some(OpenApi::V2)),
        Some(other) => Err(other),
    }
}
