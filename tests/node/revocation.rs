//! A revoked member is out, also for nodes that were away when it was revoked.

use std::time::Duration;

use crate::namespace::eventually;
use crate::node::underlay::Underlay;

const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the peers that a node has tunnels with.
fn peers(underlay: &Underlay, at: usize) -> Vec<String> {
    let tunnels = underlay.ask(at, "tunnels").into_iter();
    let up = tunnels.filter(|tunnel| tunnel["event"] == "up");
    up.filter_map(|tunnel| tunnel["peer"].as_str().map(str::to_owned)).collect()
}

/// Goal: a node that was cut off while another was revoked, and comes back when the registry is down,
/// leaves the revoked one as soon as any other node is in reach.
#[test]
fn node_that_missed_a_revocation_learns_of_it_from_peers() {
    let mut underlay = Underlay::new(4, &["--hello", "2"]);
    for node in 0..4 {
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2, 3], PATIENCE);
    underlay.hosts[2].ip("link set eth0 down");
    eventually("node 2 is out of reach", PATIENCE, || {
        let routes = underlay.babel_routes(0);
        (!routes.contains("2001:db8:42:2::/64 via")).then_some(())
    });
    let registry = underlay.registry_folder();
    let registry = registry.to_str().unwrap();
    let said = underlay.registry(&["revoke", "3/16", "--dir", registry, "--wait", "30"]);
    assert!(said.contains("1 of 1 nodes in reach have the new list"), "{said}");
    underlay.stop_registry();
    underlay.hosts[2].ip("link set eth0 up");
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE * 2);
    eventually("nobody has a tunnel with the revoked node", PATIENCE, || {
        let left = [0, 1, 2].map(|node| peers(&underlay, node));
        left.iter().flatten().all(|peer| peer != "3/16").then_some(())
    });
    for node in [0, 1, 2] {
        assert!(!underlay.pings_once(node, 3), "{node} reaches the revoked node");
    }
    for node in 0..4 {
        underlay.stop(node);
    }
}

/// Goal: whoever revokes knows that the nodes have the list when the command returns: the registry may be
/// gone in the next moment.
#[test]
fn revocation_has_reached_the_nodes_when_the_command_returns() {
    let mut underlay = Underlay::new(3, &["--hello", "2"]);
    for node in 0..3 {
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    let said = underlay.registry(&["revoke", "2/16", "--registry", "http://127.0.0.1/"]);
    underlay.stop_registry();
    // The revoked node is routed for a moment longer.
    assert!(said.contains(" nodes in reach have the new list"), "{said}");
    eventually("the revoked node has no tunnel", PATIENCE, || {
        let left = [0, 1].map(|node| peers(&underlay, node));
        left.iter().flatten().all(|peer| peer != "2/16").then_some(())
    });
    assert!(underlay.printed(1).contains("revocation list"), "{}", underlay.printed(1));
    assert!(underlay.pings_once(0, 1) && !underlay.pings_once(0, 2));
    for node in 0..3 {
        underlay.stop(node);
    }
}
