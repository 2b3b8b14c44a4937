//! What makes a host a node: routes that forbid, forwarding, and the one who may do it.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteProtocol, RouteType};
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

fn message(prefix: Cidr) -> rtnetlink::packet_route::route::RouteMessage {
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

/// A kernel parameter below /proc/sys that was changed, and goes back when asked to.
#[derive(Debug)]
pub struct Changed {
    name: &'static str,
    before: String,
}

impl Changed {
    /// Sets a parameter; `None` if it was so already.
    pub fn set(name: &'static str, value: &str) -> io::Result<Option<Self>> {
        let path = Path::new("/proc/sys").join(name);
        let before = fs::read_to_string(&path)?.trim().to_owned();
        if before == value {
            return Ok(None);
        }
        fs::write(&path, value)?;
        Ok(Some(Self { name, before }))
    }

    /// Sets it back.
    pub fn restore(self) {
        // Nothing is left to be done about a kernel that no longer lets us.
        let _ = fs::write(Path::new("/proc/sys").join(self.name), self.before);
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

/// Takes a lock file, which the kernel gives back when the process ends, however it ends. `None` if
/// another process has it.
pub fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
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

/// Who put a route there, as `ip route` shows it: a number that nobody else uses.
const PROTOCOL: u8 = 143;
/// Longer prefixes win anyway; among equal ones any other route does.
const METRIC: u32 = 1_024;
