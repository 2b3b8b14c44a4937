//! What is known of one destination, apart from what neighbours offer for it.

use std::time::Duration;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::places::NeighbourId;
use crate::proto::babel::route::Route;
use crate::proto::babel::routers::RouterIndex;
use crate::proto::babel::source::Sources;
use crate::proto::babel::tick::Tick;
use crate::proto::time::{Instant, earliest};

/// What is known of one destination.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The destination.
    pub destination: Destination,
    /// The metric with which we originate it; `None` if we do not.
    pub local: Option<u16>,
    /// How many neighbours offer it.
    pub offers: u32,
    /// What we ever announced.
    pub sources: Sources,
    /// Whose offer is taken.
    pub selected: Option<NeighbourId>,
    /// Since when another offer is better than the one taken.
    pub better_since: Option<Tick>,
    /// When an offer was last left for a better one.
    pub changed_mind_at: Option<Tick>,
    /// What the kernel has.
    pub kernel: Kernel,
    /// What neighbours were told last.
    pub said: Said,
    /// Lost: until then packets to it are refused.
    pub held_until: Option<Tick>,
    /// What is said once more, in case the first time was not heard, and when.
    pub repeat: Option<Repeat>,
    /// When it is looked at next.
    pub wake: Option<Tick>,
    /// Whether it waits to be looked at in this turn.
    pub is_touched: bool,
    /// Whether it waits to be announced.
    pub is_triggered: bool,
}

/// What the kernel has for a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// Nothing.
    Absent,
    /// A route to one of a neighbour's next hops.
    Via(NeighbourId, u8),
    /// A route that refuses packets.
    Unreachable,
}

/// What is said once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeat {
    /// When.
    pub at: Tick,
    /// Its loss, its new originator, or that it is there again, on every link.
    pub is_news: bool,
    /// That it is not to be reached through us, on the link that it is reached over.
    pub is_reversal: bool,
    /// Whether it was said once more already.
    pub is_second: bool,
}

impl Repeat {
    /// When a loss, another originator, a way that is there again or a reversal is said again.
    pub const AFTER: Duration = Duration::from_millis(900);
    /// When it is said for the third time, where much gets lost.
    pub const SECOND_AFTER: Duration = Duration::from_millis(2700);
}

/// What neighbours were told last of a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Nothing, or everything that was said is forgotten.
    Nothing,
    /// That it can be reached through us.
    Reachable {
        /// Who originates it.
        router: RouterIndex,
        /// How far it is.
        metric: u16,
    },
    /// That it no longer can.
    Retracted,
}

impl Said {
    /// Whether neighbours may count on us for it.
    pub const fn is_reachable(self) -> bool {
        matches!(self, Self::Reachable { .. })
    }
}

impl Entry {
    /// Of a destination of which nothing is known yet.
    pub fn new(destination: Destination) -> Self {
        Self {
            destination,
            local: None,
            offers: 0,
            sources: Sources::default(),
            selected: None,
            better_since: None,
            changed_mind_at: None,
            kernel: Kernel::Absent,
            said: Said::Nothing,
            held_until: None,
            repeat: None,
            wake: None,
            is_touched: false,
            is_triggered: false,
        }
    }

    /// Plans to say once more to everyone what was just said; when.
    pub fn repeat_news(&mut self, now: Instant) -> Instant {
        let at = now + Repeat::AFTER;
        let is_reversal = self.repeat.is_some_and(|repeat| repeat.is_reversal);
        let news = Repeat { at: Tick::at(at), is_news: true, is_reversal, is_second: false };
        self.repeat = Some(news);
        at
    }

    /// Plans to retract it once more on the link that it is reached over; when.
    pub fn repeat_reversal(&mut self, now: Instant) -> Instant {
        let at = now + Repeat::AFTER;
        let none = Repeat { at: Tick::at(at), is_news: false, is_reversal: true, is_second: false };
        let repeat = self.repeat.get_or_insert(none);
        repeat.is_reversal = true;
        repeat.at.instant()
    }

    /// Whether taking this offer cannot cause a loop.
    pub fn is_feasible(&self, route: &Route) -> bool {
        let offer = &route.offer;
        self.sources.is_feasible(offer.router, offer.seqno, offer.refmetric)
    }

    /// Whether nothing needs to be remembered of it.
    pub fn is_empty(&self) -> bool {
        self.local.is_none()
            && self.offers == 0
            && self.sources.is_empty()
            && self.held_until.is_none()
            && self.kernel == Kernel::Absent
            && !self.is_touched
            && !self.is_triggered
    }

    /// When something is due, its offers apart.
    pub fn deadline(&self) -> Option<Instant> {
        let held = earliest(
            self.held_until.map(Tick::instant),
            self.repeat.map(|repeat| repeat.at.instant()),
        );
        earliest(self.sources.deadline(), held)
    }

    /// The router-ids that it names.
    pub fn routers(&self) -> impl Iterator<Item = RouterIndex> {
        let said = match self.said {
            Said::Reachable { router, .. } => Some(router),
            Said::Nothing | Said::Retracted => None,
        };
        self.sources.routers().chain(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small_because_there_are_many() {
        assert!(size_of::<Option<Entry>>() <= 120, "{}", size_of::<Option<Entry>>());
    }
}
