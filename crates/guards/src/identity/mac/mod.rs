//! Keyed hashes over requests in the forms that are in use: read from the head, judged with the body where they cover it.

mod aws;
mod config;
#[cfg(test)]
mod tests;
mod webhooks;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use bartizan_model::{
    CompileContext, CredentialKind, Diagnostic, Diagnostics, Principal, Redacted, Timestamp, Transaction,
};
use http::{HeaderName, Method};

pub use config::{Mac, Preset};

use super::{flaw::Flaw, jwks::sha256, mtls::hex, replay, signature::digest::Expected};

/// Bytes of a secret below which guessing is worth a try: what the providers issue is longer.
const MIN_SECRET: usize = 16;

/// Signatures of one field that are looked at: more than are ever sent while secrets are rotated.
const MAX_SIGNATURES: usize = 8;

/// One compiled entry.
pub(super) struct MacVerifier {
    preset: Preset,
    keys: Vec<KnownKey>,
    skew: Duration,
    replay: Duration,
    region: Option<String>,
    service: Option<String>,
    unsigned_payload: bool,
    max_body: usize,
}

/// A key and whose it is.
struct KnownKey {
    id: String,
    secrets: Vec<Redacted<Vec<u8>>>,
    principal: Arc<Principal>,
}

/// What a request claims.
#[derive(Debug)]
pub(super) struct Claim {
    /// Who sends, if what is pending holds.
    pub principal: Arc<Principal>,
    /// What the body must hash to.
    pub digests: Vec<Expected>,
    /// What cannot be judged without the body.
    pub pending: Option<Pending>,
    /// What is used up by this request where the head tells it, and until when that is remembered.
    pub once: Option<(u128, Timestamp)>,
    /// Bytes of the body that are held for it.
    pub max_body: usize,
}

/// A keyed hash that covers the body.
pub(super) struct Pending {
    keys: Vec<hmac::Key>,
    form: Form,
    presented: Vec<Vec<u8>>,
    spent: Spent,
    until: Timestamp,
}

/// What tells that a request was accepted before.
enum Spent {
    /// A nonce, under its key in the table.
    Nonce(u128),
    /// What is hashed, of the key of this kind and id. Not the hash: a request may show several, and somebody who replays it
    /// may add to them, or leave some out.
    Message { kind: &'static str, id: String },
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// What is hashed.
enum Form {
    /// This, and then the body.
    Before(Vec<u8>),
    /// This, and then the SHA-256 of the body in hex.
    Hashed(Vec<u8>),
    /// AWS: the string to sign up to the hash of the canonical request, and that up to the hash of the body.
    Aws { to_sign: String, canonical: String },
}

impl Pending {
    /// What is used up where one of the keys made one of the presented hashes over this body. Compared in constant time.
    ///
    /// # Errors
    /// [`Flaw::SignatureMismatch`].
    pub(super) fn judge(&self, body: &[u8]) -> Result<(u128, Timestamp), Flaw> {
        let message = match &self.form {
            Form::Before(before) => [before.as_slice(), body].concat(),
            Form::Hashed(before) => [before.as_slice(), hex(&sha256(&[body])).as_bytes()].concat(),
            Form::Aws { to_sign, canonical } => {
                let canonical = format!("{canonical}{}", hex(&sha256(&[body])));
                format!("{to_sign}{}", hex(&sha256(&[canonical.as_bytes()]))).into_bytes()
            }
        };
        if !any_holds(&self.keys, &message, &self.presented) {
            return Err(Flaw::SignatureMismatch);
        }
        let spent = match &self.spent {
            Spent::Nonce(nonce) => *nonce,
            Spent::Message { kind, id } => replay::key(kind, id.as_bytes(), &message),
        };
        Ok((spent, self.until))
    }
}

/// Whether one of the keys made one of the tags. `hmac::verify` compares in constant time.
fn any_holds(keys: &[hmac::Key], message: &[u8], presented: &[Vec<u8>]) -> bool {
    keys.iter().any(|key| presented.iter().any(|tag| hmac::verify(key, message, tag).is_ok()))
}

impl MacVerifier {
    pub(super) fn compile(
        config: &Mac,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let at = format!("{path}.hmac");
        let preset = config.preset;
        let mut secrets = |references: &[bartizan_model::SecretReference], at: &str| {
            let mut found = Vec::new();
            for reference in references {
                match secret(preset, reference, context) {
                    Ok(secret) => found.push(secret),
                    Err(text) => problems.push(Diagnostic::error(at, text)),
                }
            }
            found
        };
        let mut keys = Vec::new();
        let texts = |list: &[String]| list.iter().map(|text| Arc::from(text.as_str())).collect();
        let mut named_twice = Vec::new();
        for (index, key) in config.keys.iter().enumerate() {
            if config.keys.iter().take(index).any(|known| known.id == key.id) {
                named_twice.push((index, key.id.clone()));
            }
            let subject = key.subject.as_deref().unwrap_or(&key.id);
            let principal = Principal {
                scopes: texts(&key.scopes),
                roles: texts(&key.roles),
                tenant: key.tenant.as_deref().map(Arc::from),
                credential_id: Some(Arc::from(key.id.as_str())),
                ..Principal::new(CredentialKind::Signature, Arc::from("bartizan"), Arc::from(subject))
            };
            keys.push(KnownKey {
                id: key.id.clone(),
                secrets: secrets(&key.secret, &format!("{at}.keys[{index}].secret")),
                principal: Arc::new(principal),
            });
        }
        if !preset.is_keyed() {
            let subject = config.subject.as_deref().unwrap_or(preset.name());
            keys.push(KnownKey {
                id: String::new(),
                secrets: secrets(&config.secret, &format!("{at}.secret")),
                principal: Arc::new(Principal::new(
                    CredentialKind::Signature,
                    Arc::from("bartizan"),
                    Arc::from(subject),
                )),
            });
        }
        for (index, id) in named_twice {
            problems.push(
                Diagnostic::error(format!("{at}.keys[{index}].id"), format!("two keys have the id `{id}`"))
                    .help("give each key an id of its own; a key that is rotated has several `secret`s"),
            );
        }
        let (wanted, unwanted) = if preset.is_keyed() {
            ((config.keys.is_empty(), "keys"), (!config.secret.is_empty(), "secret"))
        } else {
            ((config.secret.is_empty(), "secret"), (!config.keys.is_empty(), "keys"))
        };
        let name = preset.name();
        if wanted.0 {
            problems.push(Diagnostic::error(&at, format!("`{name}` needs `{}`", wanted.1)).help(
                if preset.is_keyed() {
                    "write `keys: [{ id: .., secret: env:NAME }]`"
                } else {
                    "write `secret: env:NAME`"
                },
            ));
        }
        if unwanted.0 {
            problems.push(
                Diagnostic::error(
                    format!("{at}.{}", unwanted.1),
                    format!("`{name}` has no `{}`", unwanted.1),
                )
                .help(format!("write `{}`", wanted.1)),
            );
        }
        problems.or(MacVerifier {
            preset,
            keys,
            skew: config.skew.0,
            replay: config.replay.0,
            region: config.region.clone(),
            service: config.service.clone(),
            unsigned_payload: config.unsigned_payload == super::mtls::InDoubt::Allow,
            max_body: usize::try_from(config.max_body.0).unwrap_or(usize::MAX),
        })
    }

    /// The preset's name, for challenges.
    pub(super) fn name(&self) -> &'static str {
        self.preset.name()
    }

    /// The field that holds the signature.
    pub(super) fn field(&self) -> HeaderName {
        match self.preset {
            Preset::AwsSigv4 => http::header::AUTHORIZATION,
            Preset::Github => webhooks::GITHUB,
            Preset::Stripe => webhooks::STRIPE,
            Preset::StandardWebhooks => webhooks::WEBHOOK_SIGNATURE,
            Preset::Bartizan => webhooks::BARTIZAN,
        }
    }

    /// What the request claims; nothing where it has no signature of this form.
    pub(super) fn read(&self, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
        match self.preset {
            Preset::AwsSigv4 => aws::read(self, transaction),
            Preset::Github => webhooks::github(self, transaction),
            Preset::Stripe => webhooks::stripe(self, transaction),
            Preset::StandardWebhooks => webhooks::standard(self, transaction),
            Preset::Bartizan => webhooks::bartizan(self, transaction),
        }
    }

    fn key(&self, id: &str) -> Result<&KnownKey, Flaw> {
        self.keys.iter().find(|key| key.id == id).ok_or(Flaw::SignatureKey)
    }

    /// Whether a moment is near enough.
    fn check_time(&self, moment: Timestamp, now: Timestamp) -> Result<(), Flaw> {
        if now.plus(self.skew) < moment || moment.plus(self.skew) < now {
            return Err(Flaw::SignatureStale);
        }
        Ok(())
    }

    /// A claim that the body decides.
    fn claim(&self, key: &KnownKey, form: Form, presented: Vec<Vec<u8>>, until: Timestamp) -> Claim {
        let keys =
            key.secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose())).collect();
        let spent = Spent::Message { kind: self.preset.name(), id: key.id.clone() };
        Claim {
            principal: Arc::clone(&key.principal),
            digests: Vec::new(),
            pending: Some(Pending { keys, form, presented, spent, until }),
            once: None,
            max_body: self.max_body,
        }
    }

    /// What of two entries cannot be told apart before the body is there: the same form with other secrets, or for somebody
    /// else, under one key id.
    pub(super) fn clash(&self, other: &MacVerifier) -> Option<&str> {
        if self.preset != other.preset {
            return None;
        }
        let same = |key: &KnownKey, other: &KnownKey| {
            let secrets = |key: &KnownKey| key.secrets.iter().map(|s| s.expose().clone()).collect::<Vec<_>>();
            key.principal == other.principal && secrets(key) == secrets(other)
        };
        let clashes =
            |key: &&KnownKey| other.keys.iter().any(|known| known.id == key.id && !same(key, known));
        self.keys.iter().find(clashes).map(|key| key.id.as_str())
    }
}

/// Webhooks are sent by POST: another method is not what the sender meant, though its hash does not cover it.
fn is_webhook(transaction: &Transaction) -> Result<(), Flaw> {
    if transaction.request.method == Method::POST { Ok(()) } else { Err(Flaw::SignatureComponents) }
}

/// The only value of a field.
fn only<'t>(transaction: &'t Transaction, name: &HeaderName) -> Result<Option<&'t str>, Flaw> {
    let mut values = transaction.request.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|text| Some(text.trim())).map_err(|_| Flaw::SignatureMalformed)
        }
        (Some(_), Some(_)) => Err(Flaw::SignatureMalformed),
    }
}

/// A whole number of seconds.
fn seconds(text: &str) -> Result<Timestamp, Flaw> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten().ok_or(Flaw::SignatureMalformed)?;
    Ok(Timestamp::from_seconds(number))
}

/// The bytes that hex stands for.
fn unhex(text: &str) -> Result<Vec<u8>, Flaw> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !text.len().is_multiple_of(2) {
        return Err(Flaw::SignatureMalformed);
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Ok(digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low)),
            _ => Ok(None),
        })
        .map(|byte: Result<Option<u8>, Flaw>| byte.and_then(|byte| byte.ok_or(Flaw::SignatureMalformed)))
        .collect()
}

/// The secret as it keys the hash: that of Standard Webhooks is base64 behind `whsec_`.
fn secret(
    preset: Preset,
    reference: &bartizan_model::SecretReference,
    context: &CompileContext<'_>,
) -> Result<Redacted<Vec<u8>>, String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = context.files.secret(reference)?;
    let bytes = match preset {
        Preset::StandardWebhooks => {
            let encoded = text.expose().strip_prefix("whsec_").unwrap_or(text.expose());
            STANDARD.decode(encoded).map_err(|_| {
                format!("`{reference}` is not a secret of Standard Webhooks: `whsec_` and base64")
            })?
        }
        _ => text.expose().as_bytes().to_vec(),
    };
    if bytes.len() < MIN_SECRET {
        return Err(format!("`{reference}` is too short: a secret has at least {MIN_SECRET} bytes"));
    }
    Ok(Redacted::new(bytes))
}
