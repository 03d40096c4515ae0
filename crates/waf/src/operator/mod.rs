//! Operators: what a value is tested with (`@rx`, `@pm`, `@ipMatch` and the others).
