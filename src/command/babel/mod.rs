//! The router: alone, or inside a node.

pub mod babeld_socket;
pub mod engine;
pub mod service;
