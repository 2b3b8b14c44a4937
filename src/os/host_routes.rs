//! The host's own addresses and routes, and when they change, by netlink.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::watch;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::filter::Origin;
use crate::proto::babel::redistribution::HostRoute;
use crate::proto::cidr::Cidr;

/// Addresses and routes of the network namespace it was opened in, those of Babel routers left out.
#[derive(Debug)]
pub struct HostRoutes {
    handle: Handle,
    changes: watch::Receiver<u64>,
    tables: Vec<u32>,
}

impl HostRoutes {
    /// Opens a netlink socket and starts the task that reads it; routes are those of `tables`.
    pub fn open(tables: Vec<u32>) -> io::Result<Self> {
        let groups = [
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Ifaddr,
        ];
        let (connection, handle, mut messages) = rtnetlink::new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let (count, changes) = watch::channel(0_u64);
        tokio::spawn(async move {
            while let Some((message, _)) = messages.next().await {
                // A router's own changes would make it look again and again.
                if !is_of_babel(&message.payload) {
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        Ok(Self { handle, changes, tables })
    }

    /// Waits for the next change since this was last asked.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// All of them, at this moment.
    pub async fn list(&self) -> io::Result<Vec<HostRoute>> {
        let names = self.names().await?;
        let addresses = self.handle.address().get().execute().try_collect::<Vec<_>>().await;
        let addresses = addresses.map_err(io::Error::other)?;
        let mut found: Vec<HostRoute> =
            addresses.iter().filter_map(|address| address_route(address, &names)).collect();
        for family in [AddressFamily::Inet6, AddressFamily::Inet] {
            let mut wanted = RouteMessage::default();
            wanted.header.address_family = family;
            let routes = self.handle.route().get(wanted).execute().try_collect::<Vec<_>>().await;
            let routes = routes.map_err(io::Error::other)?;
            let of_table = |route: &&RouteMessage| self.tables.contains(&table_of(route));
            found.extend(
                routes.iter().filter(of_table).filter_map(|route| host_route(route, &names)),
            );
        }
        Ok(found)
    }

    async fn names(&self) -> io::Result<BTreeMap<u32, String>> {
        let links = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let named = links.map_err(io::Error::other)?.into_iter().filter_map(|link| {
            let index = link.header.index;
            link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some((index, name)),
                _ => None,
            })
        });
        Ok(named.collect())
    }
}

fn is_of_babel(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
        ) => route.header.protocol == RouteProtocol::Babel,
        _ => false,
    }
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

fn host_route(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<HostRoute> {
    let header = &message.header;
    let kinds =
        [RouteType::Unicast, RouteType::Unreachable, RouteType::BlackHole, RouteType::Prohibit];
    let is_cached = header.flags.contains(RouteFlags::Cloned);
    if header.protocol == RouteProtocol::Babel || is_cached || !kinds.contains(&header.kind) {
        return None;
    }
    let mut prefix = default_of(header.address_family)?;
    let mut source = prefix;
    let mut interface = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                prefix = Cidr::new(ip(address)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Source(address) => {
                source = Cidr::new(ip(address)?, header.source_prefix_length).ok()?;
            }
            RouteAttribute::Oif(index) => interface = names.get(index).cloned(),
            _ => {}
        }
    }
    let destination = Destination::from_source(prefix, source)?;
    Some(HostRoute { destination, origin: Origin::Protocol(header.protocol.into()), interface })
}

const fn default_of(family: AddressFamily) -> Option<Cidr> {
    match family {
        AddressFamily::Inet6 => Some(Cidr::IPV6_DEFAULT),
        AddressFamily::Inet => Some(Cidr::IPV4_DEFAULT),
        _ => None,
    }
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        _ => None,
    }
}

fn table_of(route: &RouteMessage) -> u32 {
    let attribute = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    attribute.unwrap_or(u32::from(route.header.table))
}
