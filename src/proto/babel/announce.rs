//! What a router says: Hellos, updates, requests (RFC 8966 §3.7 and §3.8.2).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::babel::composer::put_wildcard_retraction;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::entry::{Kernel, Said};
use crate::proto::babel::event::{Link, Output};
use crate::proto::babel::filter::{Candidate, Filters, Origin};
use crate::proto::babel::hello::{Hello, HelloKind};
use crate::proto::babel::ihu::Ihu;
use crate::proto::babel::mac::Path;
use crate::proto::babel::neighbour::Neighbours;
use crate::proto::babel::outbox::{Occasion, Outbox};
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::requests::{RouteRequest, SeqnoRequest};
use crate::proto::babel::router::Router;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::routers::RouterIndex;
use crate::proto::babel::selection::metric;
use crate::proto::babel::settings::{SplitHorizon, V4ViaV6};
use crate::proto::babel::table::{Order, Table};
use crate::proto::babel::update::Update;
use crate::proto::time::Instant;

impl Router {
    /// Announces a destination to everyone, together with others that change about now.
    pub(super) fn trigger(&mut self, id: DestinationId, now: Instant) {
        let Some(entry) = self.table.get_mut(id) else { return };
        if entry.is_triggered {
            return;
        }
        entry.is_triggered = true;
        self.triggered.push(id);
        let delay = self.random.between(Self::TRIGGER_DELAY / 2, Self::TRIGGER_DELAY);
        self.trigger_at.get_or_insert(now + delay);
    }

    /// Queues what changed on every link where somebody listens.
    pub(super) fn run_triggers(&mut self) {
        self.trigger_at = None;
        let triggered: Arc<[DestinationId]> = std::mem::take(&mut self.triggered).into();
        for &id in triggered.iter() {
            if let Some(entry) = self.table.get_mut(id) {
                entry.is_triggered = false;
            }
        }
        for (&index, interface) in &mut self.interfaces {
            if self.neighbours.on(index).next().is_some() {
                interface.outbox.queue_all(&triggered);
            }
        }
        for &id in triggered.iter() {
            self.note_said(id);
        }
    }

    /// The place of our own router-id; `None`, and nothing of our own can be said, only if there are too
    /// many router-ids.
    fn own(&mut self) -> Option<RouterIndex> {
        self.table.intern(self.settings.router_id)
    }

    /// Remembers what is being said, so that only what changes is said again before its time.
    fn note_said(&mut self, id: DestinationId) {
        let current = current(&self.table, &self.neighbours, id);
        let own = self.own();
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.said = match current {
            Current::Ours { metric } => {
                own.map_or(Said::Nothing, |router| Said::Reachable { router, metric })
            }
            Current::Learned { router, metric, .. } => Said::Reachable { router, metric },
            Current::Unreachable if entry.said == Said::Nothing => Said::Nothing,
            Current::Unreachable => Said::Retracted,
        };
    }

    /// Says the next Hello on a link, and to every neighbour there that it is heard.
    pub(super) fn say_hello(&mut self, index: u32, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(&index) else { return };
        let settings = &interface.link.settings;
        let interval = settings.hello_interval;
        let sent = settings.rtt.map(|_| now.micros_u32());
        let composer = &mut interface.outbox.composer;
        composer.finish();
        let hello = Hello {
            kind: HelloKind::Multicast,
            seqno: interface.hello_seqno,
            next_within: Some(interval),
            sent,
        };
        composer.put(Hello::TYPE, |body| hello.put(body));
        // Whatever a predecessor announced on this link was forgotten with it.
        if interface.hello_sent.is_none() {
            put_wildcard_retraction(composer, self.seqno);
        }
        for (_, neighbour) in self.neighbours.on(index) {
            // RFC 9616 §3.2: an echo stands in the packet of a Hello.
            let echo = neighbour.rtt.echo(now);
            let with_hello = composer.full() == 0 && composer.left() >= IHU_OCTETS;
            let ihu = Ihu {
                address: Some(IpAddr::V6(neighbour.address)),
                rxcost: neighbour.rxcost(settings),
                next_within: interval,
                echo: echo.filter(|_| with_hello && settings.rtt.is_some()),
            };
            composer.put(Ihu::TYPE, |body| ihu.put(body));
        }
        let mut heard = self.neighbours.on(index).peekable();
        let is_settled = heard.peek().is_some() && heard.all(|(_, it)| it.cost != u16::MAX);
        interface.plan_next_hello(is_settled, now, &mut self.random);
    }

    /// Queues the whole table for a link.
    pub(super) fn say_table(&mut self, index: u32, now: Instant) {
        let table = self.in_order();
        let Some(interface) = self.interfaces.get_mut(&index) else { return };
        let settings = &interface.link.settings;
        let (soonest, latest) = (settings.update_interval, settings.update_latest());
        interface.update_at = now + self.random.between(soonest, latest);
        // A table that is still being said is not begun again.
        let is_listened = self.neighbours.on(index).next().is_some();
        if is_listened && interface.outbox.updates() < table.len() {
            interface.outbox.queue_all(&table);
        }
    }

    /// Queues the whole table for neighbours that need it, and asks for theirs.
    pub(super) fn run_dumps(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if !self.neighbours.iter().any(|(_, neighbour)| is_due(neighbour.dump_at)) {
            return;
        }
        let table = self.in_order();
        for neighbour in self.neighbours.iter_mut().filter(|n| is_due(n.dump_at)) {
            neighbour.dump(now);
            neighbour.outbox.queue_all(&table);
        }
    }

    /// All that can be announced, each originator's destinations together and sorted, so that
    /// compression works best. Sorted anew when destinations came or went: a route that changed its
    /// originator since then only costs some octets.
    fn in_order(&mut self) -> Arc<[DestinationId]> {
        if self.order.changes != self.table.changes() {
            let mut ids: Vec<DestinationId> = self.table.iter().map(|(id, _)| id).collect();
            let table = &self.table;
            ids.sort_unstable_by_key(|&id| {
                let router_id =
                    table.selected_route(id).map(|(_, r)| table.router_id(r.offer.router));
                (router_id, table.get(id).map(|entry| entry.destination))
            });
            self.order = Order { changes: table.changes(), ids: ids.into() };
        }
        Arc::clone(&self.order.ids)
    }

    /// Retracts on a link what is no longer to be announced there, as the link or the filters were changed.
    pub(super) fn withdraw(&mut self, index: u32, (filters, link): (&Filters, &Link)) {
        let Some(interface) = self.interfaces.get_mut(&index) else { return };
        if self.neighbours.on(index).next().is_none() {
            return;
        }
        for (id, entry) in self.table.iter() {
            let router_id = match current(&self.table, &self.neighbours, id) {
                Current::Ours { .. } => self.settings.router_id,
                Current::Learned { router, .. } => self.table.router_id(router),
                Current::Unreachable => continue,
            };
            let admits = |filters: &Filters, link: &Link| {
                admit(filters, link, entry.destination, Some(router_id)).is_some()
            };
            if admits(filters, link) && !admits(&self.filters, &interface.link) {
                interface.outbox.queue(id, Occasion::Withdrawal);
            }
        }
    }

    /// Asks one neighbour for its whole table.
    pub(super) fn request_table(&mut self, id: NeighbourId) {
        if let Some(neighbour) = self.neighbours.get_mut(id) {
            let request = RouteRequest { destination: None };
            neighbour.outbox.composer.put(RouteRequest::TYPE, |body| request.put(body));
        }
    }

    /// Asks one neighbour, or everyone, for something fresh.
    pub(super) fn request_seqno(&mut self, to: Option<NeighbourId>, request: SeqnoRequest) {
        if let Some(neighbour) = to.and_then(|id| self.neighbours.get_mut(id)) {
            neighbour.outbox.request(request);
            return;
        }
        for (&index, interface) in &mut self.interfaces {
            if self.neighbours.on(index).next().is_some() {
                interface.outbox.request(request);
            }
        }
    }

    /// Turns everything that is to be said now into packets.
    pub(super) fn send_all(&mut self, now: Instant, out: &mut Vec<Output>) {
        let own = (self.own(), self.seqno);
        let Self { settings, interfaces, neighbours, table, filters, random, .. } = self;
        let keys = settings.keys.as_ref();
        let sender = settings.router_id;
        let mut speaker = Speaker { sender, own, table, filters, now };
        for (&index, interface) in interfaces.iter_mut() {
            speaker.fill(&interface.link, &mut interface.outbox, neighbours);
            for body in interface.outbox.composer.take() {
                let path = interface.to_all();
                let octets = interface.seal(body, path, keys, random);
                out.push(Output::Send { interface: index, path, octets });
            }
        }
        let waiting: Vec<NeighbourId> = neighbours
            .iter()
            .filter(|(_, n)| n.outbox.is_waiting() || !n.outbox.composer.is_empty())
            .map(|(id, _)| id)
            .collect();
        for id in waiting {
            // Taken out meanwhile: filling it looks at all neighbours.
            let Some(neighbour) = neighbours.get_mut(id) else { continue };
            let Some(interface) = interfaces.get_mut(&neighbour.interface) else { continue };
            let path = Path { from: interface.link.address, to: neighbour.address };
            let mut outbox = std::mem::replace(&mut neighbour.outbox, Outbox::new(0));
            speaker.fill(&interface.link, &mut outbox, neighbours);
            for body in outbox.composer.take() {
                let octets = interface.seal(body, path, keys, random);
                out.push(Output::Send { interface: interface.link.index, path, octets });
            }
            if let Some(neighbour) = neighbours.get_mut(id) {
                neighbour.outbox = outbox;
            }
        }
    }

    /// Retracts everything on a link that is about to be left. What else waits to be said there is not said.
    pub(super) fn say_goodbye(&mut self, index: u32, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(&index) else { return };
        let nothing = interface.unicast_outbox(self.settings.keys.as_ref());
        for neighbour in self.neighbours.iter_mut().filter(|it| it.interface == index) {
            neighbour.outbox = nothing.clone();
        }
        interface.outbox = nothing;
        put_wildcard_retraction(&mut interface.outbox.composer, self.seqno);
        // The promise of a Hello that will not come makes us forgotten soon.
        interface.link.settings.hello_interval = Duration::from_millis(10);
        self.say_hello(index, now);
    }

    /// Retracts everything, removes every route, forgets every link.
    pub(super) fn stop(&mut self, now: Instant, out: &mut Vec<Output>) {
        let indices: Vec<u32> = self.interfaces.keys().copied().collect();
        for index in indices {
            self.say_goodbye(index, now);
        }
        self.send_all(now, out);
        self.interfaces.clear();
        self.neighbours = Neighbours::default();
        for (_, entry) in self.table.iter() {
            if entry.kernel != Kernel::Absent {
                out.push(Output::Uninstall { destination: entry.destination });
            }
        }
        self.table = Table::default();
        self.touched.clear();
        self.triggered.clear();
        self.trigger_at = None;
    }

    /// A retraction of one destination.
    pub(super) fn retraction(destination: Destination, seqno: u16) -> Update {
        Update {
            destination: Some(destination),
            router_id: None,
            next_hop: None,
            seqno,
            metric: u16::MAX,
            next_within: Duration::from_secs(60),
        }
    }

    /// Changes that come together are announced together.
    const TRIGGER_DELAY: Duration = Duration::from_millis(20);
}

/// What we have for a destination right now.
enum Current {
    Ours { metric: u16 },
    Learned { router: RouterIndex, seqno: u16, metric: u16, interface: u32 },
    Unreachable,
}

fn current(table: &Table, neighbours: &Neighbours, id: DestinationId) -> Current {
    let Some(entry) = table.get(id) else { return Current::Unreachable };
    if let Some(metric) = entry.local {
        return Current::Ours { metric };
    }
    let learned = table.selected_route(id).and_then(|(neighbour, route)| {
        let neighbour = neighbours.get(neighbour)?;
        Some(Current::Learned {
            router: route.offer.router,
            seqno: route.offer.seqno,
            metric: metric(route, neighbour.cost),
            interface: neighbour.interface,
        })
    });
    learned.unwrap_or(Current::Unreachable)
}

/// What is added to metrics of a destination on a link; `None` if it is not to be announced there.
fn admit(
    filters: &Filters,
    link: &Link,
    destination: Destination,
    router_id: Option<RouterId>,
) -> Option<u16> {
    let no_next_hop = link.address_v4.is_none() && link.settings.v4_via_v6 == V4ViaV6::Off;
    if destination.prefix.is_ipv4() && no_next_hop {
        return None;
    }
    let interface = Some(link.name.as_str());
    let candidate =
        Candidate { destination, router_id, neighbour: None, interface, origin: Origin::BABEL };
    Some(filters.announce(&candidate).metric).filter(|&added| added != u16::MAX)
}

/// Writes updates.
struct Speaker<'a> {
    sender: RouterId,
    own: (Option<RouterIndex>, u16),
    table: &'a mut Table,
    filters: &'a Filters,
    now: Instant,
}

impl Speaker<'_> {
    /// Composes what waits in an outbox, as far as it may leave now.
    fn fill(&mut self, link: &Link, outbox: &mut Outbox, neighbours: &Neighbours) {
        outbox.composer.set_sender(self.sender);
        // Whoever asks has no route: first.
        while let Some(request) = outbox.next_request(self.now) {
            outbox.composer.put(SeqnoRequest::TYPE, |body| request.put(body));
        }
        while let Some((id, occasion)) = outbox.next(self.now) {
            let Some(destination) = self.table.get(id).map(|entry| entry.destination) else {
                continue;
            };
            let update = self.update(id, occasion, link, neighbours).or_else(|| {
                // RFC 8966 §3.8.1.1: what is not offered is retracted, if somebody asks.
                let is_told = occasion != Occasion::News;
                is_told.then(|| Router::retraction(destination, self.own.1))
            });
            if let Some(update) = update {
                outbox.composer.update(&update, &destination, link.address_v4);
            }
        }
    }

    /// What is said of a destination; `None` if it is not for that link.
    fn update(
        &mut self,
        id: DestinationId,
        occasion: Occasion,
        link: &Link,
        neighbours: &Neighbours,
    ) -> Option<Update> {
        let (router, seqno, metric) = match current(self.table, neighbours, id) {
            Current::Ours { .. } if self.own.0.is_none() => return None,
            Current::Ours { metric } => (self.own.0, self.own.1, metric),
            // RFC 8966 §3.7.4: everyone on that link heard it from whom we heard it. Whoever asks did not.
            Current::Learned { interface, .. }
                if interface == link.index
                    && link.settings.split_horizon == SplitHorizon::On
                    && occasion != Occasion::Request =>
            {
                return None;
            }
            Current::Learned { router, seqno, metric, .. } => (Some(router), seqno, metric),
            Current::Unreachable => (None, self.own.1, u16::MAX),
        };
        let entry = self.table.get(id)?;
        if metric == u16::MAX && entry.said == Said::Nothing {
            return None;
        }
        let destination = entry.destination;
        let router_id = router.map(|router| self.table.router_id(router));
        let admitted = |router: Option<RouterIndex>| {
            let router_id = router.map(|router| self.table.router_id(router));
            admit(self.filters, link, destination, router_id)
        };
        let metric = match admitted(router) {
            Some(added) => metric.saturating_add(added),
            // What was announced in another's name, which is let out, is taken back.
            None if entry.routers().any(|said| admitted(Some(said)).is_some()) => u16::MAX,
            None => return None,
        };
        let update = Update {
            destination: Some(destination),
            router_id: router_id.filter(|_| metric != u16::MAX),
            next_hop: None,
            seqno,
            metric,
            next_within: link.settings.update_latest(),
        };
        if let (Some(router), true) = (router, metric != u16::MAX)
            && let Some(entry) = self.table.get_mut(id)
        {
            let until = entry.sources.announce(router, (seqno, metric), update.held(), self.now);
            self.table.schedule(id, until);
        }
        Some(update)
    }
}

/// An IHU with an echo: its TLV, a whole address and timestamps.
const IHU_OCTETS: usize = 2 + 6 + 16 + 10;
