//! A bank that runs for one test.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bartizan_bank::{Config, Flaws, credentials, serve, totp};
use bartizan_model::{Clock, Timestamp};
use bartizan_testkit::{Reply, raw_request, reply};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

pub const SEED: u64 = 7;

struct SystemTimes(Instant);

impl Clock for SystemTimes {
    fn now(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "a clock of the tests")]
        let now = SystemTime::now();
        Timestamp::default().plus(now.duration_since(UNIX_EPOCH).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub fn now() -> Timestamp {
    SystemTimes(Instant::now()).now()
}

pub fn config(flaws: Flaws) -> Config {
    Config { flaws, seed: SEED, database: None, issuer: None, clock: Arc::new(SystemTimes(Instant::now())) }
}

pub struct Running {
    pub address: SocketAddr,
    /// Ends the bank with the value.
    _runtime: Runtime,
}

impl Running {
    pub fn vulnerable() -> Self {
        Self::start(config(Flaws::all()))
    }

    pub fn fixed() -> Self {
        Self::start(config(Flaws::none()))
    }

    pub fn start(config: Config) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { serve(listener, config, std::future::pending()).await.unwrap() });
        Running { address, _runtime: runtime }
    }

    /// One exchange; `more` are whole header lines.
    pub fn ask(&self, method: &str, target: &str, more: &[&str], body: Option<&Value>) -> Reply {
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        more.iter().for_each(|line| head.extend([line, "\r\n"]));
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        reply(&raw_request(self.address, format!("{head}\r\n{body}").as_bytes(), Duration::from_secs(20)))
    }

    pub fn get(&self, target: &str, more: &[&str]) -> Reply {
        self.ask("GET", target, more, None)
    }

    pub fn post(&self, target: &str, more: &[&str], body: &Value) -> Reply {
        self.ask("POST", target, more, Some(body))
    }

    pub fn sign_in(&self, id: i64, scope: &str) -> Reply {
        let who = credentials(SEED, id);
        let mut body = json!({ "username": who.username, "password": who.password, "scope": scope });
        if let Some(secret) = who.totp {
            body["totp"] = totp(&secret, now()).into();
        }
        self.post("/v1/login", &[], &body)
    }

    /// The header line of somebody who signed in.
    pub fn token(&self, id: i64) -> String {
        self.token_for(id, "write")
    }

    pub fn token_for(&self, id: i64, scope: &str) -> String {
        let reply = self.sign_in(id, scope);
        assert_eq!(reply.status, 200, "{}", reply.text());
        format!("Authorization: Bearer {}", reply.json()["access_token"].as_str().unwrap())
    }
}
