//! One condition as it is written: every value of every target, transformed step by step. What every faster way is
//! measured against.

use super::{
    live::Live,
    values::{Value, View},
    walk::Look,
};
use crate::{
    lang::{Condition, Link, Selector},
    operator::Work,
};

/// Looks at one condition; whether any value matched. Each match has its effects at once.
pub(super) fn holds(look: &mut Look<'_>, link: &Link, condition: &Condition, live: &mut Live) -> bool {
    let mut found = false;
    for target in &condition.targets.included {
        let mut values = View { exchange: look.exchange, live, rules: look.rules }.values(target);
        values.retain(|value| {
            let mut names = [Some(&*value.name), value.alias].into_iter().flatten();
            !names.any(|name| look.excludes(condition, live, value.variable, name))
        });
        if target.count {
            let name = match &target.selector {
                Selector::Name(name) => name.to_vec(),
                _ => Vec::new(),
            };
            let bytes = values.len().to_string().into_bytes();
            values = vec![Value {
                variable: target.variable,
                name: name.into(),
                alias: None,
                bytes: bytes.into(),
            }];
        }
        for value in values {
            for seen in forms(condition, link.multi_match, &value, &mut look.operator.work) {
                found |= look.test(link, condition, (value.variable, &value.name), &seen, live);
            }
        }
    }
    found
}

/// What the operator sees of a value: its last form, or with `multiMatch` every form that differs from the one before.
fn forms(condition: &Condition, multi_match: bool, value: &Value<'_>, work: &mut Work) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let mut current = value.bytes.to_vec();
    let mut next = Vec::new();
    for transformation in condition.transformations.iter() {
        work.charge(current.len(), 1);
        if transformation.apply(&current, &mut next) {
            let before = std::mem::replace(&mut current, std::mem::take(&mut next));
            if multi_match {
                forms.push(before);
            }
        }
    }
    forms.push(current);
    forms
}
