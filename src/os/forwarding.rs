//! Kernel switches that a router needs: packets of others are passed on.

use std::fs;
use std::io;

/// What was switched, to be switched back when this is dropped.
#[derive(Debug, Default)]
pub struct Forwarding {
    before: Vec<(&'static str, String)>,
}

impl Forwarding {
    /// Lets the kernel pass on packets of both families, and not believe those who say they know a
    /// better way.
    pub fn enable() -> io::Result<Self> {
        let mut forwarding = Self::default();
        for &(path, wanted) in SWITCHES {
            let before = match fs::read_to_string(path) {
                Ok(before) => before.trim().to_owned(),
                // A kernel without that family.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if before != wanted {
                fs::write(path, wanted)?;
                forwarding.before.push((path, before));
            }
        }
        Ok(forwarding)
    }

    /// What was switched: the path of each switch and its value before.
    pub fn switched(&self) -> &[(&'static str, String)] {
        &self.before
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        for (path, before) in &self.before {
            let _ = fs::write(path, before);
        }
    }
}

const SWITCHES: &[(&str, &str)] = &[
    ("/proc/sys/net/ipv6/conf/all/forwarding", "1"),
    ("/proc/sys/net/ipv4/conf/all/forwarding", "1"),
    ("/proc/sys/net/ipv6/conf/all/accept_redirects", "0"),
];
