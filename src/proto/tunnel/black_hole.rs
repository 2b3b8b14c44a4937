//! Notices that a path takes smaller datagrams than the kernel believes, though nobody says so: a router
//! on it drops what is too large, or the word it sends does not arrive (RFC 8899 without its ladder of
//! guesses: all sizes are asked for at once).
//!
//! ```text
//!             three probes of full size unanswered        answers to smaller ones
//!  Trusting ─────────────────────────────────────▶ Asking ───────────────────────▶ Known(limit)
//!     ▲                                              │ none                             │
//!     └──────────────────────────────────────────────┴──── full size passes again ──────┘
//! ```
//!
//! Asked is only while packets are sent, and only native peers answer.

use std::time::Duration;

use crate::proto::time::Instant;

/// What is known of one path.
#[derive(Clone, Debug, Default)]
pub struct BlackHole {
    stage: Stage,
    /// Probes under way: when they were sent, as their answers repeat it, and for which path.
    asked: Vec<(u32, u32)>,
    /// The largest path of which an answer came since it was asked for.
    answered: Option<u32>,
    /// The path that the kernel believed in.
    believed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The kernel is right, as far as is known; so many probes of full size were not answered.
    Trusting { unanswered: u32 },
    /// All smaller sizes are asked for.
    Asking { rounds: u32 },
    /// The path takes so much; from then on it may be more.
    Known { limit: u32, ask_again: Instant },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Trusting { unanswered: 0 }
    }
}

/// Probes of full size that may stay unanswered.
const UNANSWERED_MAX: u32 = 3;
/// How often all smaller sizes are asked for.
const ROUNDS: u32 = 3;
/// How long answers are waited for when one is missing.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// After what time a path may have grown again (RFC 8899 §5.1.1).
const RAISE: Duration = Duration::from_secs(600);
/// Sizes that are asked for differ by so many octets.
const STEP: u32 = 20;
/// The smallest size that is asked for.
const SMALLEST: u32 = 1_280;

impl BlackHole {
    /// What the path takes, if that is less than the kernel believes.
    pub const fn limit(&self) -> Option<u32> {
        match self.stage {
            Stage::Known { limit, .. } => Some(limit),
            _ => None,
        }
    }

    /// Whether answers are awaited that may not come: look again after [`PATIENCE`].
    pub const fn is_suspicious(&self) -> bool {
        match self.stage {
            Stage::Trusting { unanswered } => unanswered > 0,
            Stage::Asking { .. } => true,
            Stage::Known { .. } => false,
        }
    }

    /// An answer came, which repeats when its probe was sent.
    pub fn answered(&mut self, time: u32) {
        let path = self.asked.iter().find(|&&(at, _)| at == time).map(|&(_, path)| path);
        self.answered = self.answered.max(path);
    }

    /// Packets were sent since the last look; `path` is what the kernel believes. Gives the paths to be
    /// probed now, each with the time to put into its probe.
    pub fn look(&mut self, path: u32, now: Instant) -> &[(u32, u32)] {
        if path != self.believed {
            // The kernel was told something: begin anew.
            *self = Self { believed: path, ..Self::default() };
        } else {
            self.stage = self.next(path, now);
        }
        self.answered = None;
        let time = now.micros_u32();
        let sizes: Vec<u32> = match self.stage {
            Stage::Trusting { .. } => vec![path],
            Stage::Asking { .. } => (SMALLEST..path).step_by(STEP as usize).collect(),
            Stage::Known { ask_again, .. } if ask_again <= now => vec![path],
            Stage::Known { .. } => Vec::new(),
        };
        let times = (0..).map(|at| time.wrapping_add(at));
        self.asked = times.zip(sizes).collect();
        &self.asked
    }

    fn next(&self, path: u32, now: Instant) -> Stage {
        let asked = !self.asked.is_empty();
        match (self.stage, self.answered) {
            (Stage::Trusting { .. }, Some(_)) => Stage::default(),
            (Stage::Trusting { .. }, None) if path <= SMALLEST || !asked => Stage::default(),
            (Stage::Trusting { unanswered }, None) if unanswered + 1 < UNANSWERED_MAX => {
                Stage::Trusting { unanswered: unanswered + 1 }
            }
            (Stage::Trusting { .. }, None) => Stage::Asking { rounds: 0 },
            (Stage::Asking { .. }, Some(limit)) => Stage::Known { limit, ask_again: now + RAISE },
            (Stage::Asking { rounds }, None) if rounds + 1 < ROUNDS => {
                Stage::Asking { rounds: rounds + 1 }
            }
            // Nothing comes through, of whatever size: that is not about sizes.
            (Stage::Asking { .. }, None) => Stage::default(),
            (Stage::Known { ask_again, .. }, Some(_)) if ask_again <= now => Stage::default(),
            (Stage::Known { limit, ask_again }, None) if asked && ask_again <= now => {
                Stage::Known { limit, ask_again: now + RAISE }
            }
            (known @ Stage::Known { .. }, _) => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks as often as a tunnel does, over a path that takes `takes` octets; every `lost`th probe is lost.
    fn live(hole: &mut BlackHole, now: &mut Instant, seconds: u64, takes: u32, lost: u32) -> u32 {
        let end = *now + Duration::from_secs(seconds);
        let mut probes = 0_u32;
        while *now < end {
            let sent = hole.look(1_500, *now).to_vec();
            for (time, path) in sent {
                probes += 1;
                if path <= takes && (lost == 0 || !probes.is_multiple_of(lost)) {
                    hole.answered(time);
                }
            }
            let wait = if hole.is_suspicious() { PATIENCE } else { Duration::from_secs(3) };
            *now += wait;
        }
        probes
    }

    #[test]
    fn a_path_that_shrinks_in_silence_is_found_out_within_seconds_and_so_is_its_growth() {
        let (mut hole, mut now) = (BlackHole::default(), Instant::ZERO);
        live(&mut hole, &mut now, 60, 1_500, 0);
        assert_eq!(hole.limit(), None);
        for (takes, found) in [(1_400, 1_400), (1_333, 1_320), (1_280, 1_280)] {
            let mut hole = hole.clone();
            let mut now = now;
            live(&mut hole, &mut now, 10, takes, 0);
            assert_eq!(hole.limit(), Some(found), "{takes}");
            live(&mut hole, &mut now, 3_000, takes, 0);
            assert_eq!(hole.limit(), Some(found), "{takes}");
            live(&mut hole, &mut now, 620, 1_500, 0);
            assert_eq!(hole.limit(), None, "{takes}");
        }
    }

    #[test]
    fn loss_and_silence_are_not_taken_for_a_smaller_path() {
        let (mut hole, mut now) = (BlackHole::default(), Instant::ZERO);
        live(&mut hole, &mut now, 3_600, 1_500, 3);
        assert_eq!(hole.limit(), None, "every third probe is lost");
        live(&mut hole, &mut now, 60, 0, 0);
        assert_eq!(hole.limit(), None, "nothing comes through");
    }

    #[test]
    fn what_the_kernel_hears_begins_everything_anew_and_answers_of_others_count_nothing() {
        let (mut hole, mut now) = (BlackHole::default(), Instant::ZERO);
        live(&mut hole, &mut now, 10, 1_400, 0);
        assert_eq!(hole.limit(), Some(1_400));
        let asked = hole.look(1_450, now).to_vec();
        assert_eq!((hole.limit(), asked.len()), (None, 1));
        for _ in 0..UNANSWERED_MAX {
            hole.answered(asked[0].0.wrapping_add(7));
            now += PATIENCE;
            hole.look(1_450, now);
        }
        assert!(hole.asked.len() > 1, "the answer was to another probe");
    }
}
