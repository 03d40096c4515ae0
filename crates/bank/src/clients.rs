//! The programs that may ask for tokens: registered public clients, and what a scope grants.

use std::fmt;

use axum::http::Uri;

/// A registered client. All are public (RFC 6749 section 2.1): they have no secret, and PKCE in its place.
pub struct Client {
    pub id: &'static str,
    pub redirect_uri: &'static str,
}

/// A program that listens on loopback on a port of its choice (RFC 8252 section 7.3), and an app with a scheme of its own
/// (section 7.1).
const CLIENTS: [Client; 2] = [
    Client { id: "bank-web", redirect_uri: "http://127.0.0.1/callback" },
    Client { id: "bank-app", redirect_uri: "com.example.bank:/callback" },
];

/// The client of this id.
pub fn client(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

impl Client {
    /// Whether an address may be sent to: exactly the registered one (RFC 9700 section 2.1), but for the port of a loopback
    /// address.
    pub fn may_return_to(&self, uri: &str) -> bool {
        if uri == self.redirect_uri {
            return true;
        }
        let Some(path) = self.redirect_uri.strip_prefix("http://127.0.0.1") else { return false };
        let Some(rest) = uri.strip_prefix("http://127.0.0.1:").or_else(|| uri.strip_prefix("http://[::1]:"))
        else {
            return false;
        };
        rest.strip_suffix(path)
            .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
            && uri.parse::<Uri>().is_ok()
    }
}

/// The scopes that can be asked for.
pub const SCOPES: [&str; 6] = ["openid", "profile", "email", "offline_access", "read", "write"];

/// What a token grants: some of [`SCOPES`], in their order. `write` includes reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<&'static str>);

impl Scopes {
    /// The scopes that a parameter names. `None` where one is unknown.
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.split(' ').filter(|word| !word.is_empty()).all(|word| SCOPES.contains(&word));
        known.then(|| {
            Scopes(SCOPES.into_iter().filter(|scope| text.split(' ').any(|word| word == *scope)).collect())
        })
    }

    pub fn has(&self, scope: &str) -> bool {
        self.0.contains(&scope)
    }

    /// Whether nothing is in these that is not in `granted`.
    pub fn within(&self, granted: &Scopes) -> bool {
        self.0.iter().all(|scope| granted.has(scope))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_addresses_are_returned_to() {
        let (web, app) = (client("bank-web").expect("known"), client("bank-app").expect("known"));
        for right in
            ["http://127.0.0.1/callback", "http://127.0.0.1:5000/callback", "http://[::1]:80/callback"]
        {
            assert!(web.may_return_to(right), "{right}");
        }
        for wrong in [
            "http://127.0.0.1:5000/callback/",
            "http://127.0.0.1:5000/callback?x=1",
            "http://127.0.0.1:5000/callback#x",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:80@evil.example/callback",
            "http://127.0.0.1.evil.example/callback",
            "https://127.0.0.1:5000/callback",
            "http://localhost:5000/callback",
            "http://127.0.0.1:/callback",
            "com.example.bank:/callback",
        ] {
            assert!(!web.may_return_to(wrong), "{wrong}");
        }
        assert!(app.may_return_to("com.example.bank:/callback"));
        assert!(!app.may_return_to("http://127.0.0.1:5000/callback"));
        assert!(client("other").is_none());
    }

    #[test]
    fn scopes_are_sets() {
        let all = Scopes::parse("write openid write").expect("known");
        assert_eq!(all.to_string(), "openid write");
        assert!(Scopes::parse("openid").expect("known").within(&all));
        assert!(!Scopes::parse("read").expect("known").within(&all));
        assert_eq!(Scopes::parse("admin"), None);
    }
}
