//! One API: its hosts and paths, its operations from contract and blocks, and what each ends up with.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use bartizan_contract::{
    Description,
    form::{Location, Parameter, Style},
    tree::Node,
};
use bartizan_model::{
    ByteSize, Mode,
    compile::{ApiSpec, IssuerSpec, OperationSpec},
};
use bartizan_pattern::{
    path::{PathRules, canonical},
    template::{PathPattern, PatternSet},
};
use http::Method;

use super::{
    Compiler,
    exclusions::Exclusions,
    guards::{GuardCompiler, SectionSet},
};
use crate::{
    document::{ApiSettings, Hsts, UnknownText},
    effective::{EffectiveApi, EffectiveOperation},
    routing::{Block, Candidate, Enumeration, OperationTable, Variants, template_pattern},
    snapshot::{Api, Operation, UnknownOperations},
    suggest,
};

/// Combinations of blocks for one operation of the contract; more make a policy that nobody can read.
const MAX_COMBINATIONS: usize = 64;
/// Combinations for what the contract does not name, beyond one for each block.
const MAX_UNKNOWN_COMBINATIONS: usize = 256;
/// Blocks of one API: `u16` indices and a start within a second allow for more, a reader does not.
const MAX_BLOCKS: usize = 2_000;
/// The default of `max_body`: 10 MiB.
const MAX_BODY: u64 = 10 << 20;

/// The methods of RFC 9110, RFC 5789 and RFC 10008, as `suggest` compares.
const METHODS: [&str; 10] =
    ["get", "head", "post", "put", "delete", "patch", "options", "query", "trace", "connect"];

/// A method that is none of HTTP's own, and the one of them that it was probably meant to be.
fn slip(method: &Method) -> Option<(&Method, String)> {
    let known = METHODS.iter().any(|known| method.as_str().eq_ignore_ascii_case(known));
    let near = suggest::closest(method.as_str(), &METHODS).filter(|_| !known)?;
    Some((method, near.to_ascii_uppercase()))
}

/// A block as the document has it.
pub(super) struct WrittenBlock {
    pub(super) block: Block,
    sections: SectionSet,
    mode: Option<Mode>,
    inherit: bool,
    pub(super) path: String,
    /// Only an exclusion names it: it makes no operation known.
    silent: bool,
}

impl WrittenBlock {
    /// A block that sets nothing, so that what is said of its operation elsewhere can be told apart.
    pub(super) fn silent(block: Block, path: String) -> Self {
        let sections = SectionSet::default();
        WrittenBlock { block, sections, mode: None, inherit: true, path, silent: true }
    }
}

impl Compiler<'_> {
    pub(super) fn api(
        &mut self,
        settings: &ApiSettings,
        path: &str,
        issuers: &BTreeMap<Arc<str>, Arc<IssuerSpec>>,
        own: &[SocketAddr],
    ) -> Option<(Api, EffectiveApi)> {
        let name: Arc<str> = Arc::from(settings.name.as_str());
        self.check_name(&name, &format!("{path}.name"));
        let hosts = self.hosts(&settings.hosts, &format!("{path}.hosts"));
        let upstream = match &settings.upstream {
            Some(upstream) => self.upstream(&name, upstream, path, own),
            None => {
                self.miss_upstream(path);
                None
            }
        };
        let contract =
            settings.contract.as_ref().map(|file| self.contract(file, &format!("{path}.contract")));
        let contract_given = contract.is_some();
        let contract = contract.flatten();
        // A contract with one server says where its paths begin.
        let (stated, at) =
            match (settings.base_path.as_deref(), contract.as_ref().map(|c| c.base_paths.as_slice())) {
                (Some(text), _) => (Some(text), "base_path"),
                (None, Some([one])) if !one.is_empty() => (Some(one.as_str()), "contract"),
                _ => (None, ""),
            };
        if let (None, Some(several @ [_, _, ..])) =
            (&settings.base_path, contract.as_ref().map(|contract| contract.base_paths.as_slice()))
        {
            let shown = |path: &String| format!("`{}`", if path.is_empty() { "/" } else { path });
            let paths: Vec<String> = several.iter().take(4).map(shown).collect();
            self.warn(
                &format!("{path}.contract"),
                format!(
                    "the servers of the contract have several paths ({}): requests are matched at `/`",
                    paths.join(", ")
                ),
                "write which of them the API has, as `base_path`; write an API for each to have several",
            );
        }
        if let Some(contract) = contract.as_ref().filter(|_| !settings.paths.parameters) {
            self.warn_of_matrix(contract, path);
        }
        let base_path =
            stated.and_then(|text| self.base_path(text, &format!("{path}.{at}"))).unwrap_or_default();
        let unknown_operations = match settings.unknown_operations {
            Some(UnknownText::Deny) => UnknownOperations::Deny,
            Some(UnknownText::Monitor) => UnknownOperations::Monitor,
            Some(UnknownText::Allow) => UnknownOperations::Allow,
            None if contract_given => UnknownOperations::Deny,
            None => UnknownOperations::Monitor,
        };
        if unknown_operations == UnknownOperations::Allow {
            self.warn(
                &format!("{path}.unknown_operations"),
                "operations that nothing names are forwarded without a word",
                "write `monitor` to have them reported, or `deny`",
            );
        }
        let mode = settings.mode.unwrap_or_default();
        if mode == Mode::Off {
            self.warn(
                &format!("{path}.mode"),
                format!("no guard of `{name}` runs unless it states its own mode"),
                "write `monitor` to watch, or `enforce`",
            );
        }
        let node = self.tree.nearest(path).clone();
        let sections = self.sections(&node, path, 0);
        self.warn_of_anonymous(&node, path, &name);
        let mut blocks = self.blocks(settings, &node, path);
        let exclusions = Exclusions::new(self.exclusions(&node, path, &mut blocks));
        in_order(&mut blocks);

        let checks =
            contract.as_ref().and_then(|contract| self.checks(contract, &format!("{path}.contract")));
        let mut guards = GuardCompiler::new(self, Arc::clone(&name), issuers);
        guards.labels = blocks.iter().map(|written| (written.1.block.label.clone(), written.0)).collect();
        guards.spec = ApiSpec { contract: checks, ..api_spec(&base_path, contract.as_ref(), &blocks) };
        let max_body = settings.max_body.map_or_else(|| largest_body(&sections, &blocks), |size| size.0);
        guards.defaults = guards.compiler.request_defaults(max_body);
        let mut told = Vec::new();
        let table = operations(
            &mut guards,
            &Given {
                base: &sections,
                mode,
                blocks: &blocks,
                contract: contract.as_ref(),
                exclusions: &exclusions,
            },
            path,
            &base_path,
            unknown_operations,
            &mut told,
        );
        let spec = std::mem::take(&mut guards.spec);
        self.warn_of_idle_exclusions(&exclusions.idle());
        self.warn_of_logins(&told, &blocks, contract.as_ref(), path);
        self.warn_of_sensitive(&told, &spec, &blocks, path);

        let upstream = upstream?;
        let effective = EffectiveApi {
            name: settings.name.clone(),
            hosts: hosts.clone(),
            base_path: base_path.clone(),
            settings: BTreeMap::new(),
            backends: upstream
                .backends
                .iter()
                .map(|backend| {
                    let scheme = if backend.tls { "https" } else { "http" };
                    let host = &backend.host;
                    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                    format!("{scheme}://{host}:{}", backend.port)
                })
                .collect(),
            unknown_operations: match unknown_operations {
                UnknownOperations::Deny => "deny",
                UnknownOperations::Monitor => "monitor",
                UnknownOperations::Allow => "allow",
            },
            max_body,
            operations: told,
        };
        let api = Api {
            name,
            hosts,
            base_path,
            upstream: Arc::new(upstream),
            mode,
            path_rules: PathRules {
                encoded_slash: settings.paths.encoded_slash,
                parameters: settings.paths.parameters,
            },
            allowed_override_headers: settings
                .allow_override_headers
                .iter()
                .map(|name| name.0.clone())
                .collect(),
            operations: table,
            unknown_operations,
            max_body: effective.max_body,
            hsts: match settings.hsts {
                None | Some(Hsts::Switch(false)) => None,
                Some(Hsts::Switch(true)) => Some(31_536_000),
                Some(Hsts::Period(period)) => Some(period.0.as_secs()),
            },
        };
        Some((api, effective))
    }

    fn check_name(&mut self, name: &str, path: &str) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            self.error(
                path,
                format!("`{name}` is not a name for an API"),
                "use 1 to 64 letters, digits, `-`, `_` or `.`",
            );
        }
    }

    /// Host names in lower case, without `*` alone.
    fn hosts(&mut self, hosts: &[String], path: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            if host == "*" {
                return Vec::new();
            }
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            let plain = host.strip_prefix("*.").unwrap_or(&host);
            let valid = !plain.is_empty()
                && plain.parse::<http::uri::Authority>().is_ok_and(|authority| {
                    authority.port().is_none() && authority.host() == plain && !plain.contains(['*', '@'])
                });
            if valid {
                found.push(host);
            } else {
                self.error(
                    &format!("{path}[{index}]"),
                    format!("`{host}` is not a host name"),
                    "write `api.example.com` or `*.example.com`, without scheme, port or path",
                );
            }
        }
        found
    }

    /// A path prefix without a slash at the end.
    pub(super) fn base_path(&mut self, text: &str, path: &str) -> Option<String> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        if prefix.is_empty() && text == "/" {
            return Some(String::new());
        }
        match canonical(prefix, PathRules::default()) {
            Ok(canonical) if canonical == prefix && !prefix.contains(['*', '{', '?', '#']) => Some(canonical),
            Ok(canonical) if canonical != prefix && !prefix.contains(['?', '#']) => {
                self.error(
                    path,
                    format!("`{text}` is not in canonical form"),
                    format!("write `{canonical}`"),
                );
                None
            }
            _ => {
                self.error(
                    path,
                    format!("`{text}` is not a path prefix"),
                    "write a plain path such as `/v1`",
                );
                None
            }
        }
    }

    /// Path parameters that no path can hold.
    fn warn_of_matrix(&mut self, contract: &Description, path: &str) {
        let is_matrix =
            |parameter: &Parameter| parameter.location == Location::Path && parameter.style == Style::Matrix;
        let mut operations = contract.operations.iter();
        let Some(operation) = operations.find(|operation| operation.parameters.iter().any(is_matrix)) else {
            return;
        };
        self.warn(
            &format!("{path}.contract"),
            format!(
                "`{}` has a parameter in the style `matrix`, whose `;` no path may hold",
                operation.spec.label
            ),
            "write `paths: { parameters: true }` for the API",
        );
    }

    /// An `upstream` that could not be read has been told of already.
    fn miss_upstream(&mut self, path: &str) {
        let own = format!("{path}.upstream");
        if !self.report.iter().any(|said| said.path.starts_with(&own)) {
            self.error(path, "`upstream` is missing here", "add `upstream:`");
        }
    }

    /// The blocks with their number in the document (from 1).
    fn blocks(&mut self, settings: &ApiSettings, node: &Node, path: &str) -> Vec<(u32, WrittenBlock)> {
        let mut blocks: Vec<(u32, WrittenBlock)> = Vec::new();
        for (index, operation) in settings.operations.iter().enumerate() {
            let at = format!("{path}.operations[{index}]");
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let block = match Block::parse(&operation.pattern) {
                Ok(block) => block,
                Err(text) => {
                    self.error_text(&format!("{at}.match"), &text);
                    continue;
                }
            };
            if let Some((method, near)) = block.method.as_ref().and_then(slip) {
                self.warn(
                    &format!("{at}.match"),
                    format!("`{method}` is not a method of HTTP: no request may ever match"),
                    format!("did you mean `{near}`?"),
                );
            }
            let written = node.nearest(&format!("operations[{index}]"));
            let sections = self.sections(written, &at, number);
            if !operation.inherit && !sections.contains("identity") {
                self.warn(
                    &at,
                    format!(
                        "`{}` starts over without `identity`: anonymous callers are allowed",
                        block.label
                    ),
                    "write `identity:` in this block, or remove `inherit: false`",
                );
            }
            for (_, other) in &blocks {
                self.check_tie(&other.block, &block, &format!("{at}.match"));
            }
            let (mode, inherit) = (operation.mode, operation.inherit);
            blocks.push((number, WrittenBlock { block, sections, mode, inherit, path: at, silent: false }));
        }
        if blocks.len() > MAX_BLOCKS {
            self.error(
                &format!("{path}.operations"),
                format!("an API has at most {MAX_BLOCKS} operation blocks"),
                "use patterns such as `* /admin/**`",
            );
            blocks.truncate(MAX_BLOCKS);
        }
        blocks
    }

    fn check_tie(&mut self, one: &Block, other: &Block, path: &str) {
        let same_rank = one.method.is_some() == other.method.is_some();
        let meet = match (&one.method, &other.method) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        if !same_rank || !meet {
            return;
        }
        if one.pattern == other.pattern {
            self.error(
                path,
                format!("`{}` and `{}` match the same operations", one.label, other.label),
                "put the settings of both into one block",
            );
        } else if one.pattern.ties_with(&other.pattern) {
            self.error(
                path,
                format!(
                    "`{}` and `{}` are equally specific and can match the same path",
                    one.label, other.label
                ),
                "nothing says which of them is laid over the other: make one more specific",
            );
        }
    }

    fn warn_of_anonymous(&mut self, node: &Node, path: &str, name: &str) {
        match node.get("identity") {
            None => self.warn(
                &format!("{path}.name"),
                format!("the callers of `{name}` are not identified: anonymous requests are allowed"),
                "add `identity: { accept: [..] }`",
            ),
            Some(identity) => {
                let anonymous = identity.get("anonymous").and_then(Node::as_str);
                if anonymous == Some("allow") {
                    self.warn(
                        &format!("{path}.identity.anonymous"),
                        format!("anonymous callers are allowed for all of `{name}`"),
                        "write `anonymous: deny` here, and `allow` in the blocks of public operations",
                    );
                }
            }
        }
    }
}

/// The least specific first.
fn in_order(blocks: &mut [(u32, WrittenBlock)]) {
    blocks.sort_by_key(|(_, written)| (written.block.pattern.specificity(), written.block.method.is_some()));
}

/// What guards are told of the API: the operations of the contract, then those that blocks name.
fn api_spec(base_path: &str, contract: Option<&Description>, blocks: &[(u32, WrittenBlock)]) -> ApiSpec {
    let declared = contract.map(|contract| contract.operations.as_slice()).unwrap_or_default();
    let mut operations: Vec<OperationSpec> =
        declared.iter().map(|operation| operation.spec.clone()).collect();
    for (_, written) in blocks {
        let named = !written.silent && (contract.is_none() || written.block.names_one());
        if named && !operations.iter().any(|known| *known.label == *written.block.label) {
            let label = Arc::from(written.block.label.as_str());
            operations.push(OperationSpec { label, ..OperationSpec::default() });
        }
    }
    ApiSpec { base_path: base_path.to_owned(), operations, contract: None }
}

/// The body bound of an API that states none: the default, or what a block allows beyond it.
fn largest_body(base: &SectionSet, blocks: &[(u32, WrittenBlock)]) -> u64 {
    let stated = |sections: &SectionSet| {
        let size = sections.setting("request_limits", "max_body")?.parse::<ByteSize>().ok()?;
        Some(size.0)
    };
    let all =
        std::iter::once(stated(base)).chain(blocks.iter().map(|(_, written)| stated(&written.sections)));
    all.flatten().fold(MAX_BODY, u64::max)
}

/// What the operations of an API are made of.
struct Given<'a> {
    base: &'a SectionSet,
    mode: Mode,
    blocks: &'a [(u32, WrittenBlock)],
    contract: Option<&'a Description>,
    exclusions: &'a Exclusions,
}

impl Given<'_> {
    /// Compiles one operation with a set of blocks, given by position.
    fn operation(
        &self,
        guards: &mut GuardCompiler<'_, '_>,
        label: &str,
        known: bool,
        set: &[u16],
        told: &mut Vec<EffectiveOperation>,
    ) -> Arc<Operation> {
        let chosen: Vec<&WrittenBlock> = set
            .iter()
            .filter_map(|&at| self.blocks.get(usize::from(at)))
            .map(|(_, written)| written)
            .collect();
        let mut sections = self.base.clone();
        let mut mode = self.mode;
        for written in &chosen {
            if !written.inherit {
                sections = SectionSet::default();
            }
            sections.lay(&written.sections);
            mode = written.mode.unwrap_or(mode);
        }
        self.exclusions.apply(&chosen, &mut sections);
        let (compiled, listed) = guards.compile(sections, mode);
        let entry = EffectiveOperation {
            label: label.to_owned(),
            known,
            blocks: chosen.iter().map(|written| written.block.label.clone()).collect(),
            guards: listed,
        };
        if !told.contains(&entry) {
            told.push(entry);
        }
        Arc::new(Operation { label: Arc::from(label), known, guards: compiled })
    }
}

/// Compiles every operation that can occur.
fn operations(
    guards: &mut GuardCompiler<'_, '_>,
    given: &Given<'_>,
    path: &str,
    base_path: &str,
    unknown_operations: UnknownOperations,
    told: &mut Vec<EffectiveOperation>,
) -> OperationTable {
    let blocks = given.blocks;
    let index = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    let candidates: Vec<Candidate<'_>> = blocks
        .iter()
        .enumerate()
        .map(|(at, (_, written))| Candidate { index: index(at), block: &written.block })
        .collect();
    let mut table =
        OperationTable {
            base_path: base_path.to_owned(),
            blocks: PatternSet::new(blocks.iter().enumerate().map(|(at, (_, written))| {
                (written.block.pattern.clone(), (index(at), written.block.clone()))
            })),
            refuse_unknown: unknown_operations == UnknownOperations::Deny,
            ..OperationTable::default()
        };
    for operation in given.contract.map(|contract| contract.operations.as_slice()).unwrap_or_default() {
        let label = format!("{} {}", operation.method, operation.template.as_str());
        let mut methods = vec![operation.method.clone()];
        if operation.method == Method::GET {
            methods.push(Method::HEAD);
        }
        let within = template_pattern(&operation.template);
        let variants = variants(
            guards,
            path,
            &label,
            &Enumeration { blocks: &candidates, within: within.as_ref(), limit: MAX_COMBINATIONS },
            &methods,
            |guards, set| given.operation(guards, &label, true, set, told),
        );
        let router = table.contract.entry(operation.method.clone()).or_default();
        // Duplicates were refused when the contract was read.
        if router.insert(&operation.template, table.operations.len()).is_ok() {
            table.operations.push(variants);
        }
    }
    let mut methods: Vec<Method> = vec![Method::HEAD];
    methods.extend(blocks.iter().filter_map(|(_, written)| written.block.method.clone()));
    methods.extend(Method::from_bytes(b"OTHER").ok());
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    let anywhere: Option<&PathPattern> = None;
    let limit = MAX_UNKNOWN_COMBINATIONS + blocks.len();
    let everywhere = Enumeration { blocks: &candidates, within: anywhere, limit };
    table.unknown = variants(guards, path, "unknown operations", &everywhere, &methods, |guards, set| {
        let names = |at: &&u16| {
            blocks.get(usize::from(**at)).is_some_and(|(_, written)| {
                !written.silent && (given.contract.is_none() || written.block.names_one())
            })
        };
        let naming = set.iter().rev().find(names).and_then(|at| blocks.get(usize::from(*at)));
        let label = naming.map_or("unknown", |(_, written)| written.block.label.as_str());
        given.operation(guards, label, naming.is_some(), set, told)
    });
    if given.contract.is_some() || table.refuse_unknown {
        table.options = variants(guards, path, "OPTIONS", &everywhere, &[Method::OPTIONS], |guards, set| {
            given.operation(guards, "OPTIONS", true, set, &mut Vec::new())
        });
    }
    table
}

fn variants<'c, 'a>(
    guards: &mut GuardCompiler<'c, 'a>,
    path: &str,
    what: &str,
    enumeration: &Enumeration<'_>,
    methods: &[Method],
    mut compile: impl FnMut(&mut GuardCompiler<'c, 'a>, &[u16]) -> Arc<Operation>,
) -> Variants {
    let mut variants = Variants::default();
    match enumeration.sets(methods) {
        Ok(sets) => {
            for set in sets {
                let operation = compile(guards, &set);
                variants.insert(&set, operation);
            }
        }
        Err(labels) => {
            let labels: Vec<_> = labels.iter().take(12).map(|label| format!("`{label}`")).collect();
            guards.compiler.error(
                &format!("{path}.operations"),
                format!("too many blocks may or may not match the paths of `{what}`: {}", labels.join(", ")),
                "use fewer patterns with `*` or parameters that overlap",
            );
        }
    }
    variants
}
