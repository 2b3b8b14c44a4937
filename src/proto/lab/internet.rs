//! The emulated Internet as a core: packets in, packets out later, or never.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::proto::lab::fault::Fault;
use crate::proto::lab::nat::Nat;
use crate::proto::lab::packet::{self, Header};
use crate::proto::lab::path::{Fate, Path, Quality};
use crate::proto::lab::scenario::{Family, Override, Scenario, ScenarioError};
use crate::proto::limits;
use crate::proto::random::Random;
use crate::proto::time::Instant;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A host sent an IP packet.
    Packet {
        /// Its position in the scenario.
        host: usize,
        /// From its first header on.
        octets: Vec<u8>,
    },
    /// A host sent an Ethernet frame on its LAN segment.
    Frame {
        /// Its position in the scenario.
        host: usize,
        /// From its destination address on.
        octets: Vec<u8>,
    },
    /// Time passed.
    Timer,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Give a host an IP packet.
    Packet {
        /// Its position in the scenario.
        host: usize,
        /// From its first header on.
        octets: Vec<u8>,
    },
    /// Give a host an Ethernet frame on its LAN segment.
    Frame {
        /// Its position in the scenario.
        host: usize,
        /// From its destination address on.
        octets: Vec<u8>,
    },
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Given to the host they were for.
    pub delivered: u64,
    /// On paths that are cut.
    pub cut: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Too many before a slow path, or in flight at once.
    pub queue_full: u64,
    /// Larger than the path takes.
    pub too_big: u64,
    /// UDP where UDP is dropped.
    pub udp_dropped: u64,
    /// Nobody behind the NAT waited for them, or it could not translate them.
    pub nat: u64,
    /// For an address that nobody has.
    pub nowhere: u64,
}

/// Paths, translators and packets on their way.
#[derive(Debug)]
pub struct Internet {
    scenario: Scenario,
    owners: HashMap<IpAddr, Owner>,
    nats: Vec<Nat>,
    /// The translator in front of each host.
    nat_of: Vec<Option<usize>>,
    /// A host behind each translator: where it is.
    site_of: Vec<usize>,
    /// By family, source and destination.
    paths: Vec<Path>,
    /// Whose UDP is dropped.
    udp_dropped: Vec<bool>,
    flight: BinaryHeap<Reverse<Flying>>,
    departures: u64,
    random: Random,
    counters: Counters,
}

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Host(usize),
    Nat(usize),
}

/// A packet on its way; the earlier, the smaller.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    arrives: Instant,
    /// Keeps packets that arrive together in the order in which they left.
    number: u64,
    to: Owner,
    octets: Vec<u8>,
}

impl Internet {
    /// The Internet of a scenario.
    pub fn new(scenario: Scenario, random: Random) -> Self {
        let mut internet = Self {
            owners: HashMap::new(),
            nats: Vec::new(),
            nat_of: vec![None; scenario.hosts.len()],
            site_of: Vec::new(),
            paths: Vec::new(),
            udp_dropped: scenario.hosts.iter().map(|host| host.udp_dropped).collect(),
            flight: BinaryHeap::new(),
            departures: 0,
            random,
            counters: Counters::default(),
            scenario,
        };
        for at in 0..internet.scenario.hosts.len() {
            internet.place(at);
        }
        for family in Family::ALL {
            for (from, to) in internet.pairs() {
                internet.paths.push(Path::new(internet.scenario.quality(from, to, family)));
            }
        }
        internet
    }

    /// What became of the packets so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What was changed and is not yet as the scenario says again, one sentence for each pair or host.
    pub fn changes(&self) -> Vec<String> {
        let hosts = &self.scenario.hosts;
        let changed = |from, to, family| {
            let (planned, now) =
                (self.scenario.quality(from, to, family), self.quality(from, to, family));
            let differences = now.differences(&planned);
            (!differences.is_empty()).then(|| differences.join(", "))
        };
        let mut changes = Vec::new();
        for (from, to) in self.pairs().into_iter().filter(|(from, to)| from < to) {
            let pair = format!("{} – {}", hosts[from].name, hosts[to].name);
            match Family::ALL.map(|family| changed(from, to, family)) {
                [Some(ipv4), Some(ipv6)] if ipv4 == ipv6 => changes.push(format!("{pair}: {ipv4}")),
                each => {
                    for (family, change) in Family::ALL.iter().zip(each) {
                        changes.extend(change.map(|change| format!("{pair}, {family}: {change}")));
                    }
                }
            }
        }
        for (host, dropped) in hosts.iter().zip(&self.udp_dropped) {
            if host.udp_dropped != *dropped {
                let verb = if *dropped { "is dropped" } else { "passes" };
                changes.push(format!("{}: UDP {verb}", host.name));
            }
        }
        changes
    }

    /// What a path does to packets now.
    pub fn quality(&self, from: usize, to: usize, family: Family) -> Quality {
        self.paths[self.path_index(from, to, family)].quality
    }

    /// Takes one input and appends what is to be done, everything that is due included.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Packet { host, octets } => self.send(host, octets, now),
            Input::Frame { host, octets } => self.flood(host, &octets, out),
            Input::Timer => {}
        }
        while self.flight.peek().is_some_and(|Reverse(next)| next.arrives <= now) {
            if let Some(Reverse(flying)) = self.flight.pop() {
                self.arrive(flying, now, out);
            }
        }
    }

    /// When the next packet arrives.
    pub fn deadline(&self) -> Option<Instant> {
        self.flight.peek().map(|Reverse(next)| next.arrives)
    }

    /// Changes the Internet from now on; packets on their way are not touched.
    pub fn change(&mut self, fault: &Fault) -> Result<(), ScenarioError> {
        fault.check(&self.scenario)?;
        match fault {
            Fault::Path(change) => self.change_paths(change, |quality, _| change.apply(quality)),
            Fault::Heal { between } => {
                let change = Override { between: between.clone(), ..Override::default() };
                self.change_paths(&change, |quality, planned| *quality = planned);
            }
            Fault::Udp { host, dropped } => {
                let at = self.scenario.host(host)?;
                self.udp_dropped[at] = *dropped;
            }
        }
        Ok(())
    }

    fn change_paths(&mut self, of: &Override, change: impl Fn(&mut Quality, Quality)) {
        for family in Family::ALL {
            for (from, to) in self.pairs() {
                let hosts = &self.scenario.hosts;
                if of.covers(&hosts[from], &hosts[to], family) {
                    let planned = self.scenario.quality(from, to, family);
                    let index = self.path_index(from, to, family);
                    change(&mut self.paths[index].quality, planned);
                }
            }
        }
    }

    fn place(&mut self, at: usize) {
        let host = self.scenario.hosts[at].clone();
        if let Some(address) = host.ipv6 {
            self.owners.insert(address.into(), Owner::Host(at));
        }
        match (host.nat, host.ipv4) {
            (Some(public), inside) => {
                let known = self.nats.iter().position(|nat| nat.public() == public);
                let nat = known.unwrap_or_else(|| {
                    self.nats.push(Nat::new(public));
                    self.site_of.push(at);
                    self.nats.len() - 1
                });
                self.nat_of[at] = Some(nat);
                for (inside, port) in
                    inside.iter().flat_map(|i| host.forward.iter().map(move |p| (i, p)))
                {
                    self.nats[nat].forward(*inside, *port);
                }
                self.owners.insert(public.into(), Owner::Nat(nat));
            }
            (None, Some(address)) => {
                self.owners.insert(address.into(), Owner::Host(at));
            }
            (None, None) => {}
        }
    }

    fn send(&mut self, host: usize, mut octets: Vec<u8>, now: Instant) {
        let Some(header) = Header::parse(&octets) else { return };
        if is_local(header.destination) {
            return;
        }
        if header.protocol == packet::UDP && self.udp_dropped[host] {
            self.counters.udp_dropped += 1;
            return;
        }
        if let (Some(nat), IpAddr::V4(destination)) = (self.nat_of[host], header.destination) {
            if let Some(neighbour) = self.behind(nat, destination) {
                self.launch(Owner::Host(neighbour), octets, now + BEHIND_ONE_NAT);
                return;
            }
            if self.nats[nat].outbound(&mut octets, now).is_none() {
                self.counters.nat += 1;
                return;
            }
        }
        match self.owners.get(&header.destination) {
            Some(owner) => self.travel(host, *owner, octets, now),
            None => self.counters.nowhere += 1,
        }
    }

    /// Sends a packet along the path to whoever has its destination.
    fn travel(&mut self, from: usize, owner: Owner, octets: Vec<u8>, now: Instant) {
        let family = if octets[0] >> 4 == 4 { Family::Ipv4 } else { Family::Ipv6 };
        let to = match owner {
            Owner::Host(host) => host,
            Owner::Nat(nat) => self.site_of[nat],
        };
        let index = self.path_index(from, to, family);
        let path = &mut self.paths[index];
        match path.admit(octets.len(), now, &mut self.random) {
            Fate::Arrives(at) => self.launch(owner, octets, at),
            Fate::Cut => self.counters.cut += 1,
            Fate::Lost => self.counters.lost += 1,
            Fate::QueueFull => self.counters.queue_full += 1,
            Fate::TooBig(mtu) => {
                self.counters.too_big += 1;
                let back = now + path.quality.delay;
                let to = self.nat_of[from].filter(|_| family == Family::Ipv4);
                let to = to.map_or(Owner::Host(from), Owner::Nat);
                if let Some(error) = packet::too_big(&octets, mtu) {
                    self.launch(to, error, back);
                }
            }
        }
    }

    fn launch(&mut self, to: Owner, octets: Vec<u8>, arrives: Instant) {
        if self.flight.len() >= limits::LAB_PACKETS_IN_FLIGHT_MAX {
            self.counters.queue_full += 1;
            return;
        }
        self.departures += 1;
        self.flight.push(Reverse(Flying { arrives, number: self.departures, to, octets }));
    }

    fn arrive(&mut self, mut flying: Flying, now: Instant, out: &mut Vec<Output>) {
        let host = match flying.to {
            Owner::Host(host) => host,
            Owner::Nat(nat) => {
                let inside = self.nats[nat].inbound(&mut flying.octets, now);
                let Some(host) = inside.and_then(|address| self.behind(nat, address)) else {
                    self.counters.nat += 1;
                    return;
                };
                host
            }
        };
        let udp = Header::parse(&flying.octets).is_some_and(|h| h.protocol == packet::UDP);
        if udp && self.udp_dropped[host] {
            self.counters.udp_dropped += 1;
            return;
        }
        self.counters.delivered += 1;
        out.push(Output::Packet { host, octets: flying.octets });
    }

    /// A LAN segment is a hub: everybody else on it hears the frame, at once.
    fn flood(&self, from: usize, octets: &[u8], out: &mut Vec<Output>) {
        let hosts = &self.scenario.hosts;
        let Some(segment) = &hosts[from].lan else { return };
        let others = hosts
            .iter()
            .enumerate()
            .filter(|(at, host)| *at != from && host.lan.as_ref() == Some(segment));
        out.extend(others.map(|(host, _)| Output::Frame { host, octets: octets.to_vec() }));
    }

    /// The host with that private address behind that translator.
    fn behind(&self, nat: usize, address: Ipv4Addr) -> Option<usize> {
        let hosts = self.scenario.hosts.iter().enumerate();
        let mut found =
            hosts.filter(|(at, host)| self.nat_of[*at] == Some(nat) && host.ipv4 == Some(address));
        found.next().map(|(at, _)| at)
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let count = self.scenario.hosts.len();
        (0..count).flat_map(|from| (0..count).map(move |to| (from, to))).collect()
    }

    fn path_index(&self, from: usize, to: usize, family: Family) -> usize {
        let count = self.scenario.hosts.len();
        let family = usize::from(family == Family::Ipv6);
        (family * count + from) * count + to
    }
}

/// Between two hosts behind the same translator.
const BEHIND_ONE_NAT: Duration = Duration::from_micros(200);

/// Whether an address means something on one link only.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::lab::packet::tests::{echo, udp};

    const A: &str = "198.51.100.1";
    const B: &str = "198.51.100.2";
    const PUBLIC: &str = "203.0.113.1";
    const INSIDE: &str = "192.168.1.2";

    /// a and b in public, c behind NAT, b and c on one LAN segment.
    fn internet(more: &str) -> Internet {
        let text = format!(
            "host = [
                {{ name = 'a', region = 'x', ipv4 = '{A}', ipv6 = '3fff::a' }},
                {{ name = 'b', region = 'y', ipv4 = '{B}', ipv6 = '3fff::b', lan = 'l' }},
                {{ name = 'c', region = 'y', ipv4 = '{INSIDE}', nat = '{PUBLIC}', lan = 'l' }},
            ]
            rtt_ms = {{ x = {{ y = 100 }} }}
            {more}"
        );
        Internet::new(Scenario::parse(&text).unwrap(), Random::from_number(1))
    }

    fn ms(number: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(number)
    }

    /// Sends a packet at `now` and runs until nothing is on its way; what arrived, and when.
    fn sent(internet: &mut Internet, host: usize, octets: Vec<u8>, now: Instant) -> Vec<Arrival> {
        let mut out = Vec::new();
        internet.handle(Input::Packet { host, octets }, now, &mut out);
        let mut arrivals: Vec<Arrival> = out.drain(..).map(|output| (now, output)).collect();
        while let Some(at) = internet.deadline() {
            internet.handle(Input::Timer, at, &mut out);
            arrivals.extend(out.drain(..).map(|output| (at, output)));
        }
        arrivals
    }

    type Arrival = (Instant, Output);

    fn at(time: Instant, host: usize, octets: Vec<u8>) -> Vec<Arrival> {
        vec![(time, Output::Packet { host, octets })]
    }

    #[test]
    fn a_packet_arrives_half_a_round_trip_later_and_not_before() {
        let mut internet = internet("");
        let packet = udp((A, 1), (B, 2), b"x");
        assert_eq!(sent(&mut internet, 0, packet.clone(), ms(5)), at(ms(55), 1, packet));
    }

    #[test]
    fn an_ipv6_packet_takes_the_ipv6_path() {
        let path = "path = [{ between = ['a', 'b'], family = 'ipv6', rtt_ms = 20 }]";
        let mut internet = internet(path);
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[8..24].copy_from_slice(&"3fff::a".parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet[24..40].copy_from_slice(&"3fff::b".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(sent(&mut internet, 0, packet.clone(), ms(0)), at(ms(10), 1, packet));
    }

    #[test]
    fn behind_nat_one_can_ask_but_not_be_asked() {
        let mut internet = internet("");
        assert_eq!(sent(&mut internet, 0, echo(8, A, PUBLIC, 1), ms(0)), []);
        let arrived = sent(&mut internet, 2, echo(8, INSIDE, A, 1), ms(0));
        assert_eq!(arrived, at(ms(50), 0, echo(8, PUBLIC, A, 1)));
        let arrived = sent(&mut internet, 0, echo(0, A, PUBLIC, 1), ms(50));
        assert_eq!(arrived, at(ms(100), 2, echo(0, A, INSIDE, 1)));
        assert_eq!(internet.counters().nat, 1);
    }

    #[test]
    fn udp_is_dropped_where_it_is_dropped_both_ways() {
        let mut internet = internet("");
        internet.change(&Fault::Udp { host: "b".into(), dropped: true }).unwrap();
        assert_eq!(sent(&mut internet, 0, udp((A, 1), (B, 2), b""), ms(0)), []);
        assert_eq!(sent(&mut internet, 1, udp((B, 1), (A, 2), b""), ms(0)), []);
        assert_eq!(sent(&mut internet, 0, echo(8, A, B, 1), ms(0)).len(), 1);
        assert_eq!(internet.counters().udp_dropped, 2);
    }

    #[test]
    fn a_cut_heals_to_what_the_scenario_says() {
        let mut internet = internet("path = [{ between = ['a', 'b'], loss_ratio = 0.25 }]");
        let between = ["a".to_owned(), "*".to_owned()];
        let cut = Override { between: between.clone(), cut: Some(true), ..Override::default() };
        internet.change(&Fault::Path(cut)).unwrap();
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
            assert!(internet.quality(from, to, Family::Ipv4).cut, "{from} to {to}");
        }
        assert!(!internet.quality(1, 2, Family::Ipv4).cut);
        assert_eq!(sent(&mut internet, 0, echo(8, A, B, 1), ms(0)), []);
        internet.change(&Fault::Heal { between }).unwrap();
        let healed = internet.quality(0, 1, Family::Ipv4);
        assert_eq!((healed.cut, healed.loss_ratio), (false, 0.25));
    }

    #[test]
    fn frames_reach_everybody_else_on_the_segment_and_nobody_beyond() {
        let mut internet = internet("");
        let mut out = Vec::new();
        let octets = vec![0xff; 14];
        internet.handle(Input::Frame { host: 1, octets: octets.clone() }, ms(0), &mut out);
        assert_eq!(out, [Output::Frame { host: 2, octets: octets.clone() }]);
        out.clear();
        internet.handle(Input::Frame { host: 0, octets }, ms(0), &mut out);
        assert_eq!(out, []);
    }

    #[test]
    fn who_sends_too_much_is_told_what_fits() {
        let mut internet = internet("path = [{ between = ['a', 'b'], mtu = 1300 }]");
        let arrived = sent(&mut internet, 0, udp((A, 1), (B, 2), &[0; 1400]), ms(0));
        let [(when, Output::Packet { host: 0, octets })] = &arrived[..] else {
            panic!("{arrived:?}");
        };
        assert_eq!((*when, &octets[26..28]), (ms(50), &1300_u16.to_be_bytes()[..]));
    }

    #[test]
    fn what_is_for_nobody_is_counted_and_forgotten() {
        let mut internet = internet("");
        assert_eq!(sent(&mut internet, 0, udp((A, 1), ("192.0.2.9", 2), b""), ms(0)), []);
        assert_eq!(sent(&mut internet, 0, udp((A, 1), ("224.0.0.1", 2), b""), ms(0)), []);
        assert_eq!(sent(&mut internet, 0, vec![0x45], ms(0)), []);
        assert_eq!(internet.counters().nowhere, 1);
    }
}
