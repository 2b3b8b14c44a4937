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
//! What is found is told to the kernel, which from then on cuts what exceeds it, and forgets it after ten minutes.
//!
//! And the reverse: who is told of a smaller path asks whether the larger one still works, for anybody can
//! send such word.
//!
//! ```text
//!            a smaller path is told            three probes of the former size unanswered
//!  Trusting ───────────────────────▶ Doubting ───────────────────────────────────────────▶ Trusting
//!                                     │    ▲
//!                                     └────┘ answered: that was a lie
//! ```
//!
//! Asked is only while packets are sent, or when the kernel was told something, and only native peers
//! answer.

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
    /// The last answer showed that the kernel was told a lie.
    refuted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The kernel is right, as far as is known; so many probes of full size were not answered.
    Trusting { unanswered: u32 },
    /// The kernel was told of a smaller path; so many probes of the former size were not answered.
    Doubting { before: u32, unanswered: u32 },
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
    /// Begins with what the kernel believes.
    pub fn new(path: u32) -> Self {
        Self { believed: path, ..Self::default() }
    }

    /// What the path takes, as far as is known.
    pub const fn takes(&self) -> u32 {
        match self.stage {
            Stage::Known { limit, .. } => limit,
            Stage::Doubting { before, .. } => before,
            _ => self.believed,
        }
    }

    /// Whether the kernel believes something new.
    pub const fn is_news(&self, path: u32) -> bool {
        path != self.believed
    }

    /// Whether probes must be sent whole, against what the kernel was told.
    pub const fn is_doubtful(&self) -> bool {
        matches!(self.stage, Stage::Doubting { .. })
    }

    /// Whether the kernel should forget what it was told.
    pub const fn is_refuted(&self) -> bool {
        self.refuted
    }

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
            Stage::Asking { .. } | Stage::Doubting { .. } => true,
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
        self.refuted = self.is_doubtful() && self.answered.is_some();
        self.stage = if path == self.believed { self.next(path, now) } else { self.told(path) };
        self.believed = path;
        self.answered = None;
        let time = now.micros_u32();
        let sizes: Vec<u32> = match self.stage {
            Stage::Trusting { .. } => vec![path],
            Stage::Doubting { before, .. } => vec![before],
            Stage::Asking { .. } => (SMALLEST..path).step_by(STEP as usize).collect(),
            Stage::Known { ask_again, .. } if ask_again <= now => vec![path],
            Stage::Known { .. } => Vec::new(),
        };
        let times = (0..).map(|at| time.wrapping_add(at));
        self.asked = times.zip(sizes).collect();
        &self.asked
    }

    /// The kernel was told something: begin anew, and do not believe it when it is less.
    fn told(&self, path: u32) -> Stage {
        match (self.takes(), self.stage) {
            (before, Stage::Doubting { .. }) if path < before && self.answered.is_none() => {
                self.stage
            }
            (before, _) if path < before => Stage::Doubting { before, unanswered: 0 },
            _ => Stage::default(),
        }
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
            (Stage::Doubting { before, .. }, Some(_)) => Stage::Doubting { before, unanswered: 0 },
            (Stage::Doubting { before, unanswered }, None) if unanswered + 1 < UNANSWERED_MAX => {
                Stage::Doubting { before, unanswered: unanswered + 1 }
            }
            (Stage::Doubting { .. }, None) => Stage::default(),
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
    fn word_of_a_smaller_path_is_believed_only_when_the_former_size_fails() {
        for takes in [1_500, 1_400] {
            let (mut hole, mut now) = (BlackHole::new(1_500), Instant::ZERO);
            let mut refuted = 0;
            for _ in 0..20 {
                let asked = hole.look(1_400, now).to_vec();
                refuted += u32::from(hole.is_refuted());
                for (time, _) in asked.into_iter().filter(|&(_, path)| path <= takes) {
                    hole.answered(time);
                }
                now += PATIENCE;
            }
            assert_eq!((hole.takes(), hole.is_doubtful()), (takes, takes == 1_500));
            assert_eq!(refuted, if takes == 1_500 { 19 } else { 0 });
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
        assert_eq!((hole.limit(), hole.takes(), asked.len()), (None, 1_450, 1));
        for _ in 0..UNANSWERED_MAX {
            hole.answered(asked[0].0.wrapping_add(7));
            now += PATIENCE;
            hole.look(1_450, now);
        }
        assert!(hole.asked.len() > 1, "the answer was to another probe");
    }
}
