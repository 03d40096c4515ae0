//! Headers and claims that say what they must not, signed by the issuer itself.

use serde_json::{Value, json};

use crate::{ISS, Keys, NOW, Table, claims, header, with};

pub fn headers(table: &mut Table, keys: &Keys) {
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

pub fn claim_values(table: &mut Table, keys: &Keys) {
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
        json!("ali\u{61c}ce"),
        json!("alice\u{e0041}"),
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
    // Within the leeway, and yet never valid by the issuer's own clock.
    for (name, from, until) in [("nbf", NOW + 20, NOW + 10), ("nbf", NOW, NOW), ("iat", NOW + 20, NOW + 20)] {
        let times = with(claims(), "exp", Some(json!(until)));
        let times = with(serde_json::from_str(&times).unwrap(), name, Some(json!(from)));
        table.add(format!("{name} {from}, exp {until}"), keys.es(&good, &times));
    }
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
