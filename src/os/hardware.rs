//! A router's identity from the hardware addresses of its host, as babeld takes it.

use std::io;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};

use crate::os::netlink::Requests;
use crate::proto::babel::router_id::RouterId;

/// The identity of the first of the `preferred` interfaces that has an address of its maker's, else of
/// any interface; none if all addresses are made up, as those of virtual machines are.
pub fn router_id(preferred: &[String]) -> io::Result<Option<RouterId>> {
    let wanted = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let identities: Vec<(String, RouterId)> =
        Requests::open()?.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewLink(link) => identity(&link),
            _ => None,
        })?;
    let of = |name: &String| identities.iter().find(|(known, _)| known == name);
    let found = preferred.iter().find_map(of).or(identities.first());
    Ok(found.map(|&(_, router_id)| router_id))
}

fn identity(link: &LinkMessage) -> Option<(String, RouterId)> {
    let (mut name, mut address) = (None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(given) => name = Some(given.clone()),
            LinkAttribute::Address(given) => address = Some(given),
            _ => {}
        }
    }
    Some((name?, from_address(link.header.link_layer_type, address?)?))
}

fn from_address(kind: LinkLayerType, address: &[u8]) -> Option<RouterId> {
    use LinkLayerType::{Ether, Eui64, Fddi, Ieee802, Ieee802Tr, Ieee1394};
    let mut octets = match (kind, address) {
        (Ether | Fddi | Ieee802 | Ieee802Tr, &[a, b, c, d, e, f]) => [a, b, c, 0xff, 0xfe, d, e, f],
        (Eui64 | Ieee1394, &[a, b, c, d, e, f, g, h]) => [a, b, c, d, e, f, g, h],
        _ => return None,
    };
    let is_of_a_maker = octets[0] & (GROUP | LOCAL) == 0 && address.iter().any(|&octet| octet != 0);
    // A modified EUI-64: the bit is set in what is universal (RFC 4291, Appendix A).
    octets[0] ^= LOCAL;
    RouterId::new(octets).filter(|_| is_of_a_maker)
}

/// An address of many.
const GROUP: u8 = 1;
/// An address that no maker assigned.
const LOCAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_maker_makes_an_identity() {
        let of = |kind, address: &[u8]| from_address(kind, address).map(|id| id.to_string());
        let ethernet = |address| of(LinkLayerType::Ether, address);
        let expected = Some("02:16:3e:ff:fe:01:02:03".to_owned());
        assert_eq!(ethernet(&[0x00, 0x16, 0x3e, 1, 2, 3]), expected);
        let expected = Some("02:11:22:33:44:55:66:77".to_owned());
        let eight = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
        assert_eq!(of(LinkLayerType::Eui64, &eight), expected);
        // Made up, of a group, none at all, of a tunnel.
        assert_eq!(ethernet(&[0x02, 0x16, 0x3e, 1, 2, 3]), None);
        assert_eq!(ethernet(&[0x01, 0x16, 0x3e, 1, 2, 3]), None);
        assert_eq!(ethernet(&[0; 6]), None);
        assert_eq!(ethernet(&[]), None);
        assert_eq!(of(LinkLayerType::None, &eight), None);
    }
}
