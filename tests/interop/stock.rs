//! Stock re6stnet (0.642 of PyPI, with Debian's openvpn and babeld) and ours in one network.
#![allow(dead_code, reason = "not every test looks at everything")]

pub mod babel;
mod certificates;
mod joined;
pub mod network;
pub mod node;
pub mod ours;
pub mod pairs;
pub mod registry;
mod served;

use std::time::Duration;

use network::StockNetwork;

/// Everything else here would prove nothing if a stock network did not come up by itself.
#[test]
fn a_stock_network_comes_up() {
    let network = StockNetwork::start(&[]);
    let took = network.wait_for_all_pairs(&[], Duration::from_secs(120));
    println!("20 of 20 pairs after {:.1} s", took.as_secs_f64());
    assert!(network.call("topology").contains("\"0/16\""), "{}", network.call("topology"));
}
