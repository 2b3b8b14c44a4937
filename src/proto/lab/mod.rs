//! An emulated Internet: what a packet meets between two hosts of the lab, as a core without a world.
//!
//! ```text
//!  host ─▶ filter ─▶ NAT ─▶ path: queue, loss, delay, jitter ─▶ NAT ─▶ filter ─▶ host
//!         (UDP dropped)      (one each way and per family)
//! ```
//!
//! - [`scenario`]: what is written in a scenario file: hosts, delays between regions, odd paths.
//! - [`fault`]: what may be changed while the lab is up.
//! - [`path`]: one direction between two hosts: when a packet arrives, if it does.
//! - [`packet`]: the fields of IP packets that NAT and filters look at, and their checksums.
//! - [`nat`]: address and port translation (RFC 3022) in front of hosts with private addresses.
//! - [`internet`]: the core that composes them.
//!
//! The Internet is one hop: it does not count down hop limits and sends no ICMP of its own but
//! "packet too big". Hosts of one LAN segment also share an Ethernet, which is a hub.

pub mod fault;
pub mod internet;
pub mod nat;
pub mod packet;
pub mod path;
pub mod scenario;
