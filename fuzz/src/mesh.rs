//! A node of the mesh, its datagrams, its registry's errands; and who it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openssl::pkey::PKey;
use re6st::proto::certificate::{Authority, Certificate, Identity, PrivateKey};
use re6st::proto::mesh::address::Addresses;
use re6st::proto::mesh::cache::Cache;
use re6st::proto::mesh::choice::Taste;
use re6st::proto::mesh::datagram::Datagram;
use re6st::proto::mesh::message::{Errand, Message};
use re6st::proto::mesh::node::{Configuration, Input, Node, Output};
use re6st::proto::mesh::peer::{Sessions, Transmit};
use re6st::proto::mesh::tunnels::{FIRST_SERVED_LINK, Role, Route, Settings};
use re6st::proto::prefix::Prefix;
use re6st::proto::random::Random;
use re6st::proto::time::{Instant, UnixTime};

use super::choices::Choices;

/// A node that hears strangers and a peer with whom it has a session, and whose tunnels and routes come
/// and go.
pub fn mesh_node(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut world = World::new();
    for _ in 0..200 {
        if choices.is_empty() {
            break;
        }
        world.next(&mut choices);
    }
    world.pass(Duration::from_secs(3_600));
}

struct World {
    node: Node,
    /// Who proves who it is, and then says anything.
    peer: Sessions,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let configuration = Configuration {
            settings: settings(),
            revoked: BTreeSet::new(),
            version: None,
            crl: None,
        };
        let cache = Cache::new([(prefix(3), Addresses::parse("192.0.2.3,1194,udp"))]);
        let random = Random::from_number(1);
        let (about, now) = ("fuzz".to_owned(), Instant::ZERO);
        let node = Node::new(identity("h1"), about, configuration, cache, EPOCH, now, random);
        let peer = Sessions::new(identity("h2"), EPOCH, now, Random::from_number(2));
        Self { node, peer, now }
    }

    fn next(&mut self, choices: &mut Choices<'_>) {
        match choices.below(12) {
            0 | 1 => {
                let octets = choices.octets();
                let _ = (Datagram::parse(octets), Message::parse(octets), Errand::parse(octets));
                let from =
                    Ipv6Addr::from_bits(0x2001_0db8_0042 << 80 | u128::from(choices.u8()) << 64);
                self.handle(Input::Datagram { from, octets });
            }
            2 => {
                let octets = choices.octets();
                self.handle(Input::Errand { port: choices.u16(), octets });
            }
            3 => {
                let routes = (0..choices.below(8)).map(|_| Route {
                    prefix: prefix(choices.below(6)),
                    link: choices.flip().then(|| link(choices)),
                    direct: choices.flip(),
                });
                self.handle(Input::Routes(routes.collect()));
            }
            4 => {
                let role = if choices.flip() { Role::Client } else { Role::Server };
                let (link, peer) = (link(choices), prefix(choices.below(6)));
                self.handle(Input::Up { role, link, peer });
            }
            5 => self.handle(Input::Down(link(choices))),
            6 => {
                let text = String::from_utf8_lossy(choices.octets()).into_owned();
                let answer =
                    (!text.is_empty()).then(|| (prefix(choices.below(6)), Addresses::parse(&text)));
                self.handle(Input::Bootstrapped(answer));
            }
            7 => {
                let text = String::from_utf8_lossy(choices.octets()).into_owned();
                self.handle(Input::Reachable(Addresses::parse(&text)));
            }
            8 => self.handle(Input::NotConfigured),
            9 => self.pass(choices.time()),
            _ => {
                // A message of a session; the first one brings the handshake about.
                let mut out = Vec::new();
                self.peer.send(prefix(1), choices.octets().to_vec(), self.now, &mut out);
                self.carry(out);
            }
        }
    }

    /// Carries datagrams of the peer to the node, and what it answers back, until all is said.
    fn carry(&mut self, mut to_node: Vec<Transmit>) {
        let (ours, theirs) = (address(1), address(2));
        for _ in 0..6 {
            let mut to_peer = Vec::new();
            for packet in std::mem::take(&mut to_node) {
                let input = Input::Datagram { from: theirs, octets: &packet.octets };
                self.node.handle(input, self.now, &mut to_peer);
            }
            for output in to_peer {
                let Output::Send(packet) = output else { continue };
                if packet.to == theirs {
                    let octets = &packet.octets;
                    let _ = self.peer.receive(ours, octets, self.now, &mut to_node);
                    self.peer.flush(prefix(1), self.now, &mut to_node);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..500 {
            let Some(due) = self.node.deadline().filter(|&due| due <= end) else { break };
            self.now = self.now.max(due);
            self.handle(Input::Timer);
            assert_ne!(self.node.deadline(), Some(Instant::ZERO));
        }
        self.now = end;
        for turn in 0.. {
            self.handle(Input::Timer);
            let due = self.node.deadline();
            if due.is_none_or(|due| due > self.now) {
                break;
            }
            assert!(turn < 50, "at {:?} the deadline stays at {due:?}", self.now);
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.node.handle(input, self.now, &mut Vec::new());
    }
}

/// Of a tunnel that we opened, or that a peer opened to us.
fn link(choices: &mut Choices<'_>) -> u32 {
    let number = u32::from(choices.below(16));
    if number < 12 { number } else { FIRST_SERVED_LINK + number }
}

fn settings() -> Settings {
    Settings {
        registry: prefix(0),
        client_count: 3,
        refresh: Duration::from_secs(300),
        timeout: Duration::from_secs(60),
        preferred: Vec::new(),
        taste: Taste::default(),
    }
}

fn prefix(number: u8) -> Prefix {
    Prefix::new(number.into(), 16).expect("it fits 16 bits")
}

fn address(number: u8) -> Ipv6Addr {
    let network = identity("h1").authority.network();
    network.node_address(prefix(number)).expect("the network has room")
}

/// When the captured certificates were valid.
const EPOCH: UnixTime = UnixTime::from_secs(1_795_342_400);

/// `h1`, `h2` or `reg` of the captured network, with throw-away keys.
pub fn identity(name: &str) -> Identity {
    static IDENTITIES: OnceLock<BTreeMap<&str, Identity>> = OnceLock::new();
    let read = || ["h1", "h2", "reg"].into_iter().map(|name| (name, read_identity(name))).collect();
    IDENTITIES.get_or_init(read)[name].clone()
}

fn read_identity(name: &str) -> Identity {
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/keys.json")).expect("JSON");
    let field = |name: &str, field: &str| {
        let hex = keys[name][field].as_str().expect("digits");
        let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
        (0..hex.len()).step_by(2).map(octet).collect::<Vec<u8>>()
    };
    let certificate = |name: &str| {
        Certificate::from_der(&field(name, "certificate_der_hex")).expect("a certificate")
    };
    let key = PKey::private_key_from_der(&field(name, "pkcs8_or_pkcs1_der_hex")).expect("a key");
    let of_node = certificate(name);
    Identity {
        authority: Authority::new(certificate("ca")).expect("an authority"),
        prefix: of_node.prefix().expect("a node's certificate names its prefix"),
        certificate: of_node,
        key: Arc::new(PrivateKey::from_pkey(key)),
    }
}
