//! What a router does because time passed.

use crate::proto::babel::entry::{Kernel, Repeat, Said};
use crate::proto::babel::event::Output;
use crate::proto::babel::neighbour::Step;
use crate::proto::babel::pending::Due;
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::requests::RouteRequest;
use crate::proto::babel::router::Router;
use crate::proto::babel::tick::Tick;
use crate::proto::limits;
use crate::proto::time::Instant;

impl Router {
    /// Does all that is due.
    pub(super) fn upkeep(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.check_neighbours(now, out);
        let indices: Vec<u32> = self.interfaces.keys().copied().collect();
        let is_hello_due = self.interfaces.values().any(|interface| interface.hello_at <= now);
        for index in indices {
            let Some(interface) = self.interfaces.get(&index) else { continue };
            let table = interface.update_at <= now;
            // Awake for one link, a router says Hello on the others as well: most of what a Hello costs is
            // to wake up for it.
            if is_hello_due && interface.may_say_hello(now) {
                self.say_hello(index, now);
            }
            if table {
                self.say_table(index, now);
            }
        }
        self.run_dumps(now);
        while let Some(id) = self.table.next_due(now) {
            self.check_entry(id, now);
        }
        while let Some(due) = self.pending.next_due(now) {
            match due {
                Due::Repeat(id, request) => self.repeat_request(id, request),
                Due::Forward(id, request, asker) => {
                    if let Some(next) = self.towards(id, asker) {
                        self.request_seqno(Some(next), request);
                    }
                }
                Due::GivenUp(id) => self.ask_again_if_starving(id, now),
            }
        }
        if self.trigger_at.is_some_and(|at| at <= now) {
            // What was found in this turn is announced in this turn.
            self.settle(now, out);
            self.run_triggers();
        }
    }

    /// Nobody answered. With no route at all that may not be the end: whoever could answer may not have
    /// known of a way then.
    fn ask_again_if_starving(&mut self, id: DestinationId, now: Instant) {
        self.table.schedule_all(id, now);
        if self.table.get(id).is_some_and(|entry| entry.selected.is_none()) {
            self.touch(id);
        }
    }

    fn check_neighbours(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due: Vec<NeighbourId> = self
            .neighbours
            .iter()
            .filter(|(_, neighbour)| neighbour.deadline().is_some_and(|due| due <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            let Some(neighbour) = self.neighbours.get_mut(id) else { continue };
            let missed = [neighbour.multicast.expire(now), neighbour.unicast.expire(now)];
            for missed in missed {
                neighbour.loss.lose(missed.0);
                self.version += u64::from(missed.0);
            }
            if neighbour.txcost_until.is_some_and(|until| until <= now) {
                neighbour.txcost_until = None;
                neighbour.txcost = u16::MAX;
            }
            if neighbour.is_gone(now) {
                self.forget_neighbour(id, out);
            } else {
                self.recost(id, Step::Clear, now, out);
            }
        }
    }

    /// Lets go what expired of a destination.
    fn check_entry(&mut self, id: DestinationId, now: Instant) {
        self.ask_before_expiry(id, now);
        self.table.expire_routes(id, now);
        let is_over = |at: Option<Tick>| at.is_some_and(|at| at.instant() <= now);
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.sources.expire(now);
        let repeat = entry.repeat.filter(|repeat| is_over(Some(repeat.at)));
        if let Some(repeat) = repeat {
            let at = Tick::at(now + Repeat::SECOND_AFTER);
            let is_once_more = !repeat.is_second && self.neighbours.is_any_lossy();
            entry.repeat = is_once_more.then_some(Repeat { at, is_second: true, ..repeat });
        }
        if is_over(entry.held_until) {
            // Everyone who listens has heard it by now.
            (entry.held_until, entry.said) = (None, Said::Nothing);
        }
        if repeat.is_some_and(|repeat| repeat.is_news) {
            self.trigger(id, now);
        }
        if repeat.is_some_and(|repeat| repeat.is_reversal) {
            self.tell_of_reversal(id);
        }
        if repeat.is_some_and(|repeat| repeat.is_second) {
            self.ask_for_lost(id);
        }
        self.table.schedule_all(id, now);
        self.touch(id);
    }

    /// Where much gets lost, that a way is there again may have been lost as well: everyone is asked, as far as
    /// a burst of packets goes.
    fn ask_for_lost(&mut self, id: DestinationId) {
        let lost = self.table.get(id).filter(|entry| entry.kernel == Kernel::Unreachable);
        let Some(destination) = lost.map(|entry| entry.destination) else { return };
        let request = RouteRequest { destination: Some(destination) };
        for (&index, interface) in &mut self.interfaces {
            let composer = &mut interface.outbox.composer;
            if self.neighbours.on(index).next().is_some()
                && composer.full() < limits::BABEL_BURST_PACKETS
            {
                composer.put(RouteRequest::TYPE, |body| request.put(body));
            }
        }
    }

    /// What is taken and was not repeated for long is asked for, as far as a burst of packets goes: its
    /// updates may have been lost (RFC 8966 §3.8.2.3).
    fn ask_before_expiry(&mut self, id: DestinationId, now: Instant) {
        let Some((neighbour, route)) = self.table.selected_route(id) else { return };
        let Some(entry) = self.table.get(id).filter(|_| route.is_ending(now)) else { return };
        let request = RouteRequest { destination: Some(entry.destination) };
        if let Some(neighbour) = self.neighbours.get_mut(neighbour)
            && neighbour.outbox.composer.full() < limits::BABEL_BURST_PACKETS
        {
            neighbour.outbox.composer.put(RouteRequest::TYPE, |body| request.put(body));
        }
    }
}
