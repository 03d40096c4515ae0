//! One scenario per module.

pub mod t03;
pub mod t04;
pub mod t13;
