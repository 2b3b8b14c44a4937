//! Ports on which others open tunnels to us.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::event::Event;
use crate::command::tunnel::house::House;
use crate::command::tunnel::inward::{Heard, Lane, LaneOrder, LaneOrders};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::particulars::Particulars;
use crate::command::tunnel::peer::{DataPath, Peer, Surroundings};
use crate::command::tunnel::{port, stream};
use crate::os::clock::Clock;
use crate::os::entropy;
use crate::os::link::Links;
use crate::os::tcp;
use crate::os::udp::{Path, Udp};
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::limits::TUNNEL_CONTROL_QUEUE;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::cookie::{Cookies, Proven};
use crate::proto::tunnel::session::{Session, SessionSettings};
use crate::proto::tunnel::settings::Underlay;
use crate::proto::tunnel::tls::{Expectation, TlsContext};

/// Where clients may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenPort {
    /// `0.0.0.0:1194` for every address, `[::]:1194` for every IPv6 address.
    pub bind: SocketAddr,
    /// Over what.
    pub transport: Transport,
}

/// What a listener is to be.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where clients may come, all to the same house.
    pub ports: Vec<ListenPort>,
    /// Who we are, and whose certificates we believe.
    pub context: TlsContext,
    /// Clients beyond so many are refused.
    pub clients_max: usize,
    /// What the clients' interfaces are called: this, then the client's name, `re6st-1-16`.
    pub interface_prefix: String,
    /// How each tunnel is to be.
    pub particulars: Particulars,
}

impl ListenSettings {
    /// What a stock network has: 20 clients, every cipher that encrypts, 60 s, an hour for keys.
    pub fn new(ports: Vec<ListenPort>, context: TlsContext) -> Self {
        Self {
            ports,
            context,
            clients_max: 20,
            interface_prefix: "re6st-".to_owned(),
            particulars: Particulars::default(),
        }
    }
}

/// What may change while the port is open. Tunnels that are up keep what they have.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Clients beyond so many are refused.
    pub clients_max: usize,
    /// What we accept, the preferred first.
    pub ciphers: Vec<Cipher>,
    /// A tunnel is over when nothing authentic was heard for so long.
    pub ping_exit: Duration,
}

/// Ports on which tunnels are accepted. Dropping it closes all of them.
#[derive(Debug)]
pub struct Listener {
    house: Arc<House>,
    terms: Arc<Mutex<Terms>>,
    /// What serves each port, and how it is told to stop.
    tasks: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Listener {
    /// Closes the tunnel of one interface.
    pub fn close_client(&self, interface: &str) {
        self.house.close_client(interface);
    }

    /// Believes these serial numbers no longer, and closes the tunnels of those who have one.
    pub fn set_revoked(&self, revoked: BTreeSet<u64>) {
        self.house.set_revoked(revoked);
    }

    /// Takes whom comes from now on on other terms.
    pub fn set_terms(&self, terms: Terms) {
        self.house.set_clients_max(terms.clients_max);
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
    }

    /// Closes the tunnels of all clients, who may come again.
    pub fn close_clients(&self) {
        self.house.close_clients();
    }

    /// Has all clients show their certificates again, and closes the tunnels of those that are no longer
    /// believed.
    pub fn renew_keys(&self) {
        self.house.renew_keys();
    }

    /// Tells all clients, closes their tunnels and waits until the interfaces are gone.
    pub async fn stop(self) {
        let (stop, tasks): (Vec<_>, Vec<_>) = self.tasks.into_iter().unzip();
        drop(stop);
        for task in tasks {
            let _ = task.await;
        }
    }
}

/// Opens the ports; clients come as events.
pub async fn listen(
    settings: ListenSettings,
    events: mpsc::Sender<Event>,
) -> Result<Listener, ListenError> {
    let prefix = settings.interface_prefix.clone();
    let house = House::new(settings.clients_max, prefix, settings.particulars.revoked.clone());
    let terms = Arc::new(Mutex::new(Terms {
        clients_max: settings.clients_max,
        ciphers: settings.particulars.ciphers.clone(),
        ping_exit: settings.particulars.ping_exit,
    }));
    let mut tasks = Vec::new();
    for &port in &settings.ports {
        let (stop, stopped) = oneshot::channel();
        let guests = (Arc::clone(&house), Arc::clone(&terms));
        let reception = Reception::open(settings.clone(), port.transport, events.clone(), guests);
        let task = open(port, reception, stopped, Arc::clone(&house));
        tasks.push((stop, task.map_err(|cause| ListenError { bind: port.bind, cause })?));
    }
    Ok(Listener { house, terms, tasks })
}

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind}: {cause}")]
pub struct ListenError {
    bind: SocketAddr,
    /// What the kernel says.
    #[source]
    pub cause: io::Error,
}

fn open(
    port: ListenPort,
    reception: io::Result<Reception>,
    stopped: oneshot::Receiver<()>,
    house: Arc<House>,
) -> io::Result<JoinHandle<()>> {
    let reception = reception?;
    Ok(match port.transport {
        Transport::Udp => {
            let udp = Arc::new(Udp::bind(port.bind)?);
            tokio::spawn(serve(port::run(udp, reception), stopped, house))
        }
        Transport::Tcp => {
            let listener = tcp::listen(port.bind)?;
            tokio::spawn(serve(stream::run(listener, reception), stopped, house))
        }
    })
}

/// Serves a port until it is to stop. It is served until all tunnels are closed: without it their ends
/// would only see that it is gone.
async fn serve(port: impl Future<Output = ()>, stopped: oneshot::Receiver<()>, house: Arc<House>) {
    let closing = async {
        let _ = stopped.await;
        house.close().await;
    };
    tokio::select! {
        () = port => house.close().await,
        () = closing => {}
    }
}

/// What turns strangers into clients, the same for both transports.
pub struct Reception {
    /// What time it is.
    pub clock: Clock,
    /// What we answer strangers.
    pub cookies: Cookies,
    settings: ListenSettings,
    transport: Transport,
    terms: Arc<Mutex<Terms>>,
    events: mpsc::Sender<Event>,
    house: Arc<House>,
    links: Links,
}

/// A client whose control loop runs.
pub struct Received {
    /// The number of its lane and of its data packets.
    pub peer_id: u32,
    /// Its way in.
    pub lane: Lane,
}

impl Reception {
    fn open(
        settings: ListenSettings,
        transport: Transport,
        events: mpsc::Sender<Event>,
        (house, terms): (Arc<House>, Arc<Mutex<Terms>>),
    ) -> io::Result<Self> {
        let links = Links::open().map_err(io::Error::other)?;
        let (clock, control) = (Clock::start(), settings.particulars.control.clone());
        let cookies = Cookies::new(control, clock.unix_start(), &mut entropy::random());
        Ok(Self { clock, cookies, settings, transport, terms, events, house, links })
    }

    /// How long a handshake may take.
    pub const fn handshake_timeout(&self) -> Duration {
        self.settings.particulars.handshake_timeout
    }

    /// How long a client may be silent.
    pub fn ping_exit(&self) -> Duration {
        self.terms().ping_exit
    }

    fn terms(&self) -> Terms {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a session with a stranger who has shown that it hears us, and starts its control loop.
    /// `None` if there are too many.
    pub fn receive(
        &self,
        path: Path,
        proven: Proven,
        link: Link,
        orders: mpsc::UnboundedSender<(u32, LaneOrder)>,
    ) -> Option<Received> {
        let (now, from) = (self.clock.now(), path.remote);
        let (guest, peer_orders) = self.house.invite(from.ip(), now)?;
        let peer_id = guest.peer_id;
        let random = entropy::random();
        let settings = self.session_settings(from);
        let session =
            Session::server(settings, &self.settings.context, random, proven, now).ok()?;
        let counters = Arc::new(Counters::default());
        let (heard_sender, heard) = mpsc::channel::<Heard>(TUNNEL_CONTROL_QUEUE);
        let lane = Lane::new(path, Arc::clone(&counters), heard_sender);
        let path = DataPath { link, lane: LaneOrders { lane: peer_id, orders }, heard, counters };
        let surroundings = self.surroundings(from);
        let peer = Peer::server(session, surroundings, path, peer_orders, guest);
        tokio::spawn(peer.run(Vec::new()));
        Some(Received { peer_id, lane })
    }

    fn surroundings(&self, from: SocketAddr) -> Surroundings {
        Surroundings {
            clock: self.clock,
            links: self.links.clone(),
            events: self.events.clone(),
            interface: String::new(),
            device: self.settings.particulars.device,
            addresses: self.settings.particulars.addresses.clone(),
            pulls: false,
            key_limit: self.settings.particulars.key_limit,
            underlay: self.underlay(from),
            endpoint: Endpoint { address: from.ip(), port: from.port(), transport: self.transport },
            statistics_every: self.settings.particulars.statistics_every,
            mtu: self.settings.particulars.mtu,
            mssfix: self.settings.particulars.mssfix,
            segments: self.settings.particulars.segments,
        }
    }

    fn session_settings(&self, from: SocketAddr) -> SessionSettings {
        let terms = self.terms();
        SessionSettings {
            underlay: self.underlay(from),
            device: self.settings.particulars.device,
            ciphers: terms.ciphers,
            // Who is revoked hears it after the handshake, as from OpenVPN: AUTH_FAILED.
            expectation: Expectation {
                list: self.settings.particulars.list.clone(),
                usage: self.settings.particulars.usage,
                ..Expectation::default()
            },
            handshake_timeout: self.settings.particulars.handshake_timeout,
            ping_exit: terms.ping_exit,
            renegotiate_after: self.settings.particulars.renegotiate_after,
            ping: self.settings.particulars.ping,
            control: self.settings.particulars.control.clone(),
            unix_start: self.clock.unix_start(),
        }
    }

    fn underlay(&self, from: SocketAddr) -> Underlay {
        Underlay { transport: self.transport, ipv6: from.is_ipv6() }
    }
}
