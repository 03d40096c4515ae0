//! What an attacker has for tokens, each refused, beside good ones that are accepted: RFC 8725, and what went wrong in
//! libraries since.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod content;
mod form;
mod keys;
#[path = "../support/mod.rs"]
mod support;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaEncoding,
    },
};
use bartizan_guards::identity::Identity;
use bartizan_model::{
    FileReference, Guard, Outcome, SecretReference,
    compile::{IssuerSpec, KeySource},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const NOW: u64 = 1_767_225_600;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISS: &str = "https://id.example.com";

/// The issuer's keys, one of each kind, and a stranger's.
struct Keys {
    ec: EcdsaKeyPair,
    rsa: rsa::KeyPair,
    ed: Ed25519KeyPair,
    stranger: EcdsaKeyPair,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Keys {
    fn new() -> Self {
        let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Keys {
            ec: ec(),
            rsa: rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
            stranger: ec(),
        }
    }

    fn modulus(&self) -> Vec<u8> {
        // PKCS #1 of 2048 bits: a sequence, and the modulus with a zero in front.
        self.rsa.public_key().as_ref()[9..265].to_vec()
    }

    fn ec_jwk(pair: &EcdsaKeyPair) -> Value {
        let point = pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    fn jwks(&self) -> String {
        json!({ "keys": [
            Self::ec_jwk(&self.ec),
            { "kty": "RSA", "kid": "rsa", "n": b64(self.modulus()), "e": "AQAB" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key().as_ref()) },
        ]})
        .to_string()
    }

    fn es(&self, header: &str, payload: &str) -> String {
        by(&self.ec, header, payload)
    }

    fn es_signature(&self, message: &str) -> Vec<u8> {
        self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    fn rs(&self, encoding: &'static dyn RsaEncoding, header: &Value, payload: &Value) -> String {
        let message = input(&header.to_string(), &payload.to_string());
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", b64(signature))
    }
}

fn input(header: &str, payload: &str) -> String {
    format!("{}.{}", b64(header), b64(payload))
}

fn by(pair: &EcdsaKeyPair, header: &str, payload: &str) -> String {
    let message = input(header, payload);
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", b64(signature))
}

fn mac(algorithm: hmac::Algorithm, secret: &[u8], header: &Value, payload: &Value) -> String {
    let message = input(&header.to_string(), &payload.to_string());
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
    format!("{message}.{}", b64(tag))
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": "ec" })
}

fn claims() -> Value {
    json!({ "iss": ISS, "aud": "shop", "sub": "alice", "iat": NOW, "exp": NOW + 600, "jti": "j" })
}

/// With a member of this value, or without the member.
fn with(base: Value, name: &str, value: Option<Value>) -> String {
    let mut base = base;
    match value {
        Some(value) => base[name] = value,
        None => drop(base.as_object_mut().unwrap().remove(name)),
    }
    base.to_string()
}

struct Table(Vec<(String, String)>);

impl Table {
    fn add(&mut self, name: impl Into<String>, token: impl Into<String>) {
        self.0.push((name.into(), token.into()));
    }
}

#[test]
fn none_of_what_attackers_make_is_accepted() {
    let keys = Keys::new();
    let guard = guard(&keys);
    let mut table = Table(Vec::new());
    keys::algorithms(&mut table, &keys);
    keys::foreign_keys(&mut table, &keys);
    content::headers(&mut table, &keys);
    content::claim_values(&mut table, &keys);
    form::forms(&mut table, &keys);
    form::signatures(&mut table, &keys);
    println!("{} tokens", table.0.len());
    assert!(table.0.len() >= 250, "only {} tokens", table.0.len());
    let accepted: Vec<&str> =
        table.0.iter().filter(|(_, token)| passes(&guard, token)).map(|(name, _)| name.as_str()).collect();
    assert!(accepted.is_empty(), "accepted: {accepted:?}");
}

#[test]
fn good_tokens_of_each_kind_are_accepted() {
    let keys = Keys::new();
    let guard = guard(&keys);
    let payload = claims().to_string();
    let ed = {
        let message = input(&json!({ "alg": "EdDSA", "kid": "ed" }).to_string(), &payload);
        format!("{message}.{}", b64(keys.ed.sign(message.as_bytes())))
    };
    let mut hs = claims();
    hs["iss"] = json!("https://hmac.example.com");
    for (name, token) in [
        ("ES256", keys.es(&header().to_string(), &payload)),
        ("RS256", keys.rs(&RSA_PKCS1_SHA256, &json!({ "alg": "RS256", "kid": "rsa" }), &claims())),
        ("EdDSA", ed),
        ("HS256", mac(hmac::HMAC_SHA256, SECRET.as_bytes(), &json!({ "alg": "HS256" }), &hs)),
        ("at+jwt", keys.es(&with(header(), "typ", Some(json!("at+jwt"))), &payload)),
        (
            "several audiences",
            keys.es(&header().to_string(), &with(claims(), "aud", Some(json!(["mail", "shop"])))),
        ),
        ("no kid", keys.es(&with(header(), "kid", None), &payload)),
        ("members that mean nothing here", keys.es(&with(header(), "x5t", Some(json!("abc"))), &payload)),
    ] {
        assert!(passes(&guard, &token), "{name}");
    }
}

fn guard(keys: &Keys) -> Identity {
    let mut files = support::TestFiles::default();
    files.given.insert("jwks".to_owned(), keys.jwks().into_bytes());
    files.given.insert("secret".to_owned(), SECRET.as_bytes().to_vec());
    let spec = |name: &str, iss: &str, source: KeySource, algorithms: &[&str]| IssuerSpec {
        audiences: vec!["shop".into()],
        algorithms: algorithms.iter().map(|a| (*a).into()).collect(),
        ..IssuerSpec::new(name.into(), iss.into(), source)
    };
    let issuers = [
        spec("corp", ISS, KeySource::File(FileReference("jwks".to_owned())), &["ES256", "RS256", "EdDSA"]),
        spec(
            "hmac",
            "https://hmac.example.com",
            KeySource::Secret(SecretReference::File("secret".to_owned())),
            &["HS256"],
        ),
    ];
    let services = support::idle_services();
    support::compile_with(
        json!({ "accept": ["jwt"] }),
        &services,
        &files,
        &|_| "api:shop".to_owned(),
        &issuers,
    )
    .unwrap()
}

/// What no field can hold is refused before any guard.
fn passes(guard: &Identity, token: &str) -> bool {
    let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}")) else { return false };
    let mut transaction = support::transaction();
    transaction.request.headers.insert(http::header::AUTHORIZATION, value);
    matches!(support::now(guard.request_headers(&mut transaction)), Outcome::Continue)
}
