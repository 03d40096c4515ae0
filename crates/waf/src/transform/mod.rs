//! Transformations: how a value is made plain before an operator sees it.
