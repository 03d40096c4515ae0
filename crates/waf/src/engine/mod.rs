//! The evaluation of rules against a transaction.
