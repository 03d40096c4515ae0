//! From host and path to the API.

use std::collections::HashMap;

/// Chooses the API by host and canonical path: an exact host before `*.suffix` (the longest first) before any host; of
/// one host's APIs the one with the longest base path.
#[derive(Clone, Debug, Default)]
pub struct HostRouter {
    exact: HashMap<String, Vec<Mount>>,
    /// By suffix with its leading dot, the longest first.
    suffixes: Vec<(String, Vec<Mount>)>,
    any: Vec<Mount>,
}

/// An API below a base path; the longest first in each list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    base_path: String,
    api: usize,
}

impl HostRouter {
    /// Adds an API, or answers the index of the one that has this host and base path already.
    pub(crate) fn insert(&mut self, host: Option<&str>, base_path: &str, api: usize) -> Result<(), usize> {
        let mounts = match host {
            None => &mut self.any,
            Some(host) => match host.strip_prefix('*') {
                None => self.exact.entry(host.to_owned()).or_default(),
                Some(suffix) => {
                    let at = self.suffixes.iter().position(|(known, _)| known == suffix);
                    let at = at.unwrap_or_else(|| {
                        let at = self.suffixes.partition_point(|(known, _)| known.len() >= suffix.len());
                        self.suffixes.insert(at, (suffix.to_owned(), Vec::new()));
                        at
                    });
                    match self.suffixes.get_mut(at) {
                        Some((_, mounts)) => mounts,
                        None => return Ok(()),
                    }
                }
            },
        };
        if let Some(other) = mounts.iter().find(|mount| mount.base_path == base_path) {
            return Err(other.api);
        }
        let at = mounts.partition_point(|mount| mount.base_path.len() >= base_path.len());
        mounts.insert(at, Mount { base_path: base_path.to_owned(), api });
        Ok(())
    }

    /// The index of the API in `Snapshot::apis`. `host` may carry a port and a final dot; case does not matter.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let exact = self.exact.get(&host).and_then(|mounts| choose(mounts, path));
        let suffix = || {
            self.suffixes
                .iter()
                .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
                .find_map(|(_, mounts)| choose(mounts, path))
        };
        exact.or_else(suffix).or_else(|| choose(&self.any, path))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            // `[::1]:80` has a port, a bare `::1` none.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// The mount whose base path is the path or ends at one of its slashes.
fn choose(mounts: &[Mount], path: &str) -> Option<usize> {
    mounts
        .iter()
        .find(|mount| {
            path.strip_prefix(mount.base_path.as_str())
                .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
        .map(|mount| mount.api)
}
