//! TCP connections through a tunnel are told to send segments that fit (OpenVPN's `mssfix`).
//!
//! The largest segment size that a SYN announces (RFC 9293 §3.7.1) is lowered; its checksum is corrected
//! as RFC 1624 §3 does it, so that damage before us is still found behind us.

use crate::proto::tunnel::kind::{Device, Underlay};
use crate::proto::tunnel::path;

/// How large the packets of TCP connections may be at most, in the ways in which OpenVPN counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mssfix {
    /// Octets of UDP that carry them: `mssfix N`.
    Datagram(u32),
    /// With the headers of UDP and IP around that: `mssfix N mtu`.
    Path(u32),
    /// The packets as they are: `mssfix N fixed`.
    Packet(u32),
}

impl Mssfix {
    /// Octets of the largest packet, when sealing adds `overhead`.
    pub fn packet_octets(self, underlay: Underlay, device: Device, overhead: usize) -> u32 {
        let ethernet = if device == Device::Tap { path::ETHERNET } else { 0 };
        match self {
            Self::Datagram(octets) => {
                let sealing = u32::try_from(overhead).unwrap_or(0) + ethernet;
                octets.saturating_sub(sealing)
            }
            Self::Path(octets) => path::packet_octets(octets, underlay, device, overhead),
            Self::Packet(octets) => octets,
        }
    }
}

const SYN: u8 = 0x02;
const TCP: u8 = 6;
/// Octets of TCP's header without options.
const TCP_HEADER: usize = 20;

/// Lowers the segment size in `frame`, if it is a SYN, so that packets have at most `packet_octets`.
pub fn clamp(frame: &mut [u8], device: Device, packet_octets: u32) {
    let Some((tcp, headers)) = find_syn(frame, device) else { return };
    let limit = packet_octets.saturating_sub(headers).min(u32::from(u16::MAX)) as u16;
    let Some(at) = find_option(&frame[tcp..]) else { return };
    let (old, new) = ([frame[tcp + at], frame[tcp + at + 1]], limit.to_be_bytes());
    if u16::from_be_bytes(old) <= limit {
        return;
    }
    frame[tcp + at..tcp + at + 2].copy_from_slice(&new);
    // An option may begin at an odd octet: then its octets lie in the other halves of the sum's words.
    let (old, new) = match at % 2 {
        0 => (u16::from_be_bytes(old), limit),
        _ => (u16::from_le_bytes(old), limit.swap_bytes()),
    };
    let sum = u16::from_be_bytes([frame[tcp + 16], frame[tcp + 17]]);
    let sum = u32::from(!sum) + u32::from(!old) + u32::from(new);
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    frame[tcp + 16..tcp + 18].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

/// Where the TCP header of a SYN begins, and octets of headers of a packet without options.
fn find_syn(frame: &[u8], device: Device) -> Option<(usize, u32)> {
    let ip = match device {
        Device::Tun => 0,
        Device::Tap => match frame.get(12..14)? {
            [0x08, 0x00] | [0x86, 0xdd] => 14,
            [0x81, 0x00] => 18,
            _ => return None,
        },
    };
    let (tcp, headers) = match frame.get(ip)? >> 4 {
        4 => {
            let is_whole =
                u16::from_be_bytes([*frame.get(ip + 6)?, *frame.get(ip + 7)?]) & 0x3fff == 0;
            let is_tcp = *frame.get(ip + 9)? == TCP && is_whole;
            (is_tcp.then_some(ip + usize::from(frame[ip] & 0x0f) * 4)?, 40)
        }
        6 => ((*frame.get(ip + 6)? == TCP).then_some(ip + 40)?, 60),
        _ => return None,
    };
    let is_syn = frame.get(tcp + 13)? & SYN != 0;
    (is_syn && frame.len() >= tcp + TCP_HEADER).then_some((tcp, headers))
}

/// Where the largest segment size stands in a TCP header.
fn find_option(tcp: &[u8]) -> Option<usize> {
    let end = usize::from(tcp[12] >> 4) * 4;
    let mut at = TCP_HEADER;
    while at < end {
        match *tcp.get(at)? {
            0 => return None,
            1 => at += 1,
            2 => {
                let is_whole = *tcp.get(at + 1)? == 4 && at + 4 <= end && at + 4 <= tcp.len();
                return is_whole.then_some(at + 2);
            }
            _ => at += usize::from(*tcp.get(at + 1)?).max(2),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tunnel::checksum::Sum;

    /// A SYN over IPv6 in an Ethernet frame, with `before` options of one octet before the size.
    fn syn(mss: u16, before: usize) -> Vec<u8> {
        let options = 4 + before.next_multiple_of(4);
        let mut frame = vec![0; 14 + 40 + TCP_HEADER + options];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14] = 0x60;
        frame[18..20].copy_from_slice(&((TCP_HEADER + options) as u16).to_be_bytes());
        frame[20] = TCP;
        for (at, octet) in frame[22..54].iter_mut().enumerate() {
            *octet = at as u8 * 7;
        }
        let tcp = &mut frame[54..];
        tcp[12] = ((TCP_HEADER + options) / 4 * 16) as u8;
        tcp[13] = SYN;
        tcp[TCP_HEADER..TCP_HEADER + before].fill(1);
        tcp[TCP_HEADER + before..TCP_HEADER + before + 2].copy_from_slice(&[2, 4]);
        tcp[TCP_HEADER + before + 2..TCP_HEADER + before + 4].copy_from_slice(&mss.to_be_bytes());
        let sum = total(&frame).checksum();
        frame[70..72].copy_from_slice(&sum);
        frame
    }

    /// The sum over pseudo header and segment: its checksum is zero if the frame's is right.
    fn total(frame: &[u8]) -> Sum {
        let octets = (frame.len() - 54) as u16;
        Sum::of(&frame[22..54])
            + Sum::number(octets)
            + Sum::number(u16::from(TCP))
            + Sum::of(&frame[54..])
    }

    fn mss_of(frame: &[u8], before: usize) -> u16 {
        let at = 54 + TCP_HEADER + before + 2;
        u16::from_be_bytes([frame[at], frame[at + 1]])
    }

    #[test]
    fn a_larger_size_is_lowered_and_the_checksum_stays_right() {
        for before in 0..4 {
            let mut frame = syn(1440, before);
            assert_eq!(total(&frame).checksum(), [0, 0]);
            clamp(&mut frame, Device::Tap, 1300);
            assert_eq!(
                (mss_of(&frame, before), total(&frame).checksum()),
                (1240, [0, 0]),
                "{before}"
            );
            let lowered = frame.clone();
            clamp(&mut frame, Device::Tap, 1400);
            assert_eq!(frame, lowered, "a smaller size is left alone");
        }
    }

    #[test]
    fn every_way_of_counting_comes_to_packets() {
        let udp = Underlay { transport: crate::proto::endpoint::Transport::Udp, ipv6: false };
        let of = |mssfix: Mssfix| mssfix.packet_octets(udp, Device::Tap, 24);
        assert_eq!(of(Mssfix::Datagram(1300)), 1300 - 24 - 14);
        assert_eq!(of(Mssfix::Path(1328)), 1300 - 24 - 14);
        assert_eq!(of(Mssfix::Packet(1262)), 1262);
    }

    #[test]
    fn what_is_no_syn_is_left_alone() {
        let mut frame = syn(1440, 0);
        frame[54 + 13] = 0x10;
        let before = frame.clone();
        clamp(&mut frame, Device::Tap, 1300);
        assert_eq!(frame, before);
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(
            mut octets in proptest::collection::vec(any::<u8>(), 0..120), tun: bool, cut in 0..80_usize
        ) {
            clamp(&mut octets, if tun { Device::Tun } else { Device::Tap }, 1300);
            let mut frame = syn(1440, 3);
            for (octet, other) in frame[54..].iter_mut().zip(&octets) {
                *octet ^= other & 0x1f;
            }
            frame.truncate(cut);
            clamp(&mut frame, Device::Tap, 1300);
        }
    }
}
