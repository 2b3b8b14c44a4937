//! Nodes of ours join a stock network.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::network::{Place, REGISTRY, StockNetwork};
use super::node::Application;
use super::ours::OurNode;
use super::pairs::Member;
use crate::namespace::eventually;

/// Name, place and options of our nodes: one with both transports, one with each, one behind NAT. Those
/// with one transport open one tunnel only, so that the others must come from stock nodes.
const OURS: [(&str, Place, &str); 4] = [
    ("both", Place::Public(21), "--ip 10.77.0.21 --pp 1194 udp --pp 1194 tcp --disable-proto none"),
    (
        "udp",
        Place::Public(22),
        "--ip 10.77.0.22 --pp 1194 udp --disable-proto tcp --client-count 1",
    ),
    (
        "tcp",
        Place::Public(23),
        "--ip 10.77.0.23 --pp 1194 tcp --disable-proto udp --client-count 1",
    ),
    ("nat", Place::BehindNat(30), "--ip any --disable-proto none"),
];

#[test]
fn our_nodes_join_a_stock_network() {
    joins(&[]);
}

#[test]
fn our_nodes_join_an_encrypted_stock_network() {
    joins(&["--encrypt"]);
}

/// Goal: a stock network takes us in, whatever we speak and wherever we are.
/// Method: start our nodes in a complete network; all pairs ping, tunnels exist both ways over both
/// transports, and the registry hears of us through the nodes.
fn joins(registry_options: &[&str]) {
    let network = StockNetwork::start(registry_options);
    network.wait_for_all_pairs(&[], Duration::from_secs(120));
    let mut ours = Vec::new();
    for (name, place, options) in OURS {
        let host = network.add_host(name, place);
        let folder = network.directory(name);
        let fingerprint = network.fingerprint();
        let application = Application::Anonymous;
        let mut node = OurNode::join(host, &folder, REGISTRY, fingerprint, application);
        node.start(options);
        ours.push(node);
    }
    let members: Vec<_> = ours.iter().map(OurNode::member).collect();
    let took = network.wait_for_all_pairs(&members, Duration::from_secs(150));
    println!("72 of 72 pairs {:.1} s after our first node started", took.as_secs_f64());

    assert_tunnels_of_all_kinds(&network, &ours);
    assert_only("udp", &ours[1]);
    assert_only("tcp", &ours[2]);
    assert_heard_of(&network, &ours);
    for stock in network.nodes() {
        assert_carries(stock.member(), ours[0].member());
        assert_carries(ours[0].member(), stock.member());
    }
}

/// Frames of every size pass, and TCP makes progress: no path swallows what is too large for it.
fn assert_carries(from: Member<'_>, to: Member<'_>) {
    for size in ["1200", "1320", "1400", "4000"] {
        // The first ones may only bring the news that they are too large.
        let ping = ["-6", "-n", "-q", "-c5", "-i0.2", "-W1", "-s", size, to.address];
        let output = from.namespace.output("ping", &ping);
        assert!(output.status.success(), "{} > {}: {size} octets are lost", from.name, to.name);
    }
    assert_eq!(transferred(from, to), Some(TRANSFER), "{} > {}", from.name, to.name);
}

/// How many octets arrive by TCP of those sent; `None` if there is no connection.
fn transferred(from: Member<'_>, to: Member<'_>) -> Option<usize> {
    let address: Ipv6Addr = to.address.parse().unwrap();
    let listener = to.namespace.enter(|| TcpListener::bind((address, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        // What came before a failure is what is counted.
        let _ = stream.read_to_end(&mut received);
        received.len()
    });
    from.namespace.enter(|| {
        let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&vec![7; TRANSFER]).ok()
    })?;
    receiver.join().ok()
}

/// Octets of one transfer.
const TRANSFER: usize = 1 << 20;
/// How long a transfer may stand still.
const PATIENCE: Duration = Duration::from_secs(20);

/// We connected to stock nodes and they to us, over UDP and over TCP.
fn assert_tunnels_of_all_kinds(network: &StockNetwork, ours: &[OurNode]) {
    let stock: Vec<&str> = network.nodes().iter().map(|n| n.common_name.as_str()).collect();
    for wanted in ["client udp", "client tcp", "server udp", "server tcp"] {
        let tunnel = eventually(&format!("a tunnel: {wanted}"), Duration::from_secs(90), || {
            let tunnels = ours.iter().flat_map(OurNode::tunnels);
            tunnels.into_iter().find(|tunnel| {
                let (kind, peer) = tunnel.rsplit_once(' ').unwrap();
                kind == wanted && stock.contains(&peer)
            })
        });
        println!("{tunnel}");
    }
}

fn assert_only(transport: &str, node: &OurNode) {
    for tunnel in node.tunnels() {
        assert!(tunnel.contains(&format!(" {transport} ")), "{}: {tunnel}", node.name);
    }
}

/// The registry asks nodes for their versions and tunnels by way of its own node, over UDP 326.
fn assert_heard_of(network: &StockNetwork, ours: &[OurNode]) {
    eventually("the registry knows our versions", Duration::from_secs(60), || {
        let versions = network.call("versions");
        let known = ours.iter().all(|node| {
            let number: u32 = node.common_name.split('/').next().unwrap().parse().unwrap();
            // Stock 0.642 shows what its own node passed on as Python writes octets: b'0.1.0, …'.
            let ours = ["", "b'"]
                .map(|quote| format!("\"{number:016b}\": \"{quote}{}", env!("CARGO_PKG_VERSION")));
            ours.iter().any(|ours| versions.contains(ours))
        });
        known.then_some(())
    });
    // Who does not answer within three seconds is missing from a topology.
    eventually("the registry knows our tunnels", Duration::from_secs(60), || {
        let topology = network.call("topology");
        let known = |node: &OurNode| topology.contains(&format!("\"{}\"", node.common_name));
        ours.iter().all(known).then_some(())
    });
}
