//! Route and seqno requests: "tell me what you have", "get me something fresh" (RFC 8966 §4.6.10 and
//! §4.6.11).

use crate::proto::babel::address::{AddressEncoding, parse_prefix, prefix_octets};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::sub_tlv::{SubTlvs, put_source};
use crate::proto::babel::tlv::TlvError;
use crate::proto::bytes::{Reader, Writer};
use crate::proto::cidr::Cidr;

/// Asks for an update of one destination, or of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRequest {
    /// The destination; `None` asks for the whole table.
    pub destination: Option<Destination>,
}

impl RouteRequest {
    /// The TLV's number.
    pub const TYPE: u8 = 9;

    /// Reads the body of a Route Request TLV.
    pub fn parse(body: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let encoding = AddressEncoding::parse(reader.u8()?)?;
        let length = reader.u8()?;
        if encoding == AddressEncoding::Wildcard {
            SubTlvs::parse(&mut reader)?;
            // RFC 8966 §4.6.10: everything has no length.
            return if length == 0 {
                Ok(Self { destination: None })
            } else {
                Err(TlvError::PrefixLength { length })
            };
        }
        let prefix = parse_prefix(encoding, length, (0, &[0; 16]), &mut reader)?;
        let destination = with_source(prefix, encoding, &mut reader)?;
        Ok(Self { destination: Some(destination) })
    }

    /// Appends the body.
    pub fn put(&self, to: &mut Vec<u8>) {
        let Some(destination) = self.destination else {
            to.put(&[AddressEncoding::Wildcard.number(), 0]);
            return;
        };
        to.put_u8(AddressEncoding::of(&destination.prefix).number());
        to.put_u8(destination.prefix.length());
        put_rest(&destination, to);
    }
}

/// Asks a destination's originator, through whoever is on the way, to announce it afresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeqnoRequest {
    /// The destination.
    pub destination: Destination,
    /// What its announcement's number must reach.
    pub seqno: u16,
    /// How many routers it may still pass; at least 1.
    pub hop_count: u8,
    /// The originator.
    pub router_id: RouterId,
}

impl SeqnoRequest {
    /// The TLV's number.
    pub const TYPE: u8 = 10;

    /// Reads the body of a Seqno Request TLV.
    pub fn parse(body: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let encoding = AddressEncoding::parse(reader.u8()?)?;
        let length = reader.u8()?;
        let seqno = reader.u16()?;
        let hop_count = reader.u8()?;
        let _reserved = reader.u8()?;
        let router_id = RouterId::new(reader.array()?).ok_or(TlvError::NoRouterId)?;
        let prefix = parse_prefix(encoding, length, (0, &[0; 16]), &mut reader)?;
        if hop_count == 0 {
            return Err(TlvError::HopCount);
        }
        let destination = with_source(prefix, encoding, &mut reader)?;
        Ok(Self { destination, seqno, hop_count, router_id })
    }

    /// Appends the body.
    pub fn put(&self, to: &mut Vec<u8>) {
        to.put_u8(AddressEncoding::of(&self.destination.prefix).number());
        to.put_u8(self.destination.prefix.length());
        to.put_u16(self.seqno);
        to.put_u8(self.hop_count);
        to.put_u8(0);
        to.put(&self.router_id.octets());
        put_rest(&self.destination, to);
    }
}

fn with_source(
    prefix: Cidr,
    encoding: AddressEncoding,
    reader: &mut Reader<'_>,
) -> Result<Destination, TlvError> {
    match SubTlvs::parse_beside_prefix(reader)?.source(encoding)? {
        None => Ok(Destination::from_anywhere(prefix)),
        Some(source) => Destination::from_source(prefix, source).ok_or(TlvError::SourcePrefix),
    }
}

fn put_rest(destination: &Destination, to: &mut Vec<u8>) {
    let (octets, count) = prefix_octets(&destination.prefix);
    to.put(&octets[..count]);
    put_source(&destination.source, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination() -> Destination {
        let source = "2001:db8:42::/48".parse().unwrap();
        Destination::from_source("2001:db8::/32".parse().unwrap(), source).unwrap()
    }

    #[test]
    fn a_route_request_is_read_as_it_was_written_and_no_shorter() {
        for destination in [None, Some(destination())] {
            let mut octets = Vec::new();
            RouteRequest { destination }.put(&mut octets);
            assert_eq!(RouteRequest::parse(&octets), Ok(RouteRequest { destination }));
            for length in 0..octets.len() {
                // Cut before the source prefix it is a request for packets from anywhere.
                let parsed = RouteRequest::parse(&octets[..length]);
                assert_eq!(parsed.is_ok(), length == 6, "{length} octets");
            }
        }
    }

    #[test]
    fn a_request_for_everything_has_neither_a_length_nor_a_source() {
        assert_eq!(RouteRequest::parse(&[0, 0]), Ok(RouteRequest { destination: None }));
        assert_eq!(RouteRequest::parse(&[0, 8]), Err(TlvError::PrefixLength { length: 8 }));
        let from_somewhere = RouteRequest::parse(&[0, 0, 128, 2, 8, 0x20]);
        assert_eq!(from_somewhere, Err(TlvError::Mandatory { kind: 128 }));
    }

    #[test]
    fn ipv4_is_asked_for_as_such_and_either_way_of_asking_is_understood() {
        let destination = Destination::from_anywhere("10.9.0.0/16".parse().unwrap());
        let mut octets = Vec::new();
        RouteRequest { destination: Some(destination) }.put(&mut octets);
        assert_eq!(octets, [1, 16, 10, 9]);
        for encoding in [1, 4] {
            let asked = RouteRequest::parse(&[encoding, 16, 10, 9]);
            assert_eq!(asked, Ok(RouteRequest { destination: Some(destination) }));
        }
    }

    #[test]
    fn a_seqno_request_is_read_as_it_was_written_and_no_shorter() {
        let request = SeqnoRequest {
            destination: destination(),
            seqno: 7,
            hop_count: 64,
            router_id: RouterId::new([1; 8]).unwrap(),
        };
        let mut octets = Vec::new();
        request.put(&mut octets);
        assert_eq!(SeqnoRequest::parse(&octets), Ok(request));
        for length in 0..octets.len() {
            assert_eq!(SeqnoRequest::parse(&octets[..length]).is_ok(), length == 18, "{length}");
        }
        octets[4] = 0;
        assert_eq!(SeqnoRequest::parse(&octets), Err(TlvError::HopCount));
    }
}
