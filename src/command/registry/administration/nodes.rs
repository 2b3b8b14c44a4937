//! `re6st registry nodes`: who is in the network, and where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::Args;
use comfy_table::Table;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, print};
use crate::os::database::Leaf;
use crate::proto::endpoint::Endpoint;
use crate::proto::prefix::{Network, Prefix};
use crate::proto::terminal;

use super::{Place, Reach, print_all};
use crate::command::registry::certificates::certificate_of;

/// Options of `re6st registry nodes`.
#[derive(Debug, Args)]
pub struct Nodes {
    #[command(flatten)]
    place: Place,
    /// Print JSON, one node a line, as `re6st ping-matrix run --targets -` reads it
    #[arg(long)]
    json: bool,
}

impl Nodes {
    /// Does what `re6st registry nodes` was asked.
    pub fn run(&self) -> Outcome {
        let nodes = self.nodes()?;
        if self.json {
            return print_all(nodes.into_iter().map(Object::Node));
        }
        let mut table = Table::new();
        table.set_header(["node", "address", "whose", "serial", "until", "ipv4", "ipv6"]);
        let text = |value: Option<String>| value.unwrap_or_default();
        for node in nodes {
            table.add_row([
                node.name,
                text(node.sdn.map(|address| address.to_string())),
                terminal::line(&text(node.email)).into_owned(),
                text(node.serial.map(|serial| serial.to_string())),
                text(node.not_after),
                text(node.ipv4.map(|address| address.to_string())),
                text(node.ipv6.map(|address| address.to_string())),
            ]);
        }
        print(table)
    }

    fn nodes(&self) -> Result<Vec<json::Node>, Failure> {
        match self.place.reach() {
            Reach::Running(running) => running.ask_json("nodes"),
            Reach::Folder(folder) => {
                let network = folder.authority()?.network();
                let leaves = folder.read(|tables| Ok(tables.leaves()?))?;
                Ok(describe(&leaves, network, &BTreeMap::new()))
            }
        }
    }
}

/// What is known of the members among `leaves`; `addresses` is what nodes said of where they are.
pub fn describe(
    leaves: &[Leaf],
    network: Network,
    addresses: &BTreeMap<Prefix, String>,
) -> Vec<json::Node> {
    leaves
        .iter()
        .filter_map(|leaf| {
            let certificate = certificate_of(leaf)?;
            let addresses = addresses.get(&leaf.prefix).map_or("", String::as_str);
            let mut node = json::Node {
                name: leaf.prefix.to_string(),
                common_name: certificate.common_name(),
                email: leaf.email.clone(),
                prefix: network.subnet(leaf.prefix),
                sdn: network.node_address(leaf.prefix),
                serial: certificate.serial(),
                not_after: Some(certificate.not_after().to_string()),
                ..json::Node::default()
            };
            locate(&mut node, addresses);
            Some(node)
        })
        .collect()
}

/// The first address of each family in `ip,port,protocol[,country];…`.
fn locate(node: &mut json::Node, addresses: &str) {
    for address in addresses.split(';') {
        let fields: Vec<&str> = address.split(',').take(3).collect();
        match fields.join(",").parse::<Endpoint>().map(|endpoint| endpoint.address) {
            Ok(IpAddr::V4(address)) => {
                node.ipv4.get_or_insert(address);
            }
            Ok(IpAddr::V6(address)) => {
                node.ipv6.get_or_insert(address);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_each_family_counts() {
        let mut node = json::Node::default();
        locate(&mut node, "10.0.0.1,1194,udp,FR;10.0.0.2,1194,tcp;2001:db8::7,1,udp6;rubbish;");
        assert_eq!(node.ipv4, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(node.ipv6, Some("2001:db8::7".parse().unwrap()));
    }
}
