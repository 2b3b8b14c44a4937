//! The memory that a daemon occupies: what it needed for some moments only is given back.

use std::fs;
use std::time::Duration;

use crate::os::mapping::Mapping;
use crate::os::sys;

/// To be called before there are threads. Each would get a heap of its own, with room that the others cannot
/// use; daemons allocate little while they work, so that sharing one costs nothing that can be measured.
///
/// Buffers for the longest frames are kept out of it: most tunnels never carry such frames, and pages that the
/// system gives are memory only once something is written there.
pub fn share_heap() {
    sys::share_heap(LARGE_OCTETS);
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

/// A buffer of so many octets is for the longest frames.
const LARGE_OCTETS: i32 = 48 << 10;

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

    fn resident_kib() -> usize {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
    }

    #[test]
    fn a_buffer_for_long_frames_is_no_memory_before_there_are_any() {
        const OCTETS: usize = 65_536;
        share_heap();
        // Used, free again and given back: a heap would write zeros over it all to hand it out anew.
        let used: Vec<_> = (0..400).map(|_| (vec![1_u8; OCTETS], vec![1_u8; 64])).collect();
        let kept: Vec<_> = used.into_iter().map(|(_, small)| small).collect();
        sys::trim_heap();
        let before = resident_kib();
        let buffers: Vec<_> = (0..400).map(|_| vec![0_u8; OCTETS]).collect();
        let more = resident_kib().saturating_sub(before);
        assert!(more < 4_000, "{more} KiB for {} buffers, beside {}", buffers.len(), kept.len());
    }
}
