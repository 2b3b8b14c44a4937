//! Which Hellos of a neighbour arrived (RFC 8966 §A.1).

use std::time::Duration;

use crate::proto::babel::hello::Hello;
use crate::proto::limits;
use crate::proto::time::Instant;

/// The last 16 Hellos of one kind, the latest in the highest bit.
#[derive(Clone, Copy, Default, Debug)]
pub struct History {
    bits: u16,
    /// How many of the 16 were expected so far.
    count: u8,
    expected: Option<u16>,
    interval: Duration,
    next_at: Option<Instant>,
}

impl History {
    /// Takes a Hello.
    pub fn handle(&mut self, hello: &Hello, now: Instant) -> Heard {
        let mut heard = Heard::After(Missed(0));
        if let Some(expected) = self.expected {
            let ahead = hello.seqno.wrapping_sub(expected).cast_signed();
            match ahead {
                // What was known of the sender says nothing any more.
                17.. | ..=-17 => {
                    self.bits = 0;
                    self.count = 0;
                    heard = Heard::Restarted;
                }
                1..=16 => {
                    self.bits = self.bits.checked_shr(u32::from(ahead.unsigned_abs())).unwrap_or(0);
                    self.expect(ahead.unsigned_abs());
                    heard = Heard::After(Missed(ahead.unsigned_abs()));
                }
                // The sender takes its time, so Hellos were counted as lost that were never sent.
                _ => {
                    let undone = u32::from(ahead.unsigned_abs());
                    self.bits = self.bits.checked_shl(undone).unwrap_or(0);
                }
            }
        }
        self.bits = self.bits >> 1 | 0x8000;
        self.expect(1);
        self.expected = Some(hello.seqno.wrapping_add(1));
        if let Some(interval) = hello.next_within {
            self.interval = interval;
            self.next_at = Some(now + interval.mul_f64(1.5));
        } else if self.next_at.is_none() {
            // No next one was ever promised, and yet this one must not count for ever: RFC 8966 §3.4.3.
            self.interval = limits::BABEL_NEIGHBOUR_SILENCE;
            self.next_at = Some(now + self.interval);
        }
        heard
    }

    /// Counts Hellos that did not come; whether any did not.
    pub fn expire(&mut self, now: Instant) -> Missed {
        let mut missed = Missed(0);
        while let Some(at) = self.next_at.filter(|&at| at <= now) {
            self.bits >>= 1;
            self.expected = self.expected.map(|expected| expected.wrapping_add(1));
            missed.0 += 1;
            self.expect(1);
            // Nobody is there: nothing more to count.
            self.next_at = (self.bits != 0).then(|| at + self.interval);
        }
        missed
    }

    fn expect(&mut self, further: u16) {
        let count = u16::from(self.count).saturating_add(further).min(16);
        self.count = u8::try_from(count).unwrap_or(16);
    }

    /// The part of the last 16 that arrived, 0 to 1; of fewer, if there were no more.
    pub fn arrived_ratio(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let arrived = self.bits.count_ones() as f32;
        arrived / f32::from(self.count.max(1)).max(arrived)
    }

    /// When the next Hello counts as lost.
    pub const fn deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// The last 16, the latest in the highest bit.
    pub const fn bits(&self) -> u16 {
        self.bits
    }

    /// Whether at least one of the last four arrived.
    pub const fn is_alive(&self) -> bool {
        self.bits >> 12 != 0
    }

    /// Whether at least two of the last three arrived (RFC 8966 §A.2.1).
    pub const fn is_up(&self) -> bool {
        (self.bits >> 13).count_ones() >= 2
    }
}

/// What a Hello says of those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// So many before it were lost.
    After(Missed),
    /// Its sender restarted, or was away for long.
    Restarted,
}

/// How many Hellos were found to be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed(pub u16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::hello::HelloKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn hello(seqno: u16) -> Hello {
        Hello { kind: HelloKind::Multicast, seqno, next_within: Some(SECOND), sent: None }
    }

    #[test]
    fn two_of_three_make_a_link() {
        let mut history = History::default();
        history.handle(&hello(7), Instant::ZERO);
        assert!(!history.is_up(), "one may be luck");
        history.handle(&hello(8), Instant::ZERO + SECOND);
        assert!(history.is_up());
        assert_eq!(history.handle(&hello(10), Instant::ZERO + SECOND * 3), Heard::After(Missed(1)));
        assert_eq!(history.bits(), 0b1011 << 12);
        assert!(history.is_up());
    }

    #[test]
    fn silence_is_noticed_after_two_intervals_and_a_half() {
        let mut history = History::default();
        for at in 0..16 {
            history.handle(&hello(at), Instant::ZERO + SECOND * u32::from(at));
        }
        let last = Instant::ZERO + SECOND * 15;
        assert_eq!(history.expire(last + SECOND), Missed(0));
        assert_eq!(history.expire(last + SECOND.mul_f64(1.5)), Missed(1));
        assert!(history.is_up());
        assert_eq!(history.expire(last + SECOND.mul_f64(2.5)), Missed(1));
        assert!(!history.is_up());
        assert_eq!(history.expire(last + SECOND * 100), Missed(14));
        assert_eq!(history.deadline(), None);
    }

    #[test]
    fn an_unscheduled_hello_moves_no_deadline() {
        let mut history = History::default();
        history.handle(&hello(1), Instant::ZERO);
        let unscheduled = Hello { next_within: None, ..hello(2) };
        history.handle(&unscheduled, Instant::ZERO + SECOND);
        assert_eq!(history.deadline(), Some(Instant::ZERO + SECOND * 3 / 2));
        assert!(history.is_up());
    }

    #[test]
    fn whoever_promises_nothing_is_not_believed_for_ever() {
        let mut history = History::default();
        for seqno in 0..3 {
            history.handle(&Hello { next_within: None, ..hello(seqno) }, Instant::ZERO);
        }
        assert!(history.is_up());
        history.expire(Instant::ZERO + 3 * limits::BABEL_NEIGHBOUR_SILENCE);
        assert!(!history.is_up());
    }

    #[test]
    fn a_sender_that_slowed_down_lost_nothing() {
        let mut history = History::default();
        for at in 0..4 {
            history.handle(&hello(at), Instant::ZERO + SECOND * u32::from(at));
        }
        history.expire(Instant::ZERO + SECOND * 6);
        history.handle(&hello(4), Instant::ZERO + SECOND * 6);
        assert_eq!(history.bits(), 0xf800);
    }

    #[test]
    fn a_restarted_sender_begins_anew() {
        let mut history = History::default();
        history.handle(&hello(1000), Instant::ZERO);
        history.handle(&hello(1001), Instant::ZERO);
        assert_eq!(history.handle(&hello(7), Instant::ZERO), Heard::Restarted);
        assert_eq!(history.bits(), 0x8000);
    }
}
