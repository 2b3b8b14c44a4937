//! Where the headers of a frame lie, for what joins and cuts frames.

use crate::proto::tunnel::checksum::Sum;
use crate::proto::tunnel::kind::Device;

/// The version of IP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What IP carries, as far as it can be joined and cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The headers of a whole TCP segment or UDP datagram, without IP options or extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    /// Where the IP header begins.
    pub ip: usize,
    /// Its version.
    pub version: Version,
    /// What follows it.
    pub transport: Transport,
    /// Where that begins.
    pub start: usize,
    /// Where its payload begins.
    pub payload: usize,
}

/// Octets of an IPv4 header without options.
pub const IPV4_OCTETS: usize = 20;
/// Octets of an IPv6 header.
pub const IPV6_OCTETS: usize = 40;
/// Octets of a TCP header without options.
pub const TCP_OCTETS: usize = 20;
/// Octets of a UDP header.
pub const UDP_OCTETS: usize = 8;

const ETHERNET_OCTETS: usize = 14;
const VLAN_OCTETS: usize = 4;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Where the IP packet of a frame begins, and its version; `None` if it carries something else.
pub fn ip(frame: &[u8], device: Device) -> Option<(usize, Version)> {
    let (at, named) = match device {
        Device::Tun => (0, None),
        Device::Tap => match ethertype(frame, ETHERNET_OCTETS)? {
            ETHERTYPE_VLAN => {
                let inside = ETHERNET_OCTETS + VLAN_OCTETS;
                (inside, Some(ethertype(frame, inside)?))
            }
            ethertype => (ETHERNET_OCTETS, Some(ethertype)),
        },
    };
    let (version, expected) = match frame.get(at)? >> 4 {
        4 => (Version::V4, ETHERTYPE_IPV4),
        6 => (Version::V6, ETHERTYPE_IPV6),
        _ => return None,
    };
    (named.is_none_or(|named| named == expected)).then_some((at, version))
}

/// The type in the last two octets of an Ethernet header that ends at `end`.
fn ethertype(frame: &[u8], end: usize) -> Option<[u8; 2]> {
    Some([*frame.get(end - 2)?, *frame.get(end - 1)?])
}

impl Headers {
    /// Finds them in a frame that is neither fragment nor padded, with at least one octet of payload.
    pub fn parse(frame: &[u8], device: Device) -> Option<Self> {
        let (ip, version) = ip(frame, device)?;
        let packet = &frame[ip..];
        let (octets, protocol, length) = match version {
            Version::V4 => {
                let header = packet.first_chunk::<IPV4_OCTETS>()?;
                let is_fragment = header[6] & 0x3f != 0 || header[7] != 0;
                if header[0] & 0xf != 5 || is_fragment {
                    return None;
                }
                (IPV4_OCTETS, header[9], number(header, 2))
            }
            Version::V6 => {
                let header = packet.first_chunk::<IPV6_OCTETS>()?;
                (IPV6_OCTETS, header[6], IPV6_OCTETS + number(header, 4))
            }
        };
        if length != packet.len() {
            return None;
        }
        let (transport, own) = match protocol {
            PROTOCOL_TCP => {
                let header = packet[octets..].first_chunk::<TCP_OCTETS>()?;
                (Transport::Tcp, usize::from(header[12] >> 4) * 4)
            }
            PROTOCOL_UDP => {
                let header = packet[octets..].first_chunk::<UDP_OCTETS>()?;
                if number(header, 4) != packet.len() - octets {
                    return None;
                }
                (Transport::Udp, UDP_OCTETS)
            }
            _ => return None,
        };
        let minimum = if transport == Transport::Tcp { TCP_OCTETS } else { UDP_OCTETS };
        let (start, payload) = (ip + octets, ip + octets + own);
        (own >= minimum && payload < frame.len()).then_some(Self {
            ip,
            version,
            transport,
            start,
            payload,
        })
    }

    /// The sum of the pseudo header for `octets` of transport header and payload (RFC 9293 §3.1,
    /// RFC 8200 §8.1).
    pub fn pseudo_header(&self, frame: &[u8], octets: usize) -> Sum {
        let addresses = match self.version {
            Version::V4 => &frame[self.ip + 12..self.ip + IPV4_OCTETS],
            Version::V6 => &frame[self.ip + 8..self.ip + IPV6_OCTETS],
        };
        let protocol = match self.transport {
            Transport::Tcp => PROTOCOL_TCP,
            Transport::Udp => PROTOCOL_UDP,
        };
        Sum::of(addresses) + Sum::number(u16::from(protocol)) + Sum::number(octets as u16)
    }

    /// Whether a frame's checksums are there and right: joining would make wrong ones right.
    pub fn is_checksum_valid(&self, frame: &[u8]) -> bool {
        if self.version == Version::V4 && !Sum::of(&frame[self.ip..self.start]).is_valid() {
            return false;
        }
        let covered = &frame[self.start..];
        let absent = self.transport == Transport::Udp && covered[6..8] == [0, 0];
        !absent && (self.pseudo_header(frame, covered.len()) + Sum::of(covered)).is_valid()
    }

    /// Where in the transport header its checksum lies.
    pub const fn checksum_field(&self) -> usize {
        match self.transport {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        }
    }
}

/// Writes what depends on an IP packet's length: the length itself, and IPv4's checksum. `header` is
/// the IP header, `octets` the packet's length.
pub fn set_ip_length(header: &mut [u8], version: Version, octets: usize) {
    match version {
        Version::V4 => {
            header[2..4].copy_from_slice(&(octets as u16).to_be_bytes());
            header[10..12].fill(0);
            let checksum = Sum::of(header).checksum();
            header[10..12].copy_from_slice(&checksum);
        }
        Version::V6 => {
            let length = (octets - IPV6_OCTETS) as u16;
            header[4..6].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// The number in two octets.
fn number(octets: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]))
}
