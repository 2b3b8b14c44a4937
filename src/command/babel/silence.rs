//! When a router that takes a whole table says what follows from it: its own routes come first.

use std::time::Duration;

use crate::proto::time::Instant;

/// While many routes change, and more may arrive, nothing is said that is not asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silence {
    began: Option<Instant>,
    until: Instant,
}

impl Silence {
    /// What arrived at `began` changed so many routes, until `now`.
    pub fn extend(&mut self, changes: usize, began: Instant, now: Instant) {
        if changes > FEW_ROUTES {
            let began = *self.began.get_or_insert(began);
            self.until = (now + PAUSE).min(began + MAX);
        }
    }

    /// When what is due at `deadline` is done.
    pub fn over(&self, deadline: Option<Instant>) -> Option<Instant> {
        deadline.map(|due| due.max(self.until))
    }
}

/// More routes than these change at once when a whole table arrives, or is lost.
const FEW_ROUTES: usize = 64;
/// A table arrives with pauses up to this.
const PAUSE: Duration = Duration::from_millis(2);
/// However much arrives, something is said after this time.
const MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_table_is_taken_before_anything_is_said_but_not_for_ever() {
        let mut silence = Silence::default();
        let due = Some(at(1_000));
        silence.extend(FEW_ROUTES, at(1_000), at(1_001));
        assert_eq!(silence.over(due), due, "a few routes are announced at once");
        silence.extend(FEW_ROUTES + 1, at(1_001), at(1_010));
        assert_eq!(silence.over(due), Some(at(1_012)));
        assert_eq!(
            silence.over(Some(at(1_013))),
            Some(at(1_013)),
            "what is due later waits no longer"
        );
        assert_eq!(silence.over(None), None);
        for began in (1_010..2_000).step_by(10) {
            silence.extend(1_000, at(began), at(began + 9));
        }
        assert_eq!(silence.over(due), Some(at(1_101)));
    }
}
