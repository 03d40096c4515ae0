//! The road from a document to a snapshot: read, lay the environment over it, decode, compile. `bartizan check` is the same road.

use std::path::PathBuf;

use bartizan_contract::{
    tree::{Node, Value},
    yaml::{self, Budget},
};
use bartizan_model::{Diagnostic, Diagnostics, Level, Profile, Services};

use crate::{
    decode::decode,
    document::PolicyDocument,
    effective::Effective,
    overlay::lay,
    snapshot::Snapshot,
    source::{Disk, Document, Source, Sources, read_bounded},
    substitute::substitute,
    suggest,
};

/// How to compile a policy.
pub struct CompileOptions<'a> {
    /// The environment to use instead of the document's `environment`.
    pub environment: Option<String>,
    /// Counters, keys and clocks that outlive the policy.
    pub services: &'a Services,
    /// What `Snapshot::generation` becomes.
    pub generation: u64,
}

impl<'a> CompileOptions<'a> {
    /// The document's own environment, generation 1.
    #[must_use]
    pub fn new(services: &'a Services) -> Self {
        CompileOptions { environment: None, services, generation: 1 }
    }
}

/// A policy that compiled.
pub struct Loaded {
    /// What decides.
    pub snapshot: Snapshot,
    /// What each operation ends up with, for people and programs.
    pub effective: Effective,
    /// The texts, for rendering warnings.
    pub sources: Sources,
    /// The document, its overlay and every file that it refers to.
    pub watched: Vec<PathBuf>,
}

/// A policy that did not compile.
#[derive(Debug)]
pub struct Rejected {
    /// Everything that is wrong, and the warnings.
    pub diagnostics: Diagnostics,
    /// The texts, for rendering.
    pub sources: Sources,
    /// The files that were read or missed so far: a change of one of them may mend the policy.
    pub watched: Vec<PathBuf>,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.diagnostics.fmt(f)
    }
}

impl std::error::Error for Rejected {}

/// Reads and compiles a policy with the document's own environment.
///
/// # Errors
/// Everything that is wrong, with places and remedies.
pub fn load(source: &Source, services: &Services) -> Result<Snapshot, Diagnostics> {
    match compile(source, &CompileOptions::new(services)) {
        Ok(loaded) => Ok(loaded.snapshot),
        Err(rejected) => Err(rejected.diagnostics),
    }
}

/// Reads and compiles a policy.
///
/// # Errors
/// Everything that is wrong, with places and remedies, and what is needed to render it and to watch for a remedy.
pub fn compile(source: &Source, options: &CompileOptions<'_>) -> Result<Loaded, Box<Rejected>> {
    let mut sources = Sources::default();
    let mut report = Vec::new();
    let disk = Disk::new(source.directory());
    let result = read(source, options, &mut sources, &disk, &mut report).and_then(|mut tree| {
        let document = decode::<PolicyDocument>(&mut tree, "", &sources, &mut report)?;
        crate::compile::snapshot(&document, &tree, options, &sources, &disk, &mut report)
    });
    let diagnostics =
        tidy(report, result.as_ref().is_some_and(|(snapshot, _)| snapshot.profile == Profile::Strict));
    let watched = disk.watched();
    match result {
        Some((mut snapshot, effective)) if !diagnostics.has_errors() => {
            snapshot.warnings = diagnostics;
            Ok(Loaded { snapshot, effective, sources, watched })
        }
        _ => Err(Box::new(Rejected { diagnostics, sources, watched })),
    }
}

/// In document order, each said once; under the strict profile warnings are errors.
fn tidy(report: Vec<Diagnostic>, strict: bool) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for mut diagnostic in report {
        if strict && diagnostic.level == Level::Warning {
            diagnostic.level = Level::Error;
        }
        let said = diagnostics.0.iter().any(|other| {
            other.place == diagnostic.place
                && other.message == diagnostic.message
                && (other.place.is_some() || other.path == diagnostic.path)
        });
        if !said {
            diagnostics.push(diagnostic);
        }
    }
    diagnostics.0.sort_by(|a, b| {
        let key = |d: &Diagnostic| d.place.as_ref().map(|p| (p.file.clone(), p.line, p.column));
        b.level.cmp(&a.level).then_with(|| key(a).cmp(&key(b)))
    });
    diagnostics
}

/// The document with its variables replaced and its environment laid over it.
fn read(
    source: &Source,
    options: &CompileOptions<'_>,
    sources: &mut Sources,
    disk: &Disk,
    report: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let (name, text) = match &source.document {
        Document::Inline { name, text } => (name.clone(), text.clone()),
        Document::File(path) => {
            disk.watch(path.clone());
            (path.display().to_string(), read_text(path, report)?)
        }
    };
    let mut tree = tree(source, &name, &text, sources, report)?;
    let wanted = match &options.environment {
        Some(name) => Some(name.clone()),
        None => tree.get("environment").and_then(Node::as_str).map(str::to_owned),
    };
    if let Some(environment) = wanted {
        let chosen = tree.locate("environment");
        if environment.is_empty()
            || !environment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            let mut diagnostic =
                Diagnostic::error("environment", "an environment's name is letters, digits, `-` and `_`")
                    .help("`environments/NAME.yaml` next to the document is laid over it");
            diagnostic.place = sources.place(chosen);
            report.push(diagnostic);
            return None;
        }
        let path = disk.resolve(&format!("environments/{environment}.yaml"));
        disk.watch(path.clone());
        if path.exists() {
            let text = read_text(&path, report)?;
            let over = self::tree(source, &path.display().to_string(), &text, sources, report)?;
            if let Some(entry) = over.entry("environment") {
                let mut diagnostic =
                    Diagnostic::error("environment", "an overlay cannot choose the environment")
                        .help("remove `environment` here");
                diagnostic.place = sources.place(entry.key_span);
                report.push(diagnostic);
            }
            lay(&mut tree, over, false);
        } else if path.parent().is_some_and(std::path::Path::is_dir) || options.environment.is_some() {
            let mut diagnostic = Diagnostic::warning(
                "environment",
                format!(
                    "the environment `{environment}` has no overlay: `{}` does not exist",
                    path.display()
                ),
            )
            .help("create it (it may be empty), or correct the name");
            diagnostic.place = sources.place(chosen);
            report.push(diagnostic);
        }
    }
    refuse_references_to_come(&tree, "", sources, report);
    Some(tree)
}

fn read_text(path: &std::path::Path, report: &mut Vec<Diagnostic>) -> Option<String> {
    let shown = path.display();
    let result = read_bounded(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| format!("`{shown}` is not UTF-8 text; save it as UTF-8"))
    });
    match result {
        Ok(text) => Some(text),
        Err(error) => {
            let (message, help) = error.split_once("; ").unwrap_or((&error, "check the path"));
            report.push(Diagnostic::error("", message).help(help));
            None
        }
    }
}

/// One text as a tree with its variables replaced.
fn tree(
    source: &Source,
    name: &str,
    text: &str,
    sources: &mut Sources,
    report: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let index = sources.add(name, text);
    let mut tree = match yaml::parse(text, name, index, Budget::POLICY) {
        Ok(tree) => tree,
        Err(diagnostic) => {
            report.push(*diagnostic);
            return None;
        }
    };
    if tree.is_null() {
        tree = Node::empty_map(index);
    }
    if !matches!(tree.value, Value::Map(_)) {
        let mut diagnostic =
            Diagnostic::error("", format!("a policy is a map of settings, found {}", tree.kind()))
                .help("begin with `apis:`");
        diagnostic.place = sources.place(tree.span);
        report.push(diagnostic);
        return None;
    }
    substitute(&mut tree, &|name| source.variable(name), sources, report);
    Some(tree)
}

/// References such as `feed:drop` belong to features to come, wherever they stand.
fn refuse_references_to_come(node: &Node, path: &str, sources: &Sources, report: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_references_to_come(item, &format!("{path}[{index}]"), sources, report);
            }
        }
        Value::Map(entries) => {
            // `ip_access` says so itself, and what to write instead.
            for entry in entries.iter().filter(|entry| entry.key != "ip_access") {
                let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                refuse_references_to_come(&entry.value, &below, sources, report);
            }
        }
        Value::Scalar { text, .. } => {
            if let Some((scheme, rest)) = text.split_once(':')
                && scheme == "feed"
                && suggest::is_to_come(scheme)
                && !rest.starts_with(' ')
            {
                let mut diagnostic = Diagnostic::error(
                    path,
                    format!("`{scheme}:` references are not available in this version"),
                )
                .help("list the addresses themselves");
                diagnostic.place = sources.place(node.span);
                report.push(diagnostic);
            }
        }
    }
}
