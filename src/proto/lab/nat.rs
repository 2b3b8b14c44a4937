//! Address and port translation in front of hosts with private addresses (RFC 3022).
//!
//! As most home routers do it, in the words of RFC 4787: mapping is endpoint-independent (one port
//! outside for one inside, whoever is spoken to), filtering is address- and port-dependent (only who
//! was spoken to may answer). ICMP echo is translated by its identifier (RFC 5508), and errors by the
//! packet that they quote.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::proto::lab::packet::{End, ICMP, Ipv4, TCP, UDP};
use crate::proto::limits;
use crate::proto::time::Instant;

/// One translator with one public address.
#[derive(Debug)]
pub struct Nat {
    public: Ipv4Addr,
    /// By protocol and port outside.
    mappings: HashMap<(u8, u16), Mapping>,
    /// From protocol, address and port inside to the port outside.
    outside: HashMap<(u8, Ipv4Addr, u16), u16>,
}

#[derive(Debug)]
struct Mapping {
    inside: (Ipv4Addr, u16),
    /// Set up by the owner: anybody may use it, and it is never forgotten.
    forwarded: bool,
    /// Who was spoken to, and when last.
    peers: HashMap<(Ipv4Addr, u16), Instant>,
    used: Instant,
}

impl Nat {
    /// A translator that has seen no packet.
    pub fn new(public: Ipv4Addr) -> Self {
        Self { public, mappings: HashMap::new(), outside: HashMap::new() }
    }

    /// Its public address.
    pub const fn public(&self) -> Ipv4Addr {
        self.public
    }

    /// Hands what comes to this TCP and UDP port on to a host inside.
    pub fn forward(&mut self, host: Ipv4Addr, port: u16) {
        for protocol in [TCP, UDP] {
            let (inside, peers) = ((host, port), HashMap::new());
            let mapping = Mapping { inside, forwarded: true, peers, used: Instant::ZERO };
            self.mappings.insert((protocol, port), mapping);
            self.outside.insert((protocol, host, port), port);
        }
    }

    /// Rewrites a packet on its way out; `None` if it cannot be translated and is dropped.
    pub fn outbound(&mut self, packet: &mut [u8], now: Instant) -> Option<()> {
        let mut packet = Ipv4::parse(packet)?;
        let protocol = packet.protocol();
        if let Some((address, port)) = packet.quoted().and_then(|q| ends(&q, End::Destination)) {
            return self.outbound_error(&mut packet, (address, port));
        }
        let inside = ends(&packet, End::Source)?;
        let peer = peer(&packet, End::Destination)?;
        let port = self.port_for(protocol, inside, now)?;
        let mapping = self.mappings.get_mut(&(protocol, port))?;
        mapping.used = now;
        if mapping.peers.len() >= limits::LAB_NAT_PEERS_MAX {
            mapping.peers.retain(|_, spoken| now - *spoken < lifetime(protocol));
        }
        mapping.peers.insert(peer, now);
        packet.rewrite(End::Source, self.public, port);
        Some(())
    }

    /// Rewrites a packet on its way in; `None` if nobody inside waits for it.
    pub fn inbound(&mut self, packet: &mut [u8], now: Instant) -> Option<Ipv4Addr> {
        let mut packet = Ipv4::parse(packet)?;
        let protocol = packet.protocol();
        if packet.quoted().is_some() {
            return self.inbound_error(&mut packet);
        }
        let (_, port) = ends(&packet, End::Destination)?;
        let mapping = self.mappings.get_mut(&(protocol, port))?;
        if !mapping.forwarded {
            let spoken = *mapping.peers.get(&peer(&packet, End::Source)?)?;
            if now - spoken >= lifetime(protocol) {
                return None;
            }
        }
        let (address, port) = mapping.inside;
        packet.rewrite(End::Destination, address, port);
        Some(address)
    }

    /// The port outside for an end inside; made if there is none, the same number if it is free.
    fn port_for(&mut self, protocol: u8, inside: (Ipv4Addr, u16), now: Instant) -> Option<u16> {
        let key = (protocol, inside.0, inside.1);
        if let Some(port) = self.outside.get(&key) {
            return Some(*port);
        }
        if self.mappings.len() >= limits::LAB_NAT_MAPPINGS_MAX {
            self.forget_old(now);
        }
        if self.mappings.len() >= limits::LAB_NAT_MAPPINGS_MAX {
            return None;
        }
        let free = |port: &u16| *port != 0 && !self.mappings.contains_key(&(protocol, *port));
        let port = (0..=u16::MAX).map(|step| inside.1.wrapping_add(step)).find(free)?;
        let mapping = Mapping { inside, forwarded: false, peers: HashMap::new(), used: now };
        self.mappings.insert((protocol, port), mapping);
        self.outside.insert(key, port);
        Some(port)
    }

    fn forget_old(&mut self, now: Instant) {
        self.mappings.retain(|(protocol, _), mapping| {
            mapping.forwarded || now - mapping.used < lifetime(*protocol)
        });
        let mappings = &self.mappings;
        self.outside.retain(|(protocol, ..), port| mappings.contains_key(&(*protocol, *port)));
    }

    /// An error sent from inside about a packet that came in: the quotation had our host's address.
    fn outbound_error(&self, packet: &mut Ipv4<'_>, inside: (Ipv4Addr, u16)) -> Option<()> {
        let mut quoted = packet.quoted()?;
        let port = *self.outside.get(&(quoted.protocol(), inside.0, inside.1))?;
        quoted.rewrite(End::Destination, self.public, port);
        packet.renew_icmp_checksum();
        packet.rewrite(End::Source, self.public, 0);
        Some(())
    }

    /// An error from outside about a packet of ours: the quotation has our public address.
    fn inbound_error(&self, packet: &mut Ipv4<'_>) -> Option<Ipv4Addr> {
        let mut quoted = packet.quoted()?;
        let (address, port) = ends(&quoted, End::Source)?;
        if address != self.public {
            return None;
        }
        let (address, port) = self.mappings.get(&(quoted.protocol(), port))?.inside;
        quoted.rewrite(End::Source, address, port);
        packet.renew_icmp_checksum();
        packet.rewrite(End::Destination, address, 0);
        Some(address)
    }
}

fn ends(packet: &Ipv4<'_>, end: End) -> Option<(Ipv4Addr, u16)> {
    Some((packet.address(end), packet.port(end)?))
}

/// The other end as filtering sees it: an echo has one identifier, which is ours.
fn peer(packet: &Ipv4<'_>, end: End) -> Option<(Ipv4Addr, u16)> {
    let (address, port) = ends(packet, end)?;
    Some((address, if packet.protocol() == ICMP { 0 } else { port }))
}

/// How long a peer may answer: RFC 4787 §4.3, RFC 5382 §5, RFC 5508 §3.2.
const fn lifetime(protocol: u8) -> Duration {
    Duration::from_secs(match protocol {
        ICMP => 60,
        TCP => 7_440,
        _ => 120,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::lab::packet::tests::{assert_sums, echo, udp};
    use crate::proto::lab::packet::{Header, checksum};

    const INSIDE: &str = "192.168.1.2";
    const PUBLIC: &str = "203.0.113.1";
    const SERVER: &str = "198.51.100.7";

    fn nat() -> Nat {
        Nat::new(PUBLIC.parse().unwrap())
    }

    fn after(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn sent(nat: &mut Nat, from: (&str, u16), to: (&str, u16)) -> Vec<u8> {
        let mut packet = udp(from, to, b"question");
        nat.outbound(&mut packet, Instant::ZERO).unwrap();
        packet
    }

    #[test]
    fn a_question_goes_out_and_only_its_answer_comes_in() {
        let mut nat = nat();
        let out = sent(&mut nat, (INSIDE, 5000), (SERVER, 53));
        assert_eq!(out, udp((PUBLIC, 5000), (SERVER, 53), b"question"));
        let mut answer = udp((SERVER, 53), (PUBLIC, 5000), b"answer");
        assert_eq!(nat.inbound(&mut answer, after(119)).unwrap().to_string(), INSIDE);
        assert_eq!(answer, udp((SERVER, 53), (INSIDE, 5000), b"answer"));
        for stranger in [(SERVER, 54), ("198.51.100.8", 53)] {
            let mut packet = udp(stranger, (PUBLIC, 5000), b"hello");
            assert_eq!(nat.inbound(&mut packet, after(1)), None, "{stranger:?}");
        }
        let mut late = udp((SERVER, 53), (PUBLIC, 5000), b"answer");
        assert_eq!(nat.inbound(&mut late, after(120)), None);
    }

    #[test]
    fn one_end_inside_has_one_port_outside_whoever_it_speaks_to() {
        let mut nat = nat();
        sent(&mut nat, (INSIDE, 5000), (SERVER, 53));
        let out = sent(&mut nat, (INSIDE, 5000), ("198.51.100.9", 1194));
        assert_eq!(out, udp((PUBLIC, 5000), ("198.51.100.9", 1194), b"question"));
    }

    #[test]
    fn two_hosts_with_the_same_port_get_different_ones() {
        let mut nat = nat();
        sent(&mut nat, (INSIDE, 5000), (SERVER, 53));
        let out = sent(&mut nat, ("192.168.1.3", 5000), (SERVER, 53));
        assert_eq!(out, udp((PUBLIC, 5001), (SERVER, 53), b"question"));
        let mut answer = udp((SERVER, 53), (PUBLIC, 5001), b"");
        assert_eq!(nat.inbound(&mut answer, after(1)).unwrap().to_string(), "192.168.1.3");
    }

    #[test]
    fn echoes_are_told_apart_by_their_identifiers() {
        let mut nat = nat();
        let mut first = echo(8, INSIDE, SERVER, 7);
        let mut second = echo(8, "192.168.1.3", SERVER, 7);
        nat.outbound(&mut first, Instant::ZERO).unwrap();
        nat.outbound(&mut second, Instant::ZERO).unwrap();
        assert_eq!(first, echo(8, PUBLIC, SERVER, 7));
        assert_eq!(second, echo(8, PUBLIC, SERVER, 8));
        let mut reply = echo(0, SERVER, PUBLIC, 8);
        assert_eq!(nat.inbound(&mut reply, after(1)).unwrap().to_string(), "192.168.1.3");
        assert_eq!(reply, echo(0, SERVER, "192.168.1.3", 7));
        let mut uninvited = echo(8, SERVER, PUBLIC, 99);
        assert_eq!(nat.inbound(&mut uninvited, after(1)), None);
    }

    #[test]
    fn a_forwarded_port_is_open_to_everybody_and_answers_from_itself() {
        let mut nat = nat();
        nat.forward(INSIDE.parse().unwrap(), 1194);
        let mut asked = udp((SERVER, 53), (PUBLIC, 1194), b"hello");
        assert_eq!(nat.inbound(&mut asked, after(9_999)).unwrap().to_string(), INSIDE);
        assert_eq!(asked, udp((SERVER, 53), (INSIDE, 1194), b"hello"));
        let out = sent(&mut nat, (INSIDE, 1194), (SERVER, 53));
        assert_eq!(out, udp((PUBLIC, 1194), (SERVER, 53), b"question"));
        let another = sent(&mut nat, ("192.168.1.3", 1194), (SERVER, 53));
        assert_eq!(another, udp((PUBLIC, 1195), (SERVER, 53), b"question"));
    }

    #[test]
    fn an_error_finds_the_host_whose_packet_it_quotes() {
        let mut nat = nat();
        let out = sent(&mut nat, (INSIDE, 5000), (SERVER, 53));
        let mut error = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &out[..28]].concat();
        let sum = checksum(&error);
        error[2..4].copy_from_slice(&sum.to_be_bytes());
        error[2..4].fill(0);
        let mut packet = crate::proto::lab::packet::tests::ipv4(SERVER, PUBLIC, ICMP, &error);
        assert_eq!(nat.inbound(&mut packet, after(1)).unwrap().to_string(), INSIDE);
        assert_sums(&packet);
        assert_eq!(Header::parse(&packet[28..]).unwrap().source.to_string(), INSIDE);
        assert_eq!(packet[48..50], 5000_u16.to_be_bytes());
    }

    #[test]
    fn a_full_table_forgets_what_is_old_and_refuses_what_is_too_much() {
        let mut nat = nat();
        let count = u16::try_from(limits::LAB_NAT_MAPPINGS_MAX).unwrap();
        for port in 1..=count {
            sent(&mut nat, (INSIDE, port), (SERVER, 53));
        }
        let another = || udp((INSIDE, count + 1), (SERVER, 53), b"");
        assert_eq!(nat.outbound(&mut another(), after(60)), None);
        assert_eq!(nat.outbound(&mut another(), after(120)), Some(()));
        assert_eq!(nat.mappings.len(), 1);
    }
}
