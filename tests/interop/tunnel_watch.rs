//! What the exchange between two ends of ours notices, and what it costs.

use std::time::Duration;

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events, expect_event};
use crate::namespace::{Namespace, eventually};

/// Goal: under 100 octets a second on the wire, both ways together, while nothing is sent; and a cut is
/// noticed nevertheless.
#[test]
#[allow(clippy::disallowed_methods, reason = "octets in real time")]
fn an_idle_tunnel_costs_little_and_a_cut_of_it_is_noticed() {
    let lab = Lab::new();
    for host in [&lab.left, &lab.right] {
        // Kernels say nothing then.
        host.sysctl("net.ipv6.conf.all.disable_ipv6=1");
        host.sysctl("net.ipv6.conf.default.disable_ipv6=1");
    }
    let mut listener = lab.listen(KINDS[0], "");
    let mut connection = lab.connect(KINDS[0], "client", "");
    assert_eq!(expect_event(&connection, "up")["native"], true);
    let (before, began) = (octets(&lab.right), std::time::Instant::now());
    std::thread::sleep(Duration::from_secs(8));
    let (after, took) = (octets(&lab.right), began.elapsed());
    let rate = (after - before) as f64 / took.as_secs_f64();
    println!("idle: {rate:.0} octets a second, with all headers from IP's on");
    assert!(after > before, "nobody watches the path");
    assert!(rate < 100.0, "{rate} octets a second");

    let began = std::time::Instant::now();
    lab.right.ip("link set e0 down");
    eventually("silence", PATIENCE, || events(&connection, "silent").pop());
    println!("an idle tunnel's cut is noticed after {:?}", began.elapsed());
    lab.right.ip("link set e0 up");
    expect_event(&connection, "recovered");
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

/// Octets of an Ethernet header.
const ETHERNET: u64 = 14;

/// Octets that a host sent and received.
fn octets(host: &Namespace) -> u64 {
    let shown = host.run("ip", &["-json", "-statistics", "link", "show", "dev", "e0"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let count = |what: &str| {
        let way = |way: &str| shown[0]["stats64"][way][what].as_u64().unwrap();
        way("rx") + way("tx")
    };
    count("bytes") - ETHERNET * count("packets")
}
