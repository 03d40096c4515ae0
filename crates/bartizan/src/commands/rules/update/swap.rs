//! The folder in force and the one before it: put in place, and back, in one step that no reader sees the middle of.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bartizan_guards::waf::DEBIAN;
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A folder of rules, and its neighbours.
pub struct Place {
    folder: PathBuf,
    previous: PathBuf,
    parent: PathBuf,
}

impl Place {
    /// The folder that the policy names.
    ///
    /// # Errors
    /// It is not one that rules are put into, in one line.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        let shown = folder.display();
        let (Some(name), Some(parent)) = (folder.file_name(), folder.parent()) else {
            return Err(format!("`{shown}` is no folder for rules"));
        };
        if folder == Path::new(DEBIAN) {
            return Err(format!(
                "`{shown}` belongs to Debian's package `modsecurity-crs`; choose another folder, and name it by `crs:` in \
                 the policy"
            ));
        }
        if folder.exists() && !folder.join("rules").is_dir() {
            return Err(format!(
                "`{shown}` is there and has no folder `rules`; name a folder of the Core Rule Set, or a new one"
            ));
        }
        let mut previous = name.to_owned();
        previous.push(".previous");
        Ok(Place { previous: parent.join(previous), parent: parent.to_owned(), folder })
    }

    /// The folder in force.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The one before it.
    pub fn previous(&self) -> &Path {
        &self.previous
    }

    /// Makes a new folder on the same file system.
    ///
    /// # Errors
    /// It cannot be made, in one line.
    pub fn draft(&self) -> Result<tempfile::TempDir, String> {
        let made = fs::create_dir_all(&self.parent)
            .and_then(|()| tempfile::Builder::new().prefix(".rules-").tempdir_in(&self.parent));
        made.map_err(|error| format!("nothing can be written to `{}`: {error}", self.parent.display()))
    }

    /// Takes over what is the user's own: each file that the new rules have as `NAME.example` only, and the folder in
    /// force as `NAME`. The names of what was taken over.
    ///
    /// # Errors
    /// A file cannot be copied, in one line.
    pub fn take_over(&self, new: &Path) -> Result<Vec<String>, String> {
        let mut taken = Vec::new();
        for below in ["", "rules"] {
            let Ok(entries) = fs::read_dir(new.join(below)) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some(own) = name.strip_suffix(".example") else { continue };
                let (from, to) = (self.folder.join(below).join(own), new.join(below).join(own));
                if from.is_file() && !to.exists() {
                    fs::copy(&from, &to)
                        .map_err(|error| format!("`{}` cannot be taken over: {error}", from.display()))?;
                    taken.push(Path::new(below).join(own).display().to_string());
                }
            }
        }
        taken.sort();
        Ok(taken)
    }

    /// Puts a folder in force in one step, and keeps what was.
    ///
    /// # Errors
    /// It cannot, in one line; what was in force is.
    pub fn put(&self, new: &Path) -> Result<(), String> {
        if !self.folder.exists() {
            return fs::rename(new, &self.folder)
                .map_err(|error| format!("`{}` cannot be put in place: {error}", self.folder.display()));
        }
        self.exchange(new)?;
        // The old folder lies where the new one was.
        self.keep(new).map_err(|error| {
            format!(
                "the new rules are in place, but the old ones could not be kept as `{}`: {error}",
                self.previous.display()
            )
        })
    }

    /// Puts the folder before back in force, and keeps the one in force.
    ///
    /// # Errors
    /// There is none, or it cannot be put back, in one line.
    pub fn put_back(&self) -> Result<(), String> {
        if !self.previous.join("rules").is_dir() {
            return Err(format!("there are no earlier rules in `{}`", self.previous.display()));
        }
        self.exchange(&self.previous)
    }

    /// Takes away what was put where nothing was.
    ///
    /// # Errors
    /// It cannot be removed, in one line.
    pub fn remove(&self) -> Result<(), String> {
        fs::remove_dir_all(&self.folder)
            .map_err(|error| format!("`{}` cannot be removed: {error}", self.folder.display()))
    }

    fn exchange(&self, other: &Path) -> Result<(), String> {
        renameat_with(CWD, other, CWD, &self.folder, RenameFlags::EXCHANGE)
            .map_err(|error| format!("`{}` cannot be exchanged in one step: {error}", self.folder.display()))
    }

    fn keep(&self, old: &Path) -> io::Result<()> {
        if self.previous.exists() {
            fs::remove_dir_all(&self.previous)?;
        }
        fs::rename(old, &self.previous)
    }
}
