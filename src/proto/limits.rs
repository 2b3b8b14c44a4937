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

/// Hosts of a lab; a scenario with more is refused.
pub const LAB_HOSTS_MAX: usize = 256;

/// Packets on their way in the emulated Internet; more are dropped, as by a full router.
pub const LAB_PACKETS_IN_FLIGHT_MAX: usize = 65_536;

/// Mappings of one emulated NAT; old ones are forgotten first, then no new one is made.
pub const LAB_NAT_MAPPINGS_MAX: usize = 4_096;

/// Peers that one mapping of an emulated NAT remembers before it forgets old ones.
pub const LAB_NAT_PEERS_MAX: usize = 1_024;
