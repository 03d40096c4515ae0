//! Where an issuer's keys are: its metadata (OpenID Connect Discovery 1.0, RFC 8414), which somebody else writes and which
//! therefore may not lead anywhere it likes.

use std::net::IpAddr;

use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Deserialize;

use crate::client::{Call, Reach, is_private};

/// The largest metadata document, in bytes.
const MAX_METADATA: usize = 256 * 1024;

/// What is read of metadata; a member that is there twice is an error.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// The key set of an issuer, of at most `most` bytes.
pub(crate) async fn key_set(issuer: &str, most: usize) -> Result<Bytes, String> {
    let (metadata, from) = metadata(issuer).await?;
    if metadata.issuer != issuer {
        return Err("the issuer's metadata names another `issuer`".to_owned());
    }
    let reach = reach(issuer, &metadata.jwks_uri, from)?;
    get(&metadata.jwks_uri, most, reach).await
}

/// The document at a URL, of at most `most` bytes.
pub(crate) async fn get(url: &str, most: usize, reach: Reach) -> Result<Bytes, String> {
    let answer = Call::get(url, most, reach).send(None).await?;
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status if status.is_redirection() => Err(format!(
            "answered {status}: redirects are not followed, write the address of the key set itself"
        )),
        status => Err(format!("answered {status}")),
    }
}

/// The first of the well-known documents that is there, and the address that it came from.
async fn metadata(issuer: &str) -> Result<(Metadata, IpAddr), String> {
    let mut problem = String::new();
    for url in well_known(issuer)? {
        let answer = Call::get(&url, MAX_METADATA, Reach::Anywhere).send(None).await?;
        if answer.status == StatusCode::OK {
            let metadata = serde_json::from_slice(&answer.body).map_err(|e| {
                format!("the issuer's metadata is not a JSON object with `issuer` and `jwks_uri`: {e}")
            })?;
            return Ok((metadata, answer.peer));
        }
        problem = format!("the issuer's metadata: answered {}", answer.status);
        // Only an issuer that is there and does not know the document is asked for another.
        if !answer.status.is_client_error() {
            break;
        }
    }
    Err(problem)
}

/// Where metadata may be: OpenID Connect Discovery section 4 appends, RFC 8414 section 3.1 puts it between host and path.
fn well_known(issuer: &str) -> Result<Vec<String>, String> {
    let uri: Uri = issuer.parse().map_err(|_| "the issuer is not a URL".to_owned())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the issuer is not a URL".to_owned());
    };
    if uri.query().is_some() {
        return Err("the issuer has a query, which no issuer has (RFC 8414 section 2)".to_owned());
    }
    let path = uri.path().trim_end_matches('/');
    let origin = format!("{scheme}://{authority}");
    let mut all = vec![
        format!("{origin}{path}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ];
    if !path.is_empty() {
        all.push(format!("{origin}/.well-known/openid-configuration{path}"));
    }
    Ok(all)
}

/// How far the key set may be from the issuer, whose metadata came from the address `from`: on the same host anywhere; else
/// as far inside as the issuer itself is, and in cleartext only where that is this machine.
fn reach(issuer: &str, keys: &str, from: IpAddr) -> Result<Reach, String> {
    let parse =
        |text: &str| text.parse::<Uri>().map_err(|_| "the issuer's `jwks_uri` is not a URL".to_owned());
    let (issuer, keys) = (parse(issuer)?, parse(keys)?);
    let cleartext = match keys.scheme_str() {
        Some("https") => false,
        Some("http") => true,
        _ => return Err("the issuer's `jwks_uri` is not a URL".to_owned()),
    };
    if cleartext && !(from.is_loopback() && issuer.scheme_str() == Some("http")) {
        return Err("the issuer's `jwks_uri` is in cleartext: keys could be forged on the way".to_owned());
    }
    let same = issuer.host().zip(keys.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    Ok(match from {
        _ if same => Reach::Anywhere,
        from if from.is_loopback() => Reach::Anywhere,
        from if is_private(from) => Reach::Private,
        _ => Reach::Public,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn both_well_known_forms_are_looked_for() {
        assert_eq!(
            well_known("https://id.example.com/realms/one/").unwrap(),
            [
                "https://id.example.com/realms/one/.well-known/openid-configuration",
                "https://id.example.com/.well-known/oauth-authorization-server/realms/one",
                "https://id.example.com/.well-known/openid-configuration/realms/one",
            ]
        );
        assert_eq!(well_known("https://id.example.com").unwrap().len(), 2);
        assert!(well_known("https://id.example.com/?tenant=1").is_err());
        assert!(well_known("id").is_err());
    }

    #[test]
    fn metadata_leads_no_further_inside_than_the_issuer_is() {
        let of = |keys: &str, from: &str| reach("https://id.example.com", keys, from.parse().unwrap());
        assert_eq!(of("https://keys.example.com/", "203.0.114.1"), Ok(Reach::Public));
        assert_eq!(of("https://169.254.169.254/", "203.0.114.1"), Ok(Reach::Public));
        assert_eq!(of("https://keys.example.com/", "10.0.0.1"), Ok(Reach::Private));
        assert_eq!(of("https://ID.example.com/keys", "10.0.0.1"), Ok(Reach::Anywhere));
        assert!(of("http://id.example.com/keys", "203.0.114.1").is_err());
        assert!(of("file:///etc/passwd", "203.0.114.1").is_err());
        let local = |keys: &str| reach("http://127.0.0.1:9000", keys, "127.0.0.1".parse().unwrap());
        assert_eq!(local("http://127.0.0.1:9000/jwks"), Ok(Reach::Anywhere));
    }
}
