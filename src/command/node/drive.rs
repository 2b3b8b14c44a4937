//! The loop that composes the mesh: tunnels, Babel, sessions with other nodes and the registry meet here.

mod answers;
mod services;
mod tell;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::command::babel::service::Babel;
use crate::command::node::control::Question as Asking;
use crate::command::node::control::{Asked, Control};
use crate::command::node::drive::services::Wanted;
use crate::command::node::host::Host;
use crate::command::node::memory::{Everything, Memory, News};
use crate::command::node::network::{self, Preferences};
use crate::command::node::options::{self, Options, Port};
use crate::command::node::registry::{self, Answer, Question};
use crate::command::node::renewal::Renewal;
use crate::command::node::setup;
use crate::command::node::tunnels::{Change, Tunnels};
use crate::command::registry::client::RegistryClient;
use crate::command::tunnel::event::Event;
use crate::command::{Failure, Outcome, runtime};
use crate::os::clock::{self, Clock};
use crate::os::signals::Signals;
use crate::os::{entropy, host, log, socket_owner, user};
use crate::proto::babel::dump::Dump;
use crate::proto::babel::settings::CostMultiplier;
use crate::proto::certificate::Identity;
use crate::proto::limits;
use crate::proto::mesh::address::Addresses;
use crate::proto::mesh::cache::{self, Cache};
use crate::proto::mesh::datagram::PORT;
use crate::proto::mesh::node::{Input, Node, Output};
use crate::proto::mesh::observed::ObservedAddresses;
use crate::proto::mesh::tunnels::{Cost, Decision, Link, Role, Route};
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::Parameters;
use crate::proto::time::{Instant, UnixTime};

/// Runs a node until it is told to end.
pub fn run(options: &Options) -> Outcome {
    log::start(options.verbose);
    let ports = options.ports()?;
    let preferences = options.preferences()?;
    let identity = setup::identity(options)?;
    let _lock = setup::folders(options)?;
    if let Err(error) = user::drop_privileges() {
        tracing::warn!("this node keeps all rights of root: {error}");
    }
    let runtime = runtime::start();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut drive = Drive::start(options, ports, preferences, identity).await?;
        let outcome = drive.run().await;
        drive.stop().await;
        outcome
    })
}

/// Everything that runs.
struct Drive {
    clock: Clock,
    identity: Identity,
    node: Node,
    babel: Babel,
    babel_notices: mpsc::Receiver<String>,
    tunnels: Tunnels,
    tunnel_events: mpsc::Receiver<Event>,
    registry: mpsc::Sender<Question>,
    registry_answers: mpsc::Receiver<Answer>,
    registry_url: String,
    socket: UdpSocket,
    control: Control,
    questions: mpsc::Receiver<Asked>,
    signals: Signals,
    host: Host,
    memory: Memory,
    parameters: Parameters,
    preferences: Preferences,
    ports: Vec<Port>,
    lans: Vec<String>,
    /// The users who may have this node ask the network, as its registry does.
    registry_users: Vec<u32>,
    /// Given by the operator: nothing is learnt then.
    given_addresses: bool,
    given_country: bool,
    /// Under which this host is reached.
    hosts: Vec<IpAddr>,
    /// What peers say of that.
    observed: ObservedAddresses,
    renewal: Renewal,
    /// The registry said so.
    is_unknown: bool,
    dump: Dump,
    routes: Vec<Route>,
    look_at: Instant,
    ending: bool,
}

fn registry_users(options: &Options) -> Result<Vec<u32>, Failure> {
    let mut users = vec![0, user::own_uid()];
    if let Some(name) = &options.registry_user {
        let (uid, _) = user::ids_of(name)
            .map_err(|error| Failure::usage(format!("--registry-user {name}: {error}")))?;
        users.push(uid);
    }
    Ok(users)
}

/// What one turn of the loop waits for.
enum Happened {
    Timer,
    Datagram(SocketAddr, usize),
    Tunnel(Event),
    BabelSaid(Option<String>),
    Registry(Answer),
    Asked(Asked),
    LookAtRoutes,
    Renewal,
    Signal,
}

impl Drive {
    async fn start(
        options: &Options,
        ports: Vec<Port>,
        preferences: Preferences,
        identity: Identity,
    ) -> Result<Self, Failure> {
        let clock = Clock::start();
        let registry_users = registry_users(options)?;
        let signals = runtime::signals()?;
        let (memory, remembered) = Memory::open(options, clock.now());
        let mut client = RegistryClient::new(options.registry.clone(), identity.clone());
        let (parameters, old) = setup::parameters(remembered.parameters, &mut client).await?;
        let places = setup::places(&parameters, &identity)?;
        // Before anything of the host is touched: whoever has this port is a node that runs.
        let socket = setup::open_socket()?;
        let host = Host::prepare(places.clone(), options).await?;
        let wanted = Wanted { options, identity: &identity, parameters: &parameters };
        let opened = wanted.open(&preferences, &ports, &places).await;
        let (host, services) = host.keep_if(opened).await?;
        let node = Node::new(
            identity.clone(),
            format!("{}, re6st-{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS),
            network::configuration(&parameters, &preferences, &identity.authority),
            known_peers(remembered.peers),
            clock::unix_time(),
            clock.now(),
            entropy::random(),
        );
        let (registry, registry_answers) = registry::start(client);
        let renewal = Renewal::of(options, &identity, clock::unix_time(), clock.now());
        let mut drive = Self {
            clock,
            identity,
            node,
            babel: services.babel,
            babel_notices: services.babel_notices,
            tunnels: services.tunnels,
            tunnel_events: services.tunnel_events,
            registry,
            registry_answers,
            registry_url: options.registry.to_string(),
            socket,
            control: services.control,
            questions: services.questions,
            signals,
            host,
            memory,
            parameters,
            preferences,
            ports,
            lans: options.interface.clone(),
            registry_users,
            given_addresses: !options.given_addresses().is_empty(),
            given_country: options.country.is_some(),
            hosts: Vec::new(),
            observed: ObservedAddresses::default(),
            renewal,
            is_unknown: false,
            dump: Dump::default(),
            routes: Vec::new(),
            look_at: clock.now(),
            ending: false,
        };
        drive.begin(options, old).await;
        Ok(drive)
    }

    /// The first steps: LANs, our own addresses, and newer parameters than those of last time.
    async fn begin(&mut self, options: &Options, old_parameters: bool) {
        for lan in &self.lans {
            let added = self.babel.add_interface(lan, network::babel_lan(&self.parameters)).await;
            if let Err(error) = added {
                tracing::warn!("cannot route on {lan}: {error}");
            }
        }
        let given = options.given_addresses();
        let hosts = if self.given_addresses { given } else { local_hosts(options).await };
        self.set_own_hosts(&hosts);
        self.remember_parameters();
        if old_parameters {
            self.ask_registry(Question::Parameters);
        }
        let address = self.own_address().map(|address| address.to_string()).unwrap_or_default();
        tracing::info!("node {} of {address} is up", self.identity.prefix);
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    async fn run(&mut self) -> Outcome {
        let mut datagram = vec![0; limits::DATAGRAM_OCTETS_MAX];
        self.feed(Input::Timer).await;
        while !self.ending {
            let deadline = self.node.deadline();
            let happened = tokio::select! {
                () = self.clock.sleep_until(deadline) => Happened::Timer,
                got = self.socket.recv_from(&mut datagram) => match got {
                    Ok((length, from)) => Happened::Datagram(from, length),
                    Err(_) => continue,
                },
                Some(event) = self.tunnel_events.recv() => Happened::Tunnel(event),
                notice = self.babel_notices.recv() => Happened::BabelSaid(notice),
                Some(answer) = self.registry_answers.recv() => Happened::Registry(answer),
                Some(asked) = self.questions.recv() => Happened::Asked(asked),
                () = self.clock.sleep_until(Some(self.look_at)) => Happened::LookAtRoutes,
                () = self.clock.sleep_until(Some(self.renewal.deadline())) => Happened::Renewal,
                () = self.signals.end("parameters, certificates and CRL are taken over as they \
                                       change; restart the node for other options") => Happened::Signal,
            };
            match happened {
                Happened::Timer => self.feed(Input::Timer).await,
                Happened::Datagram(from, length) => self.hear(from, &datagram[..length]).await,
                Happened::Tunnel(event) => self.take_tunnel_event(event).await,
                // The router logs what it says.
                Happened::BabelSaid(Some(_)) => {}
                Happened::BabelSaid(None) => {
                    return Err(Failure::failed("the Babel router ended; see the log above"));
                }
                Happened::Registry(answer) => self.take_answer(answer).await,
                Happened::Asked(asked) => self.answer(asked),
                Happened::LookAtRoutes => self.look_at_routes().await,
                Happened::Renewal => self.renew(),
                Happened::Signal => self.ending = true,
            }
        }
        Ok(())
    }

    /// Leaves nothing behind.
    async fn stop(mut self) {
        tracing::info!("leaving the network");
        self.memory.finish(|| everything(&self.node, &self.parameters));
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let _ = tokio::time::timeout(FAREWELL, self.babel.stop()).await;
        self.tunnels.stop().await;
        self.host.restore().await;
        drop(self.control);
    }

    /// Gives the mesh an input and does what it says.
    async fn feed(&mut self, input: Input<'_>) {
        tracing::trace!("{input:?}");
        let (mut out, now) = (Vec::new(), self.clock.now());
        // The clock of now counts: it may have been set since the start.
        let epoch = clock::unix_time().since_1970().saturating_sub(now.since_start());
        self.node.set_epoch(UnixTime::from_duration(epoch), now);
        self.node.handle(input, now, &mut out);
        for output in out {
            self.carry_out(output).await;
        }
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(packet) => {
                let sent = self.socket.send_to(&packet.octets, (packet.to, PORT)).await;
                if let Err(error) = sent {
                    tracing::debug!("cannot send to {}: {error}", packet.to);
                }
            }
            Output::Reply { port, octets } => {
                let _ = self.socket.send_to(&octets, (Ipv6Addr::LOCALHOST, port)).await;
            }
            Output::Tunnel(decision) => self.decide(decision).await,
            Output::Fetch => self.ask_registry(Question::Parameters),
            Output::Revoked(crl) => self.take_crl(&crl),
            Output::Notice(notice) => tracing::info!("{notice}"),
        }
    }

    async fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::Connect { link, peer, endpoint } => {
                tracing::info!("opening a tunnel to {peer} at {endpoint}");
                self.tunnels.connect(link, peer, endpoint);
            }
            Decision::Close { link } => {
                if let Some(interface) = self.tunnels.close(link) {
                    tracing::info!("closing the tunnel {interface}");
                    let _ = self.babel.remove_interface(&interface).await;
                }
            }
            Decision::SetCost { link, cost } => self.set_cost(link, cost).await,
            Decision::Bootstrap => self.ask_registry(Question::Bootstrap),
            Decision::Say { .. } => {}
            Decision::Cache(change) => self.remember(&change),
        }
    }

    async fn set_cost(&mut self, link: Link, cost: Cost) {
        let Some(tunnel) = self.tunnels.get(link) else { return };
        let interface = tunnel.interface.clone();
        let multiplier = match cost {
            Cost::Usual => CostMultiplier::ONE,
            Cost::Avoided => CostMultiplier::AVOID,
            Cost::Locked => CostMultiplier::LOCKED,
        };
        let neighbours: Vec<Ipv6Addr> = self
            .dump
            .neighbours
            .iter()
            .filter(|neighbour| neighbour.interface == interface)
            .map(|neighbour| neighbour.address)
            .collect();
        for address in neighbours {
            let set = self.babel.set_cost_multiplier(&interface, address, multiplier).await;
            if let Err(error) = set {
                tracing::debug!("{error}");
            }
        }
    }

    async fn hear(&mut self, from: SocketAddr, octets: &[u8]) {
        let IpAddr::V6(address) = from.ip() else { return };
        if address == Ipv6Addr::LOCALHOST {
            if !self.is_from_registry(from.port()) {
                return;
            }
            self.feed(Input::Errand { port: from.port(), octets }).await;
        } else if self.identity.authority.network().contains(address) {
            self.feed(Input::Datagram { from: address, octets }).await;
        }
    }

    /// Whether a datagram from this host comes from the registry, by who owns the socket it was sent from: every
    /// user may send to the loopback address.
    fn is_from_registry(&self, port: u16) -> bool {
        match socket_owner::of_udp_sender(port) {
            Ok(owners) => {
                let is_allowed = owners.iter().all(|uid| self.registry_users.contains(uid));
                if !is_allowed {
                    tracing::debug!("ignoring a datagram from port {port} of users {owners:?}");
                }
                is_allowed && !owners.is_empty()
            }
            Err(error) => {
                tracing::warn!("cannot find the owner of UDP port {port}: {error}");
                false
            }
        }
    }

    async fn take_tunnel_event(&mut self, event: Event) {
        match self.tunnels.take(event) {
            None => {}
            Some(Change::Up(link, up)) => {
                let Some(tunnel) = self.tunnels.get(link) else { return };
                let (role, interface) = (tunnel.role, tunnel.interface.clone());
                // The certificate may have been revoked while the handshake went on.
                if up.serial.is_some_and(|it| network::revoked(&self.parameters).contains(&it)) {
                    tracing::info!("tunnel {interface}: the certificate of {} is revoked", up.peer);
                    return self.tunnels.end(link);
                }
                tracing::info!("tunnel {interface} to {} is up ({})", up.peer, up.endpoint);
                self.host.address_tunnel(up.index).await;
                self.route_on(&interface).await;
                let Ok(peer) = up.peer.parse() else { return };
                if let Some(address) = up.external_ip.filter(|_| !self.given_addresses) {
                    self.learn_own_address(peer, address);
                }
                self.feed(Input::Up { role, link, peer }).await;
            }
            Some(Change::Down(link, interface, reason)) => {
                tracing::info!("tunnel {interface} is down: {reason}");
                let _ = self.babel.remove_interface(&interface).await;
                self.feed(Input::Down(link)).await;
            }
            // Babel itself would notice after three Hellos.
            Some(Change::Silent(interface)) => {
                tracing::info!("tunnel {interface} is silent: routes leave it");
                let _ = self.babel.remove_interface(&interface).await;
            }
            Some(Change::Recovered(interface)) => {
                tracing::info!("tunnel {interface} works again");
                self.route_on(&interface).await;
            }
            Some(Change::Measured(interface, quality)) => {
                let _ = self.babel.report_quality(&interface, quality).await;
            }
        }
    }

    async fn route_on(&self, interface: &str) {
        let settings = network::babel_tunnel(&self.parameters);
        if let Err(error) = self.babel.add_interface(interface, settings).await {
            tracing::warn!("cannot route on {interface}: {error}");
        }
    }

    fn ask_registry(&self, question: Question) {
        // If the queue is full, the same question waits in it already, and its answer will do.
        let _ = self.registry.try_send(question);
    }

    async fn look_at_routes(&mut self) {
        let began = self.clock.now();
        self.tunnels.tick(&self.preferences, began);
        let dump = self.babel.dump().await;
        let took = self.clock.now().since(began);
        // A table of a large network takes a while: no more than a twentieth of the time.
        self.look_at = began + LOOK.max(took * 20);
        let Ok(dump) = dump else { return };
        self.dump = dump;
        let routes = self.routes_by_node();
        if routes != self.routes {
            self.routes.clone_from(&routes);
            self.feed(Input::Routes(routes)).await;
        }
    }

    /// What Babel knows, by node: which way packets take, and who is a neighbour.
    fn routes_by_node(&self) -> Vec<Route> {
        let network = self.identity.authority.network();
        let mut nodes = std::collections::BTreeMap::new();
        for route in self.dump.routes.iter().filter(|route| route.metric < u16::MAX) {
            let destination = route.destination;
            let node = network.prefix_of(destination.prefix).filter(|node| node.length() > 0);
            let Some(prefix) = node.filter(|_| !destination.is_source_specific()) else { continue };
            let node = nodes.entry(prefix).or_insert((None, false));
            node.1 |= route.refmetric == 0;
            if route.installed {
                node.0 = Some(self.tunnels.of_interface(&route.interface));
            }
        }
        let routed = nodes
            .into_iter()
            .filter_map(|(prefix, (link, direct))| Some(Route { prefix, link: link?, direct }));
        routed.filter(|route| route.prefix != self.identity.prefix).collect()
    }

    /// Tells others where this node is reached, if that changed.
    fn announce(&mut self) {
        let addresses = options::addresses(&self.ports, &self.hosts);
        let country = self.preferences.country.filter(|_| !self.parameters.same_country.is_empty());
        let addresses = country.map_or_else(|| addresses.clone(), |at| addresses.in_country(at));
        if addresses == *self.node.tunnels().own_addresses() {
            return;
        }
        tracing::info!("others reach this node at {addresses}");
        let text = addresses.to_string();
        self.feed_own(addresses);
        self.keep(News::Peer(String::new(), text));
    }

    fn feed_own(&mut self, addresses: Addresses) {
        // Nothing follows from this alone: others ask.
        self.node.handle(Input::Reachable(addresses), self.clock.now(), &mut Vec::new());
    }

    fn own_address(&self) -> Option<Ipv6Addr> {
        self.identity.authority.network().node_address(self.identity.prefix)
    }

    fn keep(&mut self, news: News) {
        let all = || everything(&self.node, &self.parameters);
        self.memory.keep(news, self.clock.now(), all);
    }

    fn remember_parameters(&mut self) {
        self.keep(News::Configuration(network::to_rows(&self.parameters)));
    }

    fn remember(&mut self, change: &cache::Change) {
        self.keep(match change {
            cache::Change::Learnt(prefix, addresses) => {
                News::Peer(prefix.to_bits(), addresses.to_string())
            }
            cache::Change::Forgotten(prefix) => News::Forgotten(prefix.to_bits()),
        });
    }

    fn answer(&mut self, (question, answer): Asked) {
        self.ending |= question == Asking::Down;
        let _ = answer.send(self.tell(question));
    }
}

/// All that a node remembers.
fn everything(node: &Node, parameters: &Parameters) -> Everything {
    let mesh = node.tunnels();
    let peers = mesh.cache().peers().filter_map(|prefix| {
        let addresses = mesh.cache().addresses(prefix)?;
        Some((prefix.to_bits(), addresses.to_string()))
    });
    let own = std::iter::once((String::new(), mesh.own_addresses().to_string()));
    Everything { peers: peers.chain(own).collect(), configuration: network::to_rows(parameters) }
}

fn known_peers(peers: Vec<(String, String)>) -> Cache {
    Cache::new(peers.into_iter().filter_map(|(prefix, addresses)| {
        // Our own addresses are kept there, too, under an empty prefix.
        let prefix = Prefix::from_bits(&prefix).ok().filter(|prefix| prefix.length() > 0)?;
        Some((prefix, Addresses::parse(&addresses)))
    }))
}

/// The address from which this host speaks to the registry: others on its network reach it there.
async fn local_hosts(options: &Options) -> Vec<IpAddr> {
    let target = (options.registry.host.as_str(), options.registry.port);
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host(target)).await;
    let Ok(Ok(found)) = found else { return Vec::new() };
    let ours = found.filter_map(|peer| host::local_address_towards(peer).ok());
    ours.filter(|address| !address.is_loopback() && !address.is_unspecified()).take(1).collect()
}

/// How often Babel's routes are looked at, at most.
const LOOK: Duration = Duration::from_millis(200);
/// How long Babel may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the registry's name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(2);
/// Events that wait for the loop.
const QUEUE: usize = 256;
