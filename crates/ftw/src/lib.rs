//! Tests of rule sets in the form of go-ftw: what a test sends, what is expected of the rules, and whether it came so.
//!
//! [`read`] takes the text of one YAML file, of version 2 of the form (`rule_id`, `test_id`, `expect_ids`) or of the older one
//! (`test_title`, `stage`, `log_contains`). [`inspect`] runs a request in process; over sockets whoever sends it tells what was
//! [`Observed`]. Pure: files and sockets belong to the caller.

mod judge;
mod read;
mod request;
mod run;

#[cfg(test)]
mod tests;

pub use judge::{Expected, Observed};
pub use read::read;
pub use run::{Answer, inspect, is_refused};

/// What the tests of the OWASP Core Rule Set expect to be set on top of its `crs-setup.conf.example`: level 4, limits, no
/// refusals, and responses looked at. Both names of the level, since version 4 renamed it.
pub const CRS_SETUP: &str = r#"
SecAction "id:9001,phase:1,pass,nolog,\
    setvar:tx.blocking_paranoia_level=4,\
    setvar:tx.paranoia_level=4,\
    setvar:tx.crs_validate_utf8_encoding=1,\
    setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,\
    setvar:tx.total_arg_length=64000,\
    setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,\
    setvar:tx.combined_file_sizes=65535"
SecRuleEngine DetectionOnly
SecResponseBodyMimeType text/plain text/html text/xml application/json
"#;

/// One test: requests in order, each with what is expected.
#[derive(Clone, Debug)]
pub struct Test {
    /// The rule that it is about.
    pub rule: u64,
    /// Its number among the tests of the rule.
    pub number: u64,
    /// What it does.
    pub stages: Vec<Stage>,
}

impl Test {
    /// `942100-3`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.rule, self.number)
    }
}

/// One request and what is expected.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The bytes to send, made as go-ftw makes them.
    pub request: Vec<u8>,
    /// What should come of it.
    pub expected: Expected,
}
