//! Verifies a JSON Web Token against the issuers that an operation accepts (RFC 7519, RFC 8725).

use std::sync::{Arc, LazyLock};

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Files, Principal, Services, Timestamp,
    compile::{IssuerSpec, KeySource, TokenProfile},
    services::{DocumentSource, Documents, Revocations},
};
use parking_lot::RwLock;

use super::{
    cache::{self, TokenCache, Verified},
    claims,
    json::{self, Members},
    jwks::{KeySet, Symmetric, sha256},
    jws::{self, Algorithm, Compact, Defect},
    reason::{Rejection, Why},
};

/// The tokens that this process verified. One for all operations and policies, so that the memory it may take does not
/// grow with them; each entry tells which issuer and keys it holds for.
static VERIFIED: LazyLock<TokenCache> = LazyLock::new(TokenCache::new);

/// The newest refresh token of a session that was shown where none should be, so that an older one is known as reused.
static REFRESHED: LazyLock<TokenCache<Timestamp>> = LazyLock::new(TokenCache::new);

/// The issuers whose tokens an operation accepts, and those whose tokens nobody accepts any more.
pub(super) struct JwtVerifier {
    pub issuers: Vec<Issuer>,
    retired: Vec<Issuer>,
    pub documents: Arc<dyn Documents>,
    revocations: Arc<dyn Revocations>,
}

pub(super) struct Issuer {
    pub spec: Arc<IssuerSpec>,
    pub algorithms: Vec<Algorithm>,
    keys: Keys,
}

/// A valid token: which of the accepted issuers it is from, and whom it names.
#[derive(Debug)]
pub(super) struct Proven {
    pub issuer: Arc<str>,
    pub principal: Arc<Principal>,
}

impl JwtVerifier {
    /// Verifies a token at `now`. Waits only for a key set, and only if it `may_fetch`: when there is none yet, or when
    /// the token names a key that the set lacks (at most one fetch in 30 s, which the store of documents sees to).
    pub(super) async fn verify(
        &self,
        token: &str,
        now: Timestamp,
        may_fetch: bool,
    ) -> Result<Proven, Rejection> {
        if token.len() > jws::MAX_TOKEN {
            return Err(Why::TokenTooLarge.into());
        }
        let key = cache::key(token);
        if let Some(seen) = VERIFIED.get(&key)
            && let Some(issuer) = self.issuers.iter().find(|issuer| issuer.is(&seen.issuer))
            && let Some(keys) = issuer.keys.current(&*self.documents)
            && *keys.id() == seen.key_set
        {
            if issuer.spec.is_retired(now) {
                let principal = &seen.principal;
                let client = principal.client.as_deref().unwrap_or_default();
                self.revocations.note_retired(&issuer.spec.name, client, &principal.subject, true, now);
                return Err(issuer.reject(Why::IssuerRetired));
            }
            seen.lifetime.check(now, issuer.spec.leeway).map_err(|why| issuer.reject(why))?;
            return Ok(issuer.proven(Arc::clone(&seen.principal)));
        }
        let compact = Compact::parse(token).map_err(Why::from)?;
        let claims = read_claims(compact.payload())?;
        let name = claims::issuer(&claims)?;
        let Some(issuer) = self.issuers.iter().find(|i| *i.spec.issuer == *name) else {
            let retired = self.refuse_retired(&compact, &claims, now);
            return Err(retired.unwrap_or_else(|| Why::UnknownIssuer.into()));
        };
        if issuer.spec.is_retired(now) {
            return Err(self.refuse_of(issuer, &compact, &claims, now));
        }
        let documents = may_fetch.then_some(&*self.documents);
        if !issuer.accepts_type(compact.typ()) {
            return Err(issuer.reject(if is_refresh(compact.typ()) {
                Why::RefreshToken
            } else {
                Why::TypeNotAccepted
            }));
        }
        let keys = issuer.verify_signature(&compact, &*self.documents, documents).await?;
        let refuse = |why| issuer.reject_with_key(why, &compact, &keys);
        if let Some(claim) = compact.contradicted(&claims) {
            return Err(refuse(Why::ClaimMalformed(claim)));
        }
        claims::check_purpose(&claims, compact.typ(), issuer.spec.id_tokens)
            .map_err(|why| refuse(if why == Why::RefreshToken { issuer.refreshed(&claims) } else { why }))?;
        let digest = sha256(&[compact.signed().as_bytes()]);
        let (principal, lifetime) = claims::read(claims, &issuer.spec, digest).map_err(refuse)?;
        lifetime.check(now, issuer.spec.leeway).map_err(refuse)?;
        let principal = Arc::new(principal);
        let verified = Verified {
            issuer: Arc::clone(&issuer.spec),
            key_set: *keys.id(),
            lifetime,
            principal: Arc::clone(&principal),
        };
        VERIFIED.put(key, Arc::new(verified), token.len());
        Ok(issuer.proven(principal))
    }

    /// Refuses a token of a retired issuer where no token is accepted, or none of it.
    pub(super) fn refuse_if_retired(&self, token: &str, now: Timestamp) -> Option<Rejection> {
        if self.retired.is_empty() {
            return None;
        }
        let compact = Compact::parse(token).ok()?;
        let claims = read_claims(compact.payload()).ok()?;
        self.refuse_retired(&compact, &claims, now)
    }

    fn refuse_retired(&self, token: &Compact<'_>, claims: &Members<'_>, now: Timestamp) -> Option<Rejection> {
        let name = claims::issuer(claims).ok()?;
        let issuer = self.retired.iter().find(|i| *i.spec.issuer == *name && i.spec.is_retired(now))?;
        Some(self.refuse_of(issuer, token, claims, now))
    }

    /// Who still shows tokens of a retired issuer is noted, by name where the signature is the issuer's.
    fn refuse_of(
        &self,
        issuer: &Issuer,
        token: &Compact<'_>,
        claims: &Members<'_>,
        now: Timestamp,
    ) -> Rejection {
        let keys = issuer.keys.current(&*self.documents);
        let verified = keys.is_some_and(|keys| token.verify(&keys, &issuer.algorithms).is_ok());
        let (client, subject) = if verified { claims::user(claims) } else { Default::default() };
        self.revocations.note_retired(&issuer.spec.name, &client, &subject, verified, now);
        issuer.reject(Why::IssuerRetired)
    }

    /// Compiles the named issuers; `path_of` tells where in the block a name was written.
    pub(super) fn compile(
        names: &[(Arc<str>, String)],
        context: &CompileContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut issuers = Vec::<Issuer>::new();
        for (name, path) in names {
            let Some(spec) = context.issuers.get(name) else {
                problems.push(unknown_issuer(name, path, context));
                continue;
            };
            if let Some(other) = issuers.iter().find(|i| i.spec.issuer == spec.issuer) {
                problems.push(
                    Diagnostic::error(
                        path,
                        format!("issuers `{}` and `{name}` have the same `issuer`", other.spec.name),
                    )
                    .help("accept one of them, or merge them into one entry of `issuers`"),
                );
                continue;
            }
            match Issuer::compile(spec, context.services, context.files) {
                Ok(issuer) => issuers.push(issuer),
                // What is retired is refused with or without its keys.
                Err(_) if spec.retired.is_some() => issuers.push(Issuer::without_keys(spec)),
                Err(message) => {
                    problems
                        .push(Diagnostic::error(path, format!("issuer `{name}` cannot be used: {message}")));
                }
            }
        }
        let accepted = |spec: &IssuerSpec| issuers.iter().any(|issuer| issuer.spec.issuer == spec.issuer);
        let retired = context.issuers.values().filter(|spec| spec.retired.is_some() && !accepted(spec));
        let retired = retired
            .map(|spec| {
                Issuer::compile(spec, context.services, context.files)
                    .unwrap_or_else(|_| Issuer::without_keys(spec))
            })
            .collect();
        problems.or(JwtVerifier {
            issuers,
            retired,
            documents: Arc::clone(&context.services.documents),
            revocations: Arc::clone(&context.services.revocations),
        })
    }
}

fn unknown_issuer(name: &str, path: &str, context: &CompileContext<'_>) -> Diagnostic {
    let known: Vec<String> = context.issuers.keys().map(|name| format!("`{name}`")).collect();
    Diagnostic::error(path, format!("there is no issuer `{name}`")).help(if known.is_empty() {
        "add it to the document's `issuers`".to_owned()
    } else {
        format!("write one of {}, or add it to the document's `issuers`", known.join(", "))
    })
}

/// The claims of a payload that is not verified yet.
fn read_claims(payload: &[u8]) -> Result<Members<'_>, Why> {
    json::members(payload).map_err(|reason| Why::from(Defect::from(reason)))
}

impl Issuer {
    /// Its keys as they are known now.
    pub(super) fn current_keys(&self, documents: &dyn Documents) -> Option<Arc<KeySet>> {
        self.keys.current(documents)
    }

    /// A retired issuer whose keys are gone.
    fn without_keys(spec: &Arc<IssuerSpec>) -> Self {
        Issuer { spec: Arc::clone(spec), algorithms: Vec::new(), keys: Keys::None }
    }

    pub(super) fn compile(
        spec: &Arc<IssuerSpec>,
        services: &Services,
        files: &dyn Files,
    ) -> Result<Self, String> {
        let mut algorithms = Vec::new();
        for name in &spec.algorithms {
            algorithms.push(Algorithm::named(name).ok_or_else(|| {
                let known: Vec<String> = Algorithm::ALL.iter().map(|a| format!("`{}`", a.name())).collect();
                format!(
                    "`{name}` is not an algorithm that can be accepted; write one of {}",
                    known.join(", ")
                )
            })?);
        }
        if algorithms.is_empty() {
            return Err("its `algorithms` are empty; list those that it signs with".to_owned());
        }
        if spec.audiences.is_empty() && spec.events.is_none() {
            return Err("its `audiences` are empty; list the `aud` values that mean this API".to_owned());
        }
        let keys = Keys::compile(&spec.keys, &algorithms, services, files)?;
        Ok(Issuer { spec: Arc::clone(spec), algorithms, keys })
    }

    /// Whether this is the issuer that a remembered token was verified for: the same settings, whatever policy they
    /// stand in.
    fn is(&self, spec: &Arc<IssuerSpec>) -> bool {
        Arc::ptr_eq(&self.spec, spec) || self.spec == *spec
    }

    fn proven(&self, principal: Arc<Principal>) -> Proven {
        Proven { issuer: Arc::clone(&self.spec.name), principal }
    }

    fn reject(&self, why: Why) -> Rejection {
        Rejection { why, issuer: Some(Arc::clone(&self.spec.name)), key: None }
    }

    /// Names the token's key only where the set has it: other text of the token is the caller's.
    fn reject_with_key(&self, why: Why, token: &Compact<'_>, keys: &KeySet) -> Rejection {
        let known = keys.keys().iter().filter_map(|key| key.kid()).find(|kid| token.kid() == Some(kid));
        Rejection { key: known.map(Arc::from), ..self.reject(why) }
    }

    /// A refresh token that was shown to an API: worse where a newer one of its session was shown before, as then two
    /// parties have them (RFC 9700 section 4.14.2).
    fn refreshed(&self, claims: &Members<'_>) -> Why {
        let Some((family, issued)) = claims::refresh_family(claims) else { return Why::RefreshToken };
        let key = sha256(&[self.spec.name.as_bytes(), b" ", family.as_bytes()]);
        match REFRESHED.get(&key) {
            Some(newest) if issued < *newest => Why::RefreshTokenReused,
            _ => {
                REFRESHED.put(key, Arc::new(issued), family.len());
                Why::RefreshToken
            }
        }
    }

    /// Whether the header's `typ` is accepted. Without a list: `JWT`, `at+jwt` (RFC 9068) or none.
    fn accepts_type(&self, typ: Option<&str>) -> bool {
        let same =
            |typ: &str, accepted: &str| jws::media_type(typ).eq_ignore_ascii_case(jws::media_type(accepted));
        if self.spec.profile == TokenProfile::AccessToken {
            return typ.is_some_and(|typ| same(typ, "at+jwt"));
        }
        match typ {
            None => self.spec.types.is_empty(),
            Some(typ) if self.spec.types.is_empty() => same(typ, "JWT") || same(typ, "at+jwt"),
            Some(typ) => self.spec.types.iter().any(|accepted| same(typ, accepted)),
        }
    }

    /// `fetch` are the same documents where a key set may be waited for.
    pub(super) async fn verify_signature(
        &self,
        token: &Compact<'_>,
        documents: &dyn Documents,
        fetch: Option<&dyn Documents>,
    ) -> Result<Arc<KeySet>, Rejection> {
        let keys = match self.keys.current(documents) {
            Some(keys) => keys,
            None => self.keys.refetch(fetch).await.ok_or_else(|| self.reject(Why::KeysUnavailable))?,
        };
        let defect = match token.verify(&keys, &self.algorithms) {
            Ok(()) => return Ok(keys),
            Err(defect) => defect,
        };
        let rotated = defect == Defect::UnknownKey || defect == Defect::Signature && token.kid().is_none();
        if rotated
            && let Some(newer) = self.keys.refetch(fetch).await
            && newer.id() != keys.id()
        {
            return match token.verify(&newer, &self.algorithms) {
                Ok(()) => Ok(newer),
                Err(defect) => Err(self.reject_with_key(defect.into(), token, &newer)),
            };
        }
        Err(self.reject_with_key(defect.into(), token, &keys))
    }
}

/// Whether `typ` says that this is a refresh token.
fn is_refresh(typ: Option<&str>) -> bool {
    let known = ["refresh", "refresh+jwt", "rt+jwt"];
    typ.is_some_and(|typ| known.iter().any(|known| jws::media_type(typ).eq_ignore_ascii_case(known)))
}

/// An issuer's keys.
enum Keys {
    /// Of a retired issuer, where they are gone.
    None,
    /// Read when the policy was compiled.
    Fixed(Arc<KeySet>),
    /// Kept fresh in the background.
    Remote { source: DocumentSource, read: RwLock<Option<Read>> },
}

/// A document that was read. A newer one that cannot be read leaves the keys of the one before in force.
#[derive(Clone)]
struct Read {
    generation: u64,
    keys: Option<Arc<KeySet>>,
}

impl Keys {
    fn compile(
        source: &KeySource,
        algorithms: &[Algorithm],
        services: &Services,
        files: &dyn Files,
    ) -> Result<Self, String> {
        let hmac = algorithms.iter().filter_map(|a| a.hmac().map(|hash| (a.name(), hash)));
        let keys = match source {
            KeySource::Secret(reference) => {
                if algorithms.iter().any(|a| a.hmac().is_none()) {
                    return Err("a shared secret verifies `HS256`, `HS384` and `HS512` only".to_owned());
                }
                let secret = files.secret(reference)?;
                for (name, hash) in hmac {
                    let least = hash.digest_algorithm().output_len();
                    if secret.expose().len() < least {
                        return Err(format!(
                            "`{reference}` is too short: `{name}` needs at least {least} bytes"
                        ));
                    }
                }
                KeySet::from_secret(secret.expose().as_bytes()).map_err(|reason| reason.0.to_owned())?
            }
            KeySource::File(reference) => {
                let bytes = files.read(reference)?;
                read_file(&bytes).map_err(|problem| format!("`{reference}`: {problem}"))?
            }
            KeySource::Url(_) | KeySource::Discovery(_) => {
                if let Some((name, _)) = hmac.into_iter().next() {
                    return Err(format!(
                        "`{name}` needs a shared secret, and a key set that anybody can fetch holds none"
                    ));
                }
                let source = match source {
                    KeySource::Discovery(issuer) => DocumentSource::Issuer(Arc::clone(issuer)),
                    KeySource::Url(url) => DocumentSource::Url(Arc::clone(url)),
                    KeySource::File(_) | KeySource::Secret(_) => {
                        return Err("its keys have no source".to_owned());
                    }
                };
                services.documents.watch(&source);
                return Ok(Keys::Remote { source, read: RwLock::new(None) });
            }
        };
        if !keys.keys().iter().any(|key| algorithms.iter().any(|a| key.fits(*a))) {
            return Err("none of its keys fits one of its `algorithms`".to_owned());
        }
        Ok(Keys::Fixed(Arc::new(keys)))
    }

    /// The keys as they are known now; never waits.
    fn current(&self, documents: &dyn Documents) -> Option<Arc<KeySet>> {
        let (source, read) = match self {
            Keys::None => return None,
            Keys::Fixed(keys) => return Some(Arc::clone(keys)),
            Keys::Remote { source, read } => (source, read),
        };
        let document = documents.latest(source)?;
        let before = match &*read.read() {
            Some(read) if read.generation == document.generation => return read.keys.clone(),
            Some(read) => read.keys.clone(),
            None => None,
        };
        let keys = match KeySet::from_jwks(&document.bytes, Symmetric::Refuse) {
            Ok((keys, _)) => Some(Arc::new(keys)),
            Err(_) => before,
        };
        *read.write() = Some(Read { generation: document.generation, keys: keys.clone() });
        keys
    }

    /// `None` also where nothing may be fetched.
    async fn refetch(&self, documents: Option<&dyn Documents>) -> Option<Arc<KeySet>> {
        let documents = documents?;
        if let Keys::Remote { source, .. } = self {
            documents.refetch(source).await;
        }
        self.current(documents)
    }
}

/// A JWKS or PEM file. A file of ours that holds no usable key is an error that names each one's.
fn read_file(bytes: &[u8]) -> Result<KeySet, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither a JWKS nor PEM")?;
    if text.contains("-----BEGIN ") {
        return KeySet::from_pem(text);
    }
    let (keys, skipped) = KeySet::from_jwks(bytes, Symmetric::Accept)?;
    if keys.keys().is_empty() {
        let reasons: Vec<String> =
            skipped.iter().map(|(index, reason)| format!("key {index}: {}", reason.0)).collect();
        let reasons = if reasons.is_empty() { "its `keys` are empty".to_owned() } else { reasons.join(", ") };
        return Err(format!("it holds no usable key ({reasons})"));
    }
    Ok(keys)
}
