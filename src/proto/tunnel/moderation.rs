//! When a thread that carries packets rests before it takes more, as network cards moderate interrupts.
//!
//! A peer that sends packet by packet wakes us for each, and waking costs more than the packet. Once
//! packets come that fast, a short rest gives several at a time, which also join to super-frames. Whoever
//! waits for an answer to each packet would only wait longer: so what a rest brings decides whether there
//! is another.
//!
//! | state   | when                                                   | next                                           |
//! |---------|--------------------------------------------------------|------------------------------------------------|
//! | awake   | many wakes for a few packets, each soon after the last | resting                                        |
//! | resting | a rest brought several packets                         | resting                                        |
//! | resting | it brought very many: they come together anyway        | awake                                          |
//! | resting | it brought hardly any                                  | awake, for ever longer until it is tried again |

use std::time::Duration;

use crate::proto::time::Instant;

/// How long a rest is. The kernel adds its slack of some 50 µs.
pub const REST: Duration = Duration::from_micros(100);

/// Wakes that follow each other at once.
const QUICK: u32 = 32;
/// What "at once" is.
const GAP: Duration = Duration::from_micros(40);
/// Packets that are not worth a wake.
const FEW: u32 = 4;
/// Packets that are worth a rest.
const WORTH: u32 = 3;
/// Packets that come together anyway.
const MANY: u32 = 64;
/// How long there is no rest after one that brought nothing: doubled each time, up to the longer.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(320)];

/// One thread's moderation.
#[derive(Debug)]
pub struct Moderation {
    /// Packets since it woke.
    packets: u32,
    /// When it went to sleep, after a rest if there was one.
    asleep: Instant,
    /// When it woke.
    awake: Instant,
    quick: u32,
    is_resting: bool,
    pause: Duration,
    next_try: Instant,
}

impl Moderation {
    /// That of a thread which starts.
    pub const fn new() -> Self {
        Self {
            packets: 0,
            asleep: Instant::ZERO,
            awake: Instant::ZERO,
            quick: 0,
            is_resting: false,
            pause: PAUSES[0],
            next_try: Instant::ZERO,
        }
    }

    /// So many packets were carried.
    pub const fn carry(&mut self, packets: u32) {
        self.packets = self.packets.saturating_add(packets);
    }

    /// Nothing is left to do: whether to rest before sleeping until there is.
    pub fn sleep(&mut self, now: Instant) -> bool {
        let packets = std::mem::take(&mut self.packets);
        if self.is_resting {
            self.judge(packets, now);
        } else {
            let is_quick = self.awake - self.asleep < GAP && (1..=FEW).contains(&packets);
            self.quick = if is_quick { self.quick + 1 } else { 0 };
            self.is_resting = self.quick >= QUICK && now >= self.next_try;
        }
        self.asleep = if self.is_resting { now + REST } else { now };
        self.is_resting
    }

    /// There is something to do.
    pub const fn wake(&mut self, now: Instant) {
        self.awake = now;
    }

    /// What a rest brought.
    fn judge(&mut self, packets: u32, now: Instant) {
        self.is_resting = (WORTH..=MANY).contains(&packets);
        if self.is_resting {
            self.pause = PAUSES[0];
            return;
        }
        self.quick = 0;
        if packets < WORTH {
            self.next_try = now + self.pause;
            self.pause = (self.pause * 2).min(PAUSES[1]);
        }
    }
}

impl Default for Moderation {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A thread that needs 5 µs for a packet.
    #[derive(Default)]
    struct Thread {
        moderation: Moderation,
        now: Instant,
        rests: u32,
        packets: u32,
    }

    impl Thread {
        /// Packets come every `gap` for `time`, whatever the thread does.
        fn stream(&mut self, gap: Duration, time: Duration) {
            let end = self.now + time;
            let mut next = self.now;
            while self.now < end {
                self.now = self.now.max(next);
                self.moderation.wake(self.now);
                while next <= self.now {
                    self.take();
                    next += gap;
                }
                self.sleep();
            }
        }

        /// Someone sends a packet `pause` after each answer, for `time`.
        fn question(&mut self, pause: Duration, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.now += pause;
                self.moderation.wake(self.now);
                self.take();
                self.sleep();
            }
        }

        fn take(&mut self) {
            self.now += 5 * MICROSECOND;
            self.packets += 1;
            self.moderation.carry(1);
        }

        fn sleep(&mut self) {
            if self.moderation.sleep(self.now) {
                self.now += REST + 50 * MICROSECOND;
                self.rests += 1;
            }
        }
    }

    #[test]
    fn packets_that_come_fast_are_taken_several_at_a_time() {
        let mut thread = Thread::default();
        thread.stream(15 * MICROSECOND, Duration::from_secs(1));
        let a_rest = f64::from(thread.packets) / f64::from(thread.rests);
        assert!((10.0..20.0).contains(&a_rest), "{a_rest} packets a rest");
    }

    #[test]
    fn whoever_waits_for_answers_hardly_waits_longer() {
        let mut thread = Thread::default();
        thread.question(20 * MICROSECOND, Duration::from_secs(1));
        assert!((1..=10).contains(&thread.rests), "{} rests", thread.rests);
        assert!(thread.packets > 39_000, "{} answers in a second", thread.packets);
    }

    #[test]
    fn slow_packets_and_those_that_come_together_are_taken_at_once() {
        let mut slow = Thread::default();
        slow.stream(200 * MICROSECOND, Duration::from_secs(1));
        assert_eq!(slow.rests, 0);
        let mut moderation = Moderation::new();
        let mut now = Instant::ZERO;
        for _ in 0..1000 {
            now += 20 * MICROSECOND;
            moderation.wake(now);
            moderation.carry(45);
            assert!(!moderation.sleep(now));
        }
    }

    #[test]
    fn the_end_of_a_stream_ends_the_rests() {
        let mut thread = Thread::default();
        thread.stream(15 * MICROSECOND, Duration::from_millis(100));
        let before = thread.rests;
        thread.stream(Duration::from_millis(10), Duration::from_secs(1));
        assert!(thread.rests <= before + 1);
        let before = thread.rests;
        thread.stream(15 * MICROSECOND, Duration::from_millis(100));
        assert!(thread.rests > before + 300, "and a new one begins them again");
    }

    #[test]
    fn a_rest_that_brings_very_many_is_the_last() {
        let mut moderation = Moderation::new();
        let mut now = Instant::ZERO;
        for _ in 0..QUICK {
            now += 20 * MICROSECOND;
            moderation.wake(now);
            moderation.carry(1);
            now += 5 * MICROSECOND;
            let _ = moderation.sleep(now);
        }
        assert!(moderation.is_resting);
        moderation.wake(now);
        moderation.carry(MANY + 1);
        assert!(!moderation.sleep(now));
    }
}
