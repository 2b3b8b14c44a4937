//! Giving out prefixes: a binary tree whose leaves are free or taken, split on demand and merged again.
//!
//! ```text
//!  ''  ──split──▶  0  1  ──split──▶  00 01  1        the first of length two is 00
//! ```
//!
//! Only the free leaves matter here; the whole tree is rows of a table, as in stock's database.

use std::collections::BTreeSet;

use crate::proto::prefix::Prefix;

/// What giving out a prefix does to the free leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// The prefix that is given out; no longer free.
    pub taken: Prefix,
    /// The free leaf it was cut from.
    pub cut_from: Prefix,
    /// What is left of that leaf: free.
    pub left: Vec<Prefix>,
    /// Prefixes that nobody may have, met on the way: taken for ever.
    pub reserved: Vec<Prefix>,
}

/// Chooses a prefix of `length` more bits than `community`, below it, from the `free` leaves.
///
/// The smallest sufficient leaf is cut, so that large ones stay whole. `length_max` is what the network
/// leaves of an address; a node of that length cannot be all zeros, for that is the network's anycast
/// address. `None` if nothing is left.
pub fn allocate(
    free: &BTreeSet<Prefix>,
    community: Prefix,
    length: u8,
    length_max: u8,
) -> Option<Allocation> {
    let length = community.length().checked_add(length).filter(|&l| l > 0 && l <= length_max)?;
    let below = free.iter().filter(|leaf| community.covers(**leaf) && leaf.length() <= length);
    let smallest = |best: Option<Prefix>, leaf: &Prefix| match best {
        Some(best) if best.length() >= leaf.length() => Some(best),
        _ => Some(*leaf),
    };
    // If nothing below is large enough, the community itself may be part of a free leaf.
    let cut_from = below
        .fold(None, smallest)
        .or_else(|| free.iter().find(|leaf| leaf.covers(community)).copied())?;
    let mut left = Vec::new();
    let mut taken = cut_from;
    while taken.length() < length {
        let (low, high) = taken.split()?;
        let towards_high = high.covers(community);
        left.push(if towards_high { low } else { high });
        taken = if towards_high { high } else { low };
    }
    let mut allocation = Allocation { taken, cut_from, left, reserved: Vec::new() };
    if length == length_max && taken.value() == community_start(community, length) {
        allocation.spare(community)?;
    }
    Some(allocation)
}

/// The value of the first prefix of `length` bits below `community`.
fn community_start(community: Prefix, length: u8) -> u128 {
    community.value().checked_shl(u32::from(length - community.length())).unwrap_or(0)
}

impl Allocation {
    /// Reserves what was taken, and takes the next one of what is left.
    fn spare(&mut self, community: Prefix) -> Option<()> {
        self.reserved.push(self.taken);
        let length = self.taken.length();
        let longest = self.left.iter().copied().filter(|leaf| community.covers(*leaf));
        let mut next = longest.max_by_key(|leaf| leaf.length())?;
        self.left.retain(|leaf| *leaf != next);
        while next.length() < length {
            let (low, high) = next.split()?;
            self.left.push(high);
            next = low;
        }
        self.taken = next;
        Some(())
    }
}

/// The free leaves with siblings joined, as far as possible.
pub fn merge(free: &BTreeSet<Prefix>) -> BTreeSet<Prefix> {
    let mut merged = free.clone();
    for leaf in free {
        let mut leaf = *leaf;
        while let Some((sibling, parent)) = leaf.sibling_and_parent() {
            if !(merged.contains(&leaf) && merged.remove(&sibling)) {
                break;
            }
            merged.remove(&leaf);
            merged.insert(parent);
            leaf = parent;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole() -> BTreeSet<Prefix> {
        BTreeSet::from([Prefix::WHOLE])
    }

    fn take(free: &mut BTreeSet<Prefix>, community: Prefix, length: u8) -> Option<Allocation> {
        let allocation = allocate(free, community, length, 80)?;
        assert!(free.remove(&allocation.cut_from));
        free.extend(&allocation.left);
        Some(allocation)
    }

    #[test]
    fn the_first_prefixes_are_those_of_stock() {
        let mut free = whole();
        let mut names = Vec::new();
        for _ in 0..5 {
            names.push(take(&mut free, Prefix::WHOLE, 16).unwrap().taken.to_string());
        }
        assert_eq!(names, ["0/16", "1/16", "2/16", "3/16", "4/16"]);
        assert_eq!(take(&mut free, Prefix::WHOLE, 8).unwrap().taken.to_string(), "1/8");
    }

    #[test]
    fn a_community_gets_its_own_part() {
        let mut free = whole();
        let community = Prefix::from_bits("101").unwrap();
        assert_eq!(take(&mut free, community, 4).unwrap().taken.to_bits(), "1010000");
        assert_eq!(take(&mut free, community, 4).unwrap().taken.to_bits(), "1010001");
        assert_eq!(take(&mut free, Prefix::WHOLE, 2).unwrap().taken.to_bits(), "11");
    }

    #[test]
    fn a_full_length_prefix_is_never_all_zeros() {
        let given = allocate(&whole(), Prefix::WHOLE, 80, 80).unwrap();
        assert_eq!(given.taken.value(), 1);
        assert_eq!(given.reserved, [Prefix::new(0, 80).unwrap()]);
        let short = allocate(&whole(), Prefix::WHOLE, 79, 80).unwrap();
        assert_eq!((short.taken.value(), short.reserved.len()), (0, 0));
    }

    #[test]
    fn an_exhausted_network_gives_nothing() {
        let mut free = whole();
        for _ in 0..4 {
            assert!(take(&mut free, Prefix::WHOLE, 2).is_some());
        }
        assert!(take(&mut free, Prefix::WHOLE, 2).is_none());
        assert!(allocate(&whole(), Prefix::WHOLE, 0, 80).is_none());
        assert!(allocate(&whole(), Prefix::WHOLE, 81, 80).is_none());
        assert!(allocate(&whole(), Prefix::WHOLE, 255, 80).is_none());
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_all_comes_back(
            steps in prop::collection::vec((1_u8..12, 0_usize..4, any::<prop::sample::Index>()), 1..80)
        ) {
            let mut free = whole();
            let mut taken: Vec<Prefix> = Vec::new();
            let communities = ["", "0", "10", "111"].map(|bits| Prefix::from_bits(bits).unwrap());
            for (length, community, which) in steps {
                if length > 8 && !taken.is_empty() {
                    free.insert(taken.swap_remove(which.index(taken.len())));
                    free = merge(&free);
                } else if let Some(given) = take(&mut free, communities[community], length) {
                    taken.push(given.taken);
                    prop_assert!(communities[community].covers(given.taken));
                }
                let leaves: Vec<Prefix> = taken.iter().chain(&free).copied().collect();
                for (at, a) in leaves.iter().enumerate() {
                    prop_assert!(leaves[at + 1..].iter().all(|b| !a.covers(*b) && !b.covers(*a)));
                }
                // Together they are the whole network, no more and no less.
                let size: u128 = leaves.iter().map(|leaf| 1_u128 << (100 - leaf.length())).sum();
                prop_assert_eq!(size, 1 << 100);
            }
            free.extend(taken);
            prop_assert_eq!(merge(&free), whole());
        }
    }
}
