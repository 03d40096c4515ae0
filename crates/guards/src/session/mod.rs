//! Watches credentials while they are used: one that moves to another client is stolen, or looks so.
//!
//! # What it does
//! A token, an API key or a session cookie is bound to the client that it is first seen with: the block of its address
//! (/24, /48), its user agent, and its TLS hello where this gateway ends TLS. A session cookie is bound to the client that the
//! upstream sets it for. Each later request is compared, before anything else looks at it, and given a risk from 0 to 100:
//!
//! | difference | weight |
//! |---|---|
//! | a block of addresses that the credential has not come from | `network`: 25 |
//! | with `asn`, another provider than that of any known block | `provider`: 15 |
//! | other software (the user agent differs in more than its version) | `agent`: 40 |
//! | another version of the same software | `version`: 5 |
//! | another TLS hello | `hello`: 35 |
//! | a fifth or further block of addresses within an hour | `hopping`: 20 |
//!
//! The weights of what differs are added. A telephone that changes networks keeps its software: 25, which is learned, so that
//! the second request from there has none. A copied token in another program elsewhere has 65 or more. From `at` on, `moved`
//! says what happens; below it, a finding `session.shifted` tells of it once. The risk is known to later guards:
//! `step_up: { when: risk >= 40 }`, and to conditions of `access`.
//!
//! On the way out, cookies get `Secure`, `HttpOnly` and `SameSite=Lax` where the upstream left them out, and those named
//! `__Host-..`, `__Secure-..` or `__Http-..` what browsers demand of them.
//!
//! A cookie is the same session in quotes or percent-encoded, a token the same whatever the case of `Bearer`; one without `jti`
//! and `sid` is known by what its issuer signed.
//!
//! # Why
//! OWASP API2:2023 (broken authentication): whoever holds a bearer credential is its owner, until somebody looks. NIST SP
//! 800-207 asks for trust to be evaluated with each request. Cookies without these attributes are read by injected scripts,
//! sent in clear and sent for other sites.
//!
//! # Example
//! ```yaml
//! cookies: [sid, "*session*"]
//! moved: step_up
//! step_up: { acr: mfa }
//! set_cookie: { same_site: strict, readable: [XSRF-TOKEN] }
//! ```
//!
//! # When it refuses
//! - 401 `session.moved` with `moved: refuse`: the client of the credential has to sign in anew.
//! - 401 `session.step_up` with `moved: step_up`, with the challenge of the guard `step_up`: a token needs an authentication
//!   after the move (a new token is a new credential), an API key its holder's code. Whoever shows it becomes the credential's
//!   client. A cookie without a token or key beside it cannot: its user signs in anew.
//! - Nothing in `mode: monitor`: findings tell what would be, cookies are reported (`session.weak_cookie`) and left alone.
//!
//! # Limits
//! User agents can be copied: who has the token may have that, too, and an address of the same block. The clients of 65,536
//! tokens and keys, of as many cookies that the upstream was seen to set, and of as many other cookies are remembered, by
//! SHA-256 only, those used last; they survive a reload and not a restart. Eight blocks of addresses are remembered of each.
//! Callers by certificate, signature or DPoP are not watched. What several clients share on purpose (an API key of many
//! servers) is left out by `credentials: [tokens]`. `Secure` is added on cleartext listeners, too: `secure: false` where no
//! proxy in front speaks TLS. A `SameSite=None` is raised, too, unless `cross_site` names the cookie.
//!
//! # References
//! - OWASP API Security Top 10 2023, API2; OWASP Session Management Cheat Sheet
//! - NIST SP 800-207 section 2.1 (continuous evaluation)
//! - RFC 6265, draft-ietf-httpbis-rfc6265bis (cookies, `SameSite`, `__Host-`), RFC 6750 section 3, RFC 9470

mod config;
mod cookies;
mod probes;
mod reason;
mod sight;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_authz::Geo;
use bartizan_model::{
    CompileContext, CredentialKind, Denial, Diagnostic, Diagnostics, Guard, Mode, Outcome, Phase,
    Reason as _, ResponseHead, Strength, Timestamp, Transaction, probe::Probes,
};
use http::{HeaderName, HeaderValue, header::WWW_AUTHENTICATE};

pub use config::{Config, Kind, Moved, SameSite, SetCookie, Weights};
pub use reason::{Refusal, Why};

use self::{
    cookies::{Hardening, Patterns},
    sight::{Seen, Sight},
};
use crate::{
    client_print::ClientPrint, digest, identity::presented, remembered::Remembered, step_up::Demand,
};

/// Credentials of each of the three kinds of table.
const CREDENTIALS: usize = 65_536;

/// Credentials of one request that are remembered where they were not known: no client has more sessions at a time, and one
/// request must not push out many of others.
const NEW: usize = 16;

/// Findings of weak cookies of one response.
const MAX_WEAK: usize = 8;

/// The compiled guard.
pub struct Session {
    kinds: Vec<Kind>,
    cookies: Patterns,
    moved: Moved,
    at: u8,
    weights: Weights,
    geo: Option<Geo>,
    demand: Demand,
    hardening: Hardening,
    realm: String,
    sights: Arc<Sights>,
}

/// The clients of credentials. Cookies have tables of their own: anybody can make some up, and must not push out what was
/// verified or issued.
struct Sights {
    verified: Remembered<Sight>,
    issued: Remembered<Sight>,
    shown: Remembered<Sight>,
}

impl Default for Sights {
    fn default() -> Self {
        let table = || Remembered::new(CREDENTIALS);
        Sights { verified: table(), issued: table(), shown: table() }
    }
}

/// A credential of a request, by its hash.
struct Credential {
    key: [u8; 32],
    what: What,
}

#[derive(Clone, PartialEq, Eq)]
enum What {
    Token,
    ApiKey,
    /// By its name.
    Cookie(Vec<u8>),
}

impl Guard for Session {
    const ID: &'static str = "session";
    type Config = Config;
    type Reason = Refusal;

    fn compile(config: Config, context: &CompileContext<'_>) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        if !(1..=100).contains(&config.at) {
            problems.push(Diagnostic::error("at", "a risk is from 1 to 100").help("write `at: 60`"));
        }
        let weights = &config.weights;
        let most = [weights.network, weights.provider, weights.agent, weights.hello, weights.hopping];
        if most.iter().fold(0_u8, |sum, weight| sum.saturating_add(*weight)) < config.at {
            problems.push(
                Diagnostic::error("weights", "all of them together do not come to `at`: nothing ever moves")
                    .help("raise them, or lower `at`"),
            );
        }
        if config.step_up.is_some() && config.moved != Moved::StepUp {
            problems.push(
                Diagnostic::error("step_up", "it is asked for with `moved: step_up` only")
                    .help("write `moved: step_up`, or mount the guard `step_up`"),
            );
        }
        if config.step_up.as_ref().is_some_and(|step_up| step_up.when.is_some()) {
            problems.push(
                Diagnostic::error("step_up.when", "`at` says when it is asked for").help("remove `when`"),
            );
        }
        for (key, names) in [("cookies", &config.cookies), ("set_cookie.names", &config.set_cookie.names)] {
            for (index, name) in names.iter().enumerate() {
                if name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic() || b"=;,\"".contains(&b)) {
                    problems.push(
                        Diagnostic::error(format!("{key}[{index}]"), "this is not a cookie's name")
                            .help("write one such as `sid`, or a pattern such as `*session*`"),
                    );
                }
            }
        }
        let geo = config.asn.as_ref().and_then(|file| {
            let read = context.files.read(file).and_then(|bytes| Geo::default().with_asn(bytes));
            read.map_err(|message| problems.push(Diagnostic::error("asn", message))).ok()
        });
        let demand = Demand::compile(&config.step_up.unwrap_or_default(), context);
        let demand = match demand {
            Ok(demand) => demand,
            Err(mut more) => {
                more.0.iter_mut().for_each(|problem| problem.path = format!("step_up.{}", problem.path));
                problems.extend(more);
                return Err(problems);
            }
        };
        let quotable =
            |c: char| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' };
        problems.or(Session {
            kinds: config.credentials,
            cookies: Patterns::new(&config.cookies),
            moved: config.moved,
            at: config.at,
            geo,
            weights: config.weights,
            demand,
            hardening: Hardening::new(&config.set_cookie),
            realm: context.api.chars().map(quotable).collect(),
            sights: context.services.kept.of::<Sights>(),
        })
    }

    async fn request_headers(&self, transaction: &mut Transaction) -> Outcome<Refusal> {
        // Neither probes nor questions are clients.
        if transaction.probe {
            return Outcome::Continue;
        }
        let client = ClientPrint::of(transaction);
        let (asn, now) = (self.asn(transaction), transaction.started);
        let mut worst: Option<(Seen, Credential)> = None;
        for (place, credential) in self.credentials(transaction).into_iter().enumerate() {
            let may_add = place < NEW;
            let Some(seen) = self.look(&credential, &client, asn, now, may_add) else { continue };
            if seen.risk > 0 && worst.as_ref().is_none_or(|(known, _)| seen.risk > known.risk) {
                worst = Some((seen, credential));
            }
        }
        match worst {
            None => Outcome::Continue,
            Some((seen, credential)) => self.judge(seen, &credential, client, transaction),
        }
    }

    fn response_headers(&self, _: &Transaction, response: &mut ResponseHead) {
        if response.from_upstream {
            self.hardening.harden(&mut response.headers);
        }
    }

    fn watch_response_headers(&self, _: &Transaction, _: &mut ResponseHead) {}

    fn probes(&self, _: Timestamp) -> Probes {
        probes::offer(self)
    }
}

impl Session {
    /// Looks at the upstream's response before it is edited: tells of weak cookies, and binds session cookies to the client
    /// that they are set for.
    pub fn response_head(&self, transaction: &mut Transaction, head: &ResponseHead) -> Outcome<Refusal> {
        if !head.headers.contains_key(cookies::FIELD) {
            return Outcome::Continue;
        }
        for (name, lacks) in self.hardening.found(&head.headers).into_iter().take(MAX_WEAK) {
            let name: String = name.chars().take(64).collect();
            let how =
                format!("the upstream sets the cookie `{}` without {}", name.escape_debug(), lacks.told());
            tell(transaction, Why::WeakCookie { how }, Phase::ResponseHeaders);
        }
        if !transaction.probe && !self.cookies.is_empty() {
            let client = ClientPrint::of(transaction);
            let (asn, now) = (self.asn(transaction), transaction.started);
            for (name, value) in cookies::issued(&head.headers) {
                if self.cookies.matches(&name) {
                    let key = cookie_key(&name, &cookies::plain(&value));
                    self.sights.issued.with(key, || Sight::new(client, asn, now), |_| ());
                }
            }
        }
        Outcome::Continue
    }

    /// The credentials of a request that are watched.
    fn credentials(&self, transaction: &Transaction) -> Vec<Credential> {
        let mut found = Vec::new();
        let headers = &transaction.request.headers;
        if let Some(principal) = transaction.principal.as_deref().filter(|p| p.strength == Strength::Bearer) {
            let id = principal.credential_id.as_deref();
            match principal.kind {
                CredentialKind::ApiKey if self.kinds.contains(&Kind::ApiKeys) => {
                    let key = digest::of_parts(&[b"api_key", id.unwrap_or_default().as_bytes()]);
                    found.push(Credential { key, what: What::ApiKey });
                }
                CredentialKind::Jwt | CredentialKind::Opaque if self.kinds.contains(&Kind::Tokens) => {
                    let (issuer, subject) = (principal.issuer.as_bytes(), principal.subject.as_bytes());
                    let text = signed_part(presented::token(headers).unwrap_or_default()).as_bytes();
                    let key = match (principal.session.as_deref(), id) {
                        (Some(session), _) => {
                            digest::of_parts(&[b"sid", issuer, subject, session.as_bytes()])
                        }
                        (None, Some(id)) => digest::of_parts(&[b"jti", issuer, subject, id.as_bytes()]),
                        (None, None) => digest::of_parts(&[b"token", issuer, subject, text]),
                    };
                    found.push(Credential { key, what: What::Token });
                }
                _ => {}
            }
        }
        if !self.cookies.is_empty() {
            for (name, value) in cookies::sent(headers) {
                let (name, value) = (cookies::plain(name), cookies::plain(value));
                if !value.is_empty() && self.cookies.matches(&name) {
                    found.push(Credential { key: cookie_key(&name, &value), what: What::Cookie(name) });
                }
            }
        }
        found
    }

    /// The provider that announces the client's address; 0 where it is not known.
    fn asn(&self, transaction: &Transaction) -> u32 {
        self.geo.as_ref().map_or(0, |geo| geo.asn(transaction.client.ip))
    }

    /// Compares the client with that of the credential, which becomes this one's where it is new and may be added.
    fn look(
        &self,
        credential: &Credential,
        client: &ClientPrint,
        asn: u32,
        now: Timestamp,
        may_add: bool,
    ) -> Option<Seen> {
        let look = |sight: &mut Sight| sight.look(client, asn, now, &self.weights, self.at);
        let new = || Sight::new(*client, asn, now);
        let sights = &self.sights;
        match credential.what {
            What::Token | What::ApiKey => sights.verified.with(credential.key, new, look),
            What::Cookie(_) => match sights.issued.find(&credential.key, look) {
                Some(seen) => Some(seen),
                None if may_add => sights.shown.with(credential.key, new, look),
                None => sights.shown.find(&credential.key, look),
            },
        }
    }

    fn judge(
        &self,
        seen: Seen,
        credential: &Credential,
        client: ClientPrint,
        transaction: &mut Transaction,
    ) -> Outcome<Refusal> {
        let how = format!(
            "{} came from another client than its own: {} (risk {} of 100)",
            credential.what.told(),
            seen.signs.told(),
            seen.risk
        );
        if seen.risk < self.at {
            transaction.raise_risk(seen.risk);
            if seen.is_new {
                tell(transaction, Why::Shifted { how }, Phase::RequestHeaders);
            }
            return Outcome::Continue;
        }
        match self.moved {
            Moved::Finding => {
                transaction.raise_risk(seen.risk);
                tell(transaction, Why::Moved { how }, Phase::RequestHeaders);
                Outcome::Continue
            }
            Moved::StepUp => match self.demand.judge(transaction, seen.moved) {
                Ok(()) => {
                    let (asn, now) = (self.asn(transaction), transaction.started);
                    let rebind = |sight: &mut Sight| sight.rebind(client, asn, now);
                    for table in [&self.sights.verified, &self.sights.issued, &self.sights.shown] {
                        table.find(&credential.key, rebind);
                    }
                    Outcome::Continue
                }
                Err(refusal) => {
                    transaction.raise_risk(seen.risk);
                    let how = format!("{how}; {}", refusal.detail());
                    let headers = match credential.what {
                        What::Cookie(_) if transaction.principal.is_none() => {
                            self.challenge(&credential.what)
                        }
                        _ => refusal.headers,
                    };
                    Outcome::Challenge(Refusal { why: Why::StepUp { how }, headers })
                }
            },
            Moved::Refuse => {
                transaction.raise_risk(seen.risk);
                let headers = self.challenge(&credential.what);
                Outcome::Challenge(Refusal { why: Why::Moved { how }, headers })
            }
        }
    }

    /// What asks for a new credential of the kind that moved.
    fn challenge(&self, what: &What) -> Vec<(HeaderName, HeaderValue)> {
        let realm = &self.realm;
        let text = match what {
            What::Token => format!(
                "Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"the access token is invalid\""
            ),
            What::ApiKey => format!("ApiKey realm=\"{realm}\""),
            What::Cookie(name) => {
                let name: String =
                    name.iter().map(|b| char::from(*b)).filter(char::is_ascii_graphic).collect();
                let name = name.replace(['"', '\\'], "");
                format!("Cookie realm=\"{realm}\", cookie-name=\"{name}\"")
            }
        };
        HeaderValue::from_str(&text).map(|value| vec![(WWW_AUTHENTICATE, value)]).unwrap_or_default()
    }
}

impl What {
    fn told(&self) -> &'static str {
        match self {
            What::Token => "a token",
            What::ApiKey => "an API key",
            What::Cookie(_) => "a session cookie",
        }
    }
}

/// What identifies a token that names neither itself nor its session: all of a JSON Web Token that is signed, as a signature of
/// some algorithms can be turned into another; else all of it.
fn signed_part(token: &str) -> &str {
    match token.rsplit_once('.') {
        Some((signed, _)) if signed.contains('.') => signed,
        _ => token,
    }
}

fn cookie_key(name: &[u8], value: &[u8]) -> [u8; 32] {
    digest::of_parts(&[b"cookie", name, value])
}

/// A finding that stops nothing, whatever the guard's mode.
fn tell(transaction: &mut Transaction, why: Why, phase: Phase) {
    transaction.find(Denial::of(Session::ID, &Refusal::from(why)).finding(phase, Mode::Monitor));
}
