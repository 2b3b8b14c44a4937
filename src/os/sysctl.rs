//! Kernel parameters below /proc/sys, by their names there: `net/ipv6/conf/all/forwarding`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/proc/sys";

/// The sysctl that makes an interface accept router advertisements although the host forwards.
pub const ACCEPT_RA_AND_FORWARD: &str = "2";

/// The value of a sysctl; `None` if this kernel has none of that name.
pub fn read(name: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(path(name)) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets a sysctl.
pub fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name), value)
}

/// The names of `accept_ra` of each interface that accepts router advertisements as a host.
///
/// With `accept_ra` 1 the kernel drops default routes and prefixes of router advertisements as soon as
/// forwarding is switched on (Documentation/networking/ip-sysctl.rst): a host that lives from them would
/// lose its IPv6. Interfaces that forward already, or accept with 2, are not concerned.
pub fn accept_ra_of_hosts() -> Vec<String> {
    accept_ra_below(&Path::new(ROOT).join("net/ipv6/conf"))
}

fn accept_ra_below(folder: &Path) -> Vec<String> {
    let value = |interface: &str, name: &str| {
        let value = fs::read_to_string(folder.join(interface).join(name));
        value.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let interfaces = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = interfaces
        // What is set for these two reaches interfaces that do not exist yet, tunnels among them.
        .filter(|interface| !matches!(interface.as_str(), "all" | "default" | "lo"))
        .filter(|it| value(it, "accept_ra") == "1" && value(it, "forwarding") == "0")
        .map(|interface| format!("net/ipv6/conf/{interface}/accept_ra"))
        .collect();
    names.sort();
    names
}

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

#[test]
fn interfaces_that_accept_advertisements_as_hosts_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for (interface, accept_ra, forwarding) in [
        ("all", "1", "0"),
        ("default", "1", "0"),
        ("lo", "1", "0"),
        ("eth0", "1\n", "0\n"),
        ("eth1", "2", "0"),
        ("eth2", "0", "0"),
        ("br0", "1", "1"),
        ("wlan0.5", "1", "0"),
    ] {
        let interface = folder.path().join(interface);
        fs::create_dir(&interface).unwrap();
        fs::write(interface.join("accept_ra"), accept_ra).unwrap();
        fs::write(interface.join("forwarding"), forwarding).unwrap();
    }
    let found = accept_ra_below(folder.path());
    assert_eq!(found, ["net/ipv6/conf/eth0/accept_ra", "net/ipv6/conf/wlan0.5/accept_ra"]);
}
