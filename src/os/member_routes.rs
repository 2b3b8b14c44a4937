//! Which prefixes of the network this host has routes to, whatever routing daemon put them there.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use crate::proto::cidr::Cidr;
use crate::proto::prefix::{Network, Prefix};

/// Where the kernel tells its IPv6 routes.
const ROUTES: &str = "/proc/net/ipv6_route";

/// The flag of a route that refuses packets.
const REJECT: u32 = 0x0200;

/// The prefixes of nodes that are routed to other hosts.
pub fn routed(network: Network) -> io::Result<Vec<Prefix>> {
    Ok(read(&fs::read_to_string(ROUTES)?, network))
}

fn read(table: &str, network: Network) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> =
        table.lines().filter_map(|line| node_of(line, network)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// One line: destination, length, source, its length, next hop, metric, references, uses, flags, interface.
fn node_of(line: &str, network: Network) -> Option<Prefix> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [destination, length, .., flags, interface] = fields.as_slice() else { return None };
    let refused = u32::from_str_radix(flags, 16).ok()? & REJECT != 0;
    if refused || *interface == "lo" {
        return None;
    }
    let address = Ipv6Addr::from_bits(u128::from_str_radix(destination, 16).ok()?);
    let length = u8::from_str_radix(length, 16).ok()?;
    let node = network.prefix_of(Cidr::new(IpAddr::V6(address), length).ok()?)?;
    (node.length() > 0).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_to_other_members_count() {
        let table = "\
20010db8004200000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001       lo
20010db8004200010000000000000000 40 20010db8004200000000000000000001 80 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 re6stnet1
20010db8004200010000000000000000 40 20010db8004200000000000000000002 80 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 re6stnet2
20010db8004200020000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
20010db8004200000000000000000000 30 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000003     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
rubbish
";
        let network = Network::new("2001:db8:42::/48".parse().unwrap()).unwrap();
        let names: Vec<String> = read(table, network).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["1/16"]);
    }
}
