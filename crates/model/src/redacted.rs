//! Secrets as typed values that cannot reach a log, an event or an error text.

use std::sync::Arc;

use zeroize::Zeroize;

/// A secret. It has no `Debug`, `Display` or `Serialize`: whatever would print it does not compile.
///
/// Read it with [`Redacted::expose`] where the secret itself is needed (to compare or to send it on), and describe it
/// anywhere else by [`TokenKey::token`]. The memory is wiped when the value is dropped.
pub struct Redacted<T: Zeroize>(T);

impl<T: Zeroize> Redacted<T> {
    /// Wraps a secret.
    pub fn new(secret: T) -> Self {
        Redacted(secret)
    }

    /// The secret itself. The name is the warning: each call is worth a second look.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + Clone> Clone for Redacted<T> {
    fn clone(&self) -> Self {
        Redacted(self.0.clone())
    }
}

impl<T: Zeroize> Drop for Redacted<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A URL as it may be told: `***` for its user (RFC 3986 section 3.2.1) and for its query, which keys travel in.
///
/// What is no URL is searched the same way, so that a mistyped one tells no more.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let (before, query) = match url.find(['?', '#']) {
        Some(at) => url.split_at_checked(at).unwrap_or((url, "")),
        None => (url, ""),
    };
    let (scheme, rest) = before.split_once("://").map_or(("", before), |(scheme, rest)| (scheme, rest));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    };
    let mut out = String::with_capacity(url.len());
    if !scheme.is_empty() {
        out.push_str(scheme);
        out.push_str("://");
    }
    match authority.rsplit_once('@') {
        Some((_, host)) => {
            out.push_str("***@");
            out.push_str(host);
        }
        None => out.push_str(authority),
    }
    out.push_str(path);
    if !query.is_empty() {
        out.push_str("?***");
    }
    out
}

/// A keyed hash over bytes; the implementation lives with the store.
pub trait KeyedHash: Send + Sync {
    /// At least 64 bits of a keyed, collision-resistant hash of `input`.
    fn hash(&self, input: &[u8]) -> u64;
}

/// Turns equal secrets into equal tokens, so that they can be correlated but not read.
#[derive(Clone)]
pub struct TokenKey(Arc<dyn KeyedHash>);

impl TokenKey {
    /// Wraps the keyed hash of this installation.
    #[must_use]
    pub fn new(hash: Arc<dyn KeyedHash>) -> Self {
        TokenKey(hash)
    }

    /// `~` and 12 hexadecimal digits: the same for the same secret under the same key.
    #[must_use]
    pub fn token(&self, secret: &[u8]) -> String {
        format!("~{:012x}", self.0.hash(secret) >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::shown_url;

    #[test]
    fn urls_are_told_without_user_and_query() {
        for (url, shown) in [
            ("https://id.example/keys", "https://id.example/keys"),
            ("https://id.example/keys?key=hunter2", "https://id.example/keys?***"),
            ("http://user:p@ss@id.example:8080/a@b", "http://***@id.example:8080/a@b"),
            ("http://id.example?x=http://a@b/", "http://id.example?***"),
            ("http://id.example/#hunter2", "http://id.example/?***"),
            ("user:hunter2@id.example", "***@id.example"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
