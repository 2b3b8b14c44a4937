//! Kernel switches that a router needs: packets of others are passed on.

use std::fs;
use std::io;

/// What was switched, to be switched back when this is dropped.
#[derive(Debug, Default)]
pub struct Forwarding {
    before: Vec<(String, String)>,
    /// Whether anything is switched at all.
    is_wanted: bool,
}

impl Forwarding {
    /// Lets the kernel pass on packets of both families, not believe those who say they know a better
    /// way, and take packets from where it would not send any: routes need not be the same both ways.
    pub fn enable() -> io::Result<Self> {
        let mut forwarding = Self { before: Vec::new(), is_wanted: true };
        for &(path, wanted) in SWITCHES {
            forwarding.switch(path, wanted)?;
        }
        Ok(forwarding)
    }

    /// The same for one interface, whose reverse path filter counts if it is stricter than that of all.
    pub fn enable_on(&mut self, interface: &str) -> io::Result<()> {
        // The name becomes part of a path.
        if !self.is_wanted || interface.contains('/') {
            return Ok(());
        }
        self.switch(&format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "0")
    }

    /// What was switched: the path of each switch and its value before.
    pub fn switched(&self) -> &[(String, String)] {
        &self.before
    }

    /// Leaves everything as it is at the end: somebody else needs it.
    pub fn leave_on(&mut self) {
        self.before.clear();
    }

    fn switch(&mut self, path: &str, wanted: &str) -> io::Result<()> {
        let before = match fs::read_to_string(path) {
            Ok(before) => before.trim().to_owned(),
            // A kernel without that family, or an interface that is gone again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if before != wanted {
            fs::write(path, wanted)?;
            // An interface that was made again is switched again, and back once.
            self.before.retain(|(known, _)| known != path);
            self.before.push((path.to_owned(), before));
        }
        Ok(())
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
    ("/proc/sys/net/ipv4/conf/all/accept_redirects", "0"),
    ("/proc/sys/net/ipv4/conf/all/rp_filter", "0"),
];
