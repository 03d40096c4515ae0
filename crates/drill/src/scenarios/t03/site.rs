//! The bank behind the gateway, with a man in the middle on either side and impostors of its upstream.

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::Result;
use bartizan_bank::CONTRACT;
use bartizan_testkit::{Ca, Gateway, RawUpstream, ca::Leaf, free_port, process::loopback};

use crate::{
    Stage,
    bank::{Bank, SIGN_IN},
    people::Way,
    relay::Relay,
    terminator::{IN_CLEAR, Stubborn, Terminator, hello_of_tls_1_1},
};

/// The name that customers ask for.
pub const HOST: &str = "bank.test";

/// The name whose upstream is behind a man in the middle.
pub const ALTERED: &str = "altered.test";

/// The name whose upstream speaks in clear: nothing may reach it over plain HTTP.
pub const CLEAR: &str = "clear.test";

/// The names whose upstream is an impostor.
pub const IMPOSTORS: [&str; 4] = ["stranger.test", "expired.test", "self-signed.test", "renamed.test"];

/// The names whose upstream does not speak TLS as it should: in clear, and TLS 1.1.
pub const STUBBORN: [&str; 2] = ["stripped.test", "old.test"];

/// The name whose upstream is behind a man in the middle who takes TLS 1.3 out of what the gateway offers.
pub const DOWNGRADED: &str = "downgraded.test";

/// Everything that the attack with the gateway needs.
pub struct Site {
    pub bank: Bank,
    pub gateway: Gateway,
    /// Where every request over plain HTTP is sent to https.
    pub plain: SocketAddr,
    /// The upstream of [`HOST`]: the bank under its right certificate.
    pub honest: Terminator,
    /// The upstream of [`CLEAR`].
    pub clear: RawUpstream,
    /// Behind the gateway, before `honest`.
    pub behind: Relay,
    /// Before the gateway.
    pub before: Relay,
    /// Before the gateway, and takes TLS 1.3 out of what clients offer.
    pub downgrading: Relay,
    /// In the order of [`IMPOSTORS`].
    pub impostors: Vec<Terminator>,
    /// In the order of [`STUBBORN`].
    pub stubborn: Vec<Stubborn>,
    /// Behind the gateway, before `honest`: takes TLS 1.3 out of what the gateway offers.
    pub downgrading_behind: Relay,
    authority: PathBuf,
}

/// Certificates for the two sides, and for the impostors in the order of [`IMPOSTORS`].
pub struct Certificates {
    pub authority: PathBuf,
    pub front: Leaf,
    pub honest: Leaf,
    pub impostors: Vec<Leaf>,
}

impl Certificates {
    /// Makes them in a folder of the stage.
    pub fn make(stage: &Stage) -> Result<Self> {
        let folder = stage.folder("certificates")?;
        let (ours, strangers) = (Ca::new("drill")?, Ca::new("strangers")?);
        let names: Vec<&str> =
            [HOST, ALTERED, CLEAR, DOWNGRADED].into_iter().chain(IMPOSTORS).chain(STUBBORN).collect();
        Ok(Certificates {
            authority: ours.write(&folder, "ca.pem")?,
            front: ours.server(&folder, "front", &names)?,
            honest: ours.server(&folder, "honest", &["localhost"])?,
            impostors: vec![
                strangers.server(&folder, "stranger", &["localhost"])?,
                ours.expired(&folder, "expired", &["localhost"])?,
                Ca::self_signed(&folder, "self-signed", &["localhost"])?,
                // The name `localhost` leads to a server that can prove another name only.
                ours.server(&folder, "renamed", &["elsewhere.test"])?,
            ],
        })
    }
}

impl Site {
    pub fn start(stage: &Stage) -> Result<Self> {
        let certificates = Certificates::make(stage)?;
        let bank = Bank::start(stage)?;
        let honest = Terminator::start(&certificates.honest, bank.address)?;
        let behind = Relay::start(honest.address())?;
        let clear = RawUpstream::echo()?;
        let stubborn = vec![Stubborn::start(IN_CLEAR.to_vec())?, Stubborn::start(hello_of_tls_1_1())?];
        let downgrading_behind = Relay::downgrading(honest.address())?;
        let impostors: Vec<Terminator> = certificates
            .impostors
            .iter()
            .map(|leaf| Terminator::start(leaf, bank.address))
            .collect::<Result<_>>()?;
        let plain = loopback(free_port());
        let trust = format!("ca: \"file:{}\"", certificates.authority.display());
        let api = |host: &str, port: u16| {
            format!(
                "  - {{ name: {}, hosts: [{host}], upstream: {{ backends: [\"https://localhost:{port}\"], tls: {{ {trust} }} }} }}\n",
                host.trim_end_matches(".test")
            )
        };
        let protected = |name: &str, host: &str, port: u16| {
            format!(
                "  - name: {name}\n    hosts: [{host}]\n    upstream: {{ backends: [\"https://localhost:{port}\"], tls: {{ {trust} }} }}\n    \
                 contract: file:bank.json\n    unknown_operations: deny\n    hsts: true\n    \
                 identity: {{ accept: [{{ jwt: {{ issuers: [bank] }} }}], anonymous: deny }}\n    \
                 {SIGN_IN}"
            )
        };
        let mut text = format!(
            "listeners:\n  - address: $LISTEN\n    tls: {{ certificates: [{{ cert: \"file:{}\", key: \"file:{}\" }}] }}\n  \
             - {{ address: \"{plain}\", redirect_to_https: true }}\nadmin: {{ address: $ADMIN }}\n\
             issuers: [{{ name: bank, issuer: \"http://{}\", audiences: [bank], algorithms: [ES256], max_lifetime: 15m }}]\napis:\n",
            certificates.front.cert.display(),
            certificates.front.key.display(),
            bank.address
        );
        text.push_str(&protected("bank", HOST, honest.address().port()));
        text.push_str(&protected("altered", ALTERED, behind.address().port()));
        for (host, impostor) in IMPOSTORS.iter().zip(&impostors) {
            text.push_str(&api(host, impostor.address().port()));
        }
        for (host, upstream) in STUBBORN.iter().zip(&stubborn) {
            text.push_str(&api(host, upstream.address().port()));
        }
        text.push_str(&api(DOWNGRADED, downgrading_behind.address().port()));
        text.push_str(&format!("  - {{ name: clear, hosts: [{CLEAR}], upstream: \"{}\" }}\n", clear.url()));
        let gateway = Gateway::with_config(&stage.binary(), &text, |folder| {
            Ok(fs::write(folder.join("bank.json"), CONTRACT)?)
        })?;
        let before = Relay::start(gateway.address)?;
        let downgrading = Relay::downgrading(gateway.address)?;
        let authority = certificates.authority;
        Ok(Site {
            bank,
            gateway,
            plain,
            honest,
            clear,
            behind,
            before,
            downgrading,
            impostors,
            stubborn,
            downgrading_behind,
            authority,
        })
    }

    /// Where the gateway speaks TLS.
    pub fn secure(&self) -> SocketAddr {
        self.gateway.address
    }

    /// The authority that everybody honest believes.
    pub fn authority(&self) -> &std::path::Path {
        &self.authority
    }

    /// Where people go.
    pub fn way(&self) -> Way<'_> {
        Way { address: self.gateway.address, host: HOST, authority: &self.authority }
    }
}
