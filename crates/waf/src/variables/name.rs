//! The variables that rules name.

/// A variable of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Variable {
    /// `ARGS`: arguments of the query and of the body.
    Args,
    /// `ARGS_COMBINED_SIZE`: bytes of all names and values of arguments.
    ArgsCombinedSize,
    /// `ARGS_GET`: arguments of the query.
    ArgsGet,
    /// `ARGS_GET_NAMES`: names of the arguments of the query.
    ArgsGetNames,
    /// `ARGS_NAMES`: names of all arguments.
    ArgsNames,
    /// `ARGS_POST`: arguments of the body.
    ArgsPost,
    /// `ARGS_POST_NAMES`: names of the arguments of the body.
    ArgsPostNames,
    /// `AUTH_TYPE`: the scheme of `Authorization`.
    AuthType,
    /// `DURATION`: milliseconds since the request began.
    Duration,
    /// `ENV`: what `setenv` set in this inspection; never the process's environment.
    Env,
    /// `FILES`: client's names of uploaded files.
    Files,
    /// `FILES_COMBINED_SIZE`: bytes of all uploaded files.
    FilesCombinedSize,
    /// `FILES_NAMES`: form fields that carried files.
    FilesNames,
    /// `FILES_SIZES`: bytes of each uploaded file.
    FilesSizes,
    /// `FILES_TMP_CONTENT`: content of each uploaded file.
    FilesTmpContent,
    /// `FILES_TMPNAMES`: names of temporary files: always empty, files are never written.
    FilesTmpNames,
    /// `FULL_REQUEST`: request line, headers and body.
    FullRequest,
    /// `FULL_REQUEST_LENGTH`: bytes of `FULL_REQUEST`.
    FullRequestLength,
    /// `GEO`: what `@geoLookup` found.
    Geo,
    /// `GLOBAL`: the stored collection of the whole gateway.
    Global,
    /// `HIGHEST_SEVERITY`: the lowest severity number of the rules that matched; 255 for none.
    HighestSeverity,
    /// `INBOUND_DATA_ERROR`: `1` when the request body was over the limit.
    InboundDataError,
    /// `IP`: the stored collection of a client address.
    Ip,
    /// `MATCHED_VAR`: the value that matched last.
    MatchedVar,
    /// `MATCHED_VAR_NAME`: the full name of the value that matched last.
    MatchedVarName,
    /// `MATCHED_VARS`: all values that the current chain matched.
    MatchedVars,
    /// `MATCHED_VARS_NAMES`: the full names of all values that the current chain matched.
    MatchedVarsNames,
    /// `MODSEC_BUILD`: the version of the language as a number.
    ModsecBuild,
    /// `MSC_PCRE_ERROR`: always `0`: patterns run in linear time.
    MscPcreError,
    /// `MSC_PCRE_LIMITS_EXCEEDED`: always `0`: patterns run in linear time.
    MscPcreLimitsExceeded,
    /// `MULTIPART_BOUNDARY_QUOTED`: `1` when the boundary was quoted.
    MultipartBoundaryQuoted,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: `1` when the boundary had white space.
    MultipartBoundaryWhitespace,
    /// `MULTIPART_CRLF_LF_LINES`: `1` when lines ended in both ways.
    MultipartCrlfLfLines,
    /// `MULTIPART_DATA_AFTER`: `1` when bytes followed the last boundary.
    MultipartDataAfter,
    /// `MULTIPART_DATA_BEFORE`: `1` when bytes preceded the first boundary.
    MultipartDataBefore,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`: `1` when there were too many files.
    MultipartFileLimitExceeded,
    /// `MULTIPART_FILENAME`: the `filename` of each part.
    MultipartFilename,
    /// `MULTIPART_HEADER_FOLDING`: `1` when a header of a part was folded.
    MultipartHeaderFolding,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: `1` when a header was folded wrongly.
    MultipartInvalidHeaderFolding,
    /// `MULTIPART_INVALID_PART`: `1` when a part could not be read.
    MultipartInvalidPart,
    /// `MULTIPART_INVALID_QUOTING`: `1` when a quoted string was wrong.
    MultipartInvalidQuoting,
    /// `MULTIPART_LF_LINE`: `1` when a line ended in LF alone.
    MultipartLfLine,
    /// `MULTIPART_MISSING_SEMICOLON`: `1` when the content type lacked its semicolon.
    MultipartMissingSemicolon,
    /// `MULTIPART_NAME`: the `name` of each part.
    MultipartName,
    /// `MULTIPART_PART_HEADERS`: the headers of each part, by its name.
    MultipartPartHeaders,
    /// `MULTIPART_STRICT_ERROR`: `1` when anything about the form was doubtful.
    MultipartStrictError,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: `1` when a line looked like a boundary and was none.
    MultipartUnmatchedBoundary,
    /// `OUTBOUND_DATA_ERROR`: `1` when the response body was over the limit.
    OutboundDataError,
    /// `PATH_INFO`: the path.
    PathInfo,
    /// `QUERY_STRING`: the query as it was sent.
    QueryString,
    /// `REMOTE_ADDR`: the client's address.
    RemoteAddr,
    /// `REMOTE_HOST`: the client's address: names are not looked up.
    RemoteHost,
    /// `REMOTE_PORT`: the client's port.
    RemotePort,
    /// `REMOTE_USER`: the user of basic authentication.
    RemoteUser,
    /// `REQBODY_ERROR`: `1` when the body could not be read.
    ReqbodyError,
    /// `REQBODY_ERROR_MSG`: why the body could not be read.
    ReqbodyErrorMsg,
    /// `REQBODY_PROCESSOR`: who reads the body: `URLENCODED`, `MULTIPART`, `JSON`, `XML`.
    ReqbodyProcessor,
    /// `REQBODY_PROCESSOR_ERROR`: `1` when the body's reader failed.
    ReqbodyProcessorError,
    /// `REQBODY_PROCESSOR_ERROR_MSG`: why the body's reader failed.
    ReqbodyProcessorErrorMsg,
    /// `REQUEST_BASENAME`: what follows the last `/` or backslash of the path.
    RequestBasename,
    /// `REQUEST_BODY`: the body as it was sent, where no structured reader took it.
    RequestBody,
    /// `REQUEST_BODY_LENGTH`: bytes of the body.
    RequestBodyLength,
    /// `REQUEST_COOKIES`: cookies by name.
    RequestCookies,
    /// `REQUEST_COOKIES_NAMES`: names of cookies.
    RequestCookiesNames,
    /// `REQUEST_FILENAME`: the target without its query, as it was sent.
    RequestFilename,
    /// `REQUEST_HEADERS`: headers by name.
    RequestHeaders,
    /// `REQUEST_HEADERS_NAMES`: names of headers.
    RequestHeadersNames,
    /// `REQUEST_LINE`: method, target and version as they were sent.
    RequestLine,
    /// `REQUEST_METHOD`: the method.
    RequestMethod,
    /// `REQUEST_PROTOCOL`: the version, such as `HTTP/1.1`.
    RequestProtocol,
    /// `REQUEST_URI`: the target without scheme and host.
    RequestUri,
    /// `REQUEST_URI_RAW`: the target as it was sent.
    RequestUriRaw,
    /// `RESOURCE`: the stored collection of a resource.
    Resource,
    /// `RESPONSE_ARGS`: values of a JSON response body.
    ResponseArgs,
    /// `RESPONSE_BODY`: the response body.
    ResponseBody,
    /// `RESPONSE_CONTENT_LENGTH`: bytes of the response body.
    ResponseContentLength,
    /// `RESPONSE_CONTENT_TYPE`: the media type of the response.
    ResponseContentType,
    /// `RESPONSE_HEADERS`: response headers by name.
    ResponseHeaders,
    /// `RESPONSE_HEADERS_NAMES`: names of response headers.
    ResponseHeadersNames,
    /// `RESPONSE_PROTOCOL`: the version of the response.
    ResponseProtocol,
    /// `RESPONSE_STATUS`: the status of the response.
    ResponseStatus,
    /// `RULE`: id, message, severity and more of the rule that is evaluated.
    Rule,
    /// `SERVER_ADDR`: the address that the client reached.
    ServerAddr,
    /// `SERVER_NAME`: the host that the client asked for.
    ServerName,
    /// `SERVER_PORT`: the port that the client reached.
    ServerPort,
    /// `SESSION`: the stored collection of a session.
    Session,
    /// `SESSIONID`: what `setsid` set.
    SessionId,
    /// `STATUS_LINE`: version and status of the response.
    StatusLine,
    /// `TIME`: the time of day, UTC, `14:03:09`.
    Time,
    /// `TIME_DAY`: the day of the month.
    TimeDay,
    /// `TIME_EPOCH`: seconds since 1970.
    TimeEpoch,
    /// `TIME_HOUR`: the hour, 0 to 23.
    TimeHour,
    /// `TIME_MIN`: the minute.
    TimeMin,
    /// `TIME_MON`: the month, 0 to 11.
    TimeMon,
    /// `TIME_SEC`: the second.
    TimeSec,
    /// `TIME_WDAY`: the day of the week, 0 is Sunday.
    TimeWday,
    /// `TIME_YEAR`: the year.
    TimeYear,
    /// `TX`: the variables of this inspection.
    Tx,
    /// `UNIQUE_ID`: the identity of the inspection.
    UniqueId,
    /// `URLENCODED_ERROR`: `1` when an escape of an urlencoded text was wrong.
    UrlencodedError,
    /// `USER`: the stored collection of a user.
    User,
    /// `USERAGENT_IP`: the client's address.
    UserAgentIp,
    /// `USERID`: what `setuid` set.
    UserId,
    /// `WEBAPPID`: the name of the application, `SecWebAppId`.
    WebAppId,
    /// `XML`: text and attributes of an XML body.
    Xml,
}

/// Every variable in the order of the enumeration, with its name and whether it is a collection.
const ALL: &[(Variable, &str, bool)] = &[
    (Variable::Args, "ARGS", true),
    (Variable::ArgsCombinedSize, "ARGS_COMBINED_SIZE", false),
    (Variable::ArgsGet, "ARGS_GET", true),
    (Variable::ArgsGetNames, "ARGS_GET_NAMES", true),
    (Variable::ArgsNames, "ARGS_NAMES", true),
    (Variable::ArgsPost, "ARGS_POST", true),
    (Variable::ArgsPostNames, "ARGS_POST_NAMES", true),
    (Variable::AuthType, "AUTH_TYPE", false),
    (Variable::Duration, "DURATION", false),
    (Variable::Env, "ENV", true),
    (Variable::Files, "FILES", true),
    (Variable::FilesCombinedSize, "FILES_COMBINED_SIZE", false),
    (Variable::FilesNames, "FILES_NAMES", true),
    (Variable::FilesSizes, "FILES_SIZES", true),
    (Variable::FilesTmpContent, "FILES_TMP_CONTENT", true),
    (Variable::FilesTmpNames, "FILES_TMPNAMES", true),
    (Variable::FullRequest, "FULL_REQUEST", false),
    (Variable::FullRequestLength, "FULL_REQUEST_LENGTH", false),
    (Variable::Geo, "GEO", true),
    (Variable::Global, "GLOBAL", true),
    (Variable::HighestSeverity, "HIGHEST_SEVERITY", false),
    (Variable::InboundDataError, "INBOUND_DATA_ERROR", false),
    (Variable::Ip, "IP", true),
    (Variable::MatchedVar, "MATCHED_VAR", false),
    (Variable::MatchedVarName, "MATCHED_VAR_NAME", false),
    (Variable::MatchedVars, "MATCHED_VARS", true),
    (Variable::MatchedVarsNames, "MATCHED_VARS_NAMES", true),
    (Variable::ModsecBuild, "MODSEC_BUILD", false),
    (Variable::MscPcreError, "MSC_PCRE_ERROR", false),
    (Variable::MscPcreLimitsExceeded, "MSC_PCRE_LIMITS_EXCEEDED", false),
    (Variable::MultipartBoundaryQuoted, "MULTIPART_BOUNDARY_QUOTED", false),
    (Variable::MultipartBoundaryWhitespace, "MULTIPART_BOUNDARY_WHITESPACE", false),
    (Variable::MultipartCrlfLfLines, "MULTIPART_CRLF_LF_LINES", false),
    (Variable::MultipartDataAfter, "MULTIPART_DATA_AFTER", false),
    (Variable::MultipartDataBefore, "MULTIPART_DATA_BEFORE", false),
    (Variable::MultipartFileLimitExceeded, "MULTIPART_FILE_LIMIT_EXCEEDED", false),
    (Variable::MultipartFilename, "MULTIPART_FILENAME", true),
    (Variable::MultipartHeaderFolding, "MULTIPART_HEADER_FOLDING", false),
    (Variable::MultipartInvalidHeaderFolding, "MULTIPART_INVALID_HEADER_FOLDING", false),
    (Variable::MultipartInvalidPart, "MULTIPART_INVALID_PART", false),
    (Variable::MultipartInvalidQuoting, "MULTIPART_INVALID_QUOTING", false),
    (Variable::MultipartLfLine, "MULTIPART_LF_LINE", false),
    (Variable::MultipartMissingSemicolon, "MULTIPART_MISSING_SEMICOLON", false),
    (Variable::MultipartName, "MULTIPART_NAME", true),
    (Variable::MultipartPartHeaders, "MULTIPART_PART_HEADERS", true),
    (Variable::MultipartStrictError, "MULTIPART_STRICT_ERROR", false),
    (Variable::MultipartUnmatchedBoundary, "MULTIPART_UNMATCHED_BOUNDARY", false),
    (Variable::OutboundDataError, "OUTBOUND_DATA_ERROR", false),
    (Variable::PathInfo, "PATH_INFO", false),
    (Variable::QueryString, "QUERY_STRING", false),
    (Variable::RemoteAddr, "REMOTE_ADDR", false),
    (Variable::RemoteHost, "REMOTE_HOST", false),
    (Variable::RemotePort, "REMOTE_PORT", false),
    (Variable::RemoteUser, "REMOTE_USER", false),
    (Variable::ReqbodyError, "REQBODY_ERROR", false),
    (Variable::ReqbodyErrorMsg, "REQBODY_ERROR_MSG", false),
    (Variable::ReqbodyProcessor, "REQBODY_PROCESSOR", false),
    (Variable::ReqbodyProcessorError, "REQBODY_PROCESSOR_ERROR", false),
    (Variable::ReqbodyProcessorErrorMsg, "REQBODY_PROCESSOR_ERROR_MSG", false),
    (Variable::RequestBasename, "REQUEST_BASENAME", false),
    (Variable::RequestBody, "REQUEST_BODY", false),
    (Variable::RequestBodyLength, "REQUEST_BODY_LENGTH", false),
    (Variable::RequestCookies, "REQUEST_COOKIES", true),
    (Variable::RequestCookiesNames, "REQUEST_COOKIES_NAMES", true),
    (Variable::RequestFilename, "REQUEST_FILENAME", false),
    (Variable::RequestHeaders, "REQUEST_HEADERS", true),
    (Variable::RequestHeadersNames, "REQUEST_HEADERS_NAMES", true),
    (Variable::RequestLine, "REQUEST_LINE", false),
    (Variable::RequestMethod, "REQUEST_METHOD", false),
    (Variable::RequestProtocol, "REQUEST_PROTOCOL", false),
    (Variable::RequestUri, "REQUEST_URI", false),
    (Variable::RequestUriRaw, "REQUEST_URI_RAW", false),
    (Variable::Resource, "RESOURCE", true),
    (Variable::ResponseArgs, "RESPONSE_ARGS", true),
    (Variable::ResponseBody, "RESPONSE_BODY", false),
    (Variable::ResponseContentLength, "RESPONSE_CONTENT_LENGTH", false),
    (Variable::ResponseContentType, "RESPONSE_CONTENT_TYPE", false),
    (Variable::ResponseHeaders, "RESPONSE_HEADERS", true),
    (Variable::ResponseHeadersNames, "RESPONSE_HEADERS_NAMES", true),
    (Variable::ResponseProtocol, "RESPONSE_PROTOCOL", false),
    (Variable::ResponseStatus, "RESPONSE_STATUS", false),
    (Variable::Rule, "RULE", true),
    (Variable::ServerAddr, "SERVER_ADDR", false),
    (Variable::ServerName, "SERVER_NAME", false),
    (Variable::ServerPort, "SERVER_PORT", false),
    (Variable::Session, "SESSION", true),
    (Variable::SessionId, "SESSIONID", false),
    (Variable::StatusLine, "STATUS_LINE", false),
    (Variable::Time, "TIME", false),
    (Variable::TimeDay, "TIME_DAY", false),
    (Variable::TimeEpoch, "TIME_EPOCH", false),
    (Variable::TimeHour, "TIME_HOUR", false),
    (Variable::TimeMin, "TIME_MIN", false),
    (Variable::TimeMon, "TIME_MON", false),
    (Variable::TimeSec, "TIME_SEC", false),
    (Variable::TimeWday, "TIME_WDAY", false),
    (Variable::TimeYear, "TIME_YEAR", false),
    (Variable::Tx, "TX", true),
    (Variable::UniqueId, "UNIQUE_ID", false),
    (Variable::UrlencodedError, "URLENCODED_ERROR", false),
    (Variable::User, "USER", true),
    (Variable::UserAgentIp, "USERAGENT_IP", false),
    (Variable::UserId, "USERID", false),
    (Variable::WebAppId, "WEBAPPID", false),
    (Variable::Xml, "XML", true),
];

/// Other engines' names of the same things.
const ALIASES: &[(&str, Variable)] = &[
    ("FILES_TMP_NAMES", Variable::FilesTmpNames),
    ("MULTIPART_SEMICOLON_MISSING", Variable::MultipartMissingSemicolon),
    ("REQUEST_XML", Variable::Xml),
];

/// Variables of other engines that cannot exist here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("ARGS_PATH", "no part of a path has a name here; use `REQUEST_FILENAME`"),
    ("JSON", "values of JSON are arguments: use `ARGS`"),
    ("RESPONSE_XML", "XML of responses is not read; use `RESPONSE_BODY`"),
    ("RES_BODY_ERROR", RESPONSE),
    ("RES_BODY_ERROR_MSG", RESPONSE),
    ("RES_BODY_PROCESSOR", RESPONSE),
    ("RES_BODY_PROCESSOR_ERROR", RESPONSE),
    ("RES_BODY_PROCESSOR_ERROR_MSG", RESPONSE),
    ("PERF_ALL", PERFORMANCE),
    ("PERF_COMBINED", PERFORMANCE),
    ("PERF_GC", PERFORMANCE),
    ("PERF_LOGGING", PERFORMANCE),
    ("PERF_PHASE1", PERFORMANCE),
    ("PERF_PHASE2", PERFORMANCE),
    ("PERF_PHASE3", PERFORMANCE),
    ("PERF_PHASE4", PERFORMANCE),
    ("PERF_PHASE5", PERFORMANCE),
    ("PERF_RULES", PERFORMANCE),
    ("PERF_SREAD", PERFORMANCE),
    ("PERF_SWRITE", PERFORMANCE),
    ("SCRIPT_BASENAME", SCRIPT),
    ("SCRIPT_FILENAME", SCRIPT),
    ("SCRIPT_GID", SCRIPT),
    ("SCRIPT_GROUPNAME", SCRIPT),
    ("SCRIPT_MODE", SCRIPT),
    ("SCRIPT_UID", SCRIPT),
    ("SCRIPT_USERNAME", SCRIPT),
    ("SDBM_DELETE_ERROR", "collections are not kept in SDBM files; remove the rule"),
    ("STREAM_INPUT_BODY", "bodies are not rewritten by rules; use `REQUEST_BODY`"),
    ("STREAM_OUTPUT_BODY", "bodies are not rewritten by rules; use `RESPONSE_BODY`"),
    ("WEBSERVER_ERROR_LOG", "there is no web server whose errors a rule could read; remove the rule"),
];

const PERFORMANCE: &str = "times of rules are metrics of the gateway, not variables; remove the rule";
const RESPONSE: &str = "a response that cannot be read sets nothing; remove the rule";
const SCRIPT: &str = "a gateway serves no script files; remove the rule";

impl Variable {
    /// The variable that rules call `name`, in any case of letters.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let known = ALL.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(v, ..)| *v);
        known.or_else(|| ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map(|(_, v)| *v))
    }

    /// Why a variable of other engines does not exist here, and what to do.
    #[must_use]
    pub fn refusal(name: &str) -> Option<&'static str> {
        REFUSED.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(name)).map(|(_, why)| *why)
    }

    /// The name, in capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name, _)| name)
    }

    /// Whether it has named parts, so that a selector makes sense.
    #[must_use]
    pub fn is_collection(self) -> bool {
        ALL.get(self as usize).is_some_and(|(.., collection)| *collection)
    }

    /// Whether it outlives an inspection.
    #[must_use]
    pub fn is_stored(self) -> bool {
        use Variable::{Global, Ip, Resource, Session, User};
        matches!(self, Global | Ip | Resource | Session | User)
    }

    /// All names, for what may have been meant.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn the_table_follows_the_enumeration() {
        for (index, (variable, name, _)) in ALL.iter().enumerate() {
            assert_eq!(*variable as usize, index, "{name}");
            assert_eq!(variable.name(), *name);
            assert_eq!(Variable::by_name(&name.to_lowercase()).unwrap(), *variable);
        }
    }
}
