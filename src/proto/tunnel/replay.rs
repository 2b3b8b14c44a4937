//! Which packet numbers were seen: each is accepted once, and not when it is too old.

use crate::proto::limits::TUNNEL_REPLAY_WINDOW;

const WORDS: usize = TUNNEL_REPLAY_WINDOW / 64;

/// The numbers seen lately, as a ring of bits below the highest.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    highest: u32,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { highest: 0, seen: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Accepts `number` if it is new and not too old; numbers begin with 1. Call it only for packets
    /// that authenticated.
    pub fn accept(&mut self, number: u32) -> bool {
        if number > self.highest {
            self.advance(number);
        } else if number == 0 || (self.highest - number) as usize >= TUNNEL_REPLAY_WINDOW {
            return false;
        }
        let (word, bit) = place(number);
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    /// The highest number accepted.
    pub const fn highest(&self) -> u32 {
        self.highest
    }

    fn advance(&mut self, number: u32) {
        let step = (number - self.highest) as usize;
        if step >= TUNNEL_REPLAY_WINDOW {
            self.seen = [0; WORDS];
        } else {
            for passed in self.highest + 1..=number {
                let (word, bit) = place(passed);
                self.seen[word] &= !bit;
            }
        }
        self.highest = number;
    }
}

const fn place(number: u32) -> (usize, u64) {
    let at = number as usize % TUNNEL_REPLAY_WINDOW;
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_is_accepted_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for number in [1, 3, 2, 64, 65, 5, u32::MAX - 1, u32::MAX] {
            assert!(window.accept(number), "{number}");
            assert!(!window.accept(number), "{number} again");
        }
    }

    #[test]
    fn zero_and_what_is_too_old_are_refused() {
        let mut window = ReplayWindow::default();
        assert!(!window.accept(0));
        assert!(window.accept(5_000));
        assert!(!window.accept(5_000 - TUNNEL_REPLAY_WINDOW as u32));
        assert!(window.accept(5_001 - TUNNEL_REPLAY_WINDOW as u32));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_everything_seen(
            numbers in proptest::collection::vec(1_u32..6_000, 0..400)
        ) {
            let mut window = ReplayWindow::default();
            let mut seen = HashSet::new();
            let mut highest = 0;
            for number in numbers {
                highest = highest.max(number);
                let old = (highest - number) as usize >= TUNNEL_REPLAY_WINDOW;
                prop_assert_eq!(window.accept(number), !old && seen.insert(number));
            }
        }
    }
}
