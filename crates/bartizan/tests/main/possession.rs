//! Callers that prove possession of a key, over real sockets: client certificates, signatures, keyed hashes, and the
//! gateway's own signature towards the upstream.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
    signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey},
};
use bartizan_testkit::{Ca, Gateway, RawUpstream, raw_request, reply};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;

use crate::support::{BINARY, output};

/// A change on disk is in force within this.
const IN_FORCE: Duration = Duration::from_secs(3);

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts `ca.pem` of the folder and has this certificate.
fn client(dir: &Path, certificate: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_file_iter(dir.join("ca.pem")).unwrap() {
        roots.add(ca.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = CertificateDer::pem_file_iter(dir.join(format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    })
}

fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Tls {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap());
    StreamOwned::new(connection.unwrap(), socket)
}

/// The status of a GET on the connection; 0 where the connection was refused.
fn status(stream: &mut Tls) -> u16 {
    let mut answer = Vec::new();
    if stream.write_all(b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n").is_err() {
        return 0;
    }
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return reply(&answer).status,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
        let reply = reply(&answer);
        if reply.status >= 200 && reply.whole {
            return reply.status;
        }
    }
}

fn secured(upstream: &str, prepare: impl FnOnce(&Path, &Ca)) -> Gateway {
    let text = format!(
        "listeners:\n  - address: $LISTEN\n    tls:\n      certificates: [{{ cert: \"file:leaf.pem\", key: \"file:leaf.key\" }}]\n      \
         client_auth: optional\n      client_ca: file:ca.pem\n      client_crl: file:clients.crl\nadmin: {{ address: $ADMIN, readiness_probes: false }}\n\
         apis:\n  - name: shop\n    upstream: \"{upstream}\"\n    identity: {{ accept: [{{ mtls: {{ dns: [\"*.partners.example\"] }} }}] }}\n"
    );
    Gateway::with_config(BINARY, &text, |dir| {
        let ca = Ca::new("tests")?;
        ca.write(dir, "ca.pem")?;
        ca.server(dir, "leaf", &["localhost"])?;
        ca.revoke(dir, "clients.crl", &[9])?;
        prepare(dir, &ca);
        // The list is signed anew by the same authority later on.
        ca.client_of(dir, "partner", "web.partners.example", 7)?;
        ca.revoke(dir, "next.crl", &[7, 9])?;
        Ok(())
    })
    .unwrap()
}

#[test]
fn certificates_name_callers_until_they_are_revoked() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = secured(&upstream.url(), |dir, ca| {
        ca.client_of(dir, "revoked", "old.partners.example", 9).unwrap();
        ca.client_of(dir, "other", "web.strangers.example", 8).unwrap();
        ca.server(dir, "server", &["srv.partners.example"]).unwrap();
        Ca::new("strangers").unwrap().client(dir, "stranger", "web.partners.example").unwrap();
    });
    let dir = gateway.dir.path();
    let ask = |name: Option<&str>| status(&mut connect(&client(dir, name), gateway.address));
    assert_eq!(ask(None), 401);
    assert_eq!(ask(Some("other")), 403, "its name is not one that the policy names");
    for refused in ["revoked", "server", "stranger"] {
        assert_eq!(ask(Some(refused)), 0, "{refused}");
    }
    let events = || gateway.ask("GET", "/v1/events?limit=50", None).unwrap().text();
    let begun = Instant::now();
    while !events().contains("connection.certificate_unknown_authority") {
        assert!(begun.elapsed() < IN_FORCE, "no event tells of the stranger: {}", events());
        thread::sleep(Duration::from_millis(50));
    }
    let log = events();
    for code in ["certificate_revoked", "certificate_usage", "certificate_unknown_authority"] {
        assert!(log.contains(&format!("connection.{code}")), "{code}: {log}");
    }
    let config = client(dir, Some("partner"));
    let mut live = connect(&config, gateway.address);
    assert_eq!(status(&mut live), 200);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.header("x-bartizan-subject"), ["web.partners.example"]);
    let mut resumed = connect(&config, gateway.address);
    assert_eq!(status(&mut resumed), 200);
    assert_eq!(resumed.conn.handshake_kind(), Some(HandshakeKind::Resumed), "sessions are resumed");

    fs::copy(dir.join("next.crl"), dir.join("clients.crl")).unwrap();
    let begun = Instant::now();
    while status(&mut live) == 200 {
        assert!(begun.elapsed() < IN_FORCE, "a live connection outlives its certificate");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        status(&mut connect(&config, gateway.address)),
        0,
        "a session must not skip the revocation list"
    );
    assert_eq!(ask(Some("partner")), 0);
}

#[test]
fn a_passed_on_certificate_counts_from_trusted_proxies_alone() {
    let upstream = RawUpstream::echo().unwrap();
    for (trusted, expected) in [("[127.0.0.0/8]", 200), ("[192.0.2.1]", 400)] {
        let text = format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\ntrusted_proxies: {trusted}\n\
             apis:\n  - name: shop\n    upstream: \"{}\"\n    identity: {{ accept: [{{ mtls: {{ ca: file:ca.pem, dns: [\"*.partners.example\"] }} }}] }}\n",
            upstream.url()
        );
        let gateway = Gateway::with_config(BINARY, &text, |dir| {
            let ca = Ca::new("tests")?;
            ca.write(dir, "ca.pem")?;
            ca.client(dir, "partner", "web.partners.example")?;
            Ca::new("strangers")?.client(dir, "stranger", "web.partners.example").map(drop)
        })
        .unwrap();
        let field = |name: &str| {
            let file = gateway.dir.path().join(format!("{name}.pem"));
            let der = CertificateDer::from_pem_file(file).unwrap();
            format!("Client-Cert: :{}:", STANDARD.encode(&der))
        };
        upstream.clear();
        assert_eq!(gateway.get("/x", &[&field("partner")]).status, expected);
        if expected == 200 {
            assert_eq!(upstream.requests()[0].header("x-bartizan-subject"), ["web.partners.example"]);
            assert_eq!(gateway.get("/x", &[&field("stranger")]).status, 403);
            assert_eq!(gateway.get("/x", &["Client-Cert: :AAAA:"]).status, 400);
        } else {
            assert!(upstream.requests().is_empty());
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn plain(upstream: &str, identity: &str, prepare: impl FnOnce(&Path)) -> Gateway {
    let text = format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\n\
         apis:\n  - name: shop\n    upstream: \"{upstream}\"\n    identity: {{ accept: [{identity}] }}\n"
    );
    Gateway::with_config(BINARY, &text, |dir| {
        prepare(dir);
        Ok(())
    })
    .unwrap()
}

fn command(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--state").arg(gateway.state()).current_dir(gateway.dir.path());
    output(&mut command)
}

#[test]
fn enrolled_clients_sign_until_they_are_revoked() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = plain(&upstream.url(), "signature", |_| {});
    let made =
        command(&gateway, &["clients", "enroll", "reports", "--generate", "reports.key", "--output", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["keys"][0]["id"].as_str().unwrap().to_owned();
    let pem = PrivateKeyDer::from_pem_file(gateway.dir.path().join("reports.key")).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.secret_der()).unwrap();
    let ask = |target: &str, sent: &str| {
        let parameters = format!("(\"@method\" \"@target-uri\");created={};keyid=\"{id}\"", now());
        let base = format!(
            "\"@method\": GET\n\"@target-uri\": http://localhost{target}\n\"@signature-params\": {parameters}"
        );
        let signature = STANDARD.encode(pair.sign(base.as_bytes()));
        let fields = [format!("Signature-Input: sig={parameters}"), format!("Signature: sig=:{signature}:")];
        gateway.get(sent, &fields.each_ref().map(String::as_str)).status
    };
    let begun = Instant::now();
    while ask("/export?page=1", "/export?page=1") != 200 {
        assert!(begun.elapsed() < IN_FORCE, "an enrolled client is not accepted");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(upstream.requests().pop().unwrap().header("x-bartizan-subject"), ["reports"]);
    assert_eq!(ask("/export?page=1", "/export?page=2"), 401, "another query");
    assert!(command(&gateway, &["clients", "list"]).contains("active"));
    command(&gateway, &["clients", "revoke", &id]);
    let begun = Instant::now();
    while ask("/export", "/export") == 200 {
        assert!(begun.elapsed() < Duration::from_secs(1), "a revoked client goes on");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(command(&gateway, &["clients", "list"]).contains("revoked"));
}

/// A POST with these fields and this body, whole or in chunks.
fn post(gateway: &Gateway, target: &str, fields: &[String], body: &str, chunked: bool) -> u16 {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}");
    let text = if chunked {
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    } else {
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    gateway.raw(text.as_bytes()).status
}

fn keyed(message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keyed_hashes_cover_the_body_however_it_comes() {
    let upstream = RawUpstream::echo().unwrap();
    let gateway = plain(
        &upstream.url(),
        "{ hmac: { preset: stripe, secret: file:secret } }, { hmac: { preset: bartizan, keys: [{ id: billing, secret: file:secret }] } }",
        |dir| fs::write(dir.join("secret"), SECRET).unwrap(),
    );
    let stripe = |time: u64, body: &str| {
        vec![format!("Stripe-Signature: t={time},v1={}", hex(&keyed(&format!("{time}.{body}"))))]
    };
    let time = now();
    assert_eq!(post(&gateway, "/hook", &stripe(time, "{\"a\":1}"), "{\"a\":1}", false), 200);
    assert_eq!(post(&gateway, "/hook", &stripe(time, "{\"a\":1}"), "{\"a\":1}", false), 401, "again");
    assert_eq!(post(&gateway, "/hook", &stripe(time, "{\"a\":2}"), "{\"a\":2}", true), 200, "in chunks");
    assert_eq!(post(&gateway, "/hook", &stripe(time, "{\"a\":3}"), "{\"a\":4}", true), 401, "another body");
    assert_eq!(post(&gateway, "/hook", &stripe(time - 900, "{}"), "{}", false), 401, "too old");
    assert_eq!(post(&gateway, "/hook", &[], "{}", false), 401, "no signature");
    let own = |nonce: &str, target: &str, body: &str| {
        let hash = hex(digest(&SHA256, body.as_bytes()).as_ref());
        let text =
            format!("BARTIZAN-HMAC-SHA256\nbilling\n{time}\n{nonce}\nPOST\nhttp://localhost{target}\n{hash}");
        vec![format!(
            "Bartizan-Signature: keyid=\"billing\", created={time}, nonce=\"{nonce}\", signature=:{}:",
            STANDARD.encode(keyed(&text))
        )]
    };
    assert_eq!(post(&gateway, "/pay?x=1", &own("1", "/pay?x=1", "{}"), "{}", false), 200);
    assert_eq!(post(&gateway, "/pay?x=2", &own("2", "/pay?x=1", "{}"), "{}", false), 401, "another query");
    assert_eq!(post(&gateway, "/pay?x=1", &own("3", "/pay?x=1", "{}"), "{ }", false), 401, "another body");
}

#[test]
fn the_upstream_gets_a_signed_identity_and_never_the_clients_own() {
    let upstream = RawUpstream::echo().unwrap();
    let text = format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\n\
         apis:\n  - name: shop\n    upstream:\n      backends: [\"{}\"]\n      sign: {{ key: file:gateway.key, keyid: gw-1 }}\n    \
         identity: {{ accept: [{{ hmac: {{ preset: stripe, secret: file:secret, subject: billing }} }}] }}\n",
        upstream.url()
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        fs::write(dir.join("secret"), SECRET)?;
        let pair = Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pem = STANDARD.encode(pair.as_ref());
        Ok(fs::write(
            dir.join("gateway.key"),
            format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n"),
        )?)
    })
    .unwrap();
    let (time, body) = (now(), "{\"paid\":true}");
    let mut fields = vec![
        format!("Stripe-Signature: t={time},v1={}", hex(&keyed(&format!("{time}.{body}")))),
        "X-Bartizan-Identity: forged".to_owned(),
        "X-Bartizan-Subject: admin".to_owned(),
        "Signature-Input: bartizan=();keyid=\"gw-1\"".to_owned(),
        "Signature: bartizan=:AAAA:".to_owned(),
    ];
    assert_eq!(post(&gateway, "/hook?x=1", &fields, body, false), 200);
    let seen = upstream.requests().pop().unwrap();
    let one = |name: &str| match seen.header(name).as_slice() {
        [value] => value.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(one("x-bartizan-subject"), "billing");
    let open = raw_request(
        gateway.admin,
        b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        Duration::from_secs(5),
    );
    let keys = reply(&open).json();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "gw-1").unwrap();
    assert!(key.get("d").is_none());
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, public);

    let token = one("x-bartizan-identity");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["sub"], &claims["aud"]), (&"billing".into(), &"shop".into()));

    let parameters = one("signature-input").strip_prefix("bartizan=").unwrap().to_owned();
    let names = parameters.split_once(')').unwrap().0.trim_start_matches('(').to_owned();
    let mut base = String::new();
    for name in names.split(' ').map(|name| name.trim_matches('"')) {
        let value = match name {
            "@method" => "POST".to_owned(),
            "@target-uri" => format!("http://{}/hook?x=1", one("host")),
            field => one(field),
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = one("signature");
    let signature = signature.strip_prefix("bartizan=:").unwrap().trim_end_matches(':');
    public.verify(base.as_bytes(), &STANDARD.decode(signature).unwrap()).unwrap();
    assert!(names.contains("\"content-digest\"") && names.contains("\"x-bartizan-identity\""), "{names}");
    let hash = STANDARD.encode(digest(&SHA256, body.as_bytes()));
    assert_eq!(one("content-digest"), format!("sha-256=:{hash}:"));

    // A digest that is not the body's does not survive.
    fields.push("Content-Digest: sha-256=:AAAA:".to_owned());
    fields[0] =
        format!("Stripe-Signature: t={},v1={}", time + 1, hex(&keyed(&format!("{}.{body}", time + 1))));
    assert_eq!(post(&gateway, "/hook?x=1", &fields, body, false), 200);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.header("content-digest"), [format!("sha-256=:{hash}:")]);
}
