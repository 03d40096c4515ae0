//! `ctl`: settings that hold for the rest of one inspection.

use super::list::Action;
use crate::lang::{
    select::{Ids, Label},
    source::Fault,
    target::{Target, Targets},
};

/// Whether rules are looked at, and whether they can stop anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineMode {
    /// Rules are not looked at.
    Off,
    /// Rules find, and stop nothing.
    DetectionOnly,
    /// Rules find and stop.
    #[default]
    On,
}

/// Whether exchanges go to the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// Never.
    Off,
    /// Where a rule says so.
    #[default]
    RelevantOnly,
    /// Always.
    On,
}

/// Whether text of an XML body is an argument, named by its elements: `xml.order.note`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XmlIntoArgs {
    /// It is in `XML` alone.
    #[default]
    Off,
    /// It is in both.
    On,
    /// It is in `ARGS` alone.
    Only,
}

/// Who reads a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data`.
    Multipart,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// Nobody: the bytes as they are.
    Raw,
}

impl Processor {
    /// As `REQBODY_PROCESSOR` tells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Processor::UrlEncoded => "URLENCODED",
            Processor::Multipart => "MULTIPART",
            Processor::Json => "JSON",
            Processor::Xml => "XML",
            Processor::Raw => "RAW",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        use Processor::{Json, Multipart, Raw, UrlEncoded, Xml};
        [UrlEncoded, Multipart, Json, Xml, Raw]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(text))
    }
}

/// Which rules a removal means.
#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// By number.
    Ids(Ids),
    /// By tag.
    Tag(Label),
    /// By message.
    Msg(Label),
}

/// One setting of one inspection.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// `auditEngine`.
    AuditEngine(AuditMode),
    /// `auditLogParts` and `debugLogLevel`, which change nothing here: the gateway keeps its own audit log.
    Log,
    /// `forceRequestBodyVariable`: `REQUEST_BODY` is filled whoever reads the body.
    ForceRequestBodyVariable(bool),
    /// `forceResponseBodyVariable`.
    ForceResponseBodyVariable(bool),
    /// `requestBodyAccess`.
    RequestBodyAccess(bool),
    /// `requestBodyLimit`, bytes.
    RequestBodyLimit(usize),
    /// `requestBodyProcessor`.
    RequestBodyProcessor(Processor),
    /// `responseBodyAccess`.
    ResponseBodyAccess(bool),
    /// `responseBodyLimit`, bytes.
    ResponseBodyLimit(usize),
    /// `responseBodyProcessor`.
    ResponseBodyProcessor(Processor),
    /// `ruleEngine`.
    RuleEngine(EngineMode),
    /// `ruleRemoveById`, `..ByTag`, `..ByMsg`.
    Remove(Which),
    /// `ruleRemoveTargetById`, `..ByTag`, `..ByMsg`.
    RemoveTarget(Which, Target),
    /// `parseXmlIntoArgs`.
    ParseXmlIntoArgs(XmlIntoArgs),
}

/// Reads `on` or `off`.
pub(in crate::lang) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

impl EngineMode {
    /// Reads `On`, `Off` or `DetectionOnly`.
    pub(in crate::lang) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "detectiononly" => Some(EngineMode::DetectionOnly),
            other => switch(other).map(|on| if on { EngineMode::On } else { EngineMode::Off }),
        }
    }
}

impl XmlIntoArgs {
    /// Reads `On`, `Off` or `OnlyArgs`.
    pub(in crate::lang) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "onlyargs" => Some(XmlIntoArgs::Only),
            other => switch(other).map(|on| if on { XmlIntoArgs::On } else { XmlIntoArgs::Off }),
        }
    }
}

impl AuditMode {
    /// Reads `On`, `Off` or `RelevantOnly`.
    pub(in crate::lang) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "relevantonly" => Some(AuditMode::RelevantOnly),
            other => switch(other).map(|on| if on { AuditMode::On } else { AuditMode::Off }),
        }
    }
}

/// Reads the value of `ctl`.
pub(super) fn parse(action: &Action) -> Result<Control, Fault> {
    let text = action.value()?;
    let Some((name, value)) = text.split_once('=') else {
        return Err(action.wrong("write `ctl:name=value`"));
    };
    let (name, value) = (name.trim(), value.trim());
    let wrong = |help: &str| Fault::new(format!("`{value}` is no value of `ctl:{name}`"), help);
    let on = || switch(value).ok_or_else(|| wrong("write `On` or `Off`"));
    let bytes = || value.parse().map_err(|_| wrong("write a number of bytes"));
    let processor = || {
        Processor::parse(value)
            .ok_or_else(|| wrong("write `URLENCODED`, `MULTIPART`, `JSON`, `XML` or `RAW`"))
    };
    Ok(match name.to_ascii_lowercase().as_str() {
        "auditengine" => Control::AuditEngine(
            AuditMode::parse(value).ok_or_else(|| wrong("write `On`, `Off` or `RelevantOnly`"))?,
        ),
        "auditlogparts" | "debugloglevel" => Control::Log,
        "forcerequestbodyvariable" => Control::ForceRequestBodyVariable(on()?),
        "forceresponsebodyvariable" => Control::ForceResponseBodyVariable(on()?),
        "requestbodyaccess" => Control::RequestBodyAccess(on()?),
        "requestbodylimit" => Control::RequestBodyLimit(bytes()?),
        "requestbodyprocessor" => Control::RequestBodyProcessor(processor()?),
        "responsebodyaccess" => Control::ResponseBodyAccess(on()?),
        "responsebodylimit" => Control::ResponseBodyLimit(bytes()?),
        "responsebodyprocessor" => Control::ResponseBodyProcessor(processor()?),
        "ruleengine" => Control::RuleEngine(
            EngineMode::parse(value).ok_or_else(|| wrong("write `On`, `Off` or `DetectionOnly`"))?,
        ),
        "parsexmlintoargs" => Control::ParseXmlIntoArgs(
            XmlIntoArgs::parse(value).ok_or_else(|| wrong("write `On`, `Off` or `OnlyArgs`"))?,
        ),
        "ruleremovebyid" => Control::Remove(Which::Ids(Ids::parse(value)?)),
        "ruleremovebytag" => Control::Remove(Which::Tag(Label::parse(value)?)),
        "ruleremovebymsg" => Control::Remove(Which::Msg(Label::parse(value)?)),
        "ruleremovetargetbyid" => {
            let (rules, target) = target(name, value)?;
            Control::RemoveTarget(Which::Ids(Ids::parse(rules)?), target)
        }
        "ruleremovetargetbytag" => {
            let (rules, target) = target(name, value)?;
            Control::RemoveTarget(Which::Tag(Label::parse(rules)?), target)
        }
        "ruleremovetargetbymsg" => {
            let (rules, target) = target(name, value)?;
            Control::RemoveTarget(Which::Msg(Label::parse(rules)?), target)
        }
        "hashengine" | "hashenforcement" => {
            return Err(Fault::new(
                format!("`ctl:{name}` is refused"),
                "responses are not rewritten by rules; remove it",
            ));
        }
        _ => {
            return Err(Fault::new(
                format!("`{name}` is nothing that `ctl` sets"),
                "`docs/rules.md` has the list of settings, such as `ruleRemoveById`",
            ));
        }
    })
}

fn target<'a>(name: &str, value: &'a str) -> Result<(&'a str, Target), Fault> {
    let Some((rules, target)) = value.split_once(';') else {
        return Err(Fault::new(
            format!("`ctl:{name}` lacks the variable that is left out"),
            format!("write `ctl:{name}=RULES;VARIABLE`"),
        ));
    };
    let targets = Targets::parse(target.trim())?;
    match (targets.included.as_slice(), targets.excluded.as_slice()) {
        ([only], []) => Ok((rules.trim(), only.clone())),
        _ => Err(Fault::new(
            format!("`{target}` is not one variable"),
            "name one variable, without `!`; several take several `ctl`",
        )),
    }
}
