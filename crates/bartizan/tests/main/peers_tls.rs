//! TLS as peers see it: groups, names and versions on listeners; upstreams that prove who they are, or are not used.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Ca, Gateway, RawUpstream};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::support::{BINARY, curl, installed};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(ca: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    Arc::new(roots)
}

/// A finished handshake with the gateway under this name.
fn shake(address: SocketAddr, ca: &Path, name: &str) -> Result<ClientConnection, String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).map_err(|error| error.to_string())?;
    }
    Ok(tls)
}

/// The leaf that is served under a name.
fn served(gateway: &Gateway, ca: &str, name: &str) -> Result<Vec<u8>, String> {
    let tls = shake(gateway.address, &gateway.dir.path().join(ca), name)?;
    Ok(tls.peer_certificates().unwrap()[0].to_vec())
}

fn leaf(folder: &Path, file: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(folder.join(file)).unwrap().to_vec()
}

fn listening(certificates: &[&str], prepare: impl FnOnce(&Path) -> anyhow::Result<()>) -> Gateway {
    let pairs: Vec<String> = certificates
        .iter()
        .map(|name| format!("{{ cert: \"file:{name}.pem\", key: \"file:{name}.key\" }}"))
        .collect();
    let text = format!(
        "listeners: [{{ address: $LISTEN, tls: {{ certificates: [{}] }} }}]\nadmin: {{ address: $ADMIN }}\n\
         apis: [{{ name: shop, upstream: \"http://127.0.0.1:9\" }}]\n",
        pairs.join(", ")
    );
    Gateway::with_config(BINARY, &text, prepare).unwrap()
}

#[test]
fn the_hybrid_group_is_negotiated() {
    let gateway = listening(&["one"], |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "one", &["localhost"]).map(drop)
    });
    let tls = shake(gateway.address, &gateway.dir.path().join("ca.pem"), "localhost").unwrap();
    let group = tls.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn the_name_chooses_the_certificate() {
    let gateway = listening(&["one", "wild", "exact"], |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "one", &["one.example", "other.example"])?;
        ca.server(dir, "wild", &["*.wild.example"])?;
        ca.server(dir, "exact", &["a.wild.example"]).map(drop)
    });
    for (name, file) in [
        ("one.example", "one"),
        ("other.example", "one"),
        ("b.wild.example", "wild"),
        ("a.wild.example", "exact"),
    ] {
        let expected = leaf(gateway.dir.path(), &format!("{file}.pem"));
        assert!(served(&gateway, "ca.pem", name).unwrap() == expected, "{name} is not served by {file}");
    }
    // A wildcard stands for one label, and nobody else's name is claimed.
    for name in ["a.b.wild.example", "wild.example", "stranger.example"] {
        assert!(served(&gateway, "ca.pem", name).is_err(), "{name}");
    }
}

#[test]
fn replaced_files_are_served_and_broken_ones_are_not() {
    let gateway = listening(&["one"], |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "one", &["localhost"]).map(drop)
    });
    let dir = gateway.dir.path();
    let within = |what: &str, done: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}\n{}", gateway.process.log());
            thread::sleep(Duration::from_millis(100));
        }
    };
    // Atomically: written elsewhere, renamed over.
    let renewed = Ca::new("renewed").unwrap();
    renewed.write(dir, "renewed.pem").unwrap();
    renewed.server(dir, "new", &["localhost"]).unwrap();
    fs::rename(dir.join("new.key"), dir.join("one.key")).unwrap();
    fs::rename(dir.join("new.pem"), dir.join("one.pem")).unwrap();
    let current = leaf(dir, "one.pem");
    within("the renamed certificate is not served", &|| served(&gateway, "renewed.pem", "localhost").is_ok());
    // Broken: the old one serves on, and the log says so once.
    fs::write(dir.join("one.pem"), "broken").unwrap();
    within("nobody is told", &|| gateway.process.log().contains("the old ones serve on"));
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(gateway.process.log().matches("the old ones serve on").count(), 1);
    assert!(served(&gateway, "renewed.pem", "localhost").unwrap() == current);
    // A key that does not fit is not served either.
    renewed.server(dir, "other", &["localhost"]).unwrap();
    fs::rename(dir.join("other.pem"), dir.join("one.pem")).unwrap();
    within("nobody is told", &|| gateway.process.log().matches("the old ones serve on").count() == 2);
    assert!(served(&gateway, "renewed.pem", "localhost").unwrap() == current);
    fs::rename(dir.join("other.key"), dir.join("one.key")).unwrap();
    within("the whole pair is not served", &|| {
        served(&gateway, "renewed.pem", "localhost").is_ok_and(|leaf| leaf != current)
    });
}

/// A TLS server that answers every connection once, with `protocol:client certificate` as the body.
fn secure(folder: &Path, file: &str, client_ca: Option<&str>) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(folder.join(format!("{file}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{file}.key"))).unwrap();
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(&folder.join(ca)), provider()).build().unwrap(),
        ),
    };
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let _ = tcp.set_read_timeout(Some(Duration::from_secs(5)));
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
            let mut buffer = [0; 8192];
            let (mut seen, mut answered) = (Vec::new(), false);
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..read]);
                if !answered && seen.ends_with(b"\r\n\r\n") {
                    let body = if stream.conn.peer_certificates().is_some() { "known" } else { "anonymous" };
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                    answered = stream.write_all((head + body).as_bytes()).is_ok();
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        }
    });
    port
}

#[test]
fn upstreams_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (ca, stranger) = (Ca::new("tests").unwrap(), Ca::new("strangers").unwrap());
    ca.write(dir, "ca.pem").unwrap();
    ca.server(dir, "good", &["localhost", "127.0.0.1"]).unwrap();
    ca.server(dir, "other", &["other.example"]).unwrap();
    ca.expired(dir, "expired", &["localhost"]).unwrap();
    stranger.server(dir, "unknown", &["localhost"]).unwrap();
    ca.client(dir, "client", "gateway.example").unwrap();
    let trust = format!("ca: \"file:{}\"", dir.join("ca.pem").display());
    let client = format!(
        "{trust}, client_cert: \"file:{0}.pem\", client_key: \"file:{0}.key\"",
        dir.join("client").display()
    );
    let with_name = format!("{trust}, server_name: other.example");
    let (trust, client, with_name) = (trust.as_str(), client.as_str(), with_name.as_str());
    let cases = [
        ("good", "localhost", trust, None, Ok("anonymous")),
        ("good", "127.0.0.1", trust, None, Ok("anonymous")),
        ("good", "localhost", "", None, Err("upstream.tls")),
        ("unknown", "localhost", trust, None, Err("upstream.tls")),
        ("expired", "localhost", trust, None, Err("upstream.tls")),
        ("other", "localhost", trust, None, Err("upstream.tls")),
        ("other", "localhost", with_name, None, Ok("anonymous")),
        ("expired", "localhost", "danger_accept_invalid: true", None, Ok("anonymous")),
        ("good", "localhost", client, Some("ca.pem"), Ok("known")),
        ("good", "localhost", trust, Some("ca.pem"), Err("upstream.")),
    ];
    for (file, host, tls, client_ca, expected) in cases {
        let port = secure(dir, file, client_ca);
        let text = format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\n\
             apis: [{{ name: shop, upstream: {{ backends: [\"https://{host}:{port}\"], tls: {{ {tls} }} }} }}]\n"
        );
        let gateway = Gateway::with_config(BINARY, &text, |_| Ok(())).unwrap();
        let answer = gateway.get("/x", &[]);
        match expected {
            Ok(body) => {
                assert_eq!((answer.status, answer.text().as_str()), (200, body), "{file} {host} {tls}")
            }
            Err(code) => {
                assert_eq!(answer.status, 502, "{file} {host} {tls}: {}", answer.text());
                assert!(answer.text().contains(code), "{file} {host} {tls}: {}", answer.text());
            }
        }
    }
}

#[test]
fn nothing_of_a_plain_request_reaches_an_upstream() {
    let upstream = RawUpstream::echo().unwrap();
    let text = format!(
        "listeners: [{{ address: $LISTEN, redirect_to_https: 8443 }}]\nadmin: {{ address: $ADMIN }}\n\
         apis: [{{ name: shop, upstream: \"{}\" }}]\n",
        upstream.url()
    );
    let gateway = Gateway::with_config(BINARY, &text, |_| Ok(())).unwrap();
    for (request, status, location) in [
        (
            "GET /a/../b?c=d HTTP/1.1\r\nHost: One.example:8080\r\n\r\n",
            308,
            Some("https://one.example:8443/b?c=d"),
        ),
        ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret", 308, Some("https://a:8443/x")),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            308,
            Some("https://a:8443/x"),
        ),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
            308,
            Some("https://a:8443/x"),
        ),
        ("GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 308, Some("https://[::1]:8443/x")),
        ("GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400, None),
        ("GET /x HTTP/1.1\r\n\r\n", 400, None),
        ("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, None),
    ] {
        let answer = gateway.raw(request.as_bytes());
        assert_eq!((answer.status, answer.header("location")), (status, location), "{request}");
        assert_eq!(answer.header("strict-transport-security"), None, "RFC 6797 section 7.2");
    }
    let url = format!("http://{}/h2?x=1", gateway.address);
    if let Some(text) = curl(&["--http2-prior-knowledge", "--include", "--data", "secret", &url]) {
        assert!(
            text.starts_with("HTTP/2 308") && text.contains("location: https://127.0.0.1:8443/h2?x=1"),
            "{text}"
        );
    }
    assert!(upstream.connections().is_empty());
}

#[test]
fn optional_client_certificates_are_verified_when_they_come() {
    let upstream = RawUpstream::echo().unwrap();
    let text = format!(
        "listeners: [{{ address: $LISTEN, tls: {{ certificates: [{{ cert: \"file:one.pem\", key: \"file:one.key\" }}], \
         client_auth: optional, client_ca: \"file:ca.pem\" }} }}]\nadmin: {{ address: $ADMIN }}\n\
         apis: [{{ name: shop, upstream: \"{}\" }}]\n",
        upstream.url()
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "one", &["localhost"])?;
        ca.client(dir, "partner", "partner.example")?;
        Ca::new("strangers")?.client(dir, "stranger", "partner.example").map(drop)
    })
    .unwrap();
    let dir = gateway.dir.path();
    for (client, version, accepted) in [
        (None, "1.2", true),
        (None, "1.3", true),
        (Some("partner"), "1.2", true),
        (Some("partner"), "1.3", true),
        (Some("stranger"), "1.2", false),
        (Some("stranger"), "1.3", false),
    ] {
        let Some(mut curl) = installed("curl") else { return };
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--tls-max", version, "--cacert"]);
        curl.arg(dir.join("ca.pem"));
        if let Some(name) = client {
            curl.arg("--cert").arg(dir.join(format!("{name}.pem")));
            curl.arg("--key").arg(dir.join(format!("{name}.key")));
        }
        upstream.clear();
        curl.arg(format!("https://localhost:{}/x", gateway.address.port()));
        assert_eq!(curl.output().unwrap().status.success(), accepted, "{client:?} over TLS {version}");
        assert_eq!(upstream.requests().len(), usize::from(accepted), "{client:?} over TLS {version}");
    }
}
