//! Feasibility distances: what keeps loops away (RFC 8966 §3.5.1 and §3.7.3).

use std::time::Duration;

use smallvec::SmallVec;

use crate::proto::babel::routers::RouterIndex;
use crate::proto::babel::tick::Tick;
use crate::proto::limits;
use crate::proto::time::Instant;

/// The best that we ever announced of one originator's route to one destination.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The originator.
    pub router: RouterIndex,
    /// The freshest announcement.
    pub seqno: u16,
    /// The lowest metric with it.
    pub metric: u16,
    expires: Tick,
}

/// The distances of one destination, one an originator: almost always one.
#[derive(Clone, Default, Debug)]
pub struct Sources(SmallVec<[Source; 1]>);

impl Sources {
    /// Whether taking such a route cannot cause a loop: whoever announced it is closer than we ever
    /// claimed to be.
    pub fn is_feasible(&self, router: RouterIndex, seqno: u16, refmetric: u16) -> bool {
        refmetric == u16::MAX
            || self.find(router).is_none_or(|source| {
                is_newer(seqno, source.seqno) || seqno == source.seqno && refmetric < source.metric
            })
    }

    /// The distance of one originator.
    pub fn find(&self, router: RouterIndex) -> Option<&Source> {
        self.0.iter().find(|source| source.router == router)
    }

    /// Remembers what we announce, to whom it holds for some time; until when.
    pub fn announce(
        &mut self,
        router: RouterIndex,
        (seqno, metric): (u16, u16),
        held: Duration,
        now: Instant,
    ) -> Instant {
        let until = now + Self::REMEMBERED.max(held);
        let expires = Tick::at(until);
        let Some(source) = self.0.iter_mut().find(|source| source.router == router) else {
            if self.0.len() >= limits::BABEL_SOURCES_MAX {
                let oldest = (0..self.0.len()).min_by_key(|&at| self.0[at].expires);
                oldest.map(|at| self.0.swap_remove(at));
            }
            self.0.push(Source { router, seqno, metric, expires });
            return until;
        };
        source.expires = source.expires.max(expires);
        if is_newer(seqno, source.seqno) {
            (source.seqno, source.metric) = (seqno, metric);
        } else if seqno == source.seqno {
            source.metric = source.metric.min(metric);
        }
        until
    }

    /// Forgets what was not announced for long.
    pub fn expire(&mut self, now: Instant) {
        self.0.retain(|source| source.expires.instant() > now);
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When something can be forgotten.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|source| source.expires.instant()).min()
    }

    /// The originators.
    pub fn routers(&self) -> impl Iterator<Item = RouterIndex> {
        self.0.iter().map(|source| source.router)
    }

    /// So long at least, whoever may have heard of it by ways of their own.
    const REMEMBERED: Duration = Duration::from_secs(300);
}

/// Whether sequence number `a` is newer than `b` (RFC 8966 §3.2.1).
pub const fn is_newer(a: u16, b: u16) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::router_id::RouterId;
    use crate::proto::babel::routers::Routers;

    #[test]
    fn only_what_is_closer_or_fresher_is_feasible() {
        let router = Routers::default().intern(RouterId::new([1; 8]).unwrap()).unwrap();
        let mut sources = Sources::default();
        assert!(sources.is_feasible(router, 7, 5000));
        sources.announce(router, (7, 200), Duration::ZERO, Instant::ZERO);
        assert!(sources.is_feasible(router, 7, 199));
        assert!(!sources.is_feasible(router, 7, 200));
        assert!(!sources.is_feasible(router, 6, 0));
        assert!(sources.is_feasible(router, 8, 5000));
        assert!(sources.is_feasible(router, 6, u16::MAX), "a retraction always is");
        sources.announce(router, (7, 300), Duration::ZERO, Instant::ZERO);
        assert!(!sources.is_feasible(router, 7, 200), "a distance does not grow");
        sources.announce(router, (8, 300), Duration::ZERO, Instant::ZERO);
        assert!(sources.is_feasible(router, 8, 299));
        sources.expire(Instant::ZERO + Sources::REMEMBERED);
        assert!(sources.is_empty());
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert!(is_newer(0, u16::MAX));
        assert!(!is_newer(u16::MAX, 0));
        assert!(!is_newer(5, 5));
    }

    #[test]
    fn the_originator_heard_of_longest_ago_is_forgotten_first() {
        let mut routers = Routers::default();
        let mut router = |at: usize| {
            routers.intern(RouterId::new((at as u64 + 1).to_be_bytes()).unwrap()).unwrap()
        };
        let mut sources = Sources::default();
        let second = |at: usize| Instant::ZERO + Duration::from_secs(at as u64);
        for at in 0..=limits::BABEL_SOURCES_MAX {
            sources.announce(router(at), (1, 96), Duration::ZERO, second(at));
        }
        assert_eq!(sources.routers().count(), limits::BABEL_SOURCES_MAX);
        assert!(sources.find(router(0)).is_none());
        assert!(sources.find(router(1)).is_some());
        assert!(sources.find(router(limits::BABEL_SOURCES_MAX)).is_some());
    }
}
