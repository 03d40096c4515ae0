//! Where settings were written, for whoever speaks of a policy after it was compiled.

use std::collections::BTreeMap;

use bartizan_contract::tree::Node;
use bartizan_model::diagnostic::Place;

use crate::{routing::Block, source::Sources};

/// Places of settings: of the document, of its APIs, of their operation blocks.
#[derive(Clone, Debug, Default)]
pub struct Places {
    document: BTreeMap<String, Place>,
    apis: BTreeMap<String, Api>,
}

#[derive(Clone, Debug, Default)]
struct Api {
    own: BTreeMap<String, Place>,
    /// By label, `POST /login`.
    blocks: BTreeMap<String, BTreeMap<String, Place>>,
}

/// Settings of the document that somebody may be sent to.
const OF_DOCUMENT: [&str; 4] = ["trusted_proxies", "issuers", "bounds", "admin"];

/// The same of an API and of a block.
const OF_BLOCK: [&str; 6] =
    ["identity", "mode", "unknown_operations", "allow_override_headers", "contract", "inherit"];

impl Places {
    /// The places of a merged document.
    pub(crate) fn of(tree: &Node, sources: &Sources) -> Self {
        let mut places = Places::default();
        for key in OF_DOCUMENT {
            if let Some(place) = tree.entry(key).and_then(|entry| sources.place(entry.key_span)) {
                places.document.insert(key.to_owned(), place);
            }
        }
        for api in tree.get("apis").map(Node::items).unwrap_or_default() {
            let Some(name) = api.get("name").and_then(Node::as_str) else { continue };
            let mut blocks = BTreeMap::new();
            for block in api.get("operations").map(Node::items).unwrap_or_default() {
                let label =
                    block.get("match").and_then(Node::as_str).and_then(|text| Block::parse(text).ok());
                if let Some(label) = label.map(|block| block.label) {
                    blocks.insert(label, settings(block, sources));
                }
            }
            let mut own = settings(api, sources);
            own.extend(sources.place(api.span).map(|place| (String::new(), place)));
            places.apis.insert(name.to_owned(), Api { own, blocks });
        }
        places
    }

    /// Where a setting of the document stands.
    #[must_use]
    pub fn document(&self, key: &str) -> Option<&Place> {
        self.document.get(key)
    }

    /// Where a setting stands: in the first of the blocks of these labels that has it, else in the API itself. Keys are
    /// `mode`, `identity`, `identity.mode`, `rate_limit`, `rate_limit.mode` and the like.
    #[must_use]
    pub fn written(&self, api: &str, blocks: &[&str], key: &str) -> Option<&Place> {
        let api = self.apis.get(api)?;
        let levels = blocks.iter().filter_map(|label| api.blocks.get(*label)).chain([&api.own]);
        levels.filter_map(|settings| settings.get(key)).next()
    }

    /// Where the first of `keys` that is written at all stands, else the API.
    #[must_use]
    pub fn setting(&self, api: &str, blocks: &[&str], keys: &[&str]) -> Option<&Place> {
        let found = keys.iter().find_map(|key| self.written(api, blocks, key));
        found.or_else(|| self.apis.get(api)?.own.get(""))
    }
}

/// The settings of an API or a block.
fn settings(node: &Node, sources: &Sources) -> BTreeMap<String, Place> {
    let mut found = BTreeMap::new();
    let mut add = |key: String, entry: Option<&bartizan_contract::tree::Entry>| {
        found.extend(entry.and_then(|entry| sources.place(entry.key_span)).map(|place| (key, place)));
    };
    for key in OF_BLOCK {
        add(key.to_owned(), node.entry(key));
    }
    for key in ["mode", "anonymous"] {
        add(format!("identity.{key}"), node.get("identity").and_then(|identity| identity.entry(key)));
    }
    for guard in node.get("guards").map(Node::entries).unwrap_or_default() {
        add(guard.key.clone(), Some(guard));
        // A mode alone may stand for the whole block.
        let alone = guard.value.as_str().is_some().then_some(guard);
        add(format!("{}.mode", guard.key), guard.value.entry("mode").or(alone));
    }
    found
}
