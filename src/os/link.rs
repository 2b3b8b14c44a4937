//! Network interfaces and their addresses, by netlink.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

/// The interfaces of the network namespace it was opened in.
#[derive(Clone, Debug)]
pub struct Links {
    handle: Handle,
}

/// One interface, as it was when asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Octets of its largest packet.
    pub mtu: u32,
    /// Its alias, by which re6st recognises what an earlier process left.
    pub alias: Option<String>,
}

/// What was attempted, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt}: {cause}")]
pub struct LinkError {
    attempt: String,
    #[source]
    cause: io::Error,
}

impl LinkError {
    /// The kernel's reason.
    pub const fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl Links {
    /// Opens a netlink socket and starts the task that reads it.
    pub fn open() -> Result<Self, LinkError> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|cause| LinkError { attempt: "open a netlink socket".into(), cause })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Every interface.
    pub async fn list(&self) -> Result<Vec<Link>, LinkError> {
        let messages = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let messages = messages.map_err(|error| failed("list the interfaces", error))?;
        Ok(messages.into_iter().map(parse).collect())
    }

    /// The interface called `name`; `None` if there is none.
    pub async fn find(&self, name: &str) -> Result<Option<Link>, LinkError> {
        let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.map(parse)),
            Err(error) => {
                let error = failed(&format!("look for interface {name}"), error);
                match error.cause.raw_os_error() {
                    Some(libc::ENODEV) => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// Brings an interface up.
    pub async fn set_up(&self, index: u32) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| failed(&format!("bring {} up", named(index)), error))
    }

    /// Sets the octets of an interface's largest packet.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| failed(&format!("set the MTU of {} to {mtu}", named(index)), error))
    }

    /// Sets the octets of an interface's largest super-frame, which the kernel leaves to be cut.
    pub async fn set_super_frame_max(&self, index: u32, octets: u32) -> Result<(), LinkError> {
        let attribute = LinkAttribute::GsoMaxSize(octets);
        let message = LinkUnspec::new_with_index(index).append_extra_attribute(attribute).build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| failed(&format!("limit the super-frames of {}", named(index)), error))
    }

    /// Gives an interface an alias, which `ip link` shows.
    pub async fn set_alias(&self, index: u32, alias: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(index).alias(alias).build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| failed(&format!("set the alias of {}", named(index)), error))
    }

    /// Removes an interface.
    pub async fn delete(&self, index: u32) -> Result<(), LinkError> {
        let done = self.handle.link().del(index).execute().await;
        done.map_err(|error| failed(&format!("remove {}", named(index)), error))
    }

    /// The addresses of an interface, with their prefix lengths.
    pub async fn addresses(&self, index: u32) -> Result<Vec<(IpAddr, u8)>, LinkError> {
        let messages = self.address_messages(index).await?;
        Ok(messages.iter().filter_map(|m| Some((address_of(m)?, m.header.prefix_len))).collect())
    }

    /// Adds an address, usable at once (no duplicate address detection); one that is there already is
    /// not an error.
    pub async fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        length: u8,
    ) -> Result<(), LinkError> {
        let mut request = self.handle.address().add(index, address, length).replace();
        if address.is_ipv6() {
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            request.message_mut().attributes.push(flags);
        }
        let attempt = format!("add address {address}/{length} to {}", named(index));
        request.execute().await.map_err(|error| failed(&attempt, error))
    }

    /// Removes an address; one that is gone already is not an error.
    pub async fn delete_address(&self, index: u32, address: IpAddr) -> Result<(), LinkError> {
        for message in self.address_messages(index).await? {
            if address_of(&message) == Some(address) {
                let done = self.handle.address().del(message).execute().await;
                let attempt = format!("remove address {address} from {}", named(index));
                done.map_err(|error| failed(&attempt, error))?;
            }
        }
        Ok(())
    }

    /// Sends what has no better route through an interface, to `gateway` if there is one; `source` is the
    /// address that our own packets get.
    pub async fn add_default_route(
        &self,
        index: u32,
        source: IpAddr,
        gateway: Option<IpAddr>,
    ) -> Result<(), LinkError> {
        let route = default_route(index, source, gateway);
        let done = self.handle.route().add(route).replace().execute().await;
        done.map_err(|error| failed(&format!("add a default route to {}", named(index)), error))
    }

    async fn address_messages(&self, index: u32) -> Result<Vec<AddressMessage>, LinkError> {
        let request = self.handle.address().get().set_link_index_filter(index);
        let messages = request.execute().try_collect::<Vec<_>>().await;
        messages.map_err(|error| failed(&format!("list the addresses of {}", named(index)), error))
    }
}

fn parse(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        mtu: 0,
        alias: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            _ => {}
        }
    }
    link
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    // On point-to-point links `Address` is the peer's: `Local` is ours wherever both are given.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn default_route(index: u32, source: IpAddr, gateway: Option<IpAddr>) -> RouteMessage {
    match source {
        IpAddr::V4(source) => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new();
            let route = route.output_interface(index).pref_source(source);
            match gateway {
                Some(IpAddr::V4(gateway)) => route.gateway(gateway).build(),
                _ => route.scope(RouteScope::Link).build(),
            }
        }
        IpAddr::V6(source) => {
            let route = RouteMessageBuilder::<Ipv6Addr>::new();
            let route = route.output_interface(index).pref_source(source);
            match gateway {
                Some(IpAddr::V6(gateway)) => route.gateway(gateway).build(),
                _ => route.build(),
            }
        }
    }
}

/// How people know an interface, if it is still there.
fn named(index: u32) -> String {
    match nix::net::if_::if_indextoname(index) {
        Ok(name) => format!("interface {}", name.to_string_lossy()),
        Err(_) => format!("interface number {index}, which is gone"),
    }
}

fn failed(attempt: &str, error: rtnetlink::Error) -> LinkError {
    let cause = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    };
    LinkError { attempt: attempt.to_owned(), cause }
}
