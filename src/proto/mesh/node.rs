//! One node of the mesh: its sessions, its tunnels, and the network version that it spreads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::proto::certificate::Identity;
use crate::proto::crl::SignedCrl;
use crate::proto::limits;
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
    /// The signed revocation list, for peers; `None` from an upstream registry.
    pub crl: Option<SignedCrl>,
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
    /// A newer revocation list came from a peer: end what certificates on it have, and store it.
    Revoked(SignedCrl),
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
    /// A peer has a newer revocation list.
    #[error("{by} has a newer revocation list, of version {version}: {new} more certificates")]
    NewCrl {
        /// Which peer.
        by: Prefix,
        /// The version of the network's configuration that it belongs to.
        version: u64,
        /// Certificates on it that were not on ours.
        new: usize,
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
    crl: Option<SignedCrl>,
    revoked: BTreeSet<u64>,
    /// When a neighbour is asked for the revocation list that we miss, and how often that was in vain.
    ask_crl_at: Option<Instant>,
    crl_asked: u32,
    /// The number of the version that every routed node is told, as the registry asked.
    handing_out: Option<u64>,
    /// Which version each neighbour was told, and when.
    told: BTreeMap<Prefix, Told>,
    fetch_at: Option<Instant>,
    /// When the configuration is fetched although nobody told of a new one.
    refresh_at: Instant,
    /// When a node without neighbours fetches it.
    isolated_fetch_at: Instant,
    random: Random,
    fetch_failures: u32,
    /// Where the registry waits for answers of others.
    errand_port: Option<u16>,
    was_connected: bool,
}

struct Told {
    number: u64,
    at: Instant,
    /// It has said something since, and not that it has an older one.
    knows: bool,
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
        let revoked = with_crl(configuration.revoked, configuration.crl.as_ref());
        sessions.set_revoked(revoked.clone());
        let refresh_at = next_refresh(now, &mut random);
        let own_random = random.fork();
        Self {
            about,
            sessions,
            tunnels: Tunnels::new(own, configuration.settings, cache, now, random),
            version: configuration.version,
            crl: configuration.crl,
            revoked,
            ask_crl_at: None,
            crl_asked: 0,
            handing_out: None,
            told: BTreeMap::new(),
            fetch_at: None,
            refresh_at,
            isolated_fetch_at: now + limits::PARAMETERS_REFRESH_ISOLATED,
            random: own_random,
            fetch_failures: 0,
            errand_port: None,
            was_connected: false,
        }
    }

    /// Shows a renewed certificate from now on; sessions and tunnels stay.
    pub fn set_identity(&mut self, identity: Identity) {
        self.sessions.set_identity(identity);
    }

    /// The calendar time at [`Instant::ZERO`] by the clock of now: certificates are judged by it.
    pub fn set_epoch(&mut self, epoch: UnixTime, now: Instant) {
        self.sessions.set_epoch(epoch, now);
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
        let fetch = self.refresh_at.min(self.isolated_fetch_at);
        let at = earliest(at, earliest(self.fetch_at, Some(fetch)));
        earliest(at, self.ask_crl_at)
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
            Input::Routes(mut routes) => {
                // Routes are hints: what a verified certificate names belongs to its node as a whole.
                routes.retain(|route| !self.sessions.is_part_of_another(route.prefix));
                self.tunnels.routed(routes, now, &mut decisions);
            }
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
        if now >= self.refresh_at {
            self.refresh_at = next_refresh(now, &mut self.random);
            if self.fetch_at.is_none() {
                out.push(Output::Fetch);
            }
        }
        if now >= self.isolated_fetch_at {
            self.isolated_fetch_at = now + limits::PARAMETERS_REFRESH_ISOLATED;
            if self.tunnels.neighbours().is_empty() && self.fetch_at.is_none() {
                out.push(Output::Fetch);
            }
        }
        if self.ask_crl_at.is_some_and(|at| now >= at) {
            self.ask_for_crl(now, out);
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
                if let Some(number) = self.version.as_ref().map(NetworkVersion::number) {
                    self.told.insert(peer, Told { number, at: now, knows: false });
                }
            }
            Heard::Message(peer, message) => {
                if let Some(told) = self.told.get_mut(&peer) {
                    told.knows = true;
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
            Code::Crl if message.body.is_empty() => {
                return self.own_crl().unwrap_or_default();
            }
            Code::Crl => self.take_crl(peer, message.body, out),
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

    /// The message that has our revocation list; `None` if there is none of the present version.
    fn own_crl(&self) -> Option<Vec<u8>> {
        let version = self.version.as_ref()?.number();
        let crl = self.crl.as_ref().filter(|crl| crl.version() >= version)?;
        Some(Message::new(Code::Crl, crl.octets()).to_octets())
    }

    /// A list that came from a peer, or from the registry on this host: the newer one wins.
    fn take_crl(&mut self, by: Prefix, octets: &[u8], out: &mut Vec<Output>) {
        let authority = &self.sessions.identity().authority;
        let Ok(crl) = SignedCrl::parse(octets, authority) else { return };
        if self.crl.as_ref().is_some_and(|own| own.version() >= crl.version()) {
            return;
        }
        let new = crl.serials().difference(&self.revoked).count();
        out.push(Output::Notice(Notice::NewCrl { by, version: crl.version(), new }));
        self.revoked.extend(crl.serials());
        self.sessions.set_revoked(self.revoked.clone());
        self.crl = Some(crl.clone());
        (self.ask_crl_at, self.crl_asked) = (None, 0);
        out.push(Output::Revoked(crl));
    }

    /// Asks a neighbour for the revocation list of a version that we know of; the next one if it did not
    /// answer. The registry may be down, or a member may keep the list to itself.
    fn ask_for_crl(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.ask_crl_at = None;
        let version = self.version.as_ref().map_or(0, NetworkVersion::number);
        // A network whose registry is upstream's has no such list.
        if self.crl.as_ref().is_none_or(|crl| crl.version() >= version) {
            return;
        }
        let neighbours: Vec<Prefix> = self.tunnels.neighbours().into_iter().collect();
        if let Some(&peer) = neighbours.get(self.crl_asked as usize % neighbours.len().max(1)) {
            self.send(peer, &Message::new(Code::Crl, &[]), now, out);
        }
        let doublings = (self.crl_asked / 8).min(6);
        self.crl_asked = self.crl_asked.saturating_add(1);
        self.ask_crl_at = Some(now + limits::CRL_ASK_INTERVAL * (1 << doublings));
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
            if let Some(told) = self.told.get_mut(&peer) {
                told.knows = false;
            }
            return self.own_version();
        }
        let authority = &self.sessions.identity().authority;
        if let Ok(version) = NetworkVersion::parse(message.body, authority) {
            let number = version.number();
            out.push(Output::Notice(Notice::NewVersion { by: peer, version: version.clone() }));
            self.version = Some(version);
            self.told.insert(peer, Told { number, at: now, knows: true });
            self.fetch_at = Some(now + FETCH_DELAY);
            self.crl_asked = 0;
            self.ask_crl_at = Some(now + limits::CRL_ASK_INTERVAL);
            // The one that knows of the version may have its list, too.
            self.send(peer, &Message::new(Code::Crl, &[]), now, out);
        }
        Vec::new()
    }

    /// Tells neighbours the network's version if they may not know it.
    fn tell_neighbours(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(number) = self.version.as_ref().map(NetworkVersion::number) else { return };
        let mut peers = self.tunnels.neighbours();
        if self.handing_out == Some(number) {
            peers.extend(self.tunnels.routed_peers().take(limits::MESH_SESSIONS_MAX));
        }
        self.told.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            let knows = self.told.get(&peer).is_some_and(|told| {
                told.number == number && (told.knows || now.since(told.at) < TELL_AGAIN)
            });
            if !knows {
                self.told.insert(peer, Told { number, at: now, knows: false });
                let mut packets = Vec::new();
                let version = self.own_version();
                self.sessions.send(peer, version, now, &mut packets);
                if let Some(crl) = self.own_crl() {
                    self.sessions.send(peer, crl, now, &mut packets);
                }
                out.extend(packets.into_iter().map(Output::Send));
            }
        }
    }

    /// `<number of the version> <nodes that have it> <nodes that are routed>`.
    fn handed_out(&self) -> String {
        let number = self.version.as_ref().map_or(0, NetworkVersion::number);
        let has = |peer: &Prefix| {
            self.told.get(peer).is_some_and(|told| told.number == number && told.knows)
        };
        let routed: BTreeSet<Prefix> = self.tunnels.routed_peers().collect();
        let knowing = routed.iter().filter(|peer| has(peer)).count();
        format!("{number} {knowing} {}", routed.len())
    }

    fn configure(
        &mut self,
        configuration: Configuration,
        now: Instant,
        decisions: &mut Vec<Decision>,
    ) {
        if configuration.crl.as_ref().map(SignedCrl::version)
            >= self.crl.as_ref().map(SignedCrl::version)
        {
            self.crl = configuration.crl;
            (self.ask_crl_at, self.crl_asked) = (None, 0);
        }
        self.revoked = with_crl(configuration.revoked, self.crl.as_ref());
        self.sessions.set_revoked(self.revoked.clone());
        self.fetch_failures = 0;
        // A registry that lags behind what a neighbour told is asked again.
        let behind = configuration.version < self.version;
        self.fetch_at = behind.then(|| now + RETRY);
        if !behind {
            self.version = configuration.version;
        }
        self.tunnels.set_settings(configuration.settings, now, decisions);
    }

    /// Takes a version from the registry on this host, if it is a newer one.
    fn take_version(&mut self, octets: &[u8]) {
        let authority = &self.sessions.identity().authority;
        if let Ok(version) = NetworkVersion::parse(octets, authority)
            && Some(&version) > self.version.as_ref()
        {
            self.version = Some(version);
        }
    }

    fn run_errand(&mut self, port: u16, octets: &[u8], now: Instant, out: &mut Vec<Output>) {
        let Some(errand) = Errand::parse(octets).filter(|_| self.is_of_registry()) else { return };
        let message = errand.message;
        let is_own = errand.prefix == self.sessions.identity().prefix;
        if !(message.code.is_asked_by_registry() || is_own && message.code.is_for_own_node()) {
            return;
        }
        self.errand_port = Some(port);
        if !is_own {
            let asked = Message { forwarded: true, ..message };
            self.send(errand.prefix, &asked, now, out);
            return;
        }
        match message.code {
            Code::Version => {
                self.fetch_at = None;
                if !message.body.is_empty() {
                    self.take_version(message.body);
                }
                out.push(Output::Fetch);
                return;
            }
            Code::Crl => return self.take_crl(errand.prefix, message.body, out),
            Code::HandOut => {
                self.handing_out = self.version.as_ref().map(NetworkVersion::number);
            }
            _ => {}
        }
        let body = match message.code {
            Code::HandOut => self.handed_out(),
            code => self.tell(code, false),
        };
        let message = Message { code: message.code, forwarded: false, body: body.as_bytes() };
        let errand = Errand { prefix: errand.prefix, message };
        out.push(Output::Reply { port, octets: errand.to_octets() });
    }
}

/// Revoked serial numbers with those of the signed list.
fn with_crl(mut revoked: BTreeSet<u64>, crl: Option<&SignedCrl>) -> BTreeSet<u64> {
    revoked.extend(crl.iter().flat_map(|crl| crl.serials()));
    revoked
}

/// When the configuration is fetched next without a reason: nodes that start together do not ask together.
fn next_refresh(now: Instant, random: &mut Random) -> Instant {
    let most = limits::PARAMETERS_REFRESH.as_millis() as usize;
    now + limits::PARAMETERS_REFRESH + Duration::from_millis(random.below(most) as u64)
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
