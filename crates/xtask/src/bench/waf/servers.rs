//! The servers that are measured: nginx without rules, nginx with libmodsecurity, and the gateway, each with one worker
//! before one upstream.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bartizan_testkit::{Process, free_port};

use super::client::{CONNECTIONS, Client};
use crate::bench::{peers, proc};

/// The dynamic module of nginx, where Debian puts it.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";

/// The Debian package that brings it.
pub const PACKAGE: &str = "libnginx-mod-http-modsecurity";

/// libmodsecurity takes a second or two to load the Core Rule Set.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    /// Its process; children count with it.
    pub process: Process,
    /// Where it listens.
    pub port: u16,
    /// From the start of the process until it accepts, milliseconds.
    pub start_ms: f64,
    /// Where it writes its errors, besides its output.
    log: Option<PathBuf>,
}

impl Server {
    fn new(process: Process, port: u16, began: Instant) -> Self {
        let start_ms = began.elapsed().as_secs_f64() * 1e3;
        Server { process, port, start_ms, log: None }
    }

    /// Processor time in nanoseconds that `count` requests cost it.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn cost(&self, request: &[u8], count: usize) -> Result<f64> {
        let said = || {
            let log = self.log.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
            format!("{}{log}", self.process.log())
        };
        // Idle connections are closed after a time: each measurement has its own, each used once before.
        let mut client = Client::new(self.port)?;
        client.send(request, CONNECTIONS).with_context(said)?;
        let before = proc::run_nanoseconds(self.process.id())?;
        client.send(request, count).with_context(said)?;
        Ok((proc::run_nanoseconds(self.process.id())? - before) as f64)
    }

    /// Resident memory, MB.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_mb(&self) -> Result<f64> {
        proc::resident_mb(self.process.id())
    }
}

/// Where the servers of one measurement live.
pub struct Lab {
    dir: tempfile::TempDir,
    binary: PathBuf,
    rules: PathBuf,
    upstream_port: u16,
    _upstream: Process,
}

impl Lab {
    /// Starts the upstream. `rules` is the folder of the Core Rule Set.
    ///
    /// # Errors
    /// nginx is missing or does not start.
    pub fn new(binary: PathBuf, rules: PathBuf) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let upstream_port = free_port();
        let server = peers::upstream_server(upstream_port);
        let upstream = peers::nginx(dir.path(), "upstream", "", &server, upstream_port)?;
        Ok(Lab { dir, binary, rules, upstream_port, _upstream: upstream })
    }

    /// nginx, with libmodsecurity and the rules at `level` where one is given.
    ///
    /// # Errors
    /// It does not start; with what it wrote.
    pub fn nginx(&self, level: Option<u8>) -> Result<Server> {
        let port = free_port();
        let mut lines = String::new();
        let mut modules = String::new();
        if let Some(level) = level {
            let file = self.dir.path().join(format!("modsecurity-{level}.conf"));
            fs::write(&file, modsecurity(&self.rules, level, self.dir.path()))?;
            modules = format!("load_module {MODULE};\n");
            lines = format!("modsecurity on; modsecurity_rules_file {};", file.display());
        }
        let server = format!(
            "upstream u {{ server 127.0.0.1:{}; keepalive 256; keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000; client_body_buffer_size 256k; {lines}\n\
             location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_set_header Host $host; }} }}",
            self.upstream_port
        );
        let began = Instant::now();
        let name = format!("nginx-{port}");
        let process = peers::nginx(self.dir.path(), &name, &modules, &server, port)?;
        let log = Some(self.dir.path().join(name).join("error.log"));
        Ok(Server { log, ..Server::new(process, port, began) })
    }

    /// The gateway, with the rules at `level` where one is given; no other guard, no audit log.
    ///
    /// # Errors
    /// It does not start; with what it wrote.
    pub fn gateway(&self, level: Option<u8>) -> Result<Server> {
        let (port, admin) = (free_port(), free_port());
        let folder = self.dir.path().join(format!("gateway-{port}"));
        fs::create_dir_all(&folder)?;
        let guards = match level {
            None => "    mode: off\n".to_owned(),
            Some(level) => format!(
                "    guards:\n      waf: {{ rules: [crs], crs: \"file:{}\", paranoia: {level} }}\n",
                self.rules.display()
            ),
        };
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:{port} }}]\nadmin: {{ address: 127.0.0.1:{admin} }}\nstorage: memory\n\
             audit: {{ file: \"off\" }}\napis:\n  - name: bench\n    upstream: http://127.0.0.1:{}\n    \
             unknown_operations: allow\n{guards}",
            self.upstream_port
        );
        let file = folder.join("bartizan.yaml");
        fs::write(&file, text)?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--workers", "1", "--log", "warn", "--config"]).arg(&file).current_dir(&folder);
        let began = Instant::now();
        let mut process = Process::start("bartizan", &mut command)?;
        process.wait_for_port(port, START)?;
        Ok(Server::new(process, port, began))
    }
}

/// Whether nginx can load libmodsecurity.
pub fn has_modsecurity() -> bool {
    Path::new(MODULE).is_file()
}

/// The recommended configuration of libmodsecurity without its logs, and the rules at a level.
fn modsecurity(rules: &Path, level: u8, dir: &Path) -> String {
    let (rules, dir) = (rules.display(), dir.display());
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 13107200\nSecRequestBodyNoFilesLimit 131072\n\
         SecRequestBodyLimitAction Reject\nSecRequestBodyJsonDepthLimit 512\nSecPcreMatchLimit 100000\n\
         SecPcreMatchLimitRecursion 100000\nSecResponseBodyAccess Off\nSecTmpDir {dir}\nSecDataDir {dir}\nSecAuditEngine Off\n\
         SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
         \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecRule REQBODY_ERROR \"!@eq 0\" \"id:200002,phase:2,t:none,log,deny,status:400,msg:'body'\"\n\
         Include {rules}/crs-setup.conf.example\n\
         SecAction \"id:9001,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level},setvar:tx.detection_paranoia_level={level}\"\n\
         Include {rules}/rules/*.conf\n"
    )
}
