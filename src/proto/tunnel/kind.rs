//! Of what kind a tunnel is: what carries it, what it carries, and which end of it is ours.

use crate::proto::endpoint::Transport;

/// What carries a tunnel, as far as strings and sizes depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Underlay {
    /// UDP or TCP.
    pub transport: Transport,
    /// Whether over IPv6.
    pub ipv6: bool,
}

/// What a tunnel carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Device {
    /// Ethernet frames.
    #[default]
    Tap,
    /// IP packets.
    Tun,
}

/// Which end of a session we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We connected.
    Client,
    /// We listened.
    Server,
}
