//! Entropy from the kernel.

use crate::proto::random::Random;

/// A source of draws that nobody can predict.
///
/// # Panics
/// If the kernel has no entropy to give, which no later step could make up for.
pub fn random() -> Random {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("getrandom(2) fails only where it does not exist");
    Random::from_seed(seed)
}
