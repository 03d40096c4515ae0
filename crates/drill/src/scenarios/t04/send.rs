//! Sending what is planted, and keeping what the gateway itself answers.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bartizan_testkit::{
    Reply, Step,
    raw::{raw_request, reply},
};
use rustls::version::{TLS12, TLS13};

use super::{
    Planted, bytes_of,
    places::{At, Place, fill},
    sinks::{REQUEST, Sink},
    site::{ANSWERS, FAREWELL, GUARDED, HOSTS, Site},
};
use crate::{
    Stage,
    client::{PATIENCE, answer, http2_request},
    secrets::written,
    tls::{self, Trust},
};

/// A request that the gateway may wait for the end of is given this long.
const SHORT: Duration = Duration::from_millis(400);

/// Requests that `explain` is asked about as a command; all of them are asked about over the admin API.
const EXPLAINED: usize = 4;

/// Sends for one gateway.
pub struct Sender<'a> {
    stage: &'a Stage,
    site: &'a Site,
    planted: &'a Planted,
    /// What the gateway said: refusals, and what it explained.
    pub heard: Vec<Sink>,
    /// How often each place's secret was sent.
    pub sent: Vec<u64>,
    /// When the first refusal came.
    pub first: Option<Instant>,
    /// The place whose secret is being sent.
    place: usize,
}

impl<'a> Sender<'a> {
    pub fn new(stage: &'a Stage, site: &'a Site, planted: &'a Planted) -> Self {
        let heard = vec![Sink::new("refusals", ""), Sink::new("explain", ""), Sink::new("/v1/reload", "")];
        let sent = vec![0; planted.secrets().count()];
        Sender { stage, site, planted, heard, sent, first: None, place: usize::MAX }
    }

    /// Every place of a request.
    pub fn requests(&mut self) -> Result<()> {
        for (number, (place, secret)) in self.planted.each().enumerate() {
            self.place = number;
            match place.at {
                At::Field(_) | At::Target(_) | At::Content(..) => {
                    for host in HOSTS {
                        self.plain(&bytes_of(place, secret, host), PATIENCE)?;
                    }
                }
                At::Raw(_) => {
                    for host in ["mirror.test", "denied.test", "dead.test"] {
                        self.plain(&bytes_of(place, secret, host), SHORT)?;
                    }
                }
                At::Inside(_) => self.inside("mirror.test", &bytes_of(place, secret, "mirror.test"))?,
                At::Admin(text) => {
                    self.spend()?;
                    let admin = self.site.gateway.admin;
                    let bytes = fill(text, secret, &admin.to_string());
                    self.hear(0, &raw_request(admin, bytes.as_bytes(), SHORT));
                }
                At::ServerName => {
                    self.inside(&format!("{secret}.test"), b"GET / HTTP/1.1\r\nHost: mirror.test\r\n\r\n")?
                }
                At::Http2(path, credential) => {
                    for host in ["mirror.test", GUARDED] {
                        let (path, credential) = (fill(path, secret, host), fill(credential, secret, host));
                        // What passes comes back to who sent it, and frames do not tell whose words they carry.
                        self.spend()?;
                        let bytes = http2_request("GET", host, &path, &credential, None);
                        let _ = raw_request(self.site.gateway.address, &bytes, SHORT);
                    }
                }
                At::ApiKey => {
                    for host in HOSTS {
                        let bytes =
                            format!("GET /v1/things HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {secret}\r\n\r\n");
                        let reply = self.plain(bytes.as_bytes(), PATIENCE)?;
                        ensure!(
                            host != GUARDED || reply.status == 200,
                            "the key is not accepted: {}",
                            reply.status
                        );
                    }
                }
                At::Answer(_) | At::Goaway | At::Configuration(_) | At::InForce => {}
            }
        }
        self.place = usize::MAX;
        // Another client, who planted nothing: what it is told must not be what others sent.
        for host in HOSTS {
            self.plain(format!("GET /v1/other HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), PATIENCE)?;
        }
        Ok(())
    }

    /// Every place of an answer. Its client is entitled to what its upstream says; everybody else is not.
    pub fn answers(&mut self) -> Result<()> {
        for (number, (place, secret)) in self.planted.each().enumerate() {
            self.place = number;
            let (host, bytes) = match place.at {
                At::Answer(text) => {
                    (ANSWERS, fill(text, &written(secret, place.written), ANSWERS).into_bytes())
                }
                At::Goaway => (FAREWELL, goaway(secret)),
                _ => continue,
            };
            self.site.answers.answer(vec![Step::Send(bytes), Step::Close]);
            self.plain(format!("GET /v1/things HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), PATIENCE)?;
        }
        Ok(())
    }

    /// Configurations that hold a secret and cannot be used; how many were refused.
    pub fn configurations(&mut self) -> Result<u64> {
        let good = fs::read_to_string(&self.site.configuration)?;
        let mut refused = 0;
        for (number, (place, secret)) in self.planted.each().enumerate() {
            self.place = number;
            let At::Configuration(line) = place.at else { continue };
            let line = fill(line, &written(secret, place.written), "");
            fs::write(&self.site.configuration, format!("{good}{line}\n"))?;
            self.spend()?;
            let reply = self.site.gateway.ask("POST", "/v1/reload", None)?;
            refused += u64::from(reply.status >= 400);
            self.hear(2, &reply.body);
        }
        self.place = usize::MAX;
        fs::write(&self.site.configuration, good)?;
        self.spend()?;
        let reply = self.site.gateway.ask("POST", "/v1/reload", None)?;
        ensure!(reply.status == 200, "the first configuration is not taken back: {}", reply.text());
        Ok(refused)
    }

    /// What `explain` tells of requests that carry a secret, as a command and over the admin API.
    pub fn explain(&mut self) -> Result<()> {
        let mut commands = EXPLAINED;
        for (number, (place, secret)) in self.planted.each().enumerate() {
            self.place = number;
            if !matches!(place.at, At::Field(_) | At::Target(_) | At::Content(..)) {
                continue;
            }
            let bytes = bytes_of(place, secret, GUARDED);
            self.spend()?;
            self.hear_explained(place, &bytes)?;
            if commands > 0 && matches!(place.at, At::Target(_)) {
                commands -= 1;
                let name = format!("request-{commands}{REQUEST}");
                fs::write(self.site.gateway.dir.path().join(&name), &bytes)?;
                for form in ["text", "json"] {
                    let told = self.explain_command(&name, form)?;
                    self.hear(1, told.as_bytes());
                }
            }
        }
        Ok(())
    }

    fn explain_command(&mut self, name: &str, form: &str) -> Result<String> {
        self.spend()?;
        let output = std::process::Command::new(&self.stage.options.binary)
            .args(["explain", name, "--output", form])
            .current_dir(self.site.gateway.dir.path())
            .env("NO_COLOR", "1")
            .output()?;
        ensure!(
            !output.stdout.is_empty(),
            "`explain` told nothing: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    fn hear_explained(&mut self, place: &Place, bytes: &[u8]) -> Result<()> {
        let admin = self.site.gateway.admin;
        let head = format!(
            "POST /v1/explain HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.site.gateway.token()?,
            bytes.len()
        );
        let reply = reply(&raw_request(admin, &[head.as_bytes(), bytes].concat(), PATIENCE));
        ensure!(reply.status != 0, "nothing is explained of `{}`", place.name);
        self.hear(1, &reply.body);
        Ok(())
    }

    /// One request in clear; what the gateway itself answers is kept.
    fn plain(&mut self, bytes: &[u8], patience: Duration) -> Result<Reply> {
        self.spend()?;
        let answer = raw_request(self.site.gateway.address, bytes, patience);
        let reply = reply(&answer);
        // What passes is the upstream's answer, which repeats the request to who sent it.
        if reply.status == 0 || reply.header("content-type") == Some("application/problem+json") {
            self.hear(0, &answer);
            self.first.get_or_insert_with(Instant::now);
        }
        Ok(reply)
    }

    /// One request over TLS, to whoever answers.
    fn inside(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.spend()?;
        let config = tls::client(Trust::Anybody, &[&TLS13, &TLS12])?;
        let Ok(mut stream) = tls::connect(self.site.secure, name, &config) else { return Ok(()) };
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
        let _ = answer(&mut stream);
        Ok(())
    }

    /// Accounts for one request with the secret of the current place.
    fn spend(&mut self) -> Result<()> {
        if let Some(sent) = self.sent.get_mut(self.place) {
            *sent += 1;
        }
        self.stage.spend()
    }

    fn hear(&mut self, which: usize, bytes: &[u8]) {
        if let Some(sink) = self.heard.get_mut(which) {
            sink.bytes.extend_from_slice(bytes);
            sink.bytes.push(b'\n');
        }
    }
}

/// The settings of an HTTP/2 server and its farewell, with debug data: last stream 0, PROTOCOL_ERROR.
fn goaway(secret: &str) -> Vec<u8> {
    let length = u8::try_from(secret.len() + 8).unwrap_or_default();
    let frames: [&[u8]; 4] = [
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &[0, 0, length, 7, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        secret.as_bytes(),
    ];
    frames.concat()
}
