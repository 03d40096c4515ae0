//! Attacks that try a list of requests: what is open, forgotten, hidden or believed.

use std::borrow::Cow;

use bartizan_model::Timestamp;
use serde_json::json;

use super::attacker::{Attacker, Behaviour, Credential, Shot};
use crate::label::Kind;

/// One request after the other of a list, from the beginning again at its end.
pub struct Probing {
    at: u64,
    shot: fn(&mut Attacker, u64) -> Shot,
}

impl Probing {
    /// The list of a kind.
    pub fn new(attacker: &mut Attacker) -> Self {
        let shot = match attacker.plan.kind {
            Kind::AnonymousAccess => anonymous,
            Kind::ForgottenEndpoint => forgotten,
            Kind::MethodOverride => {
                attacker.scope = "read";
                method_override
            }
            Kind::PageInflation => page,
            Kind::MassAssignment => assignment,
            Kind::PathTrick => path,
            Kind::LowPrivilege => privilege,
            Kind::ForeignOrigin => origin,
            Kind::OversizedHead => head,
            _ => error,
        };
        Probing { at: attacker.plan.from, shot }
    }
}

impl Behaviour for Probing {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        let shot = (self.shot)(attacker, self.at);
        self.at += 1;
        Some(shot)
    }
}

/// The entry of a list at a number, from the beginning again at its end.
pub fn entry<const N: usize, T: Copy>(list: &[T; N], at: u64) -> T {
    const { assert!(N > 0) };
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: the remainder is below N, which is not 0")]
    list[usize::try_from(at).unwrap_or_default() % N]
}

/// Operations that ask for a credential: operation, method, target.
const PROTECTED: [(&str, &str, &str); 16] = [
    ("listAccounts", "GET", "/v1/accounts"),
    ("getAccount", "GET", "/v1/accounts/900"),
    ("getStatement", "GET", "/v1/accounts/900/statements/2026-01"),
    ("getMe", "GET", "/v1/customers/me"),
    ("listCustomers", "GET", "/v1/customers?limit=100"),
    ("getCustomer", "GET", "/v1/customers/450"),
    ("listCards", "GET", "/v1/cards"),
    ("listTransfers", "GET", "/v1/transfers"),
    ("listPayees", "GET", "/v1/payees"),
    ("search", "GET", "/v1/search?q=rent"),
    ("listNotes", "GET", "/v1/notes"),
    ("listDocuments", "GET", "/v1/documents"),
    ("getHealthRecord", "GET", "/v1/health-records/450"),
    ("statistics", "GET", "/v1/admin/statistics"),
    ("rotateKeys", "POST", "/v1/admin/keys/rotate"),
    ("lockCard", "POST", "/v1/cards/450/lock"),
];

/// Values of `Authorization` that prove nothing; an empty one stands for no field at all.
const NOTHING: [&str; 6] = ["", "", "Basic YWRtaW46YWRtaW4=", "Bearer null", "Bearer undefined", "bearer  "];

fn anonymous(_: &mut Attacker, at: u64) -> Shot {
    let (operation, method, target) = entry(&PROTECTED, at);
    let value = entry(&NOTHING, at / 3);
    let credential =
        if value.is_empty() { Credential::None } else { Credential::Value(value.to_owned(), None) };
    Shot::new(method, target).on(operation).with(credential).foreseen(401)
}

/// What is forgotten on servers: target, the flaw, and what the vulnerable bank answers.
const FORGOTTEN: [(&str, Option<&str>, u16); 32] = [
    ("/v0/customers", Some("BANK-12"), 200),
    ("/v0/customers?limit=100", Some("BANK-12"), 200),
    ("/v0/accounts/900", Some("BANK-12"), 200),
    ("/debug", Some("BANK-11"), 200),
    ("/v0/accounts/1", Some("BANK-12"), 200),
    ("/v0/login", None, 404),
    ("/v2/accounts", None, 404),
    ("/v1beta/accounts", None, 404),
    ("/api/v1/accounts", None, 404),
    ("/internal/accounts", None, 404),
    ("/test/accounts", None, 404),
    ("/.env", None, 404),
    ("/.git/config", None, 404),
    ("/.aws/credentials", None, 404),
    ("/actuator/env", None, 404),
    ("/actuator/heapdump", None, 404),
    ("/swagger-ui/index.html", None, 404),
    ("/graphql", None, 404),
    ("/metrics", None, 404),
    ("/server-status", None, 404),
    ("/phpinfo.php", None, 404),
    ("/wp-login.php", None, 404),
    ("/backup.sql", None, 404),
    ("/bank.db", None, 404),
    ("/config.json", None, 404),
    ("/debug/pprof/heap", None, 404),
    ("/debug/vars", None, 404),
    ("/console", None, 404),
    ("/admin", None, 404),
    ("/v1/admin", None, 404),
    ("/v1/internal/keys", None, 404),
    ("/v1/customers/me/password_hash", None, 404),
];

fn forgotten(_: &mut Attacker, at: u64) -> Shot {
    let (target, flaw, foreseen) = entry(&FORGOTTEN, at);
    // After one round, the open ones are read to the end.
    let target: Cow<'static, str> = match at.checked_sub(32) {
        Some(more) if more % 2 == 0 => format!("/v0/accounts/{}", more % 10_000 + 1).into(),
        Some(more) => format!("/v0/customers?limit=100&offset={}", more * 100 % 5_000).into(),
        None => target.into(),
    };
    let (flaw, foreseen) = if at < 32 { (flaw, foreseen) } else { (Some("BANK-12"), 200) };
    Shot::get(target).flaw(flaw).anonymous().foreseen(foreseen)
}

/// Deletes and changes by a token that only reads.
fn method_override(attacker: &mut Attacker, at: u64) -> Shot {
    let name = entry(
        &["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-HTTP-Method-Override"],
        at,
    );
    let believed = name == "X-HTTP-Method-Override";
    // The payees that the attacker's own account was made with.
    let payee = attacker.account * 3 - 2 + i64::try_from(at / 3 % 3).unwrap_or_default();
    let (operation, target, method): (_, Cow<'static, str>, _) = match at % 3 {
        0 => ("removePayee", format!("/v1/payees/{payee}").into(), "DELETE"),
        1 => ("changeMe", "/v1/customers/me".into(), "PATCH"),
        _ => ("makeReport", "/v1/reports".into(), "POST"),
    };
    let shot =
        Shot::get(target).on(operation).field(name, method).object(format!("customer:{}", attacker.account));
    shot.foreseen(match (believed, method) {
        (true, "DELETE") if at < 9 => 204,
        (true, "DELETE") => 404,
        (true, _) => 415,
        (false, "POST") => 405,
        (false, _) => 200,
    })
}

fn page(_: &mut Attacker, at: u64) -> Shot {
    let (operation, target, foreseen) = entry(
        &[
            ("listTransfers", "/v1/transfers?limit=100000", 200),
            ("listPrices", "/v1/prices?limit=5000", 200),
            ("listCustomers", "/v1/customers?limit=100000", 403),
            ("listTransfers", "/v1/transfers?limit=2147483647&offset=0", 200),
            ("listPrices", "/v1/prices?limit=101", 200),
            ("listPrices", "/v1/prices?limit=1000000000000", 200),
            ("listTransfers", "/v1/transfers?limit=-1", 200),
            ("listPrices", "/v1/prices?limit=100&limit=100000", 400),
        ],
        at,
    );
    Shot::get(target).on(operation).foreseen(foreseen)
}

fn assignment(attacker: &mut Attacker, at: u64) -> Shot {
    let customer = format!("customer:{}", attacker.account);
    let body = match at % 9 {
        0 => json!({ "role": "admin" }),
        1 => return Shot::get("/v1/admin/statistics").on("statistics").object("bank").foreseen(200),
        2 => json!({ "name": "Ana Adler", "role": "clerk" }),
        3 => json!({ "tenant": "t-0001" }),
        4 => json!({ "risk_score": 0 }),
        5 => json!({ "email": "ana@mail.example", "is_admin": true, "verified": true }),
        6 => json!({ "id": 1, "username": "admin" }),
        7 => json!({ "name": "Ana Adler", "internal_note": "reviewed", "balance_cents": 99_999_999 }),
        _ => json!({ "password_hash": "sha256$AAAA" }),
    };
    Shot::new("PATCH", "/v1/customers/me").json(&body).on("changeMe").object(customer)
}

/// Ways to write the path of an operation of staff.
const PATHS: [&str; 28] = [
    "/v1/accounts/..%2fadmin%2fstatistics",
    "/v1/accounts/%2e%2e/admin/statistics",
    "/v1/accounts/../admin/statistics",
    "/v1/./admin/statistics",
    "/v1//admin/statistics",
    "//v1/admin/statistics",
    "/v1/admin/statistics/",
    "/v1/admin//statistics",
    "/v1/%61dmin/statistics",
    "/v1/ADMIN/statistics",
    "/V1/admin/statistics",
    "/v1/admin/statistics;a=b",
    "/v1;a=b/admin/statistics",
    "/v1/admin/statistics%00.json",
    "/v1/admin/statistics%20",
    "/v1/admin/statistics.json",
    "/v1/accounts/%252e%252e/admin/statistics",
    "/v1/accounts/%c0%ae%c0%ae/admin/statistics",
    "/v1/accounts\\..\\admin\\statistics",
    "/v1/accounts/..%5cadmin%5cstatistics",
    "/v1/customers/me/../../admin/statistics",
    "/v1/admin/%2e/statistics",
    "/v1/admin%2fstatistics",
    "/v1/prices/../admin/statistics?x=1",
    "/static/../v1/admin/statistics",
    "/v1/admin/statistics%2f",
    "/v1/accounts/1%2f..%2f..%2fadmin%2fstatistics",
    "/v1/\u{ff41}dmin/statistics",
];

fn path(_: &mut Attacker, at: u64) -> Shot {
    let target = entry(&PATHS, at);
    // An encoded slash is part of an id, which is no number then.
    let foreseen = if target.contains("accounts/..%") || target.contains("/1%2f") { 500 } else { 404 };
    Shot::get(target).on("statistics").object("bank").foreseen(foreseen)
}

fn privilege(attacker: &mut Attacker, at: u64) -> Shot {
    let role = json!({ "role": "admin" });
    let shot = match at % 5 {
        0 => Shot::get("/v1/admin/statistics").on("statistics"),
        1 => Shot::new("PUT", format!("/v1/admin/customers/{}/role", attacker.account))
            .json(&role)
            .on("setRole"),
        2 => Shot::new("POST", "/v1/admin/keys/rotate").on("rotateKeys"),
        3 => Shot::get("/v1/customers?limit=100").on("listCustomers"),
        _ => {
            let other = i64::try_from(attacker.draw.between(1, 5_000)).unwrap_or(1);
            Shot::get(format!("/v1/customers/{other}")).on("getCustomer").victim(other)
        }
    };
    shot.object("bank").foreseen(403)
}

fn origin(_: &mut Attacker, at: u64) -> Shot {
    let origin = entry(
        &[
            "https://evil.example",
            "null",
            "https://bank.example.evil.example",
            "https://evilbank.example",
            "http://bank.example",
            "https://bank.example:8443",
        ],
        at / 3,
    );
    match at % 3 {
        0 => Shot::new("OPTIONS", "/v1/accounts")
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "GET")
            .field("Access-Control-Request-Headers", "authorization")
            .anonymous()
            .foreseen(204),
        1 => Shot::get("/v1/accounts").on("listAccounts").field("Origin", origin),
        _ => Shot::get("/v1/cards").on("listCards").field("Origin", origin),
    }
}

/// Heads that no client of a bank sends: 20 kB to 300 kB.
fn head(_: &mut Attacker, at: u64) -> Shot {
    let size = 20_000 + usize::try_from(at % 8).unwrap_or_default() * 40_000;
    let shot = Shot::get("/v1/prices?limit=10").on("listPrices").anonymous();
    match at % 4 {
        0 => shot.field("X-Filler", "a".repeat(size)),
        1 => (0..size / 100)
            .fold(shot, |shot, at| shot.field(format!("X-Filler-{at}"), "b".repeat(80)))
            .foreseen(431),
        2 => shot.field("Cookie", "c=".to_owned() + &"d".repeat(size)),
        _ => Shot::get(format!("/v1/prices?limit=10&filler={}", "e".repeat(size)))
            .on("listPrices")
            .anonymous()
            .foreseen(414),
    }
}

fn error(_: &mut Attacker, at: u64) -> Shot {
    let ids = [
        "abc",
        "-1",
        "0x10",
        "99999999999999999999",
        "1e9",
        "%27",
        "null",
        "1.5",
        "NaN",
        "%00",
        "true",
        "1%20OR%201",
    ];
    match at % 4 {
        0 | 1 => {
            let (place, operation) =
                if at.is_multiple_of(4) { ("accounts", "getAccount") } else { ("payees", "getPayee") };
            let id = entry(&ids, at / 2);
            let foreseen = if id.parse::<i64>().is_ok() { 404 } else { 500 };
            Shot::get(format!("/v1/{place}/{id}")).on(operation).foreseen(foreseen)
        }
        2 => {
            let bodies =
                ["{", "[]", "{\"text\": 1}", "null", "\u{feff}{}", "{\"text\": \"a\", \"text\": \"b\"}"];
            let body = entry(&bodies, at / 4);
            Shot::new("POST", "/v1/notes").body("application/json", body).on("addNote").foreseen(422)
        }
        _ => Shot::get("/v1/transfers?limit=abc").on("listTransfers").foreseen(400),
    }
}
