//! The settings of `waf`.

use std::collections::BTreeMap;

use bartizan_model::{ByteSize, FileReference, Mode};
use schemars::JsonSchema;
use serde::Deserialize;

/// More than twice what the dearest known text takes that fills the default `max_body`, at the highest level of the Core
/// Rule Set.
const MAX_WORK: u64 = 64 << 20;

/// Which rules look for attacks, how strictly, and what is left out.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rule files, in order: `crs` for the OWASP Core Rule Set, `file:rules/own.conf`, or all of a folder as
    /// `file:rules/*.conf`. Default: `[crs]`.
    pub rules: Vec<RuleSource>,
    /// The folder of the Core Rule Set: it has `rules/*.conf`, and its set-up as `crs-setup.conf` or
    /// `crs-setup.conf.example`. Default: where Debian's package `modsecurity-crs` puts it.
    pub crs: Option<FileReference>,
    /// Paranoia level of the Core Rule Set, 1 to 4: more rules, more suspicion, more false alarms. Default: what the rule
    /// files say, which is 1.
    #[schemars(range(min = 1, max = 4))]
    pub paranoia: Option<u8>,
    /// Level up to which rules are evaluated and told, though only those up to `paranoia` refuse. Default: `paranoia`.
    #[schemars(range(min = 1, max = 4))]
    pub detection_paranoia: Option<u8>,
    /// Anomaly score at which a request is refused. Default: what the rule files say, which is 5.
    #[schemars(range(min = 1))]
    pub inbound_threshold: Option<u32>,
    /// Anomaly score at which a response is withheld. Default: what the rule files say, which is 4.
    #[schemars(range(min = 1))]
    pub outbound_threshold: Option<u32>,
    /// Bytes of a request body that rules look at. Default: `128KiB`.
    pub max_body: ByteSize,
    /// What becomes of a longer body. Default: `deny`.
    pub over_limit: OverLimit,
    /// What becomes of a body that cannot be read as what it says it is. Default: `deny`.
    pub unreadable: Unreadable,
    /// What becomes of a body without a media type, or of one that is not read into names and values. Default: `deny`.
    pub unknown_type: UnknownType,
    /// Whether responses are looked at, too: their head, and up to `max_response` of texts, which waits for that much of
    /// them. Default: no.
    pub responses: bool,
    /// Bytes of a response that rules look at; what is longer is looked at up to here. Default: `512KiB`.
    pub max_response: ByteSize,
    /// How much rules may do for one exchange before it is refused as too costly: each byte counts as often as it is
    /// scanned, transformed or tested, and each such step 16 more. Default: `64MiB`.
    pub max_work: ByteSize,
    /// What single rules may do: `enforce`, `monitor` (they are told, but add to no score and refuse nothing) or `off`. By
    /// number (`942100`), by range (`942000-942999`) or by tag (`attack-sqli`); a number decides over a range, and a range
    /// over a tag. In monitor mode all of them only watch, whatever stands here.
    pub modes: BTreeMap<String, Mode>,
    /// Whether values that the API's contract proves harmless are spared: rules that can find nothing in any value of such
    /// a type are not run on it. No rule that could match is left out. Default: yes.
    pub trust_contract: bool,
    /// Rules that are narrowed or left out, each with its reason.
    pub exclusions: Vec<Exclusion>,
}

/// Where rules come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// The OWASP Core Rule Set.
    Crs,
    /// A file, or the files that a pattern names.
    File(FileReference),
}

impl std::str::FromStr for RuleSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "crs" => Ok(RuleSource::Crs),
            file if file.starts_with("file:") => file.parse().map(RuleSource::File),
            _ => {
                Err("write `crs` for the OWASP Core Rule Set, or a file such as `file:rules/own.conf`"
                    .to_owned())
            }
        }
    }
}

impl<'de> Deserialize<'de> for RuleSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RuleSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuleSource".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(crs|file:.+)$",
            "description": "`crs` for the OWASP Core Rule Set, or `file:rules/own.conf`",
        })
    }
}

/// What becomes of a body that is longer than `max_body`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverLimit {
    /// It is refused with 413.
    #[default]
    Deny,
    /// Its beginning is looked at, the rest passes unseen; each such exchange says so.
    Partial,
}

/// What becomes of a body that cannot be read: broken JSON, an unknown content coding, a malformed part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// It is refused with 400.
    #[default]
    Deny,
    /// It passes with what could be read; each such exchange says so.
    Allow,
}

/// What becomes of a body that has no names to look at: it has no media type, or one such as `application/octet-stream`.
/// Text (`text/plain`) is looked at as `REQUEST_BODY`, where any rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownType {
    /// It is refused with 415: a service may read it as what it is not said to be.
    #[default]
    Deny,
    /// It passes, seen only by rules that look at `REQUEST_BODY`; each such exchange says so.
    Allow,
}

/// A rule that does not apply, or not to one parameter. It holds where it is written: for an API, or for an operation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The number of the rule, such as 942100. Either this or `tag`.
    pub rule: Option<u64>,
    /// All rules with this tag, such as `attack-sqli`.
    pub tag: Option<String>,
    /// What they no longer look at: a variable as a finding names it (`ARGS:text`, `REQUEST_HEADERS:User-Agent`), or a place
    /// in the request (`request.body.text`, `request.body.items[].note`, `query.q`, `header.user-agent`, `cookie.session`).
    /// A place in the body holds only where the query has nothing of its name, and the other way round. Without it the rules do
    /// not run at all.
    pub parameter: Option<String>,
    /// Why this is safe, for whoever reads the policy next.
    pub reason: String,
    /// The last day on which it holds, `2027-01-31` (UTC). Without it, it holds for good.
    pub expires: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            rules: vec![RuleSource::Crs],
            crs: None,
            paranoia: None,
            detection_paranoia: None,
            inbound_threshold: None,
            outbound_threshold: None,
            max_body: ByteSize(128 << 10),
            over_limit: OverLimit::default(),
            unreadable: Unreadable::default(),
            unknown_type: UnknownType::default(),
            responses: false,
            max_response: ByteSize(512 << 10),
            max_work: ByteSize(MAX_WORK),
            modes: BTreeMap::new(),
            trust_contract: true,
            exclusions: Vec::new(),
        }
    }
}
