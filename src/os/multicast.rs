//! The socket of a routing protocol: one UDP port, on many interfaces, to neighbours and to a group.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::os::sys::{self, Arrival};

/// A UDP socket that says on which interface, and for which address, a datagram arrived.
#[derive(Debug)]
pub struct MulticastSocket {
    socket: UdpSocket,
    group: Ipv6Addr,
    port: u16,
}

impl MulticastSocket {
    /// Whether another program has a socket at this port, shared or not.
    pub fn is_taken(port: u16) -> bool {
        // Without the wish to share, one that is shared is refused.
        let alone = std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
        alone.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }

    /// Binds `port` on every interface; `group` is joined interface by interface.
    pub fn open(group: Ipv6Addr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Neighbours are one hop away: what comes from or goes further is not theirs.
        socket.set_unicast_hops_v6(1)?;
        socket.set_multicast_hops_v6(1)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_tclass_v6(NETWORK_CONTROL)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        // A table of thousands of routes comes in one burst. Without the right to ask for so much, the
        // most that is allowed is taken.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_OCTETS).is_err() {
            socket.set_recv_buffer_size(RECEIVE_OCTETS)?;
        }
        socket
            .bind(&SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)).into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, group, port })
    }

    /// Listens to the group on an interface; that it did already is not an error.
    pub fn join(&self, interface: u32) -> io::Result<()> {
        match self.socket.join_multicast_v6(&self.group, interface) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            done => done,
        }
    }

    /// No longer listens to the group on an interface; that it did not is not an error.
    pub fn leave(&self, interface: u32) {
        let _ = self.socket.leave_multicast_v6(&self.group, interface);
    }

    /// Waits until something arrived.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// The next datagram; `None` if none is left.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Arrival>> {
        let received = self
            .socket
            .try_io(Interest::READABLE, || sys::receive_addressed(self.socket.as_fd(), buffer));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    /// Sends a datagram from one of our addresses on an interface.
    pub fn send(&self, octets: &[u8], from: (Ipv6Addr, u32), to: Ipv6Addr) -> io::Result<()> {
        sys::send_addressed(self.socket.as_fd(), octets, from, (to, self.port))
    }
}

/// The traffic class of routing protocols (CS6, RFC 4594 §3.1).
const NETWORK_CONTROL: u32 = 0xc0;
const RECEIVE_OCTETS: usize = 8 << 20;
