//! Many Babel routers in one thread: virtual time, a seed, links that are cut and mended.
//!
//! After every step: no packet could loop. At the end: everyone reaches whomever a path leads to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Before, Input, Link, LinkQuality, NextHop, Output};
use re6st::proto::babel::mac::{BadSignatures, GROUP, Hash, Key, Keys, Path};
use re6st::proto::babel::router::Router;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::settings::{Announcement, InterfaceSettings, Settings};
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

/// A node's number.
pub type Node = usize;

/// Routers, and point-to-point links between them.
pub struct World {
    pub now: Instant,
    routers: Vec<Option<Router>>,
    /// What each router's kernel has.
    kernels: Vec<BTreeMap<Destination, NextHop>>,
    links: BTreeMap<u32, Wire>,
    in_flight: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, Packet>,
    deadlines: BinaryHeap<Reverse<(Instant, Node)>>,
    sent: u64,
    random: Random,
    keys: Option<Keys>,
    hello: Duration,
    /// What all nodes are called, if not each as it likes.
    router_id: Option<RouterId>,
    /// Octets that all nodes sent.
    pub octets: u64,
}

struct Wire {
    ends: [Node; 2],
    delay: Duration,
    loss_percent: usize,
    up: bool,
}

struct Packet {
    to: Node,
    link: u32,
    path: Path,
    octets: Vec<u8>,
}

impl World {
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            routers: Vec::new(),
            kernels: vec![BTreeMap::new(); nodes],
            links: BTreeMap::new(),
            in_flight: BinaryHeap::new(),
            packets: BTreeMap::new(),
            deadlines: BinaryHeap::new(),
            sent: 0,
            random: Random::from_number(seed),
            keys: None,
            hello: Duration::from_secs(4),
            router_id: None,
            octets: 0,
        };
        for node in 0..nodes {
            let router = world.router(node);
            world.routers.push(Some(router));
        }
        world
    }

    /// All nodes sign and check from now on.
    pub fn with_keys(mut self) -> Self {
        let key = Key::new(Hash::Blake2s128, &[7; 16]).unwrap();
        self.keys = Some(Keys { sign: vec![key], accept: Vec::new() });
        for node in 0..self.routers.len() {
            let keys = self.keys.clone();
            self.handle(node, Input::Keys(keys));
        }
        self
    }

    fn router(&mut self, node: Node) -> Router {
        let announcement = Announcement { destination: prefix_of(node), metric: 0 };
        let router_id = RouterId::draw(&mut self.random);
        let settings = Settings {
            router_id: self.router_id.unwrap_or(router_id),
            announced: vec![announcement],
            accepted: Vec::new(),
            keys: self.keys.clone(),
        };
        Router::new(settings, self.random.fork())
    }

    /// Joins two nodes; the link's number.
    pub fn join(&mut self, a: Node, b: Node, delay: Duration) -> u32 {
        let number = u32::try_from(self.links.len() + 1).unwrap();
        self.links.insert(number, Wire { ends: [a, b], delay, loss_percent: 0, up: true });
        for end in [a, b] {
            self.bring_up(end, number);
        }
        number
    }

    fn bring_up(&mut self, node: Node, number: u32) {
        let link = Link {
            index: number,
            name: format!("link{number}"),
            address: address_of(node),
            address_v4: None,
            mtu: 1400,
            settings: InterfaceSettings::tunnel(self.hello),
        };
        self.handle(node, Input::InterfaceUp(link));
    }

    /// From now on nothing passes, and nobody is told.
    pub fn cut(&mut self, link: u32) {
        self.links.get_mut(&link).unwrap().up = false;
    }

    pub fn mend(&mut self, link: u32) {
        self.links.get_mut(&link).unwrap().up = true;
    }

    /// From now on so many packets get lost.
    pub fn lose(&mut self, link: u32, percent: usize) {
        self.links.get_mut(&link).unwrap().loss_percent = percent;
    }

    /// Both ends are told that a link is dead.
    pub fn take_down(&mut self, link: u32) {
        self.cut(link);
        for end in self.links[&link].ends {
            self.handle(end, Input::InterfaceDown { interface: link });
        }
    }

    /// A node is gone without a word.
    pub fn kill(&mut self, node: Node) {
        self.routers[node] = None;
        self.kernels[node].clear();
    }

    /// A node that was killed is back, with another router-id.
    pub fn restart(&mut self, node: Node) {
        let router = self.router(node);
        self.routers[node] = Some(router);
        let wires = self.links.iter().filter(|(_, wire)| wire.ends.contains(&node));
        for number in wires.map(|(&number, _)| number).collect::<Vec<_>>() {
            self.bring_up(node, number);
        }
    }

    pub fn handle(&mut self, node: Node, input: Input<'_>) {
        let mut out = Vec::new();
        let Some(router) = self.routers[node].as_mut() else { return };
        router.handle(input, self.now, &mut out);
        if let Some(due) = router.deadline() {
            self.deadlines.push(Reverse((due.max(self.now), node)));
        }
        let mut changed = BTreeSet::new();
        for output in out {
            match output {
                Output::Send { interface, path, octets } => {
                    self.send(node, interface, path, octets)
                }
                Output::Install { destination, next_hop, before } => {
                    let was = self.kernels[node].insert(destination, next_hop);
                    assert_eq!(was.is_some(), before == Before::Present);
                    changed.insert(destination);
                }
                Output::Uninstall { destination } => {
                    assert!(self.kernels[node].remove(&destination).is_some());
                }
                Output::Notice(_) => {}
            }
        }
        for destination in changed {
            self.check_no_loop(node, &destination);
        }
    }

    fn send(&mut self, from: Node, link: u32, path: Path, octets: Vec<u8>) {
        self.octets += octets.len() as u64 + 48;
        let wire = &self.links[&link];
        let to = wire.ends[usize::from(wire.ends[0] == from)];
        let lost = wire.loss_percent > 0 && self.random.below(100) < wire.loss_percent;
        if !wire.up || lost || (path.to != GROUP && path.to != address_of(to)) {
            return;
        }
        self.sent += 1;
        self.in_flight.push(Reverse((self.now + wire.delay, self.sent)));
        self.packets.insert(self.sent, Packet { to, link, path, octets });
    }

    /// Does what happens next, if that is before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let packet = self.in_flight.peek().map(|&Reverse((at, _))| at);
        let timer = self.deadlines.peek().map(|&Reverse((at, _))| at);
        let Some(at) = [packet, timer].into_iter().flatten().min().filter(|&at| at <= end) else {
            self.now = end;
            return false;
        };
        self.now = at;
        if packet == Some(at) {
            let Reverse((_, number)) = self.in_flight.pop().unwrap();
            let Packet { to, link, path, octets } = self.packets.remove(&number).unwrap();
            if self.links[&link].up {
                self.handle(to, Input::Received { interface: link, path, octets: &octets });
            }
        } else {
            let Reverse((_, node)) = self.deadlines.pop().unwrap();
            let router = self.routers[node].as_ref();
            if router.and_then(Router::deadline).is_some_and(|due| due <= at) {
                self.handle(node, Input::Timer);
            }
        }
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until everyone reaches everyone whom a path leads to; how long that took.
    pub fn run_until_whole(&mut self, patience: Duration) -> Duration {
        let start = self.now;
        loop {
            if self.unreached().is_empty() {
                return self.now - start;
            }
            let late = self.now - start >= patience;
            assert!(!late, "not whole after {patience:?}: {:?}", self.unreached());
            self.run_for(Duration::from_millis(100));
        }
    }

    /// Pairs that a path joins but no route.
    pub fn unreached(&self) -> Vec<(Node, Node)> {
        let mut unreached = Vec::new();
        for from in (0..self.routers.len()).filter(|&node| self.routers[node].is_some()) {
            for to in self.joined_to(from) {
                if !self.reaches(from, to) {
                    unreached.push((from, to));
                }
            }
        }
        unreached
    }

    fn joined_to(&self, from: Node) -> BTreeSet<Node> {
        let mut found = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            for wire in self.links.values().filter(|wire| wire.up && wire.ends.contains(&node)) {
                let other = wire.ends[usize::from(wire.ends[0] == node)];
                if self.routers[other].is_some() && found.insert(other) {
                    next.push(other);
                }
            }
        }
        found.remove(&from);
        found
    }

    /// Whether the kernels lead a packet from one node to the other, over links that work.
    pub fn reaches(&self, from: Node, to: Node) -> bool {
        self.hops(from, to).is_some()
    }

    /// How many links a packet passes.
    pub fn hops(&self, from: Node, to: Node) -> Option<usize> {
        let destination = prefix_of(to);
        let mut node = from;
        for hops in 0..=self.routers.len() {
            if node == to {
                return Some(hops);
            }
            node = self.next_node(node, &destination).filter(|&(_, up)| up)?.0;
        }
        None
    }

    fn next_node(&self, node: Node, destination: &Destination) -> Option<(Node, bool)> {
        let NextHop::Via { address, interface } = self.kernels[node].get(destination)? else {
            return None;
        };
        let wire = &self.links[interface];
        let next = wire.ends[usize::from(wire.ends[0] == node)];
        assert_eq!(*address, IpAddr::V6(address_of(next)));
        Some((next, wire.up))
    }

    /// Whatever has just changed at `node`, following the routes from there never comes back.
    fn check_no_loop(&self, start: Node, destination: &Destination) {
        let mut node = start;
        for _ in 0..self.routers.len() {
            match self.next_node(node, destination) {
                Some((next, _)) => node = next,
                None => return,
            }
            assert_ne!(node, start, "at {:?} packets to {destination} loop", self.now);
        }
        panic!("at {:?} packets from {start} to {destination} enter a loop", self.now);
    }
}

fn prefix_of(node: Node) -> Destination {
    Destination::from_anywhere(format!("2001:db8:42:{node:x}::/64").parse().unwrap())
}

fn address_of(node: Node) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | (node as u128 + 1))
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Goal: a line of routers is whole soon after it is joined, each hop at its end.
#[test]
fn babel_routes_along_a_line() {
    let mut world = World::new(6, 1);
    for node in 0..5 {
        world.join(node, node + 1, 10 * MS);
    }
    let took = world.run_until_whole(10 * SECOND);
    assert!(took < 3 * SECOND, "{took:?}");
    assert_eq!(world.hops(0, 5), Some(5));
}

/// Goal: signed packets work as well, and those without a key are kept out.
#[test]
fn babel_routes_among_those_who_have_the_key() {
    let mut world = World::new(3, 2).with_keys();
    world.join(0, 1, 10 * MS);
    world.join(1, 2, 10 * MS);
    world.handle(2, Input::Keys(None));
    world.run_for(60 * SECOND);
    assert!(world.reaches(0, 1) && world.reaches(1, 0));
    assert!(!world.reaches(0, 2) && !world.reaches(1, 2));
}

/// Goal: while keys are introduced, those who have them take those who do not, and nobody is lost.
#[test]
fn babel_takes_unsigned_packets_if_it_is_told_to() {
    let mut world = World::new(3, 2).with_keys();
    world.join(0, 1, 10 * MS);
    world.join(1, 2, 10 * MS);
    world.handle(2, Input::Keys(None));
    world.handle(1, Input::BadSignatures(BadSignatures::Accepted));
    world.run_until_whole(10 * SECOND);
}

/// Goal: however rarely Hellos are said, a new link works after a few round trips, signed or not.
#[test]
fn babel_links_come_up_at_once() {
    for keys in [false, true] {
        let mut world = World::new(4, 5);
        world.hello = 15 * SECOND;
        if keys {
            world = world.with_keys();
        }
        for node in 0..3 {
            world.join(node, node + 1, 50 * MS);
        }
        let took = world.run_until_whole(10 * SECOND);
        println!("keys {keys}: {took:?}");
        assert!(took < 2 * SECOND, "keys {keys}: {took:?}");
    }
}

/// Goal: routers with the same router-id, as clones of one disk have, tell themselves apart.
#[test]
fn babel_clones_take_other_names() {
    let mut world = World::new(1, 7);
    world.router_id = RouterId::new([9; 8]);
    for node in 1..4 {
        world.kernels.push(BTreeMap::new());
        let router = world.router(node);
        world.routers.push(Some(router));
    }
    for node in 0..3 {
        world.join(node, node + 1, 10 * MS);
    }
    let took = world.run_until_whole(200 * SECOND);
    println!("{took:?}");
}

/// Goal: of two ways the faster is taken, and left when it fails without a word.
/// Method: a ring whose one side is slow.
#[test]
fn babel_takes_the_faster_way_and_survives_its_cut() {
    let mut world = World::new(4, 3);
    let fast = world.join(0, 1, 5 * MS);
    world.join(1, 3, 5 * MS);
    world.join(0, 2, 80 * MS);
    world.join(2, 3, 80 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(60 * SECOND);
    assert!(matches!(
        world.kernels[0][&prefix_of(3)],
        NextHop::Via { interface, .. } if interface == fast
    ));
    world.cut(fast);
    let took = world.run_until_whole(20 * SECOND);
    assert!(took > SECOND && took < 12 * SECOND, "{took:?}");
    world.mend(fast);
    world.run_for(60 * SECOND);
    assert_eq!(world.hops(0, 1), Some(1));
}

/// Goal: a fast way that loses five packets of a hundred, as its owner says, is left for a slower clean one,
/// and taken again when it no longer does.
/// Method: one hop of 10 ms against two of 25 ms; settings are those of tunnels between nodes.
#[test]
fn babel_prefers_a_clean_way_to_one_of_which_loss_is_told() {
    let mut world = World::new(3, 6);
    let direct = world.join(0, 1, 5 * MS);
    world.join(0, 2, 12 * MS);
    world.join(2, 1, 12 * MS);
    world.run_until_whole(10 * SECOND);
    for (loss, hops) in [(Some(0.05), 2), (Some(0.0), 1), (Some(0.05), 2), (None, 1)] {
        for end in [0, 1] {
            let quality = LinkQuality { loss, round_trip: None };
            world.handle(end, Input::Measured { interface: direct, quality });
        }
        world.run_for(60 * SECOND);
        assert_eq!(world.hops(0, 1), Some(hops), "{loss:?}");
    }
}

/// Goal: a fast way that loses packets is left for a slower clean one, and stays a way when it is the
/// only one.
/// Method: one hop of 10 ms that loses one packet in ten, against two of 25 ms; then without those.
#[test]
fn babel_prefers_a_clean_way_to_a_fast_one() {
    let mut world = World::new(3, 6);
    let direct = world.join(0, 1, 5 * MS);
    let detour = world.join(0, 2, 12 * MS);
    world.join(2, 1, 12 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(60 * SECOND);
    assert_eq!(world.hops(0, 1), Some(1));
    world.lose(direct, 10);
    world.run_for(300 * SECOND);
    let mut around = 0;
    for _ in 0..100 {
        world.run_for(10 * SECOND);
        around += usize::from(world.hops(0, 1) == Some(2));
    }
    assert!(around >= 95, "{around} of 100");

    world.take_down(detour);
    let mut reached = 0;
    for _ in 0..1000 {
        world.run_for(SECOND);
        reached += usize::from(world.reaches(0, 1));
    }
    assert!(reached >= 990, "{reached} of 1000 seconds");
}

/// Goal: a link that its owner reports dead is left at once.
#[test]
fn babel_leaves_a_link_reported_dead_at_once() {
    let mut world = World::new(3, 4);
    let direct = world.join(0, 1, 5 * MS);
    world.join(1, 2, 20 * MS);
    world.join(2, 0, 20 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(120 * SECOND);
    world.take_down(direct);
    let took = world.run_until_whole(5 * SECOND);
    assert!(took < SECOND, "{took:?}");
}

/// Goal: a random graph such as re6st builds heals from deaths, restarts and a cut in two.
/// Method: 40 nodes with some six links each; five die, come back; then all links between halves are cut.
#[test]
fn babel_heals_a_random_graph() {
    let seed = 1;
    let mut world = World::new(40, seed);
    let mut random = Random::from_number(seed);
    for node in 0..40 {
        for _ in 0..3 {
            let other = random.below(40);
            if other != node {
                let delay = random.between(5 * MS, 150 * MS);
                world.join(node, other, delay);
            }
        }
    }
    world.run_until_whole(20 * SECOND);
    world.run_for(30 * SECOND);
    for node in 0..5 {
        world.kill(node);
    }
    world.run_until_whole(60 * SECOND);
    for node in 0..5 {
        world.restart(node);
    }
    world.run_until_whole(60 * SECOND);
    let between = |wire: &Wire| (wire.ends[0] < 20) != (wire.ends[1] < 20);
    let crossing = world.links.iter().filter(|(_, wire)| between(wire));
    let crossing: Vec<u32> = crossing.map(|(&number, _)| number).collect();
    for &link in &crossing {
        world.cut(link);
    }
    world.run_for(100 * SECOND);
    world.run_until_whole(60 * SECOND);
    for &link in &crossing {
        world.mend(link);
    }
    world.run_until_whole(60 * SECOND);
}
