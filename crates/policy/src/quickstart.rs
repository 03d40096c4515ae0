//! A first policy from a few flags: `bartizan run --upstream` compiles it, `bartizan init` writes it down.

use std::{fmt::Write as _, net::SocketAddr};

use bartizan_model::{Mode, Profile};

use crate::source::Source;

/// The flags of the first hour. Everything but the upstream has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuickStart {
    /// The API's name. Default: `api`.
    pub name: String,
    /// Where requests go, such as `http://127.0.0.1:3000`.
    pub upstream: String,
    /// Where to listen; `None` for `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// The mode of all guards; `None` for `enforce`.
    pub mode: Option<Mode>,
    /// How much the defaults demand; `None` for `balanced`.
    pub profile: Option<Profile>,
    /// The OpenAPI document, a path.
    pub contract: Option<String>,
    /// The hosts that the contract names. They are written as a comment: in front of a gateway they are often others.
    pub hosts: Vec<String>,
    /// The folder of the OWASP Core Rule Set; `None` looks for no attacks.
    pub crs: Option<String>,
    /// The directory of the database, the audit log and the admin token, a path; `None` for `var`.
    pub state: Option<String>,
    /// The admin API's address; `None` for `127.0.0.1:9440`.
    pub admin: Option<SocketAddr>,
}

impl QuickStart {
    /// One API before `upstream`, all else by default.
    #[must_use]
    pub fn new(upstream: impl Into<String>) -> Self {
        QuickStart {
            name: "api".to_owned(),
            upstream: upstream.into(),
            listen: None,
            mode: None,
            profile: None,
            contract: None,
            hosts: Vec::new(),
            crs: None,
            state: None,
            admin: None,
        }
    }

    /// The policy as a source, for [`crate::compile`].
    #[must_use]
    pub fn source(&self) -> Source {
        Source::inline("command line", self.to_yaml())
    }

    /// The policy as a commented document.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::from(
            "# A Bartizan policy. `bartizan check` verifies it, `bartizan check --effective` shows what each operation\n\
             # ends up with, `bartizan schema` prints the JSON Schema of every setting.\n\
             version: 1\n",
        );
        self.write_frame(&mut text);
        self.write_api(&mut text);
        text
    }

    fn write_frame(&self, text: &mut String) {
        let listen = self.listen.map_or_else(|| "127.0.0.1:8080".to_owned(), |address| address.to_string());
        let admin = self.admin.map_or_else(|| "127.0.0.1:9440".to_owned(), |address| address.to_string());
        let _ = write!(
            text,
            "\n# Where clients connect. Port 8080 on all addresses would be 0.0.0.0:8080.\n\
             listeners:\n  - address: {}\n    # tls:\n    #   certificates: [{{ cert: file:certs/api.pem, key: file:certs/api.key }}]\n\
             \n# The admin API; keep it on this machine.\nadmin:\n  address: {}\n",
            quoted(&listen),
            quoted(&admin),
        );
        let directory = self.state.as_deref().unwrap_or("var");
        let directory = directory.strip_suffix('/').unwrap_or(directory);
        let _ = write!(
            text,
            "\n# State and the audit log, relative to this file.\nstorage: {}\naudit:\n  file: {}\n",
            quoted(&format!("sqlite:{directory}/bartizan.db")),
            quoted(&format!("{directory}/audit.jsonl")),
        );
        let profile = match self.profile.unwrap_or_default() {
            Profile::Balanced => "balanced",
            Profile::Strict => "strict",
        };
        let _ = write!(
            text,
            "\n# balanced warns of doubtful settings, strict refuses them.\nprofile: {profile}\n"
        );
    }

    fn write_api(&self, text: &mut String) {
        let mode = self.mode.unwrap_or_default().as_str();
        let _ = write!(
            text,
            "\napis:\n  - name: {}\n    # The service that is protected.\n    upstream: {}\n",
            quoted(&self.name),
            quoted(&self.upstream),
        );
        match &self.contract {
            Some(path) => {
                let _ = write!(
                    text,
                    "    # Only the operations of this contract are let through.\n    contract: {}\n    unknown_operations: deny\n",
                    quoted(&format!("file:{path}")),
                );
            }
            None => text.push_str(
                "    # With an OpenAPI document, unknown operations are refused:\n    # contract: file:openapi.yaml\n",
            ),
        }
        if !self.hosts.is_empty() {
            let hosts: Vec<String> = self.hosts.iter().map(|host| quoted(host)).collect();
            let _ = write!(
                text,
                "    # The contract names these hosts; without the next line any host is served.\n    # hosts: [{}]\n",
                hosts.join(", "),
            );
        }
        let _ = write!(
            text,
            "    # enforce refuses, monitor only reports, off does not look.\n    mode: {mode}\n"
        );
        // The strict profile refuses anonymous callers, so that a strict document begins with keys.
        text.push_str(match self.profile.unwrap_or_default() {
            Profile::Balanced => {
                "    # Who may call. Without it anonymous callers are allowed.\n\
                 \x20   # identity:\n\
                 \x20   #   accept: [api_key]\n\
                 \x20   #   anonymous: deny\n"
            }
            Profile::Strict => {
                "    # Who may call: holders of a key made by `bartizan keys create`.\n\
                 \x20   identity:\n\
                 \x20     accept: [api_key]\n\
                 \x20     anonymous: deny\n"
            }
        });
        text.push_str(
            "    guards:\n\
             \x20     # Bounds on bodies, queries and headers; every setting has a default.\n\
             \x20     request_limits: {}\n\
             \x20     # What browsers are told: no sniffing, no framing.\n\
             \x20     security_headers: {}\n",
        );
        self.write_waf(text);
        text.push_str(
            "\x20     # How much one client may ask. Choose what your API needs.\n\
             \x20     # rate_limit:\n\
             \x20     #   - { name: per-address, key: ip, rate: 100/s, burst: 200 }\n\
             \x20   # operations:\n\
             \x20   #   - match: POST /login\n\
             \x20   #     guards: { rate_limit: [{ name: guesses, key: ip, rate: 10/m }] }\n",
        );
    }

    /// Rules may take what is legitimate for an attack: unless somebody asks for it, they refuse nothing.
    fn write_waf(&self, text: &mut String) {
        let Some(folder) = &self.crs else {
            text.push_str(
                "\x20     # Attacks in requests, by the OWASP Core Rule Set (Debian's package `modsecurity-crs`).\n\
                 \x20     # waf: { rules: [crs], paranoia: 1, mode: monitor }\n",
            );
            return;
        };
        let mode = if self.mode.is_none() { ", mode: monitor" } else { "" };
        let _ = write!(
            text,
            "\x20     # Attacks in requests, by the OWASP Core Rule Set. Watch what it finds before it may refuse.\n\
             \x20     waf: {{ rules: [crs], crs: {}{mode} }}\n",
            quoted(&format!("file:{folder}")),
        );
    }
}

/// A YAML double-quoted scalar; plain where nothing could be misread. `$` of a variable is kept as text.
fn quoted(text: &str) -> String {
    let text = text.replace("${", "$${");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if begins
        && text.bytes().all(plain)
        && !["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
    {
        return text;
    }
    serde_json::Value::String(text).to_string()
}
