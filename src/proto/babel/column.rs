//! All that one neighbour offers, by the place of the destination.
//!
//! Neighbours offer mostly the same destinations, so an offer needs neither its neighbour nor its
//! destination written beside it. A page is made for 64 places where the first is needed: a neighbour
//! that offers little costs little.

use crate::proto::babel::places::DestinationId;
use crate::proto::babel::route::Route;
use crate::proto::babel::tick::Tick;
use crate::proto::time::Instant;

/// One neighbour's offers.
#[derive(Clone, Default, Debug)]
pub struct Column {
    pages: Vec<Option<Box<Page>>>,
    /// How many offers of each page were not taken back.
    standing: Vec<u8>,
    /// The place after the one that was named last: tables come in the same order every time.
    pub next: DestinationId,
}

#[derive(Clone, Debug)]
struct Page {
    used: usize,
    routes: [Option<Route>; PLACES],
}

impl Column {
    /// What is offered for a destination.
    pub fn get(&self, id: DestinationId) -> Option<&Route> {
        self.pages.get(id.place() / PLACES)?.as_ref()?.routes[id.place() % PLACES].as_ref()
    }

    /// What is offered for a destination, to be kept until another time.
    pub fn get_mut(&mut self, id: DestinationId) -> Option<&mut Route> {
        self.pages.get_mut(id.place() / PLACES)?.as_mut()?.routes[id.place() % PLACES].as_mut()
    }

    /// Notes an offer; the one in its place before.
    pub fn put(&mut self, id: DestinationId, route: Route) -> Option<Route> {
        let number = id.place() / PLACES;
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
            self.standing.resize(number + 1, 0);
        }
        self.standing[number] += u8::from(!route.is_retracted());
        let page = self.pages[number].get_or_insert_with(Page::empty);
        let before = page.routes[id.place() % PLACES].replace(route);
        page.used += usize::from(before.is_none());
        self.standing[number] -= u8::from(before.is_some_and(|before| !before.is_retracted()));
        before
    }

    /// Takes back an offer that stands; until when that is remembered.
    pub fn retract(&mut self, id: DestinationId, now: Instant) -> Option<Tick> {
        let route = self.get_mut(id).filter(|route| !route.is_retracted())?;
        route.retract(now);
        let expires = route.expires;
        self.standing[id.place() / PLACES] -= 1;
        Some(expires)
    }

    /// Forgets an offer; what it was.
    pub fn remove(&mut self, id: DestinationId) -> Option<Route> {
        let place = self.pages.get_mut(id.place() / PLACES)?;
        let page = place.as_mut()?;
        let before = page.routes[id.place() % PLACES].take()?;
        page.used -= 1;
        if page.used == 0 {
            *place = None;
        }
        self.standing[id.place() / PLACES] -= u8::from(!before.is_retracted());
        Some(before)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (DestinationId, &Route)> {
        (0..self.pages.len()).flat_map(|number| self.page(number))
    }

    /// Those that were not taken back; pages without any are not looked into.
    pub fn standing(&self) -> impl Iterator<Item = DestinationId> {
        let numbers = self.standing.iter().enumerate().filter(|&(_, &count)| count > 0);
        let routes = numbers.flat_map(|(number, _)| self.page(number));
        routes.filter(|(_, route)| !route.is_retracted()).map(|(id, _)| id)
    }

    fn page(&self, number: usize) -> impl Iterator<Item = (DestinationId, &Route)> {
        let routes = self.pages[number].iter().flat_map(|page| page.routes.iter().enumerate());
        routes.filter_map(move |(at, route)| {
            Some((DestinationId::new(number * PLACES + at)?, route.as_ref()?))
        })
    }
}

impl Page {
    fn empty() -> Box<Self> {
        Box::new(Self { used: 0, routes: [None; PLACES] })
    }
}

/// Offers on one page.
const PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::route::Offer;
    use crate::proto::babel::router_id::RouterId;
    use crate::proto::babel::routers::Routers;

    #[test]
    fn offers_are_found_where_they_were_put_and_pages_come_and_go() {
        let router = Routers::default().intern(RouterId::new([1; 8]).unwrap()).unwrap();
        let route = |seqno| Route {
            offer: Offer { router, next_hop: 0, seqno, refmetric: 1 },
            expires: Tick::at(Instant::ZERO),
        };
        let places = [5_u16, 63, 64, 1000];
        let id = |place: u16| DestinationId::new(usize::from(place)).unwrap();
        let mut column = Column::default();
        for place in places {
            assert_eq!(column.put(id(place), route(place)), None);
        }
        assert_eq!(column.put(id(64), route(7)), Some(route(64)));
        let found: Vec<_> =
            column.iter().map(|(id, route)| (id.place(), route.offer.seqno)).collect();
        assert_eq!(found, [(5, 5), (63, 63), (64, 7), (1000, 1000)]);
        assert_eq!(column.get(id(6)), None);
        let standing = |column: &Column| column.standing().map(|id| id.place()).collect::<Vec<_>>();
        assert_eq!(standing(&column), [5, 63, 64, 1000]);
        assert!(column.retract(id(63), Instant::ZERO).is_some());
        assert!(column.retract(id(63), Instant::ZERO).is_none(), "again");
        assert_eq!(standing(&column), [5, 64, 1000]);
        column.put(id(63), route(7));
        column.remove(id(5));
        assert_eq!(standing(&column), [63, 64, 1000]);
        assert_eq!(column.remove(id(64)), Some(route(7)));
        assert_eq!(column.remove(id(64)), None);
        assert!(column.pages[1].is_none() && column.pages[0].is_some());
    }
}
