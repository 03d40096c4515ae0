//! Where foreign programs, packages and suites lie.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder that `cargo xtask test` fills with npm and PyPI packages: `BARTIZAN_TEST_ENV`, else `target/test-env`.
#[must_use]
pub fn test_env() -> PathBuf {
    env::var_os("BARTIZAN_TEST_ENV").map_or_else(|| workspace_root().join("target/test-env"), PathBuf::from)
}

/// The folder of foreign suites: `BARTIZAN_SUITES`, else `../shared/suites`; `None` where it is absent.
#[must_use]
pub fn suites_dir() -> Option<PathBuf> {
    let path = env::var_os("BARTIZAN_SUITES")
        .map_or_else(|| workspace_root().join("../shared/suites"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// The Python of the test environment.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let path = test_env().join("venv/bin/python");
    path.exists().then_some(path)
}

/// An installed program by name, searched in `PATH` and where Debian puts servers.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
