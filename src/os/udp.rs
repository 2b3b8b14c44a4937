//! UDP sockets that send and receive many datagrams a call, where the kernel can.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::os::{icmp, sys};

/// A UDP socket. Its datagrams are not fragmented on their way: those that exceed the path are here.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    segments: bool,
}

/// What one call received: datagrams of one sender, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Octets of all of them.
    pub octets: usize,
    /// Octets of each, the last may be shorter.
    pub segment: usize,
    /// Where they came from, and to which of our addresses, if there may be several.
    pub path: Path,
}

/// A way between two hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The other end.
    pub remote: SocketAddr,
    /// Our end; what the kernel chooses if there is none.
    pub local: Option<IpAddr>,
}

impl Path {
    /// To an end, from wherever the kernel chooses.
    pub const fn to(remote: SocketAddr) -> Self {
        Self { remote, local: None }
    }

    /// The path MTU that the kernel knows for it.
    pub fn mtu(&self) -> io::Result<u32> {
        sys::path_mtu(&self.connected()?, self.remote.is_ipv6())
    }

    /// Tells the kernel how large datagrams from our `port` may be, so that it cuts larger ones here.
    pub fn tell_mtu(&self, port: u16, mtu: u32) -> io::Result<()> {
        let local = match self.local {
            Some(local) => Some(local),
            None => self.connected()?.local_addr()?.as_socket().map(|local| local.ip()),
        };
        let local = local.ok_or(io::ErrorKind::AddrNotAvailable)?;
        icmp::tell_path_mtu(SocketAddr::new(local, port), self.remote, mtu)
    }

    /// A socket that goes this way.
    fn connected(&self) -> io::Result<socket2::Socket> {
        let domain = socket2::Domain::for_address(self.remote);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        if let Some(local) = self.local {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        socket.connect(&self.remote.into())?;
        Ok(socket)
    }

    /// Has the kernel forget what it was told of paths. It has no such thing for IPv6, where it forgets after
    /// ten minutes, and nobody is believed who says less than 1,280.
    pub fn forget_mtu(&self) -> io::Result<()> {
        if self.remote.is_ipv6() {
            return Ok(());
        }
        std::fs::write("/proc/sys/net/ipv4/route/flush", "1")
    }
}

/// Why datagrams cannot be sent in one call, but may be one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// The device below cannot cut them.
    Device,
    /// They are larger than the path.
    Path,
}

impl Obstacle {
    /// What an error of [`Udp::send_segments`] says.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.raw_os_error() {
            Some(libc::EIO | libc::EOPNOTSUPP) => Some(Self::Device),
            Some(libc::EMSGSIZE | libc::EINVAL) => Some(Self::Path),
            _ => None,
        }
    }
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
        sys::find_path_mtu(&socket, address.is_ipv6())?;
        if address.ip().is_unspecified() {
            // A host with several addresses answers from the one that was asked.
            if address.is_ipv6() {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            } else {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
        }
        // Only who may exceed the system's limit gets the large buffers.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_OCTETS);
        let _ = setsockopt(&socket, sockopt::SndBufForce, &BUFFER_OCTETS);
        // Older kernels have no such options.
        if setsockopt(&socket, sockopt::UdpGroSegment, &true).is_err() {
            tracing::info!("this kernel gives one datagram a call (before Linux 5.0)");
        }
        let segments = setsockopt(&socket, sockopt::UdpGsoSegment, &0).is_ok();
        if !segments {
            tracing::info!("this kernel takes one datagram a call (before Linux 4.18)");
        }
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, segments })
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

    /// Sends one datagram whole, though the kernel was told that the path does not take it. Those that others
    /// send meanwhile are whole, too: as good as always they are anyway.
    pub async fn send_whole(&self, datagram: &[u8], path: Option<Path>) -> io::Result<()> {
        let ipv6 = self.socket.local_addr()?.is_ipv6();
        sys::doubt_path_mtu(&self.socket, ipv6)?;
        let sent = self.send(datagram, path).await;
        sys::find_path_mtu(&self.socket, ipv6)?;
        sent
    }

    /// Its own address.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether the kernel can cut what one call sends into datagrams.
    pub const fn can_segment(&self) -> bool {
        self.segments
    }

    /// Sends one datagram, to the peer of a connected socket if there is no path.
    pub async fn send(&self, datagram: &[u8], path: Option<Path>) -> io::Result<()> {
        match path {
            Some(Path { remote, local: None }) => {
                self.socket.send_to(datagram, remote).await?;
            }
            Some(path) => self.send_message(datagram, Control::from(path), Some(path)).await?,
            None => {
                self.socket.send(datagram).await?;
            }
        }
        Ok(())
    }

    /// Sends datagrams of `segment` octets each, the last may be shorter: at most
    /// [`SEND_OCTETS_MAX`] and [`SEND_SEGMENTS_MAX`]; an error may be an [`Obstacle`].
    pub async fn send_segments(
        &self,
        datagrams: &[u8],
        segment: usize,
        path: Option<Path>,
    ) -> io::Result<()> {
        let segment = u16::try_from(segment).map_err(io::Error::other)?;
        let mut control = path.map_or_else(Control::default, Control::from);
        control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        self.send_message(datagrams, control, path).await
    }

    async fn send_message(
        &self,
        octets: &[u8],
        control: Control,
        path: Option<Path>,
    ) -> io::Result<()> {
        let to = path.map(|path| SockAddr::from(path.remote));
        let sent = self.socket.async_io(Interest::WRITABLE, || {
            let buffers = [IoSlice::new(octets)];
            let mut message = MsgHdr::new().with_buffers(&buffers).with_control(control.as_slice());
            if let Some(to) = &to {
                message = message.with_addr(to);
            }
            SockRef::from(&self.socket).sendmsg(&message, 0).map(drop)
        });
        sent.await
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
            let (mut segment, mut local) = (None, None);
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::UdpGroSegments(size) => {
                        segment = usize::try_from(size).ok();
                    }
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        let address = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                        local = Some(IpAddr::V4(address));
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        local = Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
                    }
                    _ => {}
                }
            }
            let from = message.address.and_then(socket_address);
            let path = Path { remote: from.ok_or(io::ErrorKind::InvalidData)?, local };
            let octets = message.bytes;
            let segment = segment.filter(|&size| size > 0).unwrap_or(octets.max(1));
            Ok(Received { octets, segment, path })
        })
    }

    /// What [`Self::try_receive`] wants as `control`.
    pub fn control_buffer() -> Vec<u8> {
        nix::cmsg_space!(i32, libc::in6_pktinfo)
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

/// Control messages of one call, each padded as the kernel wants it. Written here because nix makes a
/// vector of them for each call.
#[derive(Clone, Copy)]
struct Control {
    octets: [u8; 5 * CONTROL_HEADER],
    used: usize,
}

impl Default for Control {
    fn default() -> Self {
        Self { octets: [0; 5 * CONTROL_HEADER], used: 0 }
    }
}

impl Control {
    /// Appends a message; there is room for an address and a number.
    fn push(&mut self, level: libc::c_int, kind: libc::c_int, value: &[u8]) {
        let (word, half) = (size_of::<usize>(), size_of::<i32>());
        let length = CONTROL_HEADER + value.len();
        let message = &mut self.octets[self.used..];
        message[..word].copy_from_slice(&length.to_ne_bytes());
        message[word..word + half].copy_from_slice(&level.to_ne_bytes());
        message[word + half..CONTROL_HEADER].copy_from_slice(&kind.to_ne_bytes());
        message[CONTROL_HEADER..length].copy_from_slice(value);
        self.used += length.next_multiple_of(word);
    }

    fn as_slice(&self) -> &[u8] {
        &self.octets[..self.used]
    }
}

impl From<Path> for Control {
    fn from(path: Path) -> Self {
        let mut control = Self::default();
        match path.local {
            Some(IpAddr::V4(local)) => {
                // Any interface (4), from this address (4); the last four are for receiving.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&local.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(local)) => {
                // From this address (16), any interface (4).
                let mut info = [0; 20];
                info[..16].copy_from_slice(&local.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        control
    }
}

#[test]
fn what_hinders_one_call_hinders_only_that_and_other_errors_are_errors() {
    let of = |code| Obstacle::of(&io::Error::from_raw_os_error(code));
    assert_eq!([libc::EIO, libc::EOPNOTSUPP].map(of), [Some(Obstacle::Device); 2]);
    assert_eq!([libc::EMSGSIZE, libc::EINVAL].map(of), [Some(Obstacle::Path); 2]);
    assert_eq!([libc::ENETUNREACH, libc::EPERM, libc::ENOBUFS].map(of), [None; 3]);
}
