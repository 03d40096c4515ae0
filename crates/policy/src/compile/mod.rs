//! From settings to the snapshot: defaults are filled in, references read, contradictions reported.

mod api;
mod contract;
mod doubts;
mod exclusions;
mod guards;
mod issuer;
mod listener;
mod upstream;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use aws_lc_rs::digest;
use bartizan_contract::tree::Node;
use bartizan_model::{Diagnostic, Level, Profile};
use bartizan_pattern::ip::IpSet;

use crate::{
    document::{Audit, Bounds, PolicyDocument, Storage},
    effective::{Effective, written},
    load::CompileOptions,
    places::Places,
    routing::HostRouter,
    snapshot::{AdminSpec, Api, AuditSpec, ConnectionBounds, Snapshot, StateSpec},
    source::{Disk, Sources},
};

/// What every part of the compilation needs.
pub(crate) struct Compiler<'a> {
    pub tree: &'a Node,
    pub options: &'a CompileOptions<'a>,
    pub sources: &'a Sources,
    pub disk: &'a Disk,
    pub report: &'a mut Vec<Diagnostic>,
    pub profile: Profile,
    /// Over the document and the contracts.
    pub digest: digest::Context,
    /// The bounds of connections.
    pub bounds: ConnectionBounds,
}

impl Compiler<'_> {
    /// Reports something about a path of the document.
    pub(crate) fn say(&mut self, mut diagnostic: Diagnostic) {
        if diagnostic.place.is_none() {
            diagnostic.place = self.sources.place(self.tree.locate(&diagnostic.path));
        }
        self.report.push(diagnostic);
    }

    /// Reports an error at a path.
    pub(crate) fn error(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.say(Diagnostic::error(path, message).help(help));
    }

    /// Reports a doubt at a path.
    pub(crate) fn warn(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.say(Diagnostic::warning(path, message).help(help));
    }

    /// Reports a text of the form `what; remedy`.
    pub(crate) fn error_text(&mut self, path: &str, text: &str) {
        let (message, help) = text.split_once("; ").unwrap_or((text, ""));
        let mut diagnostic = Diagnostic::error(path, message);
        diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
        self.say(diagnostic);
    }
}

/// What the effective policy tells of the document in another way, or what decides nothing.
const TOLD: [&str; 3] = ["apis", "version", "environment"];
/// The same of one API.
const TOLD_OF_APIS: [&str; 10] = [
    "name",
    "hosts",
    "base_path",
    "unknown_operations",
    "max_body",
    "mode",
    "identity",
    "guards",
    "operations",
    "exclusions",
];

/// Compiles the settings. `None` only when nothing could be made of them; the report says why.
pub(crate) fn snapshot(
    document: &PolicyDocument,
    tree: &Node,
    options: &CompileOptions<'_>,
    sources: &Sources,
    disk: &Disk,
    report: &mut Vec<Diagnostic>,
) -> Option<(Snapshot, Effective)> {
    let mut compiler = Compiler {
        tree,
        options,
        sources,
        disk,
        report,
        profile: document.profile,
        digest: digest::Context::new(&digest::SHA256),
        bounds: bounds(&document.bounds),
    };
    compiler.digest.update(tree.to_json().to_string().as_bytes());
    if document.version.is_some_and(|version| version != 1) {
        compiler.error("version", "this version of the policy language is not known", "write `version: 1`");
    }
    let told = compiler.report.iter().any(|diagnostic| diagnostic.path.starts_with("api"));
    if !told && document.apis.is_empty() && tree.get("apis").is_none_or(|apis| apis.items().is_empty()) {
        compiler.error(
            "apis",
            "no API is protected",
            "add one: `apis: [{ name: shop, upstream: \"http://127.0.0.1:3000\" }]`",
        );
    }
    let listeners = compiler.listeners(&document.listeners, document.admin.address.0);
    let admin =
        AdminSpec { address: document.admin.address.0, readiness_probes: document.admin.readiness_probes };
    if !admin.address.ip().is_loopback() {
        compiler.warn(
            "admin.address",
            "the admin API listens beyond this machine",
            "use a loopback address, such as `127.0.0.1:9440`, and a tunnel",
        );
    }
    let trusted: Vec<_> = document.trusted_proxies.iter().map(|network| network.0).collect();
    for (index, network) in trusted.iter().enumerate() {
        if network.prefix_len() == 0 {
            compiler.warn(
                &format!("trusted_proxies[{index}]"),
                "every address is a trusted proxy: any client can forge its address",
                "list the addresses of your proxies",
            );
        }
    }
    if trusted.is_empty()
        && let Some(index) = listeners.iter().position(|listener| listener.proxy_protocol)
    {
        compiler.error(
            &format!("listeners[{index}].proxy_protocol"),
            "nobody may send a PROXY header: there are no trusted proxies",
            "list your load balancers in `trusted_proxies`",
        );
    }
    let state = compiler.state(&document.storage);
    let audit = compiler.audit(&document.audit);
    compiler.check_bounds();
    let issuers = compiler.issuers(&document.issuers);
    let events = compiler.receiver(&issuers, &document.issuers);
    let own: Vec<SocketAddr> =
        std::iter::once(admin.address).chain(listeners.iter().map(|listener| listener.address)).collect();

    let mut router = HostRouter::default();
    let mut apis: Vec<Arc<Api>> = Vec::new();
    let mut effective = Effective { settings: written(tree, &TOLD), apis: Vec::new() };
    let mut default = |path: String, value: &str| {
        effective.settings.entry(path).or_insert_with(|| value.into());
    };
    let profile = match document.profile {
        Profile::Balanced => "balanced",
        Profile::Strict => "strict",
    };
    default("profile".to_owned(), profile);
    default("admin.address".to_owned(), &admin.address.to_string());
    default("audit.file".to_owned(), &document.audit.file);
    if document.storage == Storage::default() {
        default("storage".to_owned(), "sqlite:var/bartizan.db");
    }
    if let ([], [listener]) = (document.listeners.as_slice(), listeners.as_slice()) {
        let address = listener.address.to_string();
        default(format!("listeners.{address}.address"), &address);
    }
    effective.settings.entry("admin.readiness_probes".to_owned()).or_insert(true.into());
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, settings) in document.apis.iter().enumerate() {
        let path = format!("apis[{index}]");
        if let Some(first) = names.insert(&settings.name, index) {
            compiler.error(
                &format!("{path}.name"),
                format!("two APIs are named `{}`", settings.name),
                format!("rename one; the other is the API number {}", first + 1),
            );
        }
        let Some((api, mut told)) = compiler.api(settings, &path, &issuers, &own) else { continue };
        let hosts: Vec<Option<&str>> = match api.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(|host| Some(host.as_str())).collect(),
        };
        for host in hosts {
            if let Err(other) = router.insert(host, &api.base_path, apis.len()) {
                let other = apis.get(other).map_or(&*settings.name, |api| &*api.name);
                let what = host.map_or("any host".to_owned(), |host| format!("the host `{host}`"));
                let below = if api.base_path.is_empty() { "/" } else { &api.base_path };
                compiler.error(
                    &path,
                    format!("the APIs `{other}` and `{}` both serve {what} below `{below}`", settings.name),
                    "give one of them other `hosts` or another `base_path`",
                );
            }
        }
        apis.push(Arc::new(api));
        let node = tree.get("apis").and_then(|apis| apis.items().get(index));
        told.settings = node.map(|node| written(node, &TOLD_OF_APIS)).unwrap_or_default();
        effective.apis.push(told);
    }
    // An issuer that is written and wrong is told once, not again by everything that names it.
    let is_wrong =
        |diagnostic: &Diagnostic| diagnostic.level == Level::Error && diagnostic.path.starts_with("issuers[");
    if compiler.report.iter().any(is_wrong) {
        let mut follows = Vec::new();
        for (index, issuer) in document.issuers.iter().enumerate() {
            let at = format!("issuers[{index}]");
            if !issuers.contains_key(issuer.name.as_str()) {
                follows.push(format!("there is no issuer `{}`", issuer.name));
            } else if compiler.report.iter().any(|told| is_wrong(told) && told.path.starts_with(&at)) {
                follows.push(format!("issuer `{}` cannot be used: ", issuer.name));
            }
        }
        if issuers.is_empty() {
            follows.push("`jwt` needs an issuer, and the document names none".to_owned());
        }
        compiler.report.retain(|told| !follows.iter().any(|text| told.message.starts_with(text)));
    }
    let snapshot = Snapshot {
        generation: options.generation,
        digest: hex(compiler.digest.finish().as_ref()),
        profile: document.profile,
        listeners,
        trusted_proxies: Arc::new(IpSet::new(trusted)),
        admin,
        state,
        audit,
        bounds: compiler.bounds,
        apis,
        router,
        issuers,
        events: Arc::new(events),
        warnings: bartizan_model::Diagnostics::new(),
        places: Places::of(tree, sources),
    };
    Some((snapshot, effective))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Compiler<'_> {
    fn state(&self, storage: &Storage) -> StateSpec {
        match storage {
            Storage::Memory => StateSpec { directory: self.disk.resolve("var"), database: None },
            Storage::Sqlite(path) => {
                let database = self.disk.resolve(path);
                let directory = database.parent().map(PathBuf::from).unwrap_or_default();
                let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
                StateSpec { directory, database: Some(database) }
            }
        }
    }

    fn audit(&mut self, audit: &Audit) -> AuditSpec {
        if audit.rotate_at.0 < 1 << 16 {
            self.error(
                "audit.rotate_at",
                "the audit log would rotate all the time",
                "write at least `64KiB`",
            );
        }
        let file = match audit.file.as_str() {
            "off" => None,
            path => Some(self.disk.resolve(path.strip_prefix("file:").unwrap_or(path))),
        };
        AuditSpec { file, rotate_at: audit.rotate_at.0, keep: audit.keep }
    }

    fn check_bounds(&mut self) {
        let compiled = self.bounds.clone();
        let zero = [
            ("connections", compiled.connections == 0),
            ("connections_per_address", compiled.connections_per_address == 0),
            ("concurrent_streams", compiled.concurrent_streams == 0),
            ("header_count", compiled.header_count == 0),
            ("header_bytes", compiled.header_bytes == 0),
            ("target_bytes", compiled.target_bytes == 0),
            ("header_timeout", compiled.header_timeout.is_zero()),
            ("idle_timeout", compiled.idle_timeout.is_zero()),
            ("write_stall", compiled.write_stall.is_zero()),
            ("total_timeout", compiled.total_timeout.is_zero()),
            ("control_frames", compiled.control_frames == 0),
        ];
        for (name, _) in zero.iter().filter(|(_, zero)| *zero) {
            self.error(
                &format!("bounds.{name}"),
                format!("`{name}` of nothing refuses everything"),
                "write more than 0",
            );
        }
        if compiled.header_bytes > 1 << 20 {
            self.error(
                "bounds.header_bytes",
                "a request head may have at most 1 MiB",
                "write `32KiB`, for example",
            );
        }
        if compiled.target_bytes > compiled.header_bytes {
            self.error(
                "bounds.target_bytes",
                "the request target is a part of the head and cannot be longer",
                "raise `header_bytes` or lower `target_bytes`",
            );
        }
    }

    /// What `request_limits` is told where its block says nothing, so that a bound is raised in one place.
    fn request_defaults(&self, max_body: u64) -> Vec<(&'static str, String)> {
        let bytes =
            |size: usize| bartizan_model::ByteSize(u64::try_from(size).unwrap_or(u64::MAX)).to_string();
        vec![
            ("max_body", bartizan_model::ByteSize(max_body).to_string()),
            ("max_headers", self.bounds.header_count.to_string()),
            ("max_query_bytes", bytes(self.bounds.target_bytes)),
        ]
    }
}

fn bounds(bounds: &Bounds) -> ConnectionBounds {
    let size = |size: bartizan_model::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    ConnectionBounds {
        connections: bounds.connections,
        connections_per_address: bounds.connections_per_address,
        concurrent_streams: bounds.concurrent_streams,
        header_count: bounds.header_count,
        header_bytes: size(bounds.header_bytes),
        target_bytes: size(bounds.target_bytes),
        header_timeout: bounds.header_timeout.0,
        idle_timeout: bounds.idle_timeout.0,
        min_body_rate: bounds.min_body_rate.0,
        write_stall: bounds.write_stall.0,
        total_timeout: bounds.total_timeout.0,
        control_frames: bounds.control_frames,
        drain_timeout: bounds.drain_timeout.0,
    }
}
