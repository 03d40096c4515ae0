//! What customers do beside looking: uploads, transfers that are sent twice, and webhooks.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use bartizan_bank::{CUSTOMERS, Staff};
use bartizan_testkit::{Reply, raw_request, reply};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::running::Running;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";

fn upload(bank: &Running, target: &str, token: &str, kind: &str, body: &[u8]) -> Reply {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n{token}\r\nContent-Type: {kind}"
    );
    let mut whole = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    whole.extend(body);
    reply(&raw_request(bank.address, &whole, Duration::from_secs(10)))
}

/// A form of RFC 7578 with parts of a header line and bytes each.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, bytes) in parts {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}

#[test]
fn a_document_comes_in_a_form() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let send = |parts: &[(&str, &[u8])]| {
        upload(&bank, "/v1/documents", &token, "multipart/form-data; boundary=edge", &form(parts))
    };
    let png = "name=\"file\"; filename=\"C:\\\\photos\\\\me.png\"\r\nContent-Type: image/png";
    let made = send(&[("name=\"other\"", b"ignored"), (png, PNG)]);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["length"], PNG.len());
    let listed = bank.get("/v1/documents", &[&token]).json();
    assert_eq!((&listed[0]["name"], &listed[0]["media_type"]), (&json!("me.png"), &json!("image/png")));
    let got = bank.get(&format!("/v1/documents/{}", made.json()["id"]), &[&token]);
    assert_eq!((got.body.as_slice(), got.header("content-type")), (PNG, Some("image/png")));
    assert_eq!(
        send(&[("name=\"file\"", PNG), ("name=\"name\"", b"passport")]).status,
        201,
        "named by the form"
    );

    let page = "name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png";
    assert_eq!(send(&[(page, b"<script>alert(1)</script>")]).status, 415, "the bytes decide");
    assert_eq!(send(&[("name=\"file\"; filename=\"a.exe\"", b"MZ\x90\0")]).status, 415);
    assert_eq!(send(&[("name=\"file\"", PNG)]).status, 422, "no name");
    assert_eq!(send(&[("name=\"name\"", b"x")]).status, 422, "no file");
    assert_eq!(send(&[(png, PNG), (png, PNG)]).status, 422, "two files");
    let cut = &form(&[(png, PNG)])[..60];
    assert_eq!(upload(&bank, "/v1/documents", &token, "multipart/form-data; boundary=edge", cut).status, 400);
    assert_eq!(upload(&bank, "/v1/documents", &token, "multipart/form-data", cut).status, 400);
}

#[test]
fn a_document_has_a_mebibyte_and_is_what_it_says() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let raw = |kind: &str, bytes: &[u8]| upload(&bank, "/v1/documents?name=a", &token, kind, bytes).status;
    assert_eq!(raw("image/png", PNG), 201);
    assert_eq!(raw("text/plain; charset=utf-8", "Grüße".as_bytes()), 201);
    assert_eq!(raw("image/jpeg", PNG), 415);
    let most = vec![b'a'; 1024 * 1024];
    assert_eq!(raw("text/plain", &most), 201);
    assert_eq!(raw("text/plain", &[&most[..], b"a"].concat()), 413);
    let file = "name=\"file\"; filename=\"a.txt\"";
    let whole = form(&[(file, &most)]);
    assert_eq!(
        upload(&bank, "/v1/documents", &token, "multipart/form-data; boundary=edge", &whole).status,
        201
    );
    let more = form(&[(file, &[&most[..], b"a"].concat())]);
    assert_eq!(
        upload(&bank, "/v1/documents", &token, "multipart/form-data; boundary=edge", &more).status,
        413
    );
}

#[test]
fn a_transfer_with_a_key_is_made_once() {
    let bank = Running::fixed();
    let (token, other) = (bank.token(1), bank.token(2));
    let iban = bank.get("/v1/accounts", &[&other]).json()[0]["iban"].clone();
    let balance = || bank.get("/v1/accounts/1", &[&token]).json()["balance_cents"].as_i64().unwrap();
    let send = |key: &str, cents: i64| {
        let body = json!({ "account": 1, "to_iban": iban, "amount_cents": cents, "text": "lunch" });
        bank.post("/v1/transfers", &[&token, &format!("Idempotency-Key: {key}")], &body)
    };
    let before = balance();
    let first = send("\"8e03978e\"", 700);
    let again = send("8e03978e", 700);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(balance(), before - 700, "paid once");
    assert_eq!(send("8e03978e", 800).status, 422, "the key of another transfer");
    assert_eq!(send("another", 700).status, 201);
    assert_eq!(balance(), before - 1_400);
    assert_eq!(send("third", 5_000_000).status, 409);
    assert_eq!(send("third", 1).status, 201, "a refused transfer does not spend its key");
    for wrong in ["", "a b", "\"\"", &"x".repeat(101)] {
        assert_eq!(send(wrong, 1).status, 400, "{wrong}");
    }
    let twice = [token.as_str(), "Idempotency-Key: a", "Idempotency-Key: b"];
    let body = json!({ "account": 1, "to_iban": iban, "amount_cents": 1, "text": "lunch" });
    assert_eq!(bank.post("/v1/transfers", &twice, &body).status, 400);
}

#[test]
fn a_history_has_both_directions_and_a_reader() {
    let bank = Running::fixed();
    let (one, two, clerk) = (bank.token(1), bank.token(2), bank.token(Staff::Clerk.id()));
    let iban = bank.get("/v1/accounts", &[&two]).json()[0]["iban"].clone();
    let body = json!({ "account": 1, "to_iban": iban, "amount_cents": 4_321, "text": "rent" });
    let made = bank.post("/v1/transfers", &[&one], &body).json();
    let newest = |id: i64, token: &String| {
        bank.get(&format!("/v1/customers/{id}/transfers"), &[token]).json()[0].clone()
    };
    assert_eq!(newest(1, &one)["direction"], "sent");
    assert_eq!(newest(1, &one)["counterparty"], iban);
    let received = newest(2, &two);
    assert_eq!((&received["direction"], &received["account"]), (&json!("received"), &json!(3)));
    assert_eq!(received["id"], made["id"]);
    assert_eq!(newest(2, &clerk), received, "clerks read every history");
    assert_eq!(bank.get("/v1/customers/2/transfers", &[&one]).status, 403);
    assert_eq!(bank.get(&format!("/v1/transfers/{}", made["id"]), &[&one]).json()["amount_cents"], 4_321);
    assert_eq!(bank.get(&format!("/v1/transfers/{}", made["id"]), &[&two]).status, 404);
    let seeded = bank.get(&format!("/v1/customers/{CUSTOMERS}/transfers?limit=100"), &[&clerk]).json();
    assert!(
        seeded.as_array().unwrap().iter().filter(|line| line["direction"] == "sent").count() >= 5,
        "{seeded}"
    );
}

#[test]
fn a_payee_is_renamed_by_its_owner() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let rename = |token: &String, name: &str| {
        bank.ask("PATCH", "/v1/payees/1", &[token], Some(&json!({ "name": name }))).status
    };
    assert_eq!(rename(&token, "Landlord"), 204);
    assert_eq!(bank.get("/v1/payees/1", &[&token]).json()["name"], "Landlord");
    assert_eq!(rename(&bank.token(2), "Mine"), 404);
    assert_eq!(rename(&token, " "), 422);
}

/// What one request to a listener says, answered with `status`.
fn receive(listener: &TcpListener, status: u16) -> (String, String) {
    listener.set_nonblocking(true).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) => assert!(Instant::now() < until, "nothing was delivered"),
        }
        std::thread::yield_now();
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut chunk).unwrap();
        all.extend(&chunk[..count]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    write!(stream, "HTTP/1.1 {status} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (head, body)
}

fn deliveries(bank: &Running, id: &Value, token: &str, state: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let told = bank.get(&format!("/v1/webhooks/{id}/deliveries"), &[token]).json();
        if told[0]["state"] == state {
            return told;
        }
        assert!(Instant::now() < until, "{told}");
        std::thread::yield_now();
    }
}

#[test]
fn a_webhook_is_told_and_the_signature_is_right() {
    let bank = Running::vulnerable();
    let (token, other) = (bank.token(1), bank.token(2));
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let made =
        bank.post("/v1/webhooks", &[&token], &json!({ "url": url, "events": ["transfer.sent"] })).json();
    let secret = made["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap();
    let iban = bank.get("/v1/accounts", &[&other]).json()[0]["iban"].clone();
    let body = json!({ "account": 1, "to_iban": iban, "amount_cents": 5, "text": "tea" });
    let paid = bank.post("/v1/transfers", &[&token], &body).json();
    // Refused once, so that it comes again.
    receive(&receiver, 500);
    let (head, told) = receive(&receiver, 204);
    let field = |name: &str| {
        let begins = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(begins.as_str())).unwrap_or_else(|| panic!("{head}"))
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(secret).unwrap());
    let signed = format!("{}.{}.{told}", field("webhook-id"), field("webhook-timestamp"));
    let tag = BASE64.decode(field("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["type"], &told["data"]["id"]), (&json!("transfer.sent"), &paid["id"]));
    let noted = deliveries(&bank, &made["id"], &token, "delivered");
    assert_eq!((&noted[0]["attempts"], &noted[0]["status"]), (&json!(2), &json!(204)));

    assert_eq!(bank.ask("POST", "/v1/cards/1/lock", &[&token, "Content-Length: 0"], None).status, 204);
    assert_eq!(
        deliveries(&bank, &made["id"], &token, "delivered").as_array().unwrap().len(),
        1,
        "not asked for"
    );
}

#[test]
fn the_fixed_bank_withholds_what_it_would_send() {
    let bank = Running::fixed();
    let token = bank.token(1);
    let made =
        bank.post("/v1/webhooks", &[&token], &json!({ "url": "https://hooks.example.com/bank" })).json();
    let listed = bank.get("/v1/webhooks", &[&token]).json();
    assert_eq!(listed[0]["events"].as_array().unwrap().len(), 3, "all, where none is named");
    assert!(listed[0]["secret"].is_null(), "told once");
    assert_eq!(bank.ask("POST", "/v1/cards/1/lock", &[&token, "Content-Length: 0"], None).status, 204);
    let told = deliveries(&bank, &made["id"], &token, "withheld");
    assert_eq!((&told[0]["event"], &told[0]["attempts"]), (&json!("card.locked"), &json!(0)));
    let target = format!("/v1/webhooks/{}", made["id"]);
    assert_eq!(bank.get(&format!("{target}/deliveries"), &[&bank.token(2)]).status, 404);
    assert_eq!(bank.ask("DELETE", &target, &[&bank.token(2)], None).status, 404);
    assert_eq!(bank.ask("DELETE", &target, &[&token], None).status, 204);
    assert_eq!(bank.get(&format!("{target}/deliveries"), &[&token]).status, 404);
    for wrong in [json!(["card.stolen"]), json!([])] {
        let body = json!({ "url": "https://hooks.example.com/", "events": wrong });
        assert_eq!(bank.post("/v1/webhooks", &[&token], &body).status, 422);
    }
}
