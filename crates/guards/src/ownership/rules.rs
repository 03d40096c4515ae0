//! The rules of a block, compiled: which predicates an exchange has to meet.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_authz::ownership::{Predicate, Source, Step, ValuePath};
use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics,
    compile::{FieldPlace, OperationSpec},
};
use bartizan_pattern::{
    path::folded,
    template::{PathPattern, PatternSet},
};
use http::Method;

use super::config::{Config, OnForeign, Own, RefusedAs, Rule, Settings, Undecided};

/// Predicates of one operation: each is judged once or twice per exchange.
const MAX_PREDICATES: usize = 16;

/// What one operation demands.
#[derive(Debug)]
pub(super) struct OperationRule {
    /// The operation as the policy names it.
    pub label: Arc<str>,
    /// Its path, where the rule is one operation's.
    pub template: Option<Arc<str>>,
    method: Option<Method>,
    /// All must hold.
    pub predicates: Vec<Predicate>,
    pub undecided: Undecided,
    pub answer: RefusedAs,
    pub on_foreign: OnForeign,
    pub max_response: usize,
    /// A predicate asks for the request's body.
    pub asks_body: bool,
    /// A predicate asks for the response.
    pub asks_response: bool,
}

impl OperationRule {
    /// Its method; `None` for any.
    pub(super) fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }
}

/// All rules of a block.
pub(super) struct Rules {
    /// Of the operation in whose block they stand, or of all.
    own: Option<usize>,
    named: PatternSet<usize>,
    all: Vec<OperationRule>,
    base_path: String,
}

impl Rules {
    /// The rule that this exchange has to meet.
    pub(super) fn of(&self, method: &Method, path: &str) -> Option<usize> {
        if let Some(own) = self.own {
            return Some(own);
        }
        if self.all.is_empty() {
            return None;
        }
        let path = folded(self.below(path));
        let fits = |rule: &OperationRule| match &rule.method {
            None => true,
            Some(own) => own == method || (*own == Method::GET && *method == Method::HEAD),
        };
        let found = self.named.find(&path).filter_map(|(pattern, at)| {
            let rule = self.all.get(*at).filter(|rule| fits(rule))?;
            Some((pattern.specificity(), rule.method.is_some(), *at))
        });
        found.max_by_key(|(specificity, named, _)| (*specificity, *named)).map(|(.., at)| at)
    }

    pub(super) fn get(&self, at: usize) -> Option<&OperationRule> {
        self.all.get(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OperationRule> {
        self.all.iter()
    }

    /// The path below where the API begins.
    pub(super) fn below<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(self.base_path.as_str()) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    pub(super) fn compile(config: &Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut all: Vec<OperationRule> = Vec::new();
        let mut patterns = Vec::new();
        for (key, entry) in &config.operations {
            let own = Own::from(entry.clone());
            let below = if matches!(entry, super::config::Entry::Own(_)) {
                format!("{key}.rule")
            } else {
                key.clone()
            };
            let Some((method, pattern)) = operation(key, &mut problems) else { continue };
            check_operation(key, &method, context, &mut problems);
            for (_, other) in patterns.iter().filter(|(other, at): &&(PathPattern, usize)| {
                *other == pattern && all.get(*at).is_some_and(|rule| rule.method == method)
            }) {
                let label = all.get(*other).map(|rule| rule.label.to_string()).unwrap_or_default();
                problems.push(
                    Diagnostic::error(key.as_str(), format!("`{key}` and `{label}` are the same operation"))
                        .help("put both predicates into one list"),
                );
            }
            let template: Arc<str> = pattern.as_str().into();
            let spec = spec_of(key, context);
            let rule =
                Written { label: key.as_str().into(), template: Some(template), method, path: &below, spec };
            all.extend(rule.compile(&own, &config.shared, &mut problems));
            patterns.push((pattern, all.len().saturating_sub(1)));
        }
        let mut own = None;
        if let Some(rule) = &config.shared.rule {
            let label = context.operation.unwrap_or("every operation");
            let (method, template) = match label.split_once(' ') {
                Some((method, path)) if path.starts_with('/') => (
                    Method::from_bytes(method.as_bytes()).ok().filter(|_| method != "*"),
                    Some(Arc::from(path)),
                ),
                _ => (None, None),
            };
            let spec = spec_of(label, context);
            let written = Written { label: label.into(), template, method, path: "rule", spec };
            let entry = Own {
                rule: rule.clone(),
                undecided: None,
                answer: None,
                on_foreign: None,
                max_response: None,
            };
            if let Some(rule) = written.compile(&entry, &config.shared, &mut problems) {
                own = Some(all.len());
                all.push(rule);
            }
        }
        problems.or(Rules {
            own,
            named: PatternSet::new(patterns),
            all,
            base_path: context.spec.base_path.clone(),
        })
    }
}

/// One rule as it is written.
struct Written<'w> {
    label: Arc<str>,
    template: Option<Arc<str>>,
    method: Option<Method>,
    /// Where its predicates stand in the block.
    path: &'w str,
    spec: Option<&'w OperationSpec>,
}

impl Written<'_> {
    fn compile(self, own: &Own, shared: &Settings, problems: &mut Diagnostics) -> Option<OperationRule> {
        let before = problems.0.len();
        let written = own.rule.predicates();
        if written.is_empty() || written.len() > MAX_PREDICATES {
            problems.push(
                Diagnostic::error(self.path, format!("`{}` has {} predicates", self.label, written.len()))
                    .help("write 1 to 16 predicates, or join them with `&&`"),
            );
        }
        let mut predicates = Vec::new();
        for (below, text) in written {
            let at = format!("{}{below}", self.path);
            match Predicate::parse(text) {
                Ok(predicate) => {
                    self.check_names(&predicate, &at, problems);
                    predicates.push(predicate);
                }
                Err(error) => problems.push(
                    Diagnostic::error(at, format!("{} at character {}", error.message, error.column))
                        .help(error.help),
                ),
            }
        }
        let max_response = own.max_response.unwrap_or(shared.max_response);
        if max_response.0 == 0 {
            problems.push(
                Diagnostic::error(self.path, "`max_response` of 0 leaves nothing to decide by")
                    .help("write a size such as `1MiB`"),
            );
        }
        if problems.0.len() > before {
            return None;
        }
        let asks = |source: &Source| predicates.iter().any(|predicate| predicate.asks(source));
        Some(OperationRule {
            asks_body: asks(&Source::Body),
            asks_response: asks(&Source::Response),
            label: self.label,
            template: self.template,
            method: self.method,
            predicates,
            undecided: own.undecided.unwrap_or(shared.undecided),
            answer: own.answer.unwrap_or(shared.answer),
            on_foreign: own.on_foreign.unwrap_or(shared.on_foreign),
            max_response: usize::try_from(max_response.0).unwrap_or(usize::MAX),
        })
    }

    /// Names that the path does not have, and those that the contract does not know.
    fn check_names(&self, predicate: &Predicate, at: &str, problems: &mut Diagnostics) {
        for path in predicate.paths() {
            let known: Vec<Arc<str>> = match &path.source {
                Source::Path(_) => match &self.template {
                    Some(template) => names(template).map(Arc::from).collect(),
                    None => continue,
                },
                Source::Query(_) => self.declared(FieldPlace::Query),
                Source::Header(_) => continue,
                Source::Body => self.declared(FieldPlace::Body),
                _ => continue,
            };
            let name: Arc<str> = match (&path.source, path.steps.first()) {
                (Source::Path(name) | Source::Query(name), _) => Arc::clone(name),
                (Source::Body, Some(Step::Key(name))) => Arc::clone(name),
                _ => continue,
            };
            let checked = !known.is_empty() || matches!(path.source, Source::Path(_));
            if checked && !known.contains(&name) {
                problems.push(unknown_name(path, &name, &known, &self.label, at));
            }
        }
    }

    /// The names that the contract declares at a place; none where it does not say.
    fn declared(&self, place: FieldPlace) -> Vec<Arc<str>> {
        let fields =
            self.spec.filter(|spec| spec.declared).map(|spec| spec.fields.as_slice()).unwrap_or_default();
        let mut names: Vec<Arc<str>> = fields
            .iter()
            .filter(|field| field.place == place)
            .filter_map(|field| field.path.first().cloned())
            .collect();
        names.dedup();
        names
    }
}

fn unknown_name(path: &ValuePath, name: &str, known: &[Arc<str>], label: &str, at: &str) -> Diagnostic {
    let listed: Vec<String> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
    let (place, help) = match (&path.source, listed.is_empty()) {
        (Source::Path(_), true) => ("path", "name a parameter that the path has in braces".to_owned()),
        (Source::Path(_), false) => ("path", format!("its parameters are {}", listed.join(", "))),
        (Source::Query(_), _) => ("query", format!("the contract has {}", listed.join(", "))),
        _ => ("request body", format!("the contract has {}", listed.join(", "))),
    };
    Diagnostic::error(at, format!("`{path}`: the {place} of `{label}` has no `{name}`")).help(help)
}

/// `GET /accounts/{id}`.
fn operation(key: &str, problems: &mut Diagnostics) -> Option<(Option<Method>, PathPattern)> {
    let wrong = |message: String| {
        Diagnostic::error(key, message)
            .help("write a method (or `*`) and a path, such as `GET /accounts/{id}`")
    };
    let Some((method, path)) = key.split_once(' ') else {
        problems.push(wrong(format!("`{key}` is no operation")));
        return None;
    };
    let method = match method {
        "*" => None,
        _ => match Method::from_bytes(method.as_bytes()) {
            Ok(method) => Some(method),
            Err(_) => {
                problems.push(wrong(format!("`{method}` is no method")));
                return None;
            }
        },
    };
    match PathPattern::parse(path.trim_start()) {
        Ok(pattern) => Some((method, pattern)),
        Err(text) => {
            problems.push(wrong(text));
            None
        }
    }
}

/// An operation that the contract does not have is most often mistyped: its rule would protect nothing.
fn check_operation(
    key: &str,
    method: &Option<Method>,
    context: &CompileContext<'_>,
    problems: &mut Diagnostics,
) {
    let operations = &context.spec.operations;
    if !operations.iter().any(|operation| operation.declared) || method.is_none() || key.contains('*') {
        return;
    }
    let wanted = shape(key);
    if operations.iter().any(|operation| shape(&operation.label) == wanted) {
        return;
    }
    let path_of = |shape: &str| shape.split_once(' ').map(|(_, path)| path.to_owned()).unwrap_or_default();
    let near = operations
        .iter()
        .filter(|operation| {
            let other = shape(&operation.label);
            path_of(&other) == path_of(&wanted) || other.eq_ignore_ascii_case(&wanted)
        })
        .map(|operation| format!("`{}`", operation.label))
        .next();
    let help = near.map_or_else(
        || "write an operation as the contract does; paths begin below `base_path`".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    problems.push(Diagnostic::error(key, format!("the contract has no operation `{key}`")).help(help));
}

/// What the contract or the policy says of an operation.
fn spec_of<'c>(label: &str, context: &CompileContext<'c>) -> Option<&'c OperationSpec> {
    let wanted = shape(label);
    context.spec.operations.iter().find(|operation| shape(&operation.label) == wanted)
}

/// An operation without the names of its parameters.
fn shape(label: &str) -> String {
    let mut shape = String::with_capacity(label.len());
    let mut inside = false;
    for c in label.trim_end_matches('/').chars() {
        match c {
            '{' => {
                inside = true;
                shape.push_str("{}");
            }
            '}' => inside = false,
            _ if inside => {}
            c => shape.push(c),
        }
    }
    shape
}

/// The names of the parameters of a path.
fn names(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// The parameters of a path by its template, decoded. None where the two do not go together.
pub(super) fn parameters(template: &str, path: &str) -> BTreeMap<Arc<str>, String> {
    let mut found = BTreeMap::new();
    let segments = |text: &str| {
        text.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (template, path) = (segments(template), segments(path));
    let open = template.last().is_some_and(|last| last == "**");
    let fixed = if open { template.len() - 1 } else { template.len() };
    if path.len() < fixed || (!open && path.len() != fixed) {
        return found;
    }
    for (piece, text) in template.iter().take(fixed).zip(&path) {
        let Some((before, rest)) = piece.split_once('{') else { continue };
        let Some((name, after)) = rest.split_once('}') else { continue };
        let inner = text.strip_prefix(before).and_then(|text| text.strip_suffix(after));
        let Some(inner) = inner.filter(|inner| !inner.is_empty() && !after.contains('{')) else { continue };
        let decoded = percent_encoding::percent_decode_str(inner).decode_utf8();
        if let Ok(decoded) = decoded {
            found.insert(Arc::from(name), decoded.into_owned());
        }
    }
    found
}

/// The predicates of a rule as text, for `suggest` and probes.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<&str> = self.predicates().into_iter().map(|(_, text)| text).collect();
        f.write_str(&texts.join(" && "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_from_the_path_as_it_is_forwarded() {
        let get = |template: &str, path: &str, name: &str| parameters(template, path).get(name).cloned();
        assert_eq!(get("/accounts/{id}", "/accounts/42", "id").as_deref(), Some("42"));
        assert_eq!(get("/a/{x}/b/{y}", "/a/1/b/a%20b", "y").as_deref(), Some("a b"));
        assert_eq!(get("/files/{name}.pdf", "/files/a.b.pdf", "name").as_deref(), Some("a.b"));
        assert_eq!(get("/u/{id}/**", "/u/7/x/y", "id").as_deref(), Some("7"));
        assert_eq!(get("/accounts/{id}", "/accounts/42/x", "id"), None);
        assert_eq!(shape("GET /a/{id}/b/"), shape("GET /a/{account}/b"));
    }
}
