//! What a refused caller is asked for: `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750 section 3).

use bartizan_model::CredentialKind;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::reason::Why;

/// When a key set that could not be fetched is worth asking for again, in seconds: the store fetches no sooner.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("30");

/// What a signature must cover (RFC 9421 section 5.1).
const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// The kinds of credential that an operation accepts, as challenges.
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    realm: String,
    bearer: bool,
    api_keys: Vec<HeaderName>,
    /// Schemes of proofs.
    proofs: Vec<String>,
    /// What signatures must cover.
    accept_signature: Option<String>,
    /// The algorithms of DPoP proofs, and whether they are always asked for.
    dpop: Option<(String, bool)>,
}

impl Challenges {
    /// For an API of this name; characters that a quoted string cannot hold as they are become `_`.
    pub(super) fn new(api: &str, bearer: bool, api_keys: Vec<HeaderName>) -> Self {
        let quotable =
            |c: char| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' };
        Challenges { realm: api.chars().map(quotable).collect(), bearer, api_keys, ..Challenges::default() }
    }

    /// With what proofs of possession are asked for.
    pub(super) fn with_proofs(
        mut self,
        (proofs, accept_signature): (Vec<String>, Option<String>),
        dpop: Option<(String, bool)>,
    ) -> Self {
        self.proofs = proofs;
        self.accept_signature = accept_signature;
        self.dpop = dpop;
        self
    }

    /// The header fields of a refusal: one challenge per accepted kind. Only the kind that failed carries an error, and
    /// that tells no more than that the token is expired or invalid.
    #[must_use]
    pub fn answer(&self, why: Why) -> Vec<(HeaderName, HeaderValue)> {
        let status = why.info().status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return vec![(RETRY_AFTER, RETRY_AFTER_SECONDS)];
        }
        if let Why::KeyLimit(seconds) = why {
            return vec![(RETRY_AFTER, HeaderValue::from(seconds))];
        }
        let realm = &self.realm;
        let mut challenges = Vec::new();
        if self.bearer {
            challenges.push(format!("Bearer realm=\"{realm}\"{}", bearer_error(why)));
        }
        if status == StatusCode::UNAUTHORIZED {
            challenges.extend(
                self.api_keys.iter().map(|name| format!("ApiKey realm=\"{realm}\", header=\"{name}\"")),
            );
        }
        let flawed = match why {
            Why::Proof(flaw) => flaw.dpop_error(),
            _ => None,
        };
        if let Some((algorithms, always)) = &self.dpop
            && (*always && status == StatusCode::UNAUTHORIZED || flawed.is_some())
        {
            let error = flawed.map_or(String::new(), |error| format!(", error=\"{error}\""));
            challenges.push(format!("DPoP realm=\"{realm}\"{error}, algs=\"{algorithms}\""));
        }
        if status == StatusCode::UNAUTHORIZED {
            let proof = |scheme: &String| match scheme.split_once(' ') {
                Some((scheme, parameters)) => format!("{scheme} {parameters} realm=\"{realm}\""),
                None => format!("{scheme} realm=\"{realm}\""),
            };
            challenges.extend(self.proofs.iter().map(proof));
        }
        let wanted = self.accept_signature.as_ref().filter(|_| status == StatusCode::UNAUTHORIZED);
        let wanted = wanted.and_then(|text| HeaderValue::try_from(text).ok());
        challenges
            .into_iter()
            .filter_map(|text| HeaderValue::try_from(text).ok())
            .map(|value| (WWW_AUTHENTICATE, value))
            .chain(wanted.map(|value| (ACCEPT_SIGNATURE, value)))
            .collect()
    }
}

fn bearer_error(why: Why) -> &'static str {
    match why {
        Why::Proof(flaw) if !flaw.is_of_token() => "",
        Why::Revoked(_, kind) if !matches!(kind, CredentialKind::Jwt | CredentialKind::Opaque) => "",
        Why::Missing
        | Why::BasicCredentials
        | Why::Incomplete
        | Why::KeyMalformed
        | Why::KeyUnknown
        | Why::KeyExpired
        | Why::KeyRevoked
        | Why::KeyRotated
        | Why::KeyTooOld
        | Why::KeyDue(_)
        | Why::KeyShared
        | Why::KeyLimit(_) => "",
        Why::Expired => ", error=\"invalid_token\", error_description=\"the access token has expired\"",
        why if why.info().status == StatusCode::BAD_REQUEST => ", error=\"invalid_request\"",
        _ => ", error=\"invalid_token\", error_description=\"the access token is invalid\"",
    }
}
