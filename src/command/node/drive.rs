//! The loop that composes the mesh: tunnels, Babel, sessions with other nodes and the registry meet here.

mod tell;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::command::babel::identity::Identity as Router;
use crate::command::babel::service::Babel;
use crate::command::node::control::Question as Asking;
use crate::command::node::control::{Asked, Control};
use crate::command::node::host::Host;
use crate::command::node::network::{self, Preferences};
use crate::command::node::options::{self, Options, Port};
use crate::command::node::registry::{self, Answer, Question};
use crate::command::node::setup::{self, Place};
use crate::command::node::tunnels::{Change, Tunnels};
use crate::command::registry::client::RegistryClient;
use crate::command::tunnel::event::Event;
use crate::command::{Failure, Outcome};
use crate::os::clock::{self, Clock};
use crate::os::route::KernelSettings;
use crate::os::store::Store;
use crate::os::{entropy, host, log};
use crate::proto::babel::configuration::options::KernelSetup;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::dump::Dump;
use crate::proto::babel::settings::{Acceptance, Announcement, CostMultiplier, Settings};
use crate::proto::certificate::Identity;
use crate::proto::cidr::Cidr;
use crate::proto::limits;
use crate::proto::mesh::address::Addresses;
use crate::proto::mesh::cache::{self, Cache};
use crate::proto::mesh::datagram::PORT;
use crate::proto::mesh::node::{Input, Node, Output};
use crate::proto::mesh::tunnels::{Cost, Decision, Link, Role, Route};
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::Parameters;
use crate::proto::time::Instant;

/// Runs a node until it is told to end.
pub fn run(options: &Options) -> Outcome {
    log::start(options.verbose);
    let ports = options.ports()?;
    let preferences = options.preferences()?;
    let identity = setup::identity(options)?;
    let _lock = setup::folders(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
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
    signals: [Signal; 2],
    host: Host,
    store: Option<Store>,
    parameters: Parameters,
    preferences: Preferences,
    ports: Vec<Port>,
    lans: Vec<String>,
    /// Given by the operator: nothing is learnt then.
    given_addresses: bool,
    dump: Dump,
    routes: Vec<Route>,
    look_at: Instant,
    ending: bool,
    /// The state folder takes nothing, and that was said.
    forgetful: bool,
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
        let random = entropy::random();
        let signals = signals()?;
        let store = setup::store(options)?;
        let mut client = RegistryClient::new(options.registry.clone(), identity.clone());
        let (parameters, old) = setup::parameters(store.as_ref(), &mut client).await?;
        let places = setup::places(&parameters, &identity)?;
        // Before anything of the host is touched: whoever has this port is a node that runs.
        let socket = setup::open_socket()?;
        let host = Host::prepare(places.clone(), &options.main_interface, &options.run).await?;
        let wanted = Wanted { options, identity: &identity, parameters: &parameters };
        let services = wanted.open(&preferences, &ports, &places).await;
        let services = match services {
            Ok(services) => services,
            Err(failure) => {
                host.restore().await;
                return Err(failure);
            }
        };
        let node = Node::new(
            identity.clone(),
            format!("{}, re6st-{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS),
            network::configuration(&parameters, &preferences, &identity.authority),
            known_peers(store.as_ref()),
            clock::unix_time(),
            clock.now(),
            random,
        );
        let (registry, registry_answers) = registry::start(client);
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
            store,
            parameters,
            preferences,
            ports,
            lans: options.interface.clone(),
            given_addresses: !options.given_addresses().is_empty(),
            dump: Dump::default(),
            routes: Vec::new(),
            look_at: clock.now(),
            ending: false,
            forgetful: false,
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
        self.set_own_hosts(&hosts).await;
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
            let [terminate, interrupt] = &mut self.signals;
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
                _ = terminate.recv() => Happened::Signal,
                _ = interrupt.recv() => Happened::Signal,
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
                Happened::Signal => self.ending = true,
            }
        }
        Ok(())
    }

    /// Leaves nothing behind.
    async fn stop(self) {
        tracing::info!("leaving the network");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let _ = tokio::time::timeout(FAREWELL, self.babel.stop()).await;
        self.tunnels.stop().await;
        self.host.restore().await;
        drop(self.control);
    }

    /// Gives the mesh an input and does what it says.
    async fn feed(&mut self, input: Input<'_>) {
        tracing::trace!("{input:?}");
        let mut out = Vec::new();
        self.node.handle(input, self.clock.now(), &mut out);
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
            self.feed(Input::Errand { port: from.port(), octets }).await;
        } else if self.identity.authority.network().contains(address) {
            self.feed(Input::Datagram { from: address, octets }).await;
        }
    }

    async fn take_tunnel_event(&mut self, event: Event) {
        match self.tunnels.take(event) {
            None => {}
            Some(Change::Up(link, up)) => {
                let Some(tunnel) = self.tunnels.get(link) else { return };
                let (role, interface) = (tunnel.role, tunnel.interface.clone());
                tracing::info!("tunnel {interface} to {} is up ({})", up.peer, up.endpoint);
                self.host.address_tunnel(up.index).await;
                self.route_on(&interface).await;
                if let Some(address) = up.external_ip.filter(|_| !self.given_addresses) {
                    self.set_own_hosts(&[address]).await;
                }
                let Ok(peer) = up.peer.parse() else { return };
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

    async fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Parameters(Ok(parameters)) => self.set_parameters(*parameters).await,
            Answer::Parameters(Err(error)) => {
                tracing::info!("the registry gives no parameters: {error}");
                self.feed(Input::NotConfigured).await;
            }
            Answer::Bootstrap(Ok(peer)) => {
                match &peer {
                    Some((prefix, addresses)) => {
                        tracing::info!("the registry says that {prefix} is at {addresses}");
                    }
                    None => tracing::info!("the registry knows no peer now"),
                }
                self.feed(Input::Bootstrapped(peer)).await;
            }
            Answer::Bootstrap(Err(error)) => {
                tracing::info!("the registry names no peer: {error}");
                self.feed(Input::Bootstrapped(None)).await;
            }
        }
    }

    /// Applies parameters while everything runs.
    async fn set_parameters(&mut self, parameters: Parameters) {
        if parameters != self.parameters {
            let old = std::mem::replace(&mut self.parameters, parameters);
            let new = &self.parameters;
            tracing::info!("the network's parameters changed");
            if network::babel_keys(&old) != network::babel_keys(new) {
                let _ = self.babel.set_keys(network::babel_keys(new)).await;
            }
            let timers = network::babel_tunnel(new);
            if network::babel_tunnel(&old) != timers {
                let _ = self.babel.set_defaults(timers).await;
            }
            let set = self.tunnels.set_parameters(new, &self.preferences, &self.ports).await;
            if let Err(failure) = set {
                tracing::error!("{failure}");
            }
            self.remember_parameters();
        }
        let authority = &self.identity.authority;
        let configuration = network::configuration(&self.parameters, &self.preferences, authority);
        self.feed(Input::Configured(Box::new(configuration))).await;
    }

    fn ask_registry(&self, question: Question) {
        // If the queue is full, the same question waits in it already, and its answer will do.
        let _ = self.registry.try_send(question);
    }

    async fn look_at_routes(&mut self) {
        let began = self.clock.now();
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

    async fn set_own_hosts(&mut self, hosts: &[IpAddr]) {
        let addresses = options::addresses(&self.ports, hosts);
        if addresses == *self.node.tunnels().own_addresses() {
            return;
        }
        tracing::info!("others reach this node at {addresses}");
        if let Some(store) = &self.store
            && let Err(error) = store.set_peer("", &addresses.to_string())
        {
            tracing::debug!("cannot remember our addresses: {error}");
        }
        self.feed_own(addresses);
    }

    fn feed_own(&mut self, addresses: Addresses) {
        // Nothing follows from this alone: others ask.
        self.node.handle(Input::Reachable(addresses), self.clock.now(), &mut Vec::new());
    }

    fn own_address(&self) -> Option<Ipv6Addr> {
        self.identity.authority.network().node_address(self.identity.prefix)
    }

    fn remember_parameters(&mut self) {
        let rows = network::to_rows(&self.parameters);
        if let Some(store) = &mut self.store
            && let Err(error) = store.set_configuration(&rows)
        {
            tracing::warn!("cannot remember the network's parameters: {error}");
        }
    }

    fn remember(&mut self, change: &cache::Change) {
        let Some(store) = &self.store else { return };
        let done = match change {
            cache::Change::Learnt(prefix, addresses) => {
                store.set_peer(&prefix.to_bits(), &addresses.to_string())
            }
            cache::Change::Forgotten(prefix) => store.forget_peer(&prefix.to_bits()),
        };
        match done {
            Ok(()) => self.forgetful = false,
            // Once: there may be many peers.
            Err(error) if !self.forgetful => {
                self.forgetful = true;
                tracing::warn!("cannot remember peers: {error}");
            }
            Err(_) => {}
        }
    }

    fn answer(&mut self, (question, answer): Asked) {
        self.ending |= question == Asking::Down;
        let _ = answer.send(self.tell(question));
    }
}

/// What is opened once the host is prepared.
struct Services {
    tunnels: Tunnels,
    tunnel_events: mpsc::Receiver<Event>,
    control: Control,
    questions: mpsc::Receiver<Asked>,
    babel: Babel,
    babel_notices: mpsc::Receiver<String>,
}

/// What they are opened for.
struct Wanted<'a> {
    options: &'a Options,
    identity: &'a Identity,
    parameters: &'a Parameters,
}

impl Wanted<'_> {
    async fn open(
        &self,
        preferences: &Preferences,
        ports: &[Port],
        places: &[Place],
    ) -> Result<Services, Failure> {
        let (events, tunnel_events) = mpsc::channel(QUEUE);
        let (identity, parameters) = (self.identity, self.parameters);
        let tunnels = Tunnels::start(identity, parameters, preferences, ports, events).await?;
        let (asked, questions) = mpsc::channel(QUEUE);
        let control = Control::open(&self.options.run, asked).map_err(|error| {
            let folder = self.options.run.display();
            Failure::failed(format!("cannot open the control socket in {folder}: {error}"))
        })?;
        let state = self.options.state.join("babel-state");
        let router = Router::find(None, Some(&state))?;
        let (babel, babel_notices) = start_babel(self.parameters, places, router)?;
        Ok(Services { tunnels, tunnel_events, control, questions, babel, babel_notices })
    }
}

fn start_babel(
    parameters: &Parameters,
    places: &[Place],
    router: Router,
) -> Result<(Babel, mpsc::Receiver<String>), Failure> {
    let announced = places.iter().map(|place| {
        let destination = Destination::from_anywhere(place.subnet);
        Announcement { destination, metric: 0 }
    });
    let networks = places.iter().map(|place| Acceptance::inside(place.network));
    let default = std::iter::once(Acceptance::exactly(Cidr::IPV6_DEFAULT));
    let settings = Settings {
        router_id: router.router_id,
        announced: announced.collect(),
        accepted: networks.chain(default).collect(),
        keys: network::babel_keys(parameters),
    };
    // The node itself has the host forward, and remembers what it changed for that.
    let setup = KernelSetup::Skipped;
    let mut kernel = KernelSettings { metric: ROUTE_METRIC, setup, ..KernelSettings::default() };
    for place in places {
        match place.address {
            IpAddr::V6(address) => {
                kernel.preferred_source_v6 = Some(address);
                kernel.default_source = Some(place.network);
            }
            IpAddr::V4(address) => kernel.preferred_source_v4 = Some(address),
        }
    }
    Babel::start(settings, kernel, router)
        .map_err(|error| Failure::failed(format!("cannot start the Babel router: {error}")))
}

fn signals() -> Result<[Signal; 2], Failure> {
    match [SignalKind::terminate(), SignalKind::interrupt()].map(signal) {
        [Ok(terminate), Ok(interrupt)] => Ok([terminate, interrupt]),
        _ => Err(Failure::failed("cannot listen for signals")),
    }
}

fn known_peers(store: Option<&Store>) -> Cache {
    let peers = store.and_then(|store| store.peers().ok()).unwrap_or_default();
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
/// Stock's babeld puts its routes there: others' routes to the same prefixes come first.
const ROUTE_METRIC: u32 = 1_024;
