//! When to ask the registry for a peer to begin with, and when to stop worrying about it.

use std::time::Duration;

use crate::proto::random::Random;
use crate::proto::time::Instant;

/// Questions to the registry: at most one at a time, less and less often while it does not help.
#[derive(Debug)]
pub struct Bootstrap {
    asking: bool,
    due: Instant,
    failures: u32,
    /// Peers of earlier times are given a head start until then.
    patient_until: Instant,
    calm_until: Instant,
}

impl Bootstrap {
    /// Nothing asked yet.
    pub fn new(now: Instant) -> Self {
        Self {
            asking: false,
            due: now,
            failures: 0,
            patient_until: now + HEAD_START,
            calm_until: now,
        }
    }

    /// When the answer of [`Bootstrap::should_ask`] may change.
    pub const fn deadlines(&self) -> [Instant; 2] {
        [self.due, self.patient_until]
    }

    /// Whether to ask now, given whether a tunnel is just being opened. Then it counts as asked.
    pub fn should_ask(&mut self, opening: bool, now: Instant) -> bool {
        let ask = !self.asking && now >= self.due && (!opening || now >= self.patient_until);
        self.asking |= ask;
        ask
    }

    /// The registry named a peer or did not. With other peers in sight, `calm` is for how long to
    /// believe, if it did not, that all is well.
    pub fn answered(
        &mut self,
        helped: bool,
        calm: Option<Duration>,
        now: Instant,
        random: &mut Random,
    ) {
        self.asking = false;
        self.failures = if helped { 0 } else { self.failures + 1 };
        let pause = match calm {
            Some(calm) if !helped => {
                self.calm_until = now + calm;
                calm
            }
            _ => {
                let pause = (PAUSE * (1 << self.failures.min(8))).min(PAUSE_MAX);
                random.between(pause / 2, pause * 3 / 2)
            }
        };
        self.due = now + pause;
        self.patient_until = now + HEAD_START;
    }

    /// A tunnel came up: if it is lost again, the registry is asked at once.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether the last question did not help.
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Whether we believe that all is well although the registry's node is out of sight.
    pub fn assumes_well(&self, now: Instant) -> bool {
        now < self.calm_until
    }
}

/// How long peers of earlier times may take before the registry is asked, too.
const HEAD_START: Duration = Duration::from_secs(2);
/// After which a registry that did not help is asked again; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
/// How seldom it is asked at most: as often as stock nodes ask, for each answer is about another peer,
/// and a stock registry has one only if that peer was quick.
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn without_anybody_to_try_the_registry_is_asked_at_once_and_only_once() {
        let mut bootstrap = Bootstrap::new(at(0));
        assert!(bootstrap.should_ask(false, at(0)));
        assert!(!bootstrap.should_ask(false, at(60_000)));
    }

    #[test]
    fn peers_of_earlier_times_have_a_head_start() {
        let mut bootstrap = Bootstrap::new(at(0));
        assert!(!bootstrap.should_ask(true, at(1_999)));
        assert!(bootstrap.should_ask(true, at(2_000)));
    }

    #[test]
    fn a_registry_that_does_not_help_is_asked_less_and_less() {
        let mut random = Random::from_number(1);
        let mut bootstrap = Bootstrap::new(at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(bootstrap.should_ask(false, now));
            bootstrap.answered(false, None, now, &mut random);
            pauses.push(bootstrap.due.since(now));
            now = bootstrap.due;
        }
        assert!(pauses[0] < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses[11] >= PAUSE_MAX / 2 && pauses[11] < PAUSE_MAX * 2, "{pauses:?}");
    }

    #[test]
    fn with_peers_in_sight_a_dead_registry_is_no_reason_to_worry() {
        let mut random = Random::from_number(1);
        let mut bootstrap = Bootstrap::new(at(0));
        assert!(bootstrap.should_ask(false, at(0)));
        bootstrap.answered(false, Some(Duration::from_secs(60)), at(0), &mut random);
        assert!(bootstrap.assumes_well(at(59_999)));
        assert!(!bootstrap.assumes_well(at(60_000)));
        assert!(bootstrap.should_ask(false, at(60_000)));
    }
}
