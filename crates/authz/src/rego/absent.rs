//! What stands in for Rego where it is not compiled in.

use bartizan_model::{Diagnostic, Diagnostics, diagnostic::Place};

use super::RegoJudged;
use crate::cedar::{Facts, PolicyText};

/// Never made: without the feature `rego` no file of rules is read.
#[derive(Debug)]
pub enum Rego {}

impl Rego {
    /// Refuses.
    ///
    /// # Errors
    /// Always: the program was built without what reads them.
    pub fn load(files: &[PolicyText<'_>]) -> Result<Self, Diagnostics> {
        let refused = files.iter().map(|file| {
            let message = format!("`{}` is in Rego, and this program was built without it", file.file);
            let place = Place { file: file.file.to_owned(), line: 1, column: 1 };
            Diagnostic::error("", message)
                .help("build it with `cargo build --release --features rego`, or write the policy in Cedar")
                .at(place)
        });
        Err(Diagnostics(refused.collect()))
    }

    /// Whether the rules read the request's body.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        match *self {}
    }

    /// What the rules say of a request.
    #[must_use]
    pub fn judge(&self, _: &Facts<'_>) -> RegoJudged {
        match *self {}
    }
}
