//! Routes in the kernel, by netlink: each put, replaced or removed in one message, many in one system call.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::proto::babel::configuration::options::KernelSetup;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::{Before, NextHop};
use crate::proto::babel::filter::{self, Rule};
use crate::proto::cidr::Cidr;

/// Where and how routes are put into the kernel.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    /// The table; 254 is the main one.
    pub table: u32,
    /// The priority that the kernel calls metric: among equal prefixes the lowest wins.
    pub metric: u32,
    /// The address that our own packets get on IPv6 routes.
    pub preferred_source_v6: Option<Ipv6Addr>,
    /// The address that our own packets get on IPv4 routes.
    pub preferred_source_v4: Option<Ipv4Addr>,
    /// An IPv6 default route for any source is installed for this source only, as re6st networks do so
    /// that they never take a host's own traffic.
    pub default_source: Option<Cidr>,
    /// Which routes are put there at all, and with what source prefix, table and source address.
    pub install: Vec<Rule>,
    /// Whether the kernel is told to pass packets on.
    pub setup: KernelSetup,
}

impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            table: MAIN_TABLE,
            metric: 0,
            preferred_source_v6: None,
            preferred_source_v4: None,
            default_source: None,
            install: Vec::new(),
            setup: KernelSetup::Done,
        }
    }
}

impl KernelSettings {
    /// Every table that routes may be put into.
    pub fn tables(&self) -> BTreeSet<u32> {
        let by_rule = self.install.iter().filter_map(|rule| rule.action.table);
        by_rule.chain([self.table]).collect()
    }
}

/// Where and how one route is put into the kernel.
struct Placement {
    source: Cidr,
    table: u32,
    preferred_source: Option<IpAddr>,
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A route is there afterwards, in the place of any of ours that was. Where the host has one of its
    /// own with the same metric, that one stays.
    Put(Destination, NextHop, Before),
    /// None is there afterwards.
    Remove(Destination),
}

/// A change that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses {change:?}: {cause}")]
pub struct RouteError {
    /// The change.
    pub change: Change,
    /// The kernel's reason.
    #[source]
    pub cause: io::Error,
}

/// The kernel's routes of the network namespace it was opened in.
#[derive(Debug)]
pub struct Routes {
    socket: Socket,
    sequence: u32,
    settings: KernelSettings,
    /// Where a route of the host is in the place of ours.
    occupied: BTreeSet<Destination>,
}

impl Routes {
    /// Opens a netlink socket.
    pub fn open(settings: KernelSettings) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self { socket, sequence: 0, settings, occupied: BTreeSet::new() })
    }

    /// Makes all changes, in order; what the kernel refused. That a route to be removed is gone already
    /// is not an error.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<RouteError> {
        let mut refused = Vec::new();
        for batch in changes.chunks(BATCH) {
            let messages: Vec<_> =
                batch.iter().filter_map(|change| Some((*change, self.message(change)?))).collect();
            match self.request(messages.iter().map(|(_, message)| message.clone()).collect()) {
                Ok(errors) => {
                    let changes = messages.iter().map(|&(change, _)| change).collect::<Vec<_>>();
                    refused.extend(self.look_at(&changes, errors));
                }
                Err(error) => refused.extend(messages.iter().map(|&(change, _)| RouteError {
                    change,
                    cause: io::Error::new(error.kind(), error.to_string()),
                })),
            }
        }
        refused
    }

    /// What of a batch was refused, apart from what need not be done; remembers which places are taken.
    fn look_at(&mut self, changes: &[Change], errors: Vec<(usize, io::Error)>) -> Vec<RouteError> {
        // What was taken may be free by now: the kernel has just been asked again.
        for change in changes {
            let (Change::Put(destination, ..) | Change::Remove(destination)) = change;
            self.occupied.remove(destination);
        }
        let mut refused = Vec::new();
        for (place, cause) in errors {
            let Some(&change) = changes.get(place) else { continue };
            match (change, cause.raw_os_error()) {
                (Change::Put(destination, ..), Some(libc::EEXIST)) => {
                    self.occupied.insert(destination);
                }
                (Change::Remove(_), Some(libc::ESRCH | libc::ENODEV)) => {}
                _ => refused.push(RouteError { change, cause }),
            }
        }
        refused
    }

    /// Removes every route that a Babel router left in our table, whatever router it was; how many.
    pub fn remove_leftovers(&mut self) -> io::Result<usize> {
        let mut left = self.list(AddressFamily::Inet6)?;
        left.extend(self.list(AddressFamily::Inet)?);
        let count = left.len();
        let requests: Vec<_> = left
            .into_iter()
            .map(|route| (RouteNetlinkMessage::DelRoute(route), NLM_F_REQUEST))
            .collect();
        for batch in requests.chunks(BATCH) {
            self.request(batch.to_vec())?;
        }
        Ok(count)
    }

    fn list(&mut self, family: AddressFamily) -> io::Result<Vec<RouteMessage>> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        filter.header.protocol = RouteProtocol::Babel;
        let request = RouteNetlinkMessage::GetRoute(filter);
        self.send(vec![(request, NLM_F_REQUEST | NLM_F_DUMP)])?;
        let tables = self.settings.tables();
        let mut routes = Vec::new();
        while self.receive(|_, payload| {
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) = payload
                && route.header.protocol == RouteProtocol::Babel
                && tables.contains(&table_of(&route))
            {
                routes.push(route);
            }
        })? {}
        Ok(routes)
    }

    fn message(&self, change: &Change) -> Option<(RouteNetlinkMessage, u16)> {
        match *change {
            Change::Put(destination, next_hop, before) => {
                let message = self.route(&destination, Some(next_hop))?;
                // Replacing where nothing of ours is would take away a route of the host.
                let is_ours = before == Before::Present && !self.occupied.contains(&destination);
                let how = if is_ours { NLM_F_REPLACE } else { NLM_F_EXCL };
                let flags = NLM_F_REQUEST | NLM_F_CREATE | how;
                Some((RouteNetlinkMessage::NewRoute(message), flags))
            }
            Change::Remove(destination) => {
                let message = self.route(&destination, None)?;
                Some((RouteNetlinkMessage::DelRoute(message), NLM_F_REQUEST))
            }
        }
    }

    /// `None` for what the kernel cannot do, since it takes IPv4 routes by source and ignores the source,
    /// and for what is not to be installed.
    fn route(&self, destination: &Destination, next_hop: Option<NextHop>) -> Option<RouteMessage> {
        let placement = self.place(destination)?;
        let length = destination.prefix.length();
        match (destination.prefix.address(), placement.source.address()) {
            (IpAddr::V6(address), IpAddr::V6(source)) => {
                let mut route = RouteMessageBuilder::<Ipv6Addr>::new()
                    .destination_prefix(address, length)
                    .source_prefix(source, placement.source.length());
                if let Some(NextHop::Via { address: IpAddr::V6(via), interface }) = next_hop {
                    route = route.gateway(via).output_interface(interface);
                    if let Some(IpAddr::V6(preferred)) = placement.preferred_source {
                        route = route.pref_source(preferred);
                    }
                }
                Some(self.finish(route, &placement, next_hop))
            }
            (IpAddr::V4(address), _) if placement.source.length() == 0 => {
                let mut route =
                    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, length);
                if let Some(NextHop::Via { address, interface }) = next_hop {
                    route = match address {
                        IpAddr::V4(via) => route.gateway(via),
                        IpAddr::V6(via) => route.via(via),
                    };
                    // A neighbour is on the link even if its address is of no prefix there.
                    route = route.output_interface(interface).onlink();
                    if let Some(IpAddr::V4(preferred)) = placement.preferred_source {
                        route = route.pref_source(preferred);
                    }
                }
                Some(self.finish(route, &placement, next_hop))
            }
            _ => None,
        }
    }

    fn finish<T>(
        &self,
        route: RouteMessageBuilder<T>,
        placement: &Placement,
        next_hop: Option<NextHop>,
    ) -> RouteMessage {
        let route = route.protocol(RouteProtocol::Babel).table_id(placement.table);
        let route =
            if self.settings.metric > 0 { route.priority(self.settings.metric) } else { route };
        match next_hop {
            Some(NextHop::Via { .. }) => route.build(),
            Some(NextHop::Unreachable) => route.kind(RouteType::Unreachable).build(),
            // To be removed, of whatever kind it is.
            None => route.kind(RouteType::Unspec).scope(RouteScope::NoWhere).build(),
        }
    }

    fn place(&self, destination: &Destination) -> Option<Placement> {
        let action = filter::install(&self.settings.install, *destination);
        let filtered = action.apply(*destination)?;
        let is_default =
            destination.prefix == Cidr::IPV6_DEFAULT && !destination.is_source_specific();
        let preferred_source = if destination.prefix.is_ipv4() {
            self.settings.preferred_source_v4.map(IpAddr::V4)
        } else {
            self.settings.preferred_source_v6.map(IpAddr::V6)
        };
        Some(Placement {
            source: self.settings.default_source.filter(|_| is_default).unwrap_or(filtered.source),
            table: action.table.unwrap_or(self.settings.table),
            preferred_source: action.preferred_source.or(preferred_source),
        })
    }

    /// Sends requests at once and waits for the last to be done; the errors and their places.
    fn request(
        &mut self,
        mut requests: Vec<(RouteNetlinkMessage, u16)>,
    ) -> io::Result<Vec<(usize, io::Error)>> {
        let Some(last) = requests.last_mut() else { return Ok(Vec::new()) };
        last.1 |= NLM_F_ACK;
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let first = self.sequence.wrapping_add(1);
        self.send(requests)?;
        let mut errors = Vec::new();
        let mut is_done = false;
        while !is_done {
            self.receive(|sequence, payload| {
                let place = sequence.wrapping_sub(first);
                if let NetlinkPayload::Error(message) = payload
                    && place < count
                {
                    is_done |= place == count - 1;
                    if message.code.is_some() {
                        errors.push((place as usize, message.to_io()));
                    }
                }
            })?;
        }
        Ok(errors)
    }

    fn send(&mut self, requests: Vec<(RouteNetlinkMessage, u16)>) -> io::Result<()> {
        let mut octets = Vec::new();
        for (payload, flags) in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::from(payload);
            message.header.flags = flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let start = octets.len();
            octets.resize((start + message.buffer_len()).next_multiple_of(4), 0);
            message.serialize(&mut octets[start..start + message.buffer_len()]);
        }
        self.socket.send(&octets, 0).map(drop)
    }

    /// Takes one datagram of answers; whether more of a list follow.
    fn receive(
        &self,
        mut take: impl FnMut(u32, NetlinkPayload<RouteNetlinkMessage>),
    ) -> io::Result<bool> {
        let (octets, _) = self.socket.recv_from_full()?;
        let mut rest = octets.as_slice();
        let mut more = true;
        while rest.len() >= HEADER_OCTETS {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let length = (message.header.length as usize).next_multiple_of(4);
            more &= !matches!(message.payload, NetlinkPayload::Done(_));
            take(message.header.sequence_number, message.payload);
            if length == 0 || length > rest.len() {
                break;
            }
            rest = &rest[length..];
        }
        Ok(more)
    }
}

fn table_of(route: &RouteMessage) -> u32 {
    let attribute = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    attribute.unwrap_or(u32::from(route.header.table))
}

/// Changes in one system call: more gain nothing.
const BATCH: usize = 64;
const MAIN_TABLE: u32 = 254;
const HEADER_OCTETS: usize = 16;
