//! Express and FastAPI applications that were never told about a gateway, used by node's fetch and by httpx.

use serde_json::{Value, json};

use crate::support::{Peer, before, json as run, node, python_script};

#[test]
fn an_express_application_works_for_fetch() {
    let (Some(app), Some(mut client)) = (Peer::node("express.js"), node("fetch_client.mjs")) else { return };
    let gateway = before(&app.url());
    let told = run(client.arg(format!("http://{}", gateway.address)));
    assert_eq!(told["status"], 200);
    assert_eq!(told["cookies"], 2, "two Set-Cookie fields stay two");
    assert_eq!(told["item"]["query"]["a"], json!(["1", "2"]));
    assert_eq!(told["item"]["host"], gateway.address.to_string(), "the application sees the client's Host");
    assert_eq!(
        told["made"],
        json!([201, "/items/7", { "got": { "name": "thing", "deep": [1, { "x": null }] } }])
    );
    assert_eq!((&told["gone"], &told["moved"], &told["broken"]), (&json!(204), &json!(true), &json!(500)));
    let expected: Vec<u64> = (0..50).collect();
    assert_eq!(told["many"], json!(expected), "fifty at once, each with its own answer");
}

#[test]
fn a_fastapi_application_works_for_httpx() {
    let (Some(app), Some(mut client)) = (Peer::python("fastapi_app.py"), python_script("httpx_client.py"))
    else {
        return;
    };
    let gateway = before(&app.url());
    let told = run(client.arg(format!("http://{}", gateway.address)));
    check_httpx(&told);
    assert_eq!(told["version"], "HTTP/1.1");
}

/// What `httpx_client.py` tells of `fastapi_app.py`, over whichever protocol.
pub fn check_httpx(told: &Value) {
    assert_eq!(told["statuses"], json!([200]));
    let expected: Vec<u64> = (0..20).collect();
    assert_eq!(told["accounts"], json!(expected));
    assert_eq!((&told["missing"], &told["invalid"]), (&json!(404), &json!(422)));
    assert_eq!(told["created"], json!({ "text": "hé" }));
    assert_eq!((&told["streamed"], &told["downloaded"]), (&json!(1_000_000), &json!(3 << 20)));
}

#[test]
fn the_application_is_told_the_true_client_and_nothing_forged() {
    let Some(app) = Peer::python("fastapi_app.py") else { return };
    let gateway = before(&app.url());
    let answer = gateway.get(
        "/who",
        &[
            "X-Forwarded-For: 198.51.100.7",
            "Forwarded: for=198.51.100.7",
            "X-Bartizan-Subject: admin",
            "X_Bartizan_Subject: admin",
        ],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let headers = answer.json()["headers"].to_string();
    assert!(!headers.contains("198.51.100.7"), "a forged client address reached the application: {headers}");
    assert!(!headers.contains("admin"), "a forged identity reached the application: {headers}");
    assert!(headers.contains("127.0.0.1"), "the application is told the client's address: {headers}");
}
