//! Babel: a loop-avoiding distance-vector routing protocol (RFC 8966).

pub mod destination;
pub mod dump;
pub mod mac;
pub mod router_id;
pub mod settings;
