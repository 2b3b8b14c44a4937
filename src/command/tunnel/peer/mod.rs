//! The control loop of one tunnel, the same for both roles and transports: feeds its session, performs
//! what comes out, and owns the interface.

pub mod order;
mod size;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::event::{Ending, Event, EventKind, Up};
use crate::command::tunnel::house::Guest;
use crate::command::tunnel::interface::{Interface, InterfaceSettings};
use crate::command::tunnel::inward::{Heard, LaneOrder, LaneOrders};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::outward::{Outward, OutwardOrder};
use crate::command::tunnel::particulars::{MtuWish, Segments};
use crate::command::tunnel::peer::order::PeerOrder;
use crate::command::tunnel::peer::size::Size;
use crate::os::clock::Clock;
use crate::os::link::Links;
use crate::proto::endpoint::Endpoint;
use crate::proto::time::{Instant, earliest};
use crate::proto::tunnel::assigned::Assigned;
use crate::proto::tunnel::black_hole::BlackHole;
use crate::proto::tunnel::data::Sealer;
use crate::proto::tunnel::kind::{Device, Role, Underlay};
use crate::proto::tunnel::limit;
use crate::proto::tunnel::mss::Mssfix;
use crate::proto::tunnel::session::{Admission, Established, Input, Output, Session};
use crate::proto::tunnel::tls::PeerName;

/// Everything a tunnel's control loop needs from its surroundings.
pub struct Surroundings {
    /// What time it is.
    pub clock: Clock,
    /// The kernel's interfaces.
    pub links: Links,
    /// Where events go.
    pub events: mpsc::Sender<Event>,
    /// What the interface is to be called and to have; a server finds the name when it knows the client.
    pub interface: String,
    /// What passes.
    pub device: Device,
    /// Addresses for the interface besides the link-local one.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether it is to have those that the server assigns, unless it has others.
    pub pulls: bool,
    /// What carries the tunnel.
    pub underlay: Underlay,
    /// Where the peer is.
    pub endpoint: Endpoint,
    /// How often [`EventKind::Statistics`] is told.
    pub statistics_every: Duration,
    /// The size of packets, if it was asked for.
    pub mtu: Option<MtuWish>,
    /// How large the packets of TCP connections may be at most, if it was said.
    pub mssfix: Option<Mssfix>,
    /// After how much keys are renewed, if sooner than they must.
    pub key_limit: limit::Limit,
    /// Whether many datagrams are handed to the kernel in one call.
    pub segments: Segments,
}

/// The data path's ends at which the control loop has a say.
pub struct DataPath {
    /// The way to the peer.
    pub link: Link,
    /// Orders for the way in.
    pub lane: LaneOrders,
    /// What the way in has for us.
    pub heard: mpsc::Receiver<Heard>,
    /// What passed.
    pub counters: Arc<Counters>,
}

/// One tunnel.
pub struct Peer {
    session: Session,
    surroundings: Surroundings,
    path: DataPath,
    orders: mpsc::UnboundedReceiver<PeerOrder>,
    guest: Option<Guest>,
    role: Role,
    sealer: Option<Box<Sealer>>,
    outward: Option<(mpsc::UnboundedSender<OutwardOrder>, JoinHandle<()>)>,
    interface: Option<Interface>,
    size: Option<Size>,
    statistics_at: Option<Instant>,
    /// Packets that came and that were to come, at the last statistics.
    came: (u64, u64),
    /// How much the keys protected.
    used: limit::Use,
    /// Whether the path takes what the kernel believes.
    hole: BlackHole,
    /// Packets that were sent when the path was last looked at.
    sent: u64,
    over: Option<Ending>,
}

impl Peer {
    /// A tunnel that we open.
    pub fn client(
        session: Session,
        surroundings: Surroundings,
        path: DataPath,
        orders: mpsc::UnboundedReceiver<PeerOrder>,
    ) -> Self {
        Self::new(session, surroundings, path, orders, None)
    }

    /// A tunnel that a client opens.
    pub fn server(
        session: Session,
        surroundings: Surroundings,
        path: DataPath,
        orders: mpsc::UnboundedReceiver<PeerOrder>,
        guest: Guest,
    ) -> Self {
        Self::new(session, surroundings, path, orders, Some(guest))
    }

    fn new(
        session: Session,
        surroundings: Surroundings,
        path: DataPath,
        orders: mpsc::UnboundedReceiver<PeerOrder>,
        guest: Option<Guest>,
    ) -> Self {
        let used = limit::Use::up_to(surroundings.key_limit);
        let role = if guest.is_some() { Role::Server } else { Role::Client };
        Self {
            session,
            surroundings,
            path,
            orders,
            guest,
            role,
            sealer: None,
            outward: None,
            interface: None,
            size: None,
            statistics_at: None,
            came: (0, 0),
            used,
            hole: BlackHole::default(),
            sent: 0,
            over: None,
        }
    }

    /// Runs to the end, which is the last event; `first` is what the session wants at once.
    pub async fn run(mut self, first: Vec<Output>) {
        self.perform(first).await;
        while self.over.is_none() {
            let size_at = self.size.map(|size| size.look_at);
            let deadline = earliest(self.session.deadline(), self.statistics_at);
            let deadline = earliest(deadline, size_at);
            tokio::select! {
                heard = self.path.heard.recv() => self.hear(heard.unwrap_or(Heard::Disconnected)).await,
                order = self.orders.recv() => match order.unwrap_or(PeerOrder::Close) {
                    PeerOrder::Close => self.give(Input::Close).await,
                    PeerOrder::RenewKeys => self.give(Input::Renegotiate).await,
                    PeerOrder::Drop(reason) => self.over = Some(Ending::Other(reason.to_owned())),
                },
                () = self.path.counters.into_silence() => {
                    self.give(Input::Heard(self.path.counters.heard())).await;
                    self.give(Input::IntoSilence).await;
                }
                () = self.path.counters.interface_gone() => {
                    self.give(Input::Close).await;
                    self.over = Some(Ending::Other("its interface was removed".to_owned()));
                }
                () = self.surroundings.clock.sleep_until(deadline) => self.tick().await,
            }
        }
        self.end().await;
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Packet(packet) => self.give(Input::Packet(&packet)).await,
            Heard::Probe(probe) => {
                self.hole.answered(probe.echo);
                self.give(Input::Probe(probe)).await;
            }
            Heard::Exit => self.give(Input::PeerExit).await,
            Heard::Disconnected => self.over = Some(Ending::Hangup),
            Heard::Moved(path) => {
                let address = path.remote;
                tracing::info!("{}: the peer moved to {address}", self.surroundings.interface);
                self.surroundings.endpoint.address = address.ip();
                self.surroundings.endpoint.port = address.port();
                self.path.link.set_path(path);
                self.order(OutwardOrder::Path(path));
                self.look_at_path().await;
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.surroundings.clock.now();
        self.give(Input::Heard(self.path.counters.heard())).await;
        if self.session.deadline().is_some_and(|at| at <= now) {
            self.give(Input::Timer).await;
        }
        if self.statistics_at.is_some_and(|at| at <= now) {
            self.statistics_at = Some(now + self.surroundings.statistics_every);
            self.tell_statistics().await;
        }
        if self.size.is_some_and(|size| size.look_at <= now) {
            self.look_at_path().await;
            self.look_at_keys().await;
        }
    }

    async fn look_at_keys(&mut self) {
        let statistics = self.path.counters.statistics();
        if self.used.is_over(statistics.packets_out, statistics.octets_out) {
            self.give(Input::Renegotiate).await;
        }
    }

    async fn tell_statistics(&mut self) {
        let mut statistics = self.path.counters.statistics();
        let (came, expected) = (statistics.packets_in, statistics.expected_in);
        let (came_before, expected_before) = std::mem::replace(&mut self.came, (came, expected));
        statistics.loss_in = missing(came - came_before, expected - expected_before);
        self.session.set_loss(statistics.loss_in);
        if let Some(liveness) = self.session.liveness() {
            statistics.round_trip = liveness.round_trip();
            statistics.loss_out = liveness.peer_misses();
        }
        self.tell(EventKind::Statistics(statistics)).await;
    }

    async fn give(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        let (now, progress) = (self.surroundings.clock.now(), self.session.handshake_progress());
        self.session.handle(input, now, &mut out);
        if let Some(guest) = &mut self.guest
            && self.interface.is_none()
            && self.session.handshake_progress() > progress
        {
            guest.handshake_progressed(now);
        }
        if self.session.liveness().is_some_and(|liveness| !liveness.is_suspicious()) {
            self.path.counters.watch_again();
        }
        self.perform(out).await;
    }

    async fn perform(&mut self, out: Vec<Output>) {
        let mut waiting = VecDeque::from(out);
        while let Some(output) = waiting.pop_front() {
            match output {
                Output::Send(packet) => {
                    // Lost is lost: what matters is repeated.
                    if let Err(error) = self.path.link.send(&packet).await {
                        tracing::debug!("cannot send to {}: {error}", self.surroundings.endpoint);
                    }
                }
                Output::Authenticated(name) => {
                    let input = self.admit(&name);
                    let mut more = Vec::new();
                    self.session.handle(input, self.surroundings.clock.now(), &mut more);
                    waiting.extend(more);
                }
                Output::Established(established) => self.come_up(established).await,
                Output::Opener(opener) => self.order_lane(LaneOrder::Opener(opener)),
                Output::Forget(key_id) => self.order_lane(LaneOrder::Forget(key_id)),
                Output::Sealer(sealer) => match &self.outward {
                    Some(_) => self.order(OutwardOrder::Sealer(sealer)),
                    None => self.sealer = Some(sealer),
                },
                Output::Frame(frame) => self.order(OutwardOrder::Frame(frame)),
                Output::Silent => self.tell(EventKind::Silent).await,
                Output::Recovered => self.tell(EventKind::Recovered).await,
                Output::Rekeyed => self.tell(EventKind::Rekeyed).await,
                Output::Closed(reason) => self.over = Some(Ending::Session(reason)),
            }
        }
    }
}

/// Coming up and ending.
impl Peer {
    fn admit(&mut self, name: &PeerName) -> Input<'static> {
        let Some(guest) = &mut self.guest else { return Input::Refuse("unexpected") };
        let external_ip = self.surroundings.endpoint.address;
        match guest.admit(name) {
            Ok(interface) => {
                self.surroundings.interface = interface;
                Input::Admit(Admission { peer_id: guest.peer_id, external_ip })
            }
            Err(reason) => {
                tracing::info!("{} at {external_ip} is refused: {reason}", name.common_name);
                Input::Refuse(reason)
            }
        }
    }

    async fn come_up(&mut self, established: Established) {
        if let Some(guest) = &mut self.guest {
            guest.move_in().await;
        }
        let Some(sealer) = self.sealer.take() else { return };
        let size = self.measure(established.cipher, sealer.overhead());
        let surroundings = &self.surroundings;
        let settings = InterfaceSettings {
            name: surroundings.interface.clone(),
            layer: surroundings.device.into(),
            mtu: size.mtu,
            peer: established.peer.common_name.clone(),
            addresses: self.addresses(&established.assigned),
        };
        let interface = match Interface::make(&surroundings.links, &settings).await {
            Ok(interface) => interface,
            Err(error) => {
                self.over = Some(Ending::Other(error.to_string()));
                return;
            }
        };
        let (orders, received) = mpsc::unbounded_channel();
        let (tap, link) = (Arc::clone(&interface.tap), self.path.link.clone());
        let counters = Arc::clone(&self.path.counters);
        let batch = link.batch(surroundings.segments);
        let clock = surroundings.clock;
        let outward = Outward::new(tap, link, sealer, received, counters, clock, batch);
        self.outward = Some((orders, tokio::spawn(outward.run())));
        self.order_lane(LaneOrder::Interface(Arc::clone(&interface.tap)));
        let up = Up {
            index: interface.index,
            peer: established.peer.common_name,
            serial: established.peer.serial,
            endpoint: surroundings.endpoint,
            external_ip: established.external_ip,
            mtu: settings.mtu,
            cipher: established.cipher,
            native: established.native,
        };
        self.interface = Some(interface);
        self.hole = size.path.map(BlackHole::new).unwrap_or_default();
        self.size = Some(size);
        self.order_packet_octets(size);
        // The first ones soon: a router waits for them.
        let first = FIRST_STATISTICS.min(self.surroundings.statistics_every);
        self.statistics_at = Some(self.surroundings.clock.now() + first);
        if let Some(guest) = &mut self.guest {
            guest.handshake_is_over();
        }
        self.tell(EventKind::Up(up)).await;
    }

    /// Those that were asked for, or those that the server assigns if it may. What it pushes in vain is said.
    fn addresses(&self, assigned: &Assigned) -> Vec<(IpAddr, u8)> {
        let Surroundings { interface, addresses, pulls, .. } = &self.surroundings;
        for option in &assigned.passed_over {
            tracing::info!("{interface}: the server pushes {option}, which does not apply here");
        }
        if *pulls && addresses.is_empty() {
            return assigned.addresses.clone();
        }
        for (address, length) in &assigned.addresses {
            if !addresses.contains(&(*address, *length)) {
                tracing::info!(
                    "{interface}: the server assigns {address}/{length}, which --address would give it"
                );
            }
        }
        addresses.clone()
    }

    async fn end(mut self) {
        if let Some((orders, mut task)) = self.outward.take() {
            let _ = orders.send(OutwardOrder::Stop);
            // Its last frames may meet a connection that takes nothing more.
            if tokio::time::timeout(LAST_FRAMES, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.order_lane(LaneOrder::Close);
        let Some(reason) = self.over.take() else { return };
        let was_up = self.interface.is_some();
        if let Some(interface) = self.interface.take() {
            interface.remove(&self.surroundings.links).await;
        }
        if was_up || self.role == Role::Client {
            self.tell(EventKind::Down(reason)).await;
        } else if self
            .guest
            .as_ref()
            .is_none_or(|guest| guest.may_log(self.surroundings.clock.now()))
        {
            tracing::info!("{}: no tunnel: {reason}", self.surroundings.endpoint);
        } else {
            tracing::debug!("{}: no tunnel: {reason}", self.surroundings.endpoint);
        }
    }

    fn order(&self, order: OutwardOrder) {
        if let Some((orders, _)) = &self.outward {
            let _ = orders.send(order);
        }
    }

    fn order_lane(&self, order: LaneOrder) {
        self.path.lane.send(order);
    }

    async fn tell(&self, kind: EventKind) {
        let interface = self.surroundings.interface.clone();
        let event = Event { interface, role: self.role, kind };
        // Nobody listens any more: the owner is about to close us.
        let _ = self.surroundings.events.send(event).await;
    }
}

/// What share is missing, in 65,535ths.
fn missing(came: u64, expected: u64) -> u16 {
    let lost = expected.saturating_sub(came);
    u16::try_from(lost * u64::from(u16::MAX) / expected.max(1)).unwrap_or(u16::MAX)
}

/// When a tunnel that has just come up tells its first statistics.
const FIRST_STATISTICS: Duration = Duration::from_secs(3);

/// How long the end waits for the last frames to leave.
const LAST_FRAMES: Duration = Duration::from_secs(1);
