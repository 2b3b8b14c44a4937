//! What a server pushes beyond the tunnel itself: the client's addresses, and what only OpenVPN does.

use std::net::IpAddr;

use crate::proto::limits::TUNNEL_PUSHED_MAX;
use crate::proto::tunnel::ovpn;
use crate::proto::tunnel::profile::Profile;

/// What a server would have its client do with the interface and the host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assigned {
    /// Addresses for the interface.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Names of options that are not obeyed: routes, name servers and the like.
    pub passed_over: Vec<String>,
}

impl Assigned {
    /// Takes one option, `ifconfig 10.8.0.6 255.255.255.0` for example. What is more than anybody pushes,
    /// and what is not even a name, is left alone.
    pub fn take(&mut self, option: &str) {
        let addresses = if option.starts_with("ifconfig") { addresses(option) } else { Vec::new() };
        if addresses.is_empty() {
            let name = option.split_ascii_whitespace().next().unwrap_or_default();
            let is_name = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
            let is_new = !self.passed_over.iter().any(|other| other == name);
            if !name.is_empty() && is_name && is_new && self.passed_over.len() < TUNNEL_PUSHED_MAX {
                self.passed_over.push(name.to_owned());
            }
            return;
        }
        for address in addresses {
            if self.addresses.len() < TUNNEL_PUSHED_MAX && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }
}

/// As configuration files write them.
fn addresses(option: &str) -> Vec<(IpAddr, u8)> {
    let directives = ovpn::parse(option.as_bytes()).unwrap_or_default();
    Profile::read(&directives).map(|profile| profile.addresses).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> Assigned {
        let mut assigned = Assigned::default();
        for option in options {
            assigned.take(option);
        }
        assigned
    }

    #[test]
    fn addresses_are_read_as_files_write_them() {
        let assigned = of(&[
            "ifconfig 10.8.0.6 255.255.255.0",
            "ifconfig 10.8.0.6 255.255.255.0",
            "ifconfig 10.9.0.6 10.9.0.5",
            "ifconfig-ipv6 fd00::1000/64 fd00::1",
        ]);
        let wanted = [("10.8.0.6", 24), ("10.9.0.6", 32), ("fd00::1000", 64)];
        assert_eq!(assigned.addresses, wanted.map(|(a, length)| (a.parse().unwrap(), length)));
        assert!(assigned.passed_over.is_empty());
    }

    #[test]
    fn what_is_not_obeyed_is_named_once_and_not_without_end() {
        let assigned =
            of(&["route 10.0.0.0 255.0.0.0", "route 1.1.1.1", "\u{1b}[2J", "", "ifconfig here"]);
        assert_eq!(assigned.passed_over, ["route", "ifconfig"]);
        assert!(assigned.addresses.is_empty());
        let many: Vec<String> = (0..1_000).map(|n| format!("option-{n}")).collect();
        let more: Vec<String> =
            (0..1_000).map(|n| format!("ifconfig 10.0.{}.{} 10.1.1.1", n / 250, n % 250)).collect();
        let all: Vec<&str> = many.iter().chain(&more).map(String::as_str).collect();
        let assigned = of(&all);
        assert_eq!(assigned.passed_over.len(), TUNNEL_PUSHED_MAX);
        assert_eq!(assigned.addresses.len(), TUNNEL_PUSHED_MAX);
    }
}
