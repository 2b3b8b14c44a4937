//! The Update TLV: "this is how far it is to there through me" (RFC 8966 §4.6.9).

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::babel::address::{AddressEncoding, parse_prefix, prefix_octets};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::parser_state::ParserState;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::sub_tlv::{SubTlvs, put_source};
use crate::proto::babel::tlv::{TlvError, centiseconds, from_centiseconds};
use crate::proto::bytes::{Reader, Writer};

/// An update or a retraction, with what earlier TLVs of the packet said about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Where the route leads; `None` retracts everything the sender announced.
    pub destination: Option<Destination>,
    /// Who originates it; `None` only in a retraction.
    pub router_id: Option<RouterId>,
    /// Where packets are to be sent; `None` only in a retraction.
    pub next_hop: Option<IpAddr>,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// The sender's metric; 65535 retracts.
    pub metric: u16,
    /// When the next one is due.
    pub next_within: Duration,
}

impl Update {
    /// The TLV's number.
    pub const TYPE: u8 = 8;

    /// Reads the body of an Update TLV; what it says for later TLVs goes to `state`.
    pub fn parse(body: &[u8], state: &mut ParserState) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let encoding = AddressEncoding::parse(reader.u8()?)?;
        let flags = reader.u8()?;
        let length = reader.u8()?;
        let omitted = reader.u8()?;
        let next_within = from_centiseconds(reader.u16()?);
        let seqno = reader.u16()?;
        let metric = reader.u16()?;
        let mut update =
            Self { destination: None, router_id: None, next_hop: None, seqno, metric, next_within };
        if encoding == AddressEncoding::Wildcard {
            SubTlvs::parse(&mut reader)?;
            // RFC 8966 §4.6.9: a wildcard can only retract.
            return if metric == u16::MAX { Ok(update) } else { Err(TlvError::Wildcard) };
        }
        let default = state.default_prefix(encoding, omitted)?;
        let prefix = parse_prefix(encoding, length, (omitted, &default), &mut reader)?;
        let (octets, _) = prefix_octets(&prefix);
        // The state changes even if a mandatory sub-TLV then makes this update void:
        // RFC 8966 §4.4.
        if flags & PREFIX != 0 {
            state.set_default_prefix(encoding, octets);
        }
        if flags & ROUTER_ID != 0 {
            state.router_id = router_id_in(&octets, encoding);
        }
        let source = SubTlvs::parse(&mut reader)?.source(encoding)?;
        update.destination = match source {
            None => Some(Destination::from_anywhere(prefix)),
            // `None` would mean everything.
            Some(source) => {
                Some(Destination::from_source(prefix, source).ok_or(TlvError::SourcePrefix)?)
            }
        };
        if metric != u16::MAX {
            update.router_id = Some(state.router_id.ok_or(TlvError::NoRouterId)?);
            update.next_hop = Some(state.next_hop(encoding).ok_or(TlvError::NoNextHop)?);
        }
        Ok(update)
    }
}

/// What is written of an update; router-id and next hop precede it in TLVs of their own.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// How its prefix is encoded.
    pub encoding: AddressEncoding,
    /// The update.
    pub update: &'a Update,
    /// Its destination.
    pub destination: &'a Destination,
    /// The prefix before it, of whose octets the first ones need not be repeated.
    pub default: Option<[u8; 16]>,
}

impl Written<'_> {
    /// Appends the body.
    pub fn put(&self, to: &mut Vec<u8>) {
        let (octets, count) = prefix_octets(&self.destination.prefix);
        let omitted = self.default.map_or(0, |default| {
            octets[..count].iter().zip(default).take_while(|&(&a, b)| a == b).count()
        });
        to.put_u8(self.encoding.number());
        // Each prefix is the next one's default: sorted tables share most octets with the one before.
        to.put_u8(PREFIX);
        to.put_u8(self.destination.prefix.length());
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        to.put_u8(omitted as u8);
        to.put_u16(centiseconds(self.update.next_within));
        to.put_u16(self.update.seqno);
        to.put_u16(self.update.metric);
        to.put(&octets[omitted..count]);
        put_source(&self.destination.source, to);
    }
}

/// Appends the body of an update that retracts everything.
pub fn put_wildcard_retraction(to: &mut Vec<u8>, seqno: u16) {
    to.put(&[AddressEncoding::Wildcard.number(), 0, 0, 0]);
    // RFC 8966 §4.6.9: the interval says nothing in a retraction, but must not be zero.
    to.put_u16(u16::MAX);
    to.put_u16(seqno);
    to.put_u16(u16::MAX);
}

/// The router-id that is the end of a prefix (RFC 8966 §4.6.9).
fn router_id_in(octets: &[u8; 16], encoding: AddressEncoding) -> Option<RouterId> {
    let mut router_id = [0; 8];
    if encoding.is_ipv4() {
        router_id[4..].copy_from_slice(&octets[..4]);
    } else {
        router_id.copy_from_slice(&octets[8..]);
    }
    RouterId::new(router_id)
}

const PREFIX: u8 = 0x80;
const ROUTER_ID: u8 = 0x40;
