//! Time as the cores see it: an instant that starts at zero, and the calendar for certificates.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A moment on a monotonic clock that read zero when the process, or the simulation, started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Time since the start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Microseconds since the start, modulo 2³²: what Babel's timestamps carry (RFC 9616 §4.1).
    pub const fn micros_u32(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "wraps by definition")]
        {
            self.0.as_micros() as u32
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, delay: Duration) {
        *self = *self + delay;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The earlier of two deadlines, where `None` means never.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// Calendar time: since 1970-01-01 UTC, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The moment that many whole seconds after 1970 began.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The moment that long after 1970 began.
    pub const fn from_duration(since_1970: Duration) -> Self {
        Self(since_1970)
    }

    /// Time since 1970 began.
    pub const fn since_1970(self) -> Duration {
        self.0
    }

    /// Whole seconds since 1970 began.
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Microseconds since 1970 began.
    pub const fn as_micros(self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "lasts for half a million years")]
        {
            self.0.as_micros() as u64
        }
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }
}

/// RFC 3339, UTC, whole seconds: `2026-11-22T23:18:53Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(self.as_secs());
        humantime::format_rfc3339_seconds(at).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_before_the_start_is_zero() {
        let later = Instant::ZERO + Duration::from_secs(1);
        assert_eq!(Instant::ZERO - later, Duration::ZERO);
        assert_eq!(later - Instant::ZERO, Duration::from_secs(1));
    }

    #[test]
    fn timestamps_wrap_after_seventy_one_minutes() {
        let at = Instant::ZERO + Duration::from_micros(u64::from(u32::MAX) + 8);
        assert_eq!(at.micros_u32(), 7);
    }

    #[test]
    fn the_earliest_of_never_and_something_is_something() {
        let at = Instant::ZERO + Duration::from_secs(3);
        assert_eq!(earliest(None, Some(at)), Some(at));
        assert_eq!(earliest(Some(at), Some(Instant::ZERO)), Some(Instant::ZERO));
        assert_eq!(earliest(None, None), None);
    }

    #[test]
    fn calendar_time_is_shown_as_rfc_3339() {
        assert_eq!(UnixTime::from_secs(1_795_389_533).to_string(), "2026-11-22T23:18:53Z");
    }
}
