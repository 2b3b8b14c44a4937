//! The router: alone, or inside a node.

pub mod service;
