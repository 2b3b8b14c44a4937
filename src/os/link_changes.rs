//! Tells when something about interfaces or their addresses changed, and which can carry a protocol.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::os::netlink::Requests;
use crate::os::notifications::{self, Except, Notification, Notifications};
use crate::proto::babel::configuration::options::LinkDetection;

/// The interfaces of the network namespace it was opened in.
pub struct LinkChanges {
    kernel: Requests,
    notifications: Notifications,
    losses: Losses,
}

/// What was lost since this was last asked, even if it is back, and what addresses there were changes of.
#[derive(Clone, Default, Debug)]
pub struct Losses {
    /// The kernel had more to tell than there was room for: any interface may have been down.
    pub any: bool,
    /// Interfaces that were down: the kernel forgot all routes over them.
    pub down: BTreeSet<u32>,
    /// Interfaces that lost an address: the kernel may have forgotten IPv4 routes over them.
    pub without_address: BTreeSet<u32>,
    /// Addresses that came or went: the kernel has refused or forgotten routes that name them as a source.
    pub addresses: BTreeSet<IpAddr>,
}

impl Losses {
    fn take_note(&mut self, notification: Notification) {
        use RouteNetlinkMessage::{DelAddress, DelLink, NewAddress, NewLink};
        match notification {
            Notification::Lost => self.any = true,
            Notification::Of(DelLink(link)) => drop(self.down.insert(link.header.index)),
            Notification::Of(NewLink(link)) if !link.header.flags.contains(LinkFlags::Up) => {
                self.down.insert(link.header.index);
            }
            Notification::Of(NewAddress(address)) => self.addresses.extend(addresses(&address)),
            Notification::Of(DelAddress(address)) => {
                self.addresses.extend(addresses(&address));
                if address.header.family == AddressFamily::Inet {
                    self.without_address.insert(address.header.index);
                }
            }
            Notification::Of(_) => {}
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
    /// Opens netlink sockets.
    pub fn open() -> io::Result<Self> {
        let groups =
            [notifications::LINKS, notifications::IPV4_ADDRESSES, notifications::IPV6_ADDRESSES];
        Ok(Self {
            kernel: Requests::open()?,
            notifications: Notifications::open(&groups, Except::Nothing)?,
            losses: Losses::default(),
        })
    }

    /// Waits until something changes.
    pub async fn changed(&mut self) -> io::Result<()> {
        let notification = self.notifications.next().await?;
        self.losses.take_note(notification);
        Ok(())
    }

    /// What was lost since this was last asked.
    pub fn losses(&mut self) -> Losses {
        while let Some(notification) = self.notifications.next_waiting() {
            self.losses.take_note(notification);
        }
        std::mem::take(&mut self.losses)
    }

    /// Every interface that is up and has a link-local address that may be used already.
    pub fn usable(&mut self, detection: LinkDetection) -> io::Result<Vec<UsableLink>> {
        let usable = self.list_usable(detection);
        // Whoever asked for losses before could do nothing about them.
        self.losses.any |= usable.is_err();
        usable
    }

    fn list_usable(&mut self, detection: LinkDetection) -> io::Result<Vec<UsableLink>> {
        let needed = match detection {
            LinkDetection::Carrier => LinkFlags::Up | LinkFlags::Running,
            LinkDetection::Administrative => LinkFlags::Up,
        };
        let wanted = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let links = self.kernel.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })?;
        let wanted = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let addresses = self.kernel.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        })?;
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
