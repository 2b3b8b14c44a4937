//! What happens to tunnels, as their users hear it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::command::json;
use crate::os::clock;
use crate::proto::endpoint::Endpoint;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::session::Reason;

/// Something happened to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The interface it has, or will have; by this a listener's client is named.
    pub interface: String,
    /// Which end we are.
    pub role: Role,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A handshake began. Of a listener's clients one hears first when they are up.
    Connecting(Endpoint),
    /// The interface is up and frames pass.
    Up(Up),
    /// New keys are in use.
    Rekeyed,
    /// The tunnel is over, and so is its interface; a failed handshake ends like this, too.
    Down(Ending),
    /// Nothing comes through any more, though the tunnel is up; only native peers are watched so
    /// closely. What routes over it had better not.
    Silent,
    /// Something comes through again.
    Recovered,
    /// The path takes datagrams of another size, and perhaps the interface packets of another.
    Mtu {
        /// Octets of the interface's largest packet.
        mtu: u32,
        /// Octets of the path's largest datagram.
        path: u32,
    },
    /// What passed so far; every few seconds.
    Statistics(Statistics),
}

/// Why a tunnel is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The session ended.
    Session(Reason),
    /// The TCP connection did.
    Hangup,
    /// Something around it did.
    Other(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(reason) => reason.fmt(f),
            Self::Hangup => f.write_str("the connection ended"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// A tunnel that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// The kernel's number of the interface.
    pub index: u32,
    /// The peer's common name.
    pub peer: String,
    /// The serial number of the peer's certificate.
    pub serial: Option<u64>,
    /// Where the peer is.
    pub endpoint: Endpoint,
    /// Our address as the server sees it; only a client is told.
    pub external_ip: Option<IpAddr>,
    /// Octets of the interface's largest packet.
    pub mtu: u32,
    /// How frames are protected.
    pub cipher: Cipher,
    /// The peer is re6st, too.
    pub native: bool,
}

/// What a tunnel carried since it came up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Packets from the peer.
    pub packets_in: u64,
    /// Packets to the peer.
    pub packets_out: u64,
    /// Octets of frames from the peer.
    pub octets_in: u64,
    /// Octets of frames to the peer.
    pub octets_out: u64,
    /// Packets from the peer's address that did not authenticate, or came twice.
    pub refused: u64,
    /// Packets that the peer sealed, as far as is known: those that came, and those lost on the way.
    pub expected_in: u64,
    /// The smoothed round trip to a native peer.
    pub round_trip: Option<Duration>,
    /// What came of the peer's packets since the last statistics: lost ones in 65,535ths.
    pub loss_in: u16,
    /// What a native peer says it lately missed of our packets, in 65,535ths.
    pub loss_out: Option<u16>,
}

impl Role {
    /// Its word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl From<&Event> for json::Tunnel {
    fn from(event: &Event) -> Self {
        let mut tunnel = Self {
            time: clock::unix_time().to_string(),
            interface: event.interface.clone(),
            role: Some(event.role.name().to_owned()),
            ..Self::default()
        };
        match &event.kind {
            EventKind::Connecting(endpoint) => tunnel.endpoint = Some(*endpoint),
            EventKind::Up(up) => {
                tunnel.event = json::TunnelEvent::Up;
                tunnel.peer = Some(up.peer.clone());
                tunnel.serial = up.serial;
                tunnel.endpoint = Some(up.endpoint);
                tunnel.external_ip = up.external_ip;
                tunnel.mtu_octets = Some(up.mtu);
                tunnel.cipher = Some(up.cipher.name().to_owned());
                tunnel.native = Some(up.native);
            }
            EventKind::Mtu { mtu, path } => {
                tunnel.event = json::TunnelEvent::Mtu;
                tunnel.mtu_octets = Some(*mtu);
                tunnel.path_mtu_octets = Some(*path);
            }
            EventKind::Silent => tunnel.event = json::TunnelEvent::Silent,
            EventKind::Recovered => tunnel.event = json::TunnelEvent::Recovered,
            EventKind::Rekeyed => tunnel.event = json::TunnelEvent::Rekeyed,
            EventKind::Down(reason) => {
                tunnel.event = json::TunnelEvent::Down;
                tunnel.reason = Some(reason.to_string());
            }
            EventKind::Statistics(statistics) => {
                tunnel.event = json::TunnelEvent::Statistics;
                tunnel.packets_in = Some(statistics.packets_in);
                tunnel.packets_out = Some(statistics.packets_out);
                tunnel.octets_in = Some(statistics.octets_in);
                tunnel.octets_out = Some(statistics.octets_out);
                tunnel.refused = Some(statistics.refused);
                tunnel.rtt_us = statistics.round_trip.map(|rtt| rtt.as_micros() as u64);
                tunnel.loss_in_ratio = Some(ratio(statistics.loss_in));
                tunnel.loss_out_ratio = statistics.loss_out.map(ratio);
            }
        }
        tunnel
    }
}

fn ratio(share: u16) -> f64 {
    f64::from(share) / f64::from(u16::MAX)
}
