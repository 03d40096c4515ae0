//! What an attacker has for tokens, each refused, beside good ones that are accepted: RFC 8725, and what went wrong in
//! libraries since.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

mod support;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
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
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
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
    algorithms(&mut table, &keys);
    foreign_keys(&mut table, &keys);
    headers(&mut table, &keys);
    claim_values(&mut table, &keys);
    forms(&mut table, &keys);
    signatures(&mut table, &keys);
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

fn algorithms(table: &mut Table, keys: &Keys) {
    let payload = claims().to_string();
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        " none",
        "none ",
        "none\t",
        "none\0",
        "",
        " ",
        "ES256 ",
        " ES256",
        "es256",
        "Es256",
        "ES256\0",
        "HS256",
        "HS384",
        "HS512",
        "hs256",
        "RS1",
        "ES256K",
        "ES384",
        "ES512",
        "RS384",
        "RS512",
        "PS384",
        "dir",
        "A128KW",
        "RSA-OAEP",
        "ECDH-ES",
        "PBES2-HS256+A128KW",
        "null",
        "undefined",
        "*",
        "ESP256",
        "Ed448",
    ] {
        let header = with(header(), "alg", Some(json!(name)));
        table.add(format!("alg {name:?} unsigned"), format!("{}.", input(&header, &payload)));
        table.add(format!("alg {name:?} signed"), keys.es(&header, &payload));
    }
    for value in [json!(null), json!(5), json!(["ES256"]), json!({ "name": "ES256" }), json!(true)] {
        table.add(format!("alg {value}"), keys.es(&with(header(), "alg", Some(value)), &payload));
    }
    table.add("no alg", keys.es(&with(header(), "alg", None), &payload));
    let forged = |alg: &str| with(header(), "alg", Some(json!(alg)));
    table.add("RS256 with an EC key's kid", keys.es(&forged("RS256"), &payload));
    table.add("EdDSA with an EC key's kid", keys.es(&forged("EdDSA"), &payload));
    table.add(
        "PS256 header over a PKCS #1 signature",
        keys.rs(&RSA_PKCS1_SHA256, &json!({ "alg": "PS256", "kid": "rsa" }), &claims()),
    );
    table.add(
        "RS256 of the wrong hash",
        keys.rs(&aws_lc_rs::signature::RSA_PKCS1_SHA512, &json!({ "alg": "RS256", "kid": "rsa" }), &claims()),
    );
}

fn foreign_keys(table: &mut Table, keys: &Keys) {
    let x509: PublicKeyX509Der<'_> = keys.rsa.public_key().as_der().unwrap();
    let der = x509.as_ref().to_vec();
    let pem = |line: usize| {
        let text = STANDARD.encode(&der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(line).map(|c| std::str::from_utf8(c).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"))
    };
    let (wrapped, unwrapped) = (pem(64), pem(usize::MAX));
    let published: [(&str, Vec<u8>); 16] = [
        ("PEM", wrapped.clone().into_bytes()),
        ("PEM with a line break", format!("{wrapped}\n").into_bytes()),
        ("PEM with CRLF", wrapped.replace('\n', "\r\n").into_bytes()),
        ("PEM unwrapped", unwrapped.into_bytes()),
        ("DER", der.clone()),
        ("PKCS #1", keys.rsa.public_key().as_ref().to_vec()),
        ("modulus", keys.modulus()),
        ("modulus in base64url", b64(keys.modulus()).into_bytes()),
        ("point", keys.ec.public_key().as_ref().to_vec()),
        ("x", keys.ec.public_key().as_ref()[1..33].to_vec()),
        ("Ed25519 key", keys.ed.public_key().as_ref().to_vec()),
        ("JWKS", keys.jwks().into_bytes()),
        ("nothing", Vec::new()),
        ("a zero", vec![0]),
        ("zeros", vec![0; 64]),
        ("a word", b"secret".to_vec()),
    ];
    for (name, secret) in &published {
        for (alg, hash) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            for kid in [Some("rsa"), None] {
                let header = match kid {
                    Some(kid) => json!({ "alg": alg, "typ": "JWT", "kid": kid }),
                    None => json!({ "alg": alg, "typ": "JWT" }),
                };
                table.add(
                    format!("{alg} with {name} as the secret, kid {kid:?}"),
                    mac(hash, secret, &header, &claims()),
                );
            }
        }
        let mut hs = claims();
        hs["iss"] = json!("https://hmac.example.com");
        let weak = mac(hmac::HMAC_SHA256, secret, &json!({ "alg": "HS256" }), &hs);
        table.add(format!("the HMAC issuer's token with {name} as the secret"), weak);
    }
    let (mine, payload) = (Keys::ec_jwk(&keys.stranger), claims().to_string());
    for (member, value) in [
        ("jwk", mine.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("jku", json!("https://id.example.com@evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("jwk", Value::Null),
    ] {
        let header = with(header(), member, Some(value.clone()));
        table.add(format!("{member} {value} signed by it"), by(&keys.stranger, &header, &payload));
        table.add(format!("{member} {value} beside a good signature"), keys.es(&header, &payload));
    }
    table.add("signed by a stranger", by(&keys.stranger, &header().to_string(), &payload));
    table.add("signed by a stranger without kid", by(&keys.stranger, &with(header(), "kid", None), &payload));
}

fn headers(table: &mut Table, keys: &Keys) {
    let payload = claims().to_string();
    let mut member = |name: &str, value: Value| {
        let shown = value.to_string().chars().take(60).collect::<String>();
        table.add(format!("{name} {shown}"), keys.es(&with(header(), name, Some(value)), &payload));
    };
    for value in [
        json!([]),
        json!(["exp"]),
        json!(["b64"]),
        json!("exp"),
        json!(null),
        json!({}),
        json!(["iss", "iss"]),
    ] {
        member("crit", value);
    }
    for value in [json!(false), json!(true), json!("false")] {
        member("b64", value);
    }
    for value in [json!("DEF"), json!("GZ"), json!(null)] {
        member("zip", value);
    }
    member("enc", json!("A256GCM"));
    for value in [
        "JWT",
        "jwt",
        "application/jwt",
        "Application/JWT",
        "JWS",
        "JWE",
        "JOSE",
        "jose+json",
        "at+jwt",
        "secevent+jwt",
    ] {
        member("cty", json!(value));
    }
    member("cty", json!(5));
    for value in [
        json!("dpop+jwt"),
        json!("secevent+jwt"),
        json!("logout+jwt"),
        json!("rt+jwt"),
        json!("refresh+jwt"),
        json!("id_token"),
        json!("JWE"),
        json!("JOSE"),
        json!("token-introspection+jwt"),
        json!("application/secevent+jwt"),
        json!("JWT\u{200b}"),
        json!(" JWT"),
        json!(""),
        json!(5),
        json!(null),
        json!(["JWT"]),
        json!({}),
    ] {
        member("typ", value);
    }
    for value in [
        json!(5),
        json!(null),
        json!(["ec"]),
        json!({ "kid": "ec" }),
        json!(true),
        json!("ec "),
        json!(" ec"),
        json!("EC"),
        json!("ec\0"),
        json!("\u{435}c"),
        json!("unknown"),
        json!(""),
        json!("rsa"),
        json!("ed"),
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///etc/passwd"),
        json!("' OR 1=1 --"),
        json!("ec' UNION SELECT 'key"),
        json!("| curl evil.example"),
        json!("{{7*7}}"),
        json!("%2e%2e%2f"),
        json!("x".repeat(600)),
        json!("a\nb"),
        json!("https://evil.example/key"),
    ] {
        member("kid", value);
    }
    member("iss", json!("https://other.example.com"));
    member("sub", json!("mallory"));
    member("aud", json!("bank"));
    for (name, raw) in [
        ("alg twice", r#"{"alg":"none","alg":"ES256","kid":"ec"}"#),
        ("alg twice, the other way round", r#"{"alg":"ES256","alg":"none","kid":"ec"}"#),
        ("alg twice, escaped", r#"{"alg":"ES256","\u0061lg":"ES256","kid":"ec"}"#),
        ("kid twice", r#"{"alg":"ES256","kid":"x","kid":"ec"}"#),
        ("twice within", r#"{"alg":"ES256","kid":"ec","x":{"a":1,"a":2}}"#),
        ("a list", r#"[{"alg":"ES256","kid":"ec"}]"#),
        ("a text", r#""ES256""#),
        ("a number", "1"),
        ("nothing", ""),
        ("null", "null"),
        ("an object and more", r#"{"alg":"ES256","kid":"ec"}{}"#),
        ("a comment", r#"{"alg":"ES256",/**/"kid":"ec"}"#),
        ("a trailing comma", r#"{"alg":"ES256","kid":"ec",}"#),
        ("single quotes", "{'alg':'ES256','kid':'ec'}"),
        ("a byte order mark", "\u{feff}{\"alg\":\"ES256\",\"kid\":\"ec\"}"),
        ("a lone surrogate", r#"{"alg":"ES256","kid":"ec","x":"\ud800"}"#),
        ("an open object", r#"{"alg":"ES256","kid":"ec""#),
        ("not a number", r#"{"alg":"ES256","kid":"ec","x":NaN}"#),
    ] {
        table.add(format!("header: {name}"), keys.es(raw, &payload));
    }
}

fn claim_values(table: &mut Table, keys: &Keys) {
    let good = header().to_string();
    let mut claim = |name: &str, value: Option<Value>| {
        let shown = format!("{value:?}").chars().take(60).collect::<String>();
        table.add(format!("{name} {shown}"), keys.es(&good, &with(claims(), name, value)));
    };
    for name in ["exp", "aud", "iss", "sub"] {
        claim(name, None);
    }
    let no_date = [
        json!("1893456000"),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!(-1),
        json!(-0.0),
        json!(""),
        json!("2030-01-01"),
        json!([1_893_456_000]),
    ];
    for value in &no_date {
        for name in ["exp", "nbf", "iat", "auth_time"] {
            claim(name, Some(value.clone()));
        }
    }
    for value in [
        json!(0),
        json!(NOW - 31),
        json!(NOW - 1_000),
        json!(253_402_300_800_u64),
        json!(NOW * 1_000),
        json!(u64::MAX),
        json!(1e300),
        json!(i64::MIN),
    ] {
        claim("exp", Some(value));
    }
    for name in ["nbf", "iat"] {
        for value in [json!(NOW + 31), json!(NOW + 100_000), json!(NOW * 1_000), json!(u64::MAX)] {
            claim(name, Some(value));
        }
    }
    for value in [
        json!(null),
        json!(""),
        json!([]),
        json!(5),
        json!({}),
        json!({ "aud": "shop" }),
        json!("other"),
        json!(["other"]),
        json!([5, "shop"]),
        json!([["shop"]]),
        json!(["shop", null]),
        json!("shop "),
        json!(" shop"),
        json!("SHOP"),
        json!("shop,bank"),
        json!("shop bank"),
        json!("sh\u{43e}p"),
        json!("shop\0"),
        json!("*"),
        json!(true),
    ] {
        claim("aud", Some(value));
    }
    for value in [
        json!(null),
        json!(""),
        json!(5),
        json!([ISS]),
        json!({}),
        json!(format!("{ISS}/")),
        json!("https://ID.example.com"),
        json!("HTTPS://id.example.com"),
        json!("http://id.example.com"),
        json!("https://id.example.com.evil.example"),
        json!("https://id.example.com@evil.example"),
        json!("https://id.example.com:443"),
        json!(format!("{ISS}#")),
        json!(format!("{ISS}?")),
        json!(format!(" {ISS}")),
        json!(format!("{ISS}\n")),
        json!("https://id.ex\u{430}mple.com"),
        json!("id.example.com"),
        json!("corp"),
        json!("https://id%2eexample.com"),
        json!("https://id.example.com\0"),
    ] {
        claim("iss", Some(value));
    }
    for value in [
        json!(null),
        json!(""),
        json!(" "),
        json!(5),
        json!([]),
        json!(["alice"]),
        json!({}),
        json!(true),
        json!("a\nb"),
        json!("a\0b"),
        json!("\u{202e}nimda"),
        json!("ad\u{200b}min"),
        json!(" alice"),
        json!("alice "),
        json!("\u{feff}alice"),
        json!("x".repeat(2_000)),
        json!("a\r\nX-Role: admin"),
    ] {
        claim("sub", Some(value));
    }
    for value in [json!(5), json!(""), json!([]), json!(null), json!("a\nb")] {
        claim("jti", Some(value));
    }
    for value in [json!(5), json!({}), json!(true)] {
        claim("scope", Some(value));
    }
    claim("typ", Some(json!("Refresh")));
    claim("typ", Some(json!("Offline")));
    claim("typ", Some(json!("ID")));
    claim("token_use", Some(json!("id")));
    claim("token_use", Some(json!("refresh")));
    claim("token_type", Some(json!("refresh_token")));
    claim("at_hash", Some(json!("x")));
    claim("c_hash", Some(json!("x")));
    claim("nonce", Some(json!("x")));
    claim("events", Some(json!({ "x": {} })));
    let open = |more: &str| {
        format!(r#"{{"iss":"{ISS}","aud":"shop","sub":"alice","iat":{NOW},"exp":{}{more}}}"#, NOW + 600)
    };
    for (name, more) in [
        ("exp twice", r#","exp":9999999999"#),
        ("sub twice", r#","sub":"admin""#),
        ("iss twice", r#","iss":"https://evil.example""#),
        ("aud twice", r#","aud":"bank""#),
        ("sub twice, escaped", r#","s\u0075b":"admin""#),
        ("twice within", r#","roles":[{"a":1,"a":2}]"#),
        ("not a number", r#","x":NaN"#),
        ("infinity", r#","nbf":Infinity"#),
        ("a number too large", r#","nbf":1e999"#),
        ("hexadecimal", r#","nbf":0x10"#),
        ("a lone surrogate", r#","x":"\udfff""#),
        ("a control character", ",\"x\":\"\u{1}\""),
    ] {
        table.add(format!("claims: {name}"), keys.es(&good, &open(more)));
    }
    table.add("claims: no object", keys.es(&good, "[]"));
    table.add("claims: a text", keys.es(&good, "\"alice\""));
    table.add("claims: nothing", keys.es(&good, ""));
    table.add("claims: two objects", keys.es(&good, &format!("{}{}", open(""), open(""))));
    table.add(
        "claims: nested too deep",
        keys.es(&good, &open(&format!(",\"x\":{}{}", "[".repeat(500), "]".repeat(500)))),
    );
    let inner = keys.es(&good, &claims().to_string());
    table.add("a token within the token", keys.es(&good, &inner));
    table.add("too large", keys.es(&good, &with(claims(), "x", Some(json!("x".repeat(9_000))))));
}

fn forms(table: &mut Table, keys: &Keys) {
    let (good_header, payload) = (header().to_string(), claims().to_string());
    let good = keys.es(&good_header, &payload);
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    for (name, token) in [
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.{head}.{body}")),
        (
            "an encrypted token",
            format!("{}.{body}.{body}.{body}.{signature}", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)),
        ),
        ("one part", head.to_owned()),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("five dots", ".....".to_owned()),
        ("no header", format!(".{body}.{signature}")),
        ("no payload", format!("{head}..{signature}")),
        ("no signature", format!("{head}.{body}.")),
        ("a dot in front", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("padded header", format!("{}=.{body}.{signature}", head)),
        ("padded signature", format!("{good}==")),
        (
            "header padded as it must be",
            format!("{}.{body}.{signature}", URL_SAFE.encode(format!("{good_header} "))),
        ),
        ("twice", format!("{good}{good}")),
        ("with a blank", format!("{head}. {body}.{signature}")),
        ("with a tab", format!("{head}.\t{body}.{signature}")),
        ("with an escaped blank", format!("{good}%20")),
        ("with a quote", format!("\"{good}\"")),
        ("two, with a comma", format!("{good},{good}")),
        ("the scheme twice", format!("Bearer {good}")),
        (
            "general JSON",
            json!({ "payload": body, "signatures": [{ "protected": head, "signature": signature }] })
                .to_string(),
        ),
        ("flattened JSON", json!({ "payload": body, "protected": head, "signature": signature }).to_string()),
        ("JSON of the compact form", format!("{{\"{head}.{body}.\":\"\",\"signature\":\"{signature}\"}}")),
        ("hexadecimal", good.bytes().map(|b| format!("{b:02x}")).collect()),
        ("in base64 again", b64(&good)),
        ("a cut header", format!("{}.{body}.{signature}", &head[..head.len() - 1])),
        ("a cut payload", format!("{head}.{}.{signature}", &body[..body.len() - 2])),
        ("a longer payload", format!("{head}.{body}AA.{signature}")),
        ("header in UTF-16", {
            let utf16: Vec<u8> = good_header.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let message = format!("{}.{body}", b64(utf16));
            format!("{message}.{}", b64(keys.es_signature(&message)))
        }),
        ("header with bytes that are no text", {
            let message = format!("{}.{body}", b64(b"{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}"));
            format!("{message}.{}", b64(keys.es_signature(&message)))
        }),
        ("detached payload", format!("{head}..{}", b64(keys.es_signature(&format!("{head}.{body}"))))),
        ("unencoded payload", {
            let head = b64(r#"{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}"#);
            format!(
                "{head}.{}.{}",
                payload.replace('.', ""),
                b64(keys.es_signature(&format!("{head}.{payload}")))
            )
        }),
        ("the letters of standard base64", good.replace('-', "+").replace('_', "/") + "+"),
    ] {
        table.add(format!("form: {name}"), token);
    }
    // The last letter of 64 bytes has bits that mean nothing: each other letter of the same bytes is another text.
    for (name, part) in [("signature", 2), ("header", 0), ("payload", 1)] {
        let text = parts[part];
        if text.len() % 4 == 0 {
            continue;
        }
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.chars().last().unwrap();
        let at = alphabet.find(last).unwrap();
        let changed = alphabet.chars().nth(at | 1).unwrap();
        let mut altered: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        altered[part] = format!("{}{changed}", &text[..text.len() - 1]);
        if changed != last {
            table.add(format!("stray bits in the {name}"), altered.join("."));
        }
    }
}

fn signatures(table: &mut Table, keys: &Keys) {
    let message = input(&header().to_string(), &claims().to_string());
    let good = keys.es_signature(&message);
    let order = {
        let hex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    let (r, s) = (good[..32].to_vec(), good[32..].to_vec());
    let (zero, one) = (vec![0; 32], [vec![0; 31], vec![1]].concat());
    let der = |r: &[u8], s: &[u8]| {
        let integer = |n: &[u8]| {
            let sign = if n[0] > 0x7f { vec![0] } else { Vec::new() };
            let number = [sign, n.to_vec()].concat();
            [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
        };
        let both = [integer(r), integer(s)].concat();
        [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
    };
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for (name, signature) in [
        ("r and s zero", [zero.clone(), zero.clone()].concat()),
        ("r zero", [zero.clone(), s.clone()].concat()),
        ("s zero", [r.clone(), zero.clone()].concat()),
        ("r and s one", [one.clone(), one.clone()].concat()),
        ("r the order", [order.clone(), s.clone()].concat()),
        ("s the order", [r.clone(), order.clone()].concat()),
        ("r and s the order", [order.clone(), order.clone()].concat()),
        ("all ones", vec![0xff; 64]),
        ("swapped", [s.clone(), r.clone()].concat()),
        ("DER", der(&r, &s)),
        ("DER of zeros", der(&zero, &zero)),
        ("one byte short", good[..63].to_vec()),
        ("one byte long", [good.clone(), vec![0]].concat()),
        ("a zero in front", [vec![0], good.clone()].concat()),
        ("twice", [good.clone(), good.clone()].concat()),
        (
            "as long as another curve's",
            [zero[..16].to_vec(), r.clone(), zero[..16].to_vec(), s.clone()].concat(),
        ),
        ("half", r.clone()),
        ("one bit wrong", flipped),
        ("of the header alone", keys.es_signature(&b64(header().to_string()))),
        (
            "of another token",
            keys.es_signature(&input(&header().to_string(), &with(claims(), "sub", Some(json!("bob"))))),
        ),
        ("of the decoded text", keys.es_signature(&format!("{}.{}", header(), claims()))),
        ("empty", Vec::new()),
    ] {
        table.add(format!("signature: {name}"), format!("{message}.{}", b64(signature)));
    }
    let rsa = input(&json!({ "alg": "RS256", "kid": "rsa" }).to_string(), &claims().to_string());
    let length = keys.rsa.public_modulus_len();
    for (name, signature) in [
        ("zeros", vec![0; length]),
        ("one", [vec![0; length - 1], vec![1]].concat()),
        ("the modulus", keys.modulus()),
        ("all ones", vec![0xff; length]),
        ("short", vec![1; length - 1]),
        ("long", vec![1; length + 1]),
    ] {
        table.add(format!("RSA signature: {name}"), format!("{rsa}.{}", b64(signature)));
    }
    let ed = input(&json!({ "alg": "EdDSA", "kid": "ed" }).to_string(), &claims().to_string());
    for (name, signature) in
        [("zeros", vec![0; 64]), ("neutral", [vec![1], vec![0; 63]].concat()), ("ones", vec![0xff; 64])]
    {
        table.add(format!("Ed25519 signature: {name}"), format!("{ed}.{}", b64(signature)));
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
