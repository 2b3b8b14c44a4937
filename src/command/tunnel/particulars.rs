//! What both ends of a tunnel may be told besides who they are: the same for a client and a server.

use std::time::Duration;

use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::mss::Mssfix;
use crate::proto::tunnel::tls::{RevocationList, Usage};

/// What is seldom told, and as stock networks have it if it is not.
#[derive(Clone, Debug)]
pub struct Particulars {
    /// How control packets are protected besides TLS.
    pub control: ControlProtection,
    /// What the peer's certificate must be for.
    pub usage: Option<Usage>,
    /// The authority's list of revoked certificates.
    pub list: Option<RevocationList>,
    /// Octets of the interface's largest packet; as stock networks have it if `None`.
    pub mtu: Option<MtuWish>,
    /// How large the segments of TCP connections may be at most.
    pub mssfix: Option<Mssfix>,
    /// Send a ping when nothing else was sent for so long; a server has its clients do so, too.
    pub ping: Option<Duration>,
    /// Whether many datagrams are handed to the kernel in one call.
    pub segments: Segments,
}

/// How the size of packets was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MtuWish {
    /// By the interface's packets: `tun-mtu`.
    Packet(u32),
    /// By the datagrams that carry them, as OpenVPN 2.4 counts: `link-mtu`.
    Datagram(u32),
}

/// Whether many datagrams are handed to the kernel in one call (UDP_SEGMENT).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Segments {
    /// Where kernel and link can.
    #[default]
    Auto,
    /// Never: one call for each.
    Off,
}

impl Default for Particulars {
    fn default() -> Self {
        Self {
            control: ControlProtection::None,
            usage: None,
            list: None,
            mtu: None,
            mssfix: None,
            ping: None,
            segments: Segments::Auto,
        }
    }
}
