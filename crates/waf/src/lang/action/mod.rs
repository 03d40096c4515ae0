//! What a rule does: `id:1,phase:2,deny,t:lowercase,setvar:'tx.score=+5'`.

mod control;
mod effect;
mod list;

pub use control::{AuditMode, Control, EngineMode, Processor, Which, XmlIntoArgs};
pub use effect::{Change, Effect, Identity};
pub use list::{Action, split};

pub(super) use control::switch;

use super::{source::Fault, text::Text};
use crate::transform::Transformation;

/// When a rule is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// 1: the request's head is known.
    RequestHeaders,
    /// 2: the request's body is known.
    RequestBody,
    /// 3: the response's head is known.
    ResponseHeaders,
    /// 4: the response's body is known.
    ResponseBody,
    /// 5: the response is on its way; nothing can be stopped any more.
    Logging,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Phase; 5] = [
        Phase::RequestHeaders,
        Phase::RequestBody,
        Phase::ResponseHeaders,
        Phase::ResponseBody,
        Phase::Logging,
    ];

    /// 1 to 5.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "1" => Phase::RequestHeaders,
            "2" | "request" => Phase::RequestBody,
            "3" => Phase::ResponseHeaders,
            "4" | "response" => Phase::ResponseBody,
            "5" | "logging" => Phase::Logging,
            _ => return None,
        })
    }
}

/// How far `allow` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowScope {
    /// The rest of all phases but logging.
    All,
    /// The rest of this phase.
    Phase,
    /// The rest of the request's phases.
    Request,
}

/// What a matched rule does to the exchange.
#[derive(Clone, Debug, PartialEq)]
pub enum Disruption {
    /// Nothing.
    Pass,
    /// Rules that follow are not looked at.
    Allow(AllowScope),
    /// Whatever the default of the phase says.
    Block,
    /// The exchange is refused with the rule's status.
    Deny,
    /// The connection is closed.
    Drop,
    /// The client is sent elsewhere.
    Redirect(Text),
}

/// How bad a match is: the numbers of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    const NAMES: [&'static str; 8] =
        ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];

    /// 0 (emergency) to 7 (debug).
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// `CRITICAL` and the others.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("")
    }

    fn parse(text: &str) -> Option<Self> {
        let named = Self::NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = named.map(|at| at as u64).or_else(|| text.parse().ok()).filter(|number| *number < 8)?;
        u8::try_from(number).ok().map(Severity)
    }
}

/// One step of a rule's transformations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `t:none`: forgets those before it and those of the default.
    None,
    /// One transformation.
    Apply(Transformation),
}

/// The actions of one rule or default, typed. `None` and empty mean: not said.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    /// The rule's number.
    pub id: Option<u64>,
    /// When it is looked at.
    pub phase: Option<Phase>,
    /// What it does to the exchange.
    pub disruption: Option<Disruption>,
    /// The status of a refusal or redirection.
    pub status: Option<u16>,
    /// The transformations as they were written.
    pub transformations: Vec<Step>,
    /// What each match does, in order.
    pub effects: Vec<Effect>,
    /// Whether matches of the operator fill `TX.0` to `TX.9`.
    pub capture: bool,
    /// Whether the operator sees the value after each transformation.
    pub multi_match: bool,
    /// Whether the next rule belongs to this one.
    pub chain: bool,
    /// How many rules are skipped after a match.
    pub skip: Option<usize>,
    /// The marker or rule number behind which to go on after a match.
    pub skip_after: Option<Box<str>>,
    /// What the rule tells.
    pub msg: Option<Text>,
    /// What the rule tells about the value.
    pub logdata: Option<Text>,
    /// How bad a match is.
    pub severity: Option<Severity>,
    /// Labels of the rule.
    pub tags: Vec<Text>,
    /// The revision of the rule.
    pub rev: Option<Box<str>>,
    /// The version of the rule set.
    pub ver: Option<Box<str>>,
    /// 1 to 9: how well tried the rule is.
    pub maturity: Option<u8>,
    /// 1 to 9: how seldom the rule is wrong.
    pub accuracy: Option<u8>,
    /// Whether a match is told.
    pub log: Option<bool>,
    /// Whether a match puts the exchange into the audit log.
    pub audit_log: Option<bool>,
}

impl Actions {
    /// Reads a list of actions; all that is wrong, each with its offset in `text`.
    ///
    /// # Errors
    /// Unknown and refused actions, values that cannot be.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let mut actions = Actions::default();
        let mut faults = Vec::new();
        match split(text) {
            Ok(list) => {
                for action in &list {
                    if let Err(fault) = actions.add(action) {
                        let offset = action.offset + fault.offset;
                        faults.push(fault.at(offset));
                    }
                }
            }
            Err(fault) => faults.push(fault),
        }
        if faults.is_empty() { Ok(actions) } else { Err(faults) }
    }

    fn add(&mut self, action: &Action) -> Result<(), Fault> {
        let name = action.name.to_ascii_lowercase();
        if let Some(why) = refused(&name) {
            return Err(Fault::new(format!("action `{}` is refused", action.name), why));
        }
        match name.as_str() {
            "id" => self.id = Some(action.number(1, u64::MAX)?),
            "phase" => {
                self.phase = Some(
                    Phase::parse(action.value()?)
                        .ok_or_else(|| action.wrong("write 1 to 5, `request`, `response` or `logging`"))?,
                );
            }
            "pass" => self.disruption = Some(action.alone(Disruption::Pass)?),
            "deny" => self.disruption = Some(action.alone(Disruption::Deny)?),
            "drop" => self.disruption = Some(action.alone(Disruption::Drop)?),
            "block" => self.disruption = Some(action.alone(Disruption::Block)?),
            "allow" => {
                let scope = match action.value.as_deref() {
                    None => AllowScope::All,
                    Some(text) if text.eq_ignore_ascii_case("phase") => AllowScope::Phase,
                    Some(text) if text.eq_ignore_ascii_case("request") => AllowScope::Request,
                    Some(_) => return Err(action.wrong("write `allow`, `allow:phase` or `allow:request`")),
                };
                self.disruption = Some(Disruption::Allow(scope));
            }
            "redirect" => self.disruption = Some(Disruption::Redirect(action.text()?)),
            "status" => self.status = u16::try_from(action.number(100, 599)?).ok(),
            "t" => self.transformations.push(transformation(action)?),
            "capture" => self.capture = action.alone(true)?,
            "multimatch" => self.multi_match = action.alone(true)?,
            "chain" => self.chain = action.alone(true)?,
            "skip" => self.skip = usize::try_from(action.number(1, 1_000_000)?).ok(),
            "skipafter" => self.skip_after = Some(action.value()?.into()),
            "msg" => self.msg = Some(action.text()?),
            "logdata" => self.logdata = Some(action.text()?),
            "severity" => {
                let severity = Severity::parse(action.value()?);
                self.severity =
                    Some(severity.ok_or_else(|| action.wrong("write 0 to 7 or a name such as `CRITICAL`"))?);
            }
            "tag" => self.tags.push(action.text()?),
            "rev" => self.rev = Some(action.value()?.into()),
            "ver" => self.ver = Some(action.value()?.into()),
            "maturity" => self.maturity = u8::try_from(action.number(0, 9)?).ok(),
            "accuracy" => self.accuracy = u8::try_from(action.number(0, 9)?).ok(),
            "log" => self.log = Some(action.alone(true)?),
            "nolog" => {
                self.log = Some(action.alone(false)?);
                // Not telling includes the audit log, unless `auditlog` says otherwise behind it.
                self.audit_log = Some(false);
            }
            "auditlog" => self.audit_log = Some(action.alone(true)?),
            "noauditlog" => self.audit_log = Some(action.alone(false)?),
            _ => match effect::parse(&name, action)? {
                Some(effect) => self.effects.push(effect),
                None => return Err(unknown(action)),
            },
        }
        Ok(())
    }

    /// The transformations that are left after every `t:none`, on top of those of the default.
    #[must_use]
    pub fn chain_of(&self, default: &Actions) -> Vec<Transformation> {
        let mut chain = Vec::new();
        for step in default.transformations.iter().chain(&self.transformations) {
            match step {
                Step::None => chain.clear(),
                Step::Apply(transformation) => chain.push(*transformation),
            }
        }
        chain
    }

    /// Changes these actions as `SecRuleUpdateActionById` says: single ones are replaced, the others added, and
    /// transformations replaced where any are given.
    pub fn update(&mut self, update: Actions) {
        fn set<T>(place: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *place = value;
            }
        }
        set(&mut self.disruption, update.disruption);
        set(&mut self.status, update.status);
        set(&mut self.skip, update.skip);
        set(&mut self.skip_after, update.skip_after);
        set(&mut self.msg, update.msg);
        set(&mut self.logdata, update.logdata);
        set(&mut self.severity, update.severity);
        set(&mut self.rev, update.rev);
        set(&mut self.ver, update.ver);
        set(&mut self.maturity, update.maturity);
        set(&mut self.accuracy, update.accuracy);
        set(&mut self.log, update.log);
        set(&mut self.audit_log, update.audit_log);
        self.capture |= update.capture;
        self.multi_match |= update.multi_match;
        self.effects.extend(update.effects);
        self.tags.extend(update.tags);
        if !update.transformations.is_empty() {
            self.transformations = update.transformations;
        }
    }
}

/// Actions that this engine does not take, and what to do instead.
fn refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "exec" => "rules start no programs; remove it",
        "proxy" => "where a request goes is the business of routes; use `deny` or `redirect`",
        "pause" => "a pause would hold the client's connection open; use `deny`, or a rate limit",
        "append" | "prepend" => "responses are not rewritten by rules; remove it",
        _ => return None,
    })
}

fn transformation(action: &Action) -> Result<Step, Fault> {
    let name = action.value()?;
    if name.eq_ignore_ascii_case("none") {
        return Ok(Step::None);
    }
    Transformation::by_name(name).map(Step::Apply).ok_or_else(|| {
        Fault::new(
            format!("`{name}` is no transformation"),
            "`docs/rules.md` has the list of transformations",
        )
    })
}

/// All actions.
pub(super) const NAMES: &[&str] = &[
    "accuracy",
    "allow",
    "auditlog",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "deprecatevar",
    "drop",
    "expirevar",
    "id",
    "initcol",
    "log",
    "logdata",
    "maturity",
    "msg",
    "multiMatch",
    "noauditlog",
    "nolog",
    "pass",
    "phase",
    "redirect",
    "rev",
    "sanitiseArg",
    "sanitiseMatched",
    "sanitiseMatchedBytes",
    "sanitiseRequestHeader",
    "sanitiseResponseHeader",
    "severity",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
    "ver",
];

fn unknown(action: &Action) -> Fault {
    let help = super::near(&action.name, NAMES.iter().copied()).map_or_else(
        || "`docs/rules.md` has the list of actions".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Fault::new(format!("`{}` is no action", action.name), help)
}

#[cfg(test)]
mod tests;
