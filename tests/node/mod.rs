//! Real nodes in network namespaces on one bridge: the mesh as its users meet it.

mod failures;
mod mesh;
mod ownership;
pub mod underlay;
