//! What one neighbour offers for one destination (RFC 8966 §3.2.6).

use std::time::Duration;

use crate::proto::babel::routers::RouterIndex;
use crate::proto::babel::tick::Tick;
use crate::proto::time::Instant;

/// An offer, and until when it holds. There may be a million of them: 12 octets each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// What the neighbour said last.
    pub offer: Offer,
    /// When it is no longer offered.
    pub expires: Tick,
}

/// What an update says of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer<R = RouterIndex> {
    /// Who originates it, by place or by name.
    pub router: R,
    /// Which of the neighbour's next hops packets are sent to.
    pub next_hop: u8,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// The neighbour's metric; 65535 if it retracted the offer.
    pub refmetric: u16,
}

impl Route {
    /// Whether the neighbour took the offer back.
    pub const fn is_retracted(&self) -> bool {
        self.offer.refmetric == u16::MAX
    }

    /// It was retracted: it stays a while so that a late update is not mistaken for news.
    pub fn retract(&mut self, now: Instant) {
        if !self.is_retracted() {
            self.offer.refmetric = u16::MAX;
            self.expires = Tick::at(now + Self::RETRACTED);
        }
    }

    /// When something is to be done about it next, after `now`: before it expires it is asked for.
    pub fn due(&self, now: Instant) -> Instant {
        let expires = self.expires.instant();
        let ask_at = expires.since_start().saturating_sub(Self::ASKED_BEFORE);
        let ask_at = Instant::ZERO + ask_at;
        if self.is_retracted() || ask_at <= now { expires } else { ask_at }
    }

    /// Whether it expires soon and its neighbour may say it in time if it is asked.
    pub fn is_ending(&self, now: Instant) -> bool {
        let expires = self.expires.instant();
        !self.is_retracted() && expires > now && expires - now <= Self::ASKED_BEFORE
    }

    /// Time for a few round trips (RFC 8966 §3.8.2.3).
    const ASKED_BEFORE: Duration = Duration::from_secs(5);
    /// How long a retracted route stays (RFC 8966 §3.5.4).
    const RETRACTED: Duration = Duration::from_secs(60);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_small_because_there_are_many() {
        assert_eq!(size_of::<Option<Route>>(), 12);
    }
}
