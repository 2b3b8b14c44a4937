//! What happens to a router, and what it wants done.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::filter::Filters;
use crate::proto::babel::mac::{BadSignatures, Keys, Path};
use crate::proto::babel::settings::{Announcement, CostMultiplier, InterfaceSettings};

/// What a link's owner measured; `None`s if it can no longer tell, and Babel is to measure itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkQuality {
    /// The part of packets that get lost, 0 to 1.
    pub loss: Option<f32>,
    /// How long packets take there and back.
    pub round_trip: Option<Duration>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A link is there, or has other addresses or settings than before.
    InterfaceUp(Link),
    /// A link is gone, or known to be dead: neighbours and routes on it go at once.
    InterfaceDown {
        /// The kernel's number for it.
        interface: u32,
    },
    /// A link is there, but no longer ours to use: neighbours are told.
    InterfaceLeft {
        /// The kernel's number for it.
        interface: u32,
    },
    /// A packet arrived.
    Received {
        /// The link.
        interface: u32,
        /// Its source, and its destination: ours or the group's.
        path: Path,
        /// The packet.
        octets: &'a [u8],
    },
    /// Packets arrived together: what follows from all of them is decided once, and said with the next input,
    /// which is due: more may arrive.
    ReceivedTogether(&'a [Datagram<'a>]),
    /// Every link has these settings from now on.
    Settings(InterfaceSettings),
    /// Packets are signed and checked with these from now on.
    Keys(Option<Keys>),
    /// Routes are learned and announced by these from now on; none are at the start.
    Filters(Filters),
    /// This becomes of packets that no key signed; they are refused at the start.
    BadSignatures(BadSignatures),
    /// Exactly these are originated from now on.
    Announced(Vec<Announcement>),
    /// The cost of one neighbour is multiplied from now on.
    CostMultiplier {
        /// The link.
        interface: u32,
        /// The neighbour on it.
        address: Ipv6Addr,
        /// The factor.
        multiplier: CostMultiplier,
    },
    /// What a link's owner measured.
    Measured {
        /// The link.
        interface: u32,
        /// What it measured.
        quality: LinkQuality,
    },
    /// Somebody else changed what the kernel has.
    KernelChanged(KernelChange),
    /// The deadline passed.
    Timer,
    /// Everything ends: retract, remove, be silent.
    Stop,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The link.
    pub interface: u32,
    /// Its source, and its destination: ours or the group's.
    pub path: Path,
    /// The packet.
    pub octets: &'a [u8],
}

/// What somebody else did to the kernel's routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelChange {
    /// Ours to this destination is not what it was.
    Route(Destination, Before),
    /// Any may have been changed.
    Any,
}

/// A link that can be used.
#[derive(Clone, PartialEq, Debug)]
pub struct Link {
    /// The kernel's number for it; what identifies it.
    pub index: u32,
    /// Its name, for people.
    pub name: String,
    /// Our link-local address on it.
    pub address: Ipv6Addr,
    /// Our IPv4 address on it, the next hop of IPv4 routes if there is one.
    pub address_v4: Option<Ipv4Addr>,
    /// Octets of its largest packet.
    pub mtu: u32,
    /// How it behaves.
    pub settings: InterfaceSettings,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send a packet.
    Send {
        /// The link.
        interface: u32,
        /// Our address there, and a neighbour's or the group's.
        path: Path,
        /// The packet.
        octets: Vec<u8>,
    },
    /// Put a route into the kernel; if there is one of ours to that destination, in its place, in one
    /// step. One that is not ours stays.
    Install {
        /// Where it leads.
        destination: Destination,
        /// Where packets are sent.
        next_hop: NextHop,
        /// Whether a route of ours leads there already.
        before: Before,
    },
    /// Take a route out of the kernel.
    Uninstall {
        /// Where it leads.
        destination: Destination,
    },
    /// Tell the operator.
    Notice(Notice),
}

/// What the kernel was asked for before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Before {
    /// No route to that destination: one that is there is the host's.
    Absent,
    /// A route to that destination: one that is there is ours, and one that is not is put.
    Present,
}

/// Where packets are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextHop {
    /// To a neighbour.
    Via {
        /// The neighbour, or whom it named.
        address: IpAddr,
        /// The link.
        interface: u32,
    },
    /// Nowhere: a shorter prefix must not take them instead (RFC 8966 §3.5.4).
    Unreachable,
}

/// What an operator may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A neighbour can be reached.
    NeighbourUp {
        /// The link's name.
        interface: String,
        /// The neighbour.
        address: Ipv6Addr,
        /// What it costs.
        cost: u16,
    },
    /// A neighbour can no longer be reached.
    NeighbourDown {
        /// The link's name.
        interface: String,
        /// The neighbour.
        address: Ipv6Addr,
    },
    /// There are more neighbours on a link than remembered.
    TooManyNeighbours {
        /// The link's name.
        interface: String,
    },
    /// There are more destinations than remembered.
    TableFull,
    /// Somebody else has our router-id; we took another.
    DuplicateRouterId,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeighbourUp { interface, address, cost } => {
                write!(f, "neighbour {address} on {interface} can be reached, cost {cost}")
            }
            Self::NeighbourDown { interface, address } => {
                write!(f, "neighbour {address} on {interface} can no longer be reached")
            }
            Self::TooManyNeighbours { interface } => {
                write!(f, "too many neighbours on {interface}: further ones are ignored")
            }
            Self::TableFull => write!(f, "the table is full: further destinations are ignored"),
            Self::DuplicateRouterId => {
                write!(f, "another router has our router-id: took a new one")
            }
        }
    }
}
