//! What may import what, checked on `cargo metadata`: the rooms of ARCHITECTURE.md, and the bans and licences of
//! `deny.toml`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};
use serde::Deserialize;

use crate::spdx;

/// A room and what it may import of ours. ARCHITECTURE.md has the same table with the reasons.
const ROOMS: &[(&str, &[&str])] = &[
    ("bartizan-model", &[]),
    ("bartizan-pattern", &["bartizan-model"]),
    ("bartizan-contract", &["bartizan-model", "bartizan-pattern"]),
    // The rule set's tests run `waf` by `ftw`, which runs it in the product, too.
    ("bartizan-waf", &["bartizan-ftw", "bartizan-model", "bartizan-pattern"]),
    ("bartizan-ftw", &["bartizan-pattern", "bartizan-waf"]),
    (
        "bartizan-guards",
        &["bartizan-authz", "bartizan-contract", "bartizan-model", "bartizan-pattern", "bartizan-waf"],
    ),
    (
        "bartizan-policy",
        &["bartizan-authz", "bartizan-contract", "bartizan-guards", "bartizan-model", "bartizan-pattern"],
    ),
    ("bartizan-store", &["bartizan-model", "bartizan-pattern"]),
    ("bartizan-telemetry", &["bartizan-model"]),
    (
        "bartizan-gateway",
        &[
            "bartizan-authz",
            "bartizan-contract",
            "bartizan-guards",
            "bartizan-model",
            "bartizan-pattern",
            "bartizan-policy",
            "bartizan-telemetry",
        ],
    ),
    (
        "bartizan-control",
        &[
            "bartizan-authz",
            "bartizan-contract",
            "bartizan-guards",
            "bartizan-model",
            "bartizan-pattern",
            "bartizan-policy",
            "bartizan-store",
            "bartizan-telemetry",
        ],
    ),
    (
        "bartizan",
        &[
            "bartizan-authz",
            "bartizan-bank",
            "bartizan-contract",
            "bartizan-control",
            "bartizan-drill",
            "bartizan-ftw",
            "bartizan-gateway",
            "bartizan-guards",
            "bartizan-model",
            "bartizan-pattern",
            "bartizan-policy",
            "bartizan-store",
            "bartizan-telemetry",
            "bartizan-traffic",
            "bartizan-waf",
        ],
    ),
    ("bartizan-authz", &["bartizan-contract", "bartizan-model", "bartizan-pattern"]),
    ("bartizan-bank", &["bartizan-contract", "bartizan-model"]),
    ("bartizan-drill", &["bartizan-bank", "bartizan-model", "bartizan-testkit", "bartizan-traffic"]),
    ("bartizan-testkit", &[]),
    ("bartizan-traffic", &["bartizan-bank", "bartizan-model"]),
    ("xtask", &["bartizan-testkit"]),
];

/// Rooms that know nothing of the street.
const PURE: &[&str] = &[
    "bartizan-model",
    "bartizan-pattern",
    "bartizan-waf",
    "bartizan-ftw",
    "bartizan-contract",
    "bartizan-authz",
    "bartizan-guards",
];

/// Crates of the street: no pure room reaches them, not even through another crate.
const STREET: &[&str] = &[
    "async-std",
    "h2",
    "hyper",
    "hyper-util",
    "mio",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "ureq",
];

/// Names of the street in source text: the standard library's own sockets, files and clocks.
const STREET_PATHS: &[&str] =
    &["std::fs", "std::net::Tcp", "std::net::Udp", "std::process", "Instant::now(", "SystemTime::now("];

/// The shipped binary: bans and duplicate versions are judged on what it links and builds.
const SHIPPED: &str = "bartizan";

/// The part of `deny.toml` that is enforced here.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
    #[serde(default)]
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
}

/// Checks the workspace at `root`; every violation as one sentence.
///
/// # Errors
/// The metadata or `deny.toml` could not be read.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).exec()?;
    let deny: Deny = toml::from_str(&fs::read_to_string(root.join("deny.toml"))?).context("`deny.toml`")?;
    let graph = Graph::new(&metadata)?;
    let mut found = Vec::new();
    rooms(&metadata, &mut found);
    pure(&metadata, &graph, &mut found)?;
    let shipped = graph.shipped(root)?;
    bans(&deny, &graph, &shipped, &mut found);
    licences(&deny, &graph, &shipped, &mut found);
    duplicates(&deny, &graph, &shipped, &mut found);
    found.sort();
    Ok(found)
}

struct Graph<'a> {
    packages: HashMap<&'a PackageId, &'a Package>,
    nodes: HashMap<&'a PackageId, &'a Node>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Metadata) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("no resolved graph")?;
        Ok(Graph {
            packages: metadata.packages.iter().map(|package| (&package.id, package)).collect(),
            nodes: resolve.nodes.iter().map(|node| (&node.id, node)).collect(),
        })
    }

    /// What a package needs, with what needs it, dev-dependencies left out.
    fn needs(&self, id: &'a PackageId) -> impl Iterator<Item = &'a PackageId> {
        self.nodes.get(id).into_iter().flat_map(|node| &node.deps).filter_map(|dependency| {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            built.then_some(&dependency.pkg)
        })
    }

    fn reach(&self, name: &str) -> Result<HashSet<&'a PackageId>> {
        let start = self.packages.values().find(|package| package.name == name);
        let mut open = vec![&start.with_context(|| format!("no package `{name}`"))?.id];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.needs(id));
            }
        }
        Ok(seen)
    }

    /// What the shipped binary is built from on this platform. The metadata also names optional crates that no build
    /// uses; `cargo tree` names those that are used.
    fn shipped(&self, root: &Path) -> Result<HashSet<&'a PackageId>> {
        let mut tree = Command::new("cargo");
        tree.args(["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
        let output = tree.args(["--package", SHIPPED]).current_dir(root).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let used: HashSet<String> = text.lines().map(|line| line.split(' ').take(2).collect()).collect();
        let built = |id: &PackageId| {
            self.packages.get(id).is_some_and(|p| used.contains(&format!("{}v{}", p.name, p.version)))
        };
        Ok(self.reach(SHIPPED)?.into_iter().filter(|id| built(id)).collect())
    }

    fn name(&self, id: &PackageId) -> &str {
        self.packages.get(id).map_or("?", |package| package.name.as_str())
    }
}

/// Imports between our own packages go downwards only.
fn rooms(metadata: &Metadata, found: &mut Vec<String>) {
    let ours: BTreeSet<&str> = metadata.workspace_packages().iter().map(|p| p.name.as_str()).collect();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == name) else {
            found.push(format!("`{name}` is not in the table of rooms: add it with what it may import"));
            continue;
        };
        for dependency in &package.dependencies {
            let needed = dependency.name.as_str();
            let test_only = dependency.kind == DependencyKind::Development && needed == "bartizan-testkit";
            if ours.contains(needed) && !allowed.contains(&needed) && !test_only {
                found.push(format!("`{name}` imports `{needed}`, which the table of rooms does not allow"));
            }
        }
    }
}

/// Pure rooms reach no runtime and no socket, and name no file, socket or clock of the standard library.
fn pure(metadata: &Metadata, graph: &Graph<'_>, found: &mut Vec<String>) -> Result<()> {
    for room in PURE {
        for id in graph.reach(room)? {
            let name = graph.name(id);
            if STREET.contains(&name) {
                found.push(format!("`{room}` is pure and reaches `{name}`"));
            }
        }
        let Some(package) = metadata.workspace_packages().into_iter().find(|p| p.name == *room) else {
            continue;
        };
        let Some(folder) = package.manifest_path.parent() else { continue };
        for file in sources(folder.join("src").as_std_path())? {
            let text = fs::read_to_string(&file)?;
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test = file.to_string_lossy().ends_with("tests.rs")
                || file.components().any(|part| part.as_os_str() == "tests");
            for path in STREET_PATHS {
                if !is_test && product.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(path))
                {
                    found.push(format!("`{room}` is pure and names `{path}` in {}", file.display()));
                }
            }
        }
    }
    Ok(())
}

fn bans(deny: &Deny, graph: &Graph<'_>, shipped: &HashSet<&PackageId>, found: &mut Vec<String>) {
    for ban in &deny.bans.deny {
        for &id in shipped.iter().filter(|id| graph.name(id) == ban.name) {
            let users = shipped.iter().filter(|user| graph.needs(user).any(|needed| needed == id));
            for user in users.map(|user| graph.name(user)) {
                if !ban.wrappers.iter().any(|wrapper| wrapper == user) {
                    found.push(format!("`{user}` imports `{}`: {}", ban.name, ban.reason));
                }
            }
        }
    }
}

fn licences(deny: &Deny, graph: &Graph<'_>, shipped: &HashSet<&PackageId>, found: &mut Vec<String>) {
    for package in shipped.iter().filter_map(|id| graph.packages.get(id)) {
        let licence = package.license.as_deref().unwrap_or_default();
        if !spdx::allowed(licence, &deny.licenses.allow) {
            found.push(format!("`{}` is under `{licence}`, which `deny.toml` does not allow", package.name));
        }
    }
}

fn duplicates(deny: &Deny, graph: &Graph<'_>, shipped: &HashSet<&PackageId>, found: &mut Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in shipped.iter().filter_map(|id| graph.packages.get(id)) {
        versions.entry(package.name.as_str()).or_default().insert(package.version.to_string());
    }
    for (name, versions) in versions {
        if versions.len() > 1 && !deny.bans.skip.iter().any(|skip| skip.name.split('@').next() == Some(name))
        {
            let list = versions.into_iter().collect::<Vec<_>>().join(", ");
            found.push(format!("`{name}` is linked in several versions: {list}"));
        }
    }
}

/// Every Rust file below a folder.
///
/// # Errors
/// A folder could not be read.
pub fn sources(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
