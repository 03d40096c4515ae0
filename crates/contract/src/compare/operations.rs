//! Operations, who may call them, their parameters, bodies and responses.

use std::collections::HashMap;

use bartizan_model::{compile::SecurityAlternative, diagnostic::Place};

use super::{
    Change, Comparison, Effect,
    schemas::{Direction, compare as compare_schemas},
};
use crate::form::{Media, Operation, Parameter, ParameterValue, ResponseStatus};

/// Method and path without the names of parameters.
fn key(operation: &Operation) -> (String, String) {
    let mut shape = String::new();
    let mut inside = false;
    for character in operation.template.as_str().chars() {
        match character {
            '{' => inside = true,
            '}' => {
                inside = false;
                shape.push_str("{}");
            }
            other if !inside => shape.push(other),
            _ => {}
        }
    }
    (operation.method.to_string(), shape)
}

pub(super) fn compare(comparison: &mut Comparison<'_>) {
    let (old, new) = (comparison.old, comparison.new);
    let known: HashMap<_, _> = new.operations.iter().map(|operation| (key(operation), operation)).collect();
    let before: HashMap<_, _> = old.operations.iter().map(|operation| (key(operation), operation)).collect();
    for operation in &old.operations {
        match known.get(&key(operation)) {
            Some(other) => One { comparison, old: operation, new: other }.compare(),
            None => comparison.push(Change {
                kind: "operation-removed",
                breaking: true,
                security: None,
                operation: operation.spec.label.to_string(),
                message: format!("`{}` is gone", operation.spec.label),
                old: operation.place.clone(),
                new: None,
            }),
        }
    }
    for operation in new.operations.iter().filter(|operation| !before.contains_key(&key(operation))) {
        let open = operation
            .spec
            .security
            .as_ref()
            .is_none_or(|all| all.is_empty() || all.iter().any(Vec::is_empty));
        comparison.push(Change {
            kind: "operation-added",
            breaking: false,
            security: open.then_some(Effect::Loosened),
            operation: operation.spec.label.to_string(),
            message: match open {
                true => format!("`{}` is new, and anybody may call it", operation.spec.label),
                false => format!("`{}` is new", operation.spec.label),
            },
            old: None,
            new: operation.place.clone(),
        });
    }
}

/// One operation of both versions.
struct One<'c, 'a> {
    comparison: &'c mut Comparison<'a>,
    old: &'c Operation,
    new: &'c Operation,
}

impl One<'_, '_> {
    fn say(
        &mut self,
        kind: &'static str,
        breaking: bool,
        security: Option<Effect>,
        message: String,
        (old, new): (Option<&Place>, Option<&Place>),
    ) {
        let operation = self.old.spec.label.to_string();
        let (old, new) = (old.cloned(), new.cloned());
        self.comparison.push(Change { kind, breaking, security, operation, message, old, new });
    }

    fn places<'p>(old: &'p Option<Place>, new: &'p Option<Place>) -> (Option<&'p Place>, Option<&'p Place>) {
        (old.as_ref(), new.as_ref())
    }

    fn compare(mut self) {
        let (old, new) = (self.old, self.new);
        let places = Self::places(&old.place, &new.place);
        if !old.deprecated && new.deprecated {
            self.say("operation-deprecated", false, None, "the operation is deprecated".to_owned(), places);
        }
        if old.opaque || new.opaque {
            return;
        }
        self.security();
        self.parameters();
        self.bodies();
        self.responses();
    }

    fn security(&mut self) {
        let (old, new) = (self.old, self.new);
        let places = Self::places(&old.place, &new.place);
        // Whoever does not say lets everybody in, as an empty alternative does.
        let ways = |operation: &Operation| match &operation.spec.security {
            Some(all) if !all.is_empty() => all.clone(),
            _ => vec![SecurityAlternative::new()],
        };
        let (before, after) = (ways(old), ways(new));
        for way in after.iter().filter(|way| !before.iter().any(|other| demands(way, other))) {
            let message = format!("callers are let in with {}, which did not suffice", shown(way));
            self.say("security-loosened", false, Some(Effect::Loosened), message, places);
        }
        for way in before.iter().filter(|way| !after.iter().any(|other| demands(way, other))) {
            let message = format!("{} does not suffice any more", shown(way));
            self.say("security-tightened", true, Some(Effect::Tightened), message, places);
        }
    }

    fn parameters(&mut self) {
        let (old, new) = (self.old, self.new);
        let same = |one: &Parameter, other: &Parameter| {
            // Parameters of the path are known by their position.
            one.location == other.location && one.name == other.name
        };
        let positions: HashMap<&str, &str> =
            old.template.parameters().zip(new.template.parameters()).collect();
        for parameter in &old.parameters {
            let found = new.parameters.iter().find(|other| {
                same(parameter, other)
                    || parameter.location == crate::form::Location::Path
                        && other.location == crate::form::Location::Path
                        && positions.get(&*parameter.name) == Some(&&*other.name)
            });
            let what = format!("the {} parameter `{}`", parameter.location.as_str(), parameter.name);
            let Some(found) = found else {
                let places = (parameter.place.as_ref(), new.place.as_ref());
                self.say(
                    "parameter-removed",
                    true,
                    Some(Effect::Tightened),
                    format!("{what} is gone"),
                    places,
                );
                continue;
            };
            let places = Self::places(&parameter.place, &found.place);
            if found.required && !parameter.required {
                let message = format!("{what} must be sent now");
                self.say("parameter-required", true, Some(Effect::Tightened), message, places);
            } else if !found.required && parameter.required {
                let message = format!("{what} may be left out now");
                self.say("parameter-optional", false, Some(Effect::Loosened), message, places);
            }
            if (found.style, found.explode) != (parameter.style, parameter.explode) {
                self.say(
                    "parameter-style",
                    true,
                    None,
                    format!("{what} is written in another style"),
                    places,
                );
            }
            match (&parameter.value, &found.value) {
                (ParameterValue::Schema(before), ParameterValue::Schema(after)) => {
                    compare_schemas(self.comparison, old, &what, (before, after), Direction::Request);
                }
                (ParameterValue::Content(before), ParameterValue::Content(after)) => {
                    self.media(
                        &what,
                        std::slice::from_ref(before),
                        std::slice::from_ref(after),
                        Direction::Request,
                    );
                }
                (ParameterValue::Anything, ParameterValue::Anything) => {}
                (ParameterValue::Anything, _) => {
                    let message = format!("{what} has a schema now");
                    self.say("request-narrowed", true, Some(Effect::Tightened), message, places);
                }
                (_, ParameterValue::Anything) => {
                    let message = format!("{what} has no schema any more");
                    self.say("request-widened", false, Some(Effect::Loosened), message, places);
                }
                _ => self.say(
                    "parameter-style",
                    true,
                    None,
                    format!("{what} is written in another way"),
                    places,
                ),
            }
        }
        for parameter in &new.parameters {
            if parameter.location == crate::form::Location::Path
                || old.parameters.iter().any(|other| same(other, parameter))
            {
                continue;
            }
            let what = format!("the {} parameter `{}`", parameter.location.as_str(), parameter.name);
            let places = (old.place.as_ref(), parameter.place.as_ref());
            let (kind, message) = match parameter.required {
                true => ("parameter-required", format!("{what} is new and must be sent")),
                false => ("parameter-added", format!("{what} is new")),
            };
            let effect = if parameter.required { Effect::Tightened } else { Effect::Loosened };
            self.say(kind, parameter.required, Some(effect), message, places);
        }
    }

    fn bodies(&mut self) {
        let (old, new) = (self.old, self.new);
        match (&old.body, &new.body) {
            (None, None) => {}
            (None, Some(body)) => {
                let places = (old.place.as_ref(), body.place.as_ref());
                let (kind, effect) = match body.required {
                    true => ("body-required", Effect::Tightened),
                    false => ("body-added", Effect::Loosened),
                };
                let message = format!("a body {} be sent", if body.required { "must" } else { "may" });
                self.say(kind, body.required, Some(effect), message, places);
            }
            (Some(body), None) => {
                let places = (body.place.as_ref(), new.place.as_ref());
                let message = "there is no body any more".to_owned();
                self.say("body-removed", true, Some(Effect::Tightened), message, places);
            }
            (Some(before), Some(after)) => {
                let places = Self::places(&before.place, &after.place);
                if after.required && !before.required {
                    let message = "the body must be sent now".to_owned();
                    self.say("body-required", true, Some(Effect::Tightened), message, places);
                }
                self.media("the body", &before.media, &after.media, Direction::Request);
            }
        }
    }

    fn media(&mut self, what: &str, old: &[Media], new: &[Media], direction: Direction) {
        for before in old {
            let Some(after) = new.iter().find(|after| after.range == before.range) else {
                let covered = new.iter().any(|after| after.range.contains(before.range.essence()));
                let message = format!("{what} is not `{}` any more", before.range);
                let effect = (direction == Direction::Request).then_some(Effect::Tightened);
                self.say("media-removed", !covered, effect, message, (before.place.as_ref(), None));
                continue;
            };
            let what = format!("{what} (`{}`)", before.range);
            for (before, after) in
                [(&before.schema, &after.schema), (&before.item_schema, &after.item_schema)]
            {
                match (before, after) {
                    (Some(before), Some(after)) => {
                        compare_schemas(self.comparison, self.old, &what, (before, after), direction);
                    }
                    (None, Some(after)) if direction == Direction::Request => {
                        let place = self.comparison.new.schemas.place(after);
                        let message = format!("{what} has a schema now");
                        self.say(
                            "request-narrowed",
                            true,
                            Some(Effect::Tightened),
                            message,
                            (None, place.as_ref()),
                        );
                    }
                    (Some(before), None) => {
                        let place = self.comparison.old.schemas.place(before);
                        let message = format!("{what} has no schema any more");
                        let (kind, breaking) = match direction {
                            Direction::Request => ("request-widened", false),
                            Direction::Response => ("response-widened", true),
                        };
                        self.say(kind, breaking, Some(Effect::Loosened), message, (place.as_ref(), None));
                    }
                    _ => {}
                }
            }
        }
        for after in new.iter().filter(|after| !old.iter().any(|before| before.range == after.range)) {
            let message = format!("{what} may be `{}`", after.range);
            self.say("media-added", false, Some(Effect::Loosened), message, (None, after.place.as_ref()));
        }
    }

    fn responses(&mut self) {
        let (old, new) = (self.old, self.new);
        for before in &old.responses {
            let name = match before.status {
                ResponseStatus::Exact(status) => status.to_string(),
                ResponseStatus::Class(class) => format!("{class}XX"),
                ResponseStatus::Default => "default".to_owned(),
            };
            let what = format!("the response `{name}`");
            let Some(after) = new.responses.iter().find(|after| after.status == before.status) else {
                let success =
                    matches!(before.status, ResponseStatus::Exact(200..=299) | ResponseStatus::Class(2));
                let places = (before.place.as_ref(), new.place.as_ref());
                self.say("response-removed", success, None, format!("{what} is gone"), places);
                continue;
            };
            let places = Self::places(&before.place, &after.place);
            for header in before.headers.iter().filter(|header| header.required) {
                let kept = after.headers.iter().any(|other| other.name == header.name && other.required);
                if !kept {
                    let message = format!("{what} has no header `{}` for sure any more", header.name);
                    self.say("header-removed", true, None, message, places);
                }
            }
            self.media(&what, &before.media, &after.media, Direction::Response);
        }
    }
}

/// Whether one way in demands all that another demands.
fn demands(one: &SecurityAlternative, other: &SecurityAlternative) -> bool {
    other.iter().all(|wanted| {
        one.iter().any(|demand| {
            demand.scheme == wanted.scheme && wanted.names.iter().all(|name| demand.names.contains(name))
        })
    })
}

fn shown(way: &SecurityAlternative) -> String {
    if way.is_empty() {
        return "no credential".to_owned();
    }
    let one = |demand: &bartizan_model::compile::SchemeDemand| match demand.names.is_empty() {
        true => format!("`{}`", demand.scheme),
        false => format!("`{}` ({})", demand.scheme, demand.names.join(", ")),
    };
    way.iter().map(one).collect::<Vec<_>>().join(" and ")
}
