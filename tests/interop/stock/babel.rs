//! Stock re6stnet with our executable as its babeld.

use std::time::Duration;

use super::network::StockNetwork;
use crate::namespace::eventually;

/// A network of re6stnet that never starts babeld: every node is whole on our router, and when a node
/// wants to replace a tunnel, our router makes its routes avoid it, and then does what the node decides.
#[test]
fn a_stock_network_runs_on_our_babel() {
    // Few tunnels each, so that soon there is one to replace; two, so that another way remains meanwhile.
    let options = ["--client-count", "2", "--max-clients", "10", "--tunnel-refresh", "20"];
    let network = StockNetwork::start_on_our_babel(&options);
    let took = network.wait_for_all_pairs(&[], Duration::from_secs(120));
    println!("20 of 20 pairs after {:.1} s", took.as_secs_f64());
    for node in network.nodes() {
        let log = node.log("babeld");
        assert!(log.contains("router-id"), "{}: {log}", node.name);
        let left = ["refuses", "WARN", "ERROR"].iter().find(|word| log.contains(**word));
        assert_eq!(left, None, "{}: {log}", node.name);
    }
    // Whether another way remains is up to chance: if not, re6stnet gives the tunnel its cost again.
    eventually("a tunnel is avoided, then locked or restored", Duration::from_secs(150), || {
        let is_decided = |log: &str| {
            let after = log.split_once("is multiplied by 4096/256").map_or("", |(_, after)| after);
            ["is multiplied by 0/256", "is multiplied by 256/256"].iter().any(|w| after.contains(w))
        };
        network.nodes().iter().any(|node| is_decided(&node.log("babeld"))).then_some(())
    });
    let took = network.wait_for_all_pairs(&[], Duration::from_secs(60));
    println!("20 of 20 pairs {:.1} s after a tunnel was to be replaced", took.as_secs_f64());
}
