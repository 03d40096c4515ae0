//! What the tests of policies share: services that do nothing, and short ways to compile.

use bartizan_model::{Diagnostic, Diagnostics};
pub use bartizan_policy::offline::services;
use bartizan_policy::{CompileOptions, Loaded, Rejected, Source};

/// Compiles a text called `bartizan.yaml`.
pub fn compile(text: &str) -> Result<Loaded, Box<Rejected>> {
    bartizan_policy::compile(&Source::inline("bartizan.yaml", text), &CompileOptions::new(&services()))
}

/// Compiles a text that must be good.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn good(text: &str) -> Loaded {
    compile(text).unwrap_or_else(|rejected| panic!("{rejected}\n---\n{text}"))
}

/// The diagnostics of a text that must be refused.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn bad(text: &str) -> Diagnostics {
    match compile(text) {
        Ok(_) => panic!("this compiled:\n{text}"),
        Err(rejected) => rejected.diagnostics,
    }
}

/// The diagnostic whose message contains a text.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn about<'d>(diagnostics: &'d Diagnostics, text: &str) -> &'d Diagnostic {
    diagnostics
        .0
        .iter()
        .find(|diagnostic| diagnostic.message.contains(text))
        .unwrap_or_else(|| panic!("nothing says `{text}`:\n{diagnostics}"))
}

/// Line and column of a diagnostic.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn place(diagnostic: &Diagnostic) -> (u32, u32) {
    diagnostic.place.as_ref().map_or((0, 0), |place| (place.line, place.column))
}
