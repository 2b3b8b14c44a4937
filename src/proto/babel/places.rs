//! Places: numbers that stand for destinations and neighbours in the tables.

use std::num::NonZeroU32;

/// A destination's place in the table; free for another once it is forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct DestinationId(u32);

impl DestinationId {
    /// `None` beyond the places that there are.
    pub fn new(place: usize) -> Option<Self> {
        u32::try_from(place).ok().map(Self)
    }

    /// Its number, from zero.
    pub const fn place(self) -> usize {
        self.0 as usize
    }

    /// The place after it.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A neighbour's place in [`Neighbours`](super::neighbour::Neighbours); free for another once it is forgotten with all its routes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NeighbourId(NonZeroU32);

impl NeighbourId {
    /// `None` beyond the places that there are.
    pub fn new(place: usize) -> Option<Self> {
        u32::try_from(place + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// Its number, from zero.
    pub const fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}
