//! What a router does about a packet (RFC 8966 §4.2, RFC 8967 §4.3).

use std::net::IpAddr;

use crate::proto::babel::acknowledgement;
use crate::proto::babel::counter::{CHALLENGE_REPLY, CHALLENGE_REQUEST};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::{Notice, Output};
use crate::proto::babel::filter::{Candidate, Origin};
use crate::proto::babel::hello::{Hello, HelloKind};
use crate::proto::babel::history::Heard;
use crate::proto::babel::ihu::Ihu;
use crate::proto::babel::interface::keys_on;
use crate::proto::babel::mac::{BadSignatures, Path};
use crate::proto::babel::neighbour::{Neighbour, Step};
use crate::proto::babel::outbox::Occasion;
use crate::proto::babel::packet::{Packet, Tlv};
use crate::proto::babel::pending::Novelty;
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::requests::{RouteRequest, SeqnoRequest};
use crate::proto::babel::route::{Offer, Route};
use crate::proto::babel::router::Router;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::selection::metric;
use crate::proto::babel::source::is_newer;
use crate::proto::babel::tick::Tick;
use crate::proto::babel::update::Update;
use crate::proto::bytes::Writer;
use crate::proto::limits;
use crate::proto::time::Instant;

impl Router {
    /// Takes a packet.
    pub(super) fn receive(
        &mut self,
        interface: u32,
        path: Path,
        octets: &[u8],
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let is_ours = self.interfaces.get(&interface).is_some_and(|i| i.link.address != path.from);
        // RFC 8966 §4: Babel speaks between link-local addresses only.
        if !is_ours || !path.from.is_unicast_link_local() {
            return;
        }
        let Ok(packet) = Packet::parse(octets) else { return };
        let Some(link) = self.interfaces.get(&interface).map(|interface| &interface.link) else {
            return;
        };
        let own = link.settings.authentication.as_ref();
        let bad_signatures = own.map_or(self.bad_signatures, |own| own.bad_signatures);
        let keys = keys_on(link, self.settings.keys.as_ref());
        let is_signed = keys.is_some_and(|keys| keys.verify(path, &packet));
        if !is_signed && keys.is_some() && bad_signatures == BadSignatures::Refused {
            return;
        }
        let Some(id) = self.neighbour(interface, path, now, out) else { return };
        if is_signed && !self.is_fresh(id, path, &packet, now) {
            return;
        }
        // Not before: repeated packets must not keep alive what is known of somebody who has gone
        // (RFC 8967 §4.4).
        if let Some(neighbour) = self.neighbours.get_mut(id) {
            neighbour.heard_at = now;
        }
        self.receive_tlvs(id, path, &packet, now, out);
        self.greet_silent(id, now);
        self.recost(id, Step::Clear, now, out);
    }

    /// A neighbour whose Hellos were not counted yet, because it had to prove first that it is there,
    /// may not have counted ours for the same reason: said again, they start both sides at once.
    fn greet_silent(&mut self, id: NeighbourId, now: Instant) {
        let Some(neighbour) = self.neighbours.get(id) else { return };
        let unheard = neighbour.multicast.bits() == 0 && neighbour.unicast.bits() == 0;
        if unheard && let Some(interface) = self.interfaces.get_mut(&neighbour.interface) {
            interface.hello_soon(now);
        }
    }

    /// Whoever sent it, known from now on; `None` if too many are known already.
    fn neighbour(
        &mut self,
        interface: u32,
        path: Path,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Option<NeighbourId> {
        if let Some(id) = self.neighbours.find(interface, path.from) {
            return Some(id);
        }
        if self.neighbours.on(interface).count() >= limits::BABEL_NEIGHBOURS_MAX {
            let link = self.interfaces.get_mut(&interface)?;
            if !std::mem::replace(&mut link.is_full, true) {
                let interface = link.link.name.clone();
                out.push(Output::Notice(Notice::TooManyNeighbours { interface }));
            }
            return None;
        }
        self.version += 1;
        let link = self.interfaces.get_mut(&interface)?;
        link.reset_backoff();
        let outbox = link.unicast_outbox(self.settings.keys.as_ref());
        let id = self.neighbours.add(Neighbour::new(interface, path.from, outbox, now));
        self.pending.forget_asker(id);
        Some(id)
    }

    /// Whether a signed packet is no repetition; challenges are answered and sent as needed.
    fn is_fresh(&mut self, id: NeighbourId, path: Path, packet: &Packet<'_>, now: Instant) -> bool {
        let to_all = path.to.is_multicast();
        let kind = if to_all { HelloKind::Multicast } else { HelloKind::Unicast };
        let Some(neighbour) = self.neighbours.get_mut(id) else { return false };
        let verdict = neighbour.counter.check(packet.body, kind, now, &mut self.random);
        let composer = &mut neighbour.outbox.composer;
        if let Some(nonce) = verdict.reply {
            composer.put(CHALLENGE_REPLY, |body| body.put(&nonce));
        }
        if let Some(nonce) = verdict.challenge {
            composer.put(CHALLENGE_REQUEST, |body| body.put(&nonce));
        }
        verdict.accepted
    }

    fn receive_tlvs(
        &mut self,
        id: NeighbourId,
        path: Path,
        packet: &Packet<'_>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let mut hello_sent = None;
        let mut echo = None;
        // A TLV that cannot be read is skipped, the others are not: RFC 8966 §4.3.
        for tlv in packet.tlvs(path.from).filter_map(Result::ok) {
            match tlv {
                Tlv::Hello(hello) => {
                    hello_sent = hello.sent.or(hello_sent);
                    self.receive_hello(id, &hello, now);
                }
                Tlv::Ihu(ihu) => echo = self.receive_ihu(id, &ihu, now).or(echo),
                Tlv::Update(update) => self.receive_update(id, &update, now, out),
                Tlv::RouteRequest(request) => self.receive_route_request(id, request, now),
                Tlv::SeqnoRequest(request) => self.receive_seqno_request(id, request, now),
                Tlv::AcknowledgementRequest(request) => {
                    if let Some(neighbour) = self.neighbours.get_mut(id) {
                        let composer = &mut neighbour.outbox.composer;
                        composer.put(acknowledgement::TYPE, |body| {
                            acknowledgement::put(request.opaque, body);
                        });
                    }
                }
                Tlv::Acknowledgement(_) => {}
            }
        }
        // RFC 9616 §3.2: both timestamps of a sample are of one packet.
        if let (Some(sent), Some(echo)) = (hello_sent, echo) {
            let Some(neighbour) = self.neighbours.get_mut(id) else { return };
            let link = self.interfaces.get(&neighbour.interface);
            if let Some(rtt) = link.and_then(|interface| interface.link.settings.rtt) {
                neighbour.rtt.handle_echo(echo, sent, now, rtt.decay);
            }
        }
    }

    fn receive_hello(&mut self, id: NeighbourId, hello: &Hello, now: Instant) {
        self.version += 1;
        let Some(neighbour) = self.neighbours.get_mut(id) else { return };
        let heard = match hello.kind {
            HelloKind::Multicast => neighbour.multicast.handle(hello, now),
            HelloKind::Unicast => neighbour.unicast.handle(hello, now),
        };
        // It forgot what it announced, and how far it claimed to be: its old offers, taken now, could
        // lead back to us.
        match heard {
            Heard::After(missed) => neighbour.loss.handle(missed.0),
            Heard::Restarted => {
                neighbour.restart();
                self.retract_all_of(id, now);
            }
        }
        let Some(neighbour) = self.neighbours.get_mut(id) else { return };
        if let Some(sent) = hello.sent {
            neighbour.rtt.handle_hello(sent, now);
        }
        // Somebody new: two Hellos and an IHU from us make the link work at once.
        if neighbour.greetings > 0
            && let Some(interface) = self.interfaces.get_mut(&neighbour.interface)
        {
            neighbour.greetings -= 1;
            interface.hello_soon(now);
        }
    }

    /// What is echoed of our last Hello, if the IHU is about us.
    fn receive_ihu(&mut self, id: NeighbourId, ihu: &Ihu, now: Instant) -> Option<(u32, u32)> {
        let neighbour = self.neighbours.get_mut(id)?;
        let ours = self.interfaces.get(&neighbour.interface)?.link.address;
        if ihu.address.is_some_and(|address| address != ours) {
            return None;
        }
        neighbour.txcost = ihu.rxcost;
        // RFC 8966, Appendix B: three and a half intervals.
        neighbour.txcost_until = Some(now + ihu.next_within * 7 / 2);
        ihu.echo
    }

    fn receive_update(
        &mut self,
        id: NeighbourId,
        update: &Update,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(destination) = update.destination else {
            return self.retract_all_of(id, now);
        };
        if !destination.is_routable() || !self.accepts(&destination) {
            return;
        }
        let (Some(router_id), Some(next_hop)) = (update.router_id, update.next_hop) else {
            return self.retract(id, &destination, now);
        };
        // What comes back to us: the neighbour's route leads through here.
        if router_id == self.settings.router_id {
            if !self.was_ours(&destination) {
                self.change_router_id(now, out);
            }
            return self.retract(id, &destination, now);
        }
        let added = self.learn(id, destination, router_id);
        if added == u16::MAX {
            return self.retract(id, &destination, now);
        }
        let Some(next_hop) = self.next_hop_place(id, next_hop, now) else { return };
        let refmetric = update.metric.saturating_add(added);
        let said = Offer { router: router_id, next_hop, seqno: update.seqno, refmetric };
        let expires = Tick::at(now + update.held());
        let Some(place) = self.table.find_or_add_for(id, destination) else {
            return self.tell_full(out);
        };
        // The usual case by far: a route is repeated.
        if self.table.repeat(place, id, &said, expires) {
            return;
        }
        let router = self.table.intern_for(place, id, router_id);
        let Some(router) = router else { return self.tell_full(out) };
        let offer = Offer { router, next_hop, seqno: update.seqno, refmetric };
        self.receive_offer(id, place, Route { offer, expires }, now);
        if let Some(request) = self.pending.hear(place, router_id, update.seqno, now)
            && request.asker != Some(id)
        {
            self.request_seqno(Some(id), request.asked);
        }
    }

    /// The place of a next hop that a neighbour names; `None` if it has too many.
    fn next_hop_place(&mut self, id: NeighbourId, address: IpAddr, now: Instant) -> Option<u8> {
        let neighbour = self.neighbours.get_mut(id)?;
        if let Some(place) = neighbour.next_hop_place(address) {
            return Some(place);
        }
        if !neighbour.may_forget_next_hops(now) {
            return None;
        }
        let used = self.table.next_hops_of(id);
        let neighbour = self.neighbours.get_mut(id)?;
        neighbour.keep_next_hops(used);
        neighbour.next_hop_place(address)
    }

    /// The operator is told once.
    fn tell_full(&mut self, out: &mut Vec<Output>) {
        if !self.is_full {
            self.is_full = true;
            out.push(Output::Notice(Notice::TableFull));
        }
    }

    /// What the filter adds to the metric of an offer; 65535 refuses it.
    fn learn(&self, id: NeighbourId, destination: Destination, router_id: RouterId) -> u16 {
        if self.filters.input.is_empty() {
            return 0;
        }
        let Some(neighbour) = self.neighbours.get(id) else { return u16::MAX };
        let interface = self.interfaces.get(&neighbour.interface);
        let candidate = Candidate {
            destination,
            router_id: Some(router_id),
            neighbour: Some(IpAddr::V6(neighbour.address)),
            interface: interface.map(|interface| interface.link.name.as_str()),
            origin: Origin::BABEL,
        };
        self.filters.learn(&candidate).metric
    }

    /// Whether we originate it, or did not long ago: neighbours may not have heard yet that we no longer do.
    fn was_ours(&self, destination: &Destination) -> bool {
        self.settings.announced.iter().any(|ours| ours.destination == *destination)
            || self.table.find(destination).is_some_and(|id| {
                let mut sources =
                    self.table.get(id).into_iter().flat_map(|entry| entry.sources.routers());
                sources.any(|router| self.table.router_id(router) == self.settings.router_id)
            })
    }

    /// Somebody originates under our name what we do not: another router has the same, or the clone of
    /// a disk. With two originators of one name, feasibility means nothing.
    fn change_router_id(&mut self, now: Instant, out: &mut Vec<Output>) {
        if now - self.renamed_at < limits::BABEL_RENAME_INTERVAL {
            return;
        }
        self.renamed_at = now;
        self.settings.router_id = RouterId::draw(&mut self.random);
        out.push(Output::Notice(Notice::DuplicateRouterId));
        for destination in self.settings.announced.clone() {
            if let Some(place) = self.table.find(&destination.destination) {
                self.touch(place);
            }
        }
    }

    fn receive_offer(&mut self, id: NeighbourId, place: DestinationId, route: Route, now: Instant) {
        let matters = self.matters(id, place, metric(&route, self.neighbours.cost(id)));
        self.table.put_route(place, id, route, now);
        if matters {
            self.touch(place);
        }
    }

    /// Whether an offer of that metric can change what is taken: not if it is another one's, and no
    /// better.
    fn matters(&self, id: NeighbourId, place: DestinationId, metric_now: u16) -> bool {
        let Some((selected, route)) = self.table.selected_route(place) else { return true };
        let is_waiting = self.table.get(place).is_some_and(|entry| entry.better_since.is_some());
        selected == id || is_waiting || metric_now < metric(route, self.neighbours.cost(selected))
    }

    /// A neighbour no longer offers a destination.
    fn retract(&mut self, id: NeighbourId, destination: &Destination, now: Instant) {
        let Some(place) = self.table.find(destination) else { return };
        self.retract_at(id, place, now);
    }

    fn retract_at(&mut self, id: NeighbourId, place: DestinationId, now: Instant) {
        if self.table.retract(place, id, now) && self.matters(id, place, u16::MAX) {
            self.touch(place);
        }
    }

    fn retract_all_of(&mut self, id: NeighbourId, now: Instant) {
        let offered: Vec<DestinationId> = self.table.standing_of(id).collect();
        for place in offered {
            self.retract_at(id, place, now);
        }
    }

    fn accepts(&self, destination: &Destination) -> bool {
        let accepted = &self.settings.accepted;
        accepted.is_empty() || accepted.iter().any(|line| line.takes(&destination.prefix))
    }

    fn receive_route_request(&mut self, id: NeighbourId, request: RouteRequest, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(id) else { return };
        let Some(destination) = request.destination else {
            // It has just got all, or is getting it.
            let lately = neighbour.was_dumped_lately(now);
            if !lately && neighbour.outbox.updates() <= self.table.len() / 2 {
                neighbour.plan_dump(now);
                self.run_dumps(now);
            }
            return;
        };
        match self.table.find(&destination) {
            Some(place) => neighbour.outbox.queue(place, Occasion::Request),
            // RFC 8966 §3.8.1.1: a route that we do not have is retracted.
            None => {
                let retraction = Self::retraction(destination, self.seqno);
                let interface = self.interfaces.get(&neighbour.interface);
                let our_v4 = interface.and_then(|interface| interface.link.address_v4);
                neighbour.outbox.composer.set_sender(self.settings.router_id);
                neighbour.outbox.composer.update(&retraction, &destination, our_v4);
            }
        }
    }

    /// RFC 8966 §3.8.1.2.
    fn receive_seqno_request(&mut self, id: NeighbourId, request: SeqnoRequest, now: Instant) {
        let Some(place) = self.table.find(&request.destination) else { return };
        let Some(entry) = self.table.get(place) else { return };
        if entry.local.is_some() {
            if request.router_id == self.settings.router_id && is_newer(request.seqno, self.seqno) {
                // By one, whatever was asked: RFC 8966 §3.8.1.2.
                self.seqno = self.seqno.wrapping_add(1);
                self.trigger(place, now);
            } else if let Some(neighbour) = self.neighbours.get_mut(id) {
                neighbour.outbox.queue(place, Occasion::Request);
            }
            return;
        }
        let Some((_, selected)) = self.table.selected_route(place) else {
            // We need not, and for a router-id that somebody invented we do not.
            if self.table.names(place, request.router_id) {
                self.forward_seqno_request(id, place, request, now);
            }
            return;
        };
        let satisfied = self.table.router_id(selected.offer.router) != request.router_id
            || !is_newer(request.seqno, selected.offer.seqno);
        if satisfied {
            if let Some(neighbour) = self.neighbours.get_mut(id) {
                neighbour.outbox.queue(place, Occasion::Request);
            }
            return;
        }
        self.forward_seqno_request(id, place, request, now);
    }

    fn forward_seqno_request(
        &mut self,
        from: NeighbourId,
        place: DestinationId,
        request: SeqnoRequest,
        now: Instant,
    ) {
        if request.hop_count < 2 {
            return;
        }
        let Some(next) = self.towards(place, from) else { return };
        let offered = self.table.route(place, next).map(|route| route.offer);
        let offered = offered.filter(|it| self.table.router_id(it.router) == request.router_id);
        let offered = offered.map(|offer| offer.seqno);
        let forwarded = SeqnoRequest { hop_count: request.hop_count - 1, ..request };
        if self.pending.add(place, forwarded, Some(from), offered, now) == Novelty::New
            && let Some(neighbour) = self.neighbours.get_mut(next)
        {
            neighbour.outbox.request(forwarded);
        }
    }

    /// Whom to ask about a destination, other than whoever asked us: whose offer is taken, else the
    /// best offer that may be, else the best that may not be, since a request cannot loop (its hops are
    /// counted).
    pub(super) fn towards(&self, place: DestinationId, asker: NeighbourId) -> Option<NeighbourId> {
        let selected = self.table.get(place)?.selected.filter(|&selected| selected != asker);
        selected.or_else(|| {
            let entry = self.table.get(place)?;
            let offers = self.table.routes(place).filter(|&(neighbour, _)| neighbour != asker);
            let ranks = offers.map(|(neighbour, route)| {
                let metric = metric(route, self.neighbours.cost(neighbour));
                (metric == u16::MAX, !entry.is_feasible(route), metric, neighbour)
            });
            let (is_retracted, _, _, best) = ranks.min()?;
            (!is_retracted).then_some(best)
        })
    }
}
