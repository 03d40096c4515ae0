//! Traffic with ground truth: people and attackers around the sample bank, all of them made from one seed.
//!
//! A [`World`] has [`Settings`] and makes actors: [`World::person`] and [`World::attacker`]. An [`Actor`] is a state machine
//! that says what it does next and hears what was answered, so that the same actor runs live ([`play()`]) and in a file
//! ([`Simulation`]), where a small model of the bank answers. Every request has a [`Label`] that travels beside it, never
//! in it; [`Score`] compares labels with judgements. `docs/traffic.md` documents formats and behaviours.

mod actor;
mod address;
pub mod attack;
mod device;
mod draw;
mod label;
mod person;
pub mod play;
pub mod record;
mod request;
mod rhythm;
mod score;
mod simulate;
mod token;
mod words;
mod world;
mod zipf;

pub use actor::{Actor, Cue, Step};
pub use attack::Plan;
pub use device::{Device, Form, Tls};
pub use label::{Kind, Label, Part};
pub use play::{Broken, Outcome, play};
pub use request::{Answer, Connection, Planned};
pub use score::{Judgement, Score, Tally, Truth};
pub use simulate::{Exchange, Mix, Simulation};
pub use world::{Rhythm, Settings, World};
