//! Selection, and what follows from it: kernel routes, announcements, requests (RFC 8966 §3.6).

use std::time::Duration;

use crate::proto::babel::entry::{Entry, Kernel, Repeat, Said};
use crate::proto::babel::event::{Before, KernelChange, NextHop, Notice, Output};
use crate::proto::babel::neighbour::{Neighbours, Step};
use crate::proto::babel::outbox::Occasion;
use crate::proto::babel::pending::Novelty;
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::requests::SeqnoRequest;
use crate::proto::babel::router::Router;
use crate::proto::babel::selection::{
    Circumstances, Comparison, Decision, compare, decide, metric,
};
use crate::proto::babel::settings::SplitHorizon;
use crate::proto::babel::source::is_newer;
use crate::proto::babel::table::Table;
use crate::proto::babel::tick::Tick;
use crate::proto::time::Instant;

impl Router {
    /// Looks at every destination that was touched in this turn.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        let touched = std::mem::take(&mut self.touched);
        self.version += touched.len() as u64;
        for id in touched {
            let Some(entry) = self.table.get_mut(id) else { continue };
            entry.is_touched = false;
            let former = self.link_taken(id);
            if let Some(look_again) = self.select(id, now) {
                self.table.schedule(id, look_again);
            }
            self.install(id, now, out);
            self.announce_change(id, now);
            self.tell_of_move(id, former, now);
            if self.table.forget_if_empty(id) {
                self.pending.forget(id);
            }
        }
        self.is_full &= !self.table.has_emptied();
    }

    /// Chooses an offer; when the choice is to be looked at again.
    fn select(&mut self, id: DestinationId, now: Instant) -> Option<Instant> {
        let entry = self.table.get_mut(id)?;
        // What the kernel is not to have is not ours to announce either: packets would come and be lost.
        let refused = self.filters.install(entry.destination).metric == u16::MAX;
        if entry.local.is_some() || refused {
            entry.selected = None;
            return None;
        }
        let better_since = entry.better_since.map(Tick::instant);
        let changed_mind_at = entry.changed_mind_at.map(Tick::instant);
        let selected = entry.selected;
        let comparison = self.compare(id);
        let best = comparison.best.map(|(neighbour, _)| neighbour);
        let circumstances = Circumstances {
            better_since,
            changed_mind_at,
            trembles: [selected, best].into_iter().flatten().any(|id| self.is_measured(id)),
        };
        let entry = self.table.get_mut(id)?;
        let mut wait = None;
        match decide(&comparison, circumstances, now) {
            Decision::Keep => entry.better_since = None,
            Decision::Wait(due) => {
                entry.better_since.get_or_insert(Tick::at(now));
                wait = Some(due);
            }
            Decision::Switch(neighbour) => {
                if comparison.current.is_some() {
                    entry.changed_mind_at = Some(Tick::at(now));
                }
                entry.selected = Some(neighbour);
                entry.better_since = None;
            }
            Decision::Lose => {
                entry.selected = None;
                entry.better_since = None;
            }
        }
        self.ask_for_unfeasible(id, &comparison, now);
        wait
    }

    /// Whether what a neighbour costs is measured.
    fn is_measured(&self, id: NeighbourId) -> bool {
        let interface = self.neighbours.get(id).and_then(|at| self.interfaces.get(&at.interface));
        interface.is_some_and(|interface| interface.link.settings.is_measured())
    }

    /// An offer that may not be taken, but would be good, is asked for afresh: RFC 8966 §3.8.2.1 and
    /// §3.8.2.2.
    fn ask_for_unfeasible(&mut self, id: DestinationId, comparison: &Comparison, now: Instant) {
        let Some((neighbour, unfeasible)) = comparison.unfeasible else { return };
        // Worth it if there is nothing else, or if it is better by more than a tremble.
        if comparison.best.is_some_and(|(_, best)| unfeasible >= best - best / 8) {
            return;
        }
        let Some(entry) = self.table.get(id) else { return };
        let Some(route) = self.table.route(id, neighbour) else { return };
        let Some(source) = entry.sources.find(route.offer.router) else { return };
        // Near enough, and only its number is an old one: the one that others have already will do. Each new
        // number makes all other offers old ones until they are said again.
        let is_behind = is_newer(source.seqno, route.offer.seqno)
            && route.offer.refmetric < source.metric
            && comparison.best.is_some();
        let seqno = if is_behind { source.seqno } else { source.seqno.wrapping_add(1) };
        let router_id = self.table.router_id(route.offer.router);
        let request =
            SeqnoRequest { destination: entry.destination, seqno, hop_count: HOPS_MAX, router_id };
        let offered = Some(route.offer.seqno);
        if self.pending.add(id, request, None, offered, now) == Novelty::New {
            self.request_seqno(Some(neighbour), request);
        }
    }

    /// Nobody answered in time: everyone is asked, or, if there is a route, only who has a better one.
    pub(super) fn repeat_request(&mut self, id: DestinationId, request: SeqnoRequest) {
        let comparison = self.compare(id);
        if comparison.best.is_none() {
            self.request_seqno(None, request);
        } else if let Some((neighbour, _)) = comparison.unfeasible {
            self.request_seqno(Some(neighbour), request);
        }
    }

    fn compare(&self, id: DestinationId) -> Comparison {
        compare(&self.table, id, |neighbour| self.neighbours.cost(neighbour))
    }

    /// Makes the kernel's route what was chosen.
    fn install(&mut self, id: DestinationId, now: Instant, out: &mut Vec<Output>) {
        let neighbours = &self.neighbours;
        let wanted = wanted(&mut self.table, id, now);
        let Some(entry) = self.table.get_mut(id) else { return };
        if wanted == entry.kernel {
            return;
        }
        let destination = entry.destination;
        let next_hop = next_hop(wanted, neighbours);
        let before = match std::mem::replace(&mut entry.kernel, wanted) {
            Kernel::Absent => Before::Absent,
            Kernel::Unreachable | Kernel::Via(..) => Before::Present,
        };
        out.push(match next_hop {
            Some(next_hop) => Output::Install { destination, next_hop, before },
            None => Output::Uninstall { destination },
        });
    }

    /// Puts again what somebody else changed in the kernel.
    pub(super) fn put_again(&self, change: KernelChange, out: &mut Vec<Output>) {
        let mut put = |entry: &Entry, before| {
            if let Some(next_hop) = next_hop(entry.kernel, &self.neighbours) {
                out.push(Output::Install { destination: entry.destination, next_hop, before });
            }
        };
        match change {
            KernelChange::Route(destination, before) => {
                let entry = self.table.find(&destination).and_then(|id| self.table.get(id));
                entry.into_iter().for_each(|entry| put(entry, before));
            }
            KernelChange::Any => {
                self.table.iter().for_each(|(_, entry)| put(entry, Before::Present));
            }
        }
    }

    /// Announces what neighbours should know before the next full table.
    fn announce_change(&mut self, id: DestinationId, now: Instant) {
        let neighbours = &self.neighbours;
        let own = self.settings.router_id;
        let Some(entry) = self.table.get(id) else { return };
        let taken = self.table.selected_route(id).map(|(neighbour, route)| {
            let metric = metric(route, neighbours.cost(neighbour));
            (self.table.router_id(route.offer.router), metric, route.offer.seqno)
        });
        let learned = taken.map(|(router_id, metric, _)| (router_id, metric));
        let offered = entry.local.map(|metric| (own, metric)).or(learned);
        let (is_news, is_other) = match (offered, entry.said) {
            (None, Said::Nothing | Said::Retracted) => (false, false),
            (None, Said::Reachable { .. }) | (Some(_), Said::Nothing | Said::Retracted) => {
                (true, false)
            }
            (Some((router_id, metric)), Said::Reachable { router: said, metric: said_metric }) => {
                let is_other = router_id != self.table.router_id(said);
                (is_other || is_far(metric, said_metric), is_other)
            }
        };
        // RFC 8966 §3.8.1.2: whoever asked for it through us is told.
        let is_awaited = taken
            .is_some_and(|(router_id, _, seqno)| self.pending.is_awaited(id, router_id, seqno));
        if is_news || is_awaited {
            self.trigger(id, now);
        }
        // RFC 8966 §3.7.2: whoever does not hear of another originator may be part of a loop.
        if is_other && let Some(entry) = self.table.get_mut(id) {
            let due = entry.repeat_news(now);
            self.table.schedule(id, due);
        }
    }

    /// The link that what is taken comes from.
    fn link_taken(&self, id: DestinationId) -> Option<u32> {
        let neighbour = self.table.get(id)?.selected?;
        Some(self.neighbours.get(neighbour)?.interface)
    }

    /// A link is not told of what is reached over it (RFC 8966 §3.7.4). When a way moves from one link to
    /// another, the former is told of it at once: whoever is there may have lost the way that we took, and
    /// know of none. On the other it is retracted: whoever is there could hold our old offer against the loss
    /// of its own way, which is ours now. Feasibility should prevent that; BIRD looks at it only when an offer
    /// comes.
    fn tell_of_move(&mut self, id: DestinationId, former: Option<u32>, now: Instant) {
        let taken = self.link_taken(id);
        if taken.is_none() || taken == former {
            return;
        }
        let Some(entry) = self.table.get_mut(id) else { return };
        let is_said_to_all = entry.is_triggered;
        // Also if the former link is gone, and the way that it led.
        let is_reversed = entry.said.is_reachable();
        if is_reversed {
            let due = entry.repeat_reversal(now);
            self.table.schedule(id, due);
        }
        if let Some(former) = former.filter(|_| !is_said_to_all) {
            self.tell_link(former, id, Occasion::News);
        }
        if is_reversed {
            self.tell_of_reversal(id);
        }
    }

    /// Retracts a destination on the link that it is reached over.
    pub(super) fn tell_of_reversal(&mut self, id: DestinationId) {
        if let Some(taken) = self.link_taken(id) {
            self.tell_link(taken, id, Occasion::Withdrawal);
        }
    }

    /// Queues an update on a link with split horizon, if somebody is heard there.
    fn tell_link(&mut self, link: u32, id: DestinationId, occasion: Occasion) {
        let mut neighbours = self.neighbours.on(link);
        if neighbours.any(|(_, neighbour)| neighbour.cost != u16::MAX)
            && let Some(interface) = self.interfaces.get_mut(&link)
            && interface.link.settings.split_horizon == SplitHorizon::On
        {
            interface.outbox.queue(id, occasion);
        }
    }

    /// Looks again at what a neighbour costs, and at its routes if that changed.
    pub(super) fn recost(
        &mut self,
        id: NeighbourId,
        step: Step,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbour) = self.neighbours.get_mut(id) else { return };
        let Some(interface) = self.interfaces.get(&neighbour.interface) else { return };
        let cost = neighbour.measured_cost(&interface.link.settings, now);
        let is_other = match step {
            Step::Any => cost != neighbour.cost,
            Step::Clear => neighbour.is_other_cost(cost),
        };
        if !is_other {
            return;
        }
        self.version += 1;
        let before = std::mem::replace(&mut neighbour.cost, cost);
        let (name, address) = (interface.link.name.clone(), neighbour.address);
        if before == u16::MAX {
            neighbour.plan_dump(now);
            out.push(Output::Notice(Notice::NeighbourUp { interface: name, address, cost }));
            self.request_table(id);
            self.run_dumps(now);
        } else if cost == u16::MAX {
            neighbour.greetings = neighbour.greetings.max(1);
            out.push(Output::Notice(Notice::NeighbourDown { interface: name, address }));
        }
        let offered: Vec<DestinationId> = self.table.offered_by(id).collect();
        for destination in offered {
            self.touch(destination);
        }
    }
}

/// Where packets are sent; `None` if there is no route.
fn next_hop(route: Kernel, neighbours: &Neighbours) -> Option<NextHop> {
    match route {
        Kernel::Absent => None,
        Kernel::Unreachable => Some(NextHop::Unreachable),
        Kernel::Via(neighbour, place) => neighbours.get(neighbour).map(|neighbour| NextHop::Via {
            address: neighbour.next_hop(place),
            interface: neighbour.interface,
        }),
    }
}

/// What the kernel should have; a destination that was just lost is refused for a while.
fn wanted(table: &mut Table, id: DestinationId, now: Instant) -> Kernel {
    let via = table
        .selected_route(id)
        .map(|(neighbour, route)| Kernel::Via(neighbour, route.offer.next_hop));
    let Some(entry) = table.get_mut(id) else { return Kernel::Absent };
    if entry.local.is_some() {
        entry.held_until = None;
        return Kernel::Absent;
    }
    if let Some(via) = via {
        // Whoever heard of the loss, and not of the way that is there again, would wait for the next table.
        if entry.held_until.take().is_some() {
            entry.repeat_reversal(now);
            let due = entry.repeat_news(now);
            table.schedule(id, due);
        }
        return via;
    }
    let is_new = entry.held_until.is_none() && entry.said.is_reachable();
    if is_new {
        entry.held_until = Some(Tick::at(now + HOLD));
        entry.repeat_news(now);
    }
    entry.held_until = entry.held_until.filter(|until| until.instant() > now);
    let wanted = match entry.kernel {
        // What was our own is not refused: it may still be ours, only no longer announced.
        Kernel::Via(..) | Kernel::Unreachable if entry.held_until.is_some() => Kernel::Unreachable,
        _ => Kernel::Absent,
    };
    if is_new {
        table.schedule(id, now + Repeat::AFTER);
    }
    wanted
}

/// Whether a metric moved so far that neighbours should not wait for the next full table.
const fn is_far(metric: u16, said: u16) -> bool {
    metric.abs_diff(said) > said / 8 && metric.abs_diff(said) >= 32
}

/// How long packets to a lost destination are refused (RFC 8966 §2.8 and §3.5.4).
const HOLD: Duration = Duration::from_secs(90);
/// How many routers a request of ours may pass.
const HOPS_MAX: u8 = 127;
