//! Against the programs of others, in network namespaces. Needs root and what `scripts/test-setup` installs.

pub mod stock;
