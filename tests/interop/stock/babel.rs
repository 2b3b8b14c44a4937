//! Stock re6stnet with our executable as its babeld.

use std::time::Duration;

use super::network::StockNetwork;
use crate::namespace::eventually;

/// A network of re6stnet that never starts babeld: every node is whole on our router, and when a node
/// replaces a tunnel, our router makes its routes avoid it first, then locks it.
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
    eventually("a tunnel is avoided, then locked", Duration::from_secs(100), || {
        let is_replaced = |log: &str| {
            let avoided = log.find("is multiplied by 4096/256");
            let locked = log.find("is multiplied by 0/256");
            avoided.zip(locked).is_some_and(|(avoided, locked)| avoided < locked)
        };
        network.nodes().iter().any(|node| is_replaced(&node.log("babeld"))).then_some(())
    });
    let took = network.wait_for_all_pairs(&[], Duration::from_secs(60));
    println!("20 of 20 pairs {:.1} s after a tunnel was replaced", took.as_secs_f64());
}
