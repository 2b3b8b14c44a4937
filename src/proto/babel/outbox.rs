//! What is to be said to one address: at once what fits into a burst, the rest piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::babel::composer::Composer;
use crate::proto::babel::places::DestinationId;
use crate::proto::babel::requests::SeqnoRequest;
use crate::proto::limits;
use crate::proto::time::Instant;

/// What waits to be said to one address.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Packets that leave as soon as anything is said.
    pub composer: Composer,
    /// Requests that follow.
    requests: VecDeque<SeqnoRequest>,
    /// Destinations whose updates follow; each is said as it is when its turn comes.
    waiting: VecDeque<Batch>,
    /// How many destinations wait.
    count: usize,
    next_at: Instant,
}

/// Destinations that follow each other; what goes to many addresses is kept once.
#[derive(Clone, Debug)]
enum Batch {
    One(DestinationId, Occasion),
    Shared { ids: Arc<[DestinationId]>, said: usize },
}

/// Why an update is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// It is time, or there is news.
    News,
    /// It was asked for: there must be an answer.
    Request,
    /// What was offered there is not any more, if it still is not when its turn comes.
    Withdrawal,
}

impl Outbox {
    /// Empty, for packet bodies of up to `octets_max`.
    pub fn new(octets_max: usize) -> Self {
        let composer = Composer::new(octets_max);
        Self {
            composer,
            requests: VecDeque::new(),
            waiting: VecDeque::new(),
            count: 0,
            next_at: Instant::ZERO,
        }
    }

    /// Queues a request, unless too many wait already: it will be repeated.
    pub fn request(&mut self, request: SeqnoRequest) {
        if self.requests.len() < limits::BABEL_REQUESTS_MAX {
            self.requests.push_back(request);
        }
    }

    /// Queues one update, unless too many wait already.
    pub fn queue(&mut self, id: DestinationId, occasion: Occasion) {
        if self.count < limits::BABEL_DESTINATIONS_MAX {
            self.waiting.push_back(Batch::One(id, occasion));
            self.count += 1;
        }
    }

    /// Queues updates, unless too many wait already.
    pub fn queue_all(&mut self, ids: &Arc<[DestinationId]>) {
        if !ids.is_empty() && self.count < limits::BABEL_DESTINATIONS_MAX {
            self.waiting.push_back(Batch::Shared { ids: Arc::clone(ids), said: 0 });
            self.count += ids.len();
        }
    }

    /// The next request to be said now; `None` if none waits or the burst is large enough.
    pub fn next_request(&mut self, now: Instant) -> Option<SeqnoRequest> {
        if self.requests.is_empty() || !self.has_room(now) {
            None
        } else {
            self.requests.pop_front()
        }
    }

    /// The next destination to be said now; `None` if none waits or the burst is large enough.
    pub fn next(&mut self, now: Instant) -> Option<(DestinationId, Occasion)> {
        if self.waiting.is_empty() || !self.has_room(now) {
            return None;
        }
        let (next, is_over) = match self.waiting.front_mut()? {
            Batch::One(id, occasion) => ((*id, *occasion), true),
            Batch::Shared { ids, said } => {
                *said += 1;
                ((ids[*said - 1], Occasion::News), *said == ids.len())
            }
        };
        self.count -= 1;
        if is_over {
            self.waiting.pop_front();
        }
        Some(next)
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.next_at <= now && self.composer.full() >= limits::BABEL_BURST_PACKETS {
            self.next_at = now + Self::PAUSE;
        }
        self.next_at <= now
    }

    /// How many updates wait.
    pub const fn updates(&self) -> usize {
        self.count
    }

    /// Whether updates or requests wait.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.requests.is_empty()
    }

    /// When the next piece is due.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.composer.is_empty() {
            return Some(Instant::ZERO);
        }
        self.is_waiting().then_some(self.next_at)
    }

    /// A receiver's buffer of default size holds some 90 packets: this leaves it time to read them.
    const PAUSE: Duration = Duration::from_millis(5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::destination::Destination;
    use crate::proto::babel::router_id::RouterId;
    use crate::proto::cidr::Cidr;

    #[test]
    fn no_more_waits_than_the_limits_say() {
        let mut outbox = Outbox::new(1000);
        let id = DestinationId::default();
        for _ in 0..limits::BABEL_DESTINATIONS_MAX + 10 {
            outbox.queue(id, Occasion::Request);
        }
        outbox.queue_all(&vec![id; 10].into());
        assert_eq!(outbox.updates(), limits::BABEL_DESTINATIONS_MAX);
    }

    #[test]
    fn no_more_requests_wait_than_the_limits_say() {
        let mut outbox = Outbox::new(1000);
        let request = SeqnoRequest {
            destination: Destination::from_anywhere(Cidr::IPV6_DEFAULT),
            seqno: 1,
            hop_count: 9,
            router_id: RouterId::new([1; 8]).unwrap(),
        };
        for _ in 0..limits::BABEL_REQUESTS_MAX + 10 {
            outbox.request(request);
        }
        let wait = std::iter::from_fn(|| outbox.next_request(Instant::ZERO)).count();
        assert_eq!(wait, limits::BABEL_REQUESTS_MAX);
    }

    #[test]
    fn a_burst_has_as_many_packets_as_the_limits_say_and_a_pause_follows() {
        let mut outbox = Outbox::new(1000);
        outbox.queue_all(&vec![DestinationId::default(); 1000].into());
        let mut now = Instant::ZERO;
        for _ in 0..3 {
            while outbox.next(now).is_some() {
                // Four of them fill a packet.
                outbox.composer.put(100, |body| body.extend([0; 240]));
            }
            assert_eq!(outbox.composer.take().len(), limits::BABEL_BURST_PACKETS + 1);
            assert!(outbox.next(now).is_none(), "not before the pause is over");
            assert_eq!(outbox.deadline(), Some(now + Outbox::PAUSE));
            now += Outbox::PAUSE;
        }
    }
}
