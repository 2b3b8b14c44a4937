//! Octets read as decisions: what happens next, to whom, with which number.

use std::time::Duration;

/// Decisions not taken yet; when there are none left, every further one is zero.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }

    pub fn below(&mut self, bound: u8) -> u8 {
        self.u8() % bound
    }

    pub fn flip(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// Some octets, as many as the next one says.
    pub fn octets(&mut self) -> &'a [u8] {
        let count = usize::from(self.u8()).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// From a millisecond to some hours, the shorter the likelier.
    pub fn time(&mut self) -> Duration {
        let (scale, count) = (self.below(6), u64::from(self.u8()) + 1);
        Duration::from_millis(count << (2 * scale))
    }
}
