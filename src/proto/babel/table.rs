//! The table: for each destination all that is known of it, found by one look-up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table;

use crate::proto::babel::column::Column;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::entry::{Entry, Kernel};
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::route::{Offer, Route};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::routers::{RouterIndex, Routers};
use crate::proto::babel::tick::Tick;
use crate::proto::limits;
use crate::proto::time::{Instant, earliest};

/// All destinations, and what neighbours offer for them.
#[derive(Clone, Default, Debug)]
pub struct Table {
    entries: Vec<Option<Entry>>,
    by_destination: HashTable<DestinationId>,
    hasher: RandomState,
    free: Vec<DestinationId>,
    /// What each neighbour offers, by its place.
    columns: Vec<Column>,
    routers: Routers,
    /// When each entry is to be looked at; refreshed routes leave it as it is, too early is harmless.
    wakes: BinaryHeap<Reverse<(Tick, DestinationId)>>,
    /// Counts the destinations that came and went.
    changes: u64,
}

/// All destinations in the order in which they are announced.
#[derive(Debug)]
pub struct Order {
    /// What [`Table::changes`] said when they were sorted.
    pub changes: u64,
    /// Their places.
    pub ids: Arc<[DestinationId]>,
}

impl Table {
    /// The place of a destination, if anything is known of it.
    pub fn find(&self, destination: &Destination) -> Option<DestinationId> {
        let hash = self.hasher.hash_one(destination);
        self.by_destination.find(hash, |&id| is_of(&self.entries, id, destination)).copied()
    }

    /// The place of a destination that a neighbour names, a new one if need be; `None` if the table is
    /// full.
    pub fn find_or_add_for(
        &mut self,
        neighbour: NeighbourId,
        destination: Destination,
    ) -> Option<DestinationId> {
        let expected = self.column(neighbour).map(|column| column.next);
        let expected = expected.filter(|&id| is_of(&self.entries, id, &destination));
        let id = match expected {
            Some(id) => id,
            None => self.find_or_add(destination, limits::BABEL_DESTINATIONS_MAX)?,
        };
        self.column_mut(neighbour).next = id.next();
        Some(id)
    }

    /// The place of a destination, a new one if need be; `None` if there are as many as there may be.
    pub fn find_or_add(
        &mut self,
        destination: Destination,
        destinations_max: usize,
    ) -> Option<DestinationId> {
        let Self { entries, by_destination, hasher, free, .. } = self;
        let hash = hasher.hash_one(destination);
        let known = by_destination.len();
        let found = by_destination.entry(
            hash,
            |&id| is_of(entries, id, &destination),
            |id| hash_of(hasher, entries, *id),
        );
        let vacant = match found {
            hash_table::Entry::Occupied(occupied) => return Some(*occupied.get()),
            hash_table::Entry::Vacant(_) if known >= destinations_max => return None,
            hash_table::Entry::Vacant(vacant) => vacant,
        };
        let id = match free.pop() {
            Some(id) => id,
            None => DestinationId::new(entries.len())?,
        };
        vacant.insert(id);
        if id.place() == entries.len() {
            entries.push(None);
        }
        entries[id.place()] = Some(Entry::new(destination));
        self.changes += 1;
        Some(id)
    }

    /// Forgets a destination if nothing needs to be remembered of it; whether it did.
    pub fn forget_if_empty(&mut self, id: DestinationId) -> bool {
        let empty = self.get(id).filter(|entry| entry.is_empty());
        let Some(destination) = empty.map(|entry| entry.destination) else { return false };
        let hash = self.hasher.hash_one(destination);
        if let Ok(found) = self.by_destination.find_entry(hash, |&known| known == id) {
            found.remove();
        }
        self.entries[id.place()] = None;
        self.free.push(id);
        self.changes += 1;
        true
    }

    /// What is known of a destination.
    pub fn get(&self, id: DestinationId) -> Option<&Entry> {
        self.entries.get(id.place())?.as_ref()
    }

    /// What is known of a destination, to be changed.
    pub fn get_mut(&mut self, id: DestinationId) -> Option<&mut Entry> {
        self.entries.get_mut(id.place())?.as_mut()
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (DestinationId, &Entry)> {
        let places = self.entries.iter().enumerate();
        places.filter_map(|(place, entry)| Some((DestinationId::new(place)?, entry.as_ref()?)))
    }

    /// How many destinations there are.
    pub fn len(&self) -> usize {
        self.by_destination.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_destination.is_empty()
    }

    /// Whether there is room for many more that neighbours name.
    pub fn has_emptied(&self) -> bool {
        self.len() < limits::BABEL_DESTINATIONS_MAX / 8 * 7
    }

    /// A number that changes whenever a destination comes or goes.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    fn column(&self, neighbour: NeighbourId) -> Option<&Column> {
        self.columns.get(neighbour.place())
    }

    fn column_mut(&mut self, neighbour: NeighbourId) -> &mut Column {
        let place = neighbour.place();
        if self.columns.len() <= place {
            self.columns.resize_with(place + 1, Column::default);
        }
        &mut self.columns[place]
    }

    /// What one neighbour offers for a destination.
    pub fn route(&self, id: DestinationId, neighbour: NeighbourId) -> Option<&Route> {
        self.column(neighbour)?.get(id)
    }

    /// What is taken for a destination, and whose offer it is.
    pub fn selected_route(&self, id: DestinationId) -> Option<(NeighbourId, &Route)> {
        let neighbour = self.get(id)?.selected?;
        Some((neighbour, self.route(id, neighbour)?))
    }

    /// All that is offered for a destination.
    pub fn routes(&self, id: DestinationId) -> impl Iterator<Item = (NeighbourId, &Route)> {
        let count = self.get(id).map_or(0, |entry| entry.offers);
        let offers =
            self.columns.iter().enumerate().filter_map(move |(place, column)| {
                Some((NeighbourId::new(place)?, column.get(id)?))
            });
        // Of many neighbours, perhaps only the first offers it.
        offers.take(count as usize)
    }

    /// All that a neighbour offers something for, retracted offers included.
    pub fn offered_by(&self, neighbour: NeighbourId) -> impl Iterator<Item = DestinationId> {
        self.column(neighbour).into_iter().flat_map(Column::iter).map(|(id, _)| id)
    }

    /// All that a neighbour offers something for that it did not take back.
    pub fn standing_of(&self, neighbour: NeighbourId) -> impl Iterator<Item = DestinationId> {
        self.column(neighbour).into_iter().flat_map(Column::standing)
    }

    /// The places of a neighbour's next hops that offers of it name, or routes that the kernel has.
    pub fn next_hops_of(&self, neighbour: NeighbourId) -> [bool; limits::BABEL_NEXT_HOPS_MAX] {
        let offers = self.column(neighbour).into_iter().flat_map(Column::iter);
        let offered = offers.map(|(_, route)| route.offer.next_hop);
        let installed = self.entries.iter().flatten().filter_map(|entry| match entry.kernel {
            Kernel::Via(via, place) if via == neighbour => Some(place),
            Kernel::Via(..) | Kernel::Absent | Kernel::Unreachable => None,
        });
        let mut used = [false; limits::BABEL_NEXT_HOPS_MAX];
        offered.chain(installed).for_each(|place| used[usize::from(place)] = true);
        used
    }

    /// A neighbour says what it said before: the offer holds until `expires`. Whether that is so.
    pub fn repeat(
        &mut self,
        id: DestinationId,
        neighbour: NeighbourId,
        said: &Offer<RouterId>,
        expires: Tick,
    ) -> bool {
        let column = self.columns.get_mut(neighbour.place());
        let Some(route) = column.and_then(|column| column.get_mut(id)) else { return false };
        let Offer { router, next_hop, seqno, refmetric } = route.offer;
        let is_same = (seqno, refmetric, next_hop) == (said.seqno, said.refmetric, said.next_hop)
            && self.routers.id(router) == said.router;
        if is_same {
            let is_sooner = expires < std::mem::replace(&mut route.expires, expires);
            if is_sooner {
                self.schedule(id, expires.instant());
            }
        }
        is_same
    }

    /// Notes what a neighbour offers.
    pub fn put_route(
        &mut self,
        id: DestinationId,
        neighbour: NeighbourId,
        route: Route,
        now: Instant,
    ) {
        if self.column_mut(neighbour).put(id, route).is_none()
            && let Some(entry) = self.get_mut(id)
        {
            entry.offers += 1;
        }
        self.schedule(id, route.due(now));
    }

    /// A neighbour takes an offer back; whether there was one.
    pub fn retract(&mut self, id: DestinationId, neighbour: NeighbourId, now: Instant) -> bool {
        let column = self.columns.get_mut(neighbour.place());
        let Some(expires) = column.and_then(|column| column.retract(id, now)) else { return false };
        self.schedule(id, expires.instant());
        true
    }

    /// Forgets all that a neighbour offers; for what that was.
    pub fn remove_routes_of(&mut self, neighbour: NeighbourId) -> Vec<DestinationId> {
        let column = std::mem::take(self.column_mut(neighbour));
        let offered: Vec<DestinationId> = column.iter().map(|(id, _)| id).collect();
        for &id in &offered {
            if let Some(entry) = self.get_mut(id) {
                entry.offers -= 1;
            }
        }
        offered
    }

    /// Retracts offers of a destination that were not repeated, and forgets retracted ones after a while.
    pub fn expire_routes(&mut self, id: DestinationId, now: Instant) {
        let Self { columns, entries, .. } = self;
        let Some(entry) = entries.get_mut(id.place()).and_then(Option::as_mut) else { return };
        for column in columns {
            let Some(route) = column.get(id) else { continue };
            if route.expires.instant() > now {
                continue;
            }
            if route.is_retracted() {
                column.remove(id);
                entry.offers -= 1;
            } else {
                column.retract(id, now);
            }
        }
    }

    /// The place of a router-id, a new one if need be; `None` if there are too many.
    pub fn intern(&mut self, router_id: RouterId) -> Option<RouterIndex> {
        if self.routers.is_due() {
            let offers = self.columns.iter().flat_map(Column::iter);
            let offered = offers.map(|(_, route)| route.offer.router);
            let entries = self.entries.iter().flatten();
            self.routers.keep(offered.chain(entries.flat_map(Entry::routers)));
        }
        self.routers.intern(router_id)
    }

    /// The same for an offer of a neighbour, which mostly names whom it named before.
    pub fn intern_for(
        &mut self,
        id: DestinationId,
        neighbour: NeighbourId,
        router_id: RouterId,
    ) -> Option<RouterIndex> {
        let before = self.route(id, neighbour).map(|route| route.offer.router);
        let same = before.filter(|&router| self.routers.id(router) == router_id);
        same.or_else(|| self.intern(router_id))
    }

    /// The router-id at a place that a route or an entry names.
    pub fn router_id(&self, router: RouterIndex) -> RouterId {
        self.routers.id(router)
    }

    /// Whether somebody offers, or we announced, a destination in that router-id's name.
    pub fn names(&self, id: DestinationId, router_id: RouterId) -> bool {
        let offered = self.routes(id).map(|(_, route)| route.offer.router);
        let announced = self.get(id).into_iter().flat_map(Entry::routers);
        offered.chain(announced).any(|router| self.routers.id(router) == router_id)
    }

    /// Makes sure that an entry is looked at by then.
    pub fn schedule(&mut self, id: DestinationId, due: Instant) {
        let due = Tick::at(due);
        if let Some(entry) = self.entries.get_mut(id.place()).and_then(Option::as_mut)
            && entry.wake.is_none_or(|wake| due < wake)
        {
            entry.wake = Some(due);
            self.wakes.push(Reverse((due, id)));
            self.forget_replaced_wakes();
        }
    }

    /// Looks that were replaced by earlier ones go when their time comes. Whoever shortens an expiry again and
    /// again makes many of them: there may be as many as entries.
    fn forget_replaced_wakes(&mut self) {
        if self.wakes.len() > 2 * self.len() + Self::WAKES_SPARE {
            let wake = |(id, entry): (_, &Entry)| entry.wake.map(|due| Reverse((due, id)));
            self.wakes = self.iter().filter_map(wake).collect();
        }
    }

    /// Makes sure that an entry is looked at when something of it is due.
    pub fn schedule_all(&mut self, id: DestinationId, now: Instant) {
        let routes = self.routes(id).map(|(_, route)| route.due(now)).min();
        let own = self.get(id).and_then(Entry::deadline);
        if let Some(due) = earliest(routes, own) {
            self.schedule(id, due);
        }
    }

    /// An entry that is to be looked at by now. It must be scheduled again afterwards.
    pub fn next_due(&mut self, now: Instant) -> Option<DestinationId> {
        loop {
            let &Reverse((due, id)) = self.wakes.peek()?;
            if due.instant() > now {
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

    /// So many looks are too few to be worth a tidying.
    const WAKES_SPARE: usize = 64;

    /// When the next entry is to be looked at.
    pub fn deadline(&self) -> Option<Instant> {
        self.wakes.peek().map(|&Reverse((due, _))| due.instant())
    }
}

fn is_of(entries: &[Option<Entry>], id: DestinationId, destination: &Destination) -> bool {
    let entry = entries.get(id.place()).and_then(Option::as_ref);
    entry.is_some_and(|entry| entry.destination == *destination)
}

fn hash_of(hasher: &RandomState, entries: &[Option<Entry>], id: DestinationId) -> u64 {
    let entry = entries[id.place()].as_ref().expect("a place that is in the index is not free");
    hasher.hash_one(entry.destination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::neighbour::Neighbours;
    use crate::proto::cidr::Cidr;

    #[test]
    fn whoever_shortens_an_expiry_again_and_again_takes_no_memory() {
        let mut table = Table::default();
        let destination = Destination::from_anywhere(Cidr::IPV6_DEFAULT);
        let id = table.find_or_add(destination, 1).unwrap();
        let router = table.intern(RouterId::new([1; 8]).unwrap()).unwrap();
        let second = |number: u64| Instant::ZERO + std::time::Duration::from_secs(number);
        for number in 1..10_000 {
            let offer = Offer { router, next_hop: 0, seqno: 1, refmetric: 96 };
            let route = Route { offer, expires: Tick::at(second(20_000 - number)) };
            table.put_route(id, Neighbours::test_id(), route, Instant::ZERO);
        }
        assert!(table.wakes.len() <= 2 + Table::WAKES_SPARE, "{}", table.wakes.len());
        assert_eq!(table.next_due(second(10_001)), Some(id), "the last one counts");
        assert_eq!(table.next_due(second(30_000)), None);
    }
}
