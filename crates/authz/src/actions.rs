//! The operations of an API as decisions name them: actions, one for each method and template.

use std::sync::Arc;

use bartizan_model::compile::{ApiSpec, FieldSpec};
use bartizan_pattern::template::{PathRouter, Template};
use hashbrown::HashMap;
use http::Method;

/// The methods that an operation of all methods stands for; any other one is `OTHER`. `HEAD` is served as `GET` is, and
/// decided as such.
pub const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "OTHER"];

/// The methods that change nothing (RFC 9110 section 9.2.1, RFC 10008).
const SAFE: [&str; 3] = ["GET", "OPTIONS", "QUERY"];

/// Which action: a small number, valid for the [`Actions`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(u32);

impl ActionId {
    /// The place in tables of all actions.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One action.
#[derive(Clone, Debug)]
pub struct Action {
    /// `GET /accounts/{id}`; `GET *` for requests with the method that no operation names.
    pub name: Arc<str>,
    /// The method; `OTHER` for those that are not listed.
    pub method: Arc<str>,
    /// The path of the contract or of the policy's block, below the base path; `None` where nothing names the operation.
    pub path: Option<Arc<str>>,
    /// Whether the contract declares it.
    pub declared: bool,
    /// The contract's tags.
    pub tags: Vec<Arc<str>>,
    /// What the contract types.
    pub fields: Vec<FieldSpec>,
    template: Option<PathRouter<()>>,
}

impl Action {
    /// Whether the method changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        SAFE.contains(&&*self.method)
    }

    /// Whether every request of it has a path of one template, so that what holds for the template holds for all.
    #[must_use]
    pub fn is_one_template(&self) -> bool {
        self.path.as_deref().is_some_and(|path| !path.contains('*'))
    }

    /// The groups that it belongs to in policies: its method, `read` or `write`, `tag:NAME`, and `unknown`.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        let mut groups = vec![
            self.method.to_string(),
            if self.is_read() { "read".to_owned() } else { "write".to_owned() },
        ];
        groups.extend(self.tags.iter().map(|tag| format!("tag:{tag}")));
        if self.path.is_none() {
            groups.push("unknown".to_owned());
        }
        groups
    }

    /// The names of the template's parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.template.iter().flat_map(PathRouter::iter).flat_map(|(template, ())| template.parameters())
    }

    /// The value of a parameter in a path below the base path, decoded; `None` where it is not there or no text.
    #[must_use]
    pub fn parameter(&self, path: &str, name: &str) -> Option<String> {
        let (_, parameters) = self.template.as_ref()?.find(path)?;
        let decoded = percent_encoding::percent_decode_str(parameters.get(name)?).decode_utf8();
        decoded.ok().map(std::borrow::Cow::into_owned)
    }
}

/// Which actions the requests with one label have.
#[derive(Clone, Copy, Debug)]
enum Entry {
    One(ActionId),
    ByMethod([ActionId; METHODS.len()]),
}

/// Every action of an API.
#[derive(Clone, Debug)]
pub struct Actions {
    all: Vec<Action>,
    labels: HashMap<Arc<str>, Entry>,
    unknown: [ActionId; METHODS.len()],
    base_path: String,
}

impl Actions {
    /// The actions of an API.
    #[must_use]
    pub fn new(spec: &ApiSpec) -> Self {
        let mut actions = Actions {
            all: Vec::new(),
            labels: HashMap::new(),
            unknown: [ActionId(0); METHODS.len()],
            base_path: spec.base_path.clone(),
        };
        let mut names: HashMap<Arc<str>, ActionId> = HashMap::new();
        for operation in &spec.operations {
            let Some((method, path)) = operation.label.split_once(' ') else { continue };
            let mut add = |method: &str| {
                let name: Arc<str> = Arc::from(format!("{method} {path}"));
                *names.entry(Arc::clone(&name)).or_insert_with(|| {
                    let mut template = PathRouter::new();
                    let parsed = Template::parse(path).ok().filter(|_| !path.contains('*'));
                    let template =
                        parsed.and_then(|parsed| template.insert(&parsed, ()).ok().map(|()| template));
                    actions.all.push(Action {
                        name,
                        method: Arc::from(method),
                        path: Some(Arc::from(path)),
                        declared: operation.declared,
                        tags: operation.tags.clone(),
                        fields: operation.fields.clone(),
                        template,
                    });
                    ActionId(u32::try_from(actions.all.len() - 1).unwrap_or(u32::MAX))
                })
            };
            let entry =
                if method == "*" { Entry::ByMethod(METHODS.map(&mut add)) } else { Entry::One(add(method)) };
            actions.labels.entry(Arc::clone(&operation.label)).or_insert(entry);
        }
        actions.unknown = METHODS.map(|method| {
            actions.all.push(Action {
                name: Arc::from(format!("{method} *")),
                method: Arc::from(method),
                path: None,
                declared: false,
                tags: Vec::new(),
                fields: Vec::new(),
                template: None,
            });
            ActionId(u32::try_from(actions.all.len() - 1).unwrap_or(u32::MAX))
        });
        actions
    }

    /// The action of a request, by its operation's label and its method.
    #[must_use]
    pub fn find(&self, label: &str, method: &Method) -> ActionId {
        let of = |ids: &[ActionId; METHODS.len()]| {
            let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
            let at = METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1);
            ids.get(at).copied().unwrap_or(ActionId(0))
        };
        match self.labels.get(label) {
            Some(Entry::One(id)) => *id,
            Some(Entry::ByMethod(ids)) => of(ids),
            None => of(&self.unknown),
        }
    }

    /// All of them, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (ActionId, &Action)> {
        (0..).map(ActionId).zip(&self.all)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ActionId) -> Option<&Action> {
        self.all.get(id.index())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Never: what nothing names has actions, too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the contract declares any operation, so that what is not among them does not exist.
    #[must_use]
    pub fn are_declared(&self) -> bool {
        self.all.iter().any(|action| action.declared)
    }

    /// A whole path as it is below the base path.
    #[must_use]
    pub fn below<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(self.base_path.as_str()) {
            Some("") | None => "/",
            Some(below) => below,
        }
    }
}
