//! Packets: framing, and which TLVs are in one (RFC 8966 §4.2 and §4.3).

use std::net::Ipv6Addr;

use crate::proto::babel::acknowledgement::{self, AcknowledgementRequest};
use crate::proto::babel::hello::Hello;
use crate::proto::babel::ihu::Ihu;
use crate::proto::babel::next_hop;
use crate::proto::babel::parser_state::ParserState;
use crate::proto::babel::requests::{RouteRequest, SeqnoRequest};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::tlv::TlvError;
use crate::proto::babel::update::Update;
use crate::proto::bytes::{Reader, Short};

/// A packet, framed but not looked into.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The TLVs.
    pub body: &'a [u8],
    /// Header and body: what is signed.
    pub signed: &'a [u8],
    /// What follows the body: signatures.
    pub trailer: &'a [u8],
}

/// Why octets are not a packet; all of it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// Shorter than it says.
    #[error("a packet is shorter than it says: {0}")]
    Short(#[from] Short),
    /// Not Babel, or not version 2.
    #[error("a packet is not of Babel version 2")]
    Magic,
}

/// One TLV, with what earlier ones said about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tlv {
    /// "Tell me that this packet arrived."
    AcknowledgementRequest(AcknowledgementRequest),
    /// "That packet arrived."
    Acknowledgement(u16),
    /// "I am here."
    Hello(Hello),
    /// "I heard you."
    Ihu(Ihu),
    /// "It is that far to there through me."
    Update(Update),
    /// "Tell me what you have."
    RouteRequest(RouteRequest),
    /// "Get me something fresh."
    SeqnoRequest(SeqnoRequest),
}

impl Tlv {
    /// Reads one; `None` for a TLV that only says something about later ones, or nothing.
    fn parse(kind: u8, body: &[u8], state: &mut ParserState) -> Result<Option<Self>, TlvError> {
        Ok(Some(match kind {
            AcknowledgementRequest::TYPE => {
                Self::AcknowledgementRequest(AcknowledgementRequest::parse(body)?)
            }
            acknowledgement::TYPE => Self::Acknowledgement(acknowledgement::parse(body)?),
            Hello::TYPE => Self::Hello(Hello::parse(body)?),
            Ihu::TYPE => Self::Ihu(Ihu::parse(body)?),
            Update::TYPE => Self::Update(Update::parse(body, state)?),
            RouteRequest::TYPE => Self::RouteRequest(RouteRequest::parse(body)?),
            SeqnoRequest::TYPE => Self::SeqnoRequest(SeqnoRequest::parse(body)?),
            ROUTER_ID => {
                // Also if it cannot be read, the former one does not hold any more.
                state.router_id = None;
                let mut reader = Reader::new(body);
                let _reserved = reader.u16()?;
                // It says something about later TLVs whatever sub-TLVs follow: RFC 8966 §4.5.
                state.router_id = RouterId::new(reader.array()?);
                return Ok(None);
            }
            next_hop::TYPE => {
                let parsed = next_hop::parse(body);
                if matches!(parsed, Err(TlvError::Short(_))) {
                    state.void_next_hops();
                }
                state.set_next_hop(parsed?);
                return Ok(None);
            }
            _ => return Ok(None),
        }))
    }
}

impl<'a> Packet<'a> {
    /// Finds header, body and trailer.
    pub fn parse(octets: &'a [u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(octets);
        let (magic, version) = (reader.u8()?, reader.u8()?);
        if (magic, version) != (MAGIC, VERSION) {
            return Err(PacketError::Magic);
        }
        let length = reader.u16()?;
        let body = reader.take(usize::from(length))?;
        let signed = &octets[..HEADER_OCTETS + body.len()];
        Ok(Self { body, signed, trailer: reader.rest() })
    }

    /// Its TLVs, in order; `from` is the next hop of IPv6 routes until another is given.
    pub fn tlvs(&self, from: Ipv6Addr) -> Tlvs<'a> {
        Tlvs { raw: RawTlvs::new(self.body), state: ParserState::new(from) }
    }
}

/// Numbers and bodies of the TLVs of a body or trailer. A cut one ends it.
#[derive(Clone, Copy, Debug)]
pub struct RawTlvs<'a> {
    rest: Reader<'a>,
}

impl<'a> RawTlvs<'a> {
    /// Of these octets.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: Reader::new(octets) }
    }
}

impl<'a> Iterator for RawTlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let kind = self.rest.u8().ok()?;
            if kind == PAD1 {
                continue;
            }
            let length = self.rest.u8().ok()?;
            return Some((kind, self.rest.take(usize::from(length)).ok()?));
        }
    }
}

/// The TLVs of a packet, each with what earlier ones said about it.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    raw: RawTlvs<'a>,
    state: ParserState,
}

impl Iterator for Tlvs<'_> {
    type Item = Result<Tlv, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, body) = self.raw.next()?;
            if let Some(parsed) = Tlv::parse(kind, body, &mut self.state).transpose() {
                return Some(parsed);
            }
        }
    }
}

/// The first octet of every packet.
pub const MAGIC: u8 = 42;
/// The second octet of every packet.
pub const VERSION: u8 = 2;
/// Octets before the body.
pub const HEADER_OCTETS: usize = 4;
/// The number of the Router-Id TLV (RFC 8966 §4.6.7).
pub const ROUTER_ID: u8 = 6;

const PAD1: u8 = 0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::babel::destination::Destination;
    use crate::proto::babel::vectors;

    #[test]
    fn packets_of_babeld_are_read_to_the_last_tlv() {
        let mut seen = Vec::new();
        for (path, octets) in vectors::packets() {
            let packet = Packet::parse(&octets).unwrap();
            for tlv in packet.tlvs(path.from) {
                seen.push(tlv.unwrap());
            }
        }
        let default =
            Destination::from_source("::/0".parse().unwrap(), "2001:db8:42::/48".parse().unwrap());
        let is_update = |tlv: &&Tlv, wanted: &dyn Fn(&Update) -> bool| matches!(tlv, Tlv::Update(update) if wanted(update));
        let count = |wanted: &dyn Fn(&Update) -> bool| {
            seen.iter().filter(|tlv| is_update(tlv, wanted)).count()
        };
        assert_eq!(count(&|update| update.destination == default), 6);
        assert_eq!(count(&|update| update.destination.is_none()), 4);
        let v4 = "10.43.1.1/32".parse().unwrap();
        let v4 = Some(Destination::from_anywhere(v4));
        let via_v6 = count(&|update| {
            update.destination == v4 && update.next_hop.is_some_and(|hop| hop.is_ipv6())
        });
        assert_eq!(via_v6, 5);
    }

    #[test]
    fn a_truncated_packet_is_refused_or_only_lacks_its_signature() {
        for (_, octets) in vectors::packets() {
            for length in 0..octets.len() {
                if let Ok(packet) = Packet::parse(&octets[..length]) {
                    assert!(length >= packet.signed.len());
                }
            }
        }
        assert_eq!(Packet::parse(&[42, 3, 0, 0]).unwrap_err(), PacketError::Magic);
    }

    /// What a packet with that body, from `fe80::1`, says.
    fn said(body: &[u8]) -> Vec<Result<Tlv, TlvError>> {
        let length = u8::try_from(body.len()).unwrap();
        let octets = [&[MAGIC, VERSION, 0, length], body].concat();
        Packet::parse(&octets).unwrap().tlvs("fe80::1".parse().unwrap()).collect()
    }

    /// An IPv4 route to 10.0.0.0/8.
    const ROUTE: [u8; 13] = [8, 11, 1, 0, 8, 0, 0, 9, 0, 7, 0, 96, 10];

    #[test]
    fn padding_and_the_unknown_are_passed_over_and_a_cut_tlv_ends_a_packet() {
        let hello = [4, 6, 0, 0, 0, 1, 0, 100];
        let unknown = [&[0, 1, 3, 0, 0, 0, 0, 99, 2, 1, 2], &hello[..], &[0, 200, 0]].concat();
        assert_eq!(said(&unknown).len(), 1);
        assert_eq!(said(&[&hello[..], &[4, 6, 0, 0, 0]].concat()).len(), 1);
        // A void TLV does not spoil the others.
        let void = [4, 8, 0, 0, 0, 1, 0, 100, 200, 0];
        let said = said(&[&void[..], &hello].concat());
        assert_eq!(said[0], Err(TlvError::Mandatory { kind: 200 }));
        assert!(said[1].is_ok());
    }

    /// RFC 8966 §4.5.
    #[test]
    fn router_id_and_next_hop_hold_for_later_updates_whatever_sub_tlvs_they_have() {
        let mandatory: &[u8] = &[200, 0];
        for sub_tlvs in [&[], mandatory] {
            let count = u8::try_from(sub_tlvs.len()).unwrap();
            let router_id = [&[ROUTER_ID, 10 + count, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], sub_tlvs];
            let next_hop = [&[next_hop::TYPE, 6 + count, 1, 0, 10, 0, 0, 1], sub_tlvs];
            let said = said(&[router_id.concat(), next_hop.concat(), ROUTE.to_vec()].concat());
            let [Ok(Tlv::Update(update))] = &said[..] else { panic!("{said:?}") };
            assert_eq!(update.router_id, RouterId::new([1, 2, 3, 4, 5, 6, 7, 8]));
            assert_eq!(update.next_hop, Some("10.0.0.1".parse().unwrap()));
        }
    }

    /// What cannot be read would have said something else of later updates than what came before it.
    #[test]
    fn a_router_id_next_hop_or_prefix_that_cannot_be_read_voids_the_former_one() {
        const PREFIX: u8 = 0x80;
        const IDENTIFIER: u8 = 0x40;
        let former = [
            &[ROUTER_ID, 10, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..],
            &[next_hop::TYPE, 6, 1, 0, 10, 0, 0, 1],
            &[8, 12, 1, PREFIX, 16, 0, 0, 9, 0, 7, 0, 96, 10, 1],
        ]
        .concat();
        let later = |void: &[u8]| {
            // The rest of its prefix is that of the former update.
            let route = [8, 11, 1, 0, 16, 1, 0, 9, 0, 7, 0, 96, 9];
            let said = said(&[&former[..], void, &route].concat());
            said.last().unwrap().map(drop)
        };
        for nothing in [&[8, 4, 1, 0, 16, 0][..], &[8, 2, 99, 0xff], &[next_hop::TYPE, 2, 99, 0]] {
            assert_eq!(later(nothing), Ok(()), "{nothing:?}");
        }
        for (void, expected) in [
            (&[ROUTER_ID, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7][..], TlvError::NoRouterId),
            (&[ROUTER_ID, 0], TlvError::NoRouterId),
            (&[next_hop::TYPE, 5, 1, 0, 10, 0, 0], TlvError::NoNextHop),
            (&[next_hop::TYPE, 0], TlvError::NoNextHop),
            (&[8, 0], TlvError::NoDefaultPrefix),
            (&[8, 2, 1, PREFIX], TlvError::NoDefaultPrefix),
            (&[8, 11, 1, PREFIX, 16, 0, 0, 9, 0, 7, 0, 96, 10], TlvError::NoDefaultPrefix),
            (&[8, 11, 1, PREFIX, 33, 0, 0, 9, 0, 7, 0, 96, 10], TlvError::NoDefaultPrefix),
            (&[8, 11, 1, IDENTIFIER, 16, 0, 0, 9, 0, 7, 0, 96, 10], TlvError::NoRouterId),
        ] {
            assert_eq!(later(void), Err(expected), "{void:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut octets = vec![MAGIC, VERSION];
            octets.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            octets.extend(body);
            for tlv in Packet::parse(&octets).unwrap().tlvs(Ipv6Addr::LOCALHOST) {
                let _ = tlv;
            }
        }

        #[test]
        fn a_mutilated_packet_is_read_without_panic(
            which in 0_usize..34, at in 4_usize..200, octet: u8
        ) {
            let (path, mut octets) = vectors::packets().swap_remove(which);
            let at = at.min(octets.len() - 1);
            octets[at] = octet;
            for tlv in Packet::parse(&octets).unwrap().tlvs(path.from) {
                let _ = tlv;
            }
        }
    }
}
