//! What the live player puts on the wire: PROXY headers, requests byte for byte, and TLS as devices offer it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests assert"
)]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bartizan_model::{Clock, Timestamp};
use bartizan_testkit::Ca;
use bartizan_traffic::{
    Broken, Kind, Outcome, Plan, Settings, World,
    play::{Config, Secure, play},
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

struct Now(Instant);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn config(target: SocketAddr) -> Config {
    let clock = Arc::new(Now(Instant::now()));
    Config { speed: 1_000.0, max_time: Duration::from_secs(20), ..Config::new(target, clock) }
}

async fn outcomes(config: Config, plans: Vec<Plan>) -> Vec<Outcome> {
    let world = World::new(Settings { people: 0, ..Settings::default() });
    let (sender, mut receiver) = mpsc::channel(10_000);
    let actors = plans.into_iter().map(|plan| world.attacker(plan));
    play(config, actors, sender, std::future::pending()).await.unwrap();
    let mut all = Vec::new();
    while let Ok(outcome) = receiver.try_recv() {
        all.push(outcome);
    }
    all
}

/// Reads one request with its body; empty at the end.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte).await, Ok(1)) {
            return bytes;
        }
        bytes.push(byte[0]);
        // The signature of a PROXY header has an empty line too.
        if bytes.ends_with(b"\r\n\r\n") && bytes.len() > 16 {
            let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            bytes.extend(body);
            return bytes;
        }
    }
}

/// Answers every request of a connection in one of the ways that HTTP/1.1 knows, and gives what was sent.
async fn answer_all(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: mpsc::Sender<Vec<u8>>) {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX-Bartizan-Event: 01M80E09JJH2GAJP9MY4AA1DPC\r\n\r\n",
        b"HTTP/1.0 403 Forbidden\r\n\r\nuntil the end",
    ];
    for answer in answers.iter().cycle() {
        let bytes = request(&mut stream).await;
        if bytes.is_empty() || seen.send(bytes).await.is_err() {
            return;
        }
        if stream.write_all(answer).await.is_err() || answer.starts_with(b"HTTP/1.0") {
            return;
        }
    }
}

#[tokio::test]
async fn requests_are_written_byte_for_byte_and_every_framing_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (seen, mut sent) = mpsc::channel(1_000);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, seen.clone()));
        }
    });
    let config = Config { proxy_protocol: true, ..config(target) };
    let all = outcomes(config, vec![Plan::new(Kind::AnonymousAccess, 1).requests(8)]).await;
    let results: Vec<(Option<u16>, String)> = all
        .iter()
        .map(|one| (one.status(), String::from_utf8(one.result.as_ref().unwrap().body.clone()).unwrap()))
        .collect();
    let told = |status, body: &str| (Some(status), body.to_owned());
    let round = [told(200, "ok"), told(404, "abcde"), told(204, ""), told(403, "until the end")];
    assert_eq!(results, [round.clone(), round].concat());
    assert_eq!(all[2].event(), Some("01M80E09JJH2GAJP9MY4AA1DPC"));
    let mut requests = Vec::new();
    while let Ok(bytes) = sent.try_recv() {
        requests.push(bytes);
    }
    assert_eq!(requests.len(), 8);
    for (at, bytes) in requests.iter().enumerate() {
        // Four requests on each connection, and one header before the first.
        let has_header = bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21");
        assert_eq!(has_header, at % 4 == 0, "{at}");
        let length = if has_header { 16 + usize::from(bytes[15]) } else { 0 };
        let text = String::from_utf8(bytes[length..].to_vec()).unwrap();
        assert!(text.starts_with(&format!("{} {} HTTP/1.1\r\n", all[at].method, all[at].target)), "{text}");
        assert!(
            text.contains("\r\nHost: bank.example\r\n") || text.contains("Host: bank.example\r\n"),
            "{text}"
        );
    }
}

fn tls_server(ca: &Ca, dir: &Path) -> TlsAcceptor {
    let leaf = ca.server(dir, "server", &["bank.example"]).unwrap();
    let chain = CertificateDer::pem_file_iter(leaf.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(leaf.key).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(server))
}

fn roots(ca: &Ca, dir: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.write(dir, "ca.pem").unwrap()).unwrap()).unwrap();
    Arc::new(roots)
}

#[tokio::test]
async fn devices_offer_their_own_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new("test").unwrap(), Ca::new("other").unwrap());
    let acceptor = tls_server(&ca, dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (seen, _sent) = mpsc::channel(1_000);
    let (tell, mut negotiated) = mpsc::channel(1_000);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen, tell) = (acceptor.clone(), seen.clone(), tell.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let suite = session.negotiated_cipher_suite().unwrap().suite();
                tell.send((session.protocol_version().unwrap(), suite)).await.unwrap();
                answer_all(stream, seen).await;
            });
        }
    });
    let secure = |roots| Some(Secure { roots, name: ServerName::try_from("bank.example").unwrap() });
    let plans = || (1..40).map(|instance| Plan::new(Kind::AnonymousAccess, instance).requests(1)).collect();
    let config = config(target);
    let all = outcomes(Config { secure: secure(roots(&ca, dir.path())), ..config.clone() }, plans()).await;
    assert_eq!(all.len(), 39);
    assert!(all.iter().all(|one| one.status() == Some(200)), "{all:?}");
    let mut kinds = BTreeSet::new();
    while let Ok((version, suite)) = negotiated.try_recv() {
        kinds.insert((u16::from(version), u16::from(suite)));
    }
    assert!(kinds.len() >= 2, "{kinds:x?}");
    assert!(kinds.iter().any(|(version, _)| *version == 0x0303), "old clients speak TLS 1.2: {kinds:x?}");
    assert!(kinds.iter().any(|(version, _)| *version == 0x0304), "{kinds:x?}");
    let distrusting = Config { secure: secure(roots(&other, dir.path())), ..config };
    let all = outcomes(distrusting, vec![Plan::new(Kind::AnonymousAccess, 1).requests(2)]).await;
    assert!(all.iter().all(|one| one.result == Err(Broken::Handshake)), "{all:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_or_talks_nonsense_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let one = || vec![Plan::new(Kind::AnonymousAccess, 1).requests(1)];
    tokio::spawn(async move {
        for answer in
            [b"SSH-2.0-OpenSSH\r\n\r\n".as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
        {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        }
    });
    assert_eq!(outcomes(config(target), one()).await[0].result, Err(Broken::Garbled));
    assert_eq!(outcomes(config(target), one()).await[0].result, Err(Broken::Closed));
    assert_eq!(outcomes(config(target), one()).await[0].result, Err(Broken::Connect));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config =
        Config { answer_timeout: Duration::from_millis(100), ..config(silent.local_addr().unwrap()) };
    assert_eq!(outcomes(config, one()).await[0].result, Err(Broken::Timeout));
}
