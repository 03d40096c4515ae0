//! Heads and bodies, however they are cut.
