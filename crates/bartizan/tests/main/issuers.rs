//! Issuers over the network: discovery, rotation, outages and hostile answers; opaque tokens; what is revoked; security
//! events; where clients are sent for tokens.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{
    Gateway, RawUpstream, Reply, Signer, Step,
    gateway::run_to_end,
    provider::{CLIENT, Form, Manner, Provider},
    skipped, test_env,
    token::epoch_seconds,
};
use serde_json::{Value, json};

use crate::support::{BINARY, Peer, with};

/// Within this, a decision is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// A policy with these lines of `issuers` and `accept`, before this upstream.
fn policy(upstream: &RawUpstream, issuers: &str, accept: &str) -> String {
    format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\nissuers:\n{issuers}\
         apis:\n  - name: shop\n    upstream: {}\n    identity:\n      accept:\n{accept}",
        upstream.url()
    )
}

fn entry(name: &str, issuer: &str, more: &str) -> String {
    format!("  - name: {name}\n    issuer: {issuer}\n    audiences: [shop]\n    algorithms: [ES256]\n{more}")
}

fn show(gateway: &Gateway, token: &str) -> Reply {
    gateway.get("/", &[&format!("Authorization: Bearer {token}")])
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    show(gateway, token).status
}

/// The reason that the newest event of a refusal names.
fn reason(gateway: &Gateway, reply: &Reply) -> String {
    let id = reply.header("x-bartizan-event").unwrap_or_default();
    let path = format!("/v1/events/{id}");
    let begin = Instant::now();
    loop {
        let event = gateway.ask("GET", &path, None).unwrap().json();
        if let Some(reason) = event["reason"].as_str() {
            return reason.to_owned();
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "no event {id}: {event}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a token is answered so; how long that took.
fn until(gateway: &Gateway, token: &str, expected: u16) -> Duration {
    let begin = Instant::now();
    loop {
        let found = status(gateway, token);
        if found == expected {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "still {found}, not {expected}");
        thread::sleep(Duration::from_millis(10));
    }
}

const JWT: &str = "        - jwt: { issuers: [corp] }\n";

#[test]
fn keys_are_discovered_rotated_and_outlive_their_issuer() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("/realms/one", Form::OpenId).unwrap();
    let gateway = with(&policy(&upstream, &entry("corp", &provider.issuer, ""), JWT));
    let old = provider.token("alice", &json!({})).unwrap();
    assert_eq!(status(&gateway, &old), 200);
    assert_eq!(provider.asked("/jwks"), 1);

    provider.rotate("second").unwrap();
    let new = provider.token("alice", &json!({})).unwrap();
    assert_eq!(status(&gateway, &new), 200, "the first token with the new key");
    assert_eq!(provider.asked("/jwks"), 2, "one fetch");
    assert_eq!(status(&gateway, &old), 401, "its key is withdrawn");

    let claims =
        json!({ "iss": provider.issuer, "sub": "mallory", "aud": "shop", "exp": epoch_seconds() + 600 });
    for number in 0..200 {
        let stranger = Signer::new(&format!("random-{number}")).unwrap();
        assert_eq!(status(&gateway, &stranger.sign(&claims).unwrap()), 401);
    }
    assert_eq!(provider.asked("/jwks"), 2, "no fetch for keys that nobody has");

    provider.behave(Manner::Down);
    let later = provider.token("bob", &json!({})).unwrap();
    assert_eq!(status(&gateway, &later), 200, "known keys serve while the issuer is down");
}

#[test]
fn metadata_is_found_in_the_other_well_known_place() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("/tenant", Form::OAuth).unwrap();
    let gateway = with(&policy(&upstream, &entry("corp", &provider.issuer, "    profile: at+jwt\n"), JWT));
    let body = "grant_type=client_credentials";
    // As a client gets its token: from the provider, with its own credentials.
    let token = {
        let mut stream = TcpStream::connect(provider.address).unwrap();
        let user = format!("{}:{}", CLIENT.0, CLIENT.1.replace(' ', "+").replace('\'', "%27"));
        let user = base64(user.as_bytes());
        let request = format!(
            "POST /token HTTP/1.1\r\nAuthorization: Basic {user}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 64 << 10];
        let read = stream.read(&mut answer).unwrap();
        let answer = bartizan_testkit::reply(&answer[..read]).json();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&gateway, &token), 200);
    assert_eq!(status(&gateway, &provider.token("alice", &json!({})).unwrap()), 401, "no `at+jwt`");
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            (0..4).map(move |i| {
                if i <= chunk.len() { char::from(ALPHABET[(n >> (18 - 6 * i) & 63) as usize]) } else { '=' }
            })
        })
        .collect()
}

#[test]
fn slow_and_hostile_issuers_are_bounded_and_never_believed() {
    let upstream = RawUpstream::echo().unwrap();
    let elsewhere = Provider::start("", Form::OpenId).unwrap();
    let mut hostile = Vec::new();
    for manner in [
        Manner::Down,
        Manner::Status(500),
        Manner::Redirect(format!("{}/.well-known/openid-configuration", elsewhere.issuer)),
        Manner::Page,
        Manner::Endless,
        Manner::Trickle(Duration::from_millis(300)),
        Manner::Late(Duration::from_secs(20)),
    ] {
        let provider = Provider::start("", Form::OpenId).unwrap();
        provider.behave(manner.clone());
        hostile.push((format!("{manner:?}"), provider));
    }
    for (name, metadata) in [
        (
            "another issuer",
            json!({ "issuer": elsewhere.issuer, "jwks_uri": format!("{}/jwks", elsewhere.issuer) }),
        ),
        ("no keys", json!({ "issuer": "ISSUER" })),
        ("a file", json!({ "issuer": "ISSUER", "jwks_uri": "file:///etc/passwd" })),
        ("a list", json!([])),
    ] {
        let provider = Provider::start("", Form::OpenId).unwrap();
        let text = metadata.to_string().replace("ISSUER", &provider.issuer);
        provider.tell(serde_json::from_str(&text).unwrap());
        hostile.push((name.to_owned(), provider));
    }
    let issuers: String =
        hostile.iter().enumerate().map(|(n, (_, p))| entry(&format!("h{n}"), &p.issuer, "")).collect();
    let gateway = with(&policy(&upstream, &issuers, "        - jwt\n"));
    let asked_before = elsewhere.asked("/jwks");
    thread::scope(|scope| {
        for (name, provider) in &hostile {
            let gateway = &gateway;
            scope.spawn(move || {
                let token = provider.token("alice", &json!({})).unwrap();
                let begin = Instant::now();
                assert_eq!(status(gateway, &token), 503, "{name}");
                // One fetch that is running, and one that is asked for.
                assert!(begin.elapsed() < Duration::from_secs(11), "{name}: {:?}", begin.elapsed());
                let begin = Instant::now();
                assert_eq!(status(gateway, &token), 503, "{name}");
                assert!(begin.elapsed() < Duration::from_secs(6), "{name}: {:?}", begin.elapsed());
            });
        }
    });
    assert_eq!(elsewhere.asked("/jwks"), asked_before, "nothing was followed");
}

fn introspection(provider: &Provider, more: &str) -> String {
    let at = provider.address;
    format!(
        "        - introspection:\n            issuer: opaque\n            endpoint: http://{at}/introspect\n            \
         client_id: {}\n            client_secret: file:secret.txt\n{more}",
        CLIENT.0
    )
}

fn with_secret(text: &str) -> Gateway {
    Gateway::with_config(BINARY, text, |dir| Ok(std::fs::write(dir.join("secret.txt"), CLIENT.1)?)).unwrap()
}

#[test]
fn opaque_tokens_are_asked_about_once_and_believed_for_a_while() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let cache = "            cache: { positive: 2s, negative: 1s, stale: 1m }\n            timeout: 1s\n";
    let text = policy(&upstream, &entry("corp", &provider.issuer, ""), &introspection(&provider, cache));
    let gateway = with_secret(&text);
    provider.activate("opaque-1", Some(json!({ "active": true, "sub": "alice", "scope": "read" })));
    provider.behave(Manner::Late(Duration::from_millis(300)));
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(status(&gateway, "opaque-1"), 200));
        }
    });
    assert_eq!(provider.asked("/introspect"), 1, "one question for all who ask the same");
    provider.behave(Manner::Well);
    assert_eq!(status(&gateway, "opaque-2"), 401);
    assert!(provider.bodies().iter().all(|body| body.contains("token_type_hint=access_token")));

    provider.activate("opaque-1", None);
    assert_eq!(status(&gateway, "opaque-1"), 200, "remembered");
    assert!(until(&gateway, "opaque-1", 401) < Duration::from_millis(2_500), "within the cache's time");

    // An answer stands for another until the token ends, and no longer.
    let soon = epoch_seconds() + 2;
    provider.activate("opaque-0", Some(json!({ "active": true, "sub": "eve", "exp": soon })));
    assert_eq!(status(&gateway, "opaque-0"), 200);
    provider.activate("opaque-0", None);
    while epoch_seconds() < soon {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(&gateway, "opaque-0"), 401, "its issuer says otherwise");

    // Revoked here, it is refused at once.
    provider.activate("opaque-3", Some(json!({ "active": true, "sub": "bob" })));
    assert_eq!(status(&gateway, "opaque-3"), 200);
    let mut command = Command::new(BINARY);
    command.current_dir(gateway.dir.path()).args(["revoke", "token", "-", "--reason", "lost"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"opaque-3\n").unwrap();
    assert!(child.wait().unwrap().success());
    let refused = show(&gateway, "opaque-3");
    assert_eq!((refused.status, reason(&gateway, &refused).as_str()), (401, "identity.revoked"));

    provider.activate("opaque-4", Some(json!({ "active": true, "sub": "bob" })));
    assert_eq!(status(&gateway, "opaque-4"), 200);
    provider.behave(Manner::Down);
    thread::sleep(Duration::from_millis(2_100));
    let refused = show(&gateway, "opaque-4");
    assert_eq!(
        (refused.status, reason(&gateway, &refused).as_str()),
        (503, "identity.introspection_unavailable")
    );
    for _ in 0..20 {
        assert_eq!(status(&gateway, "opaque-5"), 503);
    }
    let asked = provider.asked("/introspect");
    for _ in 0..50 {
        assert_eq!(status(&gateway, "opaque-6"), 503);
    }
    assert!(provider.asked("/introspect") <= asked + 2, "an endpoint that keeps failing is left alone");
    assert!(!gateway.process.log().contains("opaque-"), "a token was logged");
}

#[test]
fn by_choice_known_tokens_pass_while_the_endpoint_is_down() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let more = "            cache: { positive: 1s, stale: 1m }\n            unavailable: allow-cached\n";
    let text = policy(&upstream, &entry("corp", &provider.issuer, ""), &introspection(&provider, more));
    let gateway = with_secret(&text);
    provider.activate("known", Some(json!({ "active": true, "sub": "alice" })));
    assert_eq!(status(&gateway, "known"), 200);
    provider.behave(Manner::Down);
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(status(&gateway, "known"), 200);
    assert_eq!(status(&gateway, "unknown"), 503);
}

#[test]
fn signed_answers_are_demanded_where_the_policy_does() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let accept =
        introspection(&provider, "            signed: true\n").replace("issuer: opaque", "issuer: corp");
    let gateway = with_secret(&policy(&upstream, &entry("corp", &provider.issuer, ""), &accept));
    provider.activate("plain", Some(json!({ "active": true, "sub": "alice", "aud": "shop" })));
    assert_eq!(status(&gateway, "plain"), 503, "anybody can write an answer without a signature");
}

fn command(gateway: &Gateway, arguments: &[&str]) -> Value {
    let (status, text) = run_to_end(BINARY, gateway.dir.path(), arguments).unwrap();
    assert!(status.success(), "{text}");
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect(&text)
}

#[test]
fn what_is_revoked_is_refused_at_once_and_ends_live_streams() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata\n\r\n";
    let upstream = RawUpstream::scripted(vec![Step::Send(head.to_vec()), Step::Hang]).unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let gateway = with(&policy(&upstream, &entry("corp", &provider.issuer, ""), JWT));
    let token = provider.token("alice", &json!({ "jti": "one", "sid": "session-1" })).unwrap();
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET /live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.ends_with(b"data\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    let begin = Instant::now();
    let made = command(
        &gateway,
        &["revoke", "session", "session-1", "--issuer", "corp", "--reason", "logout", "--output", "json"],
    );
    assert_eq!(made["revocation"]["kind"], "session");
    while !matches!(stream.read(&mut buffer), Ok(0) | Err(_)) {}
    assert!(
        begin.elapsed() < IN_FORCE + Duration::from_secs(1),
        "the stream went on for {:?}",
        begin.elapsed()
    );

    upstream.answer(vec![Step::Echo]);
    let refused = show(&gateway, &token);
    assert_eq!((refused.status, reason(&gateway, &refused).as_str()), (401, "identity.revoked"));
    let other = provider.token("alice", &json!({ "jti": "two", "sid": "session-2" })).unwrap();
    assert_eq!(status(&gateway, &other), 200);
    for (kind, value, more) in [
        ("token", "two", vec![]),
        ("subject", "alice", vec![]),
        ("issuer", "", vec!["--issued-before", "2099-01-01"]),
    ] {
        let mut add = vec!["revoke", kind, if kind == "issuer" { "corp" } else { value }];
        let named: &[&str] = if kind == "issuer" { &[] } else { &["--issuer", "corp"] };
        add.extend_from_slice(named);
        add.extend(more);
        add.extend(["--reason", "test", "--output", "json"]);
        command(&gateway, &add);
        assert!(until(&gateway, &other, 401) < IN_FORCE);
        let lift: Vec<&str> = ["revoke", "lift", kind, value, "--issuer", "corp", "--output", "json"].into();
        command(&gateway, &lift);
        assert!(until(&gateway, &other, 200) < IN_FORCE);
    }
    let list = command(&gateway, &["revoke", "list", "--output", "json"]);
    assert_eq!(list["revocations"].as_array().unwrap().len(), 1, "{list}");
    let warned = gateway.ask(
        "POST",
        "/v1/revocations",
        Some(&json!({ "kind": "subject", "issuer": "crop", "value": "alice", "reason": "typing error" })),
    );
    assert!(warned.unwrap().json()["warning"].as_str().unwrap().contains("no issuer `crop`"));
}

/// Pushes an event to the admin address.
fn push(gateway: &Gateway, kind: &str, token: &str) -> Reply {
    let request = format!(
        "POST /ssf/events HTTP/1.1\r\nHost: gateway.example\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{token}",
        token.len()
    );
    bartizan_testkit::reply(&bartizan_testkit::raw_request(
        gateway.admin,
        request.as_bytes(),
        Duration::from_secs(5),
    ))
}

const SET: &str = "application/secevent+jwt";

#[test]
fn security_events_revoke_what_they_are_about() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let stranger = Provider::start("", Form::OpenId).unwrap();
    let events = "    events: { audiences: [https://gateway.example] }\n";
    let issuers = entry("corp", &provider.issuer, events) + &entry("other", &stranger.issuer, "");
    let gateway = with(&policy(&upstream, &issuers, JWT));
    let token = |subject: &str, session: &str| provider.token(subject, &json!({ "sid": session })).unwrap();
    let event = |id: &str, uri: &str, event: Value| {
        json!({ "iss": provider.issuer, "aud": "https://gateway.example", "iat": epoch_seconds(), "jti": id,
                "events": { uri: event } })
    };
    let user = |subject: &str| json!({ "format": "iss_sub", "iss": provider.issuer, "sub": subject });
    let caep = |kind: &str| format!("https://schemas.openid.net/secevent/caep/event-type/{kind}");
    let risc = |kind: &str| format!("https://schemas.openid.net/secevent/risc/event-type/{kind}");
    let send = |claims: &Value| push(&gateway, SET, &provider.sign("secevent+jwt", claims).unwrap());

    let (alice, bob, carol) = (token("alice", "s1"), token("bob", "s2"), token("carol", "s3"));
    for good in [&alice, &bob, &carol] {
        assert_eq!(status(&gateway, good), 200);
    }
    let revoked = event(
        "e1",
        &caep("session-revoked"),
        json!({ "subject": user("alice"), "event_timestamp": epoch_seconds() }),
    );
    let answer = send(&revoked);
    assert_eq!((answer.status, answer.body.len()), (202, 0), "{}", answer.text());
    assert_eq!(status(&gateway, &alice), 401);
    assert_eq!(status(&gateway, &bob), 200);

    // A session of bob's, in the form of shared signals; his other session stays.
    let mut session = event("e2", &caep("session-revoked"), json!({}));
    session["sub_id"] =
        json!({ "format": "complex", "user": user("bob"), "session": { "format": "opaque", "id": "s2" } });
    assert_eq!(send(&session).status, 202);
    assert_eq!(status(&gateway, &bob), 401);
    assert_eq!(status(&gateway, &token("bob", "s4")), 200);

    let disabled = event("e3", &risc("account-disabled"), json!({ "subject": user("carol") }));
    assert_eq!(send(&disabled).status, 202);
    assert_eq!(status(&gateway, &carol), 401);
    assert_eq!(send(&event("e4", &risc("account-enabled"), json!({ "subject": user("carol") }))).status, 202);
    assert_eq!(status(&gateway, &carol), 200);
    assert_eq!(send(&disabled).status, 202, "a replay is acknowledged");
    assert_eq!(status(&gateway, &carol), 200, "and has no effect");
    assert_eq!(
        send(&event(
            "e5",
            "https://schemas.openid.net/secevent/ssf/event-type/verification",
            json!({ "state": "x" })
        ))
        .status,
        202
    );

    let refused = |claims: &Value, expected: &str| {
        let answer = send(claims);
        assert_eq!(
            (answer.status, answer.json()["err"].as_str()),
            (400, Some(expected)),
            "{}",
            answer.text()
        );
    };
    let good = event("e6", &risc("account-disabled"), json!({ "subject": user("bob") }));
    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    refused(&changed("aud", json!("https://elsewhere.example")), "invalid_audience");
    refused(&changed("iss", json!(stranger.issuer)), "invalid_issuer");
    refused(&changed("jti", Value::Null), "invalid_request");
    refused(&changed("events", json!({})), "invalid_request");
    refused(&changed("iat", json!(epoch_seconds() + 3_600)), "invalid_request");
    let foreign = json!({ "format": "iss_sub", "iss": stranger.issuer, "sub": "bob" });
    refused(&event("e7", &risc("account-disabled"), json!({ "subject": foreign })), "access_denied");
    let forged = push(&gateway, SET, &stranger.sign("secevent+jwt", &good).unwrap());
    assert_eq!((forged.status, forged.json()["err"].as_str()), (400, Some("invalid_key")));
    for wrong in [
        push(&gateway, SET, &provider.sign("JWT", &good).unwrap()),
        push(&gateway, "application/jwt", &provider.sign("secevent+jwt", &good).unwrap()),
        push(&gateway, SET, "not a token"),
    ] {
        assert_eq!((wrong.status, wrong.json()["err"].as_str()), (400, Some("invalid_request")));
    }
    assert_eq!(status(&gateway, &token("bob", "s5")), 200, "nothing of this had an effect");
    let as_token = provider.sign("JWT", &json!({ "iss": provider.issuer, "aud": "shop", "sub": "bob", "exp": epoch_seconds() + 60, "events": {} }));
    assert_eq!(status(&gateway, &as_token.unwrap()), 401, "an event is no access token");
}

#[test]
fn clients_are_told_where_tokens_are_had() {
    let upstream = RawUpstream::echo().unwrap();
    let provider = Provider::start("", Form::OpenId).unwrap();
    let text = policy(&upstream, &entry("corp", &provider.issuer, ""), JWT);
    let other = format!(
        "  - name: inner\n    base_path: /inner/v1\n    upstream: {}\n    identity:\n      accept: [jwt]\n  - name: open\n    \
         base_path: /open\n    upstream: {0}\n",
        upstream.url()
    );
    let gateway = with(&(text + &other));
    let port = gateway.address.port();
    let address = |base: &str| format!("http://localhost:{port}/.well-known/oauth-protected-resource{base}");
    for (path, base) in [("/", ""), ("/inner/v1/x", "/inner/v1")] {
        let host = format!("Host: localhost:{port}");
        let refused = gateway.raw(format!("GET {path} HTTP/1.1\r\n{host}\r\n\r\n").as_bytes());
        let challenge = refused.header("www-authenticate").unwrap().to_owned();
        assert!(challenge.ends_with(&format!(", resource_metadata=\"{}\"", address(base))), "{challenge}");
        let told = gateway.raw(
            format!("GET /.well-known/oauth-protected-resource{base} HTTP/1.1\r\n{host}\r\n\r\n").as_bytes(),
        );
        assert_eq!((told.status, told.header("content-type")), (200, Some("application/json")));
        let told = told.json();
        assert_eq!(told["resource"], format!("http://localhost:{port}{base}"));
        assert_eq!(told["authorization_servers"], json!([provider.issuer]));
        assert_eq!(told["bearer_methods_supported"], json!(["header"]));
    }
    let unknown = gateway.get("/.well-known/oauth-protected-resource/open", &[]);
    assert_eq!(unknown.status, 401, "an API without tokens has none: the path belongs to whoever serves it");
    let expired = provider.token("alice", &json!({ "exp": epoch_seconds() - 600 })).unwrap();
    let challenge = show(&gateway, &expired).header("www-authenticate").unwrap().to_owned();
    assert!(challenge.starts_with("Bearer realm=\"shop\", error=\"invalid_token\""), "{challenge}");
}

#[test]
fn tokens_of_a_retired_issuer_are_refused_and_their_last_uses_reported() {
    let upstream = RawUpstream::echo().unwrap();
    let (old, new) = (Provider::start("", Form::OpenId).unwrap(), Provider::start("", Form::OpenId).unwrap());
    let issuers = |more: &str| entry("old", &old.issuer, more) + &entry("corp", &new.issuer, "");
    let accept = "        - jwt: { issuers: [old, corp] }\n";
    // Another API asks nobody who calls.
    let open = format!("  - name: open\n    base_path: /open\n    upstream: {}\n", upstream.url());
    let gateway = with(&(policy(&upstream, &issuers(""), accept) + &open));
    let token = old.token("alice", &json!({ "client_id": "app" })).unwrap();
    assert_eq!(status(&gateway, &token), 200);
    let file = gateway.dir.path().join("bartizan.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let name = format!("issuer: {}\n", old.issuer);
    std::fs::write(&file, text.replace(&name, &format!("{name}    retired: true\n"))).unwrap();
    assert!(gateway.ask("POST", "/v1/reload", None).unwrap().status == 200);
    let refused = show(&gateway, &token);
    assert_eq!((refused.status, reason(&gateway, &refused).as_str()), (401, "identity.issuer_retired"));
    assert_eq!(status(&gateway, &new.token("alice", &json!({})).unwrap()), 200);
    let report = command(&gateway, &["issuers", "report", "--output", "json"]);
    let used = &report["retired"][0];
    assert_eq!(
        (&used["issuer"], &used["client"], &used["subject"]),
        (&json!("old"), &json!("app"), &json!("alice"))
    );
    assert_eq!((&used["count"], &used["verified"]), (&json!(1), &json!(true)));
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    assert_eq!(gateway.get("/open/x", &[&bearer(&token)]).status, 401, "everywhere");
    let anybodys = new.token("alice", &json!({})).unwrap();
    assert_eq!(gateway.get("/open/x", &[&bearer(&anybodys)]).status, 200);
    assert_eq!(gateway.get("/open/x", &[]).status, 200);
}

#[test]
fn a_maintained_provider_is_understood() {
    if !test_env().join("node/node_modules/oidc-provider").is_dir() {
        skipped("the package `oidc-provider` is absent; `cargo xtask test` installs it");
        return;
    }
    let Some(provider) = Peer::node("oidc_provider.mjs") else { return };
    let issuer = provider.url();
    let upstream = RawUpstream::echo().unwrap();
    let accept = format!(
        "{JWT}        - introspection:\n            issuer: corp\n            endpoint: {issuer}/token/introspection\n            \
         client_id: gateway\n            client_secret: file:secret.txt\n"
    );
    let text =
        policy(&upstream, &entry("corp", &issuer, "    profile: at+jwt\n    max_lifetime: 15m\n"), &accept);
    let secret = "a-secret-of-the-client";
    let gateway =
        Gateway::with_config(BINARY, &text, |dir| Ok(std::fs::write(dir.join("secret.txt"), secret)?))
            .unwrap();
    let token = |resource: &str| {
        let body = format!("grant_type=client_credentials&scope=read&resource=urn:shop:{resource}");
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Basic {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            provider.port,
            base64(format!("gateway:{secret}").as_bytes()),
            body.len()
        );
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], provider.port));
        let answer = bartizan_testkit::raw_request(address, request.as_bytes(), Duration::from_secs(10));
        let answer = bartizan_testkit::reply(&answer);
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    };
    let (signed, opaque) = (token("jwt"), token("opaque"));
    assert_eq!((signed.matches('.').count(), opaque.matches('.').count()), (2, 0));
    assert_eq!(status(&gateway, &signed), 200);
    assert_eq!(status(&gateway, &opaque), 200);
    assert_eq!(status(&gateway, &opaque[1..]), 401);
}

#[test]
fn the_drill_of_legacy_tokens_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (status, text) = run_to_end(BINARY, folder.path(), &["drill", "T-13", "--short"]).unwrap();
    assert!(status.success() && text.contains("T-13 passed"), "{text}");
}
