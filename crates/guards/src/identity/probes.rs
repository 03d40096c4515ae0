//! What `identity` can be probed with: no credential, false ones, ones in the wrong place, and tokens that are signed with
//! keys which everybody has.

use bartizan_model::{
    Timestamp,
    compile::TokenProfile,
    probe::{Doubt, Edit, Probe, Probes, Weight},
    services::Random,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::{Anonymous, Identity, Requirement, api_key, jws::Algorithm, jwt::Issuer, published};

/// Issuers of one guard whose tokens are imitated.
const ISSUERS: usize = 8;

/// What the guard offers at `now`.
pub(super) fn offer(guard: &Identity, now: Timestamp) -> Probes {
    let mut probes = Probes::default();
    if guard.accept.is_empty() {
        return probes;
    }
    let key_suffices = guard.accept.iter().find_map(|requirement| match requirement {
        Requirement::ApiKey { header, .. } => Some(header.clone()),
        Requirement::Jwt { .. }
        | Requirement::Opaque { .. }
        | Requirement::Proof { .. }
        | Requirement::All(_) => None,
    });
    match (key_suffices, guard.anonymous) {
        (Some(header), _) => probes.pass.push(Edit::ApiKey(header)),
        (None, Anonymous::Allow) => {}
        (None, Anonymous::Deny) => probes.unmet = Some("identity.missing"),
    }
    if guard.anonymous == Anonymous::Deny {
        probes.hostile.push(Probe::refused("no credential", Vec::new()));
        let password = field(AUTHORIZATION, "Basic cHJvYmU6cHJvYmU=");
        probes.hostile.push(Probe::refused("a password where a credential is asked for", password));
    } else {
        probes.doubts.push(Doubt {
            code: "anonymous",
            weight: Weight::WholeApi,
            what: "`identity` accepts credentials and demands none: callers without any pass as anonymous".into(),
            remedy: "write `anonymous: deny` for the API, and `anonymous: allow` in the blocks of public operations"
                .into(),
        });
    }
    if let Some(verifier) = &guard.jwt {
        for issuer in verifier.issuers.iter().take(ISSUERS) {
            probes.hostile.extend(tokens(guard, issuer, now));
        }
    }
    for header in &guard.api_key_headers {
        probes.hostile.extend(keys(header));
    }
    probes
}

/// Keys that were never issued, and one in the wrong place.
fn keys(header: &HeaderName) -> Vec<Probe> {
    let never = api_key::generate(&Constant);
    let never = never.plain.expose();
    let mut twice = field(header.clone(), never);
    twice.extend(field(header.clone(), never));
    vec![
        Probe::refused("an API key that was never issued", field(header.clone(), never)),
        Probe::refused("a text that is no API key", field(header.clone(), "probe")),
        Probe::refused("two API keys", twice),
        Probe::refused("an API key in the URL", vec![Edit::Query(format!("key={never}"))]),
    ]
}

/// Imitations of an issuer's tokens.
fn tokens(guard: &Identity, issuer: &Issuer, now: Timestamp) -> Vec<Probe> {
    let Some(first) = issuer.algorithms.first().copied() else { return Vec::new() };
    let Some(verifier) = &guard.jwt else { return Vec::new() };
    let known = issuer.current_keys(&*verifier.documents);
    let kid = |algorithm: Algorithm| {
        let keys = known.as_ref()?.keys();
        keys.iter().filter(|key| key.fits(algorithm)).find_map(|key| key.kid()).map(str::to_owned)
    };
    let name = &issuer.spec.name;
    let claims = claims(issuer, now.seconds());
    let mut expired = claims.clone();
    let mut foreign = claims.clone();
    if let (Some(expired), Some(foreign)) = (expired.as_object_mut(), foreign.as_object_mut()) {
        expired.insert("iat".to_owned(), json!(now.seconds().saturating_sub(90_000)));
        expired.insert("exp".to_owned(), json!(now.seconds().saturating_sub(86_400)));
        foreign.insert("iss".to_owned(), json!("https://issuer.invalid"));
    }
    let garbage = |algorithm: Algorithm, claims: &Value| {
        let signature = vec![0x5a; algorithm.signature_length().unwrap_or(256)];
        let header = header(issuer, algorithm.name(), kid(algorithm));
        format!("{}.{}", signing_input(&header, claims), URL_SAFE_NO_PAD.encode(signature))
    };
    let none = format!("{}.", signing_input(&header(issuer, "none", None), &claims));
    let forged = garbage(first, &claims);
    let mut twice = bearer(&forged);
    twice.extend(bearer(&forged));
    let mut probes = vec![
        Probe::refused(format!("a token of `{name}` with `alg` `none`"), bearer(&none)),
        Probe::refused(format!("a token of `{name}` that is signed by nobody"), bearer(&forged)),
        Probe::refused(format!("an expired token of `{name}`"), bearer(&garbage(first, &expired))),
        Probe::refused("a token of an unknown issuer", bearer(&garbage(first, &foreign))),
        Probe::refused("a token in the URL", vec![Edit::Query(format!("access_token={forged}"))]),
        Probe::refused("two tokens", twice),
    ];
    if let Some(other) = Algorithm::ALL.into_iter().find(|other| !issuer.algorithms.contains(other)) {
        let text = format!("a token of `{name}` with an `alg` that it does not use");
        probes.push(Probe::refused(text, bearer(&garbage(other, &claims))));
    }
    for key in published::keys() {
        for algorithm in issuer.algorithms.iter().copied().filter(|algorithm| key.fits(*algorithm)) {
            let input = signing_input(&header(issuer, algorithm.name(), kid(algorithm)), &claims);
            let Some(signature) = key.sign(algorithm, input.as_bytes()) else { continue };
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
            let text = format!("a token of `{name}` signed with a published key, {}", key.name);
            let remedy = "have the issuer sign with another key: everybody can sign with this one";
            probes.push(Probe::refused(text, bearer(&token)).mended_by(remedy));
        }
    }
    probes
}

fn header(issuer: &Issuer, algorithm: &str, kid: Option<String>) -> Value {
    let typ = match issuer.spec.profile {
        TokenProfile::AccessToken => "at+jwt",
        TokenProfile::Any => issuer.spec.types.first().map_or("JWT", |typ| &**typ),
    };
    match kid {
        Some(kid) => json!({ "alg": algorithm, "typ": typ, "kid": kid }),
        None => json!({ "alg": algorithm, "typ": typ }),
    }
}

/// Claims that nothing is wrong with.
fn claims(issuer: &Issuer, now: u64) -> Value {
    let lifetime = issuer.spec.max_lifetime.map_or(60, |longest| longest.as_secs().min(60));
    json!({
        "iss": issuer.spec.issuer,
        "aud": issuer.spec.audiences.first(),
        "sub": "probe",
        "client_id": "probe",
        "jti": "probe",
        "iat": now,
        "exp": now.saturating_add(lifetime),
    })
}

fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn bearer(token: &str) -> Vec<Edit> {
    field(AUTHORIZATION, &format!("Bearer {token}"))
}

fn field(name: HeaderName, value: &str) -> Vec<Edit> {
    HeaderValue::from_str(value).ok().map(|value| Edit::Header(name, value)).into_iter().collect()
}

/// What a key is made of that must not be a secret.
struct Constant;

impl Random for Constant {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x5a);
    }
}
