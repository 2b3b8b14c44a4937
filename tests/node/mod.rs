//! Real nodes in network namespaces on one bridge: the mesh as its users meet it.

mod failures;
mod host;
mod local_users;
mod mesh;
mod ownership;
mod parameters;
mod renewal;
mod revocation;
mod status;
pub mod underlay;
