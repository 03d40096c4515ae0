//! Values of requests and responses that are no JSON text, and how contracts say that they are written.

mod built;

pub use built::Built;
