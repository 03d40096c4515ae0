//! What may be revoked, the same for the admin API and the command line.

use std::sync::Arc;

use bartizan_model::{
    Timestamp,
    revocation::{DIGEST, Revocation, Revoked},
    units::Period,
};
use bartizan_store::is_digest;
use serde::{Deserialize, Serialize};

use crate::bans;

/// Longest name of what is revoked, in bytes, as in tokens.
const MAX_NAME: usize = 1_024;

/// What somebody wants revoked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What it is.
    pub kind: Revoked,
    /// The policy's name of the issuer, `bartizan` for API keys; nothing for a token by its digest.
    #[serde(default)]
    pub issuer: String,
    /// The `jti` or `sha256:` digest, the subject, the `sid`; nothing for an issuer.
    #[serde(default)]
    pub value: String,
    /// Only what was issued before: `now`, or a moment of RFC 3339. An issuer needs it.
    #[serde(default)]
    pub issued_before: Option<String>,
    /// For how long it is remembered; without it, until it is lifted.
    #[serde(default, rename = "for")]
    pub period: Option<Period>,
    /// Why.
    pub reason: String,
}

/// A checked entry, made now.
///
/// # Errors
/// One sentence that says what to write.
pub fn revocation(asked: &Asked, by: &str, now: Timestamp) -> Result<Revocation, String> {
    let (kind, issuer, value) = (asked.kind, asked.issuer.as_str(), asked.value.as_str());
    let named =
        |text: &str| !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
    match kind {
        Revoked::Issuer if !value.is_empty() => {
            return Err("an issuer is named by `issuer` alone".to_owned());
        }
        Revoked::Issuer => {}
        Revoked::Token if value.starts_with(DIGEST) && (!is_digest(value) || !issuer.is_empty()) => {
            return Err(
                "a digest is `sha256:` and 64 lower-case hexadecimal digits, and needs no issuer".to_owned()
            );
        }
        _ if !named(value) => {
            return Err(format!("what is revoked has a name of 1 to {MAX_NAME} bytes on one line"));
        }
        _ => {}
    }
    if !named(issuer) && !value.starts_with(DIGEST) {
        return Err("name the issuer as the policy does, or `bartizan` for API keys".to_owned());
    }
    if asked.period.is_some_and(|period| period.0.is_zero()) {
        return Err(
            "it lasts longer than nothing; write `for` as `30d`, or leave it out for no end".to_owned()
        );
    }
    let issued_before = match asked.issued_before.as_deref() {
        None if kind == Revoked::Issuer => {
            return Err(
                "say by `issued_before` which tokens of the issuer; to refuse all for good, retire it in the policy"
                    .to_owned(),
            );
        }
        None => None,
        Some("now") => Some(now),
        Some(text) => Some(text.parse()?),
    };
    Ok(Revocation {
        kind,
        issuer: Arc::from(issuer),
        value: Arc::from(value),
        issued_before,
        until: asked.period.map(|period| now.plus(period.0)),
        reason: bans::reason(&asked.reason)?,
        created: now,
        by: by.to_owned(),
    })
}

/// What is revoked, in a few words.
#[must_use]
pub fn name(kind: Revoked, issuer: &str, value: &str) -> String {
    match (kind, issuer) {
        (Revoked::Issuer, _) => format!("issuer `{issuer}`"),
        (_, "") => format!("{} `{value}`", kind.as_str()),
        _ => format!("{} `{value}` of issuer `{issuer}`", kind.as_str()),
    }
}

/// An entry in one line, for the log of changes and for people.
#[must_use]
pub fn told(entry: &Revocation) -> String {
    let mut text = name(entry.kind, &entry.issuer, &entry.value);
    if let Some(before) = entry.issued_before {
        text.push_str(&format!(", issued before {before}"));
    }
    if let Some(until) = entry.until {
        text.push_str(&format!(", until {until}"));
    }
    format!("{text}: {}", entry.reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    fn asked(kind: Revoked, issuer: &str, value: &str) -> Asked {
        Asked {
            kind,
            issuer: issuer.to_owned(),
            value: value.to_owned(),
            issued_before: None,
            period: None,
            reason: "theft".to_owned(),
        }
    }

    #[test]
    fn entries_say_what_they_mean() {
        let now = Timestamp::from_seconds(100);
        let make = |asked: Asked| revocation(&asked, "test", now);
        assert_eq!(
            told(&make(asked(Revoked::Subject, "corp", "alice")).unwrap()),
            "subject `alice` of issuer `corp`: theft"
        );
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(make(asked(Revoked::Token, "", &digest)).is_ok());
        let before = Asked { issued_before: Some("now".to_owned()), ..asked(Revoked::Issuer, "corp", "") };
        assert_eq!(make(before).unwrap().issued_before, Some(now));
        for wrong in [
            asked(Revoked::Subject, "", "alice"),
            asked(Revoked::Subject, "corp", ""),
            asked(Revoked::Session, "corp", "a\nb"),
            asked(Revoked::Token, "corp", &digest),
            asked(Revoked::Token, "", "sha256:12"),
            asked(Revoked::Issuer, "corp", ""),
            asked(Revoked::Issuer, "corp", "x"),
            Asked { reason: String::new(), ..asked(Revoked::Subject, "corp", "alice") },
            Asked { issued_before: Some("yesterday".to_owned()), ..asked(Revoked::Subject, "corp", "alice") },
        ] {
            assert!(make(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
