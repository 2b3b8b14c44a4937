//! The IPv4 subnet of a node, from the serial number in its certificate's subject.

use std::net::{IpAddr, Ipv4Addr};

use crate::proto::cidr::Cidr;

/// Bits that may name a node: stock gives no IPv4 to networks that want more.
const NODE_BITS_MAX: u8 = 16;

/// The address and prefix length of the node with `serial`, if `node_bits` of `network` name nodes.
///
/// `None` if the network is too small for it.
pub fn subnet(network: Cidr, node_bits: u8, serial: u32) -> Option<(Ipv4Addr, u8)> {
    let IpAddr::V4(base) = network.address() else { return None };
    let length = network.length().checked_add(node_bits).filter(|&length| length <= 32)?;
    if node_bits > NODE_BITS_MAX || u64::from(serial) >= 1 << node_bits {
        return None;
    }
    let node = u64::from(serial) << (32 - length);
    // A subnet of one or two addresses has none to spare for itself.
    let host = u32::from(length < 31);
    Some((Ipv4Addr::from_bits(base.to_bits() | u32::try_from(node).ok()? | host), length))
}
