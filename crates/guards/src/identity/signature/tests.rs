//! The test cases of RFC 9421 appendix B, and what a base does at its edges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};
use sfv::{Dictionary, InnerList, ListEntry, Parser};

use super::{
    base::{Component, Message, NoBase, base, components},
    digest,
    keys::{Algorithm, SigningKey},
};

/// Section B.1.2, the public half.
const RSA_PSS: &str = r#"{"kty":"RSA","e":"AQAB","n":"r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDOkFV6-U9nV5oyc6XI2w"}"#;
/// Section B.1.3.
const ECC_P256: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\nw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END PUBLIC KEY-----\n";
/// Section B.1.4.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";
/// Section B.1.5.
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const CERT: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    headers
}

fn request<'m>(authority: &'m str, headers: &'m HeaderMap) -> Message<'m> {
    Message {
        method: "POST",
        scheme: "https",
        authority: authority.into(),
        path: "/foo".into(),
        query: Some("param=Value&Pet=dog".into()),
        target: None,
        headers,
        status: None,
        request: None,
    }
}

/// Section B.2: the request.
fn test_request() -> HeaderMap {
    fields(&[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        (
            "content-digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
        ("content-length", "18"),
    ])
}

fn input(text: &str) -> InnerList {
    let text = format!("sig={text}");
    let dictionary: Dictionary = Parser::new(&text).parse().unwrap();
    match dictionary.into_iter().next().unwrap().1 {
        ListEntry::InnerList(input) => input,
        ListEntry::Item(_) => panic!("not a list"),
    }
}

fn base_of(message: &Message<'_>, text: &str) -> Result<String, NoBase> {
    let input = input(text);
    base(message, &components(&input)?, &input)
}

fn verifies(message: &Message<'_>, text: &str, key: &SigningKey, signature: &str) -> bool {
    key.verify(base_of(message, text).unwrap().as_bytes(), &STANDARD.decode(signature).unwrap())
}

fn public(algorithm: Algorithm, text: &str) -> SigningKey {
    SigningKey::from_public(algorithm, text.as_bytes()).unwrap()
}

fn shared() -> SigningKey {
    let jwk = format!(
        r#"{{"kty":"oct","k":"{}"}}"#,
        SHARED.trim_end_matches('=').replace('+', "-").replace('/', "_")
    );
    SigningKey::from_symmetric_jwk(jwk.as_bytes())
}

#[test]
fn b_2_1_to_b_2_3_rsa_pss() {
    let headers = test_request();
    let message = request("example.com", &headers);
    let key = public(Algorithm::RsaPss, RSA_PSS);
    let vectors = [
        (
            r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
            "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
        ),
        (
            r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        ),
        (
            r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        ),
    ];
    for (input, signature) in vectors {
        assert!(verifies(&message, input, &key, signature), "{input}");
        let other = input.replace("1618884473", "1618884474");
        assert!(!verifies(&message, &other, &key, signature), "another time: {input}");
    }
    let pet = base_of(&message, vectors[1].0).unwrap();
    assert!(pet.contains("\"@query-param\";name=\"Pet\": dog\n"), "{pet}");
}

#[test]
fn b_2_4_signs_a_response() {
    let headers = fields(&[
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("content-type", "application/json"),
        (
            "content-digest",
            "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        ),
        ("content-length", "23"),
    ]);
    let answered = test_request();
    let answered = request("example.com", &answered);
    let message =
        Message { status: Some(200), headers: &headers, request: Some(&answered), ..answered.clone() };
    let input = r#"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#;
    let signature =
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
    assert!(verifies(&message, input, &public(Algorithm::EcdsaP256, ECC_P256), signature));
    for expected in digest::read(&headers, &digest::CONTENT_DIGEST).unwrap() {
        assert!(expected.holds(br#"{"message": "good dog"}"#) && !expected.holds(b"bad dog"));
    }
    let of_request = base_of(&message, r#"("@status" "@method";req "content-type";req)"#).unwrap();
    assert!(of_request.contains("\"@method\";req: POST\n\"content-type\";req: application/json\n"));
}

#[test]
fn b_2_5_and_b_2_6_hmac_and_ed25519() {
    let headers = test_request();
    let message = request("example.com", &headers);
    let input = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let signature = "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=";
    assert!(verifies(&message, input, &shared(), signature));
    let input = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let signature =
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    let key = public(Algorithm::Ed25519, ED25519);
    assert!(verifies(&message, input, &key, signature));
    let other = Message { method: "PUT", ..message.clone() };
    assert!(!verifies(&other, input, &key, signature));
}

#[test]
fn b_3_a_proxy_passes_a_certificate_on() {
    let mut headers = test_request();
    headers.insert("client-cert", CERT.parse().unwrap());
    let message = request("service.internal.example", &headers);
    let input = r#"("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#;
    let signature =
        "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==";
    assert!(verifies(&message, input, &public(Algorithm::EcdsaP256, ECC_P256), signature));
    let certificate = super::super::certificate::from_fields(&headers).unwrap().unwrap();
    assert_eq!(&*certificate.subject, "CN=BC");
    assert_eq!(certificate.names[0].to_string(), "bdc@example.com");
}

#[test]
fn b_4_some_changes_on_the_way_keep_a_signature_and_others_do_not() {
    let input = r#"("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let signature =
        "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==";
    let key = public(Algorithm::Ed25519, ED25519);
    let sent = fields(&[
        ("date", "Fri, 15 Jul 2022 14:24:55 GMT"),
        ("accept", "application/json"),
        ("accept", "*/*"),
    ]);
    let original = Message {
        method: "GET",
        path: "/demo".into(),
        query: Some("name1=Value1&Name2=value2".into()),
        ..request("example.org", &sent)
    };
    assert!(verifies(&original, input, &key, signature));
    let longer = Message { query: Some("name1=Value1&Name2=value2&param=added".into()), ..original.clone() };
    assert!(verifies(&longer, input, &key, signature));
    let joined =
        fields(&[("accept", "application/json, */*"), ("referer", "https://developer.example.org/demo")]);
    assert!(verifies(&Message { headers: &joined, ..original.clone() }, input, &key, signature));
    let turned = fields(&[("accept", "*/*"), ("accept", "application/json")]);
    assert!(!verifies(&Message { headers: &turned, ..original.clone() }, input, &key, signature));
    let elsewhere = Message { method: "POST", authority: "example.com".into(), ..original };
    assert!(!verifies(&elsewhere, input, &key, signature));
}

#[test]
fn every_component_has_the_value_of_section_2() {
    let headers = fields(&[
        ("host", "www.example.com"),
        ("x-ows-header", "  Leading and trailing whitespace.  "),
        ("cache-control", "max-age=60"),
        ("cache-control", "   must-revalidate"),
        ("example-dict", " a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("priority", "u=1 ,  i"),
        ("x-empty-header", ""),
    ]);
    let message = Message {
        path: "/path".into(),
        query: Some("var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2".into()),
        ..request("www.example.com", &headers)
    };
    let value = |component: &str| {
        let base = base_of(&message, &format!("({component})"))?;
        Ok::<_, NoBase>(base.split_once(": ").unwrap().1.split('\n').next().unwrap().to_owned())
    };
    for (component, expected) in [
        (r#""@method""#, "POST"),
        (r#""@scheme""#, "https"),
        (r#""@authority""#, "www.example.com"),
        (r#""@path""#, "/path"),
        (r#""host""#, "www.example.com"),
        (r#""cache-control""#, "max-age=60, must-revalidate"),
        (r#""x-ows-header""#, "Leading and trailing whitespace."),
        (r#""x-empty-header""#, ""),
        (r#""example-dict""#, "a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        (r#""example-dict";key="a""#, "1"),
        (r#""example-dict";key="d""#, "?1"),
        (r#""example-dict";key="b""#, "2;x=1;y=2"),
        (r#""example-dict";key="c""#, "(a b c)"),
        (r#""priority";sf"#, "u=1, i"),
        (r#""cache-control";bs"#, ":bWF4LWFnZT02MA==:, :bXVzdC1yZXZhbGlkYXRl:"),
        (r#""@query-param";name="var""#, "this%20is%20a%20big%0Amultiline%20value"),
        (r#""@query-param";name="bar""#, "with%20plus%20whitespace"),
        (r#""@query-param";name="fa%C3%A7ade%22%3A%20""#, "something"),
    ] {
        assert_eq!(value(component).as_deref(), Ok(expected), "{component}");
    }
    for absent in [
        r#""x-nowhere""#,
        r#""@query-param";name="nowhere""#,
        r#""@query-param";name="twice""#,
        r#""@status""#,
        r#""@method";req"#,
        r#""cache-control";tr"#,
        r#""example-dict";key="z""#,
        r#""example-dict";sf"#,
    ] {
        assert_eq!(value(absent), Err(NoBase::Absent), "{absent}");
    }
    for malformed in [
        r#""@nothing""#,
        r#""@signature-params""#,
        r#""Cache-Control""#,
        r#""cache-control";bs;sf"#,
        r#""cache-control";unknown"#,
        r#""@query-param""#,
        r#""@method";sf"#,
        r#""@method" "@method""#,
        "token",
        r#""""#,
    ] {
        assert_eq!(value(malformed), Err(NoBase::Malformed), "{malformed}");
    }
    let bare = Message { query: None, ..message.clone() };
    assert!(
        base_of(&bare, r#"("@query" "@target-uri")"#)
            .unwrap()
            .contains("\"@query\": ?\n\"@target-uri\": https://www.example.com/path\n")
    );
}

#[test]
fn a_demand_is_met_by_the_whole_component_only() {
    let covered = |text: &str| components(&input(&format!("({text})"))).unwrap();
    let demanded = Component::parse("content-digest").unwrap();
    assert!(covered(r#""content-digest""#)[0].covers(&demanded));
    assert!(covered(r#""content-digest";sf"#)[0].covers(&demanded), "the same in another spelling");
    assert!(!covered(r#""content-digest";key="sha-256""#)[0].covers(&demanded));
    assert!(!covered(r#""content-digest";req"#)[0].covers(&demanded));
    let parameter = Component::parse("@query-param;name=\"id\"").unwrap();
    assert!(covered(r#""@query-param";name="id""#)[0].covers(&parameter));
    assert!(!covered(r#""@query-param";name="other""#)[0].covers(&parameter));
    assert!(Component::parse("@query-param").is_err() && Component::parse("Content-Digest").is_err());
}
