//! What a router knows, as values to be looked at.

use std::net::{IpAddr, Ipv6Addr};

use crate::proto::babel::destination::Destination;
use crate::proto::babel::router_id::RouterId;

/// All of it, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// Its identity; `None` only before it started.
    pub router_id: Option<RouterId>,
    /// The links it runs on.
    pub interfaces: Vec<Interface>,
    /// Who is on them.
    pub neighbours: Vec<Neighbour>,
    /// What they offer.
    pub routes: Vec<Route>,
    /// What it originates itself.
    pub announced: Vec<Announced>,
}

/// A link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Our address on it.
    pub address: Ipv6Addr,
}

/// A router heard on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// The link's name.
    pub interface: String,
    /// The link's number.
    pub index: u32,
    /// Which of its last 16 multicast Hellos arrived, the latest in the highest bit.
    pub reach: u16,
    /// The same of its unicast Hellos.
    pub unicast_reach: u16,
    /// What it costs it to reach us, as we tell it.
    pub rxcost: u16,
    /// What it costs us to reach it, as it tells us; 65535 if it did not lately.
    pub txcost: u16,
    /// The smoothed round trip, once measured.
    pub rtt_us: Option<u32>,
    /// What is added to the metrics it announces; 65535 is infinite.
    pub cost: u16,
    /// What its cost is multiplied with, in 256ths; 0 is infinite.
    pub multiplier: u16,
}

/// An offer by one neighbour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Where it leads.
    pub destination: Destination,
    /// Its metric here; 65535 is infinite.
    pub metric: u16,
    /// Its metric at the neighbour; 0 if the neighbour originates it.
    pub refmetric: u16,
    /// Who originates it.
    pub router_id: RouterId,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// Where packets are sent.
    pub next_hop: IpAddr,
    /// The neighbour that offered it.
    pub neighbour: Ipv6Addr,
    /// The link's name.
    pub interface: String,
    /// The link's number.
    pub index: u32,
    /// Whether packets take it.
    pub installed: bool,
    /// Whether taking it could not cause a loop.
    pub feasible: bool,
}

/// A destination of our own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announced {
    /// Where it leads.
    pub destination: Destination,
    /// The metric it is announced with.
    pub metric: u16,
}
