//! nginx with static files as the upstream: ranges, compression, HEAD and conditional requests pass unchanged.

use std::{fs, time::Duration};

use bartizan_testkit::{Gateway, Process, free_port};
use tempfile::TempDir;

use crate::support::{before, curl, installed};

struct Site {
    _nginx: Process,
    _dir: TempDir,
    gateway: Gateway,
    text: String,
}

fn site() -> Option<Site> {
    let mut nginx = installed("nginx")?;
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    fs::create_dir(dir.path().join("www")).unwrap();
    let text = "all work and no play\n".repeat(5_000);
    fs::write(dir.path().join("www/large.txt"), &text).unwrap();
    let port = free_port();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}}\n\
         http {{ access_log off; default_type text/plain; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; \
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; gzip on; gzip_types text/plain;\n\
         server {{ listen 127.0.0.1:{port}; root {at}/www; }} }}"
    );
    let file = dir.path().join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut process = Process::start("nginx", nginx.arg("-c").arg(&file)).unwrap();
    process.wait_for_port(port, Duration::from_secs(10)).unwrap();
    let gateway = before(&format!("http://127.0.0.1:{port}"));
    Some(Site { _nginx: process, _dir: dir, gateway, text })
}

#[test]
fn files_ranges_heads_and_conditions_pass_unchanged() {
    let Some(site) = site() else { return };
    let whole = site.gateway.get("/large.txt", &[]);
    assert_eq!((whole.status, whole.text() == site.text), (200, true));
    let etag = whole.header("etag").unwrap().to_owned();
    assert!(whole.header("last-modified").is_some());

    let part = site.gateway.get("/large.txt", &["Range: bytes=10-19"]);
    assert_eq!((part.status, part.text().as_str()), (206, &site.text[10..20]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 10-19/{}", site.text.len()).as_str()));
    assert_eq!(site.gateway.get("/large.txt", &["Range: bytes=999999999-"]).status, 416);

    let head = site.gateway.raw(b"HEAD /large.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some(site.text.len().to_string().as_str()));
    assert!(head.body.is_empty(), "HEAD has no body");

    let unchanged = site.gateway.get("/large.txt", &[&format!("If-None-Match: {etag}")]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(site.gateway.get("/absent.txt", &[]).status, 404);
}

#[test]
fn compression_is_between_client_and_upstream() {
    let Some(site) = site() else { return };
    let url = format!("http://{}/large.txt", site.gateway.address);
    let Some(text) = curl(&["--compressed", &url]) else { return };
    assert!(text == site.text);
    let answer = site.gateway.get("/large.txt", &["Accept-Encoding: gzip"]);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.whole && answer.body.len() < site.text.len() / 10);
    assert!(site.gateway.get("/large.txt", &[]).header("content-encoding").is_none());
}
