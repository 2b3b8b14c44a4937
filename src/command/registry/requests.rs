//! How many requests were answered how.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many requests got which status.
#[derive(Default)]
pub(super) struct Requests(Mutex<BTreeMap<u16, u64>>);

impl Requests {
    /// Counts one.
    pub fn count(&self, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(status).or_default() += 1;
    }

    /// How many there were, by status.
    pub fn counts(&self) -> BTreeMap<u16, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
