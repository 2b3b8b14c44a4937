//! The kernel routes of the router under test, as they change.

use std::collections::HashMap;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{setsockopt, sockopt};
use re6st::os::namespace::Namespace;
use re6st::proto::time::Instant;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use serde_json::{Value, json};

/// What the kernel of another namespace has for the prefixes.
pub struct Watch {
    socket: Socket,
    /// Which neighbour is on the link with that number.
    neighbours: HashMap<u32, usize>,
    /// Where each prefix leads.
    routes: Vec<Option<usize>>,
    /// How many lead anywhere.
    total: usize,
    /// How many lead to neighbour 0.
    first: usize,
    marked: Marked,
}

/// Since the last mark.
#[derive(Default)]
struct Marked {
    messages: u64,
    overflows: u64,
    fewest: usize,
    /// When every prefix led somewhere; to neighbour 0; to others only.
    complete: Option<Instant>,
    to_first: Option<Instant>,
    to_others: Option<Instant>,
}

impl Watch {
    pub fn open(namespace: &str, links: usize, prefixes: usize) -> io::Result<Self> {
        let namespace = Namespace::find(namespace).ok_or(io::ErrorKind::NotFound)?;
        let opened = namespace.run(|| {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(IPV6_ROUTES)?;
            let mut neighbours = HashMap::new();
            for who in 0..links {
                neighbours.insert(nix::net::if_::if_nametoindex(format!("d{who}").as_str())?, who);
            }
            io::Result::Ok((socket, neighbours))
        });
        let (socket, neighbours) = opened.map_err(io::Error::other)??;
        socket.set_non_blocking(true)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_OCTETS)?;
        let routes = vec![None; prefixes];
        Ok(Self { socket, neighbours, routes, total: 0, first: 0, marked: Marked::default() })
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn mark(&mut self) {
        self.marked = Marked { fewest: self.total, ..Marked::default() };
    }

    pub fn to_json(&self) -> Value {
        let seconds = |at: Option<Instant>| at.map(|at| at.since_start().as_secs_f64());
        json!({
            "total": self.total, "first": self.first, "messages": self.marked.messages,
            "fewest": self.marked.fewest, "overflows": self.marked.overflows,
            "complete": seconds(self.marked.complete), "to_first": seconds(self.marked.to_first),
            "to_others": seconds(self.marked.to_others),
        })
    }

    /// Takes all that changed.
    pub fn read(&mut self, now: Instant) -> io::Result<()> {
        loop {
            let octets = match self.socket.recv_from_full() {
                Ok((octets, _)) => octets,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.marked.overflows += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut rest = octets.as_slice();
            while let Some(length) = u32_at(rest, 0).map(|length| length as usize) {
                let Some(message) = rest.get(..length).filter(|_| length >= HEADER) else { break };
                self.take(message, now);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn take(&mut self, message: &[u8], now: Instant) {
        let Some((number, to)) = self.parse(message) else { return };
        let Some(place) = self.routes.get_mut(number) else { return };
        let before = std::mem::replace(place, to);
        let count = |who: Option<usize>| (usize::from(who.is_some()), usize::from(who == Some(0)));
        let ((was, was_first), (is, is_first)) = (count(before), count(to));
        self.total = self.total + is - was;
        self.first = self.first + is_first - was_first;
        let (total, first, all) = (self.total, self.first, self.routes.len());
        let marked = &mut self.marked;
        marked.messages += 1;
        marked.fewest = marked.fewest.min(total);
        let note = |place: &mut Option<Instant>, holds: bool| {
            if holds {
                place.get_or_insert(now);
            }
        };
        note(&mut marked.complete, total == all);
        note(&mut marked.to_first, first == all);
        note(&mut marked.to_others, total == all && first == 0);
    }

    /// A prefix's number, and to which neighbour it leads now; `None` for other messages.
    fn parse(&self, message: &[u8]) -> Option<(usize, Option<usize>)> {
        let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
        let [family, length, ..] = *message.get(HEADER..HEADER + 12)? else { return None };
        let route_type = message[HEADER + 7];
        if i32::from(family) != libc::AF_INET6 || length != 64 {
            return None;
        }
        let (mut number, mut link) = (None, None);
        let mut rest = message.get(HEADER + 12..)?;
        while let Some([a, b, c, d]) = rest.first_chunk() {
            let length = usize::from(u16::from_ne_bytes([*a, *b]));
            let value = rest.get(4..length)?;
            match u16::from_ne_bytes([*c, *d]) {
                libc::RTA_DST => number = number_of(value),
                libc::RTA_OIF => link = u32_at(value, 0),
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let to = link.and_then(|link| self.neighbours.get(&link).copied());
        match kind {
            libc::RTM_NEWROUTE if route_type == libc::RTN_UNICAST => Some((number?, to)),
            libc::RTM_NEWROUTE => Some((number?, None)),
            // Of the route that was there: one that took its place stays.
            libc::RTM_DELROUTE => {
                let number = number?;
                let present = *self.routes.get(number)?;
                Some((number, present.filter(|_| present != to)))
            }
            _ => None,
        }
    }
}

/// Of 2001:db8:0:NUMBER::.
fn number_of(address: &[u8]) -> Option<usize> {
    let octets: [u8; 16] = address.try_into().ok()?;
    let [0x2001, 0xdb8, 0, number, 0, 0, 0, 0] = Ipv6Addr::from(octets).segments() else {
        return None;
    };
    Some(usize::from(number))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

const HEADER: usize = 16;
/// The multicast group that tells of IPv6 routes.
const IPV6_ROUTES: u32 = 11;
const BUFFER_OCTETS: usize = 256 << 20;
