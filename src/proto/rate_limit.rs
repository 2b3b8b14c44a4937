//! Rate limits: how often something may happen, in all and for each source, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::proto::time::Instant;

/// A rate: one event each `interval` on average, and up to `burst` at once after a quiet time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Between two events of a steady stream.
    pub interval: Duration,
    /// Events that may come together; at least 1.
    pub burst: u32,
}

/// Counts one stream of events against a rate, with the generic cell rate algorithm (ITU-T I.371).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    /// When the bucket is full again. The events since then were earlier than the rate by that much.
    full_at: Instant,
}

/// One bucket for each source, for at most `sources_max` sources at a time. A source is whatever is
/// limited apart: an address (by [`source`]), a peer, a name.
///
/// Sources that do not fit share one bucket: a flood from many addresses is limited as if it came from
/// one, and does not make a known source's count start again.
#[derive(Clone, Debug)]
pub struct SourceLimit<Source = IpAddr> {
    rate: Rate,
    sources_max: usize,
    buckets: HashMap<Source, Bucket>,
    /// Of the sources that do not fit.
    others: Bucket,
    purged_at: Instant,
}

impl Rate {
    /// `burst` events in each `period`, which may come together.
    pub const fn per(burst: u32, period: Duration) -> Self {
        Self { interval: Duration::from_nanos(period.as_nanos() as u64 / burst as u64), burst }
    }

    /// How long an empty bucket takes to be full.
    fn period(self) -> Duration {
        self.interval * self.burst
    }
}

impl Bucket {
    /// Whether an event is within the rate. Only then it counts.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let next = self.full_at.max(now) + rate.interval;
        let allowed = next - now <= rate.period();
        if allowed {
            self.full_at = next;
        }
        allowed
    }

    /// Whether the bucket is full: it says nothing that a new one would not.
    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

impl<Source: Copy + Eq + Hash> SourceLimit<Source> {
    /// A limit for each source.
    pub fn new(rate: Rate, sources_max: usize) -> Self {
        let (buckets, others, purged_at) = (HashMap::new(), Bucket::default(), Instant::ZERO);
        Self { rate, sources_max, buckets, others, purged_at }
    }

    /// Whether an event of `source` is within its rate. Only then it counts.
    pub fn take(&mut self, source: Source, now: Instant) -> bool {
        if self.buckets.len() >= self.sources_max
            && !self.buckets.contains_key(&source)
            && !self.purge(now)
        {
            return self.others.take(self.rate, now);
        }
        self.buckets.entry(source).or_default().take(self.rate, now)
    }

    /// Forgets the sources whose buckets are full; whether there is room then. It looks at all of them
    /// once in an interval at most, so that a flood from many addresses does not cost more than that.
    fn purge(&mut self, now: Instant) -> bool {
        if now >= self.purged_at + self.rate.interval || self.purged_at == Instant::ZERO {
            self.purged_at = now;
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        self.buckets.len() < self.sources_max
    }
}

/// The source that an address stands for. A host with IPv6 has a network of 64 bits.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per(4, Duration::from_secs(2));

    fn at(milliseconds: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn bucket_allows_a_burst_and_then_the_steady_rate() {
        let mut bucket = Bucket::default();
        let taken: Vec<bool> = (0..6).map(|_| bucket.take(RATE, at(10_000))).collect();
        assert_eq!(taken, [true, true, true, true, false, false]);
        assert!(!bucket.take(RATE, at(10_499)));
        assert!(bucket.take(RATE, at(10_500)) && !bucket.take(RATE, at(10_500)));
        let taken = (0..6).filter(|_| bucket.take(RATE, at(20_000))).count();
        assert_eq!(taken, 4, "a quiet time gives one burst, however long it was");
    }

    #[test]
    fn sources_are_limited_apart_and_ipv6_by_64_bits() {
        let mut limit = SourceLimit::new(RATE, 100);
        let mut taken = |address: &str| limit.take(source(address.parse().unwrap()), at(1));
        for number in 0..4 {
            assert!(taken(&format!("2001:db8::{number}:1")) && taken("192.0.2.1"));
        }
        assert!(!taken("2001:db8::ffff:1:1") && !taken("::ffff:192.0.2.1"));
        assert!(taken("2001:db8:0:1::1") && taken("192.0.2.2"));
    }

    #[test]
    fn flood_of_sources_resets_no_count_and_shares_a_bucket() {
        let mut limit = SourceLimit::new(RATE, 10);
        let known = IpAddr::from([192, 0, 2, 1]);
        assert_eq!((0..9).filter(|_| limit.take(known, at(1))).count(), 4);
        let flood = (0..1_000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
        let allowed = flood.filter(|&address| limit.take(address, at(2))).count();
        assert_eq!(allowed, 9 + 4, "nine have a bucket, the others share one");
        assert!(!limit.take(known, at(3)), "the count of a known source did not start again");
        assert!(limit.buckets.len() <= 10);
        assert!(limit.take([198, 51, 100, 1].into(), at(5_000)), "full buckets give way");
    }
}
