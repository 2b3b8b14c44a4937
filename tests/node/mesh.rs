//! Nodes find each other, stay together without the registry, and leave nothing behind.

use std::time::Duration;

use crate::namespace::eventually;
use crate::node::underlay::{Underlay, sent_and_received};

const PATIENCE: Duration = Duration::from_secs(60);

/// Goal: nodes become one network by themselves and stay one without the registry.
/// Method: five nodes; the registry is killed; a node is restarted and comes back from its cache.
#[test]
fn nodes_become_one_network_and_stay_one_without_the_registry() {
    let mut underlay = Underlay::new(5, &[]);
    let all = [0, 1, 2, 3, 4];
    for at in all {
        underlay.start(at, &[]);
    }
    let took = underlay.wait_for_all_pairs(&all, PATIENCE);
    println!("20 of 20 pairs after {:.1} s", took.as_secs_f64());
    underlay.stop_registry();
    underlay.stop(3);
    underlay.wait_for_all_pairs(&[0, 1, 2, 4], PATIENCE);
    underlay.start(3, &[]);
    let took = underlay.wait_for_all_pairs(&all, PATIENCE);
    println!("a node restarted without the registry is back after {:.1} s", took.as_secs_f64());
    // The node itself looks at its routes now and then.
    eventually("it knows of its routes", PATIENCE, || {
        let status = &underlay.ask(3, "status")[0];
        assert_eq!(status["common_name"], "3/16");
        (status["nodes_routed"] == 4).then_some(())
    });
}

/// Goal: what a node changed on its host goes when it ends, however it ends.
/// Method: compare interfaces, addresses, routes and kernel switches before, after SIGTERM, and after
/// kill -9 with another start and SIGTERM, the second time with another main interface.
#[test]
fn a_node_leaves_nothing_behind() {
    let mut underlay = Underlay::new(2, &[]);
    for switch in ["ipv6.conf.all.forwarding=0", "ipv4.conf.all.forwarding=0"] {
        underlay.hosts[1].sysctl(&format!("net.{switch}"));
    }
    let before = underlay.traces(1);
    assert!(before.contains("net.ipv6.conf.all.accept_redirects = 1"), "{before}");
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    assert_ne!(underlay.traces(1), before);
    underlay.stop(1);
    assert_eq!(underlay.traces(1), before);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    underlay.kill(1);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let tunnels = underlay.ask(1, "tunnels");
    eventually("one tunnel and one interface", PATIENCE, || {
        let interfaces = underlay.hosts[1].ip("-o link");
        let count = interfaces.lines().filter(|line| line.contains(": re6")).count();
        (count == 1).then_some(())
    });
    assert!(!tunnels.is_empty());
    let said = underlay.printed(1);
    for words in [
        "a node that was killed had set net/ipv6/conf/all/forwarding, which was 0",
        "a node that was killed left 2001:db8:42:1::1 on lo",
        "a node that was killed left 2001:db8:42::/48 unreachable",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    underlay.kill(1);
    underlay.start(1, &["--main-interface", "eth0"]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let said = underlay.printed(1);
    assert!(
        said.contains("removing 2001:db8:42:1::1, which a node that was killed left on lo"),
        "{said}"
    );
    underlay.stop(1);
    assert_eq!(underlay.traces(1), before);
}

/// Goal: Babel's key changes without a lost packet; stock networks are down for a minute at each step.
/// Method: three steps, pings between all pairs of four nodes meanwhile.
#[test]
fn a_new_key_loses_no_packet() {
    let mut underlay = Underlay::new(4, &[]);
    for at in 0..4 {
        underlay.start(at, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2, 3], PATIENCE);
    let pings: Vec<_> = [(0, 1), (1, 2), (2, 3), (3, 0)]
        .into_iter()
        .map(|(from, to)| underlay.ping(from, to))
        .collect();
    for step in 2..=4 {
        underlay.registry(&["rotate-key"]);
        eventually(&format!("everybody has version {step}"), PATIENCE, || {
            let has = |at| underlay.ask(at, "status")[0]["network_version"] == step;
            (0..4).all(has).then_some(())
        });
        // What was told is fetched a second later, and then two Hellos with the new key should pass.
        std::thread::sleep(Duration::from_secs(4));
    }
    for ping in pings {
        let (sent, received) = sent_and_received(ping);
        assert!(sent > 100 && sent - received <= 1, "{received} of {sent}");
    }
}

/// Goal: who is revoked is out within seconds, and the others lose nothing.
/// Method: revoke one of four nodes; stock restarts every node that served it.
#[test]
fn a_revoked_node_is_out_and_the_others_lose_nothing() {
    let mut underlay = Underlay::new(4, &[]);
    for at in 0..4 {
        underlay.start(at, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2, 3], PATIENCE);
    let pings: Vec<_> =
        [(0, 1), (1, 3)].into_iter().map(|(from, to)| underlay.ping(from, to)).collect();
    underlay.registry(&["revoke", "2/16"]);
    eventually("the revoked node is out", PATIENCE, || {
        (0..4).all(|at| at == 2 || !underlay.pings_once(at, 2)).then_some(())
    });
    underlay.wait_for_all_pairs(&[0, 1, 3], PATIENCE);
    for ping in pings {
        let (sent, received) = sent_and_received(ping);
        assert!(sent - received <= 1, "{received} of {sent}");
    }
}

/// Goal: a path that dies without a word is left in seconds; stock takes up to a minute.
/// Method: three nodes, pings between two of them, whose packets to each other are dropped from now on.
#[test]
fn a_silent_cut_is_routed_around_in_seconds() {
    let mut underlay = Underlay::new(3, &[]);
    for at in 0..3 {
        underlay.start(at, &[]);
    }
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    eventually("a tunnel between the two", PATIENCE, || {
        let tunnels = underlay.ask(1, "tunnels");
        tunnels.iter().any(|t| t["peer"] == "2/16" && t["event"] == "up").then_some(())
    });
    // So that the liveness of the tunnel and the direct route are settled.
    std::thread::sleep(Duration::from_secs(3));
    let ping = underlay.ping(1, 2);
    std::thread::sleep(Duration::from_secs(1));
    let rules = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
                 add rule inet cut in ip saddr 10.99.0.3 drop";
    underlay.hosts[1].run("nft", &[rules]);
    let rules = rules.replace("10.99.0.3", "10.99.0.2");
    underlay.hosts[2].run("nft", &[&rules]);
    std::thread::sleep(Duration::from_secs(12));
    let (sent, received) = sent_and_received(ping);
    let lost = sent - received;
    println!("lost {lost} of {sent}, {:.1} s", f64::from(lost) * 0.05);
    assert!(lost < 100, "{lost} of {sent} lost, at twenty a second");
}
