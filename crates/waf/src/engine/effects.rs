//! What matches do: variables set, collections opened, settings of the inspection changed.

use super::{exchange::Exchange, live::Live, tuning::Part, values::View};
use crate::{
    lang::{Change, Control, Effect, EngineMode, Identity, RuleSet},
    operator::number,
    variables::{CollectionKey, StoredChange, Variable},
};

/// How many collections one inspection may open: rules name a handful.
const MAX_OPENED: usize = 64;
/// The longest key of a collection, bytes: addresses, sessions and names of users are shorter.
const MAX_KEY: usize = 1024;

pub(super) fn apply(effect: &Effect, exchange: &Exchange, live: &mut Live, rules: &RuleSet) {
    match effect {
        Effect::SetVar { collection, name, change } => {
            let view = View { exchange, live, rules };
            let name = view.expand_short(name);
            if *collection == Variable::Tx {
                match change {
                    Change::Set(value) => {
                        let value = view.expand_short(value);
                        live.tx.set(&name, &value);
                    }
                    Change::Add(value) => {
                        let amount = number(&view.expand(value));
                        add(live, &name, amount);
                    }
                    Change::Subtract(value) => {
                        let amount = number(&view.expand(value)).saturating_neg();
                        add(live, &name, amount);
                    }
                    Change::Remove => live.tx.remove(&name),
                }
                return;
            }
            let change = match change {
                Change::Set(value) => StoredChange::Set(view.expand(value).into_owned()),
                Change::Add(value) => StoredChange::Add(number(&view.expand(value))),
                Change::Subtract(value) => StoredChange::Add(number(&view.expand(value)).saturating_neg()),
                Change::Remove => StoredChange::Remove,
            };
            set_stored(live, *collection, &name, &change);
        }
        Effect::ExpireVar { collection, name, seconds } => {
            let name = View { exchange, live, rules }.expand(name);
            let seconds =
                u64::try_from(number(&View { exchange, live, rules }.expand(seconds))).unwrap_or_default();
            let at = (live.context.now / 1000).saturating_add(seconds);
            set_stored(live, *collection, &name, &StoredChange::Expire(at));
        }
        Effect::DeprecateVar { collection, name, amount, seconds } => {
            let name = View { exchange, live, rules }.expand(name);
            let change = StoredChange::Fade { amount: *amount, seconds: *seconds };
            set_stored(live, *collection, &name, &change);
        }
        Effect::InitCollection { collection, key } => {
            let key = View { exchange, live, rules }.expand(key).into_owned();
            open(live, rules, *collection, key);
        }
        Effect::Identify(identity, key) => {
            let key = View { exchange, live, rules }.expand(key).into_owned();
            match identity {
                Identity::Session => {
                    live.session_id.clone_from(&key);
                    open(live, rules, Variable::Session, key);
                }
                Identity::User => {
                    live.user_id.clone_from(&key);
                    open(live, rules, Variable::User, key);
                }
                Identity::Resource => open(live, rules, Variable::Resource, key),
            }
        }
        Effect::SetEnv { name, value } => {
            let name = View { exchange, live, rules }.expand(name).into_owned();
            match value {
                Some(value) => {
                    let value = View { exchange, live, rules }.expand(value).into_owned();
                    live.env.set(&name, &value);
                }
                None => live.env.remove(&name),
            }
        }
        Effect::Control(control) => self::control(control, live),
        Effect::RemoveRules(gone) => live.removed.rules(gone, rules.rules.len()),
        Effect::RemoveTarget(of, target) => live.removed.part(of, &Part::from(target.clone())),
        Effect::Sanitise => {}
    }
}

/// Adds to the number that a variable of the inspection is. What a rule that only watches would add to a score counts
/// nowhere.
fn add(live: &mut Live, name: &[u8], amount: i64) {
    if name.windows(b"anomaly_score".len()).any(|part| part.eq_ignore_ascii_case(b"anomaly_score")) {
        live.score = live.score.saturating_add(amount);
        if live.rule.is_some_and(|rule| live.tuning.is_watched(rule)) {
            return;
        }
    }
    let after = live.tx.get(name).map_or(0, number).saturating_add(amount);
    live.tx.set(name, after.to_string().as_bytes());
}

fn set_stored(live: &Live, kind: Variable, name: &[u8], change: &StoredChange) {
    if let (Some(collections), Some(key)) = (live.collections(), live.collection(kind)) {
        collections.change(key, name, change, live.context.now / 1000);
    }
}

fn open(live: &mut Live, rules: &RuleSet, kind: Variable, key: Vec<u8>) {
    // What is longer is told apart by its beginning.
    let key = CollectionKey { kind, key: key.get(..MAX_KEY).unwrap_or(&key).into() };
    if key.key.is_empty() || live.opened.len() >= MAX_OPENED {
        return;
    }
    if let Some(collections) = live.collections() {
        collections.open(&key, rules.settings.collection_timeout, live.context.now / 1000);
    }
    live.opened.push(key);
}

fn control(control: &Control, live: &mut Live) {
    match control {
        Control::AuditEngine(mode) => live.audit = *mode,
        // Removals became effects of their own when the rules were loaded.
        Control::Log | Control::Remove(_) | Control::RemoveTarget(..) => {}
        Control::ForceRequestBodyVariable(on) => live.controls.force_request_body = *on,
        Control::ForceResponseBodyVariable(on) => live.controls.force_response_body = *on,
        Control::RequestBodyAccess(on) => live.controls.request_body_access = *on,
        Control::RequestBodyLimit(bytes) => live.controls.request_body_limit = *bytes,
        Control::RequestBodyProcessor(processor) => live.controls.request_processor = Some(*processor),
        Control::ResponseBodyAccess(on) => live.controls.response_body_access = *on,
        Control::ResponseBodyLimit(bytes) => live.controls.response_body_limit = *bytes,
        Control::ResponseBodyProcessor(processor) => live.controls.response_processor = Some(*processor),
        Control::RuleEngine(EngineMode::On) if live.only_detects => live.engine = EngineMode::DetectionOnly,
        Control::RuleEngine(mode) => live.engine = *mode,
        Control::ParseXmlIntoArgs(into) => live.controls.xml_into_args = *into,
    }
}
