//! Files of rules and of tests, on disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_ftw::{CRS_SETUP, Test};
use bartizan_guards::waf::{DEBIAN, DEBIAN_SETUP};
use bartizan_model::Diagnostics;
use bartizan_waf::{
    engine::Program,
    files::{Files, matches},
    lang::Loader,
};

/// How deep folders of tests may lie in each other.
const MAX_DEPTH: usize = 16;

/// Rule files below a folder.
struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        fs::read(self.0.join(path)).map(Into::into).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, _) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        let entries = fs::read_dir(self.0.join(folder)).map_err(|error| error.to_string())?;
        let mut found: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .map(|name| format!("{folder}/{name}"))
            .filter(|path| matches(pattern.as_bytes(), path.as_bytes()))
            .collect();
        found.sort();
        Ok(found)
    }
}

/// The Core Rule Set of a folder, set up as its tests expect.
pub fn core_rules(folder: &Path) -> Result<Arc<Program>, Diagnostics> {
    let files = Folder(folder.to_owned());
    let mut setups = vec!["crs-setup.conf", "crs-setup.conf.example"];
    // Debian's set-up belongs to Debian's rules only.
    if folder == Path::new(DEBIAN) {
        setups.insert(0, DEBIAN_SETUP);
    }
    let setup = setups.into_iter().find(|name| folder.join(name).is_file()).unwrap_or("crs-setup.conf");
    let mut loader = Loader::new(&files);
    loader.lenient(true).include(setup).text("tests", CRS_SETUP).include("rules/*.conf");
    loader.finish().map(|loaded| Program::new(loaded.rules))
}

/// The tests of a file, or of all `.yaml` and `.yml` files below a folder, in order.
pub fn tests(path: &Path) -> Result<Vec<Test>, String> {
    let mut files = Vec::new();
    gather(path, 0, &mut files)?;
    files.sort();
    let mut tests = Vec::new();
    for file in &files {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        tests.extend(
            bartizan_ftw::read(&text).map_err(|error| format!("`{shown}` is no file of go-ftw: {error}"))?,
        );
    }
    if tests.is_empty() {
        return Err(format!(
            "there is no test in `{}`; name a folder with YAML files of go-ftw",
            path.display()
        ));
    }
    Ok(tests)
}

fn gather(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("`{}` cannot be read: {error}", path.display());
    if fs::metadata(path).map_err(fail)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?.path();
        let is_test = entry.extension().is_some_and(|kind| kind == "yaml" || kind == "yml");
        if is_test || (entry.is_dir() && depth < MAX_DEPTH) {
            gather(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}
