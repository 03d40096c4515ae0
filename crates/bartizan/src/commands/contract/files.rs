//! Contracts on disk.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use bartizan_contract::{ContractFiles, Description, Documents, yaml::Budget};
use bartizan_model::Diagnostics;

use crate::{EXIT_CONFIG, admin_client::remark};

/// The folder of a contract.
struct Folder(PathBuf);

impl Folder {
    /// That of a file.
    fn of(file: &Path) -> Self {
        Folder(file.parent().map(Path::to_path_buf).unwrap_or_default())
    }
}

impl ContractFiles for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        read(&self.0.join(path)).map(Arc::from)
    }

    fn name(&self, path: &str) -> String {
        self.0.join(path).display().to_string()
    }
}

/// Reads a file of at most as many bytes as a contract may have.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let error = |error: std::io::Error| format!("`{shown}` cannot be read: {error}; check the path");
    let length = std::fs::metadata(path).map_err(error)?.len();
    if length > Budget::CONTRACT.bytes as u64 {
        return Err(format!("`{shown}` is larger than {} bytes; split it", Budget::CONTRACT.bytes));
    }
    std::fs::read(path).map_err(error)
}

/// A contract with its documents and the warnings of reading it.
pub type Opened = (Documents, Description, Diagnostics);

/// Reads a contract and what it refers to.
pub fn open(file: &Path) -> Result<Opened, Diagnostics> {
    let shown = file.display().to_string();
    let bytes = read(file).map_err(|error| {
        let (message, help) = error.split_once("; ").unwrap_or((&error, "check the path"));
        Diagnostics::from(bartizan_model::Diagnostic::error("", message).help(help))
    })?;
    let documents = Documents::read(&bytes, &shown, &Folder::of(file), Budget::CONTRACT)?;
    let (description, warnings) = Description::of(&documents)?;
    Ok((documents, description, warnings))
}

/// Tells why a contract cannot be read, and answers exit code 78.
pub fn refuse(diagnostics: &Diagnostics) -> ExitCode {
    for diagnostic in &diagnostics.0 {
        remark(&diagnostic.to_string());
    }
    ExitCode::from(EXIT_CONFIG)
}
