//! The random mesh: whom to have tunnels with, and what nodes say to each other on UDP port 326.

pub mod address;
pub mod bootstrap;
pub mod cache;
pub mod choice;
pub mod datagram;
pub mod message;
pub mod node;
pub mod observed;
pub mod peer;
pub mod retirement;
pub mod tunnels;
#[cfg(test)]
mod vectors;
