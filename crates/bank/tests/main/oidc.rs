//! The issuer: authorization codes with PKCE, refresh tokens that are used once, errors of OAuth 2.0, and revocation.

use std::time::Duration;

use bartizan_bank::credentials;
use bartizan_testkit::{Reply, raw_request, reply};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

use crate::running::{Running, SEED};

/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "http://127.0.0.1:9123/callback";

fn form(bank: &Running, target: &str, more: &str, fields: &[(&str, &str)]) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let head = format!("POST {target} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n{more}");
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let whole = format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    reply(&raw_request(bank.address, whole.as_bytes(), Duration::from_secs(5)))
}

fn asked<'a>(scope: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", "bank-web"),
        ("redirect_uri", BACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "a b&c"),
        ("scope", scope),
    ];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields
}

/// The parameters of the address that a reply sends to.
fn returned(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.header("location").unwrap();
    let query = location.strip_prefix(BACK).and_then(|rest| rest.strip_prefix('?'));
    form_urlencoded::parse(query.unwrap_or_else(|| panic!("{location}")).as_bytes()).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A code for customer 1, by the sign-in page.
fn code(bank: &Running, scope: &str) -> String {
    let who = credentials(SEED, 1);
    let fields = asked(scope, &[("nonce", "n-1"), ("username", &who.username), ("password", &who.password)]);
    let reply = form(bank, "/authorize", "", &fields);
    assert!(reply.header("set-cookie").is_some_and(|cookie| cookie.contains("HttpOnly")));
    let pairs = returned(&reply);
    assert_eq!(value(&pairs, "state"), Some("a b&c"));
    assert_eq!(value(&pairs, "iss"), Some(format!("http://{}", bank.address).as_str()), "RFC 9207");
    value(&pairs, "code").unwrap().to_owned()
}

fn exchange(bank: &Running, code: &str, verifier: &str) -> Reply {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "bank-web"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", verifier),
        ("ignored", "as RFC 6749 section 3.2 says"),
    ];
    form(bank, "/token", "", &fields)
}

fn refresh(bank: &Running, token: &str, more: &[(&str, &str)]) -> Reply {
    let mut fields =
        vec![("grant_type", "refresh_token"), ("client_id", "bank-web"), ("refresh_token", token)];
    fields.extend(more);
    form(bank, "/token", "", &fields)
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {answer}"))
}

fn bearer(answer: &Value) -> String {
    format!("Authorization: Bearer {}", text(answer, "access_token"))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn a_code_becomes_tokens_once() {
    let bank = Running::fixed();
    let code = code(&bank, "openid profile offline_access write");
    let reply = exchange(&bank, &code, VERIFIER);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let answer = reply.json();
    assert_eq!(text(&answer, "scope"), "openid profile offline_access write");
    let id = claims(text(&answer, "id_token"));
    assert_eq!((text(&id, "sub"), text(&id, "aud"), text(&id, "nonce")), ("1", "bank-web", "n-1"));
    assert!(id["auth_time"].is_u64());
    let who = bank.get("/userinfo", &[&bearer(&answer)]).json();
    assert_eq!((text(&who, "sub"), who["email"].is_null()), ("1", true), "no scope `email`: {who}");
    assert_eq!(bank.get("/v1/accounts", &[&bearer(&answer)]).status, 200);
    let stolen = format!("Authorization: Bearer {}", text(&answer, "id_token"));
    assert_eq!(bank.get("/v1/accounts", &[&stolen]).status, 401, "an ID token opens nothing");

    let again = exchange(&bank, &code, VERIFIER);
    assert_eq!((again.status, text(&again.json(), "error")), (400, "invalid_grant"));
    assert_eq!(
        bank.get("/v1/accounts", &[&bearer(&answer)]).status,
        401,
        "what it was exchanged for has ended"
    );
    assert_eq!(refresh(&bank, text(&answer, "refresh_token"), &[]).status, 400);
}

#[test]
fn a_code_without_its_verifier_is_worth_nothing() {
    let bank = Running::fixed();
    let code = code(&bank, "read");
    let wrong = "x".repeat(43);
    assert_eq!(text(&exchange(&bank, &code, &wrong).json(), "error"), "invalid_grant");
    assert_eq!(text(&exchange(&bank, &code, VERIFIER).json(), "error"), "invalid_grant", "one attempt only");
    assert_eq!(text(&exchange(&bank, &code, "short").json(), "error"), "invalid_request");
    assert_eq!(text(&exchange(&bank, &code, "").json(), "error"), "invalid_request", "empty is missing");
}

#[test]
fn a_refresh_token_that_comes_twice_ends_its_family() {
    let bank = Running::fixed();
    let first = exchange(&bank, &code(&bank, "offline_access write"), VERIFIER).json();
    let first_token = text(&first, "refresh_token");
    let second = refresh(&bank, first_token, &[("scope", "read")]);
    assert_eq!(second.status, 400, "`read` was not granted: {}", second.text());
    assert_eq!(text(&second.json(), "error"), "invalid_scope");
    let second = refresh(&bank, first_token, &[]).json();
    assert_eq!(bank.get("/v1/accounts", &[&bearer(&second)]).status, 200);
    let third = refresh(&bank, text(&second, "refresh_token"), &[]).json();

    let reused = refresh(&bank, first_token, &[]);
    assert_eq!((reused.status, text(&reused.json(), "error")), (400, "invalid_grant"));
    assert_eq!(refresh(&bank, text(&third, "refresh_token"), &[]).status, 400, "the newest token too");
    assert_eq!(bank.get("/v1/accounts", &[&bearer(&third)]).status, 401, "and the access tokens");
}

#[test]
fn a_narrowed_token_reads_only_and_is_no_cookie() {
    let bank = Running::fixed();
    let whole = exchange(&bank, &code(&bank, "offline_access read write"), VERIFIER).json();
    let narrow = refresh(&bank, text(&whole, "refresh_token"), &[("scope", "read")]).json();
    assert_eq!(text(&narrow, "scope"), "read");
    let note = serde_json::json!({ "text": "hello" });
    assert_eq!(bank.post("/v1/notes", &[&bearer(&narrow)], &note).status, 403);
    let sid = claims(text(&narrow, "access_token"));
    let cookie = format!("Cookie: session={}", text(&sid, "sid"));
    assert_eq!(bank.post("/v1/notes", &[&cookie], &note).status, 401);
    let wide = refresh(&bank, text(&narrow, "refresh_token"), &[]).json();
    assert_eq!(text(&wide, "scope"), "offline_access read write", "the family keeps what was granted");
}

#[test]
fn revocation_and_logout_end_both_kinds() {
    let bank = Running::fixed();
    let revoke =
        |token: &str| form(&bank, "/revoke", "", &[("client_id", "bank-web"), ("token", token)]).status;
    let answer = exchange(&bank, &code(&bank, "offline_access write"), VERIFIER).json();
    assert_eq!(revoke("unknown"), 200, "RFC 7009 section 2.2");
    assert_eq!(revoke(text(&answer, "refresh_token")), 200);
    assert_eq!(bank.get("/v1/accounts", &[&bearer(&answer)]).status, 401);
    let answer = exchange(&bank, &code(&bank, "offline_access write"), VERIFIER).json();
    assert_eq!(bank.ask("POST", "/v1/logout", &[&bearer(&answer), "Content-Length: 0"], None).status, 204);
    assert_eq!(refresh(&bank, text(&answer, "refresh_token"), &[]).status, 400);
}

#[test]
fn what_cannot_be_trusted_is_not_sent_to() {
    let bank = Running::fixed();
    let get = |more: &[(&str, &str)]| {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(asked("read", more)).finish();
        bank.get(&format!("/authorize?{query}"), &[])
    };
    for wrong in
        [("redirect_uri", "https://evil.example/callback"), ("client_id", "other"), ("redirect_uri", "")]
    {
        let reply = get(&[wrong]);
        assert_eq!((reply.status, reply.header("location")), (400, None), "{wrong:?}");
    }
    for (wrong, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "admin"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        assert_eq!(value(&returned(&get(&[wrong])), "error"), Some(error), "{wrong:?}");
    }
    let page = get(&[("state", "\"><script>alert(1)</script>")]);
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
    );
    assert!(!page.text().contains("<script>") && page.text().contains("&lt;script&gt;"));
    let twice =
        bank.get(&format!("/authorize?client_id=bank-web&client_id=bank-app&redirect_uri={BACK}"), &[]);
    assert_eq!(twice.status, 400);
}

#[test]
fn a_signed_in_browser_goes_straight_back() {
    let bank = Running::fixed();
    let signed_in = bank.sign_in(1, "write");
    let cookie = format!("Cookie: {}", signed_in.header("set-cookie").unwrap().split(';').next().unwrap());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked("read", &[])).finish();
    let straight = returned(&bank.get(&format!("/authorize?{query}&prompt=none"), &[&cookie]));
    assert_eq!(exchange(&bank, value(&straight, "code").unwrap(), VERIFIER).status, 200);
    assert_eq!(bank.get(&format!("/authorize?{query}&prompt=login"), &[&cookie]).status, 200, "asked again");
    let wrong = asked("read", &[("username", "nobody"), ("password", "x")]);
    assert_eq!(form(&bank, "/authorize", "", &wrong).status, 403);
}

#[test]
fn errors_of_the_token_endpoint_are_those_of_rfc_6749() {
    let bank = Running::fixed();
    let error = |fields: &[(&str, &str)]| {
        let reply = form(&bank, "/token", "", fields);
        assert_eq!((reply.status, reply.header("content-type")), (400, Some("application/json")));
        text(&reply.json(), "error").to_owned()
    };
    let code = ("grant_type", "authorization_code");
    assert_eq!(error(&[]), "invalid_request");
    assert_eq!(error(&[("grant_type", "")]), "invalid_request");
    assert_eq!(error(&[("grant_type", "client_credentials")]), "unsupported_grant_type");
    assert_eq!(error(&[code]), "invalid_request");
    assert_eq!(error(&[code, ("client_id", "other")]), "invalid_client");
    assert_eq!(error(&[code, code, ("client_id", "bank-web")]), "invalid_request", "named twice");
    assert_eq!(error(&[code, ("client_id", "bank-web"), ("client_secret", "x")]), "invalid_client");
    let refresh = [("grant_type", "refresh_token"), ("client_id", "bank-web"), ("refresh_token", "a.b")];
    assert_eq!(error(&refresh), "invalid_grant");
    let password = [("grant_type", "password"), ("username", "clerk"), ("password", "x")];
    assert_eq!(error(&password), "invalid_grant");
    assert_eq!(error(&[password[0], password[1], password[2], ("scope", "admin")]), "invalid_scope");
    let basic = form(&bank, "/token", "Authorization: Basic YTpi\r\n", &[code]);
    assert_eq!((basic.status, text(&basic.json(), "error")), (401, "invalid_client"));
    assert!(basic.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic")));
}

#[test]
fn the_discovery_document_tells_of_what_there_is() {
    let bank = Running::fixed();
    let told = bank.get("/.well-known/openid-configuration", &[]).json();
    for endpoint in
        ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint", "jwks_uri"]
    {
        let path = text(&told, endpoint).strip_prefix(text(&told, "issuer")).unwrap().to_owned();
        assert_ne!(bank.get(&path, &[]).status, 404, "{endpoint}");
    }
    assert_eq!(told["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}
