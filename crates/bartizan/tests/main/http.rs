//! HTTP as curl and raw sockets speak it, in front of a recording upstream.

use bartizan_testkit::{RawUpstream, Step};

use crate::support::{Peer, before, curl, policy, with};

#[test]
fn http2_and_http1_clients_get_the_same() {
    let Some(app) = Peer::node("express.js") else { return };
    let gateway = before(&app.url());
    let url = format!("http://{}/items/7", gateway.address);
    let format = "\n%{http_version} %{http_code}";
    let Some(one) = curl(&["--http1.1", "--write-out", format, &url]) else { return };
    let two = curl(&["--http2-prior-knowledge", "--write-out", format, &url]).unwrap();
    assert!(one.ends_with("1.1 200") && two.ends_with("2 200"), "{one}\n{two}");
    assert!(one.contains("\"id\":\"7\"") && two.contains("\"id\":\"7\""));
}

#[test]
fn methods_pass_query_with_its_body_too() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] {
        let request = format!("{method} /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
        let answer = gateway.raw(request.as_bytes());
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        assert_eq!(
            (answer.json()["method"].as_str(), answer.json()["body"].as_str()),
            (Some(method), Some("hi"))
        );
    }
    for method in ["TRACE", "CONNECT"] {
        upstream.clear();
        let request = format!("{method} /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let status = gateway.raw(request.as_bytes()).status;
        assert!(status >= 400 && upstream.requests().is_empty(), "{method}: {status}");
    }
}

#[test]
fn chunked_uploads_and_trailers_pass() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let answer = gateway.raw(
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: abc\r\n\r\n",
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &upstream.requests()[0];
    assert!(String::from_utf8_lossy(&seen.body).contains("hello"), "{seen:?}");
    assert_eq!(seen.header("transfer-encoding"), ["chunked"]);
}

#[test]
fn expect_100_continue_is_answered_once_and_only_after_the_guards() {
    let Some(app) = Peer::python("fastapi_app.py") else { return };
    let gateway = before(&app.url());
    let body = "z".repeat(200_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    std::fs::write(&file, &body).unwrap();
    let url = format!("http://{}/upload", gateway.address);
    let data = format!("@{}", file.display());
    let Some(text) = curl(&["--include", "--header", "Expect: 100-continue", "--data-binary", &data, &url])
    else {
        return;
    };
    assert_eq!(text.matches("100 Continue").count(), 1, "{text}");
    assert!(text.contains("\"size\":200000"), "{text}");

    let refusing = with(&policy(&app.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    let url = format!("http://{}/upload", refusing.address);
    let text =
        curl(&["--include", "--header", "Expect: 100-continue", "--data-binary", &data, &url]).unwrap();
    assert!(!text.contains("100 Continue") && text.contains(" 403 "), "{text}");
}

#[test]
fn connection_listed_fields_stop_here_both_ways() {
    let Some(app) = Peer::node("express.js") else { return };
    let gateway = before(&app.url());
    let answer = gateway.get("/hop", &[]);
    assert_eq!((answer.header("x-internal"), answer.header("x-public")), (None, Some("shown")));

    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let status = gateway
        .get(
            "/x",
            &["Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: 5", "TE: gzip", "X-Fine: 1"],
        )
        .status;
    assert_eq!(status, 200);
    let seen = &upstream.requests()[0];
    for name in ["x-private", "keep-alive", "te", "proxy-connection"] {
        assert!(seen.header(name).is_empty(), "`{name}` reached the upstream: {}", seen.text());
    }
    assert_eq!(seen.header("x-fine"), ["1"]);
}

#[test]
fn rewriting_headers_are_stripped_unless_allowed() {
    let upstream = RawUpstream::echo().unwrap();
    let override_headers =
        ["X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin"];
    let gateway = before(&upstream.url());
    assert_eq!(gateway.get("/x", &override_headers).status, 200);
    let text = upstream.requests()[0].text().to_lowercase();
    assert!(!text.contains("override") && !text.contains("/admin"), "{text}");

    upstream.clear();
    let gateway = with(&policy(&upstream.url(), "    allow_override_headers: [X-HTTP-Method-Override]\n"));
    assert_eq!(gateway.get("/x", &override_headers).status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!(seen.header("x-http-method-override"), ["DELETE"]);
    assert!(seen.header("x-original-url").is_empty());
}

#[test]
fn early_hints_and_other_interim_answers_do_not_end_an_exchange() {
    let script = vec![Step::Send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            .to_vec(),
    )];
    let upstream = RawUpstream::scripted(script).unwrap();
    let gateway = before(&upstream.url());
    let answer = gateway.get("/x", &[]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn two_requests_on_one_connection_are_two() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = before(&upstream.url());
    let one = "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let two = "GET /two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let bytes = bartizan_testkit::raw_request(
        gateway.address,
        format!("{one}{two}").as_bytes(),
        std::time::Duration::from_secs(5),
    );
    assert!(upstream.wait_for(2, std::time::Duration::from_secs(5)), "{}", String::from_utf8_lossy(&bytes));
    let targets: Vec<_> = upstream.requests().iter().map(bartizan_testkit::Recorded::target).collect();
    assert_eq!(targets, ["/one", "/two"]);
}
