//! What is to be said to one address: at once what fits into a burst, the rest piece by piece.

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::babel::composer::Composer;
use crate::proto::babel::table::DestinationId;
use crate::proto::limits;
use crate::proto::time::Instant;

/// What waits to be said to one address.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Packets that leave before this turn ends.
    pub composer: Composer,
    /// Destinations whose updates follow; each is said as it is when its turn comes.
    queue: VecDeque<DestinationId>,
    next_at: Instant,
}

impl Outbox {
    /// Empty, for packet bodies of up to `octets_max`.
    pub fn new(octets_max: usize) -> Self {
        let composer = Composer::new(octets_max);
        Self { composer, queue: VecDeque::new(), next_at: Instant::ZERO }
    }

    /// Queues updates.
    pub fn queue(&mut self, destinations: impl IntoIterator<Item = DestinationId>) {
        let room = limits::BABEL_DESTINATIONS_MAX.saturating_sub(self.queue.len());
        self.queue.extend(destinations.into_iter().take(room));
    }

    /// The next destination to be said now; `None` if none waits or the burst is large enough.
    pub fn next(&mut self, now: Instant) -> Option<DestinationId> {
        if self.next_at > now {
            return None;
        }
        if self.composer.full() >= limits::BABEL_BURST_PACKETS {
            self.next_at = now + Self::PAUSE;
            return None;
        }
        self.queue.pop_front()
    }

    /// Whether updates wait.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the next piece is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.is_waiting().then_some(self.next_at)
    }

    /// A receiver's buffer of default size holds some 90 packets: this leaves it time to read them.
    const PAUSE: Duration = Duration::from_millis(5);
}
