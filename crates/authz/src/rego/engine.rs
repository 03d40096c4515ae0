//! Modules of Rego: read and checked whole, asked per exchange.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bartizan_model::{Diagnostic, Diagnostics, diagnostic::Place};
use regorus::{Engine, Value, utils::limits::ExecutionTimerConfig};

use super::{
    RegoJudged, input,
    rules::{self, Definition, Effect},
};
use crate::cedar::{Facts, PolicyText};

/// How long one decision may take: rules may multiply what they are given, and nothing may hold up a thread.
const LONGEST: Duration = Duration::from_millis(50);

/// Steps between two looks at the clock.
const STEPS: NonZeroU32 = match NonZeroU32::new(256) {
    Some(steps) => steps,
    None => NonZeroU32::MIN,
};

/// Characters of a message that are told.
const MAX_MESSAGE: usize = 200;

/// The modules of an API.
pub struct Rego {
    /// Prepared; each decision works on a copy, which shares the modules.
    engine: Mutex<Engine>,
    packages: Vec<Package>,
    needs_body: bool,
}

/// What one file defines.
struct Package {
    /// `data.bank`.
    path: String,
    file: Arc<str>,
    definitions: Vec<Definition>,
}

impl Rego {
    /// Reads files of rules.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and remedy.
    pub fn load(files: &[PolicyText<'_>]) -> Result<Self, Diagnostics> {
        let mut report = Diagnostics::new();
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        let mut packages: Vec<Package> = Vec::new();
        for file in files {
            match read(file, &mut engine) {
                Ok(package) => packages.push(package),
                Err(diagnostic) => report.push(diagnostic),
            }
        }
        if report.has_errors() {
            return Err(report);
        }
        // What no file alone shows: names that lead nowhere, rules that contradict each other in kind.
        engine.set_input(Value::new_object());
        for package in &packages {
            for effect in package.effects() {
                if let Err(error) = engine.eval_rule(format!("{}.{}", package.path, effect.name())) {
                    report.push(told(&error.to_string(), &package.file));
                }
            }
        }
        if report.has_errors() {
            return Err(report);
        }
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: LONGEST, check_interval: STEPS });
        let needs_body = files.iter().any(|file| file.text.contains("body"));
        Ok(Rego { engine: Mutex::new(engine), packages, needs_body })
    }

    /// Whether the rules read the request's body: whether the word stands in them.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// What the rules say of a request.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> RegoJudged {
        let failed = |why: String| RegoJudged { error: Some(why), ..RegoJudged::default() };
        let document = match input::document(facts, self.needs_body) {
            Ok(document) => document,
            Err(why) => return failed(why),
        };
        let input = match Value::from_json_str(&document) {
            Ok(input) => input,
            Err(error) => return failed(last_line(&error.to_string()).to_owned()),
        };
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        engine.set_input(input);
        let mut judged = RegoJudged::default();
        for package in &self.packages {
            if let Err(why) = package.judge(&mut engine, &mut judged) {
                let why = format!("{}: {}", package.file, last_line(&why));
                return failed(why);
            }
        }
        if !judged.forbids.is_empty() {
            judged.permits.clear();
        }
        judged
    }
}

impl Package {
    /// The effects that it has rules for.
    fn effects(&self) -> impl Iterator<Item = Effect> {
        let has = |effect: &Effect| self.definitions.iter().any(|one| one.effect == *effect);
        [Effect::Allow, Effect::Deny].into_iter().filter(has)
    }

    fn judge(&self, engine: &mut Engine, judged: &mut RegoJudged) -> Result<(), String> {
        for effect in self.effects() {
            let value = eval(engine, &format!("{}.{}", self.path, effect.name()))?;
            let Some(message) = holds(&value, effect)? else { continue };
            let into = match effect {
                Effect::Allow => &mut judged.permits,
                Effect::Deny => &mut judged.forbids,
            };
            let told = |line: u32, message: Option<String>| {
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                Arc::from(format!("rule `{}` ({}:{line}){message}", effect.name(), self.file))
            };
            let before = into.len();
            for definition in self.definitions.iter().filter(|one| one.effect == effect) {
                let Some(name) = &definition.name else { continue };
                let value = eval(engine, &format!("{}.{name}", self.path))?;
                if let Some(message) = holds(&value, effect)? {
                    into.push(told(definition.line, message));
                }
            }
            if into.len() == before {
                // None of them: it is what the `default` says.
                let default = self.definitions.iter().find(|one| one.effect == effect && one.name.is_none());
                into.push(told(default.map_or(1, |one| one.line), message));
            }
        }
        Ok(())
    }
}

fn eval(engine: &mut Engine, rule: &str) -> Result<Value, String> {
    engine.eval_rule(rule.to_owned()).map_err(|error| error.to_string())
}

/// Whether a value says so, and with which message.
fn holds(value: &Value, effect: Effect) -> Result<Option<Option<String>>, String> {
    match value {
        Value::Undefined | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(None)),
        Value::Set(messages) if effect == Effect::Deny => Ok(messages.iter().next().map(|message| {
            let text = match message {
                Value::String(text) => text.to_string(),
                other => other.to_string(),
            };
            let shown = text.chars().take(MAX_MESSAGE);
            Some(shown.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
        })),
        _ => Err(format!(
            "`{}` is neither true nor false{}",
            effect.name(),
            match effect {
                Effect::Allow => "",
                Effect::Deny => " nor a set of messages",
            }
        )),
    }
}

/// Reads one file into the engine.
fn read(file: &PolicyText<'_>, engine: &mut Engine) -> Result<Package, Diagnostic> {
    let parse = |engine: &mut Engine, text: &str| {
        let added = engine.add_policy(file.file.to_owned(), text.to_owned());
        added.map_err(|error| told(&error.to_string(), file.file))
    };
    // Once as it is written, so that what is wrong is told in the writer's own words.
    let mut alone = Engine::new();
    parse(&mut alone, file.text)?;
    let named = match alone.get_modules().first() {
        Some(module) => rules::name(module, file.file, file.text)?,
        None => return Err(told("the file defines nothing", file.file)),
    };
    if named.definitions.is_empty() {
        let place = Place { file: file.file.to_owned(), line: 1, column: 1 };
        let error = Diagnostic::error("", "the file defines neither `allow` nor `deny`");
        return Err(error.help("write `allow if { .. }` or `deny contains \"why\" if { .. }`").at(place));
    }
    let path = parse(engine, &named.text)?;
    Ok(Package { path, file: Arc::from(file.file), definitions: named.definitions })
}

/// An error of the engine with its place: `--> file:line:column`, the line, and `error: what`.
fn told(error: &str, file: &str) -> Diagnostic {
    let place = error.lines().find_map(|line| {
        let (rest, column) = line.strip_prefix("--> ")?.rsplit_once(':')?;
        let (_, number) = rest.rsplit_once(':')?;
        Some((number.parse().ok()?, column.parse().ok()?))
    });
    let (line, column) = place.unwrap_or((1, 1));
    Diagnostic::error("", last_line(error))
        .help("see docs/access.md for what rules see and have to define")
        .at(Place { file: file.to_owned(), line, column })
}

/// What an error says, without the picture of its place.
fn last_line(error: &str) -> &str {
    let line = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(error).trim();
    line.strip_prefix("error: ").unwrap_or(line)
}
