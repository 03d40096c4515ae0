//! TLS on listeners: protocols, names, redirects, client certificates, certificates that change.

use std::{path::Path, time::Duration};

use bartizan_testkit::{Ca, Gateway, RawUpstream, free_port, program};

use crate::{
    applications::check_httpx,
    support::{BINARY, Peer, curl, installed, json, python_script},
};

/// A gateway with one TLS listener (and one that redirects) before this upstream; certificates lie in its folder.
fn gateway(upstream: &str, tls: &str, prepare: impl FnOnce(&Path) -> anyhow::Result<()>) -> (Gateway, u16) {
    let plain = free_port();
    let text = format!(
        "listeners:\n  - address: $LISTEN\n    tls: {{ certificates: [{{ cert: \"file:leaf.pem\", key: \"file:leaf.key\" }}]{tls} }}\n  \
         - {{ address: \"127.0.0.1:{plain}\", redirect_to_https: true }}\nadmin: {{ address: $ADMIN }}\n\
         apis: [{{ name: shop, upstream: \"{upstream}\", hsts: true }}]\n"
    );
    (Gateway::with_config(BINARY, &text, prepare).unwrap(), plain)
}

fn simple(upstream: &str) -> (Gateway, u16) {
    gateway(upstream, "", |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "leaf", &["localhost", "127.0.0.1"]).map(drop)
    })
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("https://localhost:{}{path}", gateway.address.port())
}

fn file(gateway: &Gateway, name: &str) -> String {
    gateway.dir.path().join(name).display().to_string()
}

#[test]
fn both_versions_and_both_protocols_are_spoken_and_old_ones_are_not() {
    let upstream = RawUpstream::echo().unwrap();
    let (gateway, _) = simple(&upstream.url());
    let (ca, url) = (file(&gateway, "ca.pem"), url(&gateway, "/x"));
    let format = "%{http_version} %{http_code}";
    let ask = |more: &[&str]| {
        curl(&[&["--cacert", &ca, "--output", "/dev/null", "--write-out", format], more, &[&url]].concat())
    };
    let Some(two) = ask(&["--http2", "--tlsv1.3"]) else { return };
    assert_eq!(two, "2 200");
    assert_eq!(ask(&["--http1.1", "--tls-max", "1.2"]).unwrap(), "1.1 200");
    let mut old = installed("curl").unwrap();
    old.args([
        "--silent",
        "--noproxy",
        "*",
        "--cacert",
        &ca,
        "--tls-max",
        "1.1",
        "--ciphers",
        "DEFAULT@SECLEVEL=0",
        &url,
    ]);
    assert!(!old.status().unwrap().success(), "TLS 1.1 was spoken");
}

#[test]
fn hsts_is_sent_and_plain_requests_are_redirected() {
    let upstream = RawUpstream::echo().unwrap();
    let (gateway, plain) = simple(&upstream.url());
    let (ca, secure) = (file(&gateway, "ca.pem"), url(&gateway, "/x"));
    let Some(text) = curl(&["--cacert", &ca, "--include", &secure]) else { return };
    assert!(text.to_lowercase().contains("strict-transport-security: max-age="), "{text}");
    upstream.clear();
    let text = curl(&["--include", "--data", "secret", &format!("http://localhost:{plain}/a?b=c")]).unwrap();
    let location = format!("location: https://localhost:{}/a?b=c", gateway.address.port());
    assert!(text.starts_with("HTTP/1.1 308") && text.to_lowercase().contains(&location), "{text}");
    assert!(!text.to_lowercase().contains("strict-transport-security"), "RFC 6797 section 7.2: {text}");
    assert!(upstream.requests().is_empty(), "nothing of a plain request reaches an upstream");
}

#[test]
fn httpx_speaks_http2_over_tls() {
    let (Some(app), Some(mut client)) = (Peer::python("fastapi_app.py"), python_script("httpx_client.py"))
    else {
        return;
    };
    let (gateway, _) = simple(&app.url());
    let told = json(client.arg(url(&gateway, "")).arg(file(&gateway, "ca.pem")));
    check_httpx(&told);
    assert_eq!(told["version"], "HTTP/2");
}

#[test]
fn h2load_finds_every_answer() {
    let upstream = RawUpstream::echo().unwrap();
    let (gateway, _) = simple(&upstream.url());
    let Some(mut h2load) = installed("h2load") else { return };
    let text =
        crate::support::output(h2load.args(["-n", "2000", "-c", "8", "-m", "16", &url(&gateway, "/x")]));
    assert!(text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
}

#[test]
fn client_certificates_are_demanded_and_verified() {
    if program("curl").is_none() {
        return bartizan_testkit::skipped("`curl` is not installed");
    }
    let upstream = RawUpstream::echo().unwrap();
    let (gateway, _) =
        gateway(&upstream.url(), ", client_auth: required, client_ca: \"file:ca.pem\"", |dir| {
            let ca = Ca::new("tests")?;
            ca.write(dir, "ca.pem")?;
            ca.server(dir, "leaf", &["localhost"])?;
            ca.client(dir, "partner", "partner.example")?;
            Ca::new("strangers")?.client(dir, "stranger", "partner.example").map(drop)
        });
    let ask = |name: Option<&str>| {
        let mut curl = installed("curl").unwrap();
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--cacert", &file(&gateway, "ca.pem")]);
        if let Some(name) = name {
            curl.args(["--cert", &file(&gateway, &format!("{name}.pem"))]);
            curl.args(["--key", &file(&gateway, &format!("{name}.key"))]);
        }
        curl.arg(url(&gateway, "/x")).status().unwrap().success()
    };
    assert!(ask(Some("partner")));
    assert!(!ask(Some("stranger")), "a certificate of another authority was accepted");
    assert!(!ask(None), "no certificate was demanded");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_changed_certificate_is_served_without_a_restart() {
    let upstream = RawUpstream::echo().unwrap();
    let (gateway, _) = simple(&upstream.url());
    let secure = url(&gateway, "/x");
    let Some(_) = curl(&["--cacert", &file(&gateway, "ca.pem"), &secure]) else { return };
    let renewed = Ca::new("renewed").unwrap();
    renewed.write(gateway.dir.path(), "renewed.pem").unwrap();
    renewed.server(gateway.dir.path(), "leaf", &["localhost"]).unwrap();
    let ca = file(&gateway, "renewed.pem");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let mut curl = installed("curl").unwrap();
        curl.args(["--silent", "--noproxy", "*", "--max-time", "5", "--cacert", &ca, &secure]);
        if curl.status().unwrap().success() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the old certificate is still served");
        std::thread::sleep(Duration::from_millis(200));
    }
}
