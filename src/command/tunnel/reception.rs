//! What turns strangers into clients, whatever carries their packets.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::event::Event;
use crate::command::tunnel::house::House;
use crate::command::tunnel::inward::{Heard, Lane, LaneOrder, LaneOrders};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::peer::{DataPath, Peer, Surroundings};
use crate::command::tunnel::terms::{ListenSettings, Terms};
use crate::os::clock::Clock;
use crate::os::entropy;
use crate::os::link::Links;
use crate::os::udp::Path;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::limits::TUNNEL_CONTROL_QUEUE;
use crate::proto::tunnel::cookie::{Cookies, Proven};
use crate::proto::tunnel::kind::Underlay;
use crate::proto::tunnel::session::{Session, SessionSettings};
use crate::proto::tunnel::tls::Expectation;

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
    /// One for the clients of a house that come over one transport.
    pub fn open(
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
                name: self.settings.particulars.peer.clone(),
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
