//! Signing what goes to an upstream: the request itself (RFC 9421), and who calls as a token (RFC 7515).

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use bartizan_model::{Principal, Timestamp, Transaction};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Map, Value, json};
use sfv::{BareItem, InnerList, Item, Key, Parameters};

use super::{
    SIGNATURE, SIGNATURE_INPUT,
    base::{self, Component, Message},
    keys::Algorithm,
};

/// Who calls, as a signed token.
pub const X_BARTIZAN_IDENTITY: HeaderName = HeaderName::from_static("x-bartizan-identity");

/// The label of the gateway's signature.
const LABEL: &str = "bartizan";

/// How long the token is good: as long as a request takes to be looked at.
const TOKEN_LIFE: u64 = 60;

/// A private key of this gateway.
enum Pair {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

/// What signs requests towards one upstream.
pub struct Signer {
    keyid: String,
    pair: Pair,
    components: Vec<Component>,
    expires: Duration,
    /// Bytes of a body that are held to be hashed, at most.
    pub max_body: usize,
    /// Whether the caller is told as a signed token.
    pub identity: bool,
}

impl Signer {
    /// From a private key in PEM (PKCS #8, Ed25519 or ECDSA P-256).
    ///
    /// # Errors
    /// One sentence: the key or a component cannot be used. Never anything of the key.
    pub fn new(
        pem: &[u8],
        keyid: &str,
        components: &[String],
        expires: Duration,
        max_body: usize,
        identity: bool,
    ) -> Result<Self, String> {
        const KEY: &str =
            "it holds no Ed25519 or ECDSA P-256 key; make one by `openssl genpkey -algorithm ed25519`";
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KEY)?;
        let PrivateKeyDer::Pkcs8(der) = &key else { return Err(KEY.to_owned()) };
        let der = der.secret_pkcs8_der();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519).or_else(|_| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::EcdsaP256)
        });
        let pair = pair.map_err(|_| KEY)?;
        if keyid.is_empty() || !keyid.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
            return Err("`keyid` is empty or not printable ASCII".to_owned());
        }
        let mut read = Vec::new();
        for text in components {
            let component =
                Component::parse(text).map_err(|_| format!("`{text}` is not a component of a request"))?;
            read.push(component);
        }
        Ok(Signer { keyid: keyid.to_owned(), pair, components: read, expires, max_body, identity })
    }

    /// The algorithm's name in the registry of RFC 9421.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Ed25519(_) => Algorithm::Ed25519,
            Pair::EcdsaP256(_) => Algorithm::EcdsaP256,
        }
    }

    /// The public half, as a JWK (RFC 7517) that upstreams verify with.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()),
                "kid": self.keyid, "alg": "EdDSA", "use": "sig",
            }),
            Pair::EcdsaP256(pair) => {
                // An uncompressed point: a mark and two coordinates.
                let point = pair.public_key().as_ref();
                let (_, coordinates) = point.split_at_checked(1).unwrap_or_default();
                let (x, y) = coordinates.split_at_checked(32).unwrap_or_default();
                json!({
                    "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y),
                    "kid": self.keyid, "alg": "ES256", "use": "sig",
                })
            }
        }
    }

    /// Tells signers of different settings apart; holds nothing secret.
    #[must_use]
    pub fn settings(&self) -> String {
        let components: Vec<&str> = self.components.iter().map(Component::name).collect();
        format!("{} {components:?} {:?} {} {}", self.jwk(), self.expires, self.max_body, self.identity)
    }

    /// Whether a body has to be hashed.
    #[must_use]
    pub fn covers_body(&self) -> bool {
        self.components.iter().any(|component| component.is_whole("content-digest"))
    }

    /// Signs a request that goes out with these fields: adds `X-Bartizan-Identity`, where the caller is to be told, and the
    /// gateway's own `Signature-Input` and `Signature`, in place of what the client wrote there. What the request does not
    /// have is not covered.
    pub fn sign(
        &self,
        transaction: &Transaction,
        target: &Outgoing<'_>,
        headers: &mut HeaderMap,
        now: Timestamp,
    ) {
        headers.remove(SIGNATURE);
        headers.remove(SIGNATURE_INPUT);
        if let Some(principal) = transaction.principal.as_ref().filter(|_| self.identity)
            && let Ok(token) = HeaderValue::from_str(&self.token(principal, transaction, now))
        {
            headers.insert(X_BARTIZAN_IDENTITY, token);
        }
        let message = Message {
            method: transaction.request.method.as_str(),
            scheme: target.scheme,
            authority: target.authority.into(),
            path: target.path.into(),
            query: target.query.map(Into::into),
            target: None,
            headers,
            status: None,
            request: None,
        };
        let covered: Vec<&Component> =
            self.components.iter().filter(|component| base::is_there(component, &message)).collect();
        let Some(input) = self.input(&covered, now) else { return };
        let covered: Vec<Component> = covered.into_iter().cloned().collect();
        let Ok(text) = base::base(&message, &covered, &input) else { return };
        let signature = STANDARD.encode(self.raw(text.as_bytes()));
        let fields = [
            (SIGNATURE_INPUT, format!("{LABEL}={}", base::parameters(&input))),
            (SIGNATURE, format!("{LABEL}=:{signature}:")),
        ];
        for (name, text) in fields {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }

    fn input(&self, covered: &[&Component], now: Timestamp) -> Option<InnerList> {
        let seconds = |time: Timestamp| i64::try_from(time.seconds()).ok()?.try_into().ok();
        let text = |text: &str| Some(BareItem::String(sfv::String::from_string(text.to_owned()).ok()?));
        let mut params = Parameters::new();
        let key = |name: &str| Key::from_string(name.to_owned()).ok();
        params.insert(key("created")?, BareItem::Integer(seconds(now)?));
        params.insert(key("expires")?, BareItem::Integer(seconds(now.plus(self.expires))?));
        params.insert(key("keyid")?, text(&self.keyid)?);
        params.insert(key("alg")?, text(self.algorithm().name())?);
        params.insert(key("tag")?, text(LABEL)?);
        let items: Option<Vec<Item>> = covered.iter().map(|component| component.item()).collect();
        Some(InnerList::with_params(items?, params))
    }

    /// Who calls, for one minute, for this API and exchange.
    fn token(&self, principal: &Principal, transaction: &Transaction, now: Timestamp) -> String {
        let alg = match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::EcdsaP256(_) => "ES256",
        };
        let header = json!({ "alg": alg, "typ": "bartizan-identity+jwt", "kid": self.keyid });
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                claims.insert(name.to_owned(), value);
            }
        };
        put("iss", json!("bartizan"));
        put("aud", json!(transaction.api));
        put("sub", json!(principal.subject));
        put("issuer", json!(principal.issuer));
        put("kind", json!(principal.kind));
        put("strength", json!(principal.strength));
        put("scope", json!(Some(principal.scopes.join(" ")).filter(|scopes| !scopes.is_empty())));
        put("roles", json!(principal.roles));
        put("tenant", json!(principal.tenant));
        put("client_id", json!(principal.client));
        put("acr", json!(principal.authentication.acr));
        put("amr", json!(principal.authentication.amr));
        put("jti", json!(transaction.id.to_string()));
        put("iat", json!(now.seconds()));
        put("exp", json!(now.seconds().saturating_add(TOKEN_LIFE)));
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", part(header.to_string()), part(Value::Object(claims).to_string()));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.raw(signed.as_bytes())))
    }

    fn raw(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            // Fails only where the system has no random numbers: an empty signature verifies nowhere.
            Pair::EcdsaP256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_or(Vec::new(), |signature| signature.as_ref().to_vec()),
        }
    }
}

/// Where a request goes, as the upstream will see it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'t> {
    /// `http` or `https`.
    pub scheme: &'t str,
    /// The host and port that it asks for.
    pub authority: &'t str,
    /// The path.
    pub path: &'t str,
    /// The query, without `?`.
    pub query: Option<&'t str>,
}
