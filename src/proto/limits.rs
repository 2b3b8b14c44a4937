//! Every bound of the program on one screen: sizes, queues, peers, retries, times.
//!
//! The sentence of each says what happens at the bound.

/// Octets of a datagram or frame; what is larger is dropped. One super-packet of the kernel fits.
pub const DATAGRAM_OCTETS_MAX: usize = 65_535;
