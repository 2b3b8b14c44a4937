//! What a process changed on its host, kept in a file so that it is changed back even after `kill -9`.
//!
//! A change is in the file before it is made, and out of it when nothing of it is left. A file of
//! another boot or of another network namespace says nothing about this host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::os::file::{self, Access, FileError};
use crate::os::sysctl;
use crate::proto::cidr::Cidr;

/// What is changed now, and by whom it was.
#[derive(Debug)]
pub struct Traces {
    file: PathBuf,
    record: Record,
    /// What an earlier process changed and did not change back.
    pub earlier: Record,
    /// The file cannot be written, and that was told.
    pub unkept: Option<FileError>,
}

/// The changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    boot: String,
    namespace: u64,
    /// The values that kernel switches had before, by their paths below /proc/sys.
    pub switches: BTreeMap<String, String>,
    /// The values that they were set to. Version 0.1.0 did not write them.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Addresses that were added, with the interfaces that have them.
    pub addresses: Vec<(String, IpAddr)>,
    /// Networks that were made unreachable. Version 0.1.0 did not write them.
    #[serde(default)]
    pub unreachable: Vec<String>,
}

impl Traces {
    /// Reads what an earlier process left in `file`; nothing if that is not there or is of no use.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let namespace = fs::metadata("/proc/self/ns/net")?.ino();
        let left = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let here = |record: &Record| record.boot == boot && record.namespace == namespace;
        let earlier = left.filter(here).unwrap_or_default();
        // Until all that was left is dealt with, it is in the file: this process may be killed, too.
        let record = Record { boot, namespace, ..earlier.clone() };
        Ok(Self { file, record, earlier, unkept: None })
    }

    /// Sets a switch below /proc/sys; false if the kernel has none of that name. One that an earlier
    /// process had set is ours now, with the value that it found.
    pub fn switch(&mut self, name: &str, value: &str) -> io::Result<bool> {
        let Some(now) = sysctl::read(name)? else { return Ok(false) };
        // If it is so already, it was before anybody of us came, or the record knows what it was.
        if now != value {
            self.record.switches.insert(name.to_owned(), now);
            self.record.set.insert(name.to_owned(), value.to_owned());
            self.keep();
            sysctl::write(name, value)?;
        }
        Ok(true)
    }

    /// The sysctls that are changed now: name, value before, value now.
    pub fn sysctls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let set = &self.record.set;
        self.record.switches.iter().map(|(name, before)| {
            let now = set.get(name).map_or("", String::as_str);
            (name.as_str(), before.as_str(), now)
        })
    }

    /// Notes a network that is to be made unreachable now.
    pub fn adds_unreachable(&mut self, network: Cidr) {
        let network = network.to_string();
        if !self.record.unreachable.contains(&network) {
            self.record.unreachable.push(network);
            self.keep();
        }
    }

    /// Notes that a network is no longer made unreachable.
    pub fn removed_unreachable(&mut self, network: Cidr) {
        let network = network.to_string();
        self.record.unreachable.retain(|known| *known != network);
        self.keep();
    }

    /// Whether an address is in the record: added by this process or by a killed one before it.
    pub fn has_address(&self, interface: &str, address: IpAddr) -> bool {
        let mut known = self.record.addresses.iter();
        known.any(|(name, known)| (name.as_str(), *known) == (interface, address))
    }

    /// Notes an address that is to be added now.
    pub fn adds_address(&mut self, interface: &str, address: IpAddr) {
        let change = (interface.to_owned(), address);
        if !self.record.addresses.contains(&change) {
            self.record.addresses.push(change);
            self.keep();
        }
    }

    /// Notes that an address is gone.
    pub fn removed_address(&mut self, interface: &str, address: IpAddr) {
        self.record
            .addresses
            .retain(|(name, known)| (name.as_str(), *known) != (interface, address));
        self.keep();
    }

    /// Sets every switch back that still is as it was set, and forgets all: addresses are gone by now.
    /// `set` are those that a record of version 0.1.0 does not tell.
    pub fn restore(self, set: &[(&str, &str)]) {
        // Forwarding first: while it is on, a host with accept_ra 1 accepts no router advertisements.
        let mut switches: Vec<_> = self.record.switches.iter().collect();
        switches.sort_by_key(|(name, _)| !name.ends_with("/forwarding"));
        for (name, before) in switches {
            let known = set.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            let ours = self.record.set.get(name).map(String::as_str).or(known);
            let now = sysctl::read(name).ok().flatten();
            // Whoever set it to something else since wants that.
            if now.is_some() && now.as_deref() == ours {
                // Nothing is left to be done about a kernel that no longer lets us.
                let _ = sysctl::write(name, before);
            }
        }
        let _ = fs::remove_file(&self.file);
    }

    /// Where it cannot be written, only an orderly end changes things back.
    fn keep(&mut self) {
        let text = serde_json::to_vec(&self.record).unwrap_or_default();
        if let Err(error) = file::replace(&self.file, &text, Access::Owner) {
            self.unkept.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_boot_or_host_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("host.json");
        let mut traces = Traces::open(file.clone()).unwrap();
        traces.adds_address("lo", "2001:db8::1".parse().unwrap());
        let left = Traces::open(file.clone()).unwrap().earlier;
        assert_eq!(left.addresses, [("lo".to_owned(), "2001:db8::1".parse().unwrap())]);
        for other in [
            Record { boot: "another".into(), ..left.clone() },
            Record { namespace: left.namespace + 1, ..left },
        ] {
            fs::write(&file, serde_json::to_vec(&other).unwrap()).unwrap();
            assert_eq!(Traces::open(file.clone()).unwrap().earlier, Record::default());
        }
        fs::write(&file, "no record").unwrap();
        assert_eq!(Traces::open(file.clone()).unwrap().earlier, Record::default());
        traces.restore(&[]);
        assert!(!file.exists());
    }
}
