//! A gateway with every kind of API before it matters: guarded, denied, limited, watched, dead, broken.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use bartizan_bank::CONTRACT;
use bartizan_testkit::{Ca, Gateway, RawUpstream, Signer, free_port, process::loopback};
use serde_json::Value;

use crate::{
    Stage,
    bank::{Bank, SIGN_IN},
    people::Way,
    terminator::Terminator,
};

/// The bank, for people who attack nothing.
pub const BANK: &str = "bank.test";

/// The name whose upstream answers what the drill says.
pub const ANSWERS: &str = "answers.test";

/// The name whose upstream speaks HTTP/2, in clear.
pub const FAREWELL: &str = "farewell.test";

/// The name that demands a token or an API key.
pub const GUARDED: &str = "guarded.test";

/// The names that every request is sent to: let through, known by contract, refused by each guard, only watched, failed.
pub const HOSTS: [&str; 11] = [
    "mirror.test",
    "contract.test",
    GUARDED,
    "denied.test",
    "limited.test",
    "small.test",
    "watched.test",
    "inspected.test",
    "noticed.test",
    "dead.test",
    "impostor.test",
];

/// The gateway and what surrounds it.
pub struct Site {
    pub bank: Bank,
    pub gateway: Gateway,
    /// Where the gateway speaks TLS.
    pub secure: SocketAddr,
    /// The upstream that repeats what it gets.
    pub mirror: RawUpstream,
    /// The upstream of [`ANSWERS`].
    pub answers: RawUpstream,
    /// The configuration as it is in force.
    pub configuration: PathBuf,
    _impostor: Terminator,
    authority: PathBuf,
}

impl Site {
    /// Starts it with more arguments; `in_force` is a secret of the configuration itself.
    pub fn start(stage: &Stage, more: &[&str], in_force: &str) -> Result<Self> {
        let folder = stage.folder("certificates")?;
        let ca = Ca::new("drill")?;
        let authority = ca.write(&folder, "ca.pem")?;
        let front = ca.server(&folder, "front", &[BANK, "mirror.test"])?;
        let bank = Bank::start(stage)?;
        let impostor =
            Terminator::start(&Ca::self_signed(&folder, "impostor", &["localhost"])?, bank.address)?;
        let (mirror, answers) = (RawUpstream::echo()?, RawUpstream::echo()?);
        let (secure, dead) = (loopback(free_port()), loopback(free_port()));
        let upstream = mirror.url();
        let api = |host: &str, upstream: &str, more: &str| {
            let name = host.trim_end_matches(".test");
            format!("  - name: {name}\n    hosts: [{host}]\n    upstream: {upstream}\n{more}")
        };
        let identity = |issuer: &str| {
            format!(
                "    identity: {{ accept: [{{ jwt: {{ issuers: [{issuer}] }} }}, {{ api_key: {{ header: X-API-Key }} }}], anonymous: deny }}\n"
            )
        };
        let deny = "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n";
        let apis = [
            api(
                BANK,
                &format!("\"http://{}\"", bank.address),
                &format!(
                    "    contract: file:bank.json\n    unknown_operations: deny\n{}    {SIGN_IN}",
                    identity("bank")
                ),
            ),
            api("mirror.test", &upstream, ""),
            api("contract.test", &upstream, "    contract: file:paths.json\n    unknown_operations: monitor\n"),
            api(
                GUARDED,
                &upstream,
                &format!("{}    guards: {{ cors: {{ origins: [\"https://app.test\"], block_other_origins: true }} }}\n", identity("bank, known")),
            ),
            api("other.test", &upstream, &identity("other")),
            api("denied.test", &upstream, deny),
            api(
                "limited.test",
                &upstream,
                "    guards: { rate_limit: [{ name: things, key: header.x-shop-thing, rate: 1/h }, { name: address, key: ip, rate: 1/m }] }\n",
            ),
            api(
                "small.test",
                &upstream,
                "    guards: { request_limits: { max_body: 1B, max_query_bytes: 8B, max_query_parameters: 1, max_headers: 4, max_path_segments: 2 } }\n",
            ),
            api("watched.test", &upstream, &format!("    mode: monitor\n{deny}")),
            api("inspected.test", &upstream, "    guards: { waf: { rules: [\"file:rules.conf\"] } }\n"),
            api("noticed.test", &upstream, "    guards: { waf: { rules: [\"file:rules.conf\"], mode: monitor } }\n"),
            api("dead.test", &format!("\"http://{dead}\""), ""),
            api("impostor.test", &format!("\"https://localhost:{}\"", impostor.address().port()), ""),
            api(ANSWERS, &answers.url(), ""),
            api(FAREWELL, &format!("{{ backends: [\"{}\"], protocol: http2 }}", answers.url()), ""),
        ]
        .concat();
        let text = format!(
            "listeners:\n  - {{ address: $LISTEN }}\n  - address: \"{secure}\"\n    tls: {{ certificates: [{{ cert: \"file:{}\", key: \"file:{}\" }}] }}\n\
             admin: {{ address: $ADMIN }}\nissuers:\n  \
             - {{ name: bank, issuer: \"http://{}\", audiences: [bank], algorithms: [ES256], max_lifetime: 15m }}\n  \
             - {{ name: known, issuer: \"https://known.test\", audiences: [known], algorithms: [ES256], jwks: \"file:jwks.json\" }}\n  \
             - {{ name: other, issuer: \"https://other.test\", audiences: [other], algorithms: [ES256], jwks: \"http://{dead}/jwks?key={in_force}\" }}\n\
             apis:\n{apis}",
            front.cert.display(),
            front.key.display(),
            bank.address
        );
        let gateway = Gateway::with_arguments(&stage.binary(), &text, more, |folder| {
            fs::write(folder.join("paths.json"), PATHS)?;
            fs::write(folder.join("rules.conf"), RULES)?;
            fs::write(folder.join("jwks.json"), Signer::new("1")?.jwks()?)?;
            Ok(fs::write(folder.join("bank.json"), CONTRACT)?)
        })?;
        let configuration = gateway.dir.path().join("bartizan.yaml");
        Ok(Site { bank, gateway, secure, mirror, answers, configuration, _impostor: impostor, authority })
    }

    /// Where people go.
    pub fn way(&self) -> Way<'_> {
        Way { address: self.secure, host: BANK, authority: &self.authority }
    }

    /// Makes an API key by the gateway's own command; its secret.
    pub fn make_key(&self, stage: &Stage) -> Result<String> {
        let told = self.command(stage, &["keys", "create", "--owner", "drill", "--output", "json"])?;
        let made: Value = serde_json::from_str(&told).context("`keys create` told no JSON")?;
        let secret = made.get("secret").and_then(Value::as_str);
        Ok(secret.context("`keys create` told no secret")?.to_owned())
    }

    /// What a command tells about this gateway.
    pub fn command(&self, stage: &Stage, arguments: &[&str]) -> Result<String> {
        stage.spend()?;
        let output = Command::new(&stage.options.binary)
            .args(arguments)
            .arg("--state")
            .arg(self.gateway.state())
            .current_dir(self.gateway.dir.path())
            .env("NO_COLOR", "1")
            .output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Waits until the recent events are stored: they are written every 100 ms.
    pub fn settle(&self, stage: &Stage) -> Result<()> {
        ensure!(!stage.wait_until(Duration::from_millis(600), || false)?, "the clock stands still");
        Ok(())
    }
}

/// Some operations whose paths carry values.
const PATHS: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "places", "version": "1" },
  "paths": {
    "/v1/things": { "get": { "responses": {} }, "post": { "responses": {} } },
    "/v1/reset/{token}": { "get": { "responses": {} } },
    "/v1/invites/{words}": { "get": { "responses": {} } },
    "/v1/files/{id}/content": { "get": { "responses": {} } },
    "/v1/cards/{pan}": { "get": { "responses": {} } }
  }
}"#;

/// Rules that match nearly everything, and say what they matched wherever a rule can say something.
const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS|REQUEST_HEADERS_NAMES|REQUEST_COOKIES|REQUEST_URI "@rx ([A-Za-z0-9]{12})" \
    "id:900001,phase:1,pass,log,capture,msg:'seen %{TX.1} of %{MATCHED_VAR}',logdata:'%{MATCHED_VAR}',tag:'%{MATCHED_VAR}',setvar:'tx.seen=%{MATCHED_VAR}'"
SecRule ARGS|ARGS_NAMES|REQUEST_BODY "@rx ([A-Za-z0-9]{12})" \
    "id:900002,phase:2,deny,status:403,log,capture,msg:'found %{TX.1} of %{MATCHED_VAR} in %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}'"
"#;
