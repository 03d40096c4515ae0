//! Algorithms that are not the key's, and keys that are not the issuer's.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    signature::{KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{Keys, Table, b64, by, claims, header, input, mac, with};

pub fn algorithms(table: &mut Table, keys: &Keys) {
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

pub fn foreign_keys(table: &mut Table, keys: &Keys) {
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
