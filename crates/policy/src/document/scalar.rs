//! Scalars of the document that are more than text.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use http::HeaderName;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

macro_rules! from_text {
    ($name:ident, $about:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $about })
            }
        }
    };
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse().map(Address).map_err(|_| {
            format!(
                "`{text}` is not an address with a port; write `0.0.0.0:8080`, `127.0.0.1:8080` or `[::]:8080`"
            )
        })
    }
}

from_text!(Address, "an address with a port: `0.0.0.0:8080`, `[::]:8443`");

/// A network in CIDR form, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Network(IpNet::from(ip)));
        }
        text.parse().map(Network).map_err(|_| {
            format!("`{text}` is not a network; write `10.0.0.0/8`, `2001:db8::/32` or a single address")
        })
    }
}

from_text!(Network, "a network or an address: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`");

/// A header's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderText(pub HeaderName);

impl FromStr for HeaderText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(HeaderText)
            .map_err(|_| format!("`{text}` is not a header name; write letters, digits and `-`"))
    }
}

from_text!(HeaderText, "a header name: `X-Tenant`");

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In this SQLite file.
    Sqlite(String),
    /// Nowhere beyond the process.
    Memory,
}

impl Default for Storage {
    fn default() -> Self {
        Storage::Sqlite("var/bartizan.db".to_owned())
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Storage::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Storage::Sqlite(path.to_owned())),
            Some((scheme @ ("postgres" | "postgresql"), _)) => Err(format!(
                "`{scheme}` storage is not available in this version; write `sqlite:var/bartizan.db` or `memory`"
            )),
            _ => Err("this is not a known storage; write `sqlite:var/bartizan.db` or `memory`".to_owned()),
        }
    }
}

from_text!(Storage, "`sqlite:PATH` or `memory`");

/// Where limits are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedState;

impl FromStr for SharedState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split(':').next() {
            Some("memory") if text == "memory" => Ok(SharedState),
            Some(scheme @ ("redis" | "rediss" | "valkey")) => {
                Err(format!("`{scheme}` shared state is not available in this version; write `memory`"))
            }
            _ => Err("this is not a known shared state; write `memory`".to_owned()),
        }
    }
}

from_text!(SharedState, "`memory`");

/// A block that is read elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opaque;

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Opaque)
    }
}

impl JsonSchema for Opaque {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Opaque")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }

    fn inline_schema() -> bool {
        true
    }
}
