//! What one command prints with `--json` is what the next one reads: the pipes of the README.

use std::time::Duration;

use serde_json::Value;

use crate::namespace::{Process, RE6ST, eventually};
use crate::node::underlay::Underlay;

/// Goal: a tunnel and a router, joined by a pipe, make a routed link.
/// Method: both commands alone on two hosts; each host announces a prefix and pings the other's.
#[test]
fn a_tunnel_and_a_router_make_a_routed_link() {
    let underlay = Underlay::new(2, &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut pipes: Vec<Process> = Vec::new();
    for (at, tunnel) in
        [(0, "listen --port 1194 --protocol udp"), (1, "connect 10.99.0.1,1194,udp")]
    {
        let host = &underlay.hosts[at];
        host.ip(&format!("addr add 2001:db8:{at}::1/64 dev lo nodad"));
        let node = underlay.node_folder(at);
        let node = node.display();
        let socket = folder.path().join(format!("babel{at}"));
        let script = format!(
            "{RE6ST} tunnel {tunnel} --ca {node}/ca.crt --cert {node}/cert.crt --key {node}/cert.key --json \
             | {RE6ST} babel run --interfaces - --redistribute 2001:db8:{at}::/64 --socket {} --json",
            socket.display()
        );
        pipes.push(host.spawn(folder.path(), &format!("pipe{at}"), "sh", &["-c", &script]));
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let address = format!("2001:db8:{to}::1");
        let what = format!("{address} is reached through the tunnel");
        let host = &underlay.hosts[from];
        eventually(&what, Duration::from_secs(60), || host.pings(&address).then_some(()));
    }
}

/// Goal: every member of the network is a target of the ping matrix, without a list by hand.
/// Method: two nodes; the registry's list goes into the matrix; both answer over the network.
#[test]
fn the_registrys_nodes_are_targets_of_the_ping_matrix() {
    let mut underlay = Underlay::new(2, &["--hello", "4"]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], Duration::from_secs(60));
    let registry = underlay.node_folder(0).with_file_name("registry");
    let script = format!(
        "cd {} && {RE6ST} registry nodes --json \
         | {RE6ST} ping-matrix run --targets - --planes sdn --count 3 --source here --json",
        registry.display()
    );
    let printed = underlay.hosts[0].run("sh", &["-c", &script]);
    let pings: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["0/16", "1/16"] {
        let ping = pings.iter().find(|ping| ping["target"] == name);
        let ping = ping.unwrap_or_else(|| panic!("{name} is no target:\n{printed}"));
        assert_eq!((&ping["type"], &ping["plane"]), (&"ping".into(), &"sdn".into()), "{ping}");
        assert_eq!(ping["received"], 3, "{ping}");
    }
}
