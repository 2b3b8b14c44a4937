//! Addresses and prefixes on the wire (RFC 8966 §4.1.4), IPv4 via IPv6 included (RFC 9229 §4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::proto::babel::tlv::TlvError;
use crate::proto::bytes::{Reader, Writer};
use crate::proto::cidr::Cidr;

/// How an address or prefix is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressEncoding {
    /// Nothing: everything is meant.
    Wildcard,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// An address in fe80::/64, of which only the last 8 octets are sent.
    LinkLocal,
    /// An IPv4 prefix whose next hop is an IPv6 address.
    Ipv4ViaIpv6,
}

impl AddressEncoding {
    /// From its number.
    pub const fn parse(number: u8) -> Result<Self, TlvError> {
        Ok(match number {
            0 => Self::Wildcard,
            1 => Self::Ipv4,
            2 => Self::Ipv6,
            3 => Self::LinkLocal,
            4 => Self::Ipv4ViaIpv6,
            _ => return Err(TlvError::AddressEncoding { number }),
        })
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Wildcard => 0,
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
            Self::LinkLocal => 3,
            Self::Ipv4ViaIpv6 => 4,
        }
    }

    /// Whether prefixes so encoded are of IPv4.
    pub const fn is_ipv4(self) -> bool {
        matches!(self, Self::Ipv4 | Self::Ipv4ViaIpv6)
    }

    /// The encoding of a prefix in requests.
    pub const fn of(prefix: &Cidr) -> Self {
        if prefix.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// Reads a whole address; `None` for the wildcard.
pub fn parse_address(
    encoding: AddressEncoding,
    reader: &mut Reader<'_>,
) -> Result<Option<IpAddr>, TlvError> {
    Ok(match encoding {
        AddressEncoding::Wildcard => None,
        AddressEncoding::Ipv4 => Some(Ipv4Addr::from(reader.array::<4>()?).into()),
        AddressEncoding::Ipv6 => Some(Ipv6Addr::from(reader.array::<16>()?).into()),
        AddressEncoding::LinkLocal => {
            let identifier: [u8; 8] = reader.array()?;
            let bits = LINK_LOCAL | u128::from(u64::from_be_bytes(identifier));
            Some(Ipv6Addr::from_bits(bits).into())
        }
        // RFC 9229 §4.2: no address is so encoded.
        AddressEncoding::Ipv4ViaIpv6 => return Err(TlvError::AddressEncoding { number: 4 }),
    })
}

/// Appends an address; its encoding was written before.
pub fn put_address(address: IpAddr, to: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => to.put(&v4.octets()),
        IpAddr::V6(v6) if is_short(v6) => to.put(&v6.octets()[8..]),
        IpAddr::V6(v6) => to.put(&v6.octets()),
    }
}

/// The shortest encoding of an address.
pub const fn encoding_of_address(address: IpAddr) -> AddressEncoding {
    match address {
        IpAddr::V4(_) => AddressEncoding::Ipv4,
        IpAddr::V6(v6) if is_short(v6) => AddressEncoding::LinkLocal,
        IpAddr::V6(_) => AddressEncoding::Ipv6,
    }
}

const fn is_short(address: Ipv6Addr) -> bool {
    address.to_bits() & !(u64::MAX as u128) == LINK_LOCAL
}

/// Reads a prefix of `length` bits of which the first `omitted` octets are those of `default`.
pub fn parse_prefix(
    encoding: AddressEncoding,
    length: u8,
    omitted: (u8, &[u8; 16]),
    reader: &mut Reader<'_>,
) -> Result<Cidr, TlvError> {
    let width = match encoding {
        AddressEncoding::Ipv4 | AddressEncoding::Ipv4ViaIpv6 => 4,
        AddressEncoding::Ipv6 => 16,
        other => return Err(TlvError::AddressEncoding { number: other.number() }),
    };
    let (omitted, default) = (usize::from(omitted.0), omitted.1);
    let octets = usize::from(length).div_ceil(8);
    if octets > width || omitted > octets {
        return Err(TlvError::PrefixLength { length });
    }
    let mut address = [0; 16];
    address[..omitted].copy_from_slice(&default[..omitted]);
    address[omitted..octets].copy_from_slice(reader.take(octets - omitted)?);
    let address: IpAddr = if width == 4 {
        Ipv4Addr::new(address[0], address[1], address[2], address[3]).into()
    } else {
        Ipv6Addr::from(address).into()
    };
    Cidr::new(address, length).map_err(|_| TlvError::PrefixLength { length })
}

/// The octets of a prefix that are sent.
pub fn prefix_octets(prefix: &Cidr) -> ([u8; 16], usize) {
    let mut octets = [0; 16];
    match prefix.address() {
        IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => octets = v6.octets(),
    }
    (octets, usize::from(prefix.length()).div_ceil(8))
}

const LINK_LOCAL: u128 = 0xfe80 << 112;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_were_written() {
        for text in ["10.0.0.1", "2001:db8::1", "fe80::1", "fe80:1::1"] {
            let address: IpAddr = text.parse().unwrap();
            let mut octets = Vec::new();
            put_address(address, &mut octets);
            let read = parse_address(encoding_of_address(address), &mut Reader::new(&octets));
            assert_eq!(read, Ok(Some(address)));
        }
        assert_eq!(encoding_of_address("fe80::1".parse().unwrap()), AddressEncoding::LinkLocal);
    }

    #[test]
    fn omitted_octets_come_from_the_default() {
        let default = "2001:db8:42::".parse::<Ipv6Addr>().unwrap().octets();
        let mut reader = Reader::new(&[0, 7]);
        let prefix = parse_prefix(AddressEncoding::Ipv6, 64, (6, &default), &mut reader);
        assert_eq!(prefix.unwrap().to_string(), "2001:db8:42:7::/64");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let parse = |encoding, length, omitted| {
            parse_prefix(encoding, length, (omitted, &[0; 16]), &mut Reader::new(&[0; 20])).is_ok()
        };
        assert!(parse(AddressEncoding::Ipv4, 32, 0));
        assert!(!parse(AddressEncoding::Ipv4, 33, 0));
        assert!(!parse(AddressEncoding::Ipv6, 129, 0));
        assert!(!parse(AddressEncoding::Ipv6, 16, 3));
        assert!(!parse(AddressEncoding::LinkLocal, 64, 0));
    }
}
