//! Parameters of a running network that change: no node is lost, and pairs of native nodes keep their routes.

use std::time::Duration;

use crate::namespace::eventually;
use crate::node::underlay::{Underlay, sent_and_received};

const PATIENCE: Duration = Duration::from_secs(60);

/// The versions of the network's parameters that nodes know.
fn versions(underlay: &Underlay, nodes: &[usize]) -> Vec<u64> {
    let version = |&node: &usize| {
        let status = underlay.ask(node, "status");
        status.first().and_then(|it| it["network_version"].as_u64()).unwrap_or(0)
    };
    nodes.iter().map(version).collect()
}

/// Restarts the registry with other options; nodes have to hear of it through the network.
fn change(underlay: &mut Underlay, options: &[&str]) {
    let before = versions(underlay, &[0])[0];
    underlay.stop_registry();
    underlay.start_registry(options);
    eventually(&format!("all know of {options:?}"), PATIENCE, || {
        versions(underlay, &[0, 1, 2]).iter().all(|&version| version > before).then_some(())
    });
}

/// Goal: encryption is switched on and off while the network runs, and each option changes after another:
/// every node hears of each change and stays, and almost no packet is lost.
#[test]
fn every_parameter_changes_while_the_network_runs() {
    let mut underlay = Underlay::new(3, &["--hello", "2"]);
    for node in 0..3 {
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    let pings = [(0, 1), (1, 2), (2, 0)].map(|(from, to)| underlay.ping(from, to));
    for options in [
        &["--hello", "2", "--encrypt"][..],
        &["--hello", "2"],
        &["--hello", "3"],
        &["--hello", "3", "--client-count", "5"],
        &["--hello", "3", "--client-count", "5", "--max-clients", "7"],
        &["--hello", "3", "--tunnel-refresh", "200"],
        &["--hello", "3", "--min-protocol", "2"],
        &["--hello", "3", "--ipv4", "10.43.0.0/16", "8"],
        &["--hello", "2"],
    ] {
        change(&mut underlay, options);
        assert!(underlay.pings_once(0, 1) && underlay.pings_once(1, 2), "{options:?}");
    }
    for step in 1..=3 {
        let before = versions(&underlay, &[0])[0];
        underlay.registry(&["rotate-key", "--registry", "http://127.0.0.1/"]);
        eventually(&format!("step {step} of a new key"), PATIENCE, || {
            versions(&underlay, &[0, 1, 2]).iter().all(|&version| version > before).then_some(())
        });
    }
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    for ping in pings {
        let (sent, received) = sent_and_received(ping);
        assert!(sent > 20 && sent - received <= 1, "{received} of {sent}");
    }
    for node in 0..3 {
        underlay.stop(node);
    }
}

/// Goal: a node that was away while encryption was switched on, and that nobody can talk to when it is back,
/// learns of it from its registry.
#[test]
fn node_that_missed_a_change_of_encryption_comes_back() {
    let mut underlay = Underlay::new(3, &["--hello", "2"]);
    for node in 0..3 {
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    underlay.stop(2);
    underlay.stop_registry();
    for node in [0, 1] {
        underlay.stop(node);
    }
    underlay.start_registry(&["--hello", "2", "--encrypt"]);
    // They begin with the new parameters: there is no transition in which the old ones are accepted.
    for node in [0, 1] {
        std::fs::remove_dir_all(underlay.node_folder(node).join("state")).unwrap();
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    underlay.start(2, &[]);
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE * 2);
    for node in 0..3 {
        underlay.stop(node);
    }
}

/// Goal: two minutes after encryption was switched on, no tunnel is left without, and closing them one by
/// one has cost the pairs of nodes a second at most.
#[test]
#[ignore = "minutes: scripts/soak node-encryption"]
fn no_tunnel_outlasts_a_change_of_encryption() {
    let mut underlay = Underlay::new(4, &["--hello", "2"]);
    let nodes = [0, 1, 2, 3];
    for node in nodes {
        underlay.start(node, &[]);
    }
    underlay.wait_for_all_pairs(&nodes, PATIENCE);
    for (options, wanted) in
        [(&["--hello", "2", "--encrypt"][..], "AES-256-GCM"), (&["--hello", "2"], "none")]
    {
        let pings = [(0, 1), (1, 2), (2, 3), (3, 0)].map(|(from, to)| underlay.ping(from, to));
        change(&mut underlay, options);
        eventually("all tunnels are as the network wants", Duration::from_secs(240), || {
            std::thread::sleep(Duration::from_secs(1));
            let ciphers = |&node: &usize| {
                let tunnels = underlay.ask(node, "tunnels");
                !tunnels.is_empty() && tunnels.iter().all(|tunnel| tunnel["cipher"] == wanted)
            };
            nodes.iter().all(ciphers).then_some(())
        });
        underlay.wait_for_all_pairs(&nodes, PATIENCE);
        for ping in pings {
            let (sent, received) = sent_and_received(ping);
            println!("{wanted}: {received} of {sent} pings answered");
            assert!(sent - received <= 20, "{wanted}: {received} of {sent}");
        }
    }
}
