//! The table: for each destination all that is known of it, found by one look-up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::proto::babel::destination::Destination;
use crate::proto::babel::neighbour::NeighbourId;
use crate::proto::babel::route::Route;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::source::Sources;
use crate::proto::limits;
use crate::proto::time::{Instant, earliest};

/// A destination's place in the table; free for another once it is forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DestinationId(u32);

/// All that is known of one destination.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The destination.
    pub destination: Destination,
    /// The metric with which we originate it; `None` if we do not.
    pub local: Option<u16>,
    /// What neighbours offer, at most one offer each.
    pub routes: Vec<Route>,
    /// What we ever announced.
    pub sources: Sources,
    /// Whose offer is taken.
    pub selected: Option<NeighbourId>,
    /// Since when another offer is better than the one taken.
    pub better_since: Option<Instant>,
    /// What the kernel has.
    pub kernel: Kernel,
    /// What neighbours were told last.
    pub said: Said,
    /// Lost: until then packets to it are refused.
    pub held_until: Option<Instant>,
    /// When its loss is said once more, in case the first time was not heard.
    pub repeat_at: Option<Instant>,
    /// Whether it waits to be looked at in this turn.
    pub is_touched: bool,
    /// Whether it waits to be announced.
    pub is_triggered: bool,
    wake: Option<Instant>,
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

/// What neighbours were told last of a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Nothing, or everything that was said is forgotten.
    Nothing,
    /// That it can be reached through us.
    Reachable {
        /// Who originates it.
        router_id: RouterId,
        /// How far it is.
        metric: u16,
    },
    /// That it no longer can.
    Retracted,
}

impl Entry {
    fn new(destination: Destination) -> Self {
        Self {
            destination,
            local: None,
            routes: Vec::new(),
            sources: Sources::default(),
            selected: None,
            better_since: None,
            kernel: Kernel::Absent,
            said: Said::Nothing,
            held_until: None,
            repeat_at: None,
            is_touched: false,
            is_triggered: false,
            wake: None,
        }
    }

    /// The offer of one neighbour.
    pub fn route(&self, neighbour: NeighbourId) -> Option<&Route> {
        self.routes.iter().find(|route| route.neighbour == neighbour)
    }

    /// The offer of one neighbour, to be changed.
    pub fn route_mut(&mut self, neighbour: NeighbourId) -> Option<&mut Route> {
        self.routes.iter_mut().find(|route| route.neighbour == neighbour)
    }

    /// The offer that is taken.
    pub fn selected_route(&self) -> Option<&Route> {
        self.route(self.selected?)
    }

    /// Whether taking this offer cannot cause a loop.
    pub fn is_feasible(&self, route: &Route) -> bool {
        self.sources.is_feasible(route.router_id, route.seqno, route.refmetric)
    }

    /// Whether nothing needs to be remembered of it.
    pub const fn is_empty(&self) -> bool {
        self.local.is_none()
            && self.routes.is_empty()
            && self.sources.is_empty()
            && self.held_until.is_none()
            && matches!(self.kernel, Kernel::Absent)
            && !self.is_touched
            && !self.is_triggered
    }

    fn deadline(&self) -> Option<Instant> {
        let routes = self.routes.iter().map(Route::deadline).min();
        let held = earliest(self.held_until, self.repeat_at);
        earliest(earliest(routes, self.sources.deadline()), held)
    }
}

/// All destinations.
#[derive(Clone, Default, Debug)]
pub struct Table {
    entries: Vec<Option<Entry>>,
    by_destination: HashMap<Destination, DestinationId>,
    free: Vec<DestinationId>,
    /// When each entry is to be looked at; refreshed routes leave it as it is, too early is harmless.
    wakes: BinaryHeap<Reverse<(Instant, DestinationId)>>,
}

impl Table {
    /// The place of a destination, if anything is known of it.
    pub fn find(&self, destination: &Destination) -> Option<DestinationId> {
        self.by_destination.get(destination).copied()
    }

    /// The place of a destination, a new one if need be; `None` if the table is full.
    pub fn find_or_add(&mut self, destination: Destination) -> Option<DestinationId> {
        if let Some(id) = self.find(&destination) {
            return Some(id);
        }
        if self.by_destination.len() >= limits::BABEL_DESTINATIONS_MAX {
            return None;
        }
        let entry = Some(Entry::new(destination));
        let id = if let Some(id) = self.free.pop() {
            self.entries[id.0 as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            DestinationId(u32::try_from(self.entries.len() - 1).ok()?)
        };
        self.by_destination.insert(destination, id);
        Some(id)
    }

    /// Forgets a destination if nothing needs to be remembered of it.
    pub fn forget_if_empty(&mut self, id: DestinationId) {
        let place = &mut self.entries[id.0 as usize];
        if let Some(entry) = place.take_if(|entry| entry.is_empty()) {
            self.by_destination.remove(&entry.destination);
            self.free.push(id);
        }
    }

    /// What is known of a destination.
    pub fn get(&self, id: DestinationId) -> Option<&Entry> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    /// What is known of a destination, to be changed.
    pub fn get_mut(&mut self, id: DestinationId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (DestinationId, &Entry)> {
        let id = |place: usize| DestinationId(u32::try_from(place).unwrap_or(u32::MAX));
        let places = self.entries.iter().enumerate();
        places.filter_map(move |(place, entry)| Some((id(place), entry.as_ref()?)))
    }

    /// All, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (DestinationId, &mut Entry)> {
        let id = |place: usize| DestinationId(u32::try_from(place).unwrap_or(u32::MAX));
        let places = self.entries.iter_mut().enumerate();
        places.filter_map(move |(place, entry)| Some((id(place), entry.as_mut()?)))
    }

    /// Makes sure that an entry is looked at when something of it is due, and by `also` at the latest.
    pub fn schedule(&mut self, id: DestinationId, also: Option<Instant>) {
        let Some(entry) = self.entries[id.0 as usize].as_mut() else { return };
        let Some(due) = earliest(entry.deadline(), also) else { return };
        if entry.wake.is_none_or(|wake| due < wake) {
            entry.wake = Some(due);
            self.wakes.push(Reverse((due, id)));
        }
    }

    /// An entry that is to be looked at by now. It must be scheduled again afterwards.
    pub fn next_due(&mut self, now: Instant) -> Option<DestinationId> {
        loop {
            let &Reverse((due, id)) = self.wakes.peek()?;
            if due > now {
                return None;
            }
            self.wakes.pop();
            // A later look was replaced by an earlier one, or the place has another destination now.
            if let Some(entry) = self.get_mut(id).filter(|entry| entry.wake == Some(due)) {
                entry.wake = None;
                return Some(id);
            }
        }
    }

    /// When the next entry is to be looked at.
    pub fn deadline(&self) -> Option<Instant> {
        self.wakes.peek().map(|&Reverse((due, _))| due)
    }
}
