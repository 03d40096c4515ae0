//! The rules of an audit: what each looks for, why, and what to do.

use serde::{Deserialize, Serialize};

/// How bad a finding is, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Helps an attacker who is already at work.
    Medium,
    /// Opens a door.
    High,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }

    /// What a rule of this severity takes from the score where everything that it looks at is wrong.
    pub(super) fn weight(self) -> usize {
        match self {
            Severity::Low => 5,
            Severity::Medium => 15,
            Severity::High => 30,
        }
    }
}

/// One rule.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What it looks for.
    pub title: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The entry of the OWASP API Security Top 10 of 2023 that it belongs to; empty for none.
    pub owasp: &'static str,
}

pub(super) static SECURITY_MISSING: Rule = Rule {
    id: "security-missing",
    severity: Severity::High,
    title: "an operation does not say who may call it",
    why: "without `security` the contract lets anybody call the operation, and a gateway that obeys it does too",
    remedy: "add `security` to the operation or to the document; `security: []` where it is public on purpose",
    owasp: "API2:2023",
};
pub(super) static PUBLIC_WRITE: Rule = Rule {
    id: "public-write",
    severity: Severity::Medium,
    title: "an operation that changes something is public",
    why: "what anybody may change is changed by bots first: sign-ups, resets and forms need a limit at least",
    remedy: "demand a scheme, or limit the operation in the policy (`rate_limit`)",
    owasp: "API2:2023",
};
pub(super) static SECURITY_OPTIONAL: Rule = Rule {
    id: "security-optional",
    severity: Severity::Medium,
    title: "credentials are optional",
    why: "an empty alternative (`{}`) beside others makes all of them optional: a caller who sends none is let in",
    remedy: "remove `{}`, or split the operation into a public and a private one",
    owasp: "API2:2023",
};
pub(super) static SCHEME_UNDEFINED: Rule = Rule {
    id: "scheme-undefined",
    severity: Severity::High,
    title: "`security` names a scheme that is not defined",
    why: "nobody can enforce what nobody defined",
    remedy: "define it below `components.securitySchemes` (`securityDefinitions` in 2.0)",
    owasp: "API2:2023",
};
pub(super) static BASIC: Rule = Rule {
    id: "basic-auth",
    severity: Severity::Medium,
    title: "passwords are sent with each request",
    why: "HTTP Basic sends the password itself, which never expires, cannot be scoped and is guessed online",
    remedy: "use OAuth 2, OpenID Connect or client certificates",
    owasp: "API2:2023",
};
pub(super) static KEY_IN_QUERY: Rule = Rule {
    id: "key-in-query",
    severity: Severity::High,
    title: "a key is sent in the query",
    why: "URLs end up in logs, histories and Referer headers, and the key with them",
    remedy: "send it in a header: `in: header`",
    owasp: "API2:2023",
};
pub(super) static WEAK_FLOW: Rule = Rule {
    id: "weak-flow",
    severity: Severity::Medium,
    title: "an OAuth flow that is not used any more",
    why: "RFC 9700 section 2.1.2 and 2.4: `implicit` puts tokens into URLs, `password` gives passwords to clients",
    remedy: "use `authorizationCode` with PKCE, or `clientCredentials`",
    owasp: "API2:2023",
};
pub(super) static TOKEN_URL: Rule = Rule {
    id: "plain-token-url",
    severity: Severity::High,
    title: "tokens are asked for over plain HTTP",
    why: "whoever is on the way reads the credentials",
    remedy: "write an `https:` URL",
    owasp: "API2:2023",
};
pub(super) static SCOPELESS: Rule = Rule {
    id: "oauth-without-scopes",
    severity: Severity::Low,
    title: "OAuth is demanded without a scope",
    why: "every token of the issuer opens the operation, whatever it was made for",
    remedy: "name the scopes that the operation needs",
    owasp: "API5:2023",
};
pub(super) static PLAIN_SERVER: Rule = Rule {
    id: "plain-server",
    severity: Severity::High,
    title: "a server speaks plain HTTP",
    why: "whoever is on the way reads and changes everything",
    remedy: "write an `https:` URL; redirect on port 80",
    owasp: "API8:2023",
};
pub(super) static GUESSABLE_ID: Rule = Rule {
    id: "guessable-id",
    severity: Severity::Medium,
    title: "objects are named by numbers in a row",
    why: "whoever has one number has them all; a missing check of ownership is then found at once",
    remedy: "use UUIDs (`type: string, format: uuid`), and check ownership (`ownership` in the policy)",
    owasp: "API1:2023",
};
pub(super) static CREDENTIAL_IN_QUERY: Rule = Rule {
    id: "credential-in-query",
    severity: Severity::High,
    title: "a credential is a query parameter",
    why: "URLs end up in logs, histories and Referer headers",
    remedy: "send it in a header or in the body",
    owasp: "API2:2023",
};
pub(super) static UNTYPED: Rule = Rule {
    id: "untyped",
    severity: Severity::Medium,
    title: "a value of a request may be anything",
    why: "nothing of it is checked: not its kind, not its size, not what is inside",
    remedy: "state a `type`, and what it may hold",
    owasp: "API8:2023",
};
pub(super) static STRING: Rule = Rule {
    id: "unbounded-string",
    severity: Severity::Medium,
    title: "a text of a request has no largest length",
    why: "texts of any length cost memory and time, and hold any payload",
    remedy: "add `maxLength`, `enum`, or a `format` of fixed length",
    owasp: "API4:2023",
};
pub(super) static CHARACTERS: Rule = Rule {
    id: "any-characters",
    severity: Severity::Low,
    title: "a text of a request may hold any characters",
    why: "a `pattern`, `format` or `enum` proves most injections impossible",
    remedy: "add a `pattern` or `format`",
    owasp: "API8:2023",
};
pub(super) static ARRAY: Rule = Rule {
    id: "unbounded-array",
    severity: Severity::Medium,
    title: "a list of a request has no largest length",
    why: "lists of any length cost memory and time, and multiply what one request can do",
    remedy: "add `maxItems`",
    owasp: "API4:2023",
};
pub(super) static NUMBER: Rule = Rule {
    id: "unbounded-number",
    severity: Severity::Low,
    title: "a number of a request has no bounds",
    why: "negative amounts, page sizes of a million and overflows pass",
    remedy: "add `minimum` and `maximum`",
    owasp: "API4:2023",
};
pub(super) static OPEN_OBJECT: Rule = Rule {
    id: "open-object",
    severity: Severity::Medium,
    title: "an object of a request may have properties that nobody declared",
    why: "what is bound to the model by name is set by whoever sends it: mass assignment",
    remedy: "add `additionalProperties: false` (`unevaluatedProperties: false` where schemas are combined)",
    owasp: "API3:2023",
};
pub(super) static ASSIGNABLE: Rule = Rule {
    id: "assignable-property",
    severity: Severity::Medium,
    title: "a request may set what only the server should",
    why: "roles, owners, balances and states that a caller sends are taken over by careless code",
    remedy: "mark it `readOnly: true`, or take it out of the request's schema",
    owasp: "API3:2023",
};
pub(super) static WILDCARD: Rule = Rule {
    id: "wildcard-media",
    severity: Severity::Medium,
    title: "a body may be of any media type",
    why: "what is sent as an unforeseen type is parsed by something that nobody checked",
    remedy: "name the media types",
    owasp: "API8:2023",
};
pub(super) static BODY: Rule = Rule {
    id: "body-without-schema",
    severity: Severity::Medium,
    title: "a body of a request has no schema",
    why: "nothing of it is checked",
    remedy: "add a `schema` to the media type",
    owasp: "API8:2023",
};
pub(super) static NO_401: Rule = Rule {
    id: "no-401",
    severity: Severity::Low,
    title: "the response to missing credentials is not declared",
    why: "what is not declared is not checked: it may leak more than `no`",
    remedy: "declare `401`",
    owasp: "API8:2023",
};
pub(super) static NO_4XX: Rule = Rule {
    id: "no-client-error",
    severity: Severity::Low,
    title: "no response to invalid requests is declared",
    why: "what is not declared is not checked: stack traces come that way",
    remedy: "declare `400` or `4XX`, with a schema",
    owasp: "API8:2023",
};
pub(super) static NO_429: Rule = Rule {
    id: "no-429",
    severity: Severity::Low,
    title: "the response to too many requests is not declared",
    why: "clients that do not know of it retry at once",
    remedy: "declare `429` with `Retry-After`",
    owasp: "API4:2023",
};
pub(super) static ERROR_BODY: Rule = Rule {
    id: "error-without-schema",
    severity: Severity::Low,
    title: "the body of an error is not described",
    why: "what is not described is not checked: it may hold queries, paths and stack traces",
    remedy: "describe it, as `application/problem+json` (RFC 9457) for example",
    owasp: "API8:2023",
};
pub(super) static RESPONSE_BODY: Rule = Rule {
    id: "response-without-schema",
    severity: Severity::Low,
    title: "the body of a response is not described",
    why: "what is not described is not checked: excess properties leave unseen",
    remedy: "add a `schema` to the media type",
    owasp: "API3:2023",
};
pub(super) static RESPONSE_SECRET: Rule = Rule {
    id: "secret-in-response",
    severity: Severity::High,
    title: "a response holds a secret by its contract",
    why: "what is never needed by a client is taken by whoever reads the response",
    remedy: "mark it `writeOnly: true`, or take it out of the response's schema",
    owasp: "API3:2023",
};
pub(super) static DUPLICATE_ID: Rule = Rule {
    id: "duplicate-operation-id",
    severity: Severity::Low,
    title: "two operations have one id",
    why: "tools that know operations by id check one of them by the rules of the other",
    remedy: "give each its own `operationId`",
    owasp: "API9:2023",
};
pub(super) static EXAMPLE_SECRET: Rule = Rule {
    id: "secret-in-example",
    severity: Severity::High,
    title: "an example holds what looks like a real secret",
    why: "contracts are published, and examples are copied from what works",
    remedy: "revoke it, and write a placeholder",
    owasp: "API8:2023",
};
pub(super) static EXAMPLE_CREDENTIAL: Rule = Rule {
    id: "credential-in-example",
    severity: Severity::Low,
    title: "an example or default holds a password",
    why: "defaults and examples are the first ones that are tried",
    remedy: "write a placeholder, such as `<password>`",
    owasp: "API8:2023",
};
pub(super) static DOUBT: Rule = Rule {
    id: "doubt",
    severity: Severity::Low,
    title: "the document is not clear",
    why: "what readers understand differently is checked by one and let through by another",
    remedy: "see the finding",
    owasp: "",
};

/// Every rule, in the order of the documentation.
pub static RULES: &[&Rule] = &[
    &SECURITY_MISSING,
    &PUBLIC_WRITE,
    &SECURITY_OPTIONAL,
    &SCHEME_UNDEFINED,
    &BASIC,
    &KEY_IN_QUERY,
    &WEAK_FLOW,
    &TOKEN_URL,
    &SCOPELESS,
    &PLAIN_SERVER,
    &GUESSABLE_ID,
    &CREDENTIAL_IN_QUERY,
    &UNTYPED,
    &STRING,
    &CHARACTERS,
    &ARRAY,
    &NUMBER,
    &OPEN_OBJECT,
    &ASSIGNABLE,
    &WILDCARD,
    &BODY,
    &NO_401,
    &NO_4XX,
    &NO_429,
    &ERROR_BODY,
    &RESPONSE_BODY,
    &RESPONSE_SECRET,
    &DUPLICATE_ID,
    &EXAMPLE_SECRET,
    &EXAMPLE_CREDENTIAL,
    &DOUBT,
];
