//! Ordinary use of the fixed bank.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bartizan_bank::{Flaws, Staff, credentials};
use bartizan_testkit::{raw_request, reply};
use serde_json::json;

use crate::running::{Running, SEED, config};

#[test]
fn it_begins_soon_with_five_thousand_customers() {
    let began = Instant::now();
    let bank = Running::fixed();
    assert_eq!(bank.get("/healthz", &[]).text(), "ok");
    let took = began.elapsed();
    let statistics = bank.get("/v1/admin/statistics", &[&bank.token(Staff::Admin.id())]).json();
    assert_eq!(statistics["customers"], 5_000);
    assert_eq!(statistics["accounts"], 10_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn money_arrives_or_stays() {
    let bank = Running::fixed();
    let (from, to) = (bank.token(1), bank.token(2));
    let balance = |token: &String, at: usize| {
        bank.get("/v1/accounts", &[token]).json()[at]["balance_cents"].as_i64().unwrap()
    };
    let iban = bank.get("/v1/accounts", &[&to]).json()[0]["iban"].clone();
    let (before_from, before_to) = (balance(&from, 0), balance(&to, 0));
    let send = |account: i64, cents: i64, iban: &serde_json::Value| {
        let body = json!({ "account": account, "to_iban": iban, "amount_cents": cents, "text": "lunch" });
        bank.post("/v1/transfers", &[&from], &body).status
    };
    assert_eq!(send(1, 1_234, &iban), 201);
    assert_eq!((balance(&from, 0), balance(&to, 0)), (before_from - 1_234, before_to + 1_234));
    assert_eq!(send(3, 1, &iban), 404, "an account of somebody else");
    assert_eq!(send(1, -5, &iban), 422);
    assert_eq!(send(1, 5_000_000, &iban), 409, "more than there is");
    assert_eq!(send(1, 1, &json!("DE00100200300000000001")), 422, "wrong check digits");
    assert_eq!((balance(&from, 0), balance(&to, 0)), (before_from - 1_234, before_to + 1_234));
}

#[test]
fn a_code_is_needed_and_works_once() {
    let bank = Running::fixed();
    let who = credentials(SEED, 4);
    let without = json!({ "username": who.username, "password": who.password });
    assert_eq!(bank.post("/v1/login", &[], &without).status, 401);
    assert_eq!(bank.sign_in(4, "write").status, 200);
    let again = bank.sign_in(4, "write").status;
    assert!(again == 401 || again == 200, "a new code after the half minute");
}

#[test]
fn programs_sign_in_by_the_password_grant() {
    let bank = Running::fixed();
    let who = credentials(SEED, 1);
    let ask = |form: &str| {
        let head = "POST /token HTTP/1.1\r\nHost: bank\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded";
        let whole = format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len());
        reply(&raw_request(bank.address, whole.as_bytes(), Duration::from_secs(5)))
    };
    let form = format!("grant_type=password&username={}&password=", who.username);
    let granted = ask(&format!("{form}{}&scope=read", who.password));
    assert_eq!((granted.status, granted.json()["scope"].as_str()), (200, Some("read")), "{}", granted.text());
    assert_eq!(ask(&format!("{form}wrong")).json()["error"], "invalid_grant");
    assert_eq!(ask("grant_type=implicit&username=a&password=b").json()["error"], "unsupported_grant_type");
    assert_eq!(ask("nothing").json()["error"], "invalid_request");
}

#[test]
fn roles_and_a_cookie() {
    let bank = Running::fixed();
    let customer = bank.token(1);
    for target in ["/v1/customers", "/v1/admin/statistics", "/v1/customers/2"] {
        assert_eq!(bank.get(target, &[&customer]).status, 403, "{target}");
        assert_eq!(bank.get(target, &[]).status, 401, "{target}");
    }
    assert_eq!(bank.get("/v1/health-records/9", &[&bank.token(Staff::Doctor.id())]).status, 200);
    let signed_in = bank.sign_in(1, "write");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(bank.get("/v1/accounts", &[&format!("Cookie: {cookie}")]).status, 200);
}

#[test]
fn keys_rotate_and_old_tokens_live_on() {
    let bank = Running::fixed();
    let discovery = bank.get("/.well-known/openid-configuration", &[]).json();
    assert_eq!(discovery["jwks_uri"], format!("http://{}/jwks", bank.address));
    let before = bank.token(1);
    let admin = bank.token(Staff::Admin.id());
    let rotated = bank.ask("POST", "/v1/admin/keys/rotate", &[&admin, "Content-Length: 0"], None);
    assert_eq!(rotated.json()["kid"], "bank-2");
    let keys = bank.get("/jwks", &[]).json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(bank.get("/v1/accounts", &[&before]).status, 200);
    let (head, _) = before.rsplit_once('.').unwrap();
    assert_eq!(bank.get("/v1/accounts", &[&format!("{head}.AAAA")]).status, 401, "a forged signature");
}

#[test]
fn documents_come_back_as_they_were() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let headers = [token.as_str(), "Content-Type: text/plain", "Content-Length: 0"];
    let made = bank.ask("POST", "/v1/documents?name=empty", &headers, None);
    assert_eq!(made.status, 201, "{}", made.text());
    let target = format!("/v1/documents/{}", made.json()["id"]);
    assert_eq!(bank.get(&target, &[&token]).header("content-type"), Some("text/plain"));
    assert_eq!(bank.get(&target, &[&bank.token(2)]).status, 404);
    assert_eq!(bank.ask("DELETE", &target, &[&token], None).status, 204);
    let wrong = [token.as_str(), "Content-Type: text/html", "Content-Length: 0"];
    assert_eq!(bank.ask("POST", "/v1/documents?name=page", &wrong, None).status, 415);
}

/// Reads from a connection until `enough` is in it.
fn read_until(stream: &mut TcpStream, enough: &str) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).unwrap();
        all.extend(&chunk[..count]);
        let text = String::from_utf8_lossy(&all).into_owned();
        assert!(count > 0, "ended with {text}");
        if text.contains(enough) {
            return text;
        }
    }
}

#[test]
fn quotes_and_events_stream() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let mut socket = TcpStream::connect(bank.address).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    write!(socket, "GET /v1/quotes HTTP/1.1\r\nHost: bank\r\n{token}\r\n{upgrade}\r\n\r\n").unwrap();
    let text = read_until(&mut socket, "EURUSD");
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key of RFC 6455 section 1.3: {text}");
    socket.write_all(&[0x89, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).unwrap();
    read_until(&mut socket, "\u{2}hi");
    let mut events = TcpStream::connect(bank.address).unwrap();
    write!(events, "GET /v1/events HTTP/1.1\r\nHost: bank\r\n{token}\r\n\r\n").unwrap();
    let text = read_until(&mut events, "id: 1");
    assert!(text.contains("text/event-stream") && text.contains("event: balances"), "{text}");
}

#[test]
fn a_file_keeps_what_changed_and_belongs_to_one_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.db");
    let kept = |flaws: Flaws| bartizan_bank::Config { database: Some(file.clone()), ..config(flaws) };
    let bank = Running::start(kept(Flaws::none()));
    let token = bank.token(1);
    bank.post("/v1/notes", &[&token], &json!({ "text": "remember me" }));
    drop(bank);
    let bank = Running::start(kept(Flaws::none()));
    assert!(bank.get("/v1/notes", &[&bank.token(1)]).text().contains("remember me"));
    drop(bank);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        bartizan_bank::serve(listener, kept(Flaws::all()), std::future::pending()).await
    });
    assert!(ended.is_err_and(|error| error.to_string().contains("another seed")));
}
