//! Moments in tenths of a second: four octets where there may be a million of them.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::proto::time::Instant;

/// A moment, rounded up; never before the first tenth of a second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick(NonZeroU32);

impl Tick {
    /// Of a moment up to thirteen years after the start; later ones are taken for that.
    pub fn at(moment: Instant) -> Self {
        let since_start = moment.since_start();
        let tenths = since_start
            .as_secs()
            .saturating_mul(10)
            .saturating_add(u64::from(since_start.subsec_nanos().div_ceil(100_000_000)));
        let tenths = u32::try_from(tenths).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(tenths).unwrap_or(NonZeroU32::MIN))
    }

    /// As the cores' clock has it.
    pub fn instant(self) -> Instant {
        Instant::ZERO + Duration::from_millis(100) * self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rounded_up() {
        let tick = |millis| Tick::at(Instant::ZERO + Duration::from_millis(millis));
        assert_eq!(tick(0), tick(100));
        assert_eq!(tick(101), tick(200));
        assert_eq!(tick(61_234).instant(), Instant::ZERO + Duration::from_millis(61_300));
        assert_eq!(Tick::at(Instant::ZERO + Duration::MAX).0, NonZeroU32::MAX);
        assert_eq!(size_of::<Option<Tick>>(), 4);
    }
}
