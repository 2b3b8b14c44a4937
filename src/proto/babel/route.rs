//! What one neighbour offers for one destination (RFC 8966 §3.2.6).

use std::time::Duration;

use crate::proto::babel::neighbour::NeighbourId;
use crate::proto::babel::router_id::RouterId;
use crate::proto::time::Instant;

/// An offer. There may be a million of them: 24 octets each.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Who offers it.
    pub neighbour: NeighbourId,
    /// When it is no longer offered.
    expires: Tick,
    /// Who originates it.
    pub router_id: RouterId,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// The neighbour's metric; 65535 if it retracted the offer.
    pub refmetric: u16,
    /// Which of the neighbour's next hops packets are sent to.
    pub next_hop: u8,
}

/// What an update says of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Who originates it.
    pub router_id: RouterId,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// The neighbour's metric.
    pub refmetric: u16,
    /// Which of the neighbour's next hops packets are sent to.
    pub next_hop: u8,
}

impl Route {
    /// An offer that holds for `hold`.
    pub fn new(neighbour: NeighbourId, offer: Offer, now: Instant, hold: Duration) -> Self {
        let Offer { router_id, seqno, refmetric, next_hop } = offer;
        Self { neighbour, expires: Tick::at(now + hold), router_id, seqno, refmetric, next_hop }
    }

    /// What it says.
    pub const fn offer(&self) -> Offer {
        Offer {
            router_id: self.router_id,
            seqno: self.seqno,
            refmetric: self.refmetric,
            next_hop: self.next_hop,
        }
    }

    /// It was retracted: it stays a while so that a late update is not mistaken for news.
    pub fn retract(&mut self, now: Instant) {
        if self.refmetric != u16::MAX {
            self.refmetric = u16::MAX;
            self.expires = Tick::at(now + Self::RETRACTED);
        }
    }

    /// It was repeated.
    pub fn extend(&mut self, now: Instant, hold: Duration) {
        self.expires = Tick::at(now + hold);
    }

    /// When it ends unless it is repeated.
    pub fn deadline(&self) -> Instant {
        self.expires.instant()
    }

    /// How long a retracted route stays (RFC 8966 §3.5.4).
    const RETRACTED: Duration = Duration::from_secs(60);
}

/// A moment in tenths of a second, rounded up.
#[derive(Clone, Copy, Debug)]
struct Tick(u32);

impl Tick {
    fn at(moment: Instant) -> Self {
        let tenths = moment.since_start().as_millis().div_ceil(100);
        Self(u32::try_from(tenths).unwrap_or(u32::MAX))
    }

    fn instant(self) -> Instant {
        Instant::ZERO + Duration::from_millis(100) * self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_small_because_there_are_many() {
        assert!(size_of::<Route>() <= 24, "{}", size_of::<Route>());
    }
}
