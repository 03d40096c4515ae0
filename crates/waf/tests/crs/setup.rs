//! The rule set with the configuration that its tests expect.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_waf::{
    files::{Files, matches},
    lang::{Loader, RuleSet},
};

/// Files below a folder.
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        fs::read(self.0.join(path)).map(Into::into).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder = Path::new(pattern).parent().unwrap();
        let mut found: Vec<String> = fs::read_dir(self.0.join(folder))
            .map_err(|error| error.to_string())?
            .map(|entry| folder.join(entry.unwrap().file_name()).to_string_lossy().into_owned())
            .filter(|name| matches(pattern.as_bytes(), name.as_bytes()))
            .collect();
        found.sort();
        Ok(found)
    }
}

/// The folder of the suite, or a loud line.
pub fn suite() -> Option<PathBuf> {
    let suites = std::env::var("BARTIZAN_SUITES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/suites").to_owned());
    let suite = Path::new(&suites).join("crs");
    if !suite.is_dir() {
        println!("SKIPPED: no Core Rule Set at {}", suite.display());
        return None;
    }
    Some(suite)
}

/// The loaded rules.
pub fn load(suite: &Path) -> RuleSet {
    let files = Folder(suite.to_owned());
    let mut loader = Loader::new(&files);
    loader.include("crs-setup.conf.example").text("setup", bartizan_ftw::CRS_SETUP).include("rules/*.conf");
    let loaded = loader.finish().unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
    loaded.rules
}
