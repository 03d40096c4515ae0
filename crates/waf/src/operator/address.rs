//! Addresses in networks: `@ipMatch` and `@ipMatchFromFile`.

use std::net::{IpAddr, Ipv4Addr};

use bartizan_pattern::ip::IpSet;
use ipnet::IpNet;

use crate::files::Files;

/// Up to this many networks are compared one by one, which is quicker and smaller than the index of a set.
const FEW: usize = 16;

/// The networks of one operator.
#[derive(Debug)]
pub(super) enum Addresses {
    Few(Vec<IpNet>),
    /// The set, which takes a mapped IPv4 address as the address that it maps; and the networks so wide that they hold
    /// all mapped addresses as such.
    Many(Box<IpSet>, Vec<IpNet>),
}

impl Addresses {
    /// `192.0.2.1,2001:db8::/32`
    pub(super) fn inline(argument: &[u8]) -> Result<Self, String> {
        let parts = argument.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let networks: Vec<_> =
            parts.filter(|part| !part.is_empty()).map(network).collect::<Result<_, _>>()?;
        if networks.is_empty() {
            return Err("it needs an address: write `192.0.2.0/24`, several with commas".to_owned());
        }
        Ok(Self::new(networks))
    }

    /// One network per line; what follows `#`, and empty lines, do not count.
    pub(super) fn from_files(argument: &[u8], files: &dyn Files) -> Result<Self, String> {
        let mut networks = Vec::new();
        for (name, content) in super::phrase::read(argument, files)? {
            for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
                let text = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
                if !text.is_empty() {
                    networks.push(network(text).map_err(|error| format!("{name}:{}: {error}", index + 1))?);
                }
            }
        }
        Ok(Self::new(networks))
    }

    fn new(networks: Vec<IpNet>) -> Self {
        if networks.len() <= FEW {
            return Self::Few(networks);
        }
        let mapped = IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());
        let wide = networks.iter().filter(|network| network.contains(&mapped)).copied().collect();
        Self::Many(Box::new(IpSet::new(networks)), wide)
    }

    /// Whether `value` is an address in one of the networks.
    #[inline(never)]
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let Some(address) = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok())
        else {
            return false;
        };
        let canonical = address.to_canonical();
        match self {
            Self::Few(networks) => {
                networks.iter().any(|network| network.contains(&canonical) || network.contains(&address))
            }
            Self::Many(set, wide) => {
                set.contains(canonical) || wide.iter().any(|network| network.contains(&address))
            }
        }
    }
}

fn network(text: &[u8]) -> Result<IpNet, String> {
    let text = String::from_utf8_lossy(text);
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let network =
        network.ok_or_else(|| format!("`{text}` is no address or network: write `192.0.2.0/24`"))?;
    Ok(match network {
        // An address is looked up in the form that it maps (RFC 4291, section 2.5.5.2).
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(network),
            None => network,
        },
        network => network,
    })
}
