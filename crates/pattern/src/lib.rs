//! Decoding and matching shared by all rooms: paths, addresses, templates, HTTP/1 heads, HTTP/2 frames, bodies.
//!
//! Pure functions and state machines over bytes. Nothing here waits, logs or knows the time.

pub mod alphabet;
pub mod body;
pub mod h2;
pub mod http1;
pub mod ip;
pub mod path;
pub mod template;
