//! The ping matrix: who reaches whom, how fast and how surely, over IPv4, IPv6 and the SDN.
//!
//! - [`ping`]: what one source measured to one target over one plane.
//! - [`grid`]: the measurements of several sources and rounds, by pair and plane.
//! - [`detour`]: the shortest ways over other hosts, which no network above can beat.
//! - [`verdict`]: one sentence about all of it: does the SDN beat the Internet under it?
//!
//! A pair is ordered: paris to tokyo and tokyo to paris are two.

pub mod detour;
pub mod grid;
pub mod ping;
pub mod verdict;
