//! The data plane: listeners, the pipeline, upstreams.
//!
//! Read [`pipeline`] first: it is the way of one exchange. [`serve`] brings bytes to it, [`forward`] takes cleared
//! requests on, [`respond`] writes what the gateway itself has to say.

pub mod body;
mod client;
pub mod client_body;
mod client_trust;
pub mod connection;
pub mod decision_points;
mod discovery;
pub mod documents;
pub mod download;
pub mod explain;
pub mod forward;
pub mod frame;
pub mod gateway;
pub mod held;
pub mod ingress;
mod inspect;
pub mod introspection;
pub mod kick;
pub mod listener;
mod metadata;
pub mod pipeline;
pub mod probe;
mod questions;
pub mod record;
pub mod respond;
pub mod serve;
pub mod stall;
pub mod timer;
pub mod tls;
pub mod upgrade;
pub mod upstream;
pub mod workers;

pub use decision_points::DecisionAsker;
pub use documents::Fetcher;
pub use explain::{explain, explain_as, policy_place};
pub use gateway::{Active, Gateway, Parts};
pub use introspection::Introspector;
pub use listener::{Listeners, Plan};
pub use workers::Workers;
