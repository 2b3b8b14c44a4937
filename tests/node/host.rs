//! A node leaves alone what is not its own on its host, and gives back what it changed.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::{Namespace, eventually};
use crate::node::underlay::Underlay;

const PATIENCE: Duration = Duration::from_secs(30);

fn wait_for(underlay: &Underlay, at: usize) -> serde_json::Value {
    eventually("the node is up", PATIENCE, || underlay.ask(at, "status").pop())
}

/// Goal: addresses of the node's own prefix that services have on its interface outlive the node, and so
/// does its own if the operator configured it; the address of a killed node goes with the next one.
#[test]
fn addresses_of_services_survive_the_node() {
    let mut underlay = Underlay::new(1, &[]);
    for address in ["2001:db8:42:0:5::1/128", "2001:db8:42:0:5::2/64"] {
        underlay.hosts[0].ip(&format!("address add {address} dev lo"));
    }
    let addresses = |underlay: &Underlay| {
        let shown = underlay.hosts[0].ip("-6 -o address show dev lo");
        let has = |address: &str| shown.contains(&format!(" {address}/"));
        [has("2001:db8:42:0:5::1"), has("2001:db8:42:0:5::2"), has("2001:db8:42::1")]
    };
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    assert_eq!(addresses(&underlay), [true, true, true]);
    underlay.kill(0);
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    assert_eq!(addresses(&underlay), [true, true, true]);
    underlay.stop(0);
    assert_eq!(addresses(&underlay), [true, true, false]);
    underlay.hosts[0].ip("address add 2001:db8:42::1/64 dev lo");
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    underlay.stop(0);
    assert_eq!(addresses(&underlay), [true, true, true]);
}

/// Goal: routes that an operator made the way a node makes its own are not removed by a node.
#[test]
fn unreachable_routes_of_others_survive_the_node() {
    let mut underlay = Underlay::new(1, &[]);
    underlay.hosts[0].ip("-6 route add unreachable 2001:db8:77::/48 proto 143 metric 1024");
    for _ in 0..2 {
        underlay.start(0, &[]);
        wait_for(&underlay, 0);
        underlay.kill(0);
    }
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    underlay.stop(0);
    let routes = underlay.hosts[0].ip("-6 route show proto 143");
    assert!(routes.contains("2001:db8:77::/48"), "{routes}");
    assert!(!routes.contains("2001:db8:42::/48"), "{routes}");
}

/// Goal: a host that has its default route and address from router advertisements keeps both while a node
/// runs, also one that is killed, and has its sysctls back at the end.
#[test]
fn host_keeps_what_router_advertisements_gave_it() {
    let mut underlay = Underlay::new(1, &[]);
    let router = Namespace::new("router");
    router.connect("lan", &underlay.hosts[0], "eth1");
    advertise(&router);
    let lives = |underlay: &Underlay| {
        let host = &underlay.hosts[0];
        let route = host.ip("-6 route show default proto ra");
        let address = host.ip("-6 -o address show dev eth1 dynamic");
        route.contains("dev eth1") && address.contains("2001:db8:aaaa:")
    };
    let sysctl = |underlay: &Underlay, name: &str| {
        let value = underlay.hosts[0].run("sysctl", &["-n", name]);
        value.trim().to_owned()
    };
    eventually("the host has a default route", PATIENCE, || {
        advertise(&router);
        lives(&underlay).then_some(())
    });
    let (forwarding, accept_ra) = ("net.ipv6.conf.all.forwarding", "net/ipv6/conf/eth1/accept_ra");
    let before = (sysctl(&underlay, forwarding), sysctl(&underlay, accept_ra));
    assert_eq!(before, ("0".into(), "1".into()));

    underlay.start(0, &[]);
    let status = wait_for(&underlay, 0);
    assert!(lives(&underlay), "the default route is gone");
    let changed = status["sysctls"].as_array().unwrap();
    let of = |name: &str| {
        changed.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{status}"))
    };
    assert_eq!((&of(accept_ra)["before"], &of(accept_ra)["value"]), (&"1".into(), &"2".into()));
    assert_eq!(of("net/ipv6/conf/all/forwarding")["value"], "1");
    // A network without IPv4 needs no forwarding of IPv4.
    assert!(changed.iter().all(|it| it["name"] != "net/ipv4/conf/all/forwarding"), "{status}");
    // The route's lifetime of two seconds is renewed while the host forwards.
    for _ in 0..4 {
        advertise(&router);
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(lives(&underlay), "advertisements are not accepted any more");

    underlay.kill(0);
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    advertise(&router);
    underlay.stop(0);
    assert!(lives(&underlay), "the default route is gone with the node");
    assert_eq!((sysctl(&underlay, forwarding), sysctl(&underlay, accept_ra)), before);
}

/// A router advertisement (RFC 4861 §4.2) for two seconds as default router, and with a prefix.
fn advertise(router: &Namespace) {
    let mut packet = vec![134, 0, 0, 0, 64, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    // Prefix information: a /64 on the link, for addresses, valid for 120 s and preferred for 60.
    packet.extend([3, 4, 64, 0xc0, 0, 0, 0, 120, 0, 0, 0, 60, 0, 0, 0, 0]);
    packet.extend("2001:db8:aaaa::".parse::<Ipv6Addr>().unwrap().octets());
    router.enter(|| {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
        socket.set_multicast_hops_v6(255).unwrap();
        let index = nix::net::if_::if_nametoindex("lan").unwrap();
        let all_nodes = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
        // Until the link-local address is usable, nothing can be sent.
        let _ = socket.send_to(&packet, &all_nodes.into());
    });
}

/// Goal: a node keeps the capabilities that it needs and no others, in each of its threads.
#[test]
fn node_drops_the_capabilities_that_it_does_not_need() {
    let mut underlay = Underlay::new(1, &[]);
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    let threads = std::fs::read_dir(format!("/proc/{}/task", underlay.pid(0))).unwrap();
    for thread in threads {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        // CHOWN, DAC_OVERRIDE, FOWNER, NET_BIND_SERVICE, NET_ADMIN, NET_RAW.
        for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(u64::from_str_radix(&value(set), 16).unwrap(), 0x340b, "{status}");
        }
        assert_eq!(value("NoNewPrivs:"), "1");
    }
    underlay.stop(0);
}

/// Goal: SIGHUP ends neither node nor registry, and each says what it did about it.
#[test]
fn sighup_ends_neither_node_nor_registry() {
    let mut underlay = Underlay::new(1, &["--verbose", "2"]);
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    let kill = |pid: u32| crate::namespace::run("kill", &["-s", "HUP", &pid.to_string()]);
    kill(underlay.pid(0));
    kill(underlay.registry_pid());
    eventually("a line of each", PATIENCE, || {
        let said = [underlay.printed(0), underlay.registry_printed()];
        said.iter().all(|text| text.contains("SIGHUP: nothing is reloaded")).then_some(())
    });
    assert!(!underlay.ask(0, "status").is_empty());
    assert_eq!(
        underlay.registry(&["nodes", "--json", "--registry", "http://127.0.0.1/"]).lines().count(),
        1
    );
    underlay.stop(0);
}

/// Goal: packets out of a tunnel reach the network and nothing behind the host, IPv4 least of all; a host
/// whose firewall drops what it forwards is told.
/// Method: a member sends frames into its tunnel that are for a LAN of the host at the other end.
#[test]
fn packets_out_of_tunnels_stay_in_the_network() {
    let mut underlay = Underlay::new(2, &[]);
    let lan = Namespace::new("lan");
    lan.connect("lan0", &underlay.hosts[0], "eth1");
    underlay.hosts[0].ip("address add fd77::1/64 dev eth1 nodad");
    lan.ip("address add fd77::5/64 dev lan0 nodad");
    lan.ip("-6 route add 2001:db8:42::/48 via fd77::1");
    let firewall = "add table ip6 filter; \
                    add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }; \
                    add rule ip6 filter FORWARD accept";
    underlay.hosts[0].run("nft", &[firewall]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let status = wait_for(&underlay, 0);
    assert_eq!(status["forward_dropped_by"], "ip6 filter FORWARD");
    // The member knows which way: over the other node.
    let via = underlay.hosts[1].ip("-6 route show 2001:db8:42::/64");
    let words: Vec<&str> = via.split_whitespace().collect();
    let (hop, device) = (words[2], words[4]);
    underlay.hosts[1].ip(&format!("-6 route add fd77::/64 via {hop} dev {device}"));
    let reaches_lan = |underlay: &Underlay| {
        let arguments = ["-I", "2001:db8:42:1::1", "-c", "2", "-i", "0.2", "-W", "1", "fd77::5"];
        underlay.hosts[1].output("ping", &arguments).status.success()
    };
    assert!(!reaches_lan(&underlay));
    underlay.stop(0);
    assert!(!underlay.hosts[0].run("nft", &["list", "tables"]).contains("re6st"));
    // An operator may want it, also after a node that was killed without it.
    underlay.start(0, &[]);
    wait_for(&underlay, 0);
    underlay.kill(0);
    assert!(underlay.hosts[0].run("nft", &["list", "tables"]).contains("re6st"));
    underlay.start(0, &["--forward"]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let via = underlay.hosts[1].ip("-6 route show 2001:db8:42::/64");
    let words: Vec<&str> = via.split_whitespace().collect();
    underlay.hosts[1].ip(&format!("-6 route replace fd77::/64 via {} dev {}", words[2], words[4]));
    eventually("the LAN is reached", PATIENCE, || reaches_lan(&underlay).then_some(()));
}
