//! Verifies a JSON Web Token against the issuers that an operation accepts (RFC 7519, RFC 8725).

use std::sync::{Arc, LazyLock};

use bartizan_model::{
    CompileContext, Diagnostic, Diagnostics, Principal, Timestamp,
    compile::{IssuerSpec, KeySource},
    services::{DocumentSource, Documents},
};
use parking_lot::RwLock;
use serde_json::{Map, Value};

use super::{
    cache::{TokenCache, Verified},
    claims, json,
    jwks::{KeySet, Symmetric},
    jws::{self, Algorithm, Compact, Defect},
    reason::{Rejection, Why},
};

/// The tokens that this process verified. One for all operations and policies, so that the memory it may take does not
/// grow with them; each entry tells which issuer and keys it holds for.
static VERIFIED: LazyLock<TokenCache> = LazyLock::new(TokenCache::new);

/// The issuers whose tokens an operation accepts.
pub(super) struct JwtVerifier {
    pub issuers: Vec<Issuer>,
    pub documents: Arc<dyn Documents>,
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
        let key = TokenCache::key(token);
        if let Some(seen) = VERIFIED.get(&key)
            && let Some(issuer) = self.issuers.iter().find(|issuer| issuer.is(&seen.issuer))
            && let Some(keys) = issuer.keys.current(&*self.documents)
            && *keys.id() == seen.key_set
        {
            seen.lifetime.check(now, issuer.spec.leeway).map_err(|why| issuer.reject(why))?;
            return Ok(issuer.proven(Arc::clone(&seen.principal)));
        }
        let compact = Compact::parse(token).map_err(Why::from)?;
        let claims = read_claims(compact.payload())?;
        let name = claims::issuer(&claims)?;
        let issuer = self.issuers.iter().find(|i| *i.spec.issuer == *name).ok_or(Why::UnknownIssuer)?;
        let documents = may_fetch.then_some(&*self.documents);
        let keys = issuer.verify_signature(&compact, &*self.documents, documents).await?;
        let (principal, lifetime) =
            claims::read(claims, &issuer.spec).map_err(|why| issuer.reject_with_key(why, &compact, &keys))?;
        lifetime
            .check(now, issuer.spec.leeway)
            .map_err(|why| issuer.reject_with_key(why, &compact, &keys))?;
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
            match Issuer::compile(spec, context) {
                Ok(issuer) => issuers.push(issuer),
                Err(message) => {
                    problems
                        .push(Diagnostic::error(path, format!("issuer `{name}` cannot be used: {message}")));
                }
            }
        }
        problems.or(JwtVerifier { issuers, documents: Arc::clone(&context.services.documents) })
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
fn read_claims(payload: &[u8]) -> Result<Map<String, Value>, Why> {
    json::object(payload).map_err(|reason| Why::from(Defect::from(reason)))
}

impl Issuer {
    /// Its keys as they are known now.
    pub(super) fn current_keys(&self, documents: &dyn Documents) -> Option<Arc<KeySet>> {
        self.keys.current(documents)
    }

    fn compile(spec: &Arc<IssuerSpec>, context: &CompileContext<'_>) -> Result<Self, String> {
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
        if spec.audiences.is_empty() {
            return Err("its `audiences` are empty; list the `aud` values that mean this API".to_owned());
        }
        let keys = Keys::compile(&spec.keys, &algorithms, context)?;
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

    /// Whether the header's `typ` is accepted. Without a list: `JWT`, `at+jwt` (RFC 9068) or none.
    fn accepts_type(&self, typ: Option<&str>) -> bool {
        let same =
            |typ: &str, accepted: &str| jws::media_type(typ).eq_ignore_ascii_case(jws::media_type(accepted));
        match typ {
            None => self.spec.types.is_empty(),
            Some(typ) if self.spec.types.is_empty() => same(typ, "JWT") || same(typ, "at+jwt"),
            Some(typ) => self.spec.types.iter().any(|accepted| same(typ, accepted)),
        }
    }

    /// `fetch` are the same documents where a key set may be waited for.
    async fn verify_signature(
        &self,
        token: &Compact<'_>,
        documents: &dyn Documents,
        fetch: Option<&dyn Documents>,
    ) -> Result<Arc<KeySet>, Rejection> {
        if !self.accepts_type(token.typ()) {
            return Err(self.reject(Why::TypeNotAccepted));
        }
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

/// An issuer's keys.
enum Keys {
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
        context: &CompileContext<'_>,
    ) -> Result<Self, String> {
        let hmac = algorithms.iter().filter_map(|a| a.hmac().map(|hash| (a.name(), hash)));
        let keys = match source {
            KeySource::Secret(reference) => {
                if algorithms.iter().any(|a| a.hmac().is_none()) {
                    return Err("a shared secret verifies `HS256`, `HS384` and `HS512` only".to_owned());
                }
                let secret = context.files.secret(reference)?;
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
                let bytes = context.files.read(reference)?;
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
                context.services.documents.watch(&source);
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
