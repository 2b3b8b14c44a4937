//! Fills packets: as few as possible, nothing said twice in one (RFC 8966 §4.5).

use std::net::{IpAddr, Ipv4Addr};

use crate::proto::babel::address::{AddressEncoding, prefix_octets};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::packet::ROUTER_ID;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::update::{Update, Written};
use crate::proto::babel::{next_hop, update};
use crate::proto::bytes::Writer;

/// Bodies of packets to one address.
#[derive(Clone, Debug)]
pub struct Composer {
    octets_max: usize,
    /// Who says all this.
    sender: Option<RouterId>,
    full: Vec<Vec<u8>>,
    body: Vec<u8>,
    said: Said,
    scratch: Vec<u8>,
}

/// What the receiver knows from earlier TLVs of the same packet.
#[derive(Clone, Copy, Default, Debug)]
struct Said {
    router_id: Option<RouterId>,
    next_hop_v4: Option<Ipv4Addr>,
    prefix_v4: Option<[u8; 16]>,
    prefix_v6: Option<[u8; 16]>,
    prefix_v4_via_v6: Option<[u8; 16]>,
}

impl Said {
    fn prefix(&mut self, encoding: AddressEncoding) -> &mut Option<[u8; 16]> {
        match encoding {
            AddressEncoding::Ipv4 => &mut self.prefix_v4,
            AddressEncoding::Ipv4ViaIpv6 => &mut self.prefix_v4_via_v6,
            _ => &mut self.prefix_v6,
        }
    }
}

impl Composer {
    /// With bodies of up to `octets_max`.
    pub fn new(octets_max: usize) -> Self {
        Self {
            octets_max,
            sender: None,
            full: Vec::new(),
            body: Vec::new(),
            said: Said::default(),
            scratch: Vec::new(),
        }
    }

    /// Bodies of up to `octets_max` from now on.
    pub const fn set_octets_max(&mut self, octets_max: usize) {
        self.octets_max = octets_max;
    }

    /// Retractions are said in this name where nothing else was before them in their packet. They need
    /// none (RFC 8966 §4.6.9), but FRR passes over those without, and keeps the route until it expires.
    pub const fn set_sender(&mut self, sender: RouterId) {
        self.sender = Some(sender);
    }

    /// Adds a TLV that neither says nor takes anything from others.
    pub fn put(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        put_tlv(kind, &mut scratch, write);
        if !self.fits(&scratch) {
            self.finish();
        }
        self.body.put(&scratch);
        self.scratch = scratch;
    }

    /// Adds an update of `destination`. An IPv4 route is announced through our IPv4 address on the
    /// link, or through the IPv6 one if there is none (RFC 9229 §2.1).
    pub fn update(&mut self, update: &Update, destination: &Destination, our_v4: Option<Ipv4Addr>) {
        let mut said = self.write_update(update, destination, our_v4);
        if !self.fits(&self.scratch) {
            self.finish();
            said = self.write_update(update, destination, our_v4);
        }
        self.body.put(&self.scratch);
        self.said = said;
    }

    /// Whether nothing was added since the packets were taken.
    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.body.is_empty()
    }

    /// How many packets are full.
    pub fn full(&self) -> usize {
        self.full.len()
    }

    /// Octets that still fit into the packet that is being filled.
    pub fn left(&self) -> usize {
        self.octets_max.saturating_sub(self.body.len())
    }

    /// All bodies; the next one starts afresh.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        self.finish();
        std::mem::take(&mut self.full)
    }

    /// Begins a new packet unless the current one is empty.
    pub fn finish(&mut self) {
        self.said = Said::default();
        if !self.body.is_empty() {
            self.full.push(std::mem::take(&mut self.body));
        }
    }

    fn fits(&self, octets: &[u8]) -> bool {
        self.body.is_empty() || self.body.len() + octets.len() <= self.octets_max
    }

    /// Writes an update and what must precede it; what is said once that is sent.
    fn write_update(
        &mut self,
        update: &Update,
        destination: &Destination,
        our_v4: Option<Ipv4Addr>,
    ) -> Said {
        let mut said = self.said;
        let scratch = &mut self.scratch;
        scratch.clear();
        let in_need = said.router_id.is_none();
        if let Some(router_id) = update.router_id.or(self.sender.filter(|_| in_need))
            && said.router_id != Some(router_id)
        {
            put_tlv(ROUTER_ID, scratch, |body| {
                body.put_u16(0);
                body.put(&router_id.octets());
            });
            said.router_id = Some(router_id);
        }
        let encoding = match (destination.prefix.is_ipv4(), our_v4) {
            (false, _) => AddressEncoding::Ipv6,
            (true, None) => AddressEncoding::Ipv4ViaIpv6,
            (true, Some(our_v4)) => {
                if said.next_hop_v4 != Some(our_v4) {
                    put_tlv(next_hop::TYPE, scratch, |b| next_hop::put(IpAddr::V4(our_v4), b));
                    said.next_hop_v4 = Some(our_v4);
                }
                AddressEncoding::Ipv4
            }
        };
        let default = *said.prefix(encoding);
        let written = Written { encoding, update, destination, default };
        put_tlv(Update::TYPE, scratch, |body| written.put(body));
        *said.prefix(encoding) = Some(prefix_octets(&destination.prefix).0);
        said
    }
}

/// Adds an update that retracts everything.
pub fn put_wildcard_retraction(composer: &mut Composer, seqno: u16) {
    composer.put(Update::TYPE, |body| update::put_wildcard_retraction(body, seqno));
}

fn put_tlv(kind: u8, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    to.put_u8(kind);
    let length_at = to.len();
    to.put_u8(0);
    write(to);
    let length = to.len() - length_at - 1;
    to[length_at] = u8::try_from(length).expect("no TLV of ours is longer than 255 octets");
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;
    use crate::proto::babel::packet::{Packet, Tlv};

    fn packets_of(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let packet = |body: &Vec<u8>| {
            let mut octets = vec![42, 2];
            octets.put_u16(u16::try_from(body.len()).unwrap());
            octets.put(body);
            octets
        };
        bodies.iter().map(packet).collect()
    }

    #[test]
    fn what_is_compressed_is_read_whole() {
        let mut composer = Composer::new(100);
        let mut sent = Vec::new();
        for number in 0..50_u16 {
            let prefix = match number % 3 {
                0 => format!("10.{number}.0.0/16"),
                1 => format!("2001:db8:42:{number:x}::/64"),
                _ => format!("2001:db8:{number:x}::/48"),
            };
            let destination = Destination::from_anywhere(prefix.parse().unwrap());
            let ipv4 = Ipv4Addr::new(192, 0, 2, 1);
            let our_v4 = (number % 2 == 0).then_some(ipv4);
            let next_hop = match our_v4 {
                Some(v4) if destination.prefix.is_ipv4() => IpAddr::V4(v4),
                _ => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
            let update = Update {
                destination: Some(destination),
                router_id: RouterId::new([1 + (number / 20) as u8; 8]),
                next_hop: Some(next_hop),
                seqno: number,
                metric: number,
                next_within: Duration::from_secs(60),
            };
            composer.update(&update, &destination, our_v4);
            sent.push(Tlv::Update(update));
        }
        let packets = packets_of(&composer.take());
        assert!(packets.len() > 5 && packets.iter().all(|packet| packet.len() <= 104));
        let read: Vec<Tlv> = packets
            .iter()
            .flat_map(|octets| Packet::parse(octets).unwrap().tlvs(Ipv6Addr::LOCALHOST))
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, sent);
        assert!(composer.is_empty());
    }

    #[test]
    fn no_retraction_comes_before_a_router_id() {
        let mut composer = Composer::new(100);
        composer.set_sender(RouterId::new([7; 8]).unwrap());
        for number in 0..20_u16 {
            let prefix = format!("2001:db8:42:{number:x}::/64").parse().unwrap();
            let destination = Destination::from_anywhere(prefix);
            let update = Update {
                destination: Some(destination),
                router_id: None,
                next_hop: None,
                seqno: 1,
                metric: u16::MAX,
                next_within: Duration::from_secs(60),
            };
            composer.update(&update, &destination, None);
        }
        let bodies = composer.take();
        assert!(bodies.len() > 2, "{}", bodies.len());
        for body in bodies {
            let kinds: Vec<u8> =
                crate::proto::babel::packet::RawTlvs::new(&body).map(|(kind, _)| kind).collect();
            assert_eq!(kinds[0], ROUTER_ID, "{kinds:?}");
            assert_eq!(kinds.iter().filter(|&&kind| kind == ROUTER_ID).count(), 1, "{kinds:?}");
        }
    }

    #[test]
    fn a_table_of_one_originator_costs_few_octets_a_route() {
        let mut composer = Composer::new(1400);
        for number in 0..1000_u16 {
            let prefix = format!("2001:db8:42:{number:x}::/64").parse().unwrap();
            let destination = Destination::from_anywhere(prefix);
            let update = Update {
                destination: Some(destination),
                router_id: RouterId::new([1; 8]),
                next_hop: None,
                seqno: 1,
                metric: 96,
                next_within: Duration::from_secs(60),
            };
            composer.update(&update, &destination, None);
        }
        let octets: usize = composer.take().iter().map(Vec::len).sum();
        assert!(octets < 14_100, "{octets}");
    }
}
