//! The control socket of the babeld that re6stnet patches: what its client asks, what it is answered.
//!
//! ```text
//! client: 01, then requests          server: answers, in the same order
//!   0001  u32 length = 1   u8 parts    0001  u32 length   arrays of interfaces, neighbours,
//!                                                         announcements and installed routes
//!   0002  u32 length = 22  16 address  0002  u32 length = 1   u8
//!                          u32 interface
//!                          u16 multiplier
//! ```
//!
//! An array is a `u16` count and its items; one that was not asked for is empty. IPv4 is written as
//! IPv4-mapped IPv6, with prefix lengths from 96.

use std::net::{IpAddr, Ipv6Addr};

use crate::proto::babel::dump::{Announced, Dump, Interface, Neighbour, Route};
use crate::proto::babel::settings::CostMultiplier;
use crate::proto::bytes::{Reader, Short, Writer};
use crate::proto::cidr::Cidr;
use crate::proto::limits;

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// To be told what the router knows.
    Dump(Parts),
    /// To multiply the cost of a neighbour.
    SetCostMultiplier {
        /// The neighbour.
        address: Ipv6Addr,
        /// The number of the interface it is on.
        index: u32,
        /// The multiplier.
        multiplier: CostMultiplier,
    },
}

/// Which arrays a dump has: a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts(u8);

impl Parts {
    /// Links.
    pub const INTERFACES: Self = Self(1);
    /// Neighbours.
    pub const NEIGHBOURS: Self = Self(2);
    /// What is originated here.
    pub const ANNOUNCED: Self = Self(4);
    /// Routes in the kernel.
    pub const INSTALLED: Self = Self(8);

    /// As in a request; unknown bits are kept and ask for nothing.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    const fn include(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }
}

/// Why a client is not understood; its connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ControlError {
    /// It speaks another protocol.
    #[error("version {0} of the control protocol, where 1 is spoken")]
    Version(u8),
    /// It asks something else.
    #[error("request {0} is unknown")]
    Request(u16),
    /// A request is too long, or too short.
    #[error("request {request} of {length} octets")]
    Length {
        /// Which.
        request: u16,
        /// Its octets.
        length: u32,
    },
}

/// Octets of a client that are not understood yet.
#[derive(Debug, Default)]
pub struct Requests {
    octets: Vec<u8>,
    greeting: Greeting,
}

/// Whether a client said which protocol it speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Greeting {
    #[default]
    Awaited,
    Heard,
}

impl Requests {
    /// Adds what was received.
    pub fn receive(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The next request that is complete; `None` if more octets are needed.
    pub fn next_request(&mut self) -> Result<Option<Request>, ControlError> {
        if self.greeting == Greeting::Awaited {
            match self.octets.first() {
                None => return Ok(None),
                Some(&VERSION) => self.octets.remove(0),
                Some(&other) => return Err(ControlError::Version(other)),
            };
            self.greeting = Greeting::Heard;
        }
        let mut reader = Reader::new(&self.octets);
        let (Ok(request), Ok(length)) = (reader.u16(), reader.u32()) else {
            return Ok(None);
        };
        if length > limits::CONTROL_REQUEST_OCTETS_MAX {
            return Err(ControlError::Length { request, length });
        }
        let Ok(body) = reader.take(length as usize) else {
            return Ok(None);
        };
        let parsed = match request {
            DUMP => parse_dump(body),
            SET_COST_MULTIPLIER => parse_set_cost_multiplier(body),
            unknown => return Err(ControlError::Request(unknown)),
        };
        let parsed = parsed.map_err(|_| ControlError::Length { request, length })?;
        let left = reader.left();
        self.octets.drain(..self.octets.len() - left);
        Ok(Some(parsed))
    }
}

fn parse_dump(body: &[u8]) -> Result<Request, Short> {
    Reader::new(body).u8().map(|bits| Request::Dump(Parts(bits)))
}

fn parse_set_cost_multiplier(body: &[u8]) -> Result<Request, Short> {
    let mut reader = Reader::new(body);
    Ok(Request::SetCostMultiplier {
        address: Ipv6Addr::from(reader.array::<16>()?),
        index: reader.u32()?,
        multiplier: CostMultiplier::from_256ths(reader.u16()?),
    })
}

/// The answer to [`Request::Dump`]. Only routes whose neighbour is told as well are told: re6stnet
/// ends at any other.
pub fn answer_dump(dump: &Dump, parts: Parts) -> Vec<u8> {
    let mut body = Vec::new();
    let asked = |part| parts.include(part);
    put_array(
        &mut body,
        dump.interfaces.iter().filter(|_| asked(Parts::INTERFACES)),
        put_interface,
    );
    put_array(
        &mut body,
        dump.neighbours.iter().filter(|_| asked(Parts::NEIGHBOURS)),
        put_neighbour,
    );
    put_array(&mut body, dump.announced.iter().filter(|_| asked(Parts::ANNOUNCED)), put_announced);
    let is_told = |route: &&Route| {
        let neighbour =
            |known: &Neighbour| known.address == route.neighbour && known.index == route.index;
        asked(Parts::INSTALLED) && route.installed && dump.neighbours.iter().any(neighbour)
    };
    put_array(&mut body, dump.routes.iter().filter(is_told), put_route);
    framed(DUMP, &body)
}

/// The answer to [`Request::SetCostMultiplier`].
pub fn answer_set_cost_multiplier(outcome: Multiplied) -> Vec<u8> {
    framed(SET_COST_MULTIPLIER, &[outcome as u8])
}

/// What became of a multiplier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Multiplied {
    /// There is no such neighbour.
    NoNeighbour = 0,
    /// It is in force.
    Done = 1,
}

#[expect(clippy::cast_possible_truncation, reason = "arrays are bounded by their 16-bit counts")]
fn framed(request: u16, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(6 + body.len());
    message.put_u16(request);
    message.put_u32(body.len() as u32);
    message.put(body);
    message
}

fn put_array<'a, T: 'a>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = &'a T>,
    put: fn(&mut Vec<u8>, &T),
) {
    let start = out.len();
    out.put_u16(0);
    let mut count: u16 = 0;
    for item in items.take(usize::from(u16::MAX)) {
        put(out, item);
        count += 1;
    }
    out[start..start + 2].copy_from_slice(&count.to_be_bytes());
}

fn put_interface(out: &mut Vec<u8>, interface: &Interface) {
    out.put_u32(interface.index);
    out.put(interface.name.as_bytes());
    out.put_u8(0);
}

fn put_neighbour(out: &mut Vec<u8>, neighbour: &Neighbour) {
    out.put(&neighbour.address.octets());
    out.put_u32(neighbour.index);
    out.put_u16(neighbour.reach);
    out.put_u16(neighbour.rxcost);
    out.put_u16(neighbour.txcost);
    let round_trip_ms = neighbour.rtt_us.unwrap_or(0) / 1000;
    out.put_u16(u16::try_from(round_trip_ms).unwrap_or(u16::MAX));
    // What delay adds is not told apart from the rest of the cost here.
    out.put_u16(0);
    out.put_u32(CHANNEL_UNKNOWN);
    out.put_u16(INTERFACE_UP);
    out.put_u16(neighbour.multiplier);
}

fn put_announced(out: &mut Vec<u8>, announced: &Announced) {
    put_prefix(out, &announced.destination.prefix);
    out.put_u16(announced.metric);
}

fn put_route(out: &mut Vec<u8>, route: &Route) {
    put_prefix(out, &route.destination.prefix);
    out.put_u16(route.metric);
    // The smoothed metric, which is used only to choose.
    out.put_u16(route.metric);
    out.put_u16(route.refmetric);
    out.put(&route.router_id.octets());
    out.put_u32(route.seqno.into());
    out.put_u32(AGE_UNKNOWN);
    out.put_u32(route.index);
    out.put(&route.neighbour.octets());
    out.put(&mapped(route.next_hop).octets());
    out.put_u8(INSTALLED);
}

fn put_prefix(out: &mut Vec<u8>, prefix: &Cidr) {
    out.put(&mapped(prefix.address()).octets());
    out.put_u8(if prefix.is_ipv4() { 96 + prefix.length() } else { prefix.length() });
}

const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

const VERSION: u8 = 1;
const DUMP: u16 = 1;
const SET_COST_MULTIPLIER: u16 = 2;
const CHANNEL_UNKNOWN: u32 = 0;
const INTERFACE_UP: u16 = 1;
const AGE_UNKNOWN: u32 = 0;
const INSTALLED: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::babel::destination::Destination;
    use crate::proto::babel::router_id::RouterId;

    /// What re6stnet sends: the version, a dump of all but announcements, and a multiplier.
    const SENT: &[u8] = b"\x01\x00\x01\x00\x00\x00\x01\x0b\x00\x02\x00\x00\x00\x16\
        \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\x00\x00\x00\x05\x10\x00";

    fn expected() -> [Request; 2] {
        let address = "fe80::7".parse().unwrap();
        let multiplier = CostMultiplier::AVOID;
        [Request::Dump(Parts(11)), Request::SetCostMultiplier { address, index: 5, multiplier }]
    }

    #[test]
    fn requests_are_read_however_they_are_cut() {
        for cut in 0..=SENT.len() {
            let mut requests = Requests::default();
            let mut read = Vec::new();
            for octets in [&SENT[..cut], &SENT[cut..]] {
                requests.receive(octets);
                while let Some(request) = requests.next_request().unwrap() {
                    read.push(request);
                }
            }
            assert_eq!(read, expected(), "cut at {cut}");
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        let refused = |octets: &[u8]| {
            let mut requests = Requests::default();
            requests.receive(octets);
            requests.next_request().unwrap_err()
        };
        assert_eq!(refused(b"dump\n"), ControlError::Version(b'd'));
        assert_eq!(refused(b"\x01\x00\x07\x00\x00\x00\x00"), ControlError::Request(7));
        let long = ControlError::Length { request: 1, length: 0x0100_0000 };
        assert_eq!(refused(b"\x01\x00\x01\x01\x00\x00\x00"), long);
        let short = ControlError::Length { request: 2, length: 1 };
        assert_eq!(refused(b"\x01\x00\x02\x00\x00\x00\x01\x00"), short);
    }

    fn neighbour() -> Neighbour {
        Neighbour {
            address: "fe80::7".parse().unwrap(),
            interface: "re6stnet1".to_owned(),
            index: 5,
            reach: 0xffff,
            unicast_reach: 0,
            rxcost: 96,
            txcost: 97,
            rtt_us: Some(20_500),
            cost: 98,
            multiplier: 256,
        }
    }

    fn route(prefix: &str, next_hop: &str) -> Route {
        Route {
            destination: Destination::from_anywhere(prefix.parse().unwrap()),
            metric: 96,
            refmetric: 0,
            router_id: RouterId::new([2; 8]).unwrap(),
            seqno: 0x1234,
            next_hop: next_hop.parse().unwrap(),
            neighbour: "fe80::7".parse().unwrap(),
            interface: "re6stnet1".to_owned(),
            index: 5,
            installed: true,
            feasible: true,
        }
    }

    fn dump() -> Dump {
        let unknown = Route { index: 6, ..route("2001:db8:42:3::/64", "fe80::7") };
        let spare = Route { installed: false, ..route("2001:db8:42:4::/64", "fe80::7") };
        Dump {
            router_id: None,
            interfaces: vec![Interface {
                name: "re6stnet1".to_owned(),
                index: 5,
                address: "fe80::1".parse().unwrap(),
            }],
            neighbours: vec![neighbour()],
            routes: vec![
                route("2001:db8:42:2::/64", "fe80::7"),
                route("10.43.2.0/24", "10.43.2.1"),
                unknown,
                spare,
            ],
            announced: vec![Announced {
                destination: Destination::from_anywhere("10.43.1.0/24".parse().unwrap()),
                metric: 3,
            }],
        }
    }

    #[test]
    fn a_dump_has_the_layout_that_re6stnet_reads() {
        let answer = answer_dump(&dump(), Parts(15));
        let mut reader = Reader::new(&answer);
        assert_eq!((reader.u16(), reader.u32()), (Ok(1), Ok(answer.len() as u32 - 6)));
        assert_eq!((reader.u16(), reader.u32()), (Ok(1), Ok(5)));
        assert_eq!(reader.take(10).unwrap(), b"re6stnet1\0");
        assert_eq!((reader.u16(), reader.take(15), reader.u8()).0, Ok(1));
        assert_eq!((reader.u32(), reader.u16()), (Ok(5), Ok(0xffff)));
        let numbers: Vec<u16> = (0..8).map(|_| reader.u16().unwrap()).collect();
        assert_eq!(numbers, [96, 97, 20, 0, 0, 0, 1, 256]);
        assert_eq!((reader.u16(), reader.take(10), reader.u16()).2, Ok(0xffff));
        assert_eq!(reader.take(7).unwrap(), [10, 43, 1, 0, 120, 0, 3]);
        // The route without a neighbour and the one that is not installed are left out.
        assert_eq!(reader.u16(), Ok(2));
        let ipv6 = reader.take(76).unwrap();
        assert_eq!(ipv6[..17], *b"\x20\x01\x0d\xb8\x00\x42\x00\x02\0\0\0\0\0\0\0\0\x40");
        assert_eq!(
            ipv6[17..39],
            *b"\0\x60\0\x60\0\0\x02\x02\x02\x02\x02\x02\x02\x02\0\0\x12\x34\0\0\0\0"
        );
        assert_eq!(ipv6[39..43], [0, 0, 0, 5]);
        assert_eq!((&ipv6[43..59], ipv6[75]), (&ipv6[59..75], 1));
        let ipv4 = reader.take(76).unwrap();
        assert_eq!(
            (ipv4[10..17].to_vec(), ipv4[69..].to_vec()),
            (vec![0xff, 0xff, 10, 43, 2, 0, 120], vec![0xff, 0xff, 10, 43, 2, 1, 1],)
        );
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_not_asked_for_is_an_empty_array() {
        assert_eq!(answer_dump(&dump(), Parts(0)), b"\0\x01\0\0\0\x08\0\0\0\0\0\0\0\0");
        let multiplied = answer_set_cost_multiplier(Multiplied::Done);
        assert_eq!(multiplied, [0, 2, 0, 0, 0, 1, 1]);
    }

    proptest! {
        #[test]
        fn no_octets_are_a_panic(chunks in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut requests = Requests::default();
            requests.receive(&[VERSION]);
            for octets in chunks {
                requests.receive(&octets);
                while let Ok(Some(_)) = requests.next_request() {}
            }
        }

        #[test]
        fn a_multiplier_is_read_as_it_was_written(address: u128, index: u32, value: u16) {
            let mut octets = vec![VERSION, 0, 2, 0, 0, 0, 22];
            octets.put(&Ipv6Addr::from_bits(address).octets());
            octets.put_u32(index);
            octets.put_u16(value);
            let mut requests = Requests::default();
            requests.receive(&octets);
            let address = Ipv6Addr::from_bits(address);
            let multiplier = CostMultiplier::from_256ths(value);
            let request = Request::SetCostMultiplier { address, index, multiplier };
            prop_assert_eq!(requests.next_request(), Ok(Some(request)));
        }
    }
}
