//! A gateway before the vulnerable bank: with roles and policies, with nothing but what it learned, or learning.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use bartizan_bank::CONTRACT;
use bartizan_testkit::Gateway;
use serde_json::Value;

use super::{POLICIES, ROLES, WRITTEN};
use crate::{
    Stage,
    bank::{Bank, SIGN_IN},
};

/// What the gateway has for a policy.
pub enum Learned {
    /// Nothing: it learns.
    Nothing,
    /// Roles and policies that were written for the bank; they are enforced.
    Written,
    /// Only these roles, which were learned; they are watched.
    Alone(String),
}

/// The gateway.
pub struct Site {
    gateway: Gateway,
}

impl Site {
    /// Starts it. Roles and policies alone decide: what the contract says of bodies would refuse some requests before them.
    pub fn start(stage: &Stage, bank: &Bank, name: &str, learned: &Learned) -> Result<Self> {
        let access = match learned {
            Learned::Nothing => "{ role_claims: [role] }",
            Learned::Written => {
                "{ roles: \"file:roles.yaml\", policies: \"file:bank.cedar\", role_claims: [role] }"
            }
            Learned::Alone(_) => "{ roles: \"file:roles.yaml\", role_claims: [role], mode: monitor }",
        };
        let text = format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\nissuers:\n  \
             - {{ name: bank, issuer: \"http://{address}\", audiences: [bank], algorithms: [ES256], max_lifetime: 15m }}\n\
             apis:\n  - name: bank\n    upstream: \"http://{address}\"\n    contract: file:bank.json\n    \
             identity: {{ accept: [{{ jwt: {{ issuers: [bank] }} }}], anonymous: deny }}\n    \
             guards: {{ contract: off, access: {access} }}\n    {SIGN_IN}",
            address = bank.address
        );
        let roles = match learned {
            Learned::Alone(roles) => roles.as_str(),
            Learned::Nothing | Learned::Written => ROLES,
        };
        let gateway = Gateway::with_config(&stage.binary(), &text, |folder| {
            fs::write(folder.join("bank.json"), CONTRACT)?;
            fs::write(folder.join("bank.cedar"), POLICIES)?;
            Ok(fs::write(folder.join("roles.yaml"), roles)?)
        })
        .with_context(|| format!("the gateway `{name}` did not start"))?;
        Ok(Site { gateway })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    /// The roles file that `access suggest` proposes, once every use is written.
    pub fn learned(&self, stage: &Stage) -> Result<String> {
        let mut roles = String::new();
        let complete = stage.wait_until(WRITTEN, || {
            let told = Command::new(&stage.options.binary)
                .args(["access", "suggest", "--full", "--config", "bartizan.yaml"])
                .current_dir(self.gateway.dir.path())
                .output();
            roles = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned()).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(250));
            ["\"customer\"", "\"clerk\"", "\"medical\""].iter().all(|role| roles.contains(role))
        })?;
        ensure!(complete, "`access suggest` did not learn every role: {roles}");
        Ok(roles)
    }

    /// Refusals whose event names what decided: a role or a policy with its file.
    pub fn explained(&self, stage: &Stage) -> Result<u64> {
        self.counted(stage, |event| {
            let told = event.to_string();
            let decided = told.contains("bank.cedar:") || told.contains("roles.yaml");
            decided && event.get("by").and_then(Value::as_str) == Some("access")
        })
    }

    /// Exchanges that `access` would have refused.
    pub fn flagged(&self, stage: &Stage) -> Result<u64> {
        self.counted(stage, |event| {
            let findings = event.get("findings").and_then(Value::as_array);
            findings
                .into_iter()
                .flatten()
                .any(|finding| finding.get("code").and_then(Value::as_str) == Some("access.denied"))
        })
    }

    fn counted(&self, stage: &Stage, is_one: impl Fn(&Value) -> bool) -> Result<u64> {
        // Events are written every 100 ms.
        stage.pause(Duration::from_millis(800))?;
        let folder = self.gateway.state();
        let mut count = 0;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !name.starts_with("audit") {
                continue;
            }
            for line in fs::read_to_string(&path)?.lines() {
                let event: Value = serde_json::from_str(line).unwrap_or_default();
                count += u64::from(is_one(&event));
            }
        }
        Ok(count)
    }

    /// Keeps its log, where that is asked for.
    pub fn keep(&self, stage: &Stage, name: &str) -> Result<()> {
        stage.keep_gateway(name, &self.gateway)
    }
}
