//! Against the programs of others, in network namespaces. Needs root and what `scripts/test-setup` installs.

mod babel;
mod babeld_configuration;
mod bench;
mod bird;
mod dual_homed;
mod kernel;
mod openvpn;
mod openvpn_matrix;
mod registry;
mod registry_answers;
mod reload;
mod routers;
pub mod stock;
mod troubles;
mod tunnel_clients;
mod tunnel_endings;
mod tunnel_events;
mod tunnel_flood;
mod tunnel_icmp;
mod tunnel_lab;
mod tunnel_paths;
mod tunnel_provider;
mod tunnel_rekey;
mod tunnel_revocation;
mod tunnel_storm;
mod tunnel_watch;
