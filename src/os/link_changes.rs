//! Tells when something about interfaces or their addresses changed, and which can carry a protocol.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::watch;

use crate::proto::babel::configuration::options::LinkDetection;

/// The interfaces of the network namespace it was opened in.
#[derive(Clone, Debug)]
pub struct LinkChanges {
    handle: Handle,
    changes: watch::Receiver<u64>,
    losses: Arc<Mutex<Losses>>,
}

/// What was lost since this was last asked, even if it is back, and what addresses there were changes of.
#[derive(Clone, Default, Debug)]
pub struct Losses {
    /// Interfaces that were down: the kernel forgot all routes over them.
    pub down: BTreeSet<u32>,
    /// Interfaces that lost an address: the kernel may have forgotten IPv4 routes over them.
    pub without_address: BTreeSet<u32>,
    /// Addresses that came or went: the kernel has refused or forgotten routes that name them as a source.
    pub addresses: BTreeSet<IpAddr>,
}

impl Losses {
    fn take_note(&mut self, payload: &NetlinkPayload<RouteNetlinkMessage>) {
        let NetlinkPayload::InnerMessage(message) = payload else { return };
        match message {
            RouteNetlinkMessage::DelLink(link) => drop(self.down.insert(link.header.index)),
            RouteNetlinkMessage::NewLink(link) if !link.header.flags.contains(LinkFlags::Up) => {
                self.down.insert(link.header.index);
            }
            RouteNetlinkMessage::NewAddress(address) => self.addresses.extend(addresses(address)),
            RouteNetlinkMessage::DelAddress(address) => {
                self.addresses.extend(addresses(address));
                if address.header.family == AddressFamily::Inet {
                    self.without_address.insert(address.header.index);
                }
            }
            _ => {}
        }
    }
}

/// An interface over which neighbours can be spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsableLink {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Octets of its largest packet.
    pub mtu: u32,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Its first IPv4 address.
    pub address_v4: Option<Ipv4Addr>,
}

impl LinkChanges {
    /// Opens a netlink socket and starts the task that reads it.
    pub fn open() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv6Ifaddr, MulticastGroup::Ipv4Ifaddr];
        let (connection, handle, mut messages) = rtnetlink::new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let (count, changes) = watch::channel(0_u64);
        let losses = Arc::new(Mutex::new(Losses::default()));
        let noted = Arc::clone(&losses);
        tokio::spawn(async move {
            // What is there is asked for afterwards, so nothing is lost if some of this is; only what
            // was lost and is back must be told.
            while let Some((message, _)) = messages.next().await {
                locked(&noted).take_note(&message.payload);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { handle, changes, losses })
    }

    /// Waits for the next change since this was last asked.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What was lost since this was last asked.
    pub fn losses(&self) -> Losses {
        std::mem::take(&mut locked(&self.losses))
    }

    /// Every interface that is up and has a link-local address that may be used already.
    pub async fn usable(&self, detection: LinkDetection) -> io::Result<Vec<UsableLink>> {
        let needed = match detection {
            LinkDetection::Carrier => LinkFlags::Up | LinkFlags::Running,
            LinkDetection::Administrative => LinkFlags::Up,
        };
        let links = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let addresses = self.handle.address().get().execute().try_collect::<Vec<_>>().await;
        let (links, addresses) =
            (links.map_err(io::Error::other)?, addresses.map_err(io::Error::other)?);
        let mut usable = Vec::new();
        for link in links {
            if !link.header.flags.contains(needed) {
                continue;
            }
            let (mut name, mut mtu) = (String::new(), 0);
            for attribute in link.attributes {
                match attribute {
                    LinkAttribute::IfName(given) => name = given,
                    LinkAttribute::Mtu(given) => mtu = given,
                    _ => {}
                }
            }
            let index = link.header.index;
            let own = || addresses.iter().filter(move |address| address.header.index == index);
            let link_local = own().find_map(link_local);
            if let Some(address) = link_local {
                let address_v4 = own().find_map(ipv4);
                usable.push(UsableLink { name, index, mtu, address, address_v4 });
            }
        }
        Ok(usable)
    }
}

fn locked(losses: &Mutex<Losses>) -> MutexGuard<'_, Losses> {
    // Whoever panicked with it left a set that is as good as any.
    losses.lock().unwrap_or_else(PoisonError::into_inner)
}

fn link_local(message: &AddressMessage) -> Option<Ipv6Addr> {
    if message.header.family != AddressFamily::Inet6
        || message.header.flags.contains(AddressHeaderFlags::Tentative)
    {
        return None;
    }
    addresses(message).find_map(|address| match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
        _ => None,
    })
}

fn ipv4(message: &AddressMessage) -> Option<Ipv4Addr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(v4)) => Some(*v4),
        _ => None,
    });
    local.filter(|v4| !v4.is_loopback())
}

fn addresses(message: &AddressMessage) -> impl Iterator<Item = IpAddr> {
    message.attributes.iter().filter_map(|attribute| match attribute {
        AddressAttribute::Local(address) | AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })
}
