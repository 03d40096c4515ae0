//! What cannot be said as a case: keys that change while the gateway runs, the memory of tokens, wrong settings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use aws_lc_rs::{
    hmac, rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use bartizan_model::{
    Diagnostics, FileReference, Guard, Outcome, Reason, SecretReference, Services, Timestamp, Transaction,
    compile::{IssuerSpec, KeySource},
    services::{BoxFuture, Document, DocumentSource, Documents},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Identity,
    cache::{MAX_TOKENS, TokenCache, Verified},
    claims::Lifetime,
    jwks::{KeySet, Symmetric},
};
use crate::support::{self, TestFiles};

const NOW: u64 = 1_767_225_600;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Everything that a guard gets from outside; only documents do anything.
struct World {
    documents: Arc<Remote>,
    files: TestFiles,
}

/// A key set that is replaced by the next one when it is fetched again.
#[derive(Default)]
struct Remote {
    current: Mutex<Option<Document>>,
    next: Mutex<Option<String>>,
    fetches: AtomicUsize,
}

impl Remote {
    fn publish(&self, jwks: &str) {
        let mut current = self.current.lock().unwrap();
        let generation = current.as_ref().map_or(1, |document| document.generation + 1);
        *current = Some(Document {
            bytes: jwks.as_bytes().into(),
            generation,
            fetched: Timestamp::from_seconds(NOW),
        });
    }
}

impl Documents for Remote {
    fn watch(&self, _: &DocumentSource) {}

    fn latest(&self, _: &DocumentSource) -> Option<Document> {
        self.current.lock().unwrap().clone()
    }

    fn refetch<'a>(&'a self, source: &'a DocumentSource) -> BoxFuture<'a, Option<Document>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        if let Some(next) = self.next.lock().unwrap().take() {
            self.publish(&next);
        }
        Box::pin(std::future::ready(self.latest(source)))
    }
}

impl World {
    fn new() -> Self {
        let mut world = World { documents: Arc::default(), files: TestFiles::default() };
        world.file("secret", SECRET);
        world
    }

    fn file(&mut self, name: &str, text: &str) {
        self.files.given.insert(name.to_owned(), text.as_bytes().to_vec());
    }

    fn compile(&self, config: Value, issuers: &[IssuerSpec]) -> Result<Identity, Diagnostics> {
        let documents = Arc::clone(&self.documents) as Arc<dyn Documents>;
        let services = Services { documents, ..support::idle_services() };
        support::compile_with(config, &services, &self.files, &|_| "api:shop".to_owned(), issuers)
    }

    /// The errors of a configuration, as text.
    fn problems(&self, config: Value, issuers: &[IssuerSpec]) -> String {
        self.compile(config, issuers)
            .err()
            .map(|problems| {
                let path = problems.0.first().map(|p| p.path.clone()).unwrap_or_default();
                format!("{path}|{problems}")
            })
            .unwrap_or_default()
    }
}

fn issuer(keys: KeySource, algorithms: &[&str]) -> IssuerSpec {
    IssuerSpec {
        audiences: vec!["shop".into()],
        algorithms: algorithms.iter().map(|a| Arc::from(*a)).collect(),
        ..IssuerSpec::new("corp".into(), "https://id.example.com".into(), keys)
    }
}

fn secret() -> KeySource {
    KeySource::Secret(SecretReference::File("secret".to_owned()))
}

fn remote() -> KeySource {
    KeySource::Url("https://id.example.com/jwks".into())
}

/// A signing key of an issuer.
struct Signer {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        Signer { kid, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": part(1..33), "y": part(33..65) })
    }

    fn sign(&self, header: Value, claims: &Value) -> String {
        let signed = parts(&header, claims);
        let signature = self.pair.sign(&rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self) -> String {
        self.sign(json!({ "alg": "ES256", "kid": self.kid }), &claims())
    }
}

fn jwks(keys: &[&Signer]) -> String {
    json!({ "keys": keys.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

fn parts(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn hs256(claims: &Value) -> String {
    let signed = parts(&json!({ "alg": "HS256" }), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.com", "aud": "shop", "sub": "alice", "iat": NOW, "exp": NOW + 600 })
}

fn transaction(token: &str, at: u64) -> Transaction {
    let mut transaction = support::transaction();
    transaction.started = Timestamp::from_seconds(at);
    transaction.request.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    transaction
}

/// `alice`, or the reason code and the detail of the refusal.
fn outcome(guard: &Identity, token: &str, at: u64) -> Result<String, (&'static str, String)> {
    let mut transaction = transaction(token, at);
    match support::now(guard.request_headers(&mut transaction)) {
        Outcome::Continue => Ok(transaction.principal.unwrap().subject.to_string()),
        Outcome::Challenge(reason) | Outcome::Deny(reason) => {
            Err((reason.info().code, reason.detail().into_owned()))
        }
        Outcome::Answer(_) => panic!("the guard answers nothing"),
    }
}

fn code(guard: &Identity, token: &str, at: u64) -> &'static str {
    outcome(guard, token, at).map_or_else(|(code, _)| code, |_| "accepted")
}

#[test]
fn a_rotated_key_is_fetched_once_and_the_old_one_is_gone() {
    let (world, old, new) = (World::new(), Signer::new("old"), Signer::new("new"));
    world.documents.publish(&jwks(&[&old]));
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["ES256"])]).unwrap();
    let old_token = old.token();
    assert_eq!(code(&guard, &old_token, NOW), "accepted");
    assert_eq!(world.documents.fetches.load(Ordering::SeqCst), 0);

    *world.documents.next.lock().unwrap() = Some(jwks(&[&new]));
    assert_eq!(code(&guard, &new.token(), NOW), "accepted");
    assert_eq!(world.documents.fetches.load(Ordering::SeqCst), 1);
    assert_eq!(code(&guard, &old_token, NOW), "identity.unknown_key", "a remembered token outlives its key");
}

#[test]
fn a_token_without_a_kid_finds_the_rotated_key_too() {
    let (world, old, new) = (World::new(), Signer::new("old"), Signer::new("new"));
    world.documents.publish(&jwks(&[&old]));
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["ES256"])]).unwrap();
    *world.documents.next.lock().unwrap() = Some(jwks(&[&new]));
    assert_eq!(code(&guard, &new.sign(json!({ "alg": "ES256" }), &claims()), NOW), "accepted");
}

#[test]
fn keys_that_are_late_or_damaged_fail_closed_and_recover() {
    let (world, signer) = (World::new(), Signer::new("one"));
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["ES256"])]).unwrap();
    let token = signer.token();
    assert_eq!(code(&guard, &token, NOW), "identity.keys_unavailable");
    world.documents.publish("<html>");
    assert_eq!(code(&guard, &token, NOW), "identity.keys_unavailable");
    world.documents.publish(&jwks(&[&signer]));
    assert_eq!(code(&guard, &token, NOW), "accepted");
    world.documents.publish("<html>");
    assert_eq!(code(&guard, &signer.token(), NOW), "accepted", "the last good keys serve");
    world.documents.publish(r#"{"keys":[]}"#);
    assert_eq!(code(&guard, &token, NOW), "identity.unknown_key", "an emptied set withdraws its keys");
}

#[test]
fn secrets_in_a_published_set_are_ignored() {
    let world = World::new();
    let oct = json!({ "kty": "oct", "kid": "s", "k": URL_SAFE_NO_PAD.encode(SECRET) });
    let (keys, skipped) = KeySet::from_jwks(oct.to_string().as_bytes(), Symmetric::Refuse).unwrap();
    assert!(keys.keys().is_empty() && skipped.len() == 1);
    let problem = world.problems(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["HS256"])]);
    assert!(problem.contains("`HS256` needs a shared secret"), "{problem}");
}

#[test]
fn a_remembered_token_is_judged_anew_each_time() {
    let world = World::new();
    let spec = issuer(secret(), &["HS256"]);
    let guard = world.compile(json!({ "accept": ["jwt"] }), std::slice::from_ref(&spec)).unwrap();
    let mut set = claims();
    set["nbf"] = json!(NOW);
    set["jti"] = json!("remembered");
    let token = hs256(&set);
    assert_eq!(code(&guard, &token, NOW), "accepted");
    assert_eq!(code(&guard, &token, NOW + 629), "accepted");
    assert_eq!(code(&guard, &token, NOW + 630), "identity.expired");
    assert_eq!(code(&guard, &token, NOW - 30), "accepted");
    assert_eq!(code(&guard, &token, NOW - 31), "identity.not_yet_valid");

    let stricter = IssuerSpec { audiences: vec!["bank".into()], ..spec.clone() };
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[stricter]).unwrap();
    assert_eq!(code(&guard, &token, NOW), "identity.audience", "another policy asks again");

    let other = IssuerSpec { name: "other".into(), issuer: "https://other.example".into(), ..spec };
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[other]).unwrap();
    assert_eq!(code(&guard, &token, NOW), "identity.unknown_issuer");

    let mut changed = World::new();
    changed.file("secret", "another secret of more than 32 bytes");
    let guard = changed.compile(json!({ "accept": ["jwt"] }), &[issuer(secret(), &["HS256"])]).unwrap();
    assert_eq!(code(&guard, &token, NOW), "identity.signature", "another secret under the same name");
}

#[test]
fn the_memory_of_tokens_is_bounded() {
    let cache = TokenCache::new();
    let spec = Arc::new(issuer(secret(), &["HS256"]));
    let principal = Arc::new(bartizan_model::Principal::new(
        bartizan_model::CredentialKind::Jwt,
        "corp".into(),
        "alice".into(),
    ));
    let lifetime = Lifetime { expires: Some(Timestamp(u64::MAX)), not_before: None, issued: None };
    let verified = Arc::new(Verified { issuer: spec, key_set: [0; 32], lifetime, principal });
    let often = super::cache::key("often");
    for number in 0..200_000 {
        cache.put(super::cache::key(&number.to_string()), Arc::clone(&verified), 300);
        if number == 0 {
            cache.put(often, Arc::clone(&verified), 300);
        }
        if number % 10_000 == 0 {
            assert!(cache.get(&often).is_some(), "one that is used is kept ({number})");
        }
    }
    assert!(cache.len() <= MAX_TOKENS, "{} tokens", cache.len());
    assert!(cache.get(&super::cache::key("199999")).is_some());
    assert!(cache.get(&super::cache::key("1")).is_none());
    for number in 0..200_000 {
        cache.put(super::cache::key(&format!("long {number}")), Arc::clone(&verified), 8_192);
    }
    assert!(cache.len() <= super::cache::MAX_BYTES / 8_192, "{} long tokens", cache.len());
}

#[test]
fn the_principal_holds_what_the_claims_say() {
    let world = World::new();
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(secret(), &["HS256"])]).unwrap();
    let mut set = claims();
    for (name, value) in [
        ("scope", json!("read write")),
        ("realm_access", json!({ "roles": ["teller"] })),
        ("tid", json!("north")),
        ("jti", json!("t-1")),
        ("amr", json!(["pwd"])),
    ] {
        set[name] = value;
    }
    let mut transaction = transaction(&hs256(&set), NOW);
    assert!(matches!(support::now(guard.request_headers(&mut transaction)), Outcome::Continue));
    let principal = transaction.principal.unwrap();
    assert_eq!((&*principal.subject, &*principal.issuer), ("alice", "corp"));
    assert_eq!(principal.scopes, ["read".into(), "write".into()]);
    assert_eq!(principal.roles, ["teller".into()]);
    assert_eq!(principal.tenant.as_deref(), Some("north"));
    assert_eq!(principal.credential_id.as_deref(), Some("t-1"));
    assert_eq!(principal.attributes["amr"], json!(["pwd"]));
    assert!(!principal.attributes.contains_key("exp"));
    assert_eq!(transaction.consumed_headers, [] as [http::HeaderName; 0]);
}

#[test]
fn details_name_what_is_configured_and_nothing_of_the_token() {
    let (world, signer) = (World::new(), Signer::new("one"));
    world.documents.publish(&jwks(&[&signer]));
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["ES256"])]).unwrap();
    let mut set = claims();
    set["aud"] = json!("s3cret-audience");
    let header = json!({ "alg": "ES256", "kid": "one" });
    let (code, detail) = outcome(&guard, &signer.sign(header, &set), NOW).unwrap_err();
    assert_eq!(code, "identity.audience");
    assert!(detail.contains("issuer `corp`, key `one`") && !detail.contains("s3cret"), "{detail}");
    let header = json!({ "alg": "ES256", "kid": "s3cret-kid" });
    let (_, detail) = outcome(&guard, &signer.sign(header, &set), NOW).unwrap_err();
    assert!(detail.contains("issuer `corp`)") && !detail.contains("s3cret"), "{detail}");
    set["iss"] = json!("https://s3cret.example");
    let (_, detail) = outcome(&guard, &signer.sign(json!({ "alg": "ES256" }), &set), NOW).unwrap_err();
    assert!(!detail.contains("s3cret") && !detail.contains("corp"), "{detail}");
}

#[test]
fn wrong_settings_say_where_and_what_to_do() {
    let mut world = World::new();
    world.file("short", "too short");
    world.file("html", "<html>");
    world.file("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let good = || issuer(secret(), &["HS256"]);
    let file = |name: &str| KeySource::File(FileReference(name.to_owned()));
    let jwt = || json!({ "accept": [{ "jwt": { "issuers": ["corp"] } }] });
    for (config, spec, expected) in [
        (
            json!({ "accept": ["jwt", { "mtls": { "ca": "file:html" } }] }),
            good(),
            "accept[1].mtls.ca|error: `file:html` holds no certificate",
        ),
        (
            json!({ "accept": [{ "dpop": { "bound": true } }] }),
            good(),
            "`dpop` proves a token: write `jwt` here",
        ),
        (
            json!({ "accept": [{ "mtls": { "crl": "file:html" } }] }),
            good(),
            "accept[0].mtls.crl|error: a revocation list is verified by its authority",
        ),
        (
            json!({ "accept": [{ "signature": { "components": ["Content-Digest"] } }] }),
            good(),
            "accept[0].signature.components[0]|error: `Content-Digest` is not a component",
        ),
        (
            json!({ "accept": [{ "hmac": { "preset": "stripe", "secret": "file:short" } }] }),
            good(),
            "accept[0].hmac.secret|error: `file:short` is too short",
        ),
        (
            json!({ "accept": ["jwt"], "dpop": { "algorithms": ["HS256"] } }),
            good(),
            "dpop.algorithms|error: `HS256` is not an asymmetric algorithm",
        ),
        (json!({ "accept": ["password"] }), good(), "`password` is not a kind of credential"),
        (json!({ "accept": [{ "jwt": {}, "api_key": {} }] }), good(), "`jwt` and `api_key` are in one entry"),
        (json!({ "accept": [{ "jwt": { "isuers": [] } }] }), good(), "unknown field `isuers`"),
        (json!({ "accept": [{ "all": [] }] }), good(), "accept[0]|error: `all` is empty"),
        (
            json!({ "accept": [{ "all": ["jwt", { "all": ["jwt"] }] }] }),
            good(),
            "accept[0].all[1]|error: `all` within `all`",
        ),
        (json!({ "anonymous": "deny" }), good(), "anonymous|error: `anonymous: deny` without `accept`"),
        (
            json!({ "accept": [{ "jwt": { "issuers": ["crop"] } }] }),
            good(),
            "accept[0].jwt.issuers[0]|error: there is no issuer `crop`; write one of `corp`",
        ),
        (
            json!({ "accept": [{ "api_key": { "header": "not a name" } }] }),
            good(),
            "accept[0].api_key.header|error: `not a name` is not a header",
        ),
        (
            json!({ "accept": [{ "api_key": { "header": "Authorization" } }] }),
            good(),
            "`Authorization` has a meaning of its own",
        ),
        (jwt(), issuer(secret(), &["none"]), "`none` is not an algorithm that can be accepted"),
        (jwt(), issuer(secret(), &[]), "its `algorithms` are empty"),
        (jwt(), issuer(secret(), &["RS256"]), "a shared secret verifies `HS256`"),
        (jwt(), issuer(secret(), &["HS512"]), "`HS512` needs at least 64 bytes"),
        (jwt(), issuer(file("gone"), &["RS256"]), "`gone` does not exist"),
        (jwt(), issuer(file("html"), &["RS256"]), "`file:html`: it is not one JSON object"),
        (jwt(), issuer(file("certificate"), &["RS256"]), "write the `PUBLIC KEY` alone"),
        (jwt(), IssuerSpec { audiences: Vec::new(), ..good() }, "its `audiences` are empty"),
    ] {
        let problem = world.problems(config.clone(), &[spec]);
        assert!(problem.contains(expected), "{config}: expected {expected}, found {problem}");
        assert!(!problem.contains("too short\n"));
    }
    let twin = IssuerSpec { name: "twin".into(), ..good() };
    assert!(world.problems(json!({ "accept": ["jwt"] }), &[good(), twin]).contains("have the same `issuer`"));
    assert!(world.problems(json!({ "accept": ["jwt"] }), &[]).contains("the document names none"));
}

#[test]
fn an_empty_block_lets_everybody_pass_unnamed() {
    let guard = World::new().compile(json!({}), &[]).unwrap();
    let mut transaction = transaction("whatever", NOW);
    assert!(matches!(support::now(guard.request_headers(&mut transaction)), Outcome::Continue));
    assert!(transaction.principal.is_none());
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        header in ".{0,80}", claims in ".{0,80}", text in "\\PC{0,200}", bytes in proptest::collection::vec(0_u8.., 0..200),
    ) {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let keys = KeySet::from_secret(SECRET.as_bytes()).unwrap();
        for token in [text.clone(), format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode(&bytes))] {
            proptest::prop_assert!(super::jws::verify(&token, &keys, &super::jws::Algorithm::ALL).is_err());
        }
        drop(KeySet::from_jwks(&bytes, Symmetric::Accept));
        let der = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n");
            proptest::prop_assert!(KeySet::from_pem(&pem).is_err());
        }
        proptest::prop_assert!(super::api_key::parse(&text).is_err());
        proptest::prop_assert!(super::api_key::find(&text).is_none());
        super::presented::has_token_in_query(&text);
    }
}

/// Prints what a token costs that was seen before: `cargo test --release -p bartizan-guards seen_again -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn a_token_seen_again() {
    let (world, signer) = (World::new(), Signer::new("one"));
    world.documents.publish(&jwks(&[&signer]));
    let guard = world.compile(json!({ "accept": ["jwt"] }), &[issuer(remote(), &["ES256"])]).unwrap();
    let token = signer.token();
    let mut transaction = transaction(&token, NOW);
    let mut pass =
        || assert!(matches!(support::now(guard.request_headers(&mut transaction)), Outcome::Continue));
    let started = Instant::now();
    (0..200_000).for_each(|_| pass());
    let again = started.elapsed().as_nanos() / 200_000;
    let new: Vec<_> = (0..2_000).map(|_| self::transaction(&signer.token(), NOW)).collect();
    let started = Instant::now();
    for mut transaction in new {
        assert!(matches!(support::now(guard.request_headers(&mut transaction)), Outcome::Continue));
    }
    let first = started.elapsed().as_nanos() / 2_000;
    println!(
        "a token of {} bytes: {first} ns verified for the first time, {again} ns seen again",
        token.len()
    );
}
