//! Stock nodes in a network of ours: our registry, nodes of both kinds.

use std::time::Duration;

use tempfile::TempDir;

use super::network::REGISTRY;
use super::node::{Application, StockNode};
use super::ours::{OurNode, OurRegistry};
use super::pairs;
use crate::internet::Internet;

#[test]
fn stock_nodes_join_our_network() {
    serves(&[]);
}

#[test]
fn stock_nodes_join_our_encrypted_network() {
    serves(&["--encrypt"]);
}

/// Goal: stock nodes feel at home with us.
/// Method: our registry and two of our nodes; two stock nodes, one as it is out of the box.
fn serves(registry_options: &[&str]) {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let options = [&["--hello", "4"], registry_options].concat();
    let registry = OurRegistry::start(&host, directory.path(), &options);
    let fingerprint = &registry.fingerprint;
    let anonymous = Application::Anonymous;
    let our = |host, name: &str, url, options: &str| {
        let folder = directory.path().join(name);
        let mut node = OurNode::join(host, &folder, url, fingerprint, anonymous);
        node.start(options);
        node
    };
    let both = "--pp 1194 udp --pp 1194 tcp --disable-proto none";
    let first = our(host, "reg", "http://127.0.0.1/", &format!("--ip 10.77.0.2 {both}"));
    let second = our(internet.host("o1", 21), "o1", REGISTRY, &format!("--ip 10.77.0.21 {both}"));
    let stock = |name: &str, octet, options: &str| {
        let folder = directory.path().join(name);
        let host = internet.host(name, octet);
        let mut node = StockNode::join(host, &folder, REGISTRY, fingerprint, anonymous);
        node.start(options);
        node
    };
    let third = stock("s1", 11, "--ip 10.77.0.11");
    let fourth = stock("s2", 12, "--ip 10.77.0.12 --pp 1194 udp --disable-proto none");
    let members = [first.member(), second.member(), third.member(), fourth.member()];
    let took = pairs::wait_for_all(&members, Duration::from_secs(150));
    println!("12 of 12 pairs after {:.1} s", took.as_secs_f64());
    third.ask_to_stop();
    fourth.ask_to_stop();
}
