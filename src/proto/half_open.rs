//! Which handshakes a listener has under way, and which of them gives way to a new one.
//!
//! A place is taken by whoever comes, so that places alone would let strangers shut the listener. A new
//! handshake therefore takes the place of another when there is none left:
//!
//! - at the limit of its own source: of that source's handshake that has made no progress for longest;
//! - at the limit of all: of such a handshake of the source that has the most.
//!
//! A handshake that has made progress within [`Limits::undisturbed`] keeps its place, unless its source has
//! several and the new one's has none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::rate_limit::source;
use crate::proto::time::Instant;

/// How many may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one source: an IPv4 address, or 64 bits of IPv6.
    pub per_source: usize,
    /// For so long after its last progress a handshake gives way only to a source with fewer.
    pub undisturbed: Duration,
}

/// Handshakes under way, by the numbers that their owner gave them.
#[derive(Debug)]
pub struct HalfOpen {
    limits: Limits,
    entries: BTreeMap<u32, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: IpAddr,
    progress_at: Instant,
}

/// Whether a new handshake may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is room.
    Begin,
    /// It takes the place of this one, which is to be ended.
    Replace(u32),
    /// All others have made progress lately.
    Refuse,
}

impl HalfOpen {
    /// None under way.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, entries: BTreeMap::new() }
    }

    /// A handshake wants to begin; unless it is refused, it is under way from now on.
    pub fn begin(&mut self, number: u32, from: IpAddr, now: Instant) -> Verdict {
        let source = source(from);
        let own = self.count(source);
        let verdict = if own >= self.limits.per_source {
            self.stalest(source).filter(|&stalest| self.is_stale(stalest, now))
        } else if self.entries.len() >= self.limits.total {
            let (most, count) = self.largest_source();
            self.stalest(most).filter(|&stalest| count > own + 1 || self.is_stale(stalest, now))
        } else {
            self.entries.insert(number, Entry { source, progress_at: now });
            return Verdict::Begin;
        };
        let Some(replaced) = verdict else { return Verdict::Refuse };
        self.entries.remove(&replaced);
        self.entries.insert(number, Entry { source, progress_at: now });
        Verdict::Replace(replaced)
    }

    /// A handshake has come further.
    pub fn progress(&mut self, number: u32, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.progress_at = now;
        }
    }

    /// A handshake is over, for better or worse.
    pub fn end(&mut self, number: u32) {
        self.entries.remove(&number);
    }

    fn count(&self, source: IpAddr) -> usize {
        self.entries.values().filter(|entry| entry.source == source).count()
    }

    fn is_stale(&self, number: u32, now: Instant) -> bool {
        let entry = self.entries.get(&number);
        entry.is_some_and(|entry| now - entry.progress_at >= self.limits.undisturbed)
    }

    /// The handshake of a source that has made no progress for longest.
    fn stalest(&self, source: IpAddr) -> Option<u32> {
        let own = self.entries.iter().filter(|(_, entry)| entry.source == source);
        own.min_by_key(|(_, entry)| entry.progress_at).map(|(&number, _)| number)
    }

    /// The source with the most handshakes, of several the one with the stalest.
    fn largest_source(&self) -> (IpAddr, usize) {
        let mut counts = BTreeMap::<IpAddr, (usize, Instant)>::new();
        for entry in self.entries.values() {
            let (count, oldest) = counts.entry(entry.source).or_insert((0, entry.progress_at));
            *count += 1;
            *oldest = (*oldest).min(entry.progress_at);
        }
        let largest =
            counts.into_iter().max_by_key(|&(_, (count, at))| (count, std::cmp::Reverse(at)));
        largest.map_or((IpAddr::from([0; 4]), 0), |(source, (count, _))| (source, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { total: 8, per_source: 3, undisturbed: Duration::from_secs(1) };

    fn at(milliseconds: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(milliseconds)
    }

    fn host(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn source_at_its_limit_replaces_its_own_stalest() {
        let mut half_open = HalfOpen::new(LIMITS);
        for number in 0..3 {
            assert_eq!(half_open.begin(number, host(1), at(0)), Verdict::Begin);
        }
        half_open.progress(0, at(600));
        assert_eq!(half_open.begin(3, host(1), at(900)), Verdict::Refuse);
        assert_eq!(half_open.begin(3, host(1), at(1_000)), Verdict::Replace(1));
        assert_eq!(half_open.begin(4, host(1), at(1_000)), Verdict::Replace(2));
        assert_eq!(half_open.begin(5, host(1), at(1_000)), Verdict::Refuse);
        assert_eq!(half_open.begin(5, host(1), at(1_600)), Verdict::Replace(0));
        assert_eq!(half_open.begin(6, host(2), at(1_600)), Verdict::Begin);
    }

    #[test]
    fn source_with_none_under_way_always_finds_a_place() {
        let mut half_open = HalfOpen::new(LIMITS);
        for number in 0..8_u8 {
            assert_eq!(half_open.begin(number.into(), host(number / 2), at(0)), Verdict::Begin);
        }
        // All of them have just made progress, and four sources have two each.
        let replaced =
            [10, 11, 12, 13].map(|number| half_open.begin(number, host(number as u8), at(1)));
        assert_eq!(replaced, [6, 4, 2, 0].map(Verdict::Replace));
        // Now each has one: what makes progress stays, what does not gives way.
        assert_eq!(half_open.begin(20, host(20), at(2)), Verdict::Refuse);
        half_open.progress(1, at(900));
        assert_eq!(half_open.begin(20, host(20), at(1_100)), Verdict::Replace(7));
    }

    #[test]
    fn ended_handshakes_leave_their_places() {
        let mut half_open = HalfOpen::new(LIMITS);
        for number in 0..3 {
            half_open.begin(number, host(1), at(0));
        }
        half_open.end(1);
        half_open.end(1);
        assert_eq!(half_open.begin(3, host(1), at(0)), Verdict::Begin);
        assert_eq!(half_open.begin(4, host(1), at(0)), Verdict::Refuse);
    }

    #[test]
    fn ipv6_sources_are_networks_of_64_bits() {
        let mut half_open = HalfOpen::new(LIMITS);
        let from = |number: u32| format!("2001:db8::{number}:1").parse().unwrap();
        for number in 0..3 {
            assert_eq!(half_open.begin(number, from(number), at(0)), Verdict::Begin);
        }
        assert_eq!(half_open.begin(3, from(3), at(0)), Verdict::Refuse);
    }
}
