//! The narrowest change that would let a request pass: of the client, of the policy, or a command.

use serde_json::Value;

use super::words::{is_question, text};

/// What would let a request pass. Nothing in it comes from a credential or a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What the client can do, as a clause.
    pub caller: Option<String>,
    /// What the policy can say, as a clause.
    pub policy: Option<String>,
    /// The same to copy: `operations` of the API, or a setting of it.
    pub yaml: Option<String>,
    /// A command to run.
    pub command: Option<String>,
}

impl Change {
    fn caller(text: impl Into<String>) -> Self {
        Change { caller: Some(text.into()), ..Change::default() }
    }

    fn policy(text: impl Into<String>) -> Self {
        Change { policy: Some(text.into()), ..Change::default() }
    }

    fn or_policy(mut self, text: impl Into<String>) -> Self {
        self.policy = Some(text.into());
        self
    }

    /// A block of the operation with these settings.
    fn block(mut self, matched: &str, settings: &[&str]) -> Self {
        let matched = if matched.starts_with('*') { format!("\"{matched}\"") } else { matched.to_owned() };
        let mut yaml = format!("operations:\n  - match: {matched}\n");
        for line in settings {
            yaml.push_str(&format!("    {line}\n"));
        }
        self.yaml = Some(yaml);
        self
    }
}

/// The narrowest change for a finding of an event or of an answer.
#[must_use]
pub fn narrowest(value: &Value, finding: &Value) -> Change {
    let code = text(finding, "code");
    let client = text(value, "client");
    let (guard, reason) = code.split_once('.').unwrap_or((code.as_str(), ""));
    match guard {
        "identity" => identity(value, finding, reason),
        "rate_limit" => rate_limit(value, finding),
        "request_limits" => request_limits(value, finding, reason),
        "ip_access" => Change::policy(match reason {
            "denied" => format!("remove the prefix that holds {client} from `ip_access.deny`"),
            _ => format!("add {client} to `ip_access.allow`"),
        }),
        "ban" | "connection" if matches!(reason, "address" | "banned") => Change {
            policy: Some("nothing: bans are no part of it".to_owned()),
            command: Some(format!("bartizan unban {client}")),
            ..Change::default()
        },
        "route" => route(value, finding, reason),
        "ingress" => ingress(reason),
        "upstream" => upstream(value, reason),
        "waf" => waf(value, finding, reason),
        "client" => Change::caller("wait for the answer, or allow more time on its side"),
        "listener" => Change::caller("use `https://`"),
        _ => remedied(finding),
    }
}

/// What the guard itself advises.
fn remedied(finding: &Value) -> Change {
    match text(finding, "remedy") {
        remedy if remedy.is_empty() => Change::default(),
        remedy => Change::policy(remedy),
    }
}

/// From the remedy, which ends with the exclusions to copy, each in backticks.
fn waf(value: &Value, finding: &Value, reason: &str) -> Change {
    match reason {
        "attack" | "leak" => {
            let remedy = text(finding, "remedy");
            let exclusions: Vec<String> =
                remedy.split('`').skip(1).step_by(2).map(|entry| format!("      - {entry}")).collect();
            if exclusions.is_empty() {
                return remedied(finding);
            }
            let mut lines = vec!["guards:", "  waf:", "    exclusions:"];
            lines.extend(exclusions.iter().map(String::as_str));
            Change::policy("where this is legitimate, and only there, leave out what was found:")
                .block(&pattern(value), &lines)
        }
        "body_too_long" => Change::caller("send less")
            .or_policy("look at more of a body here, such as:")
            .block(&pattern(value), &["guards: { waf: { max_body: 1MiB } }"]),
        "unreadable_body" => Change::caller("send what `Content-Type` and `Content-Encoding` say")
            .or_policy("let what cannot be read pass here:")
            .block(&pattern(value), &["guards: { waf: { unreadable: allow } }"]),
        "unknown_type" => Change::caller("send the body with its `Content-Type`")
            .or_policy("let bodies pass here whose type is not read:")
            .block(&pattern(value), &["guards: { waf: { unknown_type: allow } }"]),
        "too_costly" => Change::caller("send less, or in fewer values")
            .or_policy("let rules do more for this operation:")
            .block(&pattern(value), &["guards: { waf: { max_work: 1GiB } }"]),
        _ => remedied(finding),
    }
}

fn identity(value: &Value, finding: &Value, reason: &str) -> Change {
    let nothing = "nothing lets such a credential pass";
    match reason {
        "missing" => Change::caller("send a credential that the operation accepts")
            .or_policy("let anybody call this operation:")
            .block(&pattern(value), &["identity: { anonymous: allow }"]),
        "incomplete" => Change::caller("send every credential that one entry of `accept` demands"),
        "expired" => Change::caller("get a new token from the issuer"),
        "key_expired" | "key_revoked" | "key_rotated" => Change {
            command: Some("bartizan keys create --owner NAME".to_owned()),
            ..Change::caller("use a key that is in force")
        },
        "key_unknown" | "key_malformed" => Change::caller("send a key that `bartizan keys` made"),
        "key_too_old" | "key_due" => Change {
            command: Some("bartizan keys rotate ID".to_owned()),
            ..Change::caller("use a key that was made lately")
        },
        "key_limit" => Change::caller("wait, or ask less often").or_policy(text(finding, "remedy")),
        "key_shared" => Change::caller(text(finding, "remedy")),
        "token_in_query" | "key_in_query" | "key_in_path" => {
            Change::caller(text(finding, "remedy")).or_policy(nothing)
        }
        "repeated_credential" => Change::caller("send each credential once").or_policy(nothing),
        "authorization_malformed" => {
            Change::caller("send `Authorization: Bearer` and a token").or_policy(nothing)
        }
        "keys_unavailable" if is_question(value) => Change::policy(
            "ask the gateway that runs, by `bartizan explain --running`; where it says the same, see that it can fetch the \
             issuer's key set",
        ),
        "keys_unavailable" => Change::policy("see that the issuer's key set can be fetched from here"),
        "token_too_large" => Change::caller("have the issuer put less into its tokens: 8 KiB at most"),
        "audience"
        | "algorithm_not_accepted"
        | "type_not_accepted"
        | "unknown_issuer"
        | "lifetime_too_long"
        | "not_yet_valid"
        | "issued_in_future" => {
            Change::caller("get a token that is meant for this API").or_policy(text(finding, "remedy"))
        }
        "unknown_key" => Change::caller("get a token that is signed with a key which the issuer publishes"),
        _ => {
            let told = text(finding, "remedy");
            let policy = if told.is_empty() { nothing.to_owned() } else { told };
            let caller = match reason.split('_').next().unwrap_or_default() {
                "certificate" => "use a certificate that the operation accepts",
                "binding" | "bound" => "show the key that the token is bound to",
                "dpop" => "make a DPoP proof for this very request and token",
                "signature" if reason != "signature" => {
                    "sign the request as the operation demands, and send it once"
                }
                "digest" | "body" => "send the body that was signed",
                _ => return Change::caller("send the token as its issuer signed it").or_policy(nothing),
            };
            Change::caller(caller).or_policy(policy)
        }
    }
}

/// From the detail: ``limit `guesses` of `api:bank`, 10/m per address, is used up for another 12 s``.
fn rate_limit(value: &Value, finding: &Value) -> Change {
    let detail = text(finding, "detail");
    let mut quoted = detail.split('`');
    let (name, scope) =
        (quoted.nth(1).unwrap_or_default().to_owned(), quoted.nth(1).unwrap_or_default().to_owned());
    let after = quoted.next().unwrap_or_default();
    let words: Vec<&str> = after.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let (rate, kind) =
        (words.first().copied().unwrap_or_default(), words.get(2).copied().unwrap_or_default());
    let seconds = after.rsplit(' ').nth(1).unwrap_or_default();
    let change = Change::caller(format!("wait {seconds} s, as `Retry-After` says"));
    let Some((count, period)) = rate.split_once('/') else { return change };
    let Ok(count) = count.parse::<u64>() else { return change };
    let key = match kind {
        "address" => "ip",
        "principal" => "principal",
        // Which header it counts by is not told; the limit is to be changed where it is written.
        _ => return change.or_policy(format!("raise `rate` or `burst` of limit `{name}` in `{scope}`")),
    };
    let raised = count.saturating_mul(2);
    let limit = format!("    - {{ name: {name}, key: {key}, rate: {raised}/{period} }}");
    change
        .or_policy(format!("allow more than {rate} here (limit `{name}` of `{scope}`):"))
        .block(&pattern(value), &["guards:", "  rate_limit:", &limit])
}

/// From the detail, whose first number is what was found.
fn request_limits(value: &Value, finding: &Value, reason: &str) -> Change {
    let detail = text(finding, "detail");
    let found = detail.split(' ').find_map(|word| word.parse::<u64>().ok());
    let setting = match reason {
        "body" => "max_body",
        "query" => "max_query_bytes",
        "parameters" => "max_query_parameters",
        "path" => "max_path_segments",
        "headers" => "max_headers",
        "header" => "max_header_bytes",
        "method" => {
            let (method, matched) = (text(value, "method"), exact(value));
            let limit = format!("guards: {{ request_limits: {{ methods: [{method}] }} }}");
            return Change::caller("use one of the methods that `Allow` names")
                .or_policy("permit the method here:")
                .block(&matched, &[&limit]);
        }
        _ => return remedied(finding),
    };
    let Some(found) = found else { return remedied(finding) };
    let unit = if setting.ends_with("_bytes") || setting == "max_body" { "B" } else { "" };
    let limit = format!("guards: {{ request_limits: {{ {setting}: {found}{unit} }} }}");
    Change::caller("send less").or_policy("permit this much here:").block(&pattern(value), &[&limit])
}

fn route(value: &Value, finding: &Value, reason: &str) -> Change {
    match reason {
        "no_api" => Change::caller("use a host and a path of an API")
            .or_policy("add an API whose `hosts` and `base_path` take this request"),
        "unknown_operation" | "method_not_allowed" => Change::caller(match reason {
            "method_not_allowed" => "use one of the methods that `Allow` names",
            _ => "use an operation that the contract has",
        })
        .or_policy("name the operation, in the contract or here:")
        .block(&exact(value), &[]),
        _ => remedied(finding),
    }
}

fn ingress(reason: &str) -> Change {
    let nothing = "nothing: two servers could read such a request differently";
    match reason {
        "path_encoded_slash" => Change {
            yaml: Some("paths: { encoded_slash: true }\n".to_owned()),
            ..Change::caller("send the path without `%2F`")
                .or_policy("leave `%2F` in the segments of this API:")
        },
        "path_parameters" => Change {
            yaml: Some("paths: { parameters: true }\n".to_owned()),
            ..Change::caller("send the path without `;`")
                .or_policy("leave `;parameters` in the paths of this API:")
        },
        "target_too_long" => Change::caller("send a shorter URL").or_policy("raise `bounds.target_bytes`"),
        "head_too_large" => Change::caller("send smaller headers").or_policy("raise `bounds.header_bytes`"),
        "too_many_fields" | "too_many_headers" => {
            Change::caller("send fewer headers").or_policy("raise `bounds.header_count`")
        }
        "header_timeout" => {
            Change::caller("send the head at once").or_policy("raise `bounds.header_timeout`")
        }
        "body_too_large" => {
            Change::caller("send less").or_policy("raise `max_body` of the API or the operation")
        }
        "body_too_slow" | "exchange_too_long" => Change::caller("send the body faster"),
        "two_hosts" | "no_host" => Change::caller("send one `Host`").or_policy(nothing),
        "two_framings" => {
            Change::caller("send `Content-Length` or `Transfer-Encoding`, not both").or_policy(nothing)
        }
        "two_content_lengths" | "content_length" => {
            Change::caller("send one `Content-Length`, a plain number").or_policy(nothing)
        }
        "bare_lf" | "bare_cr" => Change::caller("end every line with CR LF").or_policy(nothing),
        "forwarded" => Change::caller("have its proxy send `Forwarded` or `X-Forwarded-For`, not both"),
        path if path.starts_with("path") => {
            Change::caller("send the path in its plain form").or_policy(nothing)
        }
        _ => Change::caller("send the request as RFC 9110 and RFC 9112 write it").or_policy(nothing),
    }
}

fn upstream(value: &Value, reason: &str) -> Change {
    let backend = match text(value, "backend") {
        backend if backend.is_empty() => "the backend".to_owned(),
        backend => format!("`{backend}`"),
    };
    Change::policy(match reason {
        "connect" | "connect_timeout" | "unavailable" => {
            format!("see that {backend} runs and can be reached from here, or correct `upstream.backends`")
        }
        "tls" => format!(
            "see that the certificate of {backend} is valid for its name, or state its `upstream.tls`"
        ),
        "timeout" | "body_timeout" => format!("see why {backend} is slow, or raise `upstream.timeouts`"),
        "exhausted" => "raise `upstream.max_connections`, or add backends".to_owned(),
        "forbidden" => "have `upstream.backends` name the API, not this gateway".to_owned(),
        _ => format!("see what {backend} says about it"),
    })
}

/// The operation as a block matches it: its label, or where nothing names it, its method and path.
fn pattern(value: &Value) -> String {
    let label = text(value, "operation");
    if label.split_once(' ').is_some_and(|(_, path)| path.starts_with('/')) { label } else { exact(value) }
}

/// The method and the path below the API's base, with what events replace as parameters.
fn exact(value: &Value) -> String {
    let path = text(value, "path");
    let base = text(value, "base_path");
    let path =
        path.strip_prefix(base.trim_end_matches('/')).filter(|below| below.starts_with('/')).unwrap_or(&path);
    let replaced = |segment: &str| match segment {
        "{number}" => "{number}".to_owned(),
        ".." => "**".to_owned(),
        token if token.starts_with('~') => "*".to_owned(),
        word => word.to_owned(),
    };
    let path: Vec<String> = path.split('/').map(replaced).collect();
    format!("{} {}", text(value, "method"), path.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use serde_json::json;

    use super::*;

    fn change(value: &Value, code: &str, detail: &str) -> Change {
        narrowest(value, &json!({ "code": code, "detail": detail, "remedy": "as the guard says" }))
    }

    #[test]
    fn figures_come_from_the_detail() {
        let value = json!({ "operation": "POST /v1/login", "method": "POST", "path": "/v1/login" });
        let detail = "limit `guesses` of `api:bank`, 10/m per address, is used up for another 12 s";
        let told = change(&value, "rate_limit.exceeded", detail);
        assert_eq!(told.caller.unwrap(), "wait 12 s, as `Retry-After` says");
        assert_eq!(
            told.yaml.unwrap(),
            "operations:\n  - match: POST /v1/login\n    guards:\n      rate_limit:\n        - { name: guesses, key: ip, rate: 20/m }\n"
        );
        let told = change(
            &value,
            "request_limits.body",
            "the declared body of 2048 bytes exceeds `max_body`, 1024 bytes",
        );
        assert!(told.yaml.unwrap().ends_with("guards: { request_limits: { max_body: 2048B } }\n"));
        let odd = change(&value, "rate_limit.exceeded", "something else");
        assert_eq!((odd.policy, odd.yaml), (None, None), "what cannot be read is not guessed");
    }

    #[test]
    fn what_nothing_names_is_matched_by_its_path() {
        let value = json!({
            "operation": "unknown", "method": "GET", "path": "/shop/items/{number}/~k3v9", "base_path": "/shop",
        });
        let told = change(&value, "route.unknown_operation", "");
        assert_eq!(told.yaml.unwrap(), "operations:\n  - match: GET /items/{number}/*\n");
        let root = json!({ "operation": "* /admin/**", "method": "GET", "path": "/admin/x" });
        assert!(change(&root, "identity.missing", "").yaml.unwrap().contains("- match: \"* /admin/**\"\n"));
    }

    #[test]
    fn a_guard_that_is_not_known_here_advises_itself() {
        let told = change(&json!({}), "new_guard.reason", "");
        assert_eq!(told.policy.as_deref(), Some("as the guard says"));
    }
}
