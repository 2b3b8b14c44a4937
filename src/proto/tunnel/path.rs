//! How large packets may be on the way to a peer, and what fits inside.
//!
//! ```text
//! path MTU = IP header (20 or 40)  UDP header (8)  sealing (24 to 28)  [Ethernet header (14)]  packet
//! ```
//!
//! What others say of a path is believed within bounds only: nobody can make packets smaller than these
//! for us, and what is larger than the path is sent in fragments, never lost.

use crate::proto::tunnel::kind::{Device, Underlay};

/// The smallest MTU that a link with IPv6 can have (RFC 8200 §5); Linux takes IPv6 off smaller ones.
pub const IPV6_MTU_MIN: u32 = 1_280;

/// What every host must take in one piece over IPv4 (RFC 1122 §3.3.2): nobody is believed who says less.
pub const IPV4_PATH_MIN: u32 = 576;

/// Octets of an Ethernet header.
pub(super) const ETHERNET: u32 = 14;
/// Octets of a UDP header.
const UDP: u32 = 8;

/// Octets of the largest packet that travels in one datagram over a path of `path_mtu`, when sealing
/// adds `overhead`.
pub fn packet_octets(path_mtu: u32, underlay: Underlay, device: Device, overhead: usize) -> u32 {
    let (smallest, ip) = if underlay.ipv6 { (IPV6_MTU_MIN, 40) } else { (IPV4_PATH_MIN, 20) };
    let path_mtu = path_mtu.clamp(smallest, u32::from(u16::MAX));
    let ethernet = if device == Device::Tap { ETHERNET } else { 0 };
    path_mtu - ip - UDP - ethernet - u32::try_from(overhead).unwrap_or(0)
}

/// Octets of the largest frame that does: on a TAP device with its Ethernet header.
pub fn frame_octets(path_mtu: u32, underlay: Underlay, device: Device, overhead: usize) -> u32 {
    let ethernet = if device == Device::Tap { ETHERNET } else { 0 };
    packet_octets(path_mtu, underlay, device, overhead) + ethernet
}

/// Octets of the interface's largest packet when `wanted` was asked for and `fits` travels in one
/// datagram: no more than fits, but IPv6 is kept; what then exceeds the path is sent in fragments.
pub fn interface_mtu(wanted: u32, fits: u32) -> u32 {
    fits.max(IPV6_MTU_MIN).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::endpoint::Transport;

    const V4: Underlay = Underlay { transport: Transport::Udp, ipv6: false };
    const V6: Underlay = Underlay { transport: Transport::Udp, ipv6: true };

    #[test]
    fn what_fits_is_the_path_less_all_headers() {
        assert_eq!(packet_octets(1500, V4, Device::Tap, 24), 1500 - 28 - 14 - 24);
        assert_eq!(packet_octets(1400, V6, Device::Tun, 28), 1400 - 48 - 28);
    }

    #[test]
    fn nobody_makes_packets_absurdly_small_or_large() {
        assert_eq!(packet_octets(68, V4, Device::Tap, 24), packet_octets(576, V4, Device::Tap, 24));
        assert_eq!(
            packet_octets(68, V6, Device::Tap, 24),
            packet_octets(1280, V6, Device::Tap, 24)
        );
        assert_eq!(packet_octets(1 << 30, V4, Device::Tun, 24), 65_535 - 28 - 24);
    }

    #[test]
    fn interfaces_follow_the_path_as_far_as_ipv6_can() {
        for (path, mtu) in [(9000, 1348), (1500, 1348), (1400, 1334), (1280, 1280), (576, 1280)] {
            assert_eq!(
                interface_mtu(1348, packet_octets(path, V4, Device::Tap, 24)),
                mtu,
                "{path}"
            );
        }
        assert_eq!(interface_mtu(1000, 1400), 1000);
    }
}
