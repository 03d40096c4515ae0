//! One condition without copies: values are looked at where they lie, and transformed in buffers that are used again.

use smallvec::SmallVec;

use crate::{
    engine::{
        live::Live,
        values::{View, each},
        walk::Look,
    },
    lang::{Condition, Link, Selector, Target},
    variables::Variable,
};

/// Looks at one condition; whether any value matched. Each match has its effects at once.
pub(in crate::engine) fn holds(
    look: &mut Look<'_>,
    link: &Link,
    condition: &Condition,
    live: &mut Live,
) -> bool {
    let mut found = false;
    for target in &condition.targets.included {
        found |= match (target.count, target.variable, &target.selector) {
            (true, ..) => counted(look, link, condition, target, live),
            (false, Variable::Tx, Selector::Name(name)) => {
                let value = live.tx.get(name).map(SmallVec::<[u8; 64]>::from_slice);
                value.is_some_and(|value| {
                    !look.excludes(condition, live, Variable::Tx, name)
                        && form(look, link, condition, (Variable::Tx, name), &value, live)
                })
            }
            _ => valued(look, link, condition, target, live),
        };
    }
    found
}

fn counted(
    look: &mut Look<'_>,
    link: &Link,
    condition: &Condition,
    target: &Target,
    live: &mut Live,
) -> bool {
    let mut count = 0usize;
    let variable = target.variable;
    if let (Variable::Tx, Selector::Name(name)) = (variable, &target.selector) {
        let exists = live.tx.get(name).is_some() && !look.excludes(condition, live, variable, name);
        count = usize::from(exists);
    } else {
        let exchange = look.exchange;
        let fixed = each(exchange, target, |name, alias, _| {
            let excluded = look.excludes(condition, live, variable, name)
                || alias.is_some_and(|alias| look.excludes(condition, live, variable, alias));
            count += usize::from(!excluded);
        });
        if !fixed {
            let values = View { exchange, live, rules: look.rules }.values(target);
            count =
                values.iter().filter(|value| !look.excludes(condition, live, variable, &value.name)).count();
        }
    }
    let name: &[u8] = match &target.selector {
        Selector::Name(name) => name,
        _ => b"",
    };
    let mut digits = SmallVec::<[u8; 20]>::new();
    loop {
        digits.insert(0, b'0' + u8::try_from(count % 10).unwrap_or_default());
        count /= 10;
        if count == 0 {
            break;
        }
    }
    form(look, link, condition, (variable, name), &digits, live)
}

fn valued(look: &mut Look<'_>, link: &Link, condition: &Condition, target: &Target, live: &mut Live) -> bool {
    let mut found = false;
    let variable = target.variable;
    let exchange = look.exchange;
    let fixed = each(exchange, target, |name, alias, bytes| {
        let excluded = look.excludes(condition, live, variable, name)
            || alias.is_some_and(|alias| look.excludes(condition, live, variable, alias));
        if !excluded {
            found |= form(look, link, condition, (variable, name), bytes, live);
        }
    });
    if !fixed {
        let values = View { exchange, live, rules: look.rules }.values(target);
        for value in values {
            let mut names = [Some(&*value.name), value.alias].into_iter().flatten();
            if !names.any(|name| look.excludes(condition, live, variable, name)) {
                found |= form(look, link, condition, (variable, &value.name), &value.bytes, live);
            }
        }
    }
    found
}

/// Tests the last form of a value, or with `multiMatch` every form that differs from the one before.
fn form(
    look: &mut Look<'_>,
    link: &Link,
    condition: &Condition,
    name: (Variable, &[u8]),
    bytes: &[u8],
    live: &mut Live,
) -> bool {
    if condition.transformations.is_empty() {
        return look.test(link, condition, name, bytes, live);
    }
    let mut found = false;
    let mut current = look.buffers.pop().unwrap_or_default();
    let mut next = look.buffers.pop().unwrap_or_default();
    let mut changed = false;
    for step in condition.transformations.iter() {
        let before = if changed { &current } else { bytes };
        look.operator.work.charge(before.len(), 1);
        if step.apply(before, &mut next) {
            if link.multi_match {
                let before = if changed { &current } else { bytes };
                found |= look.test(link, condition, name, before, live);
            }
            std::mem::swap(&mut current, &mut next);
            changed = true;
        }
    }
    found |= look.test(link, condition, name, if changed { &current } else { bytes }, live);
    look.buffers.push(current);
    look.buffers.push(next);
    found
}
