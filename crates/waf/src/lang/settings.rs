//! Directives that set something for all inspections.

use super::{
    action::{AuditMode, EngineMode, XmlIntoArgs},
    source::{Fault, Word},
};

/// What happens to a body that is longer than its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLimitAction {
    /// The exchange is refused.
    #[default]
    Reject,
    /// The first bytes are looked at, the rest is not.
    ProcessPartial,
}

/// What holds for all inspections; the defaults are those of the recommended configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `SecRuleEngine`.
    pub engine: EngineMode,
    /// `SecAuditEngine`.
    pub audit: AuditMode,
    /// `SecRequestBodyAccess`.
    pub request_body_access: bool,
    /// `SecRequestBodyLimit`, bytes with files.
    pub request_body_limit: usize,
    /// `SecRequestBodyNoFilesLimit`, bytes without files.
    pub request_body_no_files_limit: usize,
    /// `SecRequestBodyLimitAction`.
    pub request_body_limit_action: BodyLimitAction,
    /// `SecRequestBodyJsonDepthLimit`, nested arrays and objects.
    pub json_depth_limit: usize,
    /// `SecArgumentsLimit`, names with values.
    pub arguments_limit: usize,
    /// `SecUploadFileLimit`, files of one form.
    pub upload_file_limit: usize,
    /// `SecParseXmlIntoArgs`.
    pub xml_into_args: XmlIntoArgs,
    /// `SecResponseBodyAccess`.
    pub response_body_access: bool,
    /// `SecResponseBodyLimit`, bytes.
    pub response_body_limit: usize,
    /// `SecResponseBodyLimitAction`.
    pub response_body_limit_action: BodyLimitAction,
    /// `SecResponseBodyMimeType`, in lower case; `null` is a response without a media type.
    pub response_body_types: Vec<Box<str>>,
    /// `SecArgumentSeparator`.
    pub argument_separator: u8,
    /// `SecCookieFormat`: 0 or 1.
    pub cookie_format: u8,
    /// `SecCollectionTimeout`, seconds.
    pub collection_timeout: u64,
    /// `SecWebAppId`.
    pub web_app_id: Box<str>,
    /// `SecComponentSignature`, one of each rule set.
    pub signatures: Vec<Box<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: EngineMode::On,
            audit: AuditMode::RelevantOnly,
            request_body_access: true,
            request_body_limit: 13_107_200,
            request_body_no_files_limit: 131_072,
            request_body_limit_action: BodyLimitAction::Reject,
            json_depth_limit: 512,
            arguments_limit: 1000,
            upload_file_limit: 100,
            xml_into_args: XmlIntoArgs::Off,
            response_body_access: true,
            response_body_limit: 524_288,
            response_body_limit_action: BodyLimitAction::ProcessPartial,
            response_body_types: ["text/plain", "text/html", "text/xml"].map(Into::into).to_vec(),
            argument_separator: b'&',
            cookie_format: 0,
            collection_timeout: 3600,
            web_app_id: "default".into(),
            signatures: Vec::new(),
        }
    }
}

/// What became of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It holds.
    Yes,
    /// It changes nothing here, and why.
    Idle(&'static str),
    /// It is none of these.
    No,
}

const LOGS: &str = "the gateway keeps its own audit log";
const FILES: &str = "nothing is written to files";
const LINEAR: &str = "patterns run in linear time";
const CONNECTIONS: &str = "the listener has its own limits of connections";
const UNICODE: &str = "`urlDecodeUni` and `utf8toUnicode` have their mapping built in";
const REWRITING: &str = "responses are not rewritten by rules";

/// Directives of other engines that change nothing here.
const IDLE: &[(&str, &str)] = &[
    ("secauditlog", LOGS),
    ("secauditlog2", LOGS),
    ("secauditlogdir", LOGS),
    ("secauditlogdirmode", LOGS),
    ("secauditlogfilemode", LOGS),
    ("secauditlogformat", LOGS),
    ("secauditlogparts", LOGS),
    ("secauditlogprefix", LOGS),
    ("secauditlogrelevantstatus", LOGS),
    ("secauditlogstoragedir", LOGS),
    ("secauditlogtype", LOGS),
    ("seccachetransformations", "equal values are always transformed once"),
    ("secchrootdir", "the process is confined by its service unit"),
    ("secconnengine", CONNECTIONS),
    ("secconnreadstatelimit", CONNECTIONS),
    ("secconnwritestatelimit", CONNECTIONS),
    ("secdatadir", "stored collections are kept in memory"),
    ("secdebuglog", LOGS),
    ("secdebugloglevel", LOGS),
    ("secdisablebackendcompression", "compressed responses are decoded"),
    ("secgeolookupdb", "the gateway has its own address database"),
    ("secgsblookupdb", "`@gsbLookup` is refused"),
    ("sechashkey", REWRITING),
    ("sechashmethodpm", REWRITING),
    ("sechashmethodrx", REWRITING),
    ("sechashparam", REWRITING),
    ("sechttpblkey", "`@rbl` is refused"),
    ("secinterceptonerror", "a body that cannot be read sets `REQBODY_ERROR`"),
    ("secpcrematchlimit", LINEAR),
    ("secpcrematchlimitrecursion", LINEAR),
    ("secreadstatelimit", CONNECTIONS),
    ("secrequestbodyinmemorylimit", FILES),
    ("secrequestencoding", "bytes are looked at as they are"),
    ("secruleinheritance", "there are no contexts that could inherit"),
    ("secruleperftime", "times of rules are metrics of the gateway"),
    ("secsensorid", LOGS),
    ("secserversignature", "the gateway names no server"),
    ("secstatusengine", "nothing is sent to anybody"),
    ("sectmpdir", FILES),
    ("sectmpsaveuploadedfiles", FILES),
    ("secunicodecodepage", UNICODE),
    ("secunicodemap", UNICODE),
    ("secunicodemapfile", UNICODE),
    ("secuploaddir", FILES),
    ("secuploadfilemode", FILES),
    ("secuploadkeepfiles", FILES),
    ("secwritestatelimit", CONNECTIONS),
];

/// Directives that are refused, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("secdataset", "write the list into a file, and use `@pmFromFile` or `@ipMatchFromFile`"),
    ("secguardianlog", "events go to sinks of the gateway; remove it"),
    ("secignorerulecompilationerrors", "what is not understood is never skipped: correct or remove it"),
    ("secpdfprotect", "responses are not rewritten by rules; remove it"),
    ("secpdfprotectinterceptgetonly", "responses are not rewritten by rules; remove it"),
    ("secpdfprotectmethod", "responses are not rewritten by rules; remove it"),
    ("secpdfprotectsecret", "responses are not rewritten by rules; remove it"),
    ("secpdfprotecttimeout", "responses are not rewritten by rules; remove it"),
    ("secpdfprotecttokenname", "responses are not rewritten by rules; remove it"),
    ("secremoterules", "rules are fetched by `bartizan rules update`, which checks their signature"),
    ("secremoterulesfailaction", "rules are fetched by `bartizan rules update`; remove it"),
    ("secrulescript", "rules run no Lua; write the condition as `SecRule`, or remove it"),
];

/// Features that may be named only to be off.
const ONLY_OFF: &[(&str, &str)] = &[
    ("seccontentinjection", REWRITING),
    ("sechashengine", REWRITING),
    ("secstreaminbodyinspection", "bodies are not rewritten by rules"),
    ("secstreamoutbodyinspection", "bodies are not rewritten by rules"),
    ("secxmlexternalentity", "entities are never resolved"),
];

fn find<'a>(table: &'a [(&str, &str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
}

impl Settings {
    /// Takes one directive; `name` is in lower case.
    pub(super) fn take(&mut self, name: &str, words: &[Word]) -> Result<Taken, Fault> {
        if let Some(why) = IDLE.iter().find(|(known, _)| *known == name).map(|(_, why)| *why) {
            return Ok(Taken::Idle(why));
        }
        if let Some(why) = find(REFUSED, name) {
            return Err(Fault::new("the directive is refused", why));
        }
        if let Some(why) = find(ONLY_OFF, name) {
            return match one(words)?.to_ascii_lowercase().as_str() {
                "off" => Ok(Taken::Yes),
                _ => Err(Fault::new("the directive can only be `Off`", why)),
            };
        }
        match name {
            "secruleengine" => {
                self.engine = choice(words, EngineMode::parse, "`On`, `Off` or `DetectionOnly`")?
            }
            "secauditengine" => {
                self.audit = choice(words, AuditMode::parse, "`On`, `Off` or `RelevantOnly`")?
            }
            "secrequestbodyaccess" => self.request_body_access = on(words)?,
            "secrequestbodylimit" => self.request_body_limit = number(words, 1, 1 << 40)?,
            "secrequestbodynofileslimit" => self.request_body_no_files_limit = number(words, 1, 1 << 40)?,
            "secrequestbodylimitaction" => self.request_body_limit_action = limit_action(words)?,
            "secrequestbodyjsondepthlimit" => self.json_depth_limit = number(words, 1, 10_000)?,
            "secargumentslimit" => self.arguments_limit = number(words, 1, 1_000_000)?,
            "secuploadfilelimit" => self.upload_file_limit = number(words, 0, 1_000_000)?,
            "secparsexmlintoargs" => {
                self.xml_into_args = choice(words, XmlIntoArgs::parse, "`On`, `Off` or `OnlyArgs`")?;
            }
            "secresponsebodyaccess" => self.response_body_access = on(words)?,
            "secresponsebodylimit" => self.response_body_limit = number(words, 1, 1 << 40)?,
            "secresponsebodylimitaction" => self.response_body_limit_action = limit_action(words)?,
            "secresponsebodymimetype" => {
                one(words.get(..1).unwrap_or_default())?;
                let types = words.iter().flat_map(|word| word.text.split_whitespace());
                self.response_body_types = types.map(|kind| kind.to_ascii_lowercase().into()).collect();
            }
            "secresponsebodymimetypesclear" => self.response_body_types.clear(),
            "secargumentseparator" | "seccookiev0separator" => {
                let separator = match one(words)?.as_bytes() {
                    [separator] => *separator,
                    _ => {
                        return Err(Fault::new(
                            "a separator is one character",
                            "write one character, such as `&`",
                        ));
                    }
                };
                if name == "secargumentseparator" {
                    self.argument_separator = separator;
                } else if separator != b';' {
                    return Err(Fault::new("cookies are separated by `;`", "write `;`, or remove the line"));
                }
            }
            "seccookieformat" => self.cookie_format = u8::try_from(number(words, 0, 1)?).unwrap_or_default(),
            "seccollectiontimeout" => {
                self.collection_timeout = number(words, 1, 1 << 32)? as u64;
            }
            "secwebappid" => self.web_app_id = one(words)?.into(),
            "seccomponentsignature" => self.signatures.push(one(words)?.into()),
            _ => return Ok(Taken::No),
        }
        Ok(Taken::Yes)
    }

    /// The names of all settings, for what may have been meant.
    pub(super) const NAMES: &'static [&'static str] = &[
        "SecArgumentSeparator",
        "SecArgumentsLimit",
        "SecAuditEngine",
        "SecCollectionTimeout",
        "SecComponentSignature",
        "SecCookieFormat",
        "SecParseXmlIntoArgs",
        "SecRequestBodyAccess",
        "SecRequestBodyJsonDepthLimit",
        "SecRequestBodyLimit",
        "SecRequestBodyLimitAction",
        "SecRequestBodyNoFilesLimit",
        "SecResponseBodyAccess",
        "SecResponseBodyLimit",
        "SecResponseBodyLimitAction",
        "SecResponseBodyMimeType",
        "SecRuleEngine",
        "SecUploadFileLimit",
        "SecWebAppId",
    ];
}

fn one(words: &[Word]) -> Result<&str, Fault> {
    match words {
        [word] => Ok(&word.text),
        [] => Err(Fault::new("the directive lacks its argument", "give one argument")),
        _ => Err(Fault::new("the directive takes one argument", "quote an argument that has spaces")),
    }
}

fn choice<T>(words: &[Word], parse: impl Fn(&str) -> Option<T>, choices: &str) -> Result<T, Fault> {
    let text = one(words)?;
    parse(text).ok_or_else(|| Fault::new(format!("`{text}` is no value here"), format!("write {choices}")))
}

fn on(words: &[Word]) -> Result<bool, Fault> {
    choice(words, super::action::switch, "`On` or `Off`")
}

fn limit_action(words: &[Word]) -> Result<BodyLimitAction, Fault> {
    let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
        "reject" => Some(BodyLimitAction::Reject),
        "processpartial" => Some(BodyLimitAction::ProcessPartial),
        _ => None,
    };
    choice(words, parse, "`Reject` or `ProcessPartial`")
}

fn number(words: &[Word], low: usize, high: usize) -> Result<usize, Fault> {
    let parse = |text: &str| text.parse().ok().filter(|number| (low..=high).contains(number));
    choice(words, parse, &format!("a number from {low} to {high}"))
}
