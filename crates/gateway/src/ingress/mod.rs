//! What happens to a client's bytes before anything decides: strict reading, one canonical request, the true address.

pub mod address;
pub mod canonical;
pub mod proxy_protocol;
pub mod tap;
