//! The vulnerable bank behind a gateway with rules about whose records leave.

use std::{fs, path::PathBuf};

use anyhow::Result;
use bartizan_bank::CONTRACT;
use bartizan_testkit::{Ca, Gateway, Reply};
use rustls::version::{TLS12, TLS13};

use crate::{
    Stage,
    bank::{Bank, SIGN_IN},
    client::{ask, request},
    people::Way,
    tls::{self, TlsStream, Trust},
};

/// The name that customers ask for.
pub const HOST: &str = "bank.test";

/// Whose records leave.
const RULES: &str = r#"    guards:
      ownership:
        "GET /v1/health-records/{id}": 'response.patient == principal.sub || principal.claims.role == "medical"'
        "GET /v1/accounts/{id}": response.owner == principal.sub
"#;

/// Bank and gateway.
pub struct Site {
    pub bank: Bank,
    pub gateway: Gateway,
    authority: PathBuf,
}

impl Site {
    pub fn start(stage: &Stage) -> Result<Self> {
        let folder = stage.folder("certificates")?;
        let ca = Ca::new("drill")?;
        let (authority, front) = (ca.write(&folder, "ca.pem")?, ca.server(&folder, "front", &[HOST])?);
        let bank = Bank::start_vulnerable(stage)?;
        let text = format!(
            "listeners:\n  - address: $LISTEN\n    tls: {{ certificates: [{{ cert: \"file:{}\", key: \"file:{}\" }}] }}\n\
             admin: {{ address: $ADMIN }}\n\
             issuers: [{{ name: bank, issuer: \"http://{bank}\", audiences: [bank], algorithms: [ES256], max_lifetime: 15m }}]\n\
             apis:\n  - name: bank\n    hosts: [{HOST}]\n    upstream: \"http://{bank}\"\n    contract: file:bank.json\n    \
             unknown_operations: deny\n    \
             identity: {{ accept: [{{ jwt: {{ issuers: [bank] }} }}], anonymous: deny }}\n{RULES}    {SIGN_IN}",
            front.cert.display(),
            front.key.display(),
            bank = bank.address,
        );
        let gateway = Gateway::with_config(&stage.binary(), &text, |folder| {
            Ok(fs::write(folder.join("bank.json"), CONTRACT)?)
        })?;
        Ok(Site { bank, gateway, authority })
    }

    /// Where people go.
    pub fn way(&self) -> Way<'_> {
        Way { address: self.gateway.address, host: HOST, authority: &self.authority }
    }
}

/// One session: a token, and a connection that is made again where it ended.
pub struct Line<'s> {
    stage: &'s Stage,
    site: &'s Site,
    token: String,
    stream: Option<TlsStream>,
}

impl<'s> Line<'s> {
    pub fn new(stage: &'s Stage, site: &'s Site, token: String) -> Self {
        Line { stage, site, token, stream: None }
    }

    /// One request and its answer.
    pub fn get(&mut self, target: &str) -> Result<Reply> {
        self.stage.spend()?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let config = tls::client(Trust::Authority(&self.site.authority), &[&TLS13, &TLS12])?;
                tls::connect(self.site.gateway.address, HOST, &config)?
            }
        };
        let reply = ask(&mut stream, &request("GET", target, HOST, Some(&self.token), None));
        if reply.whole {
            self.stream = Some(stream);
        }
        Ok(reply)
    }
}
