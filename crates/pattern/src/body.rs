//! Bodies, read once for everybody who looks into them: bounded parsers that keep the place of everything they found.

pub mod form;
pub mod json;
mod keys;
pub mod media_type;
pub mod multipart;
