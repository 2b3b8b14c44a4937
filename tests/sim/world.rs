//! Babel routers in one thread: virtual time, a seed, links that lose, delay, are cut and are mended.
//!
//! After every change of a route: no packet to that destination can come back to where it was. The
//! change is the only thing that could have closed a loop, so following it alone is proof for all.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, BinaryHeap};
use std::hash::{Hash as _, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Before, Input, Link, NextHop, Output};
use re6st::proto::babel::mac::{GROUP, Hash, Key, Keys, Path};
use re6st::proto::babel::router::Router;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::settings::{Announcement, InterfaceSettings, Settings};
use re6st::proto::babel::state::State;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

/// A node's number.
pub type Node = usize;

/// A link's number; the first is 1.
pub type LinkNumber = u32;

/// Routers, and point-to-point links between them.
pub struct World {
    pub now: Instant,
    routers: Vec<Option<Router>>,
    /// What each remembers over its death, as its state file would.
    pasts: Vec<Option<State>>,
    /// By destination, then by node: what the kernel does with such a packet.
    hops: Vec<Vec<Hop>>,
    links: Vec<Wire>,
    queue: BinaryHeap<Reverse<Event>>,
    events: u64,
    /// When each router is given the time, at the latest.
    armed: Vec<Option<Instant>>,
    random: Random,
    keys: Option<Keys>,
    /// What new links are told.
    pub hello: Duration,
    /// What all nodes are called, if not each as it likes.
    pub router_id: Option<RouterId>,
    /// Delays are up to this much longer than they should be, so that packets overtake each other.
    pub jitter: f64,
    pub sent: Sent,
    /// How often a kernel was changed.
    pub changes: u64,
    trace: DefaultHasher,
}

/// What all nodes sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    pub packets: u64,
    /// With their IPv6 and UDP headers.
    pub octets: u64,
}

/// What a kernel does with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hop {
    None,
    Unreachable,
    Via(LinkNumber),
}

struct Wire {
    ends: [Node; 2],
    delay: Duration,
    loss_percent: usize,
    up: bool,
}

/// What happens then; of two at once, what was planned first.
struct Event {
    at: Instant,
    number: u64,
    what: What,
}

enum What {
    Packet { to: Node, link: LinkNumber, path: Path, octets: Vec<u8> },
    Timer(Node),
    Up(Node, LinkNumber),
    Down(Node, LinkNumber),
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl World {
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            routers: Vec::new(),
            pasts: Vec::new(),
            hops: Vec::new(),
            links: Vec::new(),
            queue: BinaryHeap::new(),
            events: 0,
            armed: Vec::new(),
            random: Random::from_number(seed),
            keys: None,
            hello: Duration::from_secs(4),
            router_id: None,
            jitter: 0.0,
            sent: Sent::default(),
            changes: 0,
            trace: DefaultHasher::new(),
        };
        for _ in 0..nodes {
            world.add();
        }
        world
    }

    /// Adds a node without links.
    pub fn add(&mut self) {
        let node = self.routers.len();
        let router = self.router(node);
        self.routers.push(Some(router));
        self.pasts.push(None);
        self.armed.push(None);
        self.hops.push(vec![Hop::None; node]);
        for by_node in &mut self.hops {
            by_node.push(Hop::None);
        }
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
        let drawn = RouterId::draw(&mut self.random);
        let past = self.pasts.get(node).copied().flatten();
        let settings = Settings {
            router_id: past.map(|past| past.router_id).or(self.router_id).unwrap_or(drawn),
            announced: vec![announcement],
            accepted: Vec::new(),
            keys: self.keys.clone(),
        };
        let router = Router::new(settings, self.random.fork());
        match past {
            Some(past) => router.with_past(past.seqno.wrapping_add(1)),
            None => router,
        }
    }

    /// Joins two nodes at once; the link's number.
    pub fn join(&mut self, a: Node, b: Node, delay: Duration) -> LinkNumber {
        let number = self.lay(a, b, delay);
        for end in [a, b] {
            self.bring_up(end, number);
        }
        number
    }

    /// Joins two nodes; each is told of it within `time`.
    pub fn join_within(&mut self, a: Node, b: Node, delay: Duration, time: Duration) {
        let number = self.lay(a, b, delay);
        for end in [a, b] {
            let after = self.random.between(Duration::ZERO, time);
            self.later(after, What::Up(end, number));
        }
    }

    fn lay(&mut self, a: Node, b: Node, delay: Duration) -> LinkNumber {
        self.links.push(Wire { ends: [a, b], delay, loss_percent: 0, up: true });
        LinkNumber::try_from(self.links.len()).unwrap()
    }

    fn bring_up(&mut self, node: Node, number: LinkNumber) {
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
    pub fn cut(&mut self, link: LinkNumber) {
        self.wire_mut(link).up = false;
    }

    pub fn mend(&mut self, link: LinkNumber) {
        self.wire_mut(link).up = true;
    }

    /// From now on so many packets get lost.
    pub fn lose(&mut self, link: LinkNumber, percent: usize) {
        self.wire_mut(link).loss_percent = percent;
    }

    /// Both ends are told that a link is dead.
    pub fn take_down(&mut self, link: LinkNumber) {
        self.cut(link);
        for end in self.wire(link).ends {
            self.handle(end, Input::InterfaceDown { interface: link });
        }
    }

    /// One end uses a link no longer, that could be used.
    pub fn leave(&mut self, node: Node, link: LinkNumber) {
        self.handle(node, Input::InterfaceLeft { interface: link });
    }

    /// A node is gone without a word.
    pub fn kill(&mut self, node: Node) {
        if let Some(router) = self.routers[node].take() {
            self.pasts[node] = Some(router.state());
        }
        for by_node in &mut self.hops {
            by_node[node] = Hop::None;
        }
    }

    /// A node is gone, and the owners of its links find out after so long.
    pub fn kill_noticed(&mut self, node: Node, after: Duration) {
        self.kill(node);
        for link in self.links_of(node) {
            let ends = self.wire(link).ends;
            let other = ends[usize::from(ends[0] == node)];
            self.later(after, What::Down(other, link));
        }
    }

    /// A node that was killed is back, under the name that it had.
    pub fn restart(&mut self, node: Node) {
        let router = self.router(node);
        self.routers[node] = Some(router);
        for number in self.links_of(node) {
            for end in self.wire(number).ends {
                self.bring_up(end, number);
            }
        }
    }

    /// The same, but its number is so many behind what it was: it kept no state.
    pub fn restart_behind(&mut self, node: Node, steps: u16) {
        let past = self.pasts[node].as_mut().expect("it was killed");
        past.seqno = past.seqno.wrapping_sub(steps);
        self.restart(node);
    }

    pub fn handle(&mut self, node: Node, input: Input<'_>) {
        let mut out = Vec::new();
        let Some(router) = self.routers[node].as_mut() else { return };
        router.handle(input, self.now, &mut out);
        self.arm(node);
        let mut changed = BTreeSet::new();
        for output in out {
            match output {
                Output::Send { interface, path, octets } => {
                    self.send(node, interface, path, octets);
                }
                Output::Install { destination, next_hop, before } => {
                    let to = node_of(&destination);
                    let hop = self.hop(node, next_hop);
                    let was = std::mem::replace(&mut self.hops[to][node], hop);
                    assert_eq!(was != Hop::None, before == Before::Present);
                    changed.insert(to);
                }
                Output::Uninstall { destination } => {
                    let to = node_of(&destination);
                    let was = std::mem::replace(&mut self.hops[to][node], Hop::None);
                    assert_ne!(was, Hop::None);
                    changed.insert(to);
                }
                Output::Notice(_) => {}
            }
        }
        for to in changed {
            self.changes += 1;
            (self.now.since_start(), node, to).hash(&mut self.trace);
            self.check_no_loop(node, to);
        }
    }

    fn hop(&self, node: Node, next_hop: NextHop) -> Hop {
        let NextHop::Via { address, interface } = next_hop else { return Hop::Unreachable };
        let ends = self.wire(interface).ends;
        let next = ends[usize::from(ends[0] == node)];
        assert_eq!(address, IpAddr::V6(address_of(next)));
        Hop::Via(interface)
    }

    fn send(&mut self, from: Node, link: LinkNumber, path: Path, octets: Vec<u8>) {
        self.sent.packets += 1;
        self.sent.octets += octets.len() as u64 + 48;
        (self.now.since_start(), from, &octets).hash(&mut self.trace);
        let wire = &self.links[link as usize - 1];
        let to = wire.ends[usize::from(wire.ends[0] == from)];
        let lost = wire.loss_percent > 0 && self.random.below(100) < wire.loss_percent;
        if !wire.up || lost || (path.to != GROUP && path.to != address_of(to)) {
            return;
        }
        let mut delay = wire.delay;
        if self.jitter > 0.0 {
            delay += delay.mul_f64(self.random.fraction() * self.jitter);
        }
        self.later(delay, What::Packet { to, link, path, octets });
    }

    fn arm(&mut self, node: Node) {
        let due = self.routers[node].as_ref().and_then(Router::deadline);
        if let Some(due) = due.map(|due| due.max(self.now))
            && self.armed[node].is_none_or(|armed| due < armed)
        {
            self.armed[node] = Some(due);
            self.later(due - self.now, What::Timer(node));
        }
    }

    fn later(&mut self, after: Duration, what: What) {
        self.events += 1;
        self.queue.push(Reverse(Event { at: self.now + after, number: self.events, what }));
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.queue.peek().is_some_and(|Reverse(event)| event.at <= end) {
            let Some(Reverse(event)) = self.queue.pop() else { break };
            self.now = event.at;
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event.what {
            What::Packet { to, link, path, octets } => {
                if self.wire(link).up {
                    self.handle(to, Input::Received { interface: link, path, octets: &octets });
                }
            }
            What::Timer(node) => {
                // An earlier one took its place.
                if self.armed[node] != Some(event.at) {
                    return;
                }
                self.armed[node] = None;
                let due = self.routers[node].as_ref().and_then(Router::deadline);
                if due.is_some_and(|due| due <= self.now) {
                    self.handle(node, Input::Timer);
                } else {
                    self.arm(node);
                }
            }
            What::Up(node, link) => self.bring_up(node, link),
            What::Down(node, link) => self.handle(node, Input::InterfaceDown { interface: link }),
        }
    }

    /// Runs until everyone reaches everyone whom a path leads to; how long that took. Where packets get lost,
    /// links come and go, and in a large network some pair is always without a route for a moment: there it is
    /// enough that everyone has reached everyone since.
    pub fn run_until_whole(&mut self, patience: Duration) -> Duration {
        let start = self.now;
        let loses = self.links.iter().any(|wire| wire.loss_percent > 0);
        let all: Vec<Node> = (0..self.routers.len()).collect();
        // Who did not reach it yet, by destination.
        let mut waiting = vec![all; self.routers.len()];
        let mut seen = None;
        loop {
            // Nothing was reached anew if no kernel was changed.
            if seen != Some(self.changes) {
                seen = Some(self.changes);
                let parts = self.parts();
                for (to, waiting) in waiting.iter_mut().enumerate() {
                    if loses && waiting.is_empty() {
                        continue;
                    }
                    let unreached = self.unreached_of(to, &parts);
                    if loses {
                        waiting.retain(|from| unreached.binary_search(from).is_ok());
                    } else {
                        *waiting = unreached;
                    }
                }
                if waiting.iter().all(Vec::is_empty) {
                    return self.now - start;
                }
            }
            if self.now - start >= patience {
                let unreached: Vec<_> =
                    (0_usize..).zip(&waiting).filter(|(_, it)| !it.is_empty()).collect();
                let some = &unreached[..unreached.len().min(20)];
                panic!("not whole after {patience:?}: {} destinations, {some:?}", unreached.len());
            }
            self.run_for(Duration::from_millis(100));
        }
    }

    /// Pairs that a path joins but no route.
    pub fn unreached(&self) -> Vec<(Node, Node)> {
        let parts = self.parts();
        let mut pairs: Vec<_> = (0..self.routers.len())
            .flat_map(|to| self.unreached_of(to, &parts).into_iter().map(move |from| (from, to)))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    /// Those who have a path to a node but no route.
    fn unreached_of(&self, to: Node, parts: &[Option<Node>]) -> Vec<Node> {
        if parts[to].is_none() {
            return Vec::new();
        }
        let mut reaches = vec![None; self.routers.len()];
        reaches[to] = Some(true);
        let mut way = Vec::new();
        for from in 0..self.routers.len() {
            let mut node = from;
            let found = loop {
                if let Some(known) = reaches[node] {
                    break known;
                }
                way.push(node);
                // Should there be a loop after all, its nodes reach nobody.
                reaches[node] = Some(false);
                match self.next_node(node, to).filter(|&(next, up)| up && parts[next].is_some()) {
                    Some((next, _)) => node = next,
                    None => break false,
                }
            };
            for passed in way.drain(..) {
                reaches[passed] = Some(found);
            }
        }
        (0..self.routers.len())
            .filter(|&from| parts[from] == parts[to] && reaches[from] == Some(false))
            .collect()
    }

    /// In which part of the network each node is; `None` if it is dead.
    fn parts(&self) -> Vec<Option<Node>> {
        let neighbours = self.neighbours();
        let mut parts = vec![None; self.routers.len()];
        for first in 0..self.routers.len() {
            if self.routers[first].is_none() || parts[first].is_some() {
                continue;
            }
            parts[first] = Some(first);
            let mut next = vec![first];
            while let Some(node) = next.pop() {
                for &(other, _) in &neighbours[node] {
                    if parts[other].is_none() {
                        parts[other] = Some(first);
                        next.push(other);
                    }
                }
            }
        }
        parts
    }

    /// With whom each node is joined by a link that works, and its number.
    pub fn neighbours(&self) -> Vec<Vec<(Node, LinkNumber)>> {
        let mut neighbours = vec![Vec::new(); self.routers.len()];
        for (at, wire) in self.links.iter().enumerate().filter(|(_, wire)| wire.up) {
            let [a, b] = wire.ends;
            if self.routers[a].is_some() && self.routers[b].is_some() {
                let number = LinkNumber::try_from(at + 1).unwrap();
                neighbours[a].push((b, number));
                neighbours[b].push((a, number));
            }
        }
        neighbours
    }

    /// Whether the kernels lead a packet from one node to the other, over links that work.
    pub fn reaches(&self, from: Node, to: Node) -> bool {
        self.way(from, to).is_some()
    }

    /// How many links a packet passes.
    pub fn hops(&self, from: Node, to: Node) -> Option<usize> {
        self.way(from, to).map(|way| way.len())
    }

    /// The links that a packet passes.
    pub fn way(&self, from: Node, to: Node) -> Option<Vec<LinkNumber>> {
        let (mut node, mut way) = (from, Vec::new());
        while node != to {
            let link = self.link_to(node, to).filter(|&link| self.wire(link).up)?;
            way.push(link);
            node = self.next_node(node, to)?.0;
            if way.len() > self.routers.len() {
                return None;
            }
        }
        Some(way)
    }

    /// Which link a node sends packets for another to.
    pub fn link_to(&self, node: Node, to: Node) -> Option<LinkNumber> {
        match self.hops[to][node] {
            Hop::Via(link) => Some(link),
            Hop::None | Hop::Unreachable => None,
        }
    }

    pub fn delay(&self, link: LinkNumber) -> Duration {
        self.wire(link).delay
    }

    /// The links of a node, those that are cut included.
    pub fn links_of(&self, node: Node) -> Vec<LinkNumber> {
        self.links_where(|ends| ends.contains(&node))
    }

    /// The links between such nodes.
    pub fn links_where(&self, is: impl Fn([Node; 2]) -> bool) -> Vec<LinkNumber> {
        let numbers = (1..).zip(&self.links);
        numbers.filter(|(_, wire)| is(wire.ends)).map(|(number, _)| number).collect()
    }

    fn next_node(&self, node: Node, to: Node) -> Option<(Node, bool)> {
        let wire = self.wire(self.link_to(node, to)?);
        Some((wire.ends[usize::from(wire.ends[0] == node)], wire.up))
    }

    /// Whatever has just changed at `start`, following the routes from there never comes back.
    fn check_no_loop(&self, start: Node, to: Node) {
        let mut node = start;
        for _ in 0..self.routers.len() {
            match self.next_node(node, to) {
                Some((next, _)) => node = next,
                None => return,
            }
            assert_ne!(node, start, "at {:?} packets to node {to} loop", self.now);
        }
        panic!("at {:?} packets from {start} to node {to} enter a loop", self.now);
    }

    /// A number that is another one if anything was sent, installed or removed otherwise.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    fn wire(&self, link: LinkNumber) -> &Wire {
        &self.links[link as usize - 1]
    }

    fn wire_mut(&mut self, link: LinkNumber) -> &mut Wire {
        &mut self.links[link as usize - 1]
    }
}

pub fn prefix_of(node: Node) -> Destination {
    Destination::from_anywhere(format!("2001:db8:42:{node:x}::/64").parse().unwrap())
}

/// The node that originates a destination.
fn node_of(destination: &Destination) -> Node {
    match destination.prefix.address() {
        IpAddr::V6(address) => Node::from(address.segments()[3]),
        IpAddr::V4(address) => panic!("nobody announces {address}"),
    }
}

fn address_of(node: Node) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | (node as u128 + 1))
}
