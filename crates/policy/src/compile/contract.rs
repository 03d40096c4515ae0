//! The contract of an API: read with every file that it refers to, each of which is watched and counts for the digest.

use std::{cell::RefCell, sync::Arc};

use bartizan_contract::{ContractFiles, Description, check, yaml::Budget};
use bartizan_model::{FileReference, compile::CompiledContract};

use super::Compiler;
use crate::source::Disk;

/// The files beside a contract.
struct Beside<'d> {
    disk: &'d Disk,
    /// The folder of the contract as the policy refers to it; empty, or with a slash at the end.
    folder: &'d str,
    read: RefCell<Vec<Arc<[u8]>>>,
}

impl ContractFiles for Beside<'_> {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let bytes: Arc<[u8]> = self.disk.bytes(&format!("{}{path}", self.folder))?.into();
        self.read.borrow_mut().push(Arc::clone(&bytes));
        Ok(bytes)
    }

    fn name(&self, path: &str) -> String {
        self.disk.resolve(&format!("{}{path}", self.folder)).display().to_string()
    }
}

impl Compiler<'_> {
    /// Compiles a contract to what guards check by. What is wrong with its schemas is said at its place.
    pub(super) fn checks(&mut self, contract: &Description, path: &str) -> Option<CompiledContract> {
        match check::compile(contract) {
            Ok(checks) => Some(CompiledContract(Arc::new(checks))),
            Err(diagnostics) => {
                for mut diagnostic in diagnostics.0 {
                    path.clone_into(&mut diagnostic.path);
                    if diagnostic.place.is_none() {
                        self.say(diagnostic);
                    } else {
                        self.report.push(diagnostic);
                    }
                }
                None
            }
        }
    }

    /// Reads a contract; whatever is wrong with it is said at its place, or where the policy names it.
    pub(super) fn contract(&mut self, file: &FileReference, path: &str) -> Option<Description> {
        let bytes = self.file(file, path)?;
        self.digest.update(&bytes);
        let shown = self.disk.resolve(&file.0).display().to_string();
        let folder = file.0.rfind('/').and_then(|end| file.0.get(..=end)).unwrap_or_default();
        let beside = Beside { disk: self.disk, folder, read: RefCell::new(Vec::new()) };
        let result = Description::read(&bytes, &shown, &beside, Budget::CONTRACT);
        for bytes in beside.read.into_inner() {
            self.digest.update(&bytes);
        }
        match result {
            Ok((description, warnings)) => {
                self.report.extend(warnings.0);
                Some(description)
            }
            Err(diagnostics) => {
                for mut diagnostic in diagnostics.0 {
                    if diagnostic.place.is_none() {
                        let below = diagnostic.path.clone();
                        path.clone_into(&mut diagnostic.path);
                        if !below.is_empty() {
                            diagnostic.message = format!("in `{}`, {below}: {}", file.0, diagnostic.message);
                        }
                        self.say(diagnostic);
                    } else {
                        self.report.push(diagnostic);
                    }
                }
                None
            }
        }
    }
}
