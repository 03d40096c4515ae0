//! `cargo xtask test`: installs what is missing, then checks form, lints and behaviour of the whole workspace.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use bartizan_testkit::{program, test_env, workspace_root};

/// Programs that the integration tests drive, with the Debian packages that bring them.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("nginx", &["nginx-light"]),
    ("haproxy", &["haproxy"]),
    ("h2load", &["nghttp2-client"]),
    ("wrk", &["wrk"]),
    ("curl", &["curl"]),
    ("node", &["nodejs", "npm"]),
    ("python3", &["python3", "python3-venv"]),
];

/// Runs everything. Whatever cannot be installed is told, and the tests that need it say `SKIPPED`.
///
/// # Errors
/// Cargo itself could not be run.
pub fn run(install: bool, only_tests: bool) -> Result<ExitCode> {
    if install {
        for step in [debian_packages as fn() -> Result<()>, npm_packages, pypi_packages] {
            if let Err(error) = step() {
                eprintln!("WARNING: {error:#}; tests that need it say SKIPPED");
            }
        }
    }
    let mut fine = true;
    if !only_tests {
        fine &= cargo(&["fmt", "--all", "--check"])?;
        fine &= cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
        if !fine {
            eprintln!("FAILED: formatting or lints, see above; the tests follow");
        }
    }
    let tests = if has_nextest(install) {
        cargo(&["nextest", "run", "--workspace"])?
    } else {
        cargo(&["test", "--workspace", "--no-fail-fast"])?
    };
    Ok(if fine && tests { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo(arguments: &[&str]) -> Result<bool> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = Command::new("cargo").args(arguments).current_dir(workspace_root()).status()?;
    Ok(status.success())
}

fn has_nextest(install: bool) -> bool {
    let present = || {
        let mut command = Command::new("cargo");
        command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    present() || (install && cargo(&["install", "cargo-nextest", "--locked"]).unwrap_or(false) && present())
}

fn debian_packages() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(name, _)| program(name).is_none());
    let packages: Vec<&str> = missing.flat_map(|(_, packages)| packages.iter().copied()).collect();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Installs Debian packages.
///
/// # Errors
/// There is no `apt-get`, or it fails.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if program("apt-get").is_none() {
        bail!("no apt-get here; install {list} yourself");
    }
    eprintln!("installing {list}");
    let mut update = Command::new("apt-get");
    quiet(update.arg("update").env("DEBIAN_FRONTEND", "noninteractive"))
        .with_context(|| format!("cannot install {list}"))?;
    let mut add = Command::new("apt-get");
    add.args(["install", "-y", "--no-install-recommends"]).args(packages);
    quiet(add.env("DEBIAN_FRONTEND", "noninteractive")).with_context(|| format!("cannot install {list}"))
}

fn npm_packages() -> Result<()> {
    let folder = test_env().join("node");
    let manifest = fixtures().join("package.json");
    once(&folder, &manifest, || {
        fs::copy(&manifest, folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        quiet(npm.args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))
    })
    .context("cannot install the npm packages")
}

fn pypi_packages() -> Result<()> {
    let folder = test_env().join("venv");
    let list = fixtures().join("requirements.txt");
    once(&folder, &list, || {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        quiet(pip.args(["install", "--disable-pip-version-check", "-r"]).arg(&list))
    })
    .context("cannot install the PyPI packages")
}

fn fixtures() -> std::path::PathBuf {
    workspace_root().join("crates/bartizan/tests/fixtures")
}

/// Runs `install` unless the folder carries a stamp with the content of `list`.
fn once(folder: &Path, list: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read_to_string(list).with_context(|| format!("cannot read `{}`", list.display()))?;
    let stamp = folder.join("installed.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    install()?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Runs a command; its output is shown when it fails.
fn quiet(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run `{name}`"))?;
    if !output.status.success() {
        bail!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
