//! What of this process's memory is a file's, as `/proc/self/smaps` tells.

use std::ops::Range;

/// A mapping of a file whose pages are the file's to the octet: code, and constants.
#[derive(Debug)]
pub struct Mapping(Range<usize>);

impl Mapping {
    /// Its addresses.
    pub const fn addresses(&self) -> &Range<usize> {
        &self.0
    }

    /// All those of a `/proc/self/smaps`.
    pub fn all(smaps: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut candidate = None;
        for line in smaps.lines() {
            match line.split_once(':') {
                // The linker wrote addresses into some constants: those pages are ours, wherever they are.
                Some(("Anonymous" | "Swap", size)) if size.trim() != "0 kB" => candidate = None,
                Some(("VmFlags", _)) => found.extend(candidate.take()),
                Some((name, _)) if !name.contains(' ') => {}
                _ => candidate = Self::parse(line),
            }
        }
        found
    }

    /// Reads the first line of a mapping; `None` if it may be written, or is no file's.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_read_only = matches!(words.next()?, "r-xp" | "r--p");
        let is_file = words.nth(3)?.starts_with('/');
        let address = |text| usize::from_str_radix(text, 16).ok();
        (is_read_only && is_file).then_some(Self(address(start)?..address(end)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_files_to_the_octet_is_taken() {
        let of = |first_line: &str, anonymous: &str, swap: &str| {
            let rest = "Rss:  8 kB\nVmFlags: rd mr mw me";
            format!("{first_line}\nAnonymous: {anonymous} kB\nSwap:   {swap} kB\n{rest}\n")
        };
        let code = "7f00-8f00 r-xp 00001000 08:01 42             /usr/bin/re6st";
        let constants = "9f00-af00 r--p 00001000 08:01 42        /usr/lib/libm: 1.so";
        let smaps = [
            of(code, "0", "0"),
            of("1000-2000 r--p 00002000 08:01 42 /usr/bin/re6st", "4", "0"),
            of("2000-3000 r--p 00002000 08:01 42 /usr/bin/re6st", "0", "4"),
            of("3000-4000 rw-p 00000000 08:01 42 /usr/bin/re6st", "0", "0"),
            of("4000-5000 r-xp 00000000 00:00 0  [vdso]", "0", "0"),
            of("5000-6000 r-xp 00000000 00:00 0", "0", "0"),
            of(constants, "0", "0"),
            "\n".to_owned(),
        ];
        let found = Mapping::all(&smaps.concat());
        let found: Vec<&Range<usize>> = found.iter().map(Mapping::addresses).collect();
        assert_eq!(found, [&(0x7f00..0x8f00), &(0x9f00..0xaf00)]);
    }
}
