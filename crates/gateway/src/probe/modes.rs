//! What the policy itself lets be: guards that only watch, that are off, or that single operations do not have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bartizan_guards::registry::Parts;
use bartizan_model::{Mode, diagnostic::Place, probe::Part};
use bartizan_policy::snapshot::{Api, Found};
use http::Method;

use super::{Level, Remark, plan::Target, run::Run};

/// A mounted guard that refuses nothing by policy, and the place of the pipeline where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowered {
    pub place: usize,
    pub part: Part,
}

/// The guards that everything has which no contract and no single block names: those of the API as a whole.
pub(super) fn whole(api: &Api) -> Option<Parts> {
    match api.operations.find(&Method::GET, &api.operations.undeclared_path()) {
        Found::Operation(operation) => Some(operation.guards.parts()),
        Found::MethodNotAllowed { operation, .. } => operation.map(|operation| operation.guards.parts()),
    }
}

/// What is told together: the code, the operations (all of them when `None`) and where the policy says it.
type Group = (&'static str, Option<BTreeSet<Arc<str>>>, Option<(String, u32, u32)>);

impl Run {
    /// Tells what is lowered, guards together that are lowered in one place of the policy.
    pub(super) fn modes(&mut self, api: &Arc<Api>, targets: &[Target], lowered: Vec<Lowered>) {
        let whole = whole(api);
        let mut by_guard: BTreeMap<(&'static str, &'static str, bool), Vec<&Target>> = BTreeMap::new();
        for Lowered { place, part } in lowered {
            let code = if part.mode == Mode::Off { "off" } else { "monitor" };
            let everywhere = whole.as_ref().is_some_and(|parts| parts.get(place) == Some(&part));
            let having = targets.iter().filter(|target| target.has(place, part));
            by_guard.entry((part.guard, code, everywhere)).or_default().extend(having);
        }
        // What the API mounts is measured against what it says itself: a block for everything hides it from all requests.
        let api_parts = api.operations.without_blocks().map(|operation| operation.guards.parts());
        for target in targets {
            for (part, above) in target.parts.iter().zip(api_parts.iter().flatten()) {
                if part.instance == 0 && above.instance != 0 && above.mode != Mode::Off {
                    by_guard.entry((part.guard, "not_mounted", false)).or_default().push(target);
                }
            }
        }
        let mut groups: BTreeMap<Group, (Vec<&'static str>, Option<Place>)> = BTreeMap::new();
        for ((guard, code, everywhere), targets) in by_guard {
            let place = self.lowered_at(api, guard, code, everywhere, &targets);
            let labels: BTreeSet<Arc<str>> =
                targets.iter().flat_map(|target| &target.labels).cloned().collect();
            let at = place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
            // What the API itself says concerns all of it, also where a block says more of the guard.
            let own = format!("{guard}.mode");
            let by_api = [own.as_str(), "mode"].iter().any(|key| {
                let written = self.active.snapshot.places.written(&api.name, &[], key);
                code != "not_mounted" && written.is_some() && written == place.as_ref()
            });
            let group = groups.entry((code, (!everywhere && !by_api).then_some(labels), at)).or_default();
            if !group.0.contains(&guard) {
                group.0.push(guard);
            }
            group.1 = place;
        }
        self.anonymous(api, api_parts.as_ref());
        for ((code, labels, _), (guards, place)) in groups {
            self.remark(lowered_remark(api, code, labels, guards, place));
        }
    }

    /// Nobody is asked who calls: no guard says that it asks, and whoever meant to have it asked should know.
    fn anonymous(&mut self, api: &Arc<Api>, api_parts: Option<&Parts>) {
        let mounted = |part: &Part| part.guard == "identity" && part.instance != 0;
        if api_parts.is_some_and(|parts| parts.iter().any(mounted)) {
            return;
        }
        let remark = Remark::new(
            Level::Note,
            "no_identity",
            "callers are not identified, except where a block says so",
            "add `identity: { accept: [..] }`, unless the API is for everybody",
        );
        let place = self.active.snapshot.places.setting(&api.name, &[], &[]).cloned();
        self.remark(remark.of(&api.name, "identity").at(place.as_ref()));
    }

    fn lowered_at(
        &self,
        api: &Api,
        guard: &str,
        code: &str,
        everywhere: bool,
        targets: &[&Target],
    ) -> Option<Place> {
        let sample = targets.iter().find_map(|target| target.samples.first());
        let blocks = match sample {
            Some((method, path)) if !everywhere => api.operations.blocks_of(method, path),
            // A block for everything may be what lowers it.
            _ => api.operations.blocks_of(&Method::GET, &api.operations.undeclared_path()),
        };
        let own = format!("{guard}.mode");
        let keys: &[&str] =
            if code == "not_mounted" { &["inherit", guard] } else { &[own.as_str(), "mode", guard] };
        self.active.snapshot.places.setting(&api.name, &blocks, keys).cloned()
    }
}

fn lowered_remark(
    api: &Arc<Api>,
    code: &'static str,
    labels: Option<BTreeSet<Arc<str>>>,
    guards: Vec<&'static str>,
    place: Option<Place>,
) -> Remark {
    let names: Vec<String> = guards.iter().map(|guard| format!("`{guard}`")).collect();
    let names = names.join(", ");
    let one = guards.len() == 1;
    let where_ = match &labels {
        None => "",
        Some(labels) if labels.len() == 1 => " on this operation",
        Some(_) => " on these operations",
    };
    let (what, remedy) = match code {
        "monitor" => (
            format!(
                "{names} only {}{where_}: what {} is forwarded, with a finding",
                if one { "watches" } else { "watch" },
                if one { "it would refuse" } else { "they would refuse" }
            ),
            "write `mode: enforce` once their findings are understood, or accept it by `--allow-monitor`",
        ),
        "off" => (
            format!(
                "{names} {} written and off{where_}: nothing is refused, nothing is found",
                if one { "is" } else { "are" }
            ),
            "write `mode: enforce`, or remove the block; `--allow-monitor` accepts it",
        ),
        _ => (
            format!("{names} {} mounted by the API and not{where_}", if one { "is" } else { "are" }),
            "remove `inherit: false`, or repeat the guards in the block; `--allow-monitor` accepts it",
        ),
    };
    let mut remark = Remark::new(Level::Finding, code, what, remedy);
    remark.api = Some(Arc::clone(&api.name));
    remark.guards = guards;
    let remark = remark.at(place.as_ref());
    match &labels {
        Some(labels) => remark.on(labels),
        None => remark,
    }
}
