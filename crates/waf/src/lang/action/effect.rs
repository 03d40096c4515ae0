//! What each match of a rule does besides stopping anything: `setvar`, `initcol`, `ctl` and their like.

use std::sync::Arc;

use super::{
    control::{self, Control},
    list::Action,
};
use crate::{
    lang::{source::Fault, target::Target, text::Text},
    variables::Variable,
};

/// How `setvar` changes a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `=value`.
    Set(Text),
    /// `=+value`.
    Add(Text),
    /// `=-value`.
    Subtract(Text),
    /// `!name`.
    Remove,
}

/// What a client is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `setsid`: opens `SESSION`.
    Session,
    /// `setuid`: opens `USER`.
    User,
    /// `setrsc`: opens `RESOURCE`.
    Resource,
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// `setvar`, on `TX` or a stored collection.
    SetVar {
        /// Which collection.
        collection: Variable,
        /// Which part of it.
        name: Text,
        /// How.
        change: Change,
    },
    /// `expirevar`: a stored variable ends some seconds from now.
    ExpireVar {
        /// Which collection.
        collection: Variable,
        /// Which part of it.
        name: Text,
        /// Seconds.
        seconds: Text,
    },
    /// `deprecatevar`: a stored number falls by `amount` every `seconds`.
    DeprecateVar {
        /// Which collection.
        collection: Variable,
        /// Which part of it.
        name: Text,
        /// How much.
        amount: u64,
        /// How often.
        seconds: u64,
    },
    /// `initcol`: opens a stored collection.
    InitCollection {
        /// Which collection.
        collection: Variable,
        /// Whose.
        key: Text,
    },
    /// `setsid`, `setuid`, `setrsc`.
    Identify(Identity, Text),
    /// `setenv`: seen by later rules as `ENV`.
    SetEnv {
        /// The name.
        name: Text,
        /// The value; none removes it.
        value: Option<Text>,
    },
    /// `ctl`.
    Control(Box<Control>),
    /// `ctl:ruleRemoveBy..`, once it is known which rules that are: their indices, ascending.
    RemoveRules(Arc<[usize]>),
    /// `ctl:ruleRemoveTargetBy..`, once it is known which rules that are: their indices, ascending.
    RemoveTarget(Arc<[usize]>, Target),
    /// `sanitiseArg` and its like: findings never show values, so there is nothing left to do.
    Sanitise,
}

/// Reads an effect; `None` where `name`, in lower case, is none.
pub(super) fn parse(name: &str, action: &Action) -> Result<Option<Effect>, Fault> {
    Ok(Some(match name {
        "setvar" => set_var(action)?,
        "expirevar" => {
            let (collection, name, seconds) = assigned(action)?;
            Effect::ExpireVar { collection, name, seconds: Text::parse(seconds, 0)? }
        }
        "deprecatevar" => deprecate_var(action)?,
        "initcol" => {
            let Some((name, key)) = action.value()?.split_once('=') else {
                return Err(action.wrong("write `initcol:ip=%{REMOTE_ADDR}`"));
            };
            Effect::InitCollection { collection: stored(name.trim())?, key: Text::parse(key.trim(), 0)? }
        }
        "setsid" => Effect::Identify(Identity::Session, action.text()?),
        "setuid" => Effect::Identify(Identity::User, action.text()?),
        "setrsc" => Effect::Identify(Identity::Resource, action.text()?),
        "setenv" => match action.value()?.split_once('=') {
            Some((name, value)) => {
                Effect::SetEnv { name: Text::parse(name, 0)?, value: Some(Text::parse(value, 0)?) }
            }
            None => Effect::SetEnv {
                name: Text::parse(action.value()?.trim_start_matches('!'), 0)?,
                value: (!action.value()?.starts_with('!')).then(|| Text::literal(b"1")),
            },
        },
        "ctl" => Effect::Control(Box::new(control::parse(action)?)),
        "sanitisearg"
        | "sanitiserequestheader"
        | "sanitiseresponseheader"
        | "sanitizearg"
        | "sanitizerequestheader"
        | "sanitizeresponseheader" => {
            action.value()?;
            Effect::Sanitise
        }
        "sanitisematched" | "sanitisematchedbytes" | "sanitizematched" | "sanitizematchedbytes" => {
            Effect::Sanitise
        }
        "xmlns" => {
            let known = action
                .value()?
                .split_once('=')
                .is_some_and(|(prefix, uri)| !prefix.is_empty() && !uri.is_empty());
            if !known {
                return Err(action.wrong("write `xmlns:prefix=uri`"));
            }
            Effect::Sanitise
        }
        _ => return Ok(None),
    }))
}

fn set_var(action: &Action) -> Result<Effect, Fault> {
    let text = action.value()?;
    if let Some(removed) = text.strip_prefix('!') {
        let (collection, name) = part(action, removed.trim())?;
        return Ok(Effect::SetVar { collection, name, change: Change::Remove });
    }
    let Some((_, value)) = equals(text) else {
        // Without a value it is a flag.
        let (collection, name) = part(action, text.trim())?;
        return Ok(Effect::SetVar { collection, name, change: Change::Set(Text::literal(b"1")) });
    };
    let (collection, name, _) = assigned(action)?;
    let value = value.trim_start();
    let change = match value.as_bytes().first() {
        Some(b'+') => Change::Add(Text::parse(value.get(1..).unwrap_or_default().trim(), 0)?),
        Some(b'-') => Change::Subtract(Text::parse(value.get(1..).unwrap_or_default().trim(), 0)?),
        _ => Change::Set(Text::parse(value, 0)?),
    };
    Ok(Effect::SetVar { collection, name, change })
}

fn deprecate_var(action: &Action) -> Result<Effect, Fault> {
    let (collection, name, rate) = assigned(action)?;
    let numbers = rate.split_once('/').and_then(|(amount, seconds)| {
        Some((amount.trim().parse().ok()?, seconds.trim().parse().ok().filter(|seconds| *seconds > 0)?))
    });
    let Some((amount, seconds)) = numbers else {
        return Err(
            action.wrong("write `deprecatevar:session.score=60/300`: by how much, every how many seconds")
        );
    };
    if !collection.is_stored() {
        return Err(action.wrong("only stored collections fade: name one, such as `SESSION`"));
    }
    Ok(Effect::DeprecateVar { collection, name, amount, seconds })
}

/// The first `=` outside of macros.
fn equals(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// `collection.name=value`.
fn assigned(action: &Action) -> Result<(Variable, Text, &str), Fault> {
    let text = action.value()?;
    let Some((target, value)) = equals(text) else {
        return Err(action.wrong(&format!("write `{}:tx.name=value`", action.name)));
    };
    let (collection, name) = part(action, target.trim())?;
    Ok((collection, name, value))
}

/// `collection.name`.
fn part(action: &Action, text: &str) -> Result<(Variable, Text), Fault> {
    let Some((collection, name)) = text.split_once(['.', ':']).filter(|(_, name)| !name.is_empty()) else {
        return Err(action.wrong(&format!("name a part of a collection: `{}:tx.name`", action.name)));
    };
    let collection = match Variable::by_name(collection.trim()) {
        Some(Variable::Tx) => Variable::Tx,
        _ => stored(collection.trim())?,
    };
    Ok((collection, Text::parse(name.trim(), 0)?))
}

fn stored(name: &str) -> Result<Variable, Fault> {
    Variable::by_name(name).filter(|variable| variable.is_stored()).ok_or_else(|| {
        Fault::new(
            format!("`{name}` is no collection that rules can write"),
            "write `TX`, or one of the stored `IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`",
        )
    })
}
