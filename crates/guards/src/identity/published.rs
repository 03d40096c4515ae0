//! Signing keys that everybody has: the examples of standards and tools. Whoever accepts one lets everybody in.

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::jws::Algorithm;

/// A published key.
pub(super) struct Published {
    /// Where it is from.
    pub name: &'static str,
    private: Private,
}

enum Private {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

/// Name, private part, public part: base64url.
const P256: [(&str, &str, &str, &str); 2] = [
    (
        "RFC 7515 appendix A.3",
        "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ),
    (
        "the ES256 example of jwt.io",
        "evZzL1gdAFr88hb2OF_2NxApJCzGCEDdfSp6VQO30hw",
        "EVs_o5-uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf84",
        "kGe5DgSIycKp8w9aJmoHhB1sB3QTugfnRWm5nU_TzsY",
    ),
];

const ED25519: [(&str, &str, &str); 1] = [(
    "RFC 8037 appendix A.1",
    "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
)];

/// The secret of RFC 7515 appendix A.1, base64url.
const RFC_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// Characters that a secret is made of by holding one key down, as long as HS256 and HS512 demand.
const HELD: [&str; 4] = ["a", "x", "0", "1"];

/// Secrets of examples and guesses. Those too short for their algorithm are refused when the policy is compiled.
const SECRETS: [&str; 10] = [
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "12345678901234567890123456789012",
    "passwordpasswordpasswordpassword",
    "secretsecretsecretsecretsecretsecret",
    "changemechangemechangemechangeme",
    "secretsecretsecretsecretsecretse",
];

/// All of them.
pub(super) fn keys() -> &'static [Published] {
    static KEYS: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let p256 = P256.iter().filter_map(|(name, d, x, y)| {
            let point = [vec![4], decode(x), decode(y)].concat();
            let pair = EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &decode(d),
                &point,
            );
            Some(Published { name, private: Private::P256(pair.ok()?) })
        });
        let ed25519 = ED25519.iter().filter_map(|(name, d, x)| {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&decode(d), &decode(x));
            Some(Published { name, private: Private::Ed25519(pair.ok()?) })
        });
        let rfc = Published { name: "RFC 7515 appendix A.1", private: Private::Secret(decode(RFC_SECRET)) };
        let secrets = SECRETS.iter().map(|text| Published {
            name: "a secret of examples",
            private: Private::Secret(text.as_bytes().to_vec()),
        });
        let held = HELD.iter().flat_map(|key| [32, 64].map(|length| key.repeat(length)));
        let held = held.map(|text| Published {
            name: "one character repeated",
            private: Private::Secret(text.into_bytes()),
        });
        p256.chain(ed25519).chain([rfc]).chain(secrets).chain(held).collect()
    });
    &KEYS
}

impl Published {
    /// Whether it can sign by this algorithm, with a key that would be long enough (RFC 7518 section 3.2).
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match &self.private {
            Private::P256(_) => algorithm == Algorithm::Es256,
            Private::Ed25519(_) => matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519),
            Private::Secret(secret) => {
                algorithm.hmac().is_some_and(|hash| secret.len() >= hash.digest_algorithm().output_len())
            }
        }
    }

    /// The signature of `message`; nothing where it does not fit.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        match &self.private {
            Private::P256(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Private::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Private::Secret(secret) => {
                let key = hmac::Key::new(algorithm.hmac()?, secret);
                Some(hmac::sign(&key, message).as_ref().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_key_is_whole() {
        assert_eq!(keys().len(), P256.len() + ED25519.len() + 1 + SECRETS.len() + 2 * HELD.len());
        for key in keys() {
            let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| key.fits(*algorithm));
            assert!(algorithms.clone().count() > 0, "{}", key.name);
            for algorithm in algorithms {
                assert!(key.sign(algorithm, b"probe").is_some(), "{}", key.name);
            }
        }
    }
}
