//! Which API and which operation a request belongs to.

use http::Method;

use crate::snapshot::Found;

/// Chooses the API by host and canonical path.
pub struct HostRouter;

impl HostRouter {
    /// The index of the API in `Snapshot::apis`.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        let _ = (host, path);
        None
    }
}

/// Chooses the operation by method and canonical path (the whole path, base path included).
pub struct OperationTable;

impl OperationTable {
    /// The operation: never absent, unknown ones have an operation of their own.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let _ = path;
        Found::MethodNotAllowed(vec![method.clone()])
    }
}
