//! One node of the mesh: its sessions, its tunnels, and the network version that it spreads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::proto::certificate::Identity;
use crate::proto::mesh::address::Addresses;
use crate::proto::mesh::cache::Cache;
use crate::proto::mesh::message::{Code, Errand, Message};
use crate::proto::mesh::peer::{Heard, Sessions, Transmit};
use crate::proto::mesh::tunnels::{Decision, Link, Role, Route, Settings, Tunnels};
use crate::proto::prefix::Prefix;
use crate::proto::random::Random;
use crate::proto::time::{Instant, UnixTime, earliest};
use crate::proto::version::NetworkVersion;

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// The deadline passed.
    Timer,
    /// A datagram came over the network to port 326.
    Datagram {
        /// From whom.
        from: Ipv6Addr,
        /// What.
        octets: &'a [u8],
    },
    /// The registry on this host asks its node something.
    Errand {
        /// From which port of the loopback interface.
        port: u16,
        /// What.
        octets: &'a [u8],
    },
    /// Babel's routes changed.
    Routes(Vec<Route>),
    /// A tunnel came up.
    Up {
        /// Which end we are.
        role: Role,
        /// Its name.
        link: Link,
        /// Who is at the other end.
        peer: Prefix,
    },
    /// A tunnel is over, or could not be opened.
    Down(Link),
    /// The registry named a peer to begin with, or could not.
    Bootstrapped(Option<(Prefix, Addresses)>),
    /// Where we are reached.
    Reachable(Addresses),
    /// The network's configuration, or the operator's, is this now.
    Configured(Box<Configuration>),
    /// The network's configuration could not be fetched.
    NotConfigured,
}

/// What a node has to know of the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// For the choice of tunnels.
    pub settings: Settings,
    /// Serial numbers of certificates that are not believed.
    pub revoked: BTreeSet<u64>,
    /// Which configuration this is.
    pub version: Option<NetworkVersion>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send a datagram from and to port 326.
    Send(Transmit),
    /// Answer the registry on this host.
    Reply {
        /// To this port of the loopback interface.
        port: u16,
        /// What.
        octets: Vec<u8>,
    },
    /// Something about tunnels; never [`Decision::Say`].
    Tunnel(Decision),
    /// Fetch the network's configuration; the answer is [`Input::Configured`].
    Fetch,
    /// Tell the operator.
    Notice(Notice),
}

/// What an operator should know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Notice {
    /// The network has a new configuration.
    #[error("{by} tells of version {version} of the network's configuration")]
    NewVersion {
        /// Who told.
        by: Prefix,
        /// Its number.
        version: NetworkVersion,
    },
    /// A peer's words for the registry's log.
    #[error("{from} says: {text}")]
    Said {
        /// Who.
        from: Prefix,
        /// What, without control characters.
        text: String,
    },
    /// The node became part of the network.
    #[error("connected to the network")]
    Connected,
    /// The registry's node is out of sight.
    #[error("not connected to the network")]
    Disconnected,
}

/// One node.
pub struct Node {
    about: String,
    sessions: Sessions,
    tunnels: Tunnels,
    version: Option<NetworkVersion>,
    /// Which version each neighbour was told, and when.
    told: BTreeMap<Prefix, Told>,
    fetch_at: Option<Instant>,
    fetch_failures: u32,
    /// Where the registry waits for answers of others.
    errand_port: Option<u16>,
    was_connected: bool,
}

struct Told {
    number: u64,
    at: Instant,
    heard: bool,
}

impl Node {
    /// A node without tunnels. `about` is what topology and versions show of it; `epoch` is the
    /// calendar time at [`Instant::ZERO`].
    pub fn new(
        identity: Identity,
        about: String,
        configuration: Configuration,
        cache: Cache,
        epoch: UnixTime,
        now: Instant,
        mut random: Random,
    ) -> Self {
        let own = identity.prefix;
        let mut sessions = Sessions::new(identity, epoch, now, random.fork());
        sessions.set_revoked(configuration.revoked);
        Self {
            about,
            sessions,
            tunnels: Tunnels::new(own, configuration.settings, cache, now, random),
            version: configuration.version,
            told: BTreeMap::new(),
            fetch_at: None,
            fetch_failures: 0,
            errand_port: None,
            was_connected: false,
        }
    }

    /// Shows a renewed certificate from now on; sessions and tunnels stay.
    pub fn set_identity(&mut self, identity: Identity) {
        self.sessions.set_identity(identity);
    }

    /// Its tunnels and what it knows of peers.
    pub const fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Which configuration of the network it knows of.
    pub const fn version(&self) -> Option<&NetworkVersion> {
        self.version.as_ref()
    }

    /// When [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let at = earliest(self.sessions.deadline(), self.tunnels.deadline());
        earliest(at, self.fetch_at)
    }

    /// Takes one input; everything to do is in `out` afterwards.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        let mut decisions = Vec::new();
        match input {
            Input::Timer => self.tick(now, &mut decisions, out),
            Input::Datagram { from, octets } => {
                self.hear(from, octets, now, &mut decisions, out);
            }
            Input::Errand { port, octets } => self.run_errand(port, octets, now, out),
            Input::Routes(routes) => self.tunnels.routed(routes, now, &mut decisions),
            Input::Up { role, link, peer } => {
                self.tunnels.came_up(role, link, peer, now, &mut decisions);
            }
            Input::Down(link) => self.tunnels.went_down(link, now, &mut decisions),
            Input::Bootstrapped(answer) => {
                self.tunnels.bootstrapped(answer, now, &mut decisions);
            }
            Input::Reachable(addresses) => self.tunnels.set_own_addresses(addresses),
            Input::Configured(configuration) => {
                self.configure(*configuration, now, &mut decisions);
            }
            Input::NotConfigured => {
                self.fetch_at = Some(now + (RETRY * (1 << self.fetch_failures)).min(RETRY_MAX));
                self.fetch_failures = (self.fetch_failures + 1).min(8);
            }
        }
        self.carry_out(decisions, now, out);
        self.tell_neighbours(now, out);
        let connected = self.tunnels.is_connected(now);
        if connected != self.was_connected {
            self.was_connected = connected;
            let notice = if connected { Notice::Connected } else { Notice::Disconnected };
            out.push(Output::Notice(notice));
        }
    }

    fn tick(&mut self, now: Instant, decisions: &mut Vec<Decision>, out: &mut Vec<Output>) {
        if self.fetch_at.is_some_and(|at| now >= at) {
            // Whoever fetches answers; should that get lost, this asks again.
            self.fetch_at = Some(now + RETRY_MAX);
            out.push(Output::Fetch);
        }
        let mut packets = Vec::new();
        self.sessions.tick(now, &mut packets);
        out.extend(packets.into_iter().map(Output::Send));
        self.tunnels.tick(now, decisions);
    }

    /// What is said goes through sessions; the rest is the driver's.
    fn carry_out(&mut self, decisions: Vec<Decision>, now: Instant, out: &mut Vec<Output>) {
        for decision in decisions {
            match decision {
                Decision::Say { peer, code } => {
                    self.send(peer, &Message::new(code, &[]), now, out);
                }
                other => out.push(Output::Tunnel(other)),
            }
        }
    }

    fn send(&mut self, peer: Prefix, message: &Message<'_>, now: Instant, out: &mut Vec<Output>) {
        let mut packets = Vec::new();
        self.sessions.send(peer, message.to_octets(), now, &mut packets);
        out.extend(packets.into_iter().map(Output::Send));
    }

    fn hear(
        &mut self,
        from: Ipv6Addr,
        octets: &[u8],
        now: Instant,
        decisions: &mut Vec<Decision>,
        out: &mut Vec<Output>,
    ) {
        let mut packets = Vec::new();
        match self.sessions.receive(from, octets, now, &mut packets) {
            Heard::Nothing => {}
            Heard::Established(peer) => {
                let version = self.own_version();
                self.sessions.answer(peer, from, &version, now, &mut packets);
                self.sessions.flush(peer, now, &mut packets);
            }
            Heard::Message(peer, message) => {
                if let Some(told) = self.told.get_mut(&peer) {
                    told.heard = true;
                }
                if let Some(message) = Message::parse(&message) {
                    let answer = self.answer(peer, &message, now, decisions, out);
                    self.sessions.answer(peer, from, &answer, now, &mut packets);
                }
                self.sessions.flush(peer, now, &mut packets);
            }
        }
        out.extend(packets.into_iter().map(Output::Send));
    }

    /// The answer to a peer's message; empty if it is only acknowledged.
    fn answer(
        &mut self,
        peer: Prefix,
        message: &Message<'_>,
        now: Instant,
        decisions: &mut Vec<Decision>,
        out: &mut Vec<Output>,
    ) -> Vec<u8> {
        if message.forwarded && self.is_of_registry() {
            // The registry asked this peer through us.
            if let Some(port) = self.errand_port {
                let message = Message { forwarded: false, ..*message };
                out.push(Output::Reply {
                    port,
                    octets: Errand { prefix: peer, message }.to_octets(),
                });
            }
            return Vec::new();
        }
        match message.code {
            Code::Version => return self.compare(peer, message, now, out),
            Code::Addresses if !message.body.is_empty() => {
                let text = String::from_utf8_lossy(message.body);
                self.tunnels.answered(peer, Addresses::parse(&text), now, decisions);
            }
            Code::Retire => self.tunnels.asked_to_retire(peer, now, decisions),
            Code::Retired => self.tunnels.agreed_to_retire(peer, now, decisions),
            Code::Log if self.is_of_registry() => {
                let text = String::from_utf8_lossy(message.body);
                let text = text.chars().filter(|c| !c.is_control()).collect();
                out.push(Output::Notice(Notice::Said { from: peer, text }));
            }
            Code::Topology if peer != self.tunnels.settings().registry => {}
            Code::Addresses | Code::About | Code::Topology if message.body.is_empty() => {
                let old = self.sessions.protocol_of(peer) < FIRST_PROTOCOL_WITH_COUNTRIES;
                let body = self.tell(message.code, old);
                if !body.is_empty() {
                    return message.answer(body.as_bytes()).to_octets();
                }
            }
            _ => {}
        }
        Vec::new()
    }

    /// What we say of ourselves.
    fn tell(&self, code: Code, old: bool) -> String {
        match code {
            Code::Addresses if old => self.tunnels.own_addresses().without_countries().to_string(),
            Code::Addresses => self.tunnels.own_addresses().to_string(),
            Code::About => self.about.clone(),
            Code::Topology => self.topology(),
            _ => String::new(),
        }
    }

    /// `<number of tunnels we opened> <peer> <peer> …`, ours first.
    fn topology(&self) -> String {
        let of = |role: Role| {
            let up = self
                .tunnels
                .all()
                .values()
                .filter(move |tunnel| tunnel.role == role && tunnel.up_since.is_some());
            up.map(|tunnel| tunnel.peer.to_string()).collect::<Vec<_>>()
        };
        let (ours, theirs) = (of(Role::Client), of(Role::Server));
        let mut words = vec![ours.len().to_string()];
        words.extend(ours);
        words.extend(theirs);
        words.join(" ")
    }

    fn is_of_registry(&self) -> bool {
        self.tunnels.settings().registry == self.sessions.identity().prefix
    }

    fn own_version(&self) -> Vec<u8> {
        let body = self.version.as_ref().map_or(&[][..], NetworkVersion::octets);
        Message::new(Code::Version, body).to_octets()
    }

    /// A peer told its version: the higher one wins.
    fn compare(
        &mut self,
        peer: Prefix,
        message: &Message<'_>,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Vec<u8> {
        let ours = self.version.as_ref().map_or(&[][..], NetworkVersion::octets);
        if message.body == ours {
            return Vec::new();
        }
        if message.body < ours {
            return self.own_version();
        }
        let authority = &self.sessions.identity().authority;
        if let Ok(version) = NetworkVersion::parse(message.body, authority) {
            let number = version.number();
            out.push(Output::Notice(Notice::NewVersion { by: peer, version: version.clone() }));
            self.version = Some(version);
            self.told.insert(peer, Told { number, at: now, heard: true });
            self.fetch_at = Some(now + FETCH_DELAY);
        }
        Vec::new()
    }

    /// Tells neighbours the network's version if they may not know it.
    fn tell_neighbours(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(number) = self.version.as_ref().map(NetworkVersion::number) else { return };
        let neighbours = self.tunnels.neighbours();
        self.told.retain(|peer, _| neighbours.contains(peer));
        for peer in neighbours {
            let knows = self.told.get(&peer).is_some_and(|told| {
                told.number == number && (told.heard || now.since(told.at) < TELL_AGAIN)
            });
            if !knows {
                self.told.insert(peer, Told { number, at: now, heard: false });
                let mut packets = Vec::new();
                let version = self.own_version();
                self.sessions.send(peer, version, now, &mut packets);
                out.extend(packets.into_iter().map(Output::Send));
            }
        }
    }

    fn configure(
        &mut self,
        configuration: Configuration,
        now: Instant,
        decisions: &mut Vec<Decision>,
    ) {
        self.sessions.set_revoked(configuration.revoked);
        self.fetch_failures = 0;
        // A registry that lags behind what a neighbour told is asked again.
        let behind = configuration.version < self.version;
        self.fetch_at = behind.then(|| now + RETRY);
        if !behind {
            self.version = configuration.version;
        }
        self.tunnels.set_settings(configuration.settings, now, decisions);
    }

    fn run_errand(&mut self, port: u16, octets: &[u8], now: Instant, out: &mut Vec<Output>) {
        let Some(errand) = Errand::parse(octets).filter(|_| self.is_of_registry()) else { return };
        let message = errand.message;
        if !message.code.is_asked_by_registry() {
            return;
        }
        self.errand_port = Some(port);
        if errand.prefix != self.sessions.identity().prefix {
            let asked = Message { forwarded: true, ..message };
            self.send(errand.prefix, &asked, now, out);
            return;
        }
        if message.code == Code::Version {
            self.fetch_at = None;
            out.push(Output::Fetch);
            return;
        }
        let body = self.tell(message.code, false);
        let message = Message { code: message.code, forwarded: false, body: body.as_bytes() };
        let errand = Errand { prefix: errand.prefix, message };
        out.push(Output::Reply { port, octets: errand.to_octets() });
    }
}

/// How long to wait before the configuration of a new version is fetched, as stock does.
const FETCH_DELAY: Duration = Duration::from_secs(1);
/// After which a fetch that failed is repeated; doubled each time.
const RETRY: Duration = Duration::from_secs(5);
/// How seldom a fetch is repeated at most.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// A neighbour that did not react to our version is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Peers that speak an older protocol do not understand countries in address lists.
const FIRST_PROTOCOL_WITH_COUNTRIES: u64 = 7;
