//! The fields of IP packets that NAT and filters look at, and the checksums that cover them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Protocol numbers of the transports that are looked into.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;

/// Where a packet goes and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// What follows; of IPv6, what follows the fixed header or a fragment header.
    pub protocol: u8,
}

impl Header {
    /// Reads the header of an IPv4 or IPv6 packet; `None` if it is neither, or cut short.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => {
                let fixed: &[u8; 20] = packet.first_chunk()?;
                Some(Self {
                    source: IpAddr::V4(address(&fixed[12..])?),
                    destination: IpAddr::V4(address(&fixed[16..])?),
                    protocol: fixed[9],
                })
            }
            6 => {
                let fixed: &[u8; 40] = packet.first_chunk()?;
                let word = |at: usize| <[u8; 16]>::try_from(&fixed[at..at + 16]).ok();
                // A fragment header names the transport in its first octet: RFC 8200 §4.5.
                let protocol = match fixed[6] {
                    IPV6_FRAGMENT => *packet.get(40)?,
                    other => other,
                };
                Some(Self {
                    source: IpAddr::V6(Ipv6Addr::from(word(8)?)),
                    destination: IpAddr::V6(Ipv6Addr::from(word(24)?)),
                    protocol,
                })
            }
            _ => None,
        }
    }
}

/// Which of an IPv4 packet's two ends is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// An IPv4 packet whose ends may be rewritten; every checksum stays right.
#[derive(Debug)]
pub struct Ipv4<'a> {
    octets: &'a mut [u8],
    header: usize,
}

impl<'a> Ipv4<'a> {
    /// `None` if it is not IPv4 or cut short.
    pub fn parse(octets: &'a mut [u8]) -> Option<Self> {
        let first = *octets.first()?;
        let header = usize::from(first & 0x0f) * 4;
        (first >> 4 == 4 && header >= 20 && octets.len() >= header)
            .then_some(Self { octets, header })
    }

    /// What it carries.
    pub fn protocol(&self) -> u8 {
        self.octets[9]
    }

    /// The address of one end.
    pub fn address(&self, end: End) -> Ipv4Addr {
        address(&self.octets[end.offset()..]).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The port of one end of TCP or UDP, the identifier of an ICMP echo; `None` if it has none, as
    /// a later fragment.
    pub fn port(&self, end: End) -> Option<u16> {
        let at = self.port_offset(end)?;
        Some(u16::from_be_bytes([self.octets[at], self.octets[at + 1]]))
    }

    /// Rewrites address and port of one end.
    pub fn rewrite(&mut self, end: End, address: Ipv4Addr, port: u16) {
        let at = end.offset();
        let old: [u8; 4] = self.address(end).octets();
        self.octets[at..at + 4].copy_from_slice(&address.octets());
        self.update(10, &old, &address.octets(), Zero::IsASum);
        let Some(port_at) = self.port_offset(end) else { return };
        let old_port = [self.octets[port_at], self.octets[port_at + 1]];
        self.octets[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
        let sum_at = self.header
            + match self.protocol() {
                TCP => 16,
                UDP => 6,
                _ => 2,
            };
        // No checksum was wanted, and none is made up: RFC 768.
        let zero = if self.protocol() == UDP { Zero::MeansNone } else { Zero::IsASum };
        // ICMP's checksum covers no addresses: RFC 792.
        if self.protocol() != ICMP {
            self.update(sum_at, &old, &address.octets(), zero);
        }
        self.update(sum_at, &old_port, &port.to_be_bytes(), zero);
    }

    /// The packet that an ICMP error is about, as much of it as is quoted.
    pub fn quoted(&mut self) -> Option<Ipv4<'_>> {
        let error = self.protocol() == ICMP
            && matches!(self.octets.get(self.header), Some(3 | 4 | 5 | 11 | 12));
        if !error {
            return None;
        }
        Ipv4::parse(self.octets.get_mut(self.header + 8..)?)
    }

    /// Computes the checksum of an ICMP message again, after its quotation was rewritten.
    pub fn renew_icmp_checksum(&mut self) {
        if let Some(message) = self.octets.get_mut(self.header..).filter(|m| m.len() >= 4) {
            message[2..4].fill(0);
            let sum = checksum(message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// Where the port of that end is.
    fn port_offset(&self, end: End) -> Option<usize> {
        let fragment = u16::from_be_bytes([self.octets[6], self.octets[7]]) & 0x1fff;
        if fragment != 0 {
            return None;
        }
        let within = match self.protocol() {
            TCP | UDP => end.offset() / 4 * 2 - 6,
            // Echo request and reply carry the identifier of whoever asks: RFC 792.
            ICMP if matches!(self.octets.get(self.header), Some(0 | 8)) => 4,
            _ => return None,
        };
        let at = self.header + within;
        (self.octets.len() >= at + 2).then_some(at)
    }

    /// RFC 1624 §3: HC' = ~(~HC + ~m + m'), for each 16-bit word that changed.
    fn update(&mut self, at: usize, old: &[u8], new: &[u8], zero: Zero) {
        let Some(&[high, low]) = self.octets.get(at..at + 2).and_then(|s| s.first_chunk()) else {
            return; // A quotation may end before it.
        };
        let stored = u16::from_be_bytes([high, low]);
        if stored == 0 && zero == Zero::MeansNone {
            return;
        }
        let complement = |pair: &[u8]| u32::from(!u16::from_be_bytes([pair[0], pair[1]]));
        let mut sum = u32::from(!stored);
        for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            sum += complement(old) + (0xffff - complement(new));
        }
        let sum = !fold(sum);
        let sum = if sum == 0 && zero == Zero::MeansNone { 0xffff } else { sum };
        self.octets[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

impl End {
    const fn offset(self) -> usize {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }
}

/// What a stored checksum of zero says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// The sum happens to be zero.
    IsASum,
    /// There is none.
    MeansNone,
}

/// The Internet checksum (RFC 1071) of these octets.
pub fn checksum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    !fold(words.sum())
}

/// The ICMP error that tells `packet`'s sender that only `mtu` octets pass.
pub fn too_big(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    match Header::parse(packet)? {
        Header { source: IpAddr::V4(source), destination: IpAddr::V4(destination), .. } => {
            // Without "do not fragment" a router would cut it; ours drops it without a word.
            let may_fragment = packet[6] & 0x40 == 0;
            (!may_fragment).then(|| too_big_v4(packet, source, destination, mtu))
        }
        Header { source: IpAddr::V6(source), destination: IpAddr::V6(destination), .. } => {
            Some(too_big_v6(packet, source, destination, mtu))
        }
        _ => None,
    }
}

/// Destination unreachable, fragmentation needed: RFC 792, RFC 1191 §4. It comes from the far end, as
/// the emulated Internet has no address of its own.
fn too_big_v4(packet: &[u8], to: Ipv4Addr, from: Ipv4Addr, mtu: u16) -> Vec<u8> {
    let quoted = &packet[..packet.len().min(28)];
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quoted);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = u16::try_from(20 + icmp.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut error = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, ICMP, 0, 0];
    error.extend(from.octets());
    error.extend(to.octets());
    let sum = checksum(&error);
    error[10..12].copy_from_slice(&sum.to_be_bytes());
    error.extend(icmp);
    error
}

/// Packet too big: RFC 4443 §3.2.
fn too_big_v6(packet: &[u8], to: Ipv6Addr, from: Ipv6Addr, mtu: u16) -> Vec<u8> {
    // As much as fits in the minimum MTU: RFC 4443 §3.2.
    let quoted = &packet[..packet.len().min(1280 - 40 - 8)];
    let mut icmp = vec![2, 0, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quoted);
    let length = u16::try_from(icmp.len()).unwrap_or(u16::MAX);
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend(u32::from(length).to_be_bytes());
    pseudo.extend([0, 0, 0, ICMPV6]);
    pseudo.extend(&icmp);
    let sum = checksum(&pseudo);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = length.to_be_bytes();
    let mut error = vec![0x60, 0, 0, 0, length[0], length[1], ICMPV6, 64];
    error.extend(from.octets());
    error.extend(to.octets());
    error.extend(icmp);
    error
}

fn address(octets: &[u8]) -> Option<Ipv4Addr> {
    octets.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded")]
    {
        sum as u16
    }
}

const IPV6_FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet with right checksums; `transport` has zeroes where its checksum goes.
    pub(crate) fn ipv4(from: &str, to: &str, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + transport.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
        packet.extend(from.parse::<Ipv4Addr>().unwrap().octets());
        packet.extend(to.parse::<Ipv4Addr>().unwrap().octets());
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(transport);
        let at = 20 + sum_offset(protocol);
        let sum = transport_sum(&packet);
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    pub(crate) fn udp(from: (&str, u16), to: (&str, u16), payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(8 + payload.len()).unwrap();
        let mut datagram = Vec::new();
        for word in [from.1, to.1, length, 0] {
            datagram.extend(word.to_be_bytes());
        }
        datagram.extend(payload);
        ipv4(from.0, to.0, UDP, &datagram)
    }

    pub(crate) fn echo(kind: u8, from: &str, to: &str, identifier: u16) -> Vec<u8> {
        let [high, low] = identifier.to_be_bytes();
        ipv4(from, to, ICMP, &[kind, 0, 0, 0, high, low, 0, 7, 1, 2, 3])
    }

    fn sum_offset(protocol: u8) -> usize {
        match protocol {
            TCP => 16,
            UDP => 6,
            _ => 2,
        }
    }

    /// The transport's checksum as it should be, computed from nothing.
    fn transport_sum(packet: &[u8]) -> u16 {
        let protocol = packet[9];
        let mut covered = Vec::new();
        if protocol != ICMP {
            covered.extend(&packet[12..20]);
            covered.extend([0, protocol]);
            covered.extend(u16::try_from(packet.len() - 20).unwrap().to_be_bytes());
        }
        let mut transport = packet[20..].to_vec();
        let at = sum_offset(protocol);
        transport[at..at + 2].fill(0);
        covered.extend(transport);
        match checksum(&covered) {
            0 if protocol == UDP => 0xffff,
            sum => sum,
        }
    }

    pub(crate) fn assert_sums(packet: &[u8]) {
        assert_eq!(checksum(&packet[..20]), 0, "header checksum");
        let at = 20 + sum_offset(packet[9]);
        let stored = u16::from_be_bytes([packet[at], packet[at + 1]]);
        // The two zeroes of one's complement are the same sum.
        assert_eq!(stored % 0xffff, transport_sum(packet) % 0xffff, "transport checksum");
    }

    proptest! {
        #[test]
        fn rewriting_an_end_keeps_every_checksum_right(
            new in any::<[u8; 4]>(),
            port in any::<u16>(),
            payload in prop::collection::vec(any::<u8>(), 20..60),
            protocol in prop::sample::select(vec![TCP, UDP]),
            destination in any::<bool>(),
        ) {
            let mut transport = payload;
            let at = sum_offset(protocol);
            transport[at..at + 2].fill(0);
            let mut packet = ipv4("192.168.1.2", "198.51.100.7", protocol, &transport);
            let end = if destination { End::Destination } else { End::Source };
            let mut view = Ipv4::parse(&mut packet).unwrap();
            view.rewrite(end, Ipv4Addr::from(new), port);
            prop_assert_eq!(view.address(end), Ipv4Addr::from(new));
            prop_assert_eq!(view.port(end), Some(port));
            assert_sums(&packet);
        }

        #[test]
        fn no_octets_make_it_panic(mut octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::parse(&octets);
            let _ = too_big(&octets, 1400);
            if let Some(mut packet) = Ipv4::parse(&mut octets) {
                let _ = packet.port(End::Source);
                packet.rewrite(End::Destination, Ipv4Addr::LOCALHOST, 9);
                if let Some(mut quoted) = packet.quoted() {
                    quoted.rewrite(End::Source, Ipv4Addr::LOCALHOST, 9);
                }
                packet.renew_icmp_checksum();
            }
        }
    }

    #[test]
    fn an_echo_identifier_is_rewritten_like_a_port() {
        let mut packet = echo(8, "192.168.1.2", "198.51.100.7", 42);
        Ipv4::parse(&mut packet).unwrap().rewrite(End::Source, Ipv4Addr::new(203, 0, 113, 1), 43);
        assert_eq!(packet, echo(8, "203.0.113.1", "198.51.100.7", 43));
    }

    #[test]
    fn udp_without_a_checksum_stays_without() {
        let mut packet = udp(("192.168.1.2", 1), ("198.51.100.7", 2), b"x");
        packet[26..28].fill(0);
        Ipv4::parse(&mut packet).unwrap().rewrite(End::Source, Ipv4Addr::LOCALHOST, 9);
        assert_eq!(packet[26..28], [0, 0]);
    }

    #[test]
    fn every_truncation_is_read_without_panic() {
        let whole = udp(("192.168.1.2", 1), ("198.51.100.7", 2), b"x");
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            assert_eq!(Header::parse(&cut).is_some(), length >= 20);
            assert_eq!(Ipv4::parse(&mut cut).is_some(), length >= 20);
        }
    }

    #[test]
    fn a_packet_that_is_too_big_is_answered_with_what_fits() {
        let packet = udp(("192.0.2.1", 1), ("198.51.100.7", 2), &[0; 1400]);
        let error = too_big(&packet, 1300).unwrap();
        assert_sums(&error);
        let header = Header::parse(&error).unwrap();
        assert_eq!(header.destination.to_string(), "192.0.2.1");
        assert_eq!(error[20..22], [3, 4]);
        assert_eq!(error[26..28], 1300_u16.to_be_bytes());
    }
}
