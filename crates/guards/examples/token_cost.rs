//! What verifying a token costs: seen before, new, and beside the bare signature; and what a million of them leave in memory.
//!
//! `cargo run --release -p bartizan-guards --example token_cost`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that nobody serves"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    },
};
use bartizan_guards::identity::Identity;
use bartizan_model::{
    FileReference, Guard, Outcome, SecretReference, Transaction,
    compile::{IssuerSpec, KeySource},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const NOW: u64 = 1_767_225_600;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Rounds of each measurement; the fastest is told, as whatever else runs only adds.
const ROUNDS: usize = 9;

fn main() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let guard = guard(&pair);
    let input = |header: &Value, number: usize, issuer: &str| {
        let claims = json!({
            "iss": issuer, "aud": "shop", "sub": format!("user-{number}"), "iat": NOW, "exp": NOW + 600,
            "scope": "read write", "jti": format!("{number:032x}"), "client_id": "app",
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(&claims))
    };
    let signed = |number: usize| {
        let input =
            input(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "ec" }), number, "https://id.example.com");
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec();
        (input, signature)
    };

    const EACH: usize = 2_000;
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).unwrap();
    let (mut bare, mut new, mut again) = (f64::MAX, f64::MAX, f64::MAX);
    let mut length = 0;
    for round in 0..ROUNDS {
        let tokens: Vec<_> = (0..EACH).map(|number| signed(round * EACH + number)).collect();
        let started = Instant::now();
        for (input, signature) in &tokens {
            key.verify_sig(input.as_bytes(), signature).unwrap();
        }
        bare = bare.min(each(started, EACH));
        let mut transactions: Vec<_> = tokens
            .iter()
            .map(|(input, signature)| transaction(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))))
            .collect();
        length = tokens[0].0.len() + 87;
        let started = Instant::now();
        transactions.iter_mut().for_each(|transaction| pass(&guard, transaction));
        new = new.min(each(started, EACH));
        let started = Instant::now();
        for _ in 0..10 {
            transactions.iter_mut().for_each(|transaction| pass(&guard, transaction));
        }
        again = again.min(each(started, EACH * 10));
    }
    println!("ES256, tokens of {length} bytes:");
    println!("  the bare signature      {bare:>8.0} ns");
    println!("  a token seen first      {new:>8.0} ns ({:+.1} %)", (new / bare - 1.0) * 100.0);
    println!("  a token seen before     {again:>8.0} ns");

    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let mut shown = 0;
    println!("memory, distinct tokens:");
    for target in [100_000, 250_000, 500_000, 750_000, 1_000_000] {
        while shown < target {
            let input = input(&json!({ "alg": "HS256" }), shown, "https://hmac.example.com");
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, input.as_bytes()));
            pass(&guard, &mut transaction(&format!("{input}.{tag}")));
            shown += 1;
        }
        println!("  after {shown:>9}  {:>6} KiB resident", resident());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a measurement")]
fn each(started: Instant, times: usize) -> f64 {
    started.elapsed().as_nanos() as f64 / times as f64
}

fn transaction(token: &str) -> Transaction {
    let mut transaction = support::transaction();
    transaction.request.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    transaction
}

fn pass(guard: &Identity, transaction: &mut Transaction) {
    assert!(matches!(support::now(guard.request_headers(transaction)), Outcome::Continue));
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).unwrap_or_default()
}

fn guard(pair: &EcdsaKeyPair) -> Identity {
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "ec", "x": part(1..33), "y": part(33..65) }] });
    let mut files = support::TestFiles::default();
    files.given.insert("jwks".to_owned(), jwks.to_string().into_bytes());
    files.given.insert("secret".to_owned(), SECRET.to_vec());
    let spec = |name: &str, iss: &str, keys: KeySource, algorithm: &str| IssuerSpec {
        audiences: vec!["shop".into()],
        algorithms: vec![algorithm.into()],
        ..IssuerSpec::new(name.into(), iss.into(), keys)
    };
    let issuers = [
        spec("corp", "https://id.example.com", KeySource::File(FileReference("jwks".to_owned())), "ES256"),
        spec(
            "hmac",
            "https://hmac.example.com",
            KeySource::Secret(SecretReference::File("secret".to_owned())),
            "HS256",
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
