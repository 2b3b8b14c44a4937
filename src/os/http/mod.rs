//! HTTP over TCP, both ends, every wait and every size bounded.

mod client;
pub mod server;
pub mod tls;

pub use client::{Bounds, Get, HttpError, Reply, Tls, get, get_over_socket};
