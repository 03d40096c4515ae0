//! Asking an issuer about an opaque token (RFC 7662).

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Redacted,
    redacted::shown_url,
    services::{BoxFuture, Introspection},
};

/// An introspection endpoint and how it is asked.
#[derive(Clone)]
pub struct Endpoint {
    /// Where: `https`, or `http` on this machine.
    pub url: Arc<str>,
    /// As whom.
    pub authentication: ClientAuthentication,
    /// One question from connect to the last byte.
    pub timeout: Duration,
    /// Whether an answer as a signed token (RFC 9701) is asked for.
    pub signed: bool,
    /// Tells endpoints with other settings apart; answers are shared under it.
    pub digest: [u8; 32],
}

/// How the gateway shows an endpoint who it is (RFC 6749 section 2.3.1, RFC 7662 section 2.1).
#[derive(Clone)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: id and secret, form-encoded, in `Authorization: Basic`.
    Basic {
        /// The client's id.
        id: Arc<str>,
        /// Its secret.
        secret: Redacted<String>,
    },
    /// `client_secret_post`: id and secret in the body.
    Post {
        /// The client's id.
        id: Arc<str>,
        /// Its secret.
        secret: Redacted<String>,
    },
    /// An access token of the gateway's own.
    Bearer(Redacted<String>),
}

/// As it may be told.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &shown_url(&self.url)).finish_non_exhaustive()
    }
}

/// What an endpoint answered with 200.
#[derive(Clone, Debug)]
pub struct Response {
    /// Whether the body is a signed token (`application/token-introspection+jwt`).
    pub signed: bool,
    /// At most 64 KiB.
    pub body: Arc<[u8]>,
}

/// The endpoint did not answer as it must. Text for operators; no token or secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// Where nothing is served, nobody is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyAsked;

impl Introspection for NobodyAsked {
    fn ask<'a>(
        &'a self,
        _: &'a Arc<Endpoint>,
        _: &'a Redacted<String>,
    ) -> BoxFuture<'a, Result<Response, Unavailable>> {
        Box::pin(std::future::ready(Err(Unavailable("nobody is asked here".to_owned()))))
    }
}
