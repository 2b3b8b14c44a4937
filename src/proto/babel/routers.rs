//! Router-ids, each kept once: routes and distances name them by three octets.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::proto::babel::router_id::RouterId;

/// A router-id's place; free for another once nothing names it and [`Routers::keep`] found that out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouterIndex([u8; 3]);

impl RouterIndex {
    const fn new(place: usize) -> Option<Self> {
        match place.to_be_bytes() {
            [0, 0, 0, 0, 0, a, b, c] => Some(Self([a, b, c])),
            _ => None,
        }
    }

    const fn place(self) -> usize {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize
    }
}

/// All router-ids that are named anywhere.
#[derive(Clone, Default, Debug)]
pub struct Routers {
    places: Vec<Option<RouterId>>,
    by_id: HashTable<RouterIndex>,
    hasher: RandomState,
    free: Vec<RouterIndex>,
    /// How many there were after the last look at which are still named.
    kept: usize,
}

impl Routers {
    /// The place of a router-id, a new one if need be; `None` if all sixteen million are taken.
    pub fn intern(&mut self, router_id: RouterId) -> Option<RouterIndex> {
        let hash = self.hasher.hash_one(router_id);
        let places = &self.places;
        let is_it = |index: &RouterIndex| places[index.place()] == Some(router_id);
        if let Some(&index) = self.by_id.find(hash, is_it) {
            return Some(index);
        }
        let index = if let Some(index) = self.free.pop() {
            self.places[index.place()] = Some(router_id);
            index
        } else {
            let index = RouterIndex::new(self.places.len())?;
            self.places.push(Some(router_id));
            index
        };
        let Self { places, by_id, hasher, .. } = self;
        by_id.insert_unique(hash, index, |&index| hasher.hash_one(id_at(places, index)));
        Some(index)
    }

    /// The router-id at a place that something names.
    pub fn id(&self, index: RouterIndex) -> RouterId {
        id_at(&self.places, index)
    }

    /// Whether so many came since the last look that it is worth to look again: then half of them, at
    /// most, are kept for nothing.
    pub fn is_due(&self) -> bool {
        self.by_id.len() > 2 * self.kept + FEW
    }

    /// Forgets all but those that `named` names.
    pub fn keep(&mut self, named: impl IntoIterator<Item = RouterIndex>) {
        let mut is_named = vec![false; self.places.len()];
        for index in named {
            is_named[index.place()] = true;
        }
        for (place, router_id) in self.places.iter_mut().enumerate() {
            if !is_named[place] && router_id.take().is_some() {
                self.free.extend(RouterIndex::new(place));
            }
        }
        self.by_id.retain(|index| is_named[index.place()]);
        self.kept = self.by_id.len();
    }
}

fn id_at(places: &[Option<RouterId>], index: RouterIndex) -> RouterId {
    places[index.place()].expect("a place that is named is not freed")
}

/// So few are not worth a look.
const FEW: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn router_id(number: u16) -> RouterId {
        let [a, b] = number.to_be_bytes();
        RouterId::new([2, 0, 0, 0, 0, 0, a, b]).unwrap()
    }

    #[test]
    fn each_is_kept_once_and_forgotten_when_nothing_names_it() {
        let mut routers = Routers::default();
        let first = routers.intern(router_id(1)).unwrap();
        assert_eq!(routers.intern(router_id(1)), Some(first));
        let others: Vec<_> = (2..3000).map(|n| routers.intern(router_id(n)).unwrap()).collect();
        let again: Vec<_> = (2..3000).map(|n| routers.intern(router_id(n)).unwrap()).collect();
        assert_eq!(again, others, "also after the index has grown");
        assert!(routers.is_due());
        let named = [first, others[0]];
        routers.keep(named);
        assert!(!routers.is_due());
        assert_eq!(named.map(|index| routers.id(index)), [router_id(1), router_id(2)]);
        let places = routers.places.len();
        for number in 4000..6000 {
            assert!(!named.contains(&routers.intern(router_id(number)).unwrap()));
        }
        assert_eq!(routers.places.len(), places, "places are used again");
        assert_eq!(routers.id(first), router_id(1));
    }
}
