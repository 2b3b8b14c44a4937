//! Memory for the program's own code: given back where only starting needed it.

use std::fs;
use std::ops::Range;

use crate::os::sys;

/// Code that is mapped from a file, and not changed since.
#[derive(Debug)]
pub struct Mapping(Range<usize>);

impl Mapping {
    /// Its addresses.
    pub const fn addresses(&self) -> &Range<usize> {
        &self.0
    }

    /// Reads a line of `/proc/self/maps`; `None` if something else is mapped there.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()? == "r-xp";
        let is_file = words.nth(3)?.starts_with('/');
        let address = |text| usize::from_str_radix(text, 16).ok();
        (is_code && is_file).then_some(Self(address(start)?..address(end)?))
    }
}

/// Lets go the pages of code that were used until now. A daemon starts with what all commands have in
/// common, options and help, and never needs that again; what it does need, it takes back from the
/// system's cache at once.
pub fn forget_start() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for mapping in maps.lines().filter_map(Mapping::parse) {
        // All that is lost is memory.
        let _ = sys::forget_code(&mapping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_files_is_taken() {
        let code = "7f00-8f00 r-xp 00001000 08:01 42                         /usr/bin/re6st";
        assert_eq!(Mapping::parse(code).unwrap().addresses(), &(0x7f00..0x8f00));
        for other in [
            "7f00-8f00 rw-p 00001000 08:01 42 /usr/bin/re6st",
            "7f00-8f00 r-xp 00000000 00:00 0  [vdso]",
            "7f00-8f00 r-xp 00000000 00:00 0",
            "",
        ] {
            assert!(Mapping::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_program_without_its_start_goes_on() {
        forget_start();
        assert!(fs::read_to_string("/proc/self/maps").unwrap().lines().count() > 3);
    }
}
