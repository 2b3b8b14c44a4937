//! What a route message of the kernel says.

use std::net::IpAddr;

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use crate::os::shared_routes::Place;
use crate::proto::babel::destination::Destination;
use crate::proto::cidr::Cidr;

/// A route of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelRoute {
    /// Where it is.
    pub place: Place,
    /// Its priority.
    pub metric: u32,
    /// The number of the interface it leads over.
    pub interface: Option<u32>,
}

impl KernelRoute {
    /// Reads a message; `None` if it is about packets that are not IP.
    pub fn read(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let any = match header.address_family {
            AddressFamily::Inet6 => Cidr::IPV6_DEFAULT,
            AddressFamily::Inet => Cidr::IPV4_DEFAULT,
            _ => return None,
        };
        let (mut prefix, mut source, mut metric, mut interface) = (any, any, 0, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => {
                    prefix = Cidr::new(ip(address)?, header.destination_prefix_length).ok()?;
                }
                RouteAttribute::Source(address) => {
                    source = Cidr::new(ip(address)?, header.source_prefix_length).ok()?;
                }
                RouteAttribute::Priority(given) => metric = *given,
                RouteAttribute::Oif(index) => interface = Some(*index),
                _ => {}
            }
        }
        let destination = Destination::from_source(prefix, source)?;
        let place = Place { destination, table: table_of(message) };
        Some(Self { place, metric, interface })
    }
}

/// The table that a route is in.
pub fn table_of(message: &RouteMessage) -> u32 {
    let attribute = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    attribute.unwrap_or(u32::from(message.header.table))
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        _ => None,
    }
}
