//! The variables that rules name, and the collections that live longer than a transaction.
