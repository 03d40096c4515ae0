//! The settings of `signature`.

use std::{fmt, marker::PhantomData};

use bartizan_model::{ByteSize, FileReference, Period, SecretReference};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer, SeqAccess, Visitor},
};

use super::keys::Algorithm;

/// A signature over the request (RFC 9421), by a key that is named here or enrolled by `bartizan clients`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signature {
    /// Keys, by the `keyid` that signatures name them with.
    pub keys: Vec<Key>,
    /// Whether keys that were enrolled by `bartizan clients enroll` are accepted. Default: where no `keys` are named.
    pub enrolled: Option<bool>,
    /// What a signature must cover: fields by their lower-case name, and derived components such as `@method`,
    /// `@target-uri`, `@authority`, `@path`, `@query` or `@query-param;name="id"`. `content-digest` is demanded of
    /// requests that have a body. Default: `["@method", "@target-uri", "content-digest"]`.
    pub components: Vec<String>,
    /// How old a signature may be by its `created`. Default: `5m`.
    pub max_age: Period,
    /// How far clocks may be apart. Default: `30s`.
    pub skew: Period,
    /// Whether `created` must be there: `required` (default) or `optional`, where `expires` will do.
    pub created: Presence,
    /// Whether `expires` must be there: `required` or `optional` (default). It is checked wherever it is.
    pub expires: Presence,
    /// Whether `nonce` must be there: `required` or `optional` (default). A nonce is good once. Without one, a signature
    /// is good once where the method may change something; `GET` and other safe methods may be repeated until `max_age`.
    pub nonce: Presence,
    /// The `tag` that a signature must have: those of other tags are passed over.
    pub tag: Option<String>,
    /// The longest body whose digest is verified. Default: `1MiB`.
    pub max_body: ByteSize,
    /// Whether the fields of the signature are passed on. Default: `true`.
    pub forward_credential: bool,
}

impl Default for Signature {
    fn default() -> Self {
        let seconds = |count| Period(std::time::Duration::from_secs(count));
        Signature {
            keys: Vec::new(),
            enrolled: None,
            components: ["@method", "@target-uri", "content-digest"].map(str::to_owned).to_vec(),
            max_age: seconds(300),
            skew: seconds(30),
            created: Presence::Required,
            expires: Presence::Optional,
            nonce: Presence::Optional,
            tag: None,
            max_body: ByteSize(1 << 20),
            forward_credential: true,
        }
    }
}

/// Whether something must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// A key of a client.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What signatures name as `keyid`.
    pub id: String,
    /// The algorithm: `ed25519`, `ecdsa-p256-sha256`, `ecdsa-p384-sha384`, `rsa-pss-sha512`, `rsa-v1_5-sha256` or
    /// `hmac-sha256`.
    pub algorithm: Algorithm,
    /// The public key: a file with PEM or a JWK, or several while keys are rotated. Not for `hmac-sha256`.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<FileReference>")]
    pub public_key: Vec<FileReference>,
    /// The shared secret of `hmac-sha256`, or several while secrets are rotated.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<SecretReference>")]
    pub secret: Vec<SecretReference>,
    /// Who signs with it: the principal's subject. Default: the `id`.
    #[serde(default)]
    pub subject: Option<String>,
    /// What the caller may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The caller's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The caller's tenant.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// One, or a list: how a schema tells it.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "INVARIANT: only its schema is used")]
pub(in super::super) enum OneOrMore<T> {
    /// One.
    One(T),
    /// Several.
    More(Vec<T>),
}

/// Reads one text or a list of texts. What is wrong with one of them is said as that type says it.
pub(in super::super) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Either<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a reference, or a list of them")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            T::deserialize(text.into_deserializer()).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = entries.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Either(PhantomData))
}
