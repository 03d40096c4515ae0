//! What guards see of a body: held once, under a budget, for all of them.

use bytes::Bytes;

/// The beginning of a body, or all of it.
#[derive(Clone, Debug, Default)]
pub struct HeldBody {
    /// What is held; empty where there is no body, or where it is a stream that is not held.
    pub bytes: Bytes,
    /// Whether this is all of it.
    pub whole: bool,
}
