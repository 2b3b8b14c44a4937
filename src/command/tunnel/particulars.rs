//! What both ends of a tunnel may be told besides who they are: the same for a client and a server.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::kind::Device;
use crate::proto::tunnel::limit::Limit;
use crate::proto::tunnel::mss::Mssfix;
use crate::proto::tunnel::name::ExpectedName;
use crate::proto::tunnel::revocation::RevocationList;
use crate::proto::tunnel::tls::Usage;

/// How a tunnel is to be; what is not told is as stock networks have it.
#[derive(Clone, Debug)]
pub struct Particulars {
    /// What we offer or accept, the preferred first; `[Cipher::None]` for a network without encryption.
    pub ciphers: Vec<Cipher>,
    /// A tunnel is over when nothing authentic was heard for so long; four times the Hello interval.
    pub ping_exit: Duration,
    /// A handshake that takes longer has failed.
    pub handshake_timeout: Duration,
    /// Serial numbers of certificates that are not believed.
    pub revoked: BTreeSet<u64>,
    /// What passes.
    pub device: Device,
    /// Addresses for each interface besides the link-local one, with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether it is to have those that the server assigns, unless it has others.
    pub pulls: bool,
    /// Keys are renewed after so long at most.
    pub renegotiate_after: Duration,
    /// After how much they are, if sooner than they must.
    pub key_limit: Limit,
    /// How often [`EventKind::Statistics`](super::event::EventKind::Statistics) is told.
    pub statistics_every: Duration,
    /// How control packets are protected besides TLS.
    pub control: ControlProtection,
    /// The name that the peer's certificate must have; any if `None`.
    pub peer: Option<ExpectedName>,
    /// What the peer's certificate must be for.
    pub usage: Option<Usage>,
    /// The authorities' list of revoked certificates.
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
            ciphers: Cipher::ENCRYPTING.to_vec(),
            ping_exit: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(60),
            revoked: BTreeSet::new(),
            device: Device::Tap,
            addresses: Vec::new(),
            pulls: false,
            renegotiate_after: Duration::from_secs(3_600),
            key_limit: Limit::default(),
            statistics_every: Duration::from_secs(10),
            control: ControlProtection::None,
            peer: None,
            usage: None,
            list: None,
            mtu: None,
            mssfix: None,
            ping: None,
            segments: Segments::Auto,
        }
    }
}
