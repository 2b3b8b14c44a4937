//! The loop that drives a router: wait, one input, perform outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv6Addr;
use std::ops::Range;

use tokio::sync::{mpsc, watch};
use tracing::{debug, info, trace, warn};

use crate::command::babel::identity::Identity;
use crate::command::babel::repairs::Repairs;
use crate::command::babel::request::{Answer, BabelError, Request};
use crate::command::babel::silence::Silence;
use crate::os::clock::Clock;
use crate::os::entropy;
use crate::os::forwarding::Forwarding;
use crate::os::link_changes::{LinkChanges, UsableLink};
use crate::os::multicast::MulticastSocket;
use crate::os::radio;
use crate::os::route::{Change, KernelSettings, RouteError, Routes};
use crate::os::route_changes::{RouteChanges, Told};
use crate::os::route_owner::RouteOwner;
use crate::os::sys::Arrival;
use crate::proto::babel::configuration::options::{KernelSetup, LinkDetection};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::{Datagram, Input, KernelChange, Link, Output};
use crate::proto::babel::mac::{GROUP, PORT, Path};
use crate::proto::babel::router::Router;
use crate::proto::babel::settings::{Behaviour, CostMultiplier, Settings};
use crate::proto::limits;

/// A router and all it needs of the world.
pub struct Engine {
    clock: Clock,
    router: Router,
    identity: Identity,
    socket: MulticastSocket,
    routes: Routes,
    route_changes: RouteChanges,
    repairs: Repairs,
    silence: Silence,
    /// What the kernel refused when it was last told.
    refused: BTreeSet<Destination>,
    links: LinkChanges,
    link_detection: LinkDetection,
    /// Interfaces to run on, whether they are there or not.
    wanted: BTreeMap<String, Behaviour>,
    /// Interfaces the router runs on.
    active: BTreeMap<String, UsableLink>,
    notices: mpsc::Sender<String>,
    /// What a dump shows is another with each number.
    changes: watch::Sender<u64>,
    /// Kernel switches, switched back at the end.
    forwarding: Forwarding,
    /// Given back last, when no route is left.
    owner: RouteOwner,
}

/// A packet to be sent.
struct Packet {
    interface: u32,
    path: Path,
    octets: Vec<u8>,
}

/// Whether the loop goes on.
enum Next {
    Continue,
    /// Everything is to be closed, and then this answered.
    End(Answer<()>),
}

impl Engine {
    /// Opens everything; routes that a killed predecessor left are removed.
    pub fn open(
        settings: Settings,
        kernel: KernelSettings,
        identity: Identity,
        notices: mpsc::Sender<String>,
        changes: watch::Sender<u64>,
    ) -> Result<Self, BabelError> {
        let failed = |attempt: &str| {
            let attempt = attempt.to_owned();
            move |cause| BabelError::Open { attempt, cause }
        };
        let shared = MulticastSocket::is_taken(PORT);
        let socket = MulticastSocket::open(GROUP, PORT)
            .map_err(failed("bind Babel's UDP port 6696: is another Babel router running here"))?;
        let owner = RouteOwner::claim(&kernel.tables())?;
        let (setup, link_detection) = (kernel.setup, kernel.link_detection);
        let mut routes =
            Routes::open(kernel).map_err(failed("open a netlink socket for routes"))?;
        let route_changes = RouteChanges::open(routes.port())
            .map_err(failed("listen to changes of the kernel's routes"))?;
        let links = LinkChanges::open().map_err(failed("open a netlink socket for links"))?;
        let forwarding = match setup {
            KernelSetup::Done => Forwarding::enable(),
            KernelSetup::Skipped => Ok(Forwarding::default()),
        };
        let forwarding = forwarding.map_err(failed("let the kernel forward packets"))?;
        for (switch, before) in forwarding.switched() {
            info!("switched {switch} from {before}, until the end");
        }
        // Last of all: whoever cannot start changes no route.
        let left = routes.remove_leftovers().map_err(failed("list the kernel's routes"))?;
        if left > 0 {
            info!("removed {left} routes that an earlier Babel router left");
        }
        if shared {
            warn!(
                "another program uses UDP port {PORT} on this host: a Babel router on the same \
                 interfaces takes packets away from this one, and this one changes its routes"
            );
        }
        info!("router-id {}", settings.router_id);
        let router = Router::new(settings, entropy::random());
        let router = match identity.seqno {
            Some(seqno) => router.with_past(seqno),
            None => router,
        };
        Ok(Self {
            clock: Clock::start(),
            router,
            identity,
            socket,
            routes,
            route_changes,
            repairs: Repairs::new(),
            silence: Silence::default(),
            refused: BTreeSet::new(),
            links,
            link_detection,
            wanted: BTreeMap::new(),
            active: BTreeMap::new(),
            notices,
            changes,
            forwarding,
            owner,
        })
    }

    /// Runs until it is asked to stop, or nobody is left who could ask.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut buffer = vec![0; BURST_OCTETS + limits::DATAGRAM_OCTETS_MAX];
        loop {
            let deadline = self.router.deadline();
            tokio::select! {
                readable = self.socket.readable() => {
                    if let Err(error) = readable {
                        warn!("cannot wait for packets: {error}");
                        break;
                    }
                    self.receive(&mut buffer);
                }
                request = requests.recv() => match request {
                    Some(request) => {
                        if let Next::End(answer) = self.answer(request) {
                            self.end();
                            drop(self);
                            let _ = answer.send(Ok(()));
                            return;
                        }
                    }
                    None => break,
                },
                changed = self.links.changed() => {
                    if let Err(error) = changed {
                        warn!("cannot hear of changes of interfaces: {error}");
                        break;
                    }
                    self.check_links();
                }
                told = self.route_changes.next() => self.note_change(told),
                () = self.clock.sleep_until(self.repairs.deadline()) => self.repair(),
                () = self.clock.sleep_until(self.silence.over(deadline)) => {
                    self.silence = Silence::default();
                    self.handle(Input::Timer);
                }
            }
        }
        self.end();
    }

    fn end(&mut self) {
        let (changes, packets) = self.react(Input::Stop);
        // Neighbours take other ways before ours are gone.
        self.say(packets);
        self.change_routes(&changes);
        info!("every route is removed");
        if self.owner.has_company() {
            info!("another Babel router lives on this host: packets are passed on as before");
            self.forwarding.leave_on();
        }
        self.identity.close(self.router.state(), self.clock.now());
    }

    fn answer(&mut self, request: Request) -> Next {
        // Whoever asked may have gone: an answer that nobody waits for is not an error.
        match request {
            Request::AddInterface(name, behaviour, answer) => {
                self.wanted.insert(name.clone(), behaviour.clone());
                match self.active.get(&name).cloned() {
                    Some(link) => self.enter(link, &behaviour),
                    None => {
                        self.check_links();
                        if !self.active.contains_key(&name) {
                            info!("{name} is not there or not up yet: it is used as soon as it is");
                        }
                    }
                }
                let _ = answer.send(Ok(()));
            }
            Request::RemoveInterface(name, answer) => {
                self.wanted.remove(&name);
                // Neighbours are told, if the link still carries anything.
                self.leave(&name, |interface| Input::InterfaceLeft { interface });
                let _ = answer.send(Ok(()));
            }
            Request::SetCostMultiplier(interface, address, multiplier, answer) => {
                let done = self.set_cost_multiplier(interface, address, multiplier);
                let _ = answer.send(done);
            }
            Request::ReportQuality(name, quality, answer) => {
                if let Some(interface) = self.active.get(&name).map(|link| link.index) {
                    self.handle(Input::Measured { interface, quality });
                }
                let _ = answer.send(Ok(()));
            }
            Request::SetKeys(keys, answer) => {
                self.handle(Input::Keys(keys));
                let _ = answer.send(Ok(()));
            }
            Request::SetBadSignatures(fate, answer) => {
                self.handle(Input::BadSignatures(fate));
                let _ = answer.send(Ok(()));
            }
            Request::SetFilters(filters, answer) => {
                self.handle(Input::Filters(filters));
                let _ = answer.send(Ok(()));
            }
            Request::SetDefaults(settings, answer) => {
                for wanted in self.wanted.values_mut() {
                    *wanted = settings.clone().into();
                }
                self.handle(Input::Settings(settings));
                let _ = answer.send(Ok(()));
            }
            Request::SetAnnounced(announced, answer) => {
                self.handle(Input::Announced(announced));
                let _ = answer.send(Ok(()));
            }
            Request::Dump(answer) => {
                let _ = answer.send(Ok(self.router.dump(self.clock.now())));
            }
            Request::Stop(answer) => return Next::End(answer),
        }
        Next::Continue
    }

    fn set_cost_multiplier(
        &mut self,
        interface: String,
        address: Ipv6Addr,
        multiplier: CostMultiplier,
    ) -> Result<(), BabelError> {
        let index = self.active.get(&interface).map(|link| link.index);
        let known = index.filter(|&index| self.router.has_neighbour(index, address));
        let interface = known.ok_or(BabelError::NoNeighbour { interface, address })?;
        self.handle(Input::CostMultiplier { interface, address, multiplier });
        Ok(())
    }

    /// Takes what arrived. It is decided about together: of many offers for a destination only the best gets
    /// into the kernel. What is to be said because of it is said when nothing more arrives.
    fn receive(&mut self, buffer: &mut [u8]) {
        let arrivals = self.take(buffer);
        let datagrams: Vec<Datagram<'_>> = arrivals
            .into_iter()
            .map(|(arrival, octets)| Datagram {
                interface: arrival.interface,
                path: Path { from: *arrival.from.ip(), to: arrival.to },
                octets: &buffer[octets],
            })
            .collect();
        let began = self.clock.now();
        let changes = self.handle(Input::ReceivedTogether(&datagrams));
        self.silence.extend(changes, began, self.clock.now());
    }

    /// What arrived, as far as there is room.
    fn take(&self, buffer: &mut [u8]) -> Vec<(Arrival, Range<usize>)> {
        let mut arrivals = Vec::new();
        let mut filled = 0;
        while buffer.len() - filled >= limits::DATAGRAM_OCTETS_MAX {
            match self.socket.receive(&mut buffer[filled..]) {
                Ok(None) => break,
                Ok(Some(arrival)) => {
                    // RFC 8966 §4: packets come from Babel's port.
                    if arrival.from.port() == PORT {
                        let octets = filled..filled + arrival.octets;
                        filled = octets.end;
                        arrivals.push((arrival, octets));
                    }
                }
                Err(error) => {
                    debug!("cannot receive: {error}");
                    break;
                }
            }
        }
        arrivals
    }

    /// Does what follows from an input: a way is there before it is announced. How many routes change.
    fn handle(&mut self, input: Input<'_>) -> usize {
        let (changes, packets) = self.react(input);
        self.change_routes(&changes);
        self.say(packets);
        changes.len()
    }

    /// What follows from an input: other routes in the kernel, and what is to be said.
    fn react(&mut self, input: Input<'_>) -> (Vec<Change>, Vec<Packet>) {
        trace!(?input);
        let mut out = Vec::new();
        self.router.handle(input, self.clock.now(), &mut out);
        self.identity.keep(self.router.state(), self.clock.now());
        if self.router.version() != *self.changes.borrow() {
            self.changes.send_replace(self.router.version());
        }
        let mut changes = Vec::new();
        let mut packets = Vec::new();
        for output in out {
            trace!(?output);
            match output {
                Output::Send { interface, path, octets } => {
                    packets.push(Packet { interface, path, octets });
                }
                Output::Install { destination, next_hop, before } => {
                    self.repairs.forget(&destination);
                    changes.push(Change::Put(destination, next_hop, before));
                }
                Output::Uninstall { destination } => changes.push(Change::Remove(destination)),
                Output::Notice(notice) => self.tell(notice.to_string()),
            }
        }
        (changes, packets)
    }

    fn say(&self, packets: Vec<Packet>) {
        for Packet { interface, path, octets } in packets {
            // A link that is going down refuses packets: its end will be reported.
            if let Err(error) = self.socket.send(&octets, (path.from, interface), path.to) {
                let mut active = self.active.iter();
                let name = active.find(|(_, link)| link.index == interface);
                let name = name.map_or("an interface that is gone", |(name, _)| name);
                debug!("cannot send to {} on {name}: {error}", path.to);
            }
        }
    }

    fn change_routes(&mut self, changes: &[Change]) {
        let refused = self.routes.apply(changes);
        self.note_refused(changes, refused);
    }

    /// Routes that the kernel refuses are tried again, ever more seldom: it may lack an address that is yet to
    /// come. The operator is told when it begins.
    fn note_refused(&mut self, changes: &[Change], errors: Vec<RouteError>) {
        if self.refused.is_empty() && errors.is_empty() {
            return;
        }
        let before = std::mem::take(&mut self.refused);
        let (mut first, mut others) = (None, 0_u32);
        for error in errors {
            let destination = error.change.destination();
            if let Change::Put(_, _, before) = error.change {
                self.refused.insert(destination);
                self.repairs.add(KernelChange::Route(destination, before), self.clock.now());
            }
            if before.contains(&destination) {
                debug!("{error}, again");
            } else if first.is_none() {
                first = Some(error);
            } else {
                others += 1;
            }
        }
        match first {
            Some(error) if others > 0 => warn!("{error}, and {others} more"),
            Some(error) => warn!("{error}"),
            None => {}
        }
        let tried: BTreeSet<_> = changes.iter().map(Change::destination).collect();
        self.refused.extend(before.into_iter().filter(|known| !tried.contains(known)));
    }

    /// Somebody else changed a route: remembers what of ours has to be put back.
    fn note_change(&mut self, told: io::Result<Told>) {
        let change = match told {
            Ok(Told::Anything | Told::RuleRemoved) => Some(KernelChange::Any),
            Ok(Told::Route(change)) => {
                let damaged = self.routes.damaged(&change);
                damaged.map(|(destination, before)| KernelChange::Route(destination, before))
            }
            Err(error) => return warn!("cannot hear of changes of the kernel's routes: {error}"),
        };
        if let Some(change) = change {
            self.repairs.add(change, self.clock.now());
        }
    }

    fn repair(&mut self) {
        for change in self.repairs.take(self.clock.now()) {
            debug!("puts again what somebody else changed or the kernel refused: {change:?}");
            if change == KernelChange::Any
                && let Err(error) = self.routes.put_rules_again()
            {
                warn!("cannot put rules for IPv4 routes by source again: {error}");
            }
            self.handle(Input::KernelChanged(change));
        }
    }

    /// Tells the operator, and whoever listens.
    fn tell(&self, notice: String) {
        info!("{notice}");
        // Nobody listens, or too slowly: it is in the log.
        let _ = self.notices.try_send(notice);
    }

    /// Brings the router's links in line with the kernel's.
    fn check_links(&mut self) {
        let losses = self.links.losses();
        let usable = match self.links.usable(self.link_detection) {
            Ok(usable) => usable,
            Err(error) => return warn!("cannot list the interfaces: {error}"),
        };
        let usable: BTreeMap<String, UsableLink> =
            usable.into_iter().map(|link| (link.name.clone(), link)).collect();
        let gone: Vec<String> = self
            .active
            .iter()
            .filter(|(name, link)| {
                !self.wanted.contains_key(*name)
                    || losses.down.contains(&link.index)
                    || usable.get(*name).is_none_or(|now| now.index != link.index)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.leave(&name, |interface| Input::InterfaceDown { interface });
        }
        let is_source = |address| self.routes.names_source(address);
        if losses.any
            || self.active.values().any(|link| losses.without_address.contains(&link.index))
            || losses.addresses.iter().any(is_source)
        {
            self.repairs.add(KernelChange::Any, self.clock.now());
        }
        for (name, behaviour) in self.wanted.clone() {
            let Some(link) = usable.get(&name) else { continue };
            if self.active.get(&name) != Some(link) {
                self.enter(link.clone(), &behaviour);
            }
        }
    }

    fn enter(&mut self, link: UsableLink, behaviour: &Behaviour) {
        if let Err(error) = self.socket.join(link.index) {
            return warn!("cannot listen on interface {}: {error}", link.name);
        }
        if let Err(error) = self.forwarding.enable_on(&link.name) {
            warn!("cannot switch the reverse path filter of {} off: {error}", link.name);
        }
        self.active.insert(link.name.clone(), link.clone());
        let UsableLink { name, index, mtu, address, address_v4 } = link;
        let settings = behaviour.on(|| radio::is_radio(&name, index)).clone();
        debug!("runs on {name}, {:?}", settings.kind);
        self.handle(Input::InterfaceUp(Link { index, name, address, address_v4, mtu, settings }));
    }

    fn leave(&mut self, name: &str, input: fn(u32) -> Input<'static>) {
        if let Some(link) = self.active.remove(name) {
            debug!("runs no longer on {name}");
            self.handle(input(link.index));
            self.socket.leave(link.index);
        }
    }
}

/// Octets of packets that are decided about together.
const BURST_OCTETS: usize = 256 << 10;
