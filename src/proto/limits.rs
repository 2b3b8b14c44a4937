//! Every bound of the program on one screen: sizes, queues, peers, retries, times.
//!
//! The sentence of each says what happens at the bound.

use std::time::Duration;

/// Octets of a datagram or frame; what is larger is dropped. One super-packet of the kernel fits.
pub const DATAGRAM_OCTETS_MAX: usize = 65_535;

/// Octets of a registry's reply; a longer one is an error.
pub const REGISTRY_REPLY_OCTETS_MAX: usize = 1 << 20;

/// Octets of a network's parameters once decompressed; more is an error.
pub const PARAMETERS_OCTETS_MAX: usize = 1 << 22;

/// How long to wait for one of a registry's addresses to accept a connection before trying the next.
pub const REGISTRY_CONNECT_PATIENCE: Duration = Duration::from_secs(4);

/// How long one call of a registry may take in all; it asks another node for up to three seconds.
pub const REGISTRY_CALL_PATIENCE: Duration = Duration::from_secs(20);
