//! Tells the kernel what a path takes, in the words it hears from routers: there are no others.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::proto::tunnel::checksum::Sum;

/// Tells this host's kernel that datagrams from `from`, an address of its own, to `to` have at most `mtu`
/// octets. It forgets after ten minutes, as what routers say.
pub fn tell_path_mtu(from: SocketAddr, to: SocketAddr, mtu: u32) -> io::Result<()> {
    let protocol = if from.is_ipv6() { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
    let socket = Socket::new(Domain::for_address(from), Type::RAW, Some(protocol))?;
    let here = SocketAddr::new(from.ip(), 0);
    socket.send_to(&too_big(from, to, mtu), &here.into()).map(drop)
}

/// What a router says of a datagram from `from` to `to`: "fragmentation needed" (RFC 792, RFC 1191) or
/// "packet too big" (RFC 4443 §3.2), with the datagram's headers. The kernel fills in ICMPv6's checksum.
pub fn too_big(from: SocketAddr, to: SocketAddr, mtu: u32) -> Vec<u8> {
    let mut message = match from.ip() {
        IpAddr::V4(_) => vec![3, 4, 0, 0],
        IpAddr::V6(_) => vec![2, 0, 0, 0],
    };
    message.extend(mtu.to_be_bytes());
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            message.extend([0x45, 0, 5, 0xdc, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
            message.extend(from.octets());
            message.extend(to.octets());
        }
        (from, to) => {
            message.extend([0x60, 0, 0, 0, 5, 0xb4, UDP, 64]);
            for address in [from, to] {
                let IpAddr::V6(address) = address else { continue };
                message.extend(address.octets());
            }
        }
    }
    for field in [from.port(), to.port(), 1_460, 0] {
        message.extend(field.to_be_bytes());
    }
    if from.is_ipv4() {
        let sum = Sum::of(&message).checksum();
        message[2..4].copy_from_slice(&sum);
    }
    message
}

const UDP: u8 = 17;
