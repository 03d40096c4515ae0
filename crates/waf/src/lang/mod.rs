//! The rule language: text with places to checked rules.
