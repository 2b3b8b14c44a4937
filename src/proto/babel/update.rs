//! The Update TLV: "this is how far it is to there through me" (RFC 8966 §4.6.9).

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::babel::address::{AddressEncoding, parse_prefix, prefix_octets};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::parser_state::ParserState;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::sub_tlv::{SubTlvs, put_source};
use crate::proto::babel::tlv::TlvError::{self, NoDefaultPrefix, PrefixLength, Short};
use crate::proto::babel::tlv::{centiseconds, from_centiseconds, promised};
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

    /// How long it holds (RFC 8966, Appendix B: three and a half intervals).
    pub fn held(&self) -> Duration {
        self.next_within * 7 / 2
    }

    /// Reads the body of an Update TLV; what it says for later TLVs goes to `state`.
    pub fn parse(body: &[u8], state: &mut ParserState) -> Result<Self, TlvError> {
        let parsed = Self::read(body, state);
        if let Err(Short(_) | PrefixLength { .. } | NoDefaultPrefix) = parsed {
            // Later updates must not take for its prefix or router-id what was said before it.
            let flags = body.get(1).copied().unwrap_or(PREFIX | ROUTER_ID);
            if flags & PREFIX != 0 {
                state.void_default_prefixes();
            }
            if flags & ROUTER_ID != 0 {
                state.router_id = None;
            }
        }
        parsed
    }

    fn read(body: &[u8], state: &mut ParserState) -> Result<Self, TlvError> {
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
            // RFC 8966 §4.6.9: a wildcard can only retract, and has no length.
            let is_retraction = (metric, length, omitted) == (u16::MAX, 0, 0);
            return if is_retraction { Ok(update) } else { Err(TlvError::Wildcard) };
        }
        if encoding == AddressEncoding::LinkLocal && flags & ROUTER_ID != 0 {
            state.router_id = interface_identifier(length, &mut reader)?;
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
        let source = SubTlvs::parse_beside_prefix(&mut reader)?.source(encoding)?;
        update.destination = match source {
            None => Some(Destination::from_anywhere(prefix)),
            // `None` would mean everything.
            Some(source) => {
                Some(Destination::from_source(prefix, source).ok_or(TlvError::SourcePrefix)?)
            }
        };
        if metric != u16::MAX {
            promised(next_within)?;
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

/// The router-id that is the end of a link-local prefix. No route leads there, but the updates that
/// follow may be of that router.
fn interface_identifier(length: u8, reader: &mut Reader<'_>) -> Result<Option<RouterId>, TlvError> {
    if length > 128 {
        return Err(TlvError::PrefixLength { length });
    }
    let count = usize::from(length.saturating_sub(64)).div_ceil(8);
    let mut router_id = [0; 8];
    router_id[..count].copy_from_slice(reader.take(count)?);
    Ok(RouterId::new(router_id))
}

const PREFIX: u8 = 0x80;
const ROUTER_ID: u8 = 0x40;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const OURS: &str = "2001:db8:1::/64";

    /// An update in a packet from `fe80::1`: what comes before the prefix, the prefix, and sub-TLVs.
    struct Said<'a> {
        encoding: u8,
        flags: u8,
        length: u8,
        omitted: u8,
        interval: u8,
        metric: u16,
        rest: &'a [u8],
    }

    /// A route to 2001:db8:1::/64.
    const USUAL: Said<'_> = Said {
        encoding: 2,
        flags: 0,
        length: 64,
        omitted: 0,
        interval: 9,
        metric: 96,
        rest: &[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0],
    };

    impl Said<'_> {
        fn read(&self, state: &mut ParserState) -> Result<Update, TlvError> {
            let mut body = vec![self.encoding, self.flags, self.length, self.omitted];
            body.extend([0, self.interval, 0, 7]);
            body.put_u16(self.metric);
            body.put(self.rest);
            Update::parse(&body, state)
        }

        fn read_alone(&self) -> Result<Update, TlvError> {
            let mut state = ParserState::new(Ipv6Addr::LOCALHOST);
            state.router_id = router_id([7; 8]);
            self.read(&mut state)
        }
    }

    fn router_id(octets: [u8; 8]) -> Option<RouterId> {
        RouterId::new(octets)
    }

    fn prefix(update: &Update) -> String {
        update.destination.unwrap().prefix.to_string()
    }

    #[test]
    fn an_update_for_everything_retracts_and_has_neither_length_nor_source() {
        let everything = Said { encoding: 0, length: 0, metric: u16::MAX, rest: &[], ..USUAL };
        assert_eq!(everything.read_alone().unwrap().destination, None);
        let refused = Err(TlvError::Wildcard);
        assert_eq!(Said { metric: 96, ..everything }.read_alone(), refused);
        assert_eq!(Said { length: 8, ..everything }.read_alone(), refused);
        assert_eq!(Said { omitted: 1, ..everything }.read_alone(), refused);
        let from_somewhere = Said { rest: &[128, 2, 8, 0x20], ..everything };
        assert_eq!(from_somewhere.read_alone(), Err(TlvError::Mandatory { kind: 128 }));
    }

    #[test]
    fn only_a_retraction_need_not_promise_another_nor_say_whose_it_is() {
        assert_eq!(USUAL.read_alone().map(|update| prefix(&update)), Ok(OURS.to_owned()));
        assert_eq!(Said { interval: 0, ..USUAL }.read_alone(), Err(TlvError::Interval));
        let mut state = ParserState::new(Ipv6Addr::LOCALHOST);
        assert_eq!(USUAL.read(&mut state), Err(TlvError::NoRouterId));
        let retraction = Said { interval: 0, metric: u16::MAX, ..USUAL };
        assert_eq!(retraction.read(&mut state).map(|update| prefix(&update)), Ok(OURS.to_owned()));
    }

    #[test]
    fn an_ipv4_route_has_an_ipv4_next_hop_unless_it_says_otherwise() {
        let ipv4 = Said { encoding: 1, length: 8, rest: &[10], ..USUAL };
        assert_eq!(ipv4.read_alone(), Err(TlvError::NoNextHop));
        let via_v6 = Said { encoding: 4, ..ipv4 }.read_alone().unwrap();
        assert_eq!(via_v6.next_hop, Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn bits_beyond_the_prefix_are_cleared() {
        let uneven = Said { length: 60, rest: &[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0xff], ..USUAL };
        assert_eq!(prefix(&uneven.read_alone().unwrap()), "2001:db8:1:f0::/60");
    }

    #[test]
    fn omitted_octets_are_of_the_last_prefix_with_the_same_encoding_that_is_for_that() {
        let mut state = ParserState::new(Ipv6Addr::LOCALHOST);
        state.router_id = router_id([7; 8]);
        let later = Said { omitted: 6, rest: &[0, 9], ..USUAL };
        assert_eq!(USUAL.read(&mut state).map(|update| prefix(&update)), Ok(OURS.to_owned()));
        assert_eq!(later.read(&mut state), Err(TlvError::NoDefaultPrefix));
        // Void itself: a mandatory sub-TLV.
        let void = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 200, 0];
        let void = Said { flags: PREFIX, rest: &void, ..USUAL }.read(&mut state);
        assert_eq!(void, Err(TlvError::Mandatory { kind: 200 }));
        let ipv4 = Said { encoding: 4, flags: PREFIX, length: 16, rest: &[10, 9], ..USUAL };
        assert!(ipv4.read(&mut state).is_ok());
        assert_eq!(prefix(&later.read(&mut state).unwrap()), "2001:db8:2:9::/64");
        let beyond = Said { omitted: 9, rest: &[], ..USUAL }.read(&mut state);
        assert_eq!(beyond, Err(TlvError::PrefixLength { length: 64 }));
        let plain_ipv4 = Said { encoding: 1, omitted: 1, rest: &[9], ..ipv4 }.read(&mut state);
        assert_eq!(plain_ipv4, Err(TlvError::NoDefaultPrefix));
    }

    #[test]
    fn the_end_of_an_address_is_a_router_id_where_it_says_so_even_of_a_void_update() {
        let mut state = ParserState::new(Ipv6Addr::LOCALHOST);
        let host = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let host = Said { flags: ROUTER_ID, length: 128, rest: &host, ..USUAL };
        let own = host.read(&mut state).unwrap().router_id;
        assert_eq!(own, router_id([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(USUAL.read(&mut state).unwrap().router_id, own);
        let ipv4 = [10, 0, 0, 1, 200, 0];
        let ipv4 = Said { encoding: 4, length: 32, rest: &ipv4, ..host };
        assert_eq!(ipv4.read(&mut state), Err(TlvError::Mandatory { kind: 200 }));
        let after = USUAL.read(&mut state).unwrap().router_id;
        assert_eq!(after, router_id([0, 0, 0, 0, 10, 0, 0, 1]));
        let link_local = Said { encoding: 3, rest: &[8, 7, 6, 5, 4, 3, 2, 1], ..host };
        assert!(link_local.read(&mut state).is_err());
        let after = USUAL.read(&mut state).unwrap().router_id;
        assert_eq!(after, router_id([8, 7, 6, 5, 4, 3, 2, 1]));
        // A prefix has no end: zeros are nobody.
        assert_eq!(Said { flags: ROUTER_ID, ..USUAL }.read(&mut state), Err(TlvError::NoRouterId));
    }
}
