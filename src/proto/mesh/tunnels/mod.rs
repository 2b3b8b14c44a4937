//! Which tunnels to have: as many as wanted, to random peers, the least useful replaced now and then.
//!
//! Stock decides every five seconds. This decides whenever something happened (a route appeared, a
//! tunnel came up or failed, a peer answered), and every five seconds as well.

mod opening;
mod replacing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::mesh::address::Addresses;
use crate::proto::mesh::bootstrap::Bootstrap;
use crate::proto::mesh::cache::{Cache, Change};
use crate::proto::mesh::choice::Taste;
use crate::proto::mesh::message::Code;
use crate::proto::mesh::retirement::{Event, Retirement, Stage};
use crate::proto::prefix::Prefix;
use crate::proto::random::Random;
use crate::proto::time::{Instant, earliest};

/// Names one tunnel, from the first attempt on. Those that others open to us are named by the driver.
pub type Link = u32;

/// What the network and the operator want.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The prefix of the registry's own node.
    pub registry: Prefix,
    /// How many tunnels to open.
    pub client_count: usize,
    /// How often to replace the least useful one.
    pub refresh: Duration,
    /// Four times the interval of Babel's Hellos.
    pub timeout: Duration,
    /// Peers to have tunnels with before all others.
    pub preferred: Vec<Prefix>,
    /// What restricts the addresses we use.
    pub taste: Taste,
}

/// What Babel knows of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The node.
    pub prefix: Prefix,
    /// The tunnel that the route in use goes through; `None` if it is no tunnel of ours.
    pub link: Option<Link>,
    /// Whether the node is a neighbour.
    pub direct: bool,
}

/// Which end of a tunnel we are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// We opened it.
    Client,
    /// The peer opened it.
    Server,
}

/// What a link should cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cost {
    /// What Babel measures.
    Usual,
    /// So much that it is used only where there is no other way.
    Avoided,
    /// Infinitely much.
    Locked,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Open a tunnel.
    Connect {
        /// Its name from now on.
        link: Link,
        /// Whose certificate must be shown.
        peer: Prefix,
        /// Where.
        endpoint: Endpoint,
    },
    /// Close a tunnel of ours; it is not named again.
    Close {
        /// Which.
        link: Link,
    },
    /// Change what a link costs.
    SetCost {
        /// Which.
        link: Link,
        /// How much.
        cost: Cost,
    },
    /// Ask the registry for a peer to begin with; the answer is [`Tunnels::bootstrapped`].
    Bootstrap,
    /// Say something without a body to a peer.
    Say {
        /// To whom.
        peer: Prefix,
        /// What.
        code: Code,
    },
    /// Remember this for the next start.
    Cache(Change),
}

/// One tunnel, as `status` shows it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Which end we are.
    pub role: Role,
    /// Who is at the other end.
    pub peer: Prefix,
    /// Where it leads; not known of those that others opened.
    pub endpoint: Option<Endpoint>,
    /// Since when frames pass; `None` while it is being opened.
    pub up_since: Option<Instant>,
    /// Where else the peer may be reached.
    alternatives: Vec<Endpoint>,
    /// UDP did not work to this peer, just now.
    udp_failed: bool,
    /// Some route went through it.
    was_used: bool,
    retirement: Option<Retirement>,
}

/// All tunnels, and what the choice of them depends on.
pub struct Tunnels {
    own: Prefix,
    own_addresses: Addresses,
    settings: Settings,
    cache: Cache,
    tunnels: BTreeMap<Link, Tunnel>,
    routes: BTreeMap<Prefix, Route>,
    next_link: Link,
    /// Somebody opened a tunnel to us once: we can be reached.
    reached: bool,
    asked: BTreeMap<Prefix, Instant>,
    bootstrap: Bootstrap,
    refresh_at: Instant,
    poll_at: Instant,
    /// When something is due before that.
    wake: Option<Instant>,
    /// Peers, one after the other, to whom TCP worked and UDP did not.
    udp_suspected: u32,
    random: Random,
}

impl Tunnels {
    /// No tunnels yet.
    pub fn new(
        own: Prefix,
        settings: Settings,
        cache: Cache,
        now: Instant,
        random: Random,
    ) -> Self {
        let refresh_at = now + settings.refresh;
        let bootstrap = Bootstrap::new(now);
        Self {
            own,
            own_addresses: Addresses::default(),
            settings,
            cache,
            tunnels: BTreeMap::new(),
            routes: BTreeMap::new(),
            next_link: 0,
            reached: false,
            asked: BTreeMap::new(),
            bootstrap,
            refresh_at,
            poll_at: now,
            wake: None,
            udp_suspected: 0,
            random,
        }
    }

    /// Every tunnel, those being opened included.
    pub const fn all(&self) -> &BTreeMap<Link, Tunnel> {
        &self.tunnels
    }

    /// What was heard of peers.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What the network and the operator want.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where we are reached.
    pub const fn own_addresses(&self) -> &Addresses {
        &self.own_addresses
    }

    /// Takes what others are told of where we are reached.
    pub fn set_own_addresses(&mut self, addresses: Addresses) {
        self.own_addresses = addresses;
    }

    /// Takes changed parameters of the network.
    pub fn set_settings(&mut self, settings: Settings, now: Instant, out: &mut Vec<Decision>) {
        self.refresh_at = self.refresh_at.min(now + settings.refresh);
        self.settings = settings;
        self.decide(now, out);
    }

    /// Whether this is the network, as far as we can see: the registry's node is in sight.
    pub fn is_connected(&self, now: Instant) -> bool {
        let registry = self.settings.registry;
        if registry == self.own {
            return !self.routes.is_empty();
        }
        // A tunnel to it that just came up has no route yet; one whose routes went does not count.
        let is_new = |tunnel: &Tunnel| {
            !tunnel.was_used
                && tunnel.up_since.is_some_and(|since| now.since(since) < self.settings.timeout)
        };
        self.routes.contains_key(&registry)
            || self.up().any(|tunnel| tunnel.peer == registry && is_new(tunnel))
            || (!self.routes.is_empty() && self.bootstrap.assumes_well(now))
    }

    /// Nodes that are one link away.
    pub fn neighbours(&self) -> BTreeSet<Prefix> {
        self.routes.values().filter(|route| route.direct).map(|route| route.prefix).collect()
    }

    /// Every node that Babel has a route to.
    pub fn routed_peers(&self) -> impl Iterator<Item = Prefix> {
        self.routes.keys().copied()
    }

    /// Whether Babel has a way to a node.
    pub fn is_routed(&self, prefix: Prefix) -> bool {
        self.routes.contains_key(&prefix)
    }

    /// When [`Tunnels::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let retirements = self.tunnels.values().filter_map(|tunnel| tunnel.retirement.as_ref());
        let retired = retirements.map(Retirement::deadline).min();
        earliest(earliest(retired, self.wake), Some(self.poll_at))
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Decision>) {
        if now >= self.poll_at {
            self.poll_at = now + POLL;
            self.ask_again(out);
        }
        self.decide(now, out);
    }

    /// A tunnel came up: one of ours, or one that a peer opened.
    pub fn came_up(
        &mut self,
        role: Role,
        link: Link,
        peer: Prefix,
        now: Instant,
        out: &mut Vec<Decision>,
    ) {
        match role {
            Role::Server => {
                self.reached = true;
                let tunnel = Tunnel::new(Role::Server, peer, None, Some(now));
                self.tunnels.insert(link, tunnel);
            }
            Role::Client => {
                let Some(tunnel) = self.tunnels.get_mut(&link) else { return };
                tunnel.up_since = Some(now);
                let udp_failed = tunnel.udp_failed;
                if let Some(endpoint) = tunnel.endpoint {
                    self.udp_suspected = match endpoint.transport {
                        Transport::Udp => 0,
                        Transport::Tcp => self.udp_suspected + u32::from(udp_failed),
                    };
                    let mut changes = Vec::new();
                    self.cache.worked(peer, endpoint, &mut changes);
                    out.extend(changes.into_iter().map(Decision::Cache));
                }
                self.refresh_at = now + self.settings.refresh;
                self.bootstrap.succeeded();
            }
        }
        self.decide(now, out);
    }

    /// A tunnel is over, or could not be opened.
    pub fn went_down(&mut self, link: Link, now: Instant, out: &mut Vec<Decision>) {
        let Some(mut tunnel) = self.tunnels.remove(&link) else { return };
        for route in self.routes.values_mut() {
            if route.link == Some(link) {
                route.link = None;
            }
        }
        if tunnel.role == Role::Client {
            let lasted = tunnel.up_since.is_some_and(|since| now.since(since) >= SHORT);
            if tunnel.up_since.is_none() && !tunnel.alternatives.is_empty() {
                let failed = tunnel.endpoint.map(|endpoint| endpoint.transport);
                let next = tunnel.alternatives.remove(0);
                let udp_failed = tunnel.udp_failed || failed == Some(Transport::Udp);
                self.connect_to(tunnel.peer, next, tunnel.alternatives, udp_failed, out);
            } else if !lasted {
                self.fail(tunnel.peer, now, out);
            }
        }
        self.decide(now, out);
    }

    /// Babel's routes changed.
    pub fn routed(&mut self, routes: Vec<Route>, now: Instant, out: &mut Vec<Decision>) {
        self.routes = routes.into_iter().map(|route| (route.prefix, route)).collect();
        for link in self.routes.values().filter_map(|route| route.link) {
            if let Some(tunnel) = self.tunnels.get_mut(&link) {
                tunnel.was_used = true;
            }
        }
        self.decide(now, out);
    }

    /// A peer told where it is reached.
    pub fn answered(
        &mut self,
        peer: Prefix,
        addresses: Addresses,
        now: Instant,
        out: &mut Vec<Decision>,
    ) {
        let was_asked = self.asked.remove(&peer).is_some();
        if peer == self.own {
            return;
        }
        self.learn(peer, addresses, out);
        if was_asked && self.wanted() > 0 && self.is_distant(peer) {
            self.connect(peer, now, out);
        }
        self.decide(now, out);
    }

    /// The registry named a peer to begin with, or none.
    pub fn bootstrapped(
        &mut self,
        answer: Option<(Prefix, Addresses)>,
        now: Instant,
        out: &mut Vec<Decision>,
    ) {
        let answer = answer.filter(|(peer, _)| *peer != self.own);
        let rounds = 1 + self.random.below(self.routes.len() + 1);
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the size of a network")]
        let calm = self.settings.timeout * rounds as u32;
        let calm = (!self.routes.is_empty()).then_some(calm);
        self.bootstrap.answered(answer.is_some(), calm, now, &mut self.random);
        if let Some((peer, addresses)) = answer {
            self.learn(peer, addresses, out);
            if self.wanted() > 0 && !self.has_tunnel(peer) && !self.cache.is_resting(peer, now) {
                self.connect(peer, now, out);
            }
        }
        self.decide(now, out);
    }

    /// A peer asks to end the tunnel that it opened.
    pub fn asked_to_retire(&mut self, peer: Prefix, now: Instant, out: &mut Vec<Decision>) {
        let served = self.tunnels.iter().find(|(_, t)| t.role == Role::Server && t.peer == peer);
        let Some(link) = served.map(|(&link, _)| link) else {
            out.push(Decision::Say { peer, code: Code::Retired });
            return;
        };
        if self.tunnels[&link].retirement.is_some() {
            self.retire(link, Event::Asked, now, out);
            return;
        }
        let retirement = Retirement::of_server(self.settings.timeout * 2, now);
        self.begin_retirement(link, retirement, now, out);
    }

    /// A peer agrees to end the tunnel that we opened.
    pub fn agreed_to_retire(&mut self, peer: Prefix, now: Instant, out: &mut Vec<Decision>) {
        if let Some(link) = self.client_of(peer) {
            self.retire(link, Event::Agreed, now, out);
            self.decide(now, out);
        }
    }

    fn decide(&mut self, now: Instant, out: &mut Vec<Decision>) {
        self.act(now, out);
        // What is due already did not help: the next look around is soon enough for it.
        let [a, b] = self.bootstrap.deadlines();
        let dates = [a, b, self.refresh_at];
        self.wake = dates.into_iter().filter(|&at| at > now).min();
    }

    fn act(&mut self, now: Instant, out: &mut Vec<Decision>) {
        self.drop_duplicates(out);
        self.go_on_retiring(now, out);
        self.refresh(now, out);
        self.asked.retain(|_, since| now.since(*since) < ANSWER_PATIENCE);
        if self.wanted() == 0 {
            return;
        }
        if self.is_connected(now) {
            self.open_to_distant(now, out);
        } else {
            self.open_to_known(now, out);
        }
    }

    /// How many tunnels to open now.
    fn wanted(&self) -> usize {
        let clients = self.tunnels.values().filter(|tunnel| tunnel.role == Role::Client).count();
        self.most().saturating_sub(clients)
    }

    /// How many tunnels of ours there may be. Who cannot be reached costs the others more.
    fn most(&self) -> usize {
        let count = self.settings.client_count;
        if self.reached { count } else { count.min(UNREACHED_CLIENTS) }
    }

    fn learn(&mut self, peer: Prefix, addresses: Addresses, out: &mut Vec<Decision>) {
        let mut changes = Vec::new();
        self.cache.learn(peer, addresses, &mut changes);
        out.extend(changes.into_iter().map(Decision::Cache));
    }

    fn fail(&mut self, peer: Prefix, now: Instant, out: &mut Vec<Decision>) {
        let mut changes = Vec::new();
        self.cache.failed(peer, now, &mut changes);
        out.extend(changes.into_iter().map(Decision::Cache));
    }

    fn up(&self) -> impl Iterator<Item = &Tunnel> {
        self.tunnels.values().filter(|tunnel| tunnel.up_since.is_some())
    }

    fn client_of(&self, peer: Prefix) -> Option<Link> {
        let mut tunnels = self.tunnels.iter();
        let found = tunnels.find(|(_, t)| t.role == Role::Client && t.peer == peer);
        found.map(|(&link, _)| link)
    }

    fn has_tunnel(&self, peer: Prefix) -> bool {
        self.tunnels.values().any(|tunnel| tunnel.peer == peer)
    }

    fn is_distant(&self, peer: Prefix) -> bool {
        peer != self.own
            && !self.has_tunnel(peer)
            && self.routes.get(&peer).is_some_and(|route| !route.direct)
    }

    fn routed_through(&self, link: Link) -> usize {
        self.routes.values().filter(|route| route.link == Some(link)).count()
    }
}

impl Tunnel {
    const fn new(
        role: Role,
        peer: Prefix,
        endpoint: Option<Endpoint>,
        up_since: Option<Instant>,
    ) -> Self {
        Self {
            role,
            peer,
            endpoint,
            up_since,
            alternatives: Vec::new(),
            udp_failed: false,
            was_used: false,
            retirement: None,
        }
    }

    /// How far its retirement is, if it is being retired.
    pub fn retiring(&self) -> Option<Stage> {
        self.retirement.as_ref().map(Retirement::stage)
    }
}

/// From here on, links are named by the driver: tunnels that others opened to us.
pub const FIRST_SERVED_LINK: Link = 1 << 31;

/// How many tunnels a node opens that nobody ever opened one to.
const UNREACHED_CLIENTS: usize = 2;
/// How often to look around without a reason.
const POLL: Duration = Duration::from_secs(5);
/// How long an address asked for is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// A tunnel that lasted less than this failed.
const SHORT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(value: u128) -> Prefix {
        Prefix::new(value, 16).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// Node 1 of a network in which it sees the registry's node, a neighbour, and node 2, further off.
    fn tunnels(known: &str) -> Tunnels {
        let settings = Settings {
            registry: prefix(0),
            client_count: 10,
            refresh: Duration::from_secs(300),
            timeout: Duration::from_secs(60),
            preferred: Vec::new(),
            taste: Taste::default(),
        };
        let cache = Cache::new([(prefix(2), Addresses::parse(known))]);
        let mut tunnels = Tunnels::new(prefix(1), settings, cache, at(0), Random::from_number(1));
        let route = |value, direct| Route { prefix: prefix(value), link: None, direct };
        tunnels.routes = [(prefix(0), route(0, true)), (prefix(2), route(2, false))].into();
        tunnels
    }

    fn ticked(tunnels: &mut Tunnels, seconds: u64) -> Vec<Decision> {
        let mut out = Vec::new();
        tunnels.tick(at(seconds), &mut out);
        out
    }

    #[test]
    fn a_peer_that_could_not_be_reached_is_asked_where_it_is_now() {
        let (old, new) = ("10.0.0.2,1194,udp", "10.0.0.9,1194,udp");
        let mut tunnels = tunnels(old);
        let connect = |link, endpoint: &str| {
            let endpoint = endpoint.parse().unwrap();
            Decision::Connect { link, peer: prefix(2), endpoint }
        };
        assert_eq!(ticked(&mut tunnels, 0), [connect(0, old)]);
        let mut out = Vec::new();
        tunnels.went_down(0, at(6), &mut out);
        assert_eq!(out, [], "it rests");
        let ask = Decision::Say { peer: prefix(2), code: Code::Addresses };
        assert_eq!(ticked(&mut tunnels, 12), [ask]);
        tunnels.answered(prefix(2), Addresses::parse(new), at(12), &mut out);
        assert_eq!(out.last(), Some(&connect(1, new)));
    }

    #[test]
    fn of_two_clients_that_of_the_smaller_prefix_goes() {
        let mut tunnels = tunnels("10.0.0.2,1194,udp");
        ticked(&mut tunnels, 0);
        let mut out = Vec::new();
        tunnels.came_up(Role::Client, 0, prefix(2), at(1), &mut out);
        assert_eq!(out, []);
        tunnels.came_up(Role::Server, FIRST_SERVED_LINK, prefix(2), at(1), &mut out);
        assert_eq!(out, [Decision::Close { link: 0 }]);
    }

    #[test]
    fn udp_is_tried_first_until_it_did_not_work_to_two_peers() {
        let mut tunnels = tunnels("10.0.0.2,1194,udp;10.0.0.2,1194,tcp");
        let transport = |out: &[Decision]| match out.last() {
            Some(Decision::Connect { endpoint, .. }) => Some(endpoint.transport),
            _ => None,
        };
        let out = ticked(&mut tunnels, 0);
        assert_eq!(transport(&out), Some(Transport::Udp));
        let mut out = Vec::new();
        tunnels.went_down(0, at(6), &mut out);
        assert_eq!(transport(&out), Some(Transport::Tcp));
        tunnels.came_up(Role::Client, 1, prefix(2), at(7), &mut out);
        assert_eq!(tunnels.udp_suspected, 1);
    }
}
