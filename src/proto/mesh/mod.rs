//! The random mesh: whom to have tunnels with, and what nodes say to each other on UDP port 326.

pub mod address;
pub mod datagram;
pub mod message;
pub mod peer;
#[cfg(test)]
mod vectors;
