//! The documents that a policy is made of: their names, their texts, and the files that they refer to.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_contract::tree::Span;
use bartizan_model::{FileReference, Files, Redacted, SecretReference, diagnostic::Place};

/// Where the policy document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A file; what it refers to is relative to its directory.
    File(PathBuf),
    /// A text, such as one made from command-line flags; what it refers to is relative to the working directory.
    Inline {
        /// What diagnostics call it.
        name: String,
        /// The document.
        text: String,
    },
}

/// A policy before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where the policy document is.
    pub document: Document,
    /// The directory that references are relative to, instead of the document's own.
    pub base: Option<PathBuf>,
    /// Variables that win over those of the environment, by name.
    pub variables: BTreeMap<String, String>,
}

impl Source {
    /// A document in a file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Source { document: Document::File(path.into()), base: None, variables: BTreeMap::new() }
    }

    /// A document as text.
    #[must_use]
    pub fn inline(name: impl Into<String>, text: impl Into<String>) -> Self {
        let document = Document::Inline { name: name.into(), text: text.into() };
        Source { document, base: None, variables: BTreeMap::new() }
    }

    /// The value of a variable, from `variables` or from the environment.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// The directory that references are relative to; empty for the working directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        if let Some(base) = &self.base {
            return base.clone();
        }
        match &self.document {
            Document::File(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
            Document::Inline { .. } => PathBuf::new(),
        }
    }
}

/// The texts that were read, so that diagnostics can show their lines.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, Arc<str>)>);

impl Sources {
    /// Adds a text and answers its index.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u16 {
        self.0.push((name.to_owned(), Arc::from(text)));
        u16::try_from(self.0.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// The name of a source.
    pub(crate) fn name(&self, index: u16) -> &str {
        self.0.get(usize::from(index)).map_or("", |(name, _)| name)
    }

    /// The text of the source with this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| &**text)
    }

    /// The place of a span.
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        span.place(self.name(span.source))
    }
}

/// The largest file that a policy may refer to: 64 MiB, for contracts and CA bundles.
const MAX_FILE: u64 = 64 << 20;

/// Reads what a policy refers to, and remembers which files to watch.
pub(crate) struct Disk {
    directory: PathBuf,
    read: RefCell<BTreeSet<PathBuf>>,
}

impl Disk {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Disk { directory, read: RefCell::new(BTreeSet::new()) }
    }

    /// A reference as a path from the working directory.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Notes a file whose change matters.
    pub(crate) fn watch(&self, path: PathBuf) {
        self.read.borrow_mut().insert(path);
    }

    /// Every file noted.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        self.read.borrow().iter().cloned().collect()
    }

    /// Reads a file, noting it.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.resolve(path);
        self.watch(path.clone());
        read_bounded(&path)
    }
}

/// Reads a whole file of at most 64 MiB.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| describe(path, &error))?;
    if metadata.is_dir() {
        return Err(format!("`{shown}` is a directory; name a file"));
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("`{shown}` is larger than 64 MiB; name a smaller file"));
    }
    std::fs::read(path).map_err(|error| describe(path, &error))
}

fn describe(path: &Path, error: &std::io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("the file `{shown}` does not exist; create it or correct the path")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("the file `{shown}` may not be read; let the user that runs bartizan read it")
        }
        _ => format!("the file `{shown}` cannot be read ({error}); check the path and its permissions"),
    }
}

impl Files for Disk {
    fn read(&self, reference: &FileReference) -> Result<Arc<[u8]>, String> {
        self.bytes(&reference.0).map(Arc::from)
    }

    fn list(&self, folder: &FileReference) -> Result<Vec<String>, String> {
        let path = self.resolve(&folder.0);
        let entries = std::fs::read_dir(&path).map_err(|error| describe(&path, &error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| describe(&path, &error))?;
            // A name that is no text cannot be written in a policy either.
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            names.extend(entry.file_name().into_string().ok().filter(|_| is_file));
        }
        Ok(names)
    }

    fn note_pattern(&self, pattern: &FileReference) {
        self.watch(self.resolve(&pattern.0));
    }

    fn secret(&self, reference: &SecretReference) -> Result<Redacted<String>, String> {
        let text = match reference {
            SecretReference::Env(name) => std::env::var(name).map_err(|_| {
                format!("the environment variable `{name}` is not set; set it before bartizan starts")
            })?,
            SecretReference::File(path) => String::from_utf8(self.bytes(path)?).map_err(|_| {
                format!("the secret file `{path}` is not UTF-8 text; write the secret as text")
            })?,
        };
        let mut secret = text;
        while secret.ends_with(['\n', '\r']) {
            secret.pop();
        }
        if secret.is_empty() {
            return Err(format!("the secret `{reference}` is empty; give it a value"));
        }
        Ok(Redacted::new(secret))
    }
}
