//! Against the programs of others, in network namespaces. Needs root and what `scripts/test-setup` installs.

mod babeld_configuration;
mod openvpn;
mod registry;
pub mod stock;
