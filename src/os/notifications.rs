//! What the kernel tells of its own accord: netlink notifications.

use std::io;

use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use socket2::{SockFilter, SockRef};

use crate::os::netlink;

/// A socket that is told of changes in the network namespace it was opened in.
pub struct Notifications {
    socket: TokioSocket,
    /// What the kernel wrote last.
    octets: Vec<u8>,
}

/// Something changed.
#[derive(Clone, Debug)]
pub enum Notification {
    /// What it is now, or was.
    Of(RouteNetlinkMessage),
    /// More than could be told: anything may have changed.
    Lost,
}

/// What the kernel need not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Except {
    /// What it was asked to do over the netlink socket with this number.
    Sender(u32),
    /// What becomes of Babel routers' routes.
    BabelRoutes,
    /// It is to tell everything.
    Nothing,
}

impl Notifications {
    /// Opens a socket for notifications of these groups.
    pub fn open(groups: &[u32], except: Except) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        match except {
            Except::Sender(port) => {
                SockRef::from(socket.socket_ref()).attach_filter(&all_but_from(port))?;
            }
            Except::BabelRoutes => {
                SockRef::from(socket.socket_ref()).attach_filter(&all_but_babel_routes())?;
            }
            Except::Nothing => {}
        }
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_ref().set_rx_buf_sz(RECEIVE_OCTETS)?;
        for &group in groups {
            socket.socket_ref().add_membership(group)?;
        }
        Ok(Self { socket, octets: Vec::with_capacity(DATAGRAM_OCTETS) })
    }

    /// Waits for the next. Nothing is lost if nobody waits any more.
    pub async fn next(&mut self) -> io::Result<Notification> {
        loop {
            self.octets.clear();
            let received = self.socket.recv(&mut self.octets).await;
            if let Some(notification) = self.read(received)? {
                return Ok(notification);
            }
        }
    }

    /// The next, if it is here already.
    pub fn next_waiting(&mut self) -> Option<Notification> {
        loop {
            self.octets.clear();
            let received = self.socket.socket_ref().recv(&mut self.octets, libc::MSG_DONTWAIT);
            // An error is the next one's to tell who waits.
            if let Some(notification) = self.read(received.map(drop)).ok()? {
                return Some(notification);
            }
        }
    }

    /// The kernel tells of each change in a datagram of its own.
    fn read(&self, received: io::Result<()>) -> io::Result<Option<Notification>> {
        match received {
            Ok(()) => {
                Ok(netlink::messages(&self.octets).find_map(|message| match message.payload {
                    NetlinkPayload::InnerMessage(message) => Some(Notification::Of(message)),
                    _ => None,
                }))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Ok(Some(Notification::Lost))
            }
            Err(error) => Err(error),
        }
    }
}

/// Thousands of routes of ours need not be told to us again.
fn all_but_from(port: u32) -> [SockFilter; 4] {
    // The octets of the sender's number are read as the network orders them.
    let sender = u32::from_be_bytes(port.to_ne_bytes());
    [
        SockFilter::new(LOAD_WORD, 0, 0, SENDER_AT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, sender),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, WHOLE),
    ]
}

fn all_but_babel_routes() -> [SockFilter; 7] {
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let babel = u32::from(u8::from(RouteProtocol::Babel));
    [
        SockFilter::new(LOAD_HALF_WORD, 0, 0, KIND_AT),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, kind(libc::RTM_NEWROUTE)),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, kind(libc::RTM_DELROUTE)),
        SockFilter::new(LOAD_OCTET, 0, 0, PROTOCOL_AT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, babel),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, WHOLE),
    ]
}

/// What happens to interfaces.
pub const LINKS: u32 = libc::RTNLGRP_LINK;
/// What happens to IPv4 addresses.
pub const IPV4_ADDRESSES: u32 = libc::RTNLGRP_IPV4_IFADDR;
/// What happens to IPv6 addresses.
pub const IPV6_ADDRESSES: u32 = libc::RTNLGRP_IPV6_IFADDR;
/// What happens to IPv4 routes.
pub const IPV4_ROUTES: u32 = libc::RTNLGRP_IPV4_ROUTE;
/// What happens to IPv6 routes.
pub const IPV6_ROUTES: u32 = libc::RTNLGRP_IPV6_ROUTE;
/// What happens to rules that choose tables for IPv4 packets.
pub const IPV4_RULES: u32 = libc::RTNLGRP_IPV4_RULE;

// Instructions of a socket's filter (Linux, filter.rst).
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF_WORD: u16 = 0x28;
const LOAD_OCTET: u16 = 0x30;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const NOTHING: u32 = 0;
const WHOLE: u32 = u32::MAX;
/// Where a netlink header has the kind of its message.
const KIND_AT: u32 = 4;
/// Where it has the number of the socket that asked.
const SENDER_AT: u32 = 12;
/// Where a route's message has the protocol, behind the header of 16 octets.
const PROTOCOL_AT: u32 = 16 + 5;
const RECEIVE_OCTETS: u32 = 1 << 20;
const DATAGRAM_OCTETS: usize = 8_192;
