//! What makes a host a node: routes that forbid, forwarding, and the one who may do it.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::proto::cidr::Cidr;

/// Routes that make what is not routed otherwise unreachable, instead of leaving by the default route.
#[derive(Clone, Debug)]
pub struct Barriers {
    handle: Handle,
}

impl Barriers {
    /// Opens a netlink socket and starts the task that reads it.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes `prefix` unreachable wherever no longer prefix is routed; one that is there stays.
    pub async fn add(&self, prefix: Cidr) -> io::Result<()> {
        let request = self.handle.route().add(message(prefix)).replace();
        request.execute().await.map_err(io_error)
    }

    /// Takes that back.
    pub async fn remove(&self, prefix: Cidr) -> io::Result<()> {
        self.handle.route().del(message(prefix)).execute().await.map_err(io_error)
    }
}

fn message(prefix: Cidr) -> RouteMessage {
    let message = match prefix.address() {
        IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(address, prefix.length())
            .kind(RouteType::Unreachable)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .priority(METRIC)
            .build(),
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, prefix.length())
            .kind(RouteType::Unreachable)
            .protocol(RouteProtocol::Other(PROTOCOL))
            .priority(METRIC)
            .build(),
    };
    debug_assert!(message.header.address_family != AddressFamily::Unspec);
    message
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

/// Whether we may change routes and addresses.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The user that this process acts as.
pub fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Locks a file or folder, until this is dropped or the process ends, however it ends. `None` if
/// another process has it.
pub fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    match Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// The address from which this host would speak to `peer`; nothing is sent.
pub fn local_address_towards(peer: std::net::SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// Every address that this host has.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let address = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    };
    Ok(getifaddrs()?.filter_map(|interface| address(interface.address?)).collect())
}

/// Who put a route there, as `ip route` shows it: a number that nobody else uses.
const PROTOCOL: u8 = 143;
/// Longer prefixes win anyway; among equal ones any other route does.
const METRIC: u32 = 1_024;
