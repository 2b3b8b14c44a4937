//! The tunnels of a node as things: connections, ports, interfaces; named as the mesh names them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::command::Failure;
use crate::command::node::network::{self, Preferences};
use crate::command::node::options::Port;
use crate::command::tunnel::client::{ConnectSettings, Connection, connect};
use crate::command::tunnel::event::{Ending, Event, EventKind, Statistics, Up};
use crate::command::tunnel::particulars::Particulars;
use crate::command::tunnel::server::{Listener, listen};
use crate::command::tunnel::terms::{ListenPort, ListenSettings, Terms};
use crate::proto::babel::event::LinkQuality;
use crate::proto::certificate::Identity;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::limits;
use crate::proto::mesh::tunnels::{FIRST_SERVED_LINK, Link, Role};
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::Parameters;
use crate::proto::time::Instant;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::kind::Role as TunnelRole;
use crate::proto::tunnel::name::ExpectedName;
use crate::proto::tunnel::session::Reason;
use crate::proto::tunnel::tls::TlsContext;

/// All of them.
pub struct Tunnels {
    /// Every tunnel shares it.
    context: TlsContext,
    parameters: Parameters,
    events: mpsc::Sender<Event>,
    listeners: Vec<Listener>,
    open: BTreeMap<Link, Tunnel>,
    next_served: Link,
    /// While the network changes to tunnels with encryption, or to such without.
    transition: Option<Transition>,
    /// How long after the others this node begins to close tunnels: not all do at once.
    stagger: Duration,
}

/// A change of the network's encryption. Tunnels that are up stay, and both are accepted, until every node
/// has heard of it; then those that are as before are closed one by one.
struct Transition {
    until: Instant,
    /// Nothing that is as before is accepted any more; what is left of it is being closed.
    is_closing: bool,
    close_next_at: Instant,
    /// Peers that do not accept what is new yet.
    behind: BTreeSet<Prefix>,
}

/// One.
pub struct Tunnel {
    /// Which end we are.
    pub role: Role,
    /// The peer, if we opened it.
    peer: Option<Prefix>,
    /// Its interface, or what that will be called.
    pub interface: String,
    /// Where it leads, as far as known.
    pub endpoint: Option<Endpoint>,
    /// What is known since it is up.
    pub up: Option<Up>,
    /// Nothing comes through, though it is up.
    pub silent: bool,
    /// What passed so far.
    pub statistics: Statistics,
    connection: Option<Connection>,
}

/// What an event means to the mesh.
pub enum Change {
    /// A tunnel is up.
    Up(Link, Up),
    /// A tunnel is over, with its interface and the reason.
    Down(Link, String, String),
    /// Nothing comes through an interface any more, though its tunnel is up.
    Silent(String),
    /// Something comes through it again.
    Recovered(String),
    /// What was lately lost on an interface, the worse direction counting, and how long packets take.
    Measured(String, LinkQuality),
}

impl Tunnels {
    /// Opens the ports.
    pub async fn start(
        identity: &Identity,
        parameters: &Parameters,
        preferences: &Preferences,
        ports: &[Port],
        events: mpsc::Sender<Event>,
    ) -> Result<Self, Failure> {
        let context = TlsContext::new(&Credentials::from(identity)).map_err(|error| {
            Failure::failed(format!("OpenSSL does not take the certificate or key: {error}"))
        })?;
        let mut tunnels = Self {
            context,
            parameters: parameters.clone(),
            events,
            listeners: Vec::new(),
            open: BTreeMap::new(),
            next_served: FIRST_SERVED_LINK,
            transition: None,
            stagger: limits::ENCRYPTION_CLOSE_INTERVAL * stagger(identity.prefix),
        };
        tunnels.listen(preferences, ports).await?;
        Ok(tunnels)
    }

    async fn listen(&mut self, preferences: &Preferences, ports: &[Port]) -> Result<(), Failure> {
        for (at, port) in ports.iter().enumerate() {
            let same = ports[..at].iter().filter(|other| other.transport == port.transport);
            let at = ListenPort { bind: port.bind(), transport: port.transport };
            let terms = self.terms(preferences);
            let settings = ListenSettings {
                clients_max: terms.clients_max,
                interface_prefix: served_prefix(port.transport, same.count()),
                particulars: self.particulars(SERVED_HANDSHAKE),
                ..ListenSettings::new(vec![at], self.context.clone())
            };
            let opened = listen(settings, self.events.clone()).await;
            self.listeners.push(opened.map_err(|error| port_failure(*port, &error.cause))?);
        }
        Ok(())
    }

    /// How the network wants its tunnels.
    fn particulars(&self, handshake_timeout: Duration) -> Particulars {
        Particulars {
            ciphers: self.ciphers(),
            ping_exit: self.parameters.hello * 4,
            handshake_timeout,
            revoked: network::revoked(&self.parameters),
            ..Particulars::default()
        }
    }

    /// On which terms others come.
    fn terms(&self, preferences: &Preferences) -> Terms {
        Terms {
            clients_max: network::max_clients(&self.parameters, preferences),
            ciphers: self.ciphers(),
            ping_exit: self.parameters.hello * 4,
        }
    }

    /// What is accepted, the preferred first.
    fn ciphers(&self) -> Vec<Cipher> {
        let mut ciphers = network::ciphers(&self.parameters);
        if self.transition.as_ref().is_some_and(|transition| !transition.is_closing) {
            ciphers.extend(network::ciphers_if(!self.parameters.encrypt));
        }
        ciphers
    }

    /// Whether the network wants a tunnel with this cipher to be otherwise.
    fn is_outdated(&self, cipher: Cipher) -> bool {
        !network::ciphers(&self.parameters).contains(&cipher)
    }

    /// Goes on with a change of the network's encryption.
    pub fn tick(&mut self, preferences: &Preferences, now: Instant) {
        let Some(transition) = &mut self.transition else { return };
        if now < transition.until {
            return;
        }
        if !transition.is_closing {
            transition.is_closing = true;
            transition.behind.clear();
            for listener in &self.listeners {
                listener.set_terms(self.terms(preferences));
            }
            return;
        }
        if now < transition.close_next_at {
            return;
        }
        transition.close_next_at = now + limits::ENCRYPTION_CLOSE_INTERVAL;
        let is_over = now >= transition.until + limits::ENCRYPTION_TRANSITION;
        let outdated =
            |tunnel: &&Tunnel| tunnel.up.as_ref().is_some_and(|up| self.is_outdated(up.cipher));
        let ours = self.open.iter().find(|(_, it)| outdated(it) && it.connection.is_some());
        if let Some((&link, tunnel)) = ours {
            tracing::info!("closing {}: the network's encryption has changed", tunnel.interface);
            return self.end(link);
        }
        // Clients close theirs in the same way; who has not done so by then is not told by anybody.
        let served: Vec<_> =
            self.open.values().filter(outdated).map(|tunnel| tunnel.interface.clone()).collect();
        if is_over || served.is_empty() {
            self.transition = None;
            for listener in &self.listeners {
                served.iter().for_each(|interface| listener.close_client(interface));
            }
        }
    }

    /// Shows a renewed certificate in new tunnels, and in old ones when they renew their keys.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), openssl::error::ErrorStack> {
        self.context.renew(&Credentials::from(identity))
    }

    /// Opens a tunnel to a peer.
    pub fn connect(&mut self, link: Link, peer: Prefix, endpoint: Endpoint) {
        let interface = self.free_name(&format!("re6c-{}", short(peer)));
        let behind = self.transition.as_ref().is_some_and(|it| it.behind.contains(&peer));
        let mut particulars = self.particulars(HANDSHAKE);
        if behind {
            particulars.ciphers = network::ciphers_if(!self.parameters.encrypt);
        }
        let settings = ConnectSettings {
            particulars: Particulars {
                peer: Some(ExpectedName::Common(peer.to_string())),
                ..particulars
            },
            ..ConnectSettings::new(endpoint, self.context.clone(), interface.clone())
        };
        let connection = Some(connect(settings, self.events.clone()));
        let endpoint = Some(endpoint);
        let statistics = Statistics::default();
        let (role, peer) = (Role::Client, Some(peer));
        let (up, silent) = (None, false);
        let tunnel = Tunnel { role, peer, interface, endpoint, up, silent, statistics, connection };
        self.open.insert(link, tunnel);
    }

    /// Closes a tunnel that we opened; its interface, if there was one.
    pub fn close(&mut self, link: Link) -> Option<String> {
        let tunnel = self.open.remove(&link)?;
        if let Some(connection) = tunnel.connection {
            tokio::spawn(connection.close());
        }
        Some(tunnel.interface)
    }

    /// Ends a tunnel; its end comes as an event.
    pub fn end(&mut self, link: Link) {
        let tunnel = self.open.get_mut(&link);
        if let Some(connection) = tunnel.and_then(|tunnel| tunnel.connection.take()) {
            tokio::spawn(connection.close());
        }
    }

    /// Takes what happened to a tunnel.
    pub fn take(&mut self, event: Event) -> Option<Change> {
        let known = self.open.iter().find(|(_, tunnel)| tunnel.interface == event.interface);
        let known = known.map(|(&link, _)| link);
        match event.kind {
            EventKind::Up(up) => {
                let link = known.unwrap_or_else(|| self.name_served(event.interface));
                let tunnel = self.open.get_mut(&link)?;
                tunnel.endpoint = Some(up.endpoint);
                tunnel.up = Some(up.clone());
                Some(Change::Up(link, up))
            }
            EventKind::Down(reason) => {
                let tunnel = self.open.remove(&known?)?;
                self.learn_from(&tunnel, &reason);
                Some(Change::Down(known?, tunnel.interface, reason.to_string()))
            }
            EventKind::Statistics(statistics) => {
                self.open.get_mut(&known?)?.statistics = statistics;
                let lost = statistics.loss_in.max(statistics.loss_out.unwrap_or(0));
                let loss = Some(f32::from(lost) / f32::from(u16::MAX));
                let round_trip = statistics.round_trip;
                Some(Change::Measured(event.interface, LinkQuality { loss, round_trip }))
            }
            EventKind::Silent => {
                self.open.get_mut(&known?)?.silent = true;
                Some(Change::Silent(event.interface))
            }
            EventKind::Recovered => {
                self.open.get_mut(&known?)?.silent = false;
                Some(Change::Recovered(event.interface))
            }
            EventKind::Connecting(_) | EventKind::Rekeyed | EventKind::Mtu { .. } => None,
        }
    }

    /// During a transition, a peer that refuses is called the other way next time.
    fn learn_from(&mut self, tunnel: &Tunnel, reason: &Ending) {
        let disagrees = matches!(reason, Ending::Session(Reason::Disagreement(_)));
        let (Some(transition), Some(peer), true) = (&mut self.transition, tunnel.peer, disagrees)
        else {
            return;
        };
        if !transition.behind.remove(&peer) {
            transition.behind.insert(peer);
        }
    }

    fn name_served(&mut self, interface: String) -> Link {
        let link = self.next_served;
        self.next_served = self.next_served.checked_add(1).unwrap_or(FIRST_SERVED_LINK);
        let tunnel = Tunnel {
            role: Role::Server,
            peer: None,
            interface,
            endpoint: None,
            up: None,
            silent: false,
            statistics: Statistics::default(),
            connection: None,
        };
        self.open.insert(link, tunnel);
        link
    }

    /// One of them.
    pub fn get(&self, link: Link) -> Option<&Tunnel> {
        self.open.get(&link)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (Link, &Tunnel)> {
        self.open.iter().map(|(&link, tunnel)| (link, tunnel))
    }

    /// How many of them carry frames now, by which end we are.
    pub fn working(&self, role: Role) -> usize {
        let works = |tunnel: &&Tunnel| tunnel.role == role && tunnel.up.is_some() && !tunnel.silent;
        self.open.values().filter(works).count()
    }

    /// How many of them carry nothing now, or not yet.
    pub fn waiting(&self) -> usize {
        self.open.values().filter(|tunnel| tunnel.up.is_none() || tunnel.silent).count()
    }

    /// The tunnel with this interface.
    pub fn of_interface(&self, interface: &str) -> Option<Link> {
        let mut open = self.open.iter();
        open.find(|(_, tunnel)| tunnel.interface == interface).map(|(&link, _)| link)
    }

    /// Takes changed parameters: those who are revoked are cut off, and a change of encryption begins its
    /// transition. Nothing else disturbs a tunnel, and ports stay open.
    pub fn set_parameters(
        &mut self,
        parameters: &Parameters,
        preferences: &Preferences,
        now: Instant,
    ) {
        let old = std::mem::replace(&mut self.parameters, parameters.clone());
        let revoked: BTreeSet<u64> = network::revoked(parameters);
        if old.encrypt != parameters.encrypt {
            let until = now + limits::ENCRYPTION_TRANSITION;
            self.transition = Some(Transition {
                until,
                is_closing: false,
                close_next_at: until + self.stagger,
                behind: BTreeSet::new(),
            });
        }
        for listener in &self.listeners {
            listener.set_terms(self.terms(preferences));
            listener.set_revoked(revoked.clone());
        }
        for tunnel in self.open.values_mut() {
            let serial = tunnel.up.as_ref().and_then(|up| up.serial);
            if serial.is_some_and(|serial| revoked.contains(&serial))
                && let Some(connection) = tunnel.connection.take()
            {
                tokio::spawn(connection.close());
            }
        }
    }

    /// Closes all of them and the ports.
    pub async fn stop(mut self) {
        let closing = std::mem::take(&mut self.open).into_values().filter_map(|t| t.connection);
        let mut tasks = tokio::task::JoinSet::new();
        for connection in closing {
            tasks.spawn(connection.close());
        }
        for listener in std::mem::take(&mut self.listeners) {
            tasks.spawn(listener.stop());
        }
        let _ = tokio::time::timeout(FAREWELL, tasks.join_all()).await;
    }

    /// A name that no interface of ours has: two tunnels to one peer overlap for a moment at times.
    fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.of_interface(name).is_some();
        let letters = std::iter::once(String::new()).chain(('a'..='z').map(String::from));
        let mut names = letters.map(|letter| {
            let room = INTERFACE_OCTETS_MAX - letter.len();
            format!("{}{letter}", &wanted[..wanted.len().min(room)])
        });
        names.find(|name| !taken(name)).unwrap_or_else(|| wanted.to_owned())
    }
}

/// One of the first dozen turns, another one for nodes with adjacent prefixes.
fn stagger(prefix: Prefix) -> u32 {
    u32::try_from(prefix.value() % 12).unwrap_or_default()
}

/// Whether an event is of a tunnel that we opened.
pub const fn is_ours(role: TunnelRole) -> bool {
    matches!(role, TunnelRole::Client)
}

/// `1/16` as part of an interface's name.
fn short(peer: Prefix) -> String {
    format!("{}-{}", peer.value(), peer.length())
}

fn served_prefix(transport: Transport, same_before: usize) -> String {
    let letter = match transport {
        Transport::Udp => 'u',
        Transport::Tcp => 't',
    };
    let number = if same_before == 0 { String::new() } else { same_before.to_string() };
    format!("re6{letter}{number}-")
}

fn port_failure(port: Port, error: &std::io::Error) -> Failure {
    let (protocol, bind): (_, SocketAddr) = (port.protocol(), port.bind());
    Failure::failed(match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "port {} {protocol} is taken by another program; stop it, or give other ports by --pp",
            port.number
        ),
        _ => format!("cannot accept tunnels at {bind} {protocol}: {error}"),
    })
}

/// How long a handshake may take that we began: then the peer's next address is tried. Half a dozen
/// round trips, of which one or two are lost.
const HANDSHAKE: Duration = Duration::from_secs(6);
/// How long a handshake may take that others began.
const SERVED_HANDSHAKE: Duration = Duration::from_secs(15);
/// How long to wait at the end for the peers to be told.
const FAREWELL: Duration = Duration::from_secs(3);
/// Octets of an interface's name.
const INTERFACE_OCTETS_MAX: usize = 15;
