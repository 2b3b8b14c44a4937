//! What others do to the kernel's routes, told by the kernel itself; what we do is not told.

use std::io;
use std::net::IpAddr;

use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol,
};
use rtnetlink::packet_route::rule::RuleAttribute;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use socket2::{SockFilter, SockRef};

use crate::os::shared_routes::Place;
use crate::proto::babel::destination::Destination;
use crate::proto::cidr::Cidr;

/// Tells of changes in the network namespace it was opened in.
pub struct RouteChanges {
    socket: TokioSocket,
}

/// What somebody else did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A change of one route.
    Route(RouteChange),
    /// A Babel router's rule for IPv4 routes by source is gone.
    RuleRemoved,
    /// More than could be told: anything may have changed.
    Anything,
}

/// A route that somebody else changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// Where it is.
    pub place: Place,
    /// Its priority.
    pub metric: u32,
    /// Whose it is.
    pub owner: Owner,
    /// What became of it.
    pub became: Became,
}

/// Whose a route is, by its protocol number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A Babel router's.
    Babel,
    /// The host's.
    Host,
}

/// What became of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    /// It is there, perhaps in the place of another.
    Put,
    /// It is gone.
    Removed,
}

impl RouteChanges {
    /// Listens to all but what the netlink socket with the number `ours` does.
    pub fn open(ours: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        SockRef::from(socket.socket_ref()).attach_filter(&all_but(ours))?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_ref().set_rx_buf_sz(RECEIVE_OCTETS)?;
        for group in [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE] {
            socket.socket_ref().add_membership(group)?;
        }
        Ok(Self { socket })
    }

    /// Waits for the next change.
    pub async fn next(&self) -> io::Result<Told> {
        let mut octets = Vec::with_capacity(DATAGRAM_OCTETS);
        loop {
            octets.clear();
            match self.socket.recv(&mut octets).await {
                Ok(()) => {
                    if let Some(told) = parse(&octets) {
                        return Ok(told);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Told::Anything);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The kernel tells of each change in a datagram of its own.
fn parse(octets: &[u8]) -> Option<Told> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(octets).ok()?;
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
            change(&route, Became::Put).map(Told::Route)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(route)) => {
            change(&route, Became::Removed).map(Told::Route)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRule(rule)) => {
            let of_babel = RuleAttribute::Protocol(RouteProtocol::Babel);
            rule.attributes.contains(&of_babel).then_some(Told::RuleRemoved)
        }
        _ => None,
    }
}

fn change(route: &RouteMessage, became: Became) -> Option<RouteChange> {
    let header = &route.header;
    let any = match header.address_family {
        AddressFamily::Inet6 => Cidr::IPV6_DEFAULT,
        AddressFamily::Inet => Cidr::IPV4_DEFAULT,
        _ => return None,
    };
    let (mut prefix, mut source, mut metric) = (any, any, 0);
    let mut table = u32::from(header.table);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                prefix = Cidr::new(ip(address)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Source(address) => {
                source = Cidr::new(ip(address)?, header.source_prefix_length).ok()?;
            }
            RouteAttribute::Priority(given) => metric = *given,
            RouteAttribute::Table(given) => table = *given,
            _ => {}
        }
    }
    let destination = Destination::from_source(prefix, source)?;
    let place = Place { destination, table };
    Some(RouteChange { place, metric, owner: owner(header), became })
}

fn owner(header: &RouteHeader) -> Owner {
    if header.protocol == RouteProtocol::Babel { Owner::Babel } else { Owner::Host }
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        _ => None,
    }
}

/// Lets through what was not asked for by the socket with that number: thousands of routes of ours need
/// not be told to us again.
fn all_but(ours: u32) -> [SockFilter; 4] {
    // The octets of the sender's number are read as the network orders them.
    let sender = u32::from_be_bytes(ours.to_ne_bytes());
    [
        SockFilter::new(LOAD_WORD, 0, 0, SENDER_AT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, sender),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where a netlink header has the number of the socket that asked.
const SENDER_AT: u32 = 12;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV4_RULE: u32 = 8;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RECEIVE_OCTETS: u32 = 1 << 20;
const DATAGRAM_OCTETS: usize = 8_192;
