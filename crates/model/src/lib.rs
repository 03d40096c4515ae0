//! The nouns of Bartizan: transactions, guards, verdicts, events.
//!
//! Every other room speaks in these types. The crate is pure: it opens no socket, reads no file and knows no
//! system clock. Time, randomness and fetching arrive through the traits of [`clock`] and [`services`].

pub mod address;
pub mod certificate;
pub mod clock;
pub mod compile;
pub mod decision_point;
pub mod diagnostic;
pub mod event;
pub mod federation;
pub mod guard;
pub mod id;
pub mod introspection;
pub mod memory;
pub mod principal;
pub mod probe;
pub mod problem;
pub mod reason;
pub mod redacted;
pub mod revocation;
pub mod services;
pub mod transaction;
pub mod units;
pub mod verdict;

pub use address::Client;
pub use certificate::{ClientCertificate, SubjectName, Witness};
pub use clock::{Clock, Timestamp};
pub use compile::{CompileContext, Files, Profile};
pub use diagnostic::{Diagnostic, Diagnostics, Level};
pub use event::{Event, EventKind};
pub use guard::{Answer, Begun, Cleared, Guard, Mounted, Open, Outcome, Stop};
pub use id::EventId;
pub use memory::Memory;
pub use principal::{CredentialKind, Principal, Strength};
pub use problem::{Problem, ProblemError};
pub use reason::{Denial, Finding, Reason, ReasonInfo};
pub use redacted::{Redacted, TokenKey};
pub use services::Services;
pub use transaction::{CanonicalRequest, ResponseHead, Scheme, Transaction};
pub use units::{ByteSize, FileReference, Period, Rate, SecretReference};
pub use verdict::{Mode, Phase, Severity, Verdict};
