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
