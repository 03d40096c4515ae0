//! Who the client is, whatever it says; and which sockets and backends are the gateway's own.

use std::{process::Command, time::Duration};

use bartizan_testkit::{Process, RawUpstream, free_port, program, raw_request, reply, skipped};

use crate::support::{BINARY, policy, with};

const DENIED: &str = "    guards: { ip_access: { deny: [203.0.113.0/24] } }\n";

/// One request with these fields: the status, and the chain of addresses that the upstream saw.
fn told(top: &str, cases: &[(&str, u16)]) {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = with(&format!("{top}{}", policy(&upstream.url(), DENIED)));
    for (fields, expected) in cases {
        upstream.clear();
        let lines: Vec<&str> = fields.split('|').collect();
        let status = gateway.get("/x", &lines).status;
        assert_eq!(status, *expected, "{top}{fields}");
        assert_eq!(upstream.requests().len(), usize::from(status == 200), "{top}{fields}");
    }
}

#[test]
fn nobody_is_believed_unless_trusted() {
    told(
        "",
        &[
            ("X-Forwarded-For: 203.0.113.5", 200),
            ("Forwarded: for=203.0.113.5", 200),
            ("X-Real-IP: 203.0.113.5|True-Client-IP: 203.0.113.5", 200),
        ],
    );
}

#[test]
fn a_trusted_proxy_is_believed_from_right_to_left() {
    told(
        "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n",
        &[
            ("X-Forwarded-For: 203.0.113.5", 403),
            ("X-Forwarded-For: 203.0.113.5, 198.51.100.1", 200),
            ("X-Forwarded-For: 198.51.100.1, 203.0.113.5, 10.1.1.1", 403),
            ("X-Forwarded-For: 203.0.113.5|X-Forwarded-For: 198.51.100.1", 200),
            ("X-Forwarded-For: 198.51.100.1|X-Forwarded-For: 203.0.113.5", 403),
            ("X-Forwarded-For: ::ffff:203.0.113.5", 403),
            ("X-Forwarded-For: 203.0.113.5:4711", 403),
            ("X-Forwarded-For: 203.0.113.5, ,", 403),
            ("Forwarded: for=\"203.0.113.5:4711\";proto=https", 403),
            ("Forwarded: for=203.0.113.5, for=198.51.100.1", 200),
        ],
    );
}

#[test]
fn what_a_client_writes_into_the_other_field_decides_nothing() {
    told(
        "trusted_proxies: [127.0.0.0/8]\n",
        &[
            ("Forwarded: for=198.51.100.1|X-Forwarded-For: 203.0.113.5", 400),
            ("Forwarded: for=203.0.113.5|X-Forwarded-For: 198.51.100.1", 400),
            ("Forwarded: for=198.51.100.1|X-Forwarded-For: 198.51.100.1", 200),
            ("Forwarded: proto=https|X-Forwarded-For: 203.0.113.5", 403),
        ],
    );
}

#[test]
fn what_proxies_say_of_the_client_is_passed_on_from_proxies_only() {
    let upstream = RawUpstream::echo().unwrap();
    let fields = [
        "X-Forwarded-For: 198.51.100.9",
        "Forwarded: for=198.51.100.9",
        "X_Forwarded_For: 198.51.100.9",
        "X-Real-IP: 198.51.100.9",
        "True-Client-IP: 198.51.100.9",
        "CF-Connecting-IP: 198.51.100.9",
        "X-Forwarded-Server: 198.51.100.9",
        "X-Bartizan-Subject: 198.51.100.9",
        "X.Bartizan.Subject: 198.51.100.9",
        "X-HTTP-Method-Override: 198.51.100.9",
        "X_Original_URL: /198.51.100.9",
    ];
    let gateway = with(&policy(&upstream.url(), ""));
    assert_eq!(gateway.get("/x", &fields).status, 200);
    let text = upstream.requests()[0].text();
    assert!(!text.contains("198.51.100.9") && text.contains("x-forwarded-for: 127.0.0.1"), "{text}");
}

#[test]
fn the_admin_address_is_never_a_backend() {
    let admin = free_port();
    for host in ["localhost", "127.1", "2130706433", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "127.0.0.1"] {
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:{} }}]\nadmin: {{ address: 127.0.0.1:{admin} }}\n\
             apis: [{{ name: a, upstream: \"http://{host}:{admin}\" }}]\n",
            free_port()
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bartizan.yaml"), &text).unwrap();
        let mut command = Command::new(BINARY);
        command.current_dir(dir.path()).args(["run", "--config", "bartizan.yaml"]);
        let mut process = Process::start("bartizan", &mut command).unwrap();
        let address = text[text.find("127").unwrap()..].split(' ').next().unwrap().parse().unwrap();
        let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut status = 0;
        for _ in 0..100 {
            status = reply(&raw_request(address, ask, Duration::from_secs(5))).status;
            let ended = process.wait(Duration::from_millis(50)).is_some();
            if status != 0 || ended {
                break;
            }
        }
        // Refused when the policy is read, or when the address is dialled.
        assert!(matches!(status, 0 | 502), "{host}: {status}");
    }
}

#[test]
fn a_proxy_header_of_anybody_else_ends_the_connection() {
    let upstream = RawUpstream::echo().unwrap();
    let request = b"PROXY TCP4 198.51.100.7 127.0.0.1 1000 80\r\nGET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = format!("trusted_proxies: [10.0.0.0/8]\n{}", policy(&upstream.url(), ""));
    let expecting = with(&text.replace("{ address: $LISTEN }", "{ address: $LISTEN, proxy_protocol: true }"));
    assert_eq!(expecting.raw(request).status, 0, "an untrusted peer was believed");
    let plain = with(&text);
    assert_eq!(plain.raw(request).status, 400, "no PROXY header is expected here");
    assert!(upstream.requests().is_empty());
}

#[test]
fn both_wildcards_can_share_a_port() {
    let upstream = RawUpstream::echo().unwrap();
    let port = free_port();
    let listeners = format!(
        "listeners: [{{ address: $LISTEN }}, {{ address: \"[::]:{port}\" }}, {{ address: 0.0.0.0:{port} }}]"
    );
    let gateway = with(&policy(&upstream.url(), "").replace("listeners: [{ address: $LISTEN }]", &listeners));
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("{host}:{port}").parse().unwrap();
        let ask = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let status = reply(&raw_request(address, ask, Duration::from_secs(5))).status;
        assert_eq!(status, 200, "{host}: {}", gateway.process.log());
    }
}

#[test]
fn a_socket_of_the_service_manager_is_taken_over() {
    let Some(python) = program("python3") else { return skipped("`python3` is not installed") };
    for (bound, written) in [("127.0.0.1", "127.0.0.1"), ("::", "0.0.0.0")] {
        let upstream = RawUpstream::echo().unwrap();
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let text = policy(&upstream.url(), "")
            .replace("$LISTEN", &format!("\"{written}:{port}\""))
            .replace("$ADMIN", &format!("127.0.0.1:{}", free_port()));
        std::fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
        // As systemd does it: the descriptor is number 3, and the variables name the process.
        let script = format!(
            "import os, socket\n\
             s = socket.socket(socket.AF_INET6 if ':' in '{bound}' else socket.AF_INET)\n\
             s.bind(('{bound}', {port})); s.listen(); os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
             os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
             os.execv('{BINARY}', ['{BINARY}', 'run', '--config', 'bartizan.yaml'])"
        );
        let mut command = Command::new(&python);
        command.current_dir(dir.path()).args(["-c", &script]);
        let mut process = Process::start("bartizan", &mut command).unwrap();
        process.wait_for_port(port, Duration::from_secs(20)).unwrap();
        let ask = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        // The socket queues what comes before the gateway is ready.
        let status = reply(&raw_request(address, ask, Duration::from_secs(20))).status;
        assert_eq!(status, 200, "{bound}: {}", process.log());
    }
}
