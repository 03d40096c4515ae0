//! One scenario per module.

pub mod t01;
pub mod t02;
pub mod t03;
pub mod t04;
pub mod t09;
pub mod t13;
