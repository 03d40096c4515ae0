//! The web application firewall: the rule language of ModSecurity (SecLang), read, checked and evaluated.
//!
//! Pure: rule files and data files arrive through [`files::Files`], the time and stored collections through
//! arguments of a transaction.

pub mod engine;
pub mod files;
pub mod inject;
pub mod lang;
pub mod operator;
pub mod transform;
pub mod variables;
