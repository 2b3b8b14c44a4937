//! What earlier TLVs of a packet say about later ones (RFC 8966 §4.5).

use std::net::{IpAddr, Ipv6Addr};

use crate::proto::babel::address::AddressEncoding;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::tlv::TlvError;

/// What earlier TLVs of a packet say about later ones.
#[derive(Clone, Debug)]
pub struct ParserState {
    /// Who originates the routes that follow.
    pub router_id: Option<RouterId>,
    next_hop_v6: Option<IpAddr>,
    next_hop_v4: Option<IpAddr>,
    prefix_v4: Option<[u8; 16]>,
    prefix_v6: Option<[u8; 16]>,
    prefix_v4_via_v6: Option<[u8; 16]>,
}

impl ParserState {
    /// At the start of a packet that came from `from`.
    pub const fn new(from: Ipv6Addr) -> Self {
        Self {
            router_id: None,
            next_hop_v6: Some(IpAddr::V6(from)),
            next_hop_v4: None,
            prefix_v4: None,
            prefix_v6: None,
            prefix_v4_via_v6: None,
        }
    }

    /// Where the routes that follow lead packets.
    pub fn next_hop(&self, encoding: AddressEncoding) -> Option<IpAddr> {
        if encoding == AddressEncoding::Ipv4 { self.next_hop_v4 } else { self.next_hop_v6 }
    }

    /// Sets where routes of the address's family lead packets.
    pub const fn set_next_hop(&mut self, next_hop: IpAddr) {
        match next_hop {
            IpAddr::V4(_) => self.next_hop_v4 = Some(next_hop),
            IpAddr::V6(_) => self.next_hop_v6 = Some(next_hop),
        }
    }

    /// One was set that cannot be read: routes that follow lead nowhere.
    pub const fn void_next_hops(&mut self) {
        (self.next_hop_v4, self.next_hop_v6) = (None, None);
    }

    /// What omitted octets are taken from. Each encoding has its own: RFC 9229 §4.1.
    pub fn default_prefix(
        &self,
        encoding: AddressEncoding,
        omitted: u8,
    ) -> Result<[u8; 16], TlvError> {
        let default = match encoding {
            AddressEncoding::Ipv4 => self.prefix_v4,
            AddressEncoding::Ipv4ViaIpv6 => self.prefix_v4_via_v6,
            _ => self.prefix_v6,
        };
        match default {
            Some(octets) => Ok(octets),
            None if omitted == 0 => Ok([0; 16]),
            None => Err(TlvError::NoDefaultPrefix),
        }
    }

    /// Sets what omitted octets are taken from.
    pub fn set_default_prefix(&mut self, encoding: AddressEncoding, octets: [u8; 16]) {
        match encoding {
            AddressEncoding::Ipv4 => self.prefix_v4 = Some(octets),
            AddressEncoding::Ipv4ViaIpv6 => self.prefix_v4_via_v6 = Some(octets),
            _ => self.prefix_v6 = Some(octets),
        }
    }

    /// It was set, but cannot be read.
    pub const fn void_default_prefixes(&mut self) {
        (self.prefix_v4, self.prefix_v6, self.prefix_v4_via_v6) = (None, None, None);
    }
}
