//! The Next Hop TLV: where packets for the routes that follow are to be sent (RFC 8966 §4.6.8).

use std::net::IpAddr;

use crate::proto::babel::address::{
    AddressEncoding, encoding_of_address, parse_address, put_address,
};
use crate::proto::babel::tlv::TlvError;
use crate::proto::bytes::{Reader, Writer};

/// The TLV's number.
pub const TYPE: u8 = 7;

/// Reads the body of a Next Hop TLV; sub-TLVs that follow change nothing of it (RFC 8966 §4.5).
pub fn parse(body: &[u8]) -> Result<IpAddr, TlvError> {
    let mut reader = Reader::new(body);
    let encoding = AddressEncoding::parse(reader.u8()?)?;
    let _reserved = reader.u8()?;
    let address = parse_address(encoding, &mut reader)?;
    address.ok_or(TlvError::AddressEncoding { number: 0 })
}

/// Appends the body.
pub fn put(address: IpAddr, to: &mut Vec<u8>) {
    to.put_u8(encoding_of_address(address).number());
    to.put_u8(0);
    put_address(address, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_is_read_as_it_was_written_and_no_shorter() {
        for text in ["10.0.0.1", "fe80::1", "2001:db8::1"] {
            let address: IpAddr = text.parse().unwrap();
            let mut octets = Vec::new();
            put(address, &mut octets);
            assert_eq!(parse(&octets), Ok(address));
            for length in 0..octets.len() {
                assert!(parse(&octets[..length]).is_err(), "{length} octets");
            }
        }
    }

    #[test]
    fn neither_everything_nor_ipv4_via_ipv6_nor_the_unknown_is_a_next_hop() {
        for encoding in [0, 4, 5] {
            let refused = parse(&[encoding, 0, 10, 0, 0, 1]);
            assert_eq!(refused, Err(TlvError::AddressEncoding { number: encoding }));
        }
    }
}
