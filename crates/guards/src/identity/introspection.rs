//! Opaque tokens: what their issuer says of them (RFC 7662, RFC 9701), and how long that is believed.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bartizan_model::{
    CompileContext, Principal, Redacted, Timestamp,
    compile::{Files, IssuerSpec},
    introspection::{ClientAuthentication, Endpoint, Response},
    services::{Documents, Introspection},
};
use serde_json::Value;

use crate::call_out::check_url;

use super::{
    cache::TokenCache,
    claims::{self, Lifetime},
    config::{self, ClientAuth, Unavailable},
    json::{self, Member, Members},
    jwks::sha256,
    jws::{self, Compact},
    jwt::Issuer,
    presented,
    reason::{Rejection, Why},
};

/// What issuers said, of all operations and policies; each key holds what the answer depends on.
static ANSWERED: LazyLock<TokenCache<Answered>> = LazyLock::new(TokenCache::new);

/// Longest that an answer may be believed, whatever the policy says.
const LONGEST: Duration = Duration::from_secs(3600);

/// How old a signed answer may be: one that is older was made for another question.
const SIGNED_AGE: Duration = Duration::from_secs(300);

/// Asks one endpoint.
pub(super) struct OpaqueVerifier {
    /// The name of who says who calls.
    pub issuer: Arc<str>,
    endpoint: Arc<Endpoint>,
    audiences: Vec<Arc<str>>,
    /// The issuer of that name, where the document has it.
    spec: Option<Arc<IssuerSpec>>,
    /// Whose keys sign the answers, where they must be signed, and the `aud` of ours.
    signer: Option<(Issuer, Option<Arc<str>>)>,
    positive: Duration,
    negative: Duration,
    stale: Duration,
    unavailable: Unavailable,
    asked: Arc<dyn Introspection>,
    documents: Arc<dyn Documents>,
}

/// What an issuer said of a token, and when.
struct Answered {
    at: Timestamp,
    outcome: Result<(Arc<Principal>, Lifetime), Why>,
}

impl OpaqueVerifier {
    /// Verifies a token at `now`; nobody is asked unless it `may_ask`.
    pub(super) async fn verify(
        &self,
        token: &str,
        now: Timestamp,
        may_ask: bool,
    ) -> Result<Arc<Principal>, Rejection> {
        let refuse = |why| Rejection { why, issuer: Some(Arc::clone(&self.issuer)), key: None };
        if token.len() > jws::MAX_TOKEN {
            return Err(refuse(Why::TokenTooLarge));
        }
        if self.spec.as_ref().is_some_and(|spec| spec.is_retired(now)) {
            return Err(refuse(Why::IssuerRetired));
        }
        let key = sha256(&[&self.endpoint.digest, token.as_bytes()]);
        let digest = presented::digest(token);
        let known = ANSWERED.get(&key);
        if let Some(answered) = &known
            && now < self.believed_until(answered)
        {
            return self.judge(answered, now).map_err(refuse);
        }
        if !may_ask {
            return Err(refuse(Why::IntrospectionUnavailable));
        }
        let token = Redacted::new(token.to_owned());
        let answer = match self.asked.ask(&self.endpoint, &token).await {
            Ok(response) => self.claims(&response, now).await,
            Err(_) => Err(Why::IntrospectionUnavailable),
        };
        let answered = match answer {
            Ok(claims) => Answered { at: now, outcome: self.read(claims, digest) },
            Err(why) => {
                let good = known.filter(|known| known.outcome.is_ok());
                let usable = good.filter(|_| self.unavailable == Unavailable::AllowCached);
                return match usable.filter(|known| now.since(known.at) < self.positive + self.stale) {
                    Some(known) => self.judge(&known, now).map_err(refuse),
                    None => Err(refuse(why)),
                };
            }
        };
        let judged = self.judge(&answered, now).map_err(refuse);
        ANSWERED.put(key, Arc::new(answered), token.expose().len());
        judged
    }

    /// Until when an answer stands for another: not beyond the token's end, when its issuer may say otherwise.
    fn believed_until(&self, answered: &Answered) -> Timestamp {
        let at = answered.at;
        match &answered.outcome {
            Err(_) => at.plus(self.negative),
            Ok((_, lifetime)) => match lifetime.expires {
                None => at.plus(self.positive),
                Some(end) if at < end => at.plus(self.positive).min(end),
                // It had ended by our clock; asking again and again would not change that.
                Some(_) => at.plus(self.negative),
            },
        }
    }

    fn judge(&self, answered: &Answered, now: Timestamp) -> Result<Arc<Principal>, Why> {
        let (principal, lifetime) = answered.outcome.as_ref().map_err(|why| *why)?;
        lifetime.check(now, self.spec.as_ref().map_or(Duration::ZERO, |spec| spec.leeway))?;
        Ok(Arc::clone(principal))
    }

    /// The members of an answer, whose signature is verified where it must have one.
    async fn claims(&self, response: &Response, now: Timestamp) -> Result<Members<'static>, Why> {
        const UNUSABLE: Why = Why::IntrospectionUnavailable;
        let Some((signer, client)) = &self.signer else {
            return if response.signed {
                Err(UNUSABLE)
            } else {
                json::object(&response.body).map(Members::from).map_err(|_| UNUSABLE)
            };
        };
        // An answer that anybody can make must not take the place of a signed one.
        if !response.signed {
            return Err(UNUSABLE);
        }
        let token = std::str::from_utf8(&response.body).map_err(|_| UNUSABLE)?;
        let compact = Compact::parse(token.trim_ascii()).map_err(|_| UNUSABLE)?;
        let typ = compact.typ().map(jws::media_type);
        if !typ.is_some_and(|typ| typ.eq_ignore_ascii_case("token-introspection+jwt")) {
            return Err(UNUSABLE);
        }
        let documents = &*self.documents;
        signer.verify_signature(&compact, documents, Some(documents)).await.map_err(|_| UNUSABLE)?;
        let mut claims = json::members(compact.payload()).map_err(|_| UNUSABLE)?;
        let issued = claims::date(&claims, "iat").ok().flatten().ok_or(UNUSABLE)?;
        let leeway = signer.spec.leeway;
        let timely = issued <= now.plus(leeway) && now.since(issued) <= SIGNED_AGE + leeway;
        let ours = client
            .as_ref()
            .is_none_or(|client| claims::check_audience(&claims, std::slice::from_ref(client)).is_ok());
        if !timely || !ours || claims::issuer(&claims) != Ok(&*signer.spec.issuer) {
            return Err(UNUSABLE);
        }
        match claims.remove("token_introspection") {
            Some(Member::Other(Value::Object(members))) => Ok(members.into()),
            _ => Err(UNUSABLE),
        }
    }

    fn read(&self, mut claims: Members<'_>, digest: [u8; 32]) -> Result<(Arc<Principal>, Lifetime), Why> {
        if !claims.remove("active").is_some_and(|active| active.is(&Value::Bool(true))) {
            return Err(Why::TokenInactive);
        }
        if let (Some(spec), Some(issuer)) = (&self.spec, claims.get("iss"))
            && issuer.as_str() != Some(&*spec.issuer)
        {
            return Err(Why::UnknownIssuer);
        }
        let (principal, lifetime) =
            claims::read_opaque(claims, &self.issuer, &self.audiences, self.spec.as_deref(), digest)?;
        Ok((Arc::new(principal), lifetime))
    }

    /// Compiles the settings; the problem with its place below the entry.
    pub(super) fn compile(
        config: &config::Introspection,
        context: &CompileContext<'_>,
    ) -> Result<Self, (&'static str, String)> {
        let name: Arc<str> = Arc::from(config.issuer.as_str());
        if name.is_empty() || &*name == "bartizan" {
            return Err(("issuer", "give the issuer a name of its own, such as `corp`".to_owned()));
        }
        check_url(&config.endpoint, "tokens", "https://id.example.com/introspect")
            .map_err(|problem| ("endpoint", problem))?;
        let spec = context.issuers.get(&name).map(Arc::clone);
        let authentication = authentication(config, context.files)?;
        let signer = match (config.signed, &spec) {
            (false, _) => None,
            (true, None) => {
                let problem =
                    format!("signed answers need the keys of an issuer `{name}`, and the document has none");
                return Err(("signed", problem));
            }
            (true, Some(spec)) => {
                let issuer = Issuer::compile(spec, context.services, context.files)
                    .map_err(|problem| ("signed", problem))?;
                Some((issuer, config.client_id.as_deref().map(Arc::from)))
            }
        };
        let times = [
            ("cache.positive", config.cache.positive.0, LONGEST),
            ("cache.negative", config.cache.negative.0, LONGEST),
            ("cache.stale", config.cache.stale.0, LONGEST),
            ("timeout", config.timeout.0, Duration::from_secs(30)),
        ];
        if let Some((place, _, most)) = times.into_iter().find(|(_, time, most)| time > most) {
            return Err((place, format!("write at most `{}s`", most.as_secs())));
        }
        if config.timeout.0.is_zero() {
            return Err(("timeout", "nothing is answered in no time; write `2s`, for example".to_owned()));
        }
        let secret = match &authentication {
            ClientAuthentication::Basic { secret, .. } | ClientAuthentication::Post { secret, .. } => secret,
            ClientAuthentication::Bearer(token) => token,
        };
        let settings = format!("{config:?} {spec:?}");
        let digest = sha256(&[settings.as_bytes(), b" ", secret.expose().as_bytes()]);
        let of_issuer = spec.as_ref().map_or(&[][..], |spec| spec.audiences.as_slice());
        let audiences = match config.audiences.as_slice() {
            [] => of_issuer.to_vec(),
            own => own.iter().map(|text| Arc::from(text.as_str())).collect(),
        };
        Ok(OpaqueVerifier {
            issuer: name,
            audiences,
            spec,
            signer,
            positive: config.cache.positive.0,
            negative: config.cache.negative.0,
            stale: config.cache.stale.0,
            unavailable: config.unavailable,
            asked: Arc::clone(&context.services.introspection),
            documents: Arc::clone(&context.services.documents),
            endpoint: Arc::new(Endpoint {
                url: Arc::from(config.endpoint.as_str()),
                authentication,
                timeout: config.timeout.0,
                signed: config.signed,
                digest,
            }),
        })
    }

    /// The `iss` of the issuer, where it is known.
    pub(super) fn issuer_url(&self) -> Option<&str> {
        self.spec.as_ref().map(|spec| &*spec.issuer)
    }
}

fn authentication(
    config: &config::Introspection,
    files: &dyn Files,
) -> Result<ClientAuthentication, (&'static str, String)> {
    let secret = || match &config.client_secret {
        Some(reference) => files.secret(reference).map_err(|problem| ("client_secret", problem)),
        None => Err((
            "client_secret",
            "write `client_secret: env:NAME`: an endpoint tells nobody else".to_owned(),
        )),
    };
    let id = || match config.client_id.as_deref() {
        Some(id) if !id.is_empty() => Ok(Arc::from(id)),
        _ => Err(("client_id", "write the id that the gateway is known by at the issuer".to_owned())),
    };
    Ok(match config.auth {
        ClientAuth::Basic => ClientAuthentication::Basic { id: id()?, secret: secret()? },
        ClientAuth::Post => ClientAuthentication::Post { id: id()?, secret: secret()? },
        ClientAuth::Bearer => ClientAuthentication::Bearer(secret()?),
    })
}
