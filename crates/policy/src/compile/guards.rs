//! The guards of one operation: merged blocks to compiled guards, each distinct one compiled once and shared.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use bartizan_contract::tree::{Entry, Node, Span, Value};
use bartizan_guards::{Guards, REGISTRY, Sections};
use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Guard, Level, Mode, Mounted,
    compile::{ApiSpec, IssuerSpec},
};

use super::Compiler;
use crate::{decode::decode, effective::EffectiveGuard, overlay::lay, suggest};

/// Guards that every operation has unless the policy switches them off: they cost little and refuse only what no
/// honest client sends.
const ALWAYS: [&str; 2] = ["request_limits", "security_headers"];

/// The guard that a retired issuer mounts by itself.
const IDENTITY: &str = "identity";

/// The guard that a contract's `security` mounts by itself.
const ACCESS: &str = "access";

/// Guards that check by the contract: they are there wherever an API has one. What leaves is only watched until the policy
/// gives the guard a block.
const BY_CONTRACT: [&str; 2] = ["contract", WATCHED];
const WATCHED: &str = "response_contract";

/// The key under which the items of a guard that is written as a list stand, once it has a `mode`.
const ITEMS: &str = "limits";

/// The guard blocks of an API or of an operation block, by guard.
#[derive(Clone, Debug, Default)]
pub(super) struct SectionSet(BTreeMap<&'static str, Section>);

/// One guard's block and its path in the document.
#[derive(Clone, Debug)]
struct Section {
    node: Node,
    path: String,
}

impl SectionSet {
    /// Whether a guard has a block here.
    pub(super) fn contains(&self, guard: &str) -> bool {
        self.0.contains_key(guard)
    }

    /// A setting of a guard's block.
    pub(super) fn setting(&self, guard: &str, key: &str) -> Option<&str> {
        self.0.get(guard)?.node.get(key)?.as_str()
    }

    /// Adds an item to a list of a guard's block; whether the guard has a block.
    pub(super) fn append(&mut self, guard: &str, key: &str, item: Node) -> bool {
        let Some(section) = self.0.get_mut(guard) else { return false };
        let (span, origin) = (item.span, section.node.origin);
        if let Value::Map(entries) = &mut section.node.value {
            match entries.iter_mut().find(|entry| entry.key == key) {
                Some(Entry { value: Node { value: Value::List(items), .. }, .. }) => items.push(item),
                // What is no list is told of by the guard.
                Some(_) => {}
                None => {
                    let value = Node { span, origin, value: Value::List(vec![item]) };
                    entries.push(Entry { key: key.to_owned(), key_span: span, value });
                }
            }
        }
        true
    }

    /// Lays the blocks of a more specific set over these.
    pub(super) fn lay(&mut self, over: &SectionSet) {
        for (guard, section) in &over.0 {
            match self.0.get_mut(guard) {
                Some(below) => {
                    lay(&mut below.node, section.node.clone(), true);
                    below.path.clone_from(&section.path);
                }
                None => {
                    let mut section = section.clone();
                    section.node.take("inherit");
                    self.0.insert(guard, section);
                }
            }
        }
    }
}

/// Whether the configuration of a guard is a list.
fn is_list(guard: &str) -> bool {
    REGISTRY
        .iter()
        .find(|info| info.id == guard)
        .is_some_and(|info| (info.schema)().get("type").and_then(serde_json::Value::as_str) == Some("array"))
}

/// Gives every block the shape of a map, so that blocks can be laid over each other: a mode alone is `{ mode }`, a list
/// is `{ limits }`.
fn normalize(guard: &str, node: Node) -> Node {
    let (span, origin) = (node.span, node.origin);
    let wrap = |key: &str, value: Node| Node {
        span,
        origin,
        value: Value::Map(vec![Entry { key: key.to_owned(), key_span: span, value }]),
    };
    match &node.value {
        Value::Scalar { text, .. } if matches!(text.as_str(), "enforce" | "monitor" | "off") => {
            wrap("mode", node)
        }
        Value::Scalar { .. } if node.is_null() => Node { span, origin, value: Value::Map(Vec::new()) },
        Value::List(_) if is_list(guard) => wrap(ITEMS, node),
        // A predicate alone, or a list of them.
        Value::Scalar { .. } | Value::List(_) if guard == "ownership" => wrap("rule", node),
        _ => node,
    }
}

impl Compiler<'_> {
    /// The guard blocks below `node`, marked as written by block `origin`.
    pub(super) fn sections(&mut self, node: &Node, path: &str, origin: u32) -> SectionSet {
        let mut set = SectionSet::default();
        let mut add = |id: &'static str, entry: &Entry, path: String| {
            let mut block = entry.value.clone();
            if block.is_null() {
                block.span = entry.key_span;
            }
            block.mark(origin);
            set.0.insert(id, Section { node: normalize(id, block), path });
        };
        if let Some(entry) = node.entry("identity") {
            add("identity", entry, format!("{path}.identity"));
        }
        let guards = format!("{path}.guards");
        let known: Vec<&'static str> =
            REGISTRY.iter().map(|info| info.id).filter(|id| *id != "identity").collect();
        let Some(node) = node.get("guards") else { return set };
        if !matches!(node.value, Value::Map(_)) && !node.is_null() {
            self.error(
                &guards,
                format!("expected a map of guards, found {}", node.kind()),
                format!("write `guards: {{ {}: .. }}`", known.first().copied().unwrap_or_default()),
            );
        }
        for entry in node.entries() {
            let at = format!("{guards}.{}", entry.key);
            let (message, help) = match known.iter().find(|id| **id == entry.key) {
                Some(id) => {
                    add(id, entry, at);
                    continue;
                }
                None if entry.key == "identity" => (
                    "`identity` does not stand below `guards`".to_owned(),
                    "write it next to `guards`".to_owned(),
                ),
                None => suggest::unknown_key(&entry.key, &known),
            };
            let mut diagnostic = Diagnostic::error(at, message).help(help);
            diagnostic.place = self.sources.place(entry.key_span);
            self.report.push(diagnostic);
        }
        set
    }
}

/// Compiles guards and remembers them by their content.
pub(super) struct GuardCompiler<'c, 'a> {
    pub compiler: &'c mut Compiler<'a>,
    api: Arc<str>,
    issuers: &'c BTreeMap<Arc<str>, Arc<IssuerSpec>>,
    /// The labels of operation blocks with their numbers.
    pub labels: Vec<(String, u32)>,
    /// What is known of the API.
    pub spec: ApiSpec,
    /// What the document says elsewhere about the size of requests.
    pub defaults: Vec<(&'static str, String)>,
    cache: HashMap<(TypeId, String), Option<Arc<dyn Any + Send + Sync>>>,
}

impl<'c, 'a> GuardCompiler<'c, 'a> {
    pub(super) fn new(
        compiler: &'c mut Compiler<'a>,
        api: Arc<str>,
        issuers: &'c BTreeMap<Arc<str>, Arc<IssuerSpec>>,
    ) -> Self {
        GuardCompiler {
            compiler,
            api,
            issuers,
            labels: Vec::new(),
            spec: ApiSpec::default(),
            defaults: Vec::new(),
            cache: HashMap::new(),
        }
    }

    /// The guards of one operation, and what to tell of them.
    pub(super) fn compile(&mut self, sections: SectionSet, mode: Mode) -> (Guards, Vec<EffectiveGuard>) {
        let mut mounting = Mounting { guards: self, sections, mode, told: Vec::new() };
        let compiled = Guards::compile(&mut mounting);
        (compiled, mounting.told)
    }

    /// Whether the contract demands a caller somewhere.
    fn is_secured(&self) -> bool {
        let demands =
            |alternatives: &Vec<_>| !alternatives.is_empty() && !alternatives.iter().any(Vec::is_empty);
        self.spec.operations.iter().any(|operation| operation.security.as_ref().is_some_and(demands))
    }

    fn label(&self, origin: u32) -> Option<&str> {
        self.labels.iter().find(|(_, number)| *number == origin).map(|(label, _)| label.as_str())
    }

    /// Where a limit counts: in the block that wrote it.
    fn scope(&self, origin: u32) -> String {
        match self.label(origin) {
            Some(label) => format!("operation:{} {label}", self.api),
            None => format!("api:{}", self.api),
        }
    }

    /// The compiled guard, from the cache if one with the same content is there.
    fn guard<G: Guard>(&mut self, body: Node, path: &str) -> Option<Arc<G>> {
        let key = (TypeId::of::<G>(), fingerprint(&body));
        if let Some(known) = self.cache.get(&key) {
            return known.clone().and_then(|guard| guard.downcast::<G>().ok());
        }
        let compiled = self.compile_guard::<G>(body, path);
        let stored = compiled.clone().map(|guard| guard as Arc<dyn Any + Send + Sync>);
        self.cache.insert(key, stored);
        compiled
    }

    fn compile_guard<G: Guard>(&mut self, mut body: Node, path: &str) -> Option<Arc<G>> {
        let before = self.compiler.report.len();
        let config = decode::<G::Config>(&mut body, path, self.compiler.sources, self.compiler.report)?;
        // What was cut out is an error already; the rest is compiled to report the rest.
        let broken = self.compiler.report.len() > before;
        let scope = |path: &str| self.scope(body.nearest(path).origin);
        let context = CompileContext {
            spec: &self.spec,
            api: &self.api,
            operation: self.label(newest_origin(&body)),
            profile: self.compiler.profile,
            issuers: self.issuers,
            services: self.compiler.options.services,
            files: self.compiler.disk,
            scope: &scope,
        };
        match G::compile(config, &context) {
            Ok(guard) if !broken => {
                self.doubt(guard.warnings(context.services.clock.now()), &body, path);
                Some(Arc::new(guard))
            }
            Ok(_) => None,
            Err(mut diagnostics) => {
                // A guard that does not exist must never pass for one that does.
                if !diagnostics.has_errors() {
                    diagnostics.0.iter_mut().for_each(|diagnostic| diagnostic.level = Level::Error);
                }
                // With a setting cut out, what is said of the block as a whole may be its consequence.
                let of_the_whole = |path: &str| std::ptr::eq(body.nearest(path), &raw const body);
                diagnostics.0.retain(|diagnostic| !broken || !of_the_whole(&diagnostic.path));
                for mut diagnostic in diagnostics.0 {
                    if diagnostic.help.is_none()
                        && let Some((message, help)) = diagnostic.message.split_once("; ")
                    {
                        diagnostic.help = Some(help.to_owned());
                        diagnostic.message = message.to_owned();
                    }
                    // What is wrong in a file that the block names has a place of its own.
                    if diagnostic.place.is_none() {
                        diagnostic.place = self.compiler.sources.place(body.locate(&diagnostic.path));
                    }
                    let joint =
                        if diagnostic.path.is_empty() || diagnostic.path.starts_with('[') { "" } else { "." };
                    diagnostic.path = format!("{path}{joint}{}", diagnostic.path);
                    self.compiler.report.push(diagnostic);
                }
                None
            }
        }
    }
}

impl GuardCompiler<'_, '_> {
    /// Tells what is doubtful about a block that compiled, once for all operations that have it.
    fn doubt(&mut self, warnings: Diagnostics, body: &Node, path: &str) {
        for mut warning in warnings.0 {
            warning.level = Level::Warning;
            // What is doubtful in a file that the block names has a place of its own.
            if warning.place.is_none() {
                warning.place = self.compiler.sources.place(body.locate(&warning.path));
            }
            let joint = if warning.path.is_empty() { "" } else { "." };
            warning.path = format!("{path}{joint}{}", warning.path);
            let known = |said: &Diagnostic| said.place == warning.place && said.message == warning.message;
            if !self.compiler.report.iter().any(known) {
                self.compiler.report.push(warning);
            }
        }
    }
}

/// The mounting of one operation.
struct Mounting<'g, 'c, 'a> {
    guards: &'g mut GuardCompiler<'c, 'a>,
    sections: SectionSet,
    mode: Mode,
    told: Vec<EffectiveGuard>,
}

impl Sections for Mounting<'_, '_, '_> {
    fn mount<G: Guard>(&mut self) -> Mounted<G> {
        let written = self.sections.contains(G::ID);
        let section = self.sections.0.get(G::ID).cloned().or_else(|| {
            let node = Node { span: Span::default(), origin: 0, value: Value::Map(Vec::new()) };
            let demanded = G::ID == ACCESS && self.sections.contains("identity") && self.guards.is_secured();
            // Tokens of a retired issuer are refused everywhere, also where nobody is asked who calls.
            let retired = || self.guards.issuers.values().any(|issuer| issuer.retired.is_some());
            let of_contract = BY_CONTRACT.contains(&G::ID) && self.guards.spec.contract.is_some();
            let always = of_contract || ALWAYS.contains(&G::ID);
            let mounted = demanded || always || G::ID == IDENTITY && retired();
            mounted.then(|| Section { node, path: G::ID.to_owned() })
        });
        let Some(Section { mut node, path }) = section else { return Mounted::absent() };
        let compiler = &mut *self.guards.compiler;
        let mode = match node.take("mode") {
            None if G::ID == WATCHED && !written && self.mode == Mode::Enforce => Mode::Monitor,
            None => self.mode,
            Some(mut entry) => {
                let path = format!("{path}.mode");
                decode(&mut entry.value, &path, compiler.sources, compiler.report).unwrap_or(self.mode)
            }
        };
        let body = if is_list(G::ID) && matches!(node.value, Value::Map(_)) {
            for entry in node.entries().iter().filter(|entry| entry.key != ITEMS) {
                let (message, help) = suggest::unknown_key(&entry.key, &[ITEMS, "mode"]);
                let mut diagnostic = Diagnostic::error(format!("{path}.{}", entry.key), message).help(help);
                diagnostic.place = compiler.sources.place(entry.key_span);
                compiler.report.push(diagnostic);
            }
            match node.take(ITEMS) {
                Some(entry) => entry.value,
                None => Node { value: Value::List(Vec::new()), ..node },
            }
        } else {
            node
        };
        let body = match G::ID {
            "request_limits" => fill(body, &self.guards.defaults),
            _ => body,
        };
        if !self.told.iter().any(|guard| guard.guard == G::ID) {
            self.told.push(EffectiveGuard { guard: G::ID, mode: mode.as_str(), config: body.to_json() });
        }
        match self.guards.guard::<G>(body, &path) {
            Some(guard) => Mounted::new(guard, mode),
            None => Mounted::absent(),
        }
    }
}

/// Adds settings that the block does not state.
fn fill(mut body: Node, defaults: &[(&'static str, String)]) -> Node {
    if let Value::Map(entries) = &mut body.value {
        for (key, text) in defaults {
            if !entries.iter().any(|entry| entry.key == *key) {
                let value = Value::Scalar { text: text.clone(), quoted: false };
                let value = Node { span: body.span, origin: 0, value };
                entries.push(Entry { key: (*key).to_owned(), key_span: body.span, value });
            }
        }
    }
    body
}

/// The number of the last block that wrote something of this.
fn newest_origin(node: &Node) -> u32 {
    let below = match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(newest_origin).max().unwrap_or(0),
        Value::Map(entries) => entries.iter().map(|entry| newest_origin(&entry.value)).max().unwrap_or(0),
    };
    node.origin.max(below)
}

/// The content and its origins, without places.
fn fingerprint(node: &Node) -> String {
    fn append(node: &Node, text: &mut String) {
        let _ = write!(text, "{}", node.origin);
        match &node.value {
            Value::Scalar { text: value, quoted } => {
                let _ = write!(text, "{quoted}{value:?}");
            }
            Value::List(items) => {
                text.push('[');
                items.iter().for_each(|item| append(item, text));
                text.push(']');
            }
            Value::Map(entries) => {
                text.push('{');
                for entry in entries {
                    let _ = write!(text, "{:?}:", entry.key);
                    append(&entry.value, text);
                }
                text.push('}');
            }
        }
    }
    let mut text = String::new();
    append(node, &mut text);
    text
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests assert"
    )]
    use bartizan_contract::yaml::{Budget, parse};
    use bartizan_model::{Diagnostics, Profile, Reason, ReasonInfo};

    use super::*;
    use crate::{
        document::Bounds,
        load::CompileOptions,
        offline,
        source::{Disk, Sources},
    };

    /// Stands in for the guard of limits and keeps the scopes that its items were given.
    struct Scopes(Vec<String>);

    #[derive(Debug)]
    enum Never {}

    impl Reason for Never {
        const ALL: &'static [ReasonInfo] = &[];
        fn info(&self) -> ReasonInfo {
            match *self {}
        }
        fn detail(&self) -> std::borrow::Cow<'static, str> {
            match *self {}
        }
    }

    impl Guard for Scopes {
        const ID: &'static str = "rate_limit";
        type Config = Vec<serde_json::Value>;
        type Reason = Never;
        fn compile(config: Self::Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
            Ok(Scopes((0..config.len()).map(|at| (context.scope)(&format!("[{at}]"))).collect()))
        }
    }

    #[test]
    fn a_limit_counts_in_the_block_that_wrote_it() {
        let text = "guards: { rate_limit: [{ name: a, rate: 1/s }, { name: b, rate: 2/s }] }\n\
                    block: { guards: { rate_limit: { mode: monitor, limits: [{ name: b, rate: 3/s }, { name: c }] } } }\n";
        let tree = parse(text, "t", 0, Budget::POLICY).unwrap();
        let (sources, disk) = (Sources::default(), Disk::new(std::path::PathBuf::new()));
        let services = offline::services();
        let options = CompileOptions::new(&services);
        let mut report = Vec::new();
        let mut compiler = Compiler {
            tree: &tree,
            options: &options,
            sources: &sources,
            disk: &disk,
            report: &mut report,
            profile: Profile::Balanced,
            digest: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256),
            bounds: super::super::bounds(&Bounds::default()),
        };
        let base = compiler.sections(&tree, "", 0);
        let block = compiler.sections(tree.get("block").unwrap(), "block", 1);
        let issuers = BTreeMap::new();
        let mut guards = GuardCompiler::new(&mut compiler, Arc::from("shop"), &issuers);
        guards.labels = vec![("POST /login".to_owned(), 1)];
        let mut mount = |sections: SectionSet| {
            let mut mounting =
                Mounting { guards: &mut guards, sections, mode: Mode::Enforce, told: Vec::new() };
            let mounted = mounting.mount::<Scopes>();
            (mounted.mode(), mounted.active().unwrap().0.clone())
        };
        assert_eq!(mount(base.clone()), (Mode::Enforce, vec!["api:shop".to_owned(), "api:shop".to_owned()]));
        let mut merged = base;
        merged.lay(&block);
        let login = "operation:shop POST /login".to_owned();
        assert_eq!(mount(merged), (Mode::Monitor, vec!["api:shop".to_owned(), login.clone(), login]));
        assert!(report.is_empty(), "{report:?}");
    }
}
