//! The memory that a daemon occupies: what it needed for some moments only is given back.

use std::fs;
use std::time::Duration;

use crate::os::mapping::Mapping;
use crate::os::sys;

/// To be called before there are threads. Each would get a heap of its own, with room that the others cannot
/// use; daemons allocate little while they work, so that sharing one costs nothing that can be measured.
pub fn share_heap() {
    sys::share_heap();
}

/// Gives memory back from time to time, ever more seldom. A daemon starts with what all commands have in
/// common, options and help, then shakes hands with many peers at once, and later needs little of that.
pub async fn keep_small() {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        give_back();
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Lets go the pages of code and constants, which come back from the system's cache as soon as they are
/// needed, and what of the heap is free.
fn give_back() {
    if let Ok(smaps) = fs::read_to_string("/proc/self/smaps") {
        for mapping in Mapping::all(&smaps) {
            // All that is lost is memory.
            let _ = sys::forget_pages(&mapping);
        }
    }
    sys::trim_heap();
}

/// After that, what only starting needs is not needed again.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Nodes replace tunnels every few minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_gave_back_goes_on() {
        give_back();
        assert!(fs::read_to_string("/proc/self/maps").unwrap().lines().count() > 3);
    }
}
