//! Screens of many endings, at two widths: `snapshots/` has them as they are read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use serde_json::{Value, json};

use super::{Look, explain_list, explain_value};

const GUARDS: [&str; 7] =
    ["ip_access", "rate_limit", "request_limits", "cors", "identity", "rate_limit", "security_headers"];

fn step(guard: &str, decision: &str, code: &str) -> Value {
    let mode = match decision {
        "skipped" => "off",
        "watched" => "monitor",
        _ => "enforce",
    };
    json!({ "guard": guard, "phase": "request_headers", "mode": mode, "decision": decision, "code": code })
}

/// Ingress, route, and the guards up to the one that decided.
fn trace(decider: &str, decision: &str, code: &str) -> Vec<Value> {
    let mut steps = vec![step("ingress", "continued", ""), step("route", "continued", "")];
    for guard in GUARDS {
        if guard == decider {
            steps.push(step(guard, decision, code));
            if decision != "watched" {
                return steps;
            }
        } else {
            steps.push(step(guard, if guard == "rate_limit" { "skipped" } else { "continued" }, ""));
        }
    }
    steps
}

fn finding(code: &str, severity: &str, mode: &str, detail: &str) -> Value {
    let guard = code.split('.').next();
    json!({ "guard": guard, "code": code, "severity": severity, "phase": "request_headers", "mode": mode,
            "detail": detail })
}

fn event(more: Value) -> Value {
    let mut event = json!({
        "id": "01M80KG0NJKHPM7DTP59W9EJ4D", "time": "2026-01-22T03:06:17.650580Z", "client": "203.0.113.9",
        "generation": 3, "kind": "exchange", "verdict": "allow", "api": "bank", "operation": "GET /v1/accounts/{id}",
        "method": "GET", "scheme": "https", "protocol": "HTTP/2.0", "path": "/v1/accounts/{number}", "status": 200,
        "duration_us": 1_234, "attempts": 0, "bytes_in": 12, "bytes_out": 345, "mode": "enforce",
    });
    for (field, value) in more.as_object().unwrap() {
        event[field] = value.clone();
    }
    event
}

/// A refusal by one guard.
fn refused(verdict: &str, status: u16, code: &str, severity: &str, detail: &str) -> Value {
    let by = code.split('.').next().unwrap();
    event(json!({
        "verdict": verdict, "status": status, "reason": code, "by": by, "trace": trace(by, "refused", code),
        "findings": [finding(code, severity, "enforce", detail)],
    }))
}

fn with(mut value: Value, more: Value) -> Value {
    for (field, new) in more.as_object().unwrap() {
        value[field] = new.clone();
    }
    value
}

fn forwarded(more: Value) -> Value {
    let alice = json!({ "subject": "alice", "issuer": "corp", "credential": "jwt" });
    let base =
        json!({ "principal": alice, "backend": "10.0.0.7:3000", "attempts": 1, "upstream_wait_us": 860 });
    with(event(base), more)
}

fn cases() -> Vec<(&'static str, Value)> {
    let challenge = |code, severity, detail| refused("challenge", 401, code, severity, detail);
    let at_the_door = |code: &str, detail: &str| {
        event(json!({
            "verdict": "deny", "status": 400, "reason": code, "by": "ingress", "api": "", "operation": "", "path": "/",
            "trace": [step("ingress", "refused", code)], "findings": [finding(code, "medium", "enforce", detail)],
        }))
    };
    vec![
        ("anonymous", challenge("identity.missing", "low", "no credential was presented")),
        (
            "expired token",
            challenge("identity.expired", "low", "the token is past its `exp` (issuer `corp`)"),
        ),
        ("forged alg none", challenge("identity.algorithm_none", "high", "the token's `alg` is `none`")),
        (
            "wrong audience",
            with(
                challenge(
                    "identity.audience",
                    "medium",
                    "the token's `aud` names none of the issuer's audiences (issuer `corp`)",
                ),
                json!({ "findings": [with(
                    finding("identity.audience", "medium", "enforce", "the token's `aud` names none of the issuer's audiences (issuer `corp`)"),
                    json!({ "remedy": "add the audience to the issuer's `audiences` if the token is meant for this API" }),
                )] }),
            ),
        ),
        (
            "rate-limited",
            refused(
                "throttle",
                429,
                "rate_limit.exceeded",
                "low",
                "limit `per-address` of `api:bank`, 20/m per address, is used up for another 7 s",
            ),
        ),
        (
            "ip denied",
            refused("deny", 403, "ip_access.denied", "medium", "the client's address is on the `deny` list"),
        ),
        (
            "too large",
            refused(
                "deny",
                413,
                "request_limits.body",
                "low",
                "the declared body of 99999 bytes exceeds `max_body`, 65536 bytes",
            ),
        ),
        (
            "unknown operation",
            with(
                refused(
                    "deny",
                    404,
                    "route.unknown_operation",
                    "medium",
                    "neither the contract nor an `operations` block names this operation",
                ),
                json!({ "operation": "unknown", "path": "/v1/nothing/{number}/~abc383aeb9d1", "by": "route",
                        "trace": [step("ingress", "continued", ""), step("identity", "continued", ""),
                                  step("route", "refused", "route.unknown_operation")] }),
            ),
        ),
        (
            "method not allowed",
            with(
                refused(
                    "deny",
                    405,
                    "route.method_not_allowed",
                    "medium",
                    "the contract has this path with other methods",
                ),
                json!({ "operation": "unknown", "method": "DELETE", "path": "/v1/accounts" }),
            ),
        ),
        ("two hosts", at_the_door("ingress.two_hosts", "the request has more than one `Host`")),
        (
            "two framings",
            at_the_door(
                "ingress.two_framings",
                "the request has both `Content-Length` and `Transfer-Encoding`",
            ),
        ),
        (
            "disguised dots",
            at_the_door(
                "ingress.path_disguised_dots",
                "the path holds a dot segment in disguise, such as `..;` or `..%20`",
            ),
        ),
        (
            "banned",
            with(
                refused("deny", 403, "ban.address", "medium", "the client's address is banned"),
                json!({ "api": "", "operation": "", "trace": [step("ban", "refused", "ban.address")] }),
            ),
        ),
        (
            "upstream down",
            event(json!({
                "verdict": "error", "status": 502, "reason": "upstream.connect", "by": "upstream", "attempts": 2,
                "trace": trace("", "", ""),
            })),
        ),
        ("client abort", forwarded(json!({ "verdict": "abort", "trace": trace("", "", "") }))),
        (
            "monitor",
            forwarded(json!({
                "mode": "monitor", "trace": trace("ip_access", "watched", "ip_access.not_allowed"),
                "findings": [finding("ip_access.not_allowed", "low", "monitor", "the client's address is not on the `allow` list")],
            })),
        ),
        (
            "websocket",
            forwarded(json!({ "status": 101, "operation": "GET /v1/quotes", "path": "/v1/quotes" })),
        ),
        ("allowed", forwarded(json!({}))),
        (
            "preflight, asked",
            json!({
                "verdict": "allow", "status": 204, "reason": null, "by": "cors", "detail": null, "api": "bank",
                "base_path": "/", "operation": "OPTIONS", "mode": "enforce", "method": "OPTIONS", "path": "/v1/accounts",
                "client": "127.0.0.1", "principal": null, "findings": [], "backends": ["10.0.0.7:3000"],
                "steps": trace("cors", "answered", ""), "place": null, "generation": 1,
            }),
        ),
        (
            "allowed, asked",
            json!({
                "verdict": "allow", "status": null, "api": "bank", "operation": "GET /v1/prices", "mode": "enforce",
                "method": "GET", "path": "/v1/prices", "client": "127.0.0.1", "findings": [],
                "backends": ["10.0.0.7:3000", "10.0.0.8:3000"], "steps": trace("", "", ""), "generation": 1,
            }),
        ),
        (
            "refused, asked",
            json!({
                "verdict": "challenge", "status": 401, "reason": "identity.missing", "by": "identity",
                "detail": "no credential was presented", "api": "bank", "operation": "* /admin/**", "mode": "enforce",
                "method": "GET", "path": "/admin/users", "client": "127.0.0.1", "steps": trace("identity", "refused", "identity.missing"),
                "findings": [finding("identity.missing", "low", "enforce", "no credential was presented")],
                "place": "bartizan.yaml:14:5", "generation": 1,
            }),
        ),
        (
            "connection",
            json!({ "id": "01M80KG0NJKHPM7DTP59W9EJ4D", "time": "2026-01-22T03:06:17.650580Z", "client": "203.0.113.9",
                    "generation": 3, "kind": "connection", "code": "connection.banned", "detail": "the address is banned" }),
        ),
        (
            "change",
            json!({ "id": "01M80KG0NJKHPM7DTP59W9EJ4D", "time": "2026-01-22T03:06:17.650580Z", "client": "127.0.0.1",
                    "generation": 3, "kind": "control", "code": "mode.monitor", "actor": "admin token", "detail": "for 10 minutes" }),
        ),
    ]
}

fn screens(width: usize) -> String {
    let look = Look { place: Some("bartizan.yaml:14:5 (as it is now)".to_owned()), ..Look::plain(width) };
    let told = |(name, value): (&str, Value)| format!("######## {name}\n{}", explain_value(&value, &look));
    cases().into_iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn screens_at_80_columns() {
    let told = screens(80);
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(told.split("########").all(|screen| screen.lines().count() <= 34), "each fits on a screen");
    insta::assert_snapshot!("screens_80", told);
}

#[test]
fn screens_at_200_columns() {
    insta::assert_snapshot!("screens_200", screens(200));
}

#[test]
fn lists_have_a_line_each() {
    let events: Vec<Value> =
        cases().into_iter().map(|(_, value)| value).filter(|value| !value["id"].is_null()).collect();
    for width in [80, 200] {
        let told = explain_list(&events, &Look::plain(width));
        assert_eq!(told.lines().count(), events.len());
        assert!(told.lines().all(|line| line.chars().count() <= width), "{told}");
        insta::assert_snapshot!(format!("list_{width}"), told);
    }
}

#[test]
fn colours_change_no_words() {
    let coloured = Look { color: true, ..Look::plain(80) };
    for (name, value) in cases() {
        let told = explain_value(&value, &coloured);
        let mut plain = String::new();
        let mut rest = told.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, explain_value(&value, &Look::plain(80)), "{name}");
    }
}

#[test]
fn what_is_not_there_is_left_out() {
    for odd in [
        json!({}),
        json!({ "kind": "exchange", "findings": "no list", "trace": [1, {}] }),
        json!({ "steps": [] }),
        json!(null),
    ] {
        for width in [0, 40, 80, 10_000] {
            assert!(!explain_value(&odd, &Look::plain(width)).is_empty());
        }
    }
}
