//! The registry's server, its administration, and the client that nodes and applicants use.

pub mod client;
