//! Packets: framing, and what earlier TLVs say about later ones (RFC 8966 §4.2 and §4.5).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::proto::babel::acknowledgement::{self, AcknowledgementRequest};
use crate::proto::babel::address::AddressEncoding;
use crate::proto::babel::hello::Hello;
use crate::proto::babel::ihu::Ihu;
use crate::proto::babel::next_hop;
use crate::proto::babel::requests::{RouteRequest, SeqnoRequest};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::sub_tlv::SubTlvs;
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

/// Why a TLV is ignored; the rest of its packet is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlvError {
    /// It ends before its fields do.
    #[error("a TLV ends too early: {0}")]
    Short(#[from] Short),
    /// An address encoding that is unknown, or not for this TLV.
    #[error("address encoding {number} is not for this TLV")]
    AddressEncoding {
        /// Its number.
        number: u8,
    },
    /// A prefix longer than its address, or with more omitted than it has.
    #[error("a prefix of {length} bits is not possible")]
    PrefixLength {
        /// Its length.
        length: u8,
    },
    /// Octets are omitted, but no prefix came before.
    #[error("a prefix omits octets that nothing gave")]
    NoDefaultPrefix,
    /// A mandatory sub-TLV that is not known here.
    #[error("mandatory sub-TLV {kind} is unknown")]
    Mandatory {
        /// Its number.
        kind: u8,
    },
    /// A source prefix given twice, empty, or of another family.
    #[error("a source prefix is malformed")]
    SourcePrefix,
    /// An update for everything that does not retract.
    #[error("an update for everything can only retract")]
    Wildcard,
    /// No router-id, or a reserved one.
    #[error("an update or request has no router-id")]
    NoRouterId,
    /// No next hop of that family.
    #[error("an update has no next hop")]
    NoNextHop,
    /// A request that may not go anywhere.
    #[error("a seqno request with hop count zero")]
    HopCount,
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
            if let Some(parsed) = self.state.parse(kind, body).transpose() {
                return Some(parsed);
            }
        }
    }
}

/// What earlier TLVs of a packet say about later ones.
#[derive(Clone, Debug)]
pub struct ParserState {
    /// Who originates the routes that follow.
    pub router_id: Option<RouterId>,
    next_hop_v6: IpAddr,
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
            next_hop_v6: IpAddr::V6(from),
            next_hop_v4: None,
            prefix_v4: None,
            prefix_v6: None,
            prefix_v4_via_v6: None,
        }
    }

    /// Where the routes that follow lead packets.
    pub fn next_hop(&self, encoding: AddressEncoding) -> Option<IpAddr> {
        if encoding == AddressEncoding::Ipv4 { self.next_hop_v4 } else { Some(self.next_hop_v6) }
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

    /// `None` for a TLV that only says something about later ones, or nothing.
    fn parse(&mut self, kind: u8, body: &[u8]) -> Result<Option<Tlv>, TlvError> {
        Ok(Some(match kind {
            AcknowledgementRequest::TYPE => {
                Tlv::AcknowledgementRequest(AcknowledgementRequest::parse(body)?)
            }
            acknowledgement::TYPE => Tlv::Acknowledgement(acknowledgement::parse(body)?),
            Hello::TYPE => Tlv::Hello(Hello::parse(body)?),
            Ihu::TYPE => Tlv::Ihu(Ihu::parse(body)?),
            Update::TYPE => Tlv::Update(Update::parse(body, self)?),
            RouteRequest::TYPE => Tlv::RouteRequest(RouteRequest::parse(body)?),
            SeqnoRequest::TYPE => Tlv::SeqnoRequest(SeqnoRequest::parse(body)?),
            ROUTER_ID => {
                let mut reader = Reader::new(body);
                let _reserved = reader.u16()?;
                let router_id = RouterId::new(reader.array()?);
                SubTlvs::parse(&mut reader)?;
                self.router_id = router_id;
                return Ok(None);
            }
            next_hop::TYPE => {
                match next_hop::parse(body)? {
                    v4 @ IpAddr::V4(_) => self.next_hop_v4 = Some(v4),
                    v6 => self.next_hop_v6 = v6,
                }
                return Ok(None);
            }
            _ => return Ok(None),
        }))
    }
}

/// A time as the wire has it: hundredths of a second, at least one, at most 655.35 s.
pub fn centiseconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis().div_ceil(10)).unwrap_or(u16::MAX).max(1)
}

/// A time from the wire.
pub fn from_centiseconds(count: u16) -> Duration {
    Duration::from_millis(10 * u64::from(count))
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
