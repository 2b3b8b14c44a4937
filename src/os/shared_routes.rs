//! Kernel routes that several destinations want: which of them has it, and who follows.
//!
//! A default route of a network is installed for packets from that network alone. If the network has a
//! source-specific default route as well, both mean the same route of the kernel.

use std::collections::BTreeMap;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::NextHop;

/// A place for a route in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// What packets go and come from.
    pub destination: Destination,
    /// The table; zero for one that goes by source.
    pub table: u32,
}

impl Place {
    /// In a table for its source.
    pub const fn by_source(destination: Destination) -> Self {
        Self { destination, table: 0 }
    }

    /// Whether it is in a table for its source.
    pub const fn is_by_source(&self) -> bool {
        self.table == 0
    }
}

/// Who wants which place.
#[derive(Default, Debug)]
pub struct SharedRoutes(BTreeMap<Place, BTreeMap<Destination, NextHop>>);

/// What is to be done about a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing: another destination has it.
    Nothing,
    /// It is given to this destination.
    Put(Destination, NextHop),
    /// Nobody wants it any more.
    Remove,
}

impl SharedRoutes {
    /// A destination wants a place, or wants it in another way.
    pub fn put(&mut self, place: Place, destination: Destination, next_hop: NextHop) -> Verdict {
        let claims = self.0.entry(place).or_default();
        claims.insert(destination, next_hop);
        if owner(&place, claims).is_some_and(|(owner, _)| owner == destination) {
            Verdict::Put(destination, next_hop)
        } else {
            Verdict::Nothing
        }
    }

    /// A destination no longer wants a place.
    pub fn remove(&mut self, place: Place, destination: Destination) -> Verdict {
        let Some(claims) = self.0.get_mut(&place) else { return Verdict::Nothing };
        let had = owner(&place, claims);
        claims.remove(&destination);
        match owner(&place, claims) {
            None => {
                self.0.remove(&place);
                Verdict::Remove
            }
            next if next.map(|(owner, _)| owner) == had.map(|(owner, _)| owner) => Verdict::Nothing,
            Some((owner, next_hop)) => Verdict::Put(owner, next_hop),
        }
    }

    /// Which destination has a place.
    pub fn owner(&self, place: &Place) -> Option<Destination> {
        owner(place, self.0.get(place)?).map(|(owner, _)| owner)
    }
}

/// Whoever means this place literally comes first.
fn owner(place: &Place, claims: &BTreeMap<Destination, NextHop>) -> Option<(Destination, NextHop)> {
    let literal = claims.get_key_value(&place.destination);
    literal.or_else(|| claims.first_key_value()).map(|(owner, next_hop)| (*owner, *next_hop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cidr::Cidr;

    const VIA: NextHop = NextHop::Unreachable;

    #[test]
    fn the_literal_destination_comes_first_and_the_other_follows() {
        let plain = Destination::from_anywhere(Cidr::IPV6_DEFAULT);
        let source = "2001:db8:42::/48".parse().unwrap();
        let literal = Destination::from_source(Cidr::IPV6_DEFAULT, source).unwrap();
        let place = Place { destination: literal, table: 254 };
        let mut shared = SharedRoutes::default();
        assert_eq!(shared.put(place, plain, VIA), Verdict::Put(plain, VIA));
        assert_eq!(shared.put(place, literal, VIA), Verdict::Put(literal, VIA));
        assert_eq!(shared.put(place, plain, VIA), Verdict::Nothing);
        assert_eq!(shared.owner(&place), Some(literal));
        assert_eq!(shared.remove(place, literal), Verdict::Put(plain, VIA));
        assert_eq!(shared.put(place, literal, VIA), Verdict::Put(literal, VIA));
        assert_eq!(shared.remove(place, plain), Verdict::Nothing);
        assert_eq!(shared.remove(place, literal), Verdict::Remove);
        assert_eq!(shared.remove(place, literal), Verdict::Nothing);
    }
}
