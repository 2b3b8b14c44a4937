//! The host's own addresses and routes, and when they change, by netlink.

use std::collections::BTreeMap;
use std::io;

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteFlags, RouteMessage, RouteProtocol, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::os::kernel_route::KernelRoute;
use crate::os::netlink::Requests;
use crate::os::notifications::{self, Except, Notifications};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::filter::Origin;
use crate::proto::babel::redistribution::HostRoute;
use crate::proto::cidr::Cidr;

/// Addresses and routes of the network namespace it was opened in, those of Babel routers left out.
pub struct HostRoutes {
    kernel: Requests,
    notifications: Notifications,
}

impl HostRoutes {
    /// Opens netlink sockets.
    pub fn open() -> io::Result<Self> {
        let groups = [
            notifications::IPV4_ROUTES,
            notifications::IPV6_ROUTES,
            notifications::IPV4_ADDRESSES,
            notifications::IPV6_ADDRESSES,
            // The kernel does not tell of IPv4 routes that go with their interface.
            notifications::LINKS,
        ];
        // A router's own changes would make it look again and again.
        let notifications = Notifications::open(&groups, Except::BabelRoutes)?;
        Ok(Self { kernel: Requests::open()?, notifications })
    }

    /// Waits until something changes.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.notifications.next().await?;
        Ok(())
    }

    /// All addresses, and the routes of these tables, at this moment.
    pub fn list(&mut self, tables: &[u32]) -> io::Result<Vec<HostRoute>> {
        // What changed before now is seen now.
        while self.notifications.next_waiting().is_some() {}
        let wanted = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let names = self.kernel.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewLink(link) => named(link),
            _ => None,
        })?;
        let names = names.into_iter().collect();
        let wanted = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut found = self.kernel.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewAddress(address) => address_route(&address, &names),
            _ => None,
        })?;
        for family in [AddressFamily::Inet6, AddressFamily::Inet] {
            let mut wanted = RouteMessage::default();
            wanted.header.address_family = family;
            let take = |route: RouteMessage| host_route(&route, tables, &names);
            found.extend(self.kernel.list_routes(&wanted, take)?);
        }
        Ok(found)
    }
}

fn named(link: LinkMessage) -> Option<(u32, String)> {
    let index = link.header.index;
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some((index, name)),
        _ => None,
    })
}

fn address_route(message: &AddressMessage, names: &BTreeMap<u32, String>) -> Option<HostRoute> {
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link the other attribute is the peer's.
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => own = own.or(Some(*address)),
            _ => {}
        }
    }
    Some(HostRoute {
        destination: Destination::from_anywhere(Cidr::host(own?)),
        origin: Origin::Local,
        interface: names.get(&message.header.index).cloned(),
    })
}

fn host_route(
    message: &RouteMessage,
    tables: &[u32],
    names: &BTreeMap<u32, String>,
) -> Option<HostRoute> {
    let header = &message.header;
    let kinds =
        [RouteType::Unicast, RouteType::Unreachable, RouteType::BlackHole, RouteType::Prohibit];
    let is_cached = header.flags.contains(RouteFlags::Cloned);
    if header.protocol == RouteProtocol::Babel || is_cached || !kinds.contains(&header.kind) {
        return None;
    }
    let KernelRoute { place, interface, .. } = KernelRoute::read(message)?;
    tables.contains(&place.table).then(|| HostRoute {
        destination: place.destination,
        origin: Origin::Protocol(header.protocol.into()),
        interface: interface.and_then(|index| names.get(&index).cloned()),
    })
}
