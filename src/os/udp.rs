//! UDP sockets that send and receive many datagrams a call, where the kernel can.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::os::sys;

/// A UDP socket. Its datagrams are never fragmented on their way.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    segments: AtomicBool,
}

/// What one call received: datagrams of one sender, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Octets of all of them.
    pub octets: usize,
    /// Octets of each, the last may be shorter.
    pub segment: usize,
    /// Their sender.
    pub from: SocketAddr,
}

/// Octets that one call sends at most.
pub const SEND_OCTETS_MAX: usize = 65_000;

/// Datagrams that one call sends at most.
pub const SEND_SEGMENTS_MAX: usize = 64;

/// Octets of the socket's buffers: a burst of a fast sender while we are not scheduled.
const BUFFER_OCTETS: usize = 4 << 20;

impl Udp {
    /// Opens a socket bound to `address`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        sys::never_fragment(&socket, address.is_ipv6())?;
        // Only who may exceed the system's limit gets the large buffers.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_OCTETS);
        let _ = setsockopt(&socket, sockopt::SndBufForce, &BUFFER_OCTETS);
        // Kernels without it give one datagram a call.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, segments: AtomicBool::new(true) })
    }

    /// Opens a socket with a fresh port that hears and reaches `remote` only.
    pub async fn connect(remote: SocketAddr) -> io::Result<Self> {
        let any = match remote {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let udp = Self::bind(any)?;
        udp.socket.connect(remote).await?;
        Ok(udp)
    }

    /// Its own address.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends one datagram, to the peer of a connected socket if `to` is `None`.
    pub async fn send(&self, datagram: &[u8], to: Option<SocketAddr>) -> io::Result<()> {
        match to {
            Some(to) => self.socket.send_to(datagram, to).await?,
            None => self.socket.send(datagram).await?,
        };
        Ok(())
    }

    /// Sends datagrams of `segment` octets each, the last may be shorter: at most
    /// [`SEND_OCTETS_MAX`] and [`SEND_SEGMENTS_MAX`].
    pub async fn send_segments(
        &self,
        datagrams: &[u8],
        segment: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<()> {
        if datagrams.len() <= segment {
            return self.send(datagrams, to).await;
        }
        if self.segments.load(Ordering::Relaxed) {
            let to = to.map(SockAddr::from);
            let control = segment_control(u16::try_from(segment).map_err(io::Error::other)?);
            let sent = self.socket.async_io(Interest::WRITABLE, || {
                let buffers = [IoSlice::new(datagrams)];
                let mut message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
                if let Some(to) = &to {
                    message = message.with_addr(to);
                }
                SockRef::from(&self.socket).sendmsg(&message, 0).map(drop)
            });
            match sent.await.map_err(|error| (error.raw_os_error(), error)) {
                // The device below cannot: never ask again, and send these one by one.
                Err((Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP), _)) => {
                    self.segments.store(false, Ordering::Relaxed);
                }
                Err((_, error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        for datagram in datagrams.chunks(segment) {
            self.send(datagram, to).await?;
        }
        Ok(())
    }

    /// Waits until there is something to receive.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives what is there of one sender; `WouldBlock` if there is nothing.
    pub fn try_receive(&self, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Received> {
        self.socket.try_io(Interest::READABLE, || {
            let mut iov = [IoSliceMut::new(buffer)];
            let fd = self.socket.as_raw_fd();
            let message =
                recvmsg::<SockaddrStorage>(fd, &mut iov, Some(control), MsgFlags::empty())?;
            let segment = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
                _ => None,
            });
            let from = message.address.and_then(socket_address);
            let from = from.ok_or(io::ErrorKind::InvalidData)?;
            let octets = message.bytes;
            let segment = segment.filter(|&size| size > 0).unwrap_or(octets.max(1));
            Ok(Received { octets, segment, from })
        })
    }

    /// What [`Self::try_receive`] wants as `control`.
    pub fn control_buffer() -> Vec<u8> {
        nix::cmsg_space!(i32)
    }
}

fn socket_address(address: SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            Some(SocketAddr::V4((*address.as_sockaddr_in()?).into()))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            Some(SocketAddr::V6((*address.as_sockaddr_in6()?).into()))
        }
        _ => None,
    }
}

/// Octets before the value of a control message.
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();

/// The control message that says how long each datagram is, padded as the kernel wants it. Written here
/// because nix makes a vector of it for each call.
fn segment_control(segment: u16) -> [u8; CONTROL_HEADER + size_of::<usize>()] {
    let mut control = [0; CONTROL_HEADER + size_of::<usize>()];
    let length = CONTROL_HEADER + size_of::<u16>();
    let (word, half) = (size_of::<usize>(), size_of::<i32>());
    control[..word].copy_from_slice(&length.to_ne_bytes());
    control[word..word + half].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    control[word + half..CONTROL_HEADER].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    control[CONTROL_HEADER..length].copy_from_slice(&segment.to_ne_bytes());
    control
}
