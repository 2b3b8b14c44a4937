//! What a router of ours does in the kernel, and what it does when somebody else interferes.
//!
//! ```text
//! theirs (babeld, number 1) ──── ours (re6st, number 2)
//! ```

use std::io::IoSliceMut;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use re6st::proto::babel::mac::{GROUP, PORT};
use re6st::proto::babel::packet::{Packet, Tlv};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::routers::{Make, Routers, Setup};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// A repair takes a twentieth of a second.
const REPAIR: Duration = Duration::from_secs(2);
const REDIRECTS: &str = "/proc/sys/net/ipv6/conf/all/accept_redirects";

fn pair(statements: &str) -> Routers {
    let setup = Setup { statements, ..Setup::default() };
    Routers::start(&[Make::Babeld, Make::Ours], &[(1, 2)], setup)
}

/// Ours anew, by options and not by a configuration; its log is `re6st.log` in the folder.
fn run_with(routers: &mut Routers, options: &[&[&str]]) -> (TempDir, Process) {
    routers.all[1].stop("TERM");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let socket = ["--socket", socket.to_str().unwrap()];
    let run = ["babel", "run", "e1", "--hello", "1s", "--kind", "wired"];
    let arguments = [&run[..], &socket, &options.concat()].concat();
    let router = routers.router(2).namespace.spawn(directory.path(), "re6st", RE6ST, &arguments);
    (directory, router)
}

/// Our routes to a prefix, of both families and all tables.
fn routes(host: &Namespace, prefix: &str) -> Vec<String> {
    let shown = host.ip("-6 route show table all") + &host.ip("-4 route show table all");
    let begins = |line: &&str| line.starts_with(prefix) || line.contains(&format!(" {prefix}"));
    shown.lines().filter(begins).map(str::to_owned).collect()
}

fn appears(host: &Namespace, prefix: &str, with: &str, patience: Duration) -> String {
    eventually(&format!("{prefix} {with}"), patience, || {
        routes(host, prefix).into_iter().find(|route| route.contains(with))
    })
}

#[test]
fn routes_that_somebody_else_changes_are_put_back() {
    let routers = pair("");
    let ours = &routers.router(2).namespace;
    appears(ours, "2001:db8:0:1::1 ", "dev e1 proto babel", PATIENCE);
    appears(ours, "10.9.0.1 ", "dev e1 proto babel", PATIENCE);
    assert_eq!(ours.run("cat", &[REDIRECTS]).trim(), "0", "hosts that route take no redirects");

    for (family, prefix) in [("-6", "2001:db8:0:1::1"), ("-4", "10.9.0.1")] {
        ours.ip(&format!("{family} route del {prefix} proto babel"));
        appears(ours, prefix, "dev e1 proto babel", REPAIR);
        ours.ip(&format!("{family} route replace unreachable {prefix} proto babel"));
        eventually("put right", REPAIR, || {
            let found = routes(ours, prefix);
            (found.len() == 1 && found[0].contains("dev e1")).then_some(())
        });
        // What is the host's own is left alone as long as it is there.
        ours.ip(&format!("{family} route replace blackhole {prefix} proto static"));
        std::thread::sleep(Duration::from_millis(500));
        let found = routes(ours, prefix);
        assert!(found.len() == 1 && found[0].contains("proto static"), "{found:?}");
        ours.ip(&format!("{family} route del blackhole {prefix} proto static"));
        appears(ours, prefix, "dev e1 proto babel", REPAIR);
    }
    // The kernel forgets IPv4 routes over an interface that is down without a word.
    ours.ip("link set e1 down");
    ours.ip("link set e1 up");
    for prefix in ["2001:db8:0:1::1 ", "10.9.0.1 "] {
        appears(ours, prefix, "dev e1 proto babel", PATIENCE);
    }
}

#[test]
fn an_interface_that_is_made_again_is_used_again_and_not_filtered() {
    let routers = pair("");
    let (theirs, ours) = (&routers.router(1).namespace, &routers.router(2).namespace);
    appears(ours, "10.9.0.1 ", "dev e1 proto babel", PATIENCE);
    ours.ip("link del e1");
    eventually("no route over what is gone", PATIENCE, || {
        routes(ours, "10.9.0.1 ").iter().all(|route| !route.contains("dev e1")).then_some(())
    });
    // As distributions do, which take packets only from where they would be sent back.
    ours.sysctl("net.ipv4.conf.default.rp_filter=1");
    theirs.connect("e2", ours, "e1");
    appears(ours, "2001:db8:0:1::1 ", "dev e1 proto babel", PATIENCE);
    for interface in ["all", "e1"] {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter");
        assert_eq!(ours.run("cat", &[&path]).trim(), "0", "{interface}");
    }
}

#[test]
fn a_plain_and_a_source_specific_default_route_share_one_of_the_kernel() {
    let theirs = "redistribute proto 4 ip 2001:db8:8::/48 deny\nredistribute proto 4";
    let routers = pair(&format!(
        "{theirs}\ninstall ip ::/0 eq 0 src-prefix 2001:db8:42::/48\nredistribute src-ip ::/0"
    ));
    let (theirs, ours) = (&routers.router(1).namespace, &routers.router(2).namespace);
    theirs.ip("-6 route add default dev lo proto static");
    let ours_is = |patience| appears(ours, "default from 2001:db8:42::/48", "dev e1", patience);
    ours_is(PATIENCE);
    theirs.ip("-6 route add default from 2001:db8:42::/48 dev lo proto static");
    std::thread::sleep(Duration::from_secs(1));
    ours_is(REPAIR);
    theirs.ip("-6 route del default dev lo proto static");
    // Announced as gone, and refused for a while: the other one keeps the place.
    std::thread::sleep(Duration::from_secs(2));
    ours_is(REPAIR);
}

#[test]
fn ipv4_routes_by_source_are_installed_and_the_longest_destination_comes_first() {
    let routers = pair(
        "redistribute proto 4 ip 0.0.0.0/0 eq 0 src-prefix 10.43.0.0/16\n\
                        redistribute proto 4 ip 192.0.2.0/24",
    );
    let (theirs, ours) = (&routers.router(1).namespace, &routers.router(2).namespace);
    theirs.ip("-4 route add default dev lo proto static");
    theirs.ip("-4 route add 192.0.2.0/24 dev lo proto static");
    theirs.connect("unused", ours, "other");
    ours.ip("address add 10.43.1.1/16 dev other");
    ours.ip("-4 route add default dev other");
    ours.ip("-4 route add 198.51.100.0/24 dev other");
    let way = |from: &str, to: &str| ours.ip(&format!("-4 route get {to} from {from}"));
    eventually("a default route by source", PATIENCE, || {
        way("10.43.1.1", "203.0.113.1").contains("dev e1").then_some(())
    });
    appears(ours, "192.0.2.0/24 ", "dev e1 proto babel", PATIENCE);
    // Another source, another way; a longer destination is looked at before the source.
    assert!(way("10.9.0.2", "203.0.113.1").contains("dev other"));
    assert!(way("10.43.1.1", "198.51.100.1").contains("dev other"));
    assert!(way("10.43.1.1", "192.0.2.1").contains("dev e1"));
    let rules = ours.ip("-4 rule show");
    assert_eq!(
        rules.lines().filter(|rule| rule.contains("from 10.43.0.0/16")).count(),
        2,
        "{rules}"
    );

    // Taken away, and put back.
    let table = rules.lines().rev().find(|rule| rule.contains("10.43.0.0/16")).unwrap();
    let table = table.rsplit("lookup ").next().unwrap().split(' ').next().unwrap();
    ours.ip(&format!("-4 route flush table {table}"));
    eventually("put back", REPAIR, || {
        way("10.43.1.1", "203.0.113.1").contains("dev e1").then_some(())
    });

    // As systemd-networkd does when it starts anew.
    for priority in rules.lines().filter(|rule| rule.contains("from 10.43.0.0/16")) {
        let (priority, _) = priority.split_once(':').unwrap();
        ours.ip(&format!("-4 rule del priority {priority}"));
    }
    eventually("its rules are put back", REPAIR, || {
        let now = ours.ip("-4 rule show");
        (now.lines().filter(|rule| rule.contains("from 10.43.0.0/16")).count() == 2).then_some(())
    });
    // What a killed router left is gone with the next one's start; of one that ends, nothing is left.
    let mut routers = routers;
    let router = &mut routers.all[1];
    router.restart("KILL", Setup::default());
    eventually("no rule of a killed router", PATIENCE, || {
        (!router.namespace.ip("-4 rule show").contains("10.43.0.0/16")).then_some(())
    });
    eventually("its rules and routes again", PATIENCE, || {
        router.namespace.ip("-4 rule show").contains("10.43.0.0/16").then_some(())
    });
    router.stop("TERM");
    assert!(!router.namespace.ip("-4 rule show").contains("10.43.0.0/16"));
    assert_eq!(routes(&router.namespace, "default").len(), 1);
}

#[test]
fn routes_go_where_the_options_say_and_nothing_of_them_stays() {
    let mut routers = pair("");
    let own = ["--pref-src", "2001:db8:0:2::1", "--pref-src", "10.9.0.2"];
    let (_directory, router) =
        run_with(&mut routers, &[&own[..], &["--table", "142", "--metric", "77"]]);
    let ours = &routers.router(2).namespace;
    for (prefix, source) in [("2001:db8:0:1::1 ", own[1]), ("10.9.0.1 ", own[3])] {
        let route = appears(ours, prefix, "dev e1", PATIENCE);
        for wanted in ["table 142 ", "metric 77", &format!("src {source}"), "proto babel"] {
            assert!(route.contains(wanted), "{wanted}: {route}");
        }
        assert_eq!(routes(ours, prefix).len(), 1, "no other table has it");
    }
    router.signal("TERM");
    eventually("nothing is left", PATIENCE, || {
        let left = ["-6", "-4"].map(|family| ours.ip(&format!("{family} route show table all")));
        (!left.concat().contains("table 142")).then_some(())
    });
}

/// Goal: what the kernel refuses for want of an address is there when the address is, and is told once.
#[test]
fn routes_wait_for_the_source_address_that_they_name() {
    let mut routers = pair("");
    let own = ["--pref-src", "2001:db8:7::7", "--pref-src", "10.7.7.7"];
    let (directory, router) = run_with(&mut routers, &[&own]);
    let ours = &routers.router(2).namespace;
    let refused = || {
        let log = std::fs::read_to_string(directory.path().join("re6st.log")).unwrap();
        log.matches("the kernel refuses").count()
    };
    eventually("routes are refused", PATIENCE, || (refused() > 0).then_some(()));
    std::thread::sleep(REPAIR);
    let told = refused();
    let find = |prefix| routes(ours, prefix);
    assert!(find("2001:db8:0:1::1 ").is_empty() && find("10.9.0.1 ").is_empty());
    for _ in 0..2 {
        ours.ip("-6 address add 2001:db8:7::7/128 dev lo");
        ours.ip("-4 address add 10.7.7.7/32 dev lo");
        appears(ours, "2001:db8:0:1::1 ", "src 2001:db8:7::7", REPAIR);
        appears(ours, "10.9.0.1 ", "src 10.7.7.7", REPAIR);
        ours.ip("-6 address del 2001:db8:7::7/128 dev lo");
        ours.ip("-4 address del 10.7.7.7/32 dev lo");
        eventually("the kernel forgets it", REPAIR, || find("10.9.0.1 ").is_empty().then_some(()));
    }
    let again = refused();
    assert!((1..=2).contains(&told) && again <= told + 6, "{told}, then {again}");
    router.signal("TERM");
}

/// Goal: where carriers are looked at, a link is left as soon as its cable is pulled out, and used again when it
/// is back; where they are not, as babeld has it unless told, its silence says so.
#[test]
fn a_link_without_a_carrier_is_left_at_once_where_that_is_looked_at() {
    for (statement, is_left) in [("link-detect true", true), ("link-detect false", false)] {
        let routers = pair(statement);
        let (theirs, ours) = (&routers.router(1).namespace, &routers.router(2).namespace);
        appears(ours, "10.9.0.1 ", "dev e1 proto babel", PATIENCE);
        theirs.ip("link set e2 down");
        assert!(ours.ip("link show e1").contains("NO-CARRIER"));
        // Hellos come each second: two to three are waited for.
        std::thread::sleep(Duration::from_secs(1));
        let is_there = routes(ours, "10.9.0.1 ").iter().any(|route| route.contains("dev e1 proto"));
        assert_eq!(is_there, !is_left, "{statement}");
        theirs.ip("link set e2 up");
        appears(ours, "10.9.0.1 ", "dev e1 proto babel", PATIENCE);
    }
}

/// Goal: one configuration puts routes and rules of babeld and of ours into the same places.
/// Method: both read it, and each learns what the other has in a table that is not the main one.
#[test]
fn a_configuration_places_routes_and_rules_as_with_babeld() {
    let statements = "kernel-priority 77\nexport-table 142\nimport-table 150\n\
                      skip-kernel-setup true\n\
                      redistribute proto 4 ip 2001:db8:50::/44\n\
                      redistribute proto 4 ip 0.0.0.0/0 eq 0 src-prefix 10.43.0.0/16";
    let mut routers = pair(statements);
    let hosts = [1, 2].map(|number| (number, &routers.router(number).namespace));
    for (number, host) in hosts {
        for table in [150, 151] {
            let prefix = format!("2001:db8:{}:{number}::/64", table - 100);
            host.ip(&format!("-6 route add {prefix} dev lo proto static table {table}"));
        }
    }
    hosts[0].1.ip("-4 route add default dev lo proto static table 150");
    for (other, host) in [(2, hosts[0].1), (1, hosts[1].1)] {
        let route = appears(host, &format!("2001:db8:50:{other}::/64 "), "dev e", PATIENCE);
        for wanted in ["table 142 ", "metric 77", "proto babel"] {
            assert!(route.contains(wanted), "{wanted}: {route}");
        }
        let unwanted = routes(host, &format!("2001:db8:51:{other}::/64 "));
        assert!(unwanted.is_empty(), "from a table that is not read: {unwanted:?}");
        assert_eq!(host.run("cat", &[REDIRECTS]).trim(), "1", "the kernel was not to be set up");
    }
    // Rules of longer prefixes come first, each kind in its own place after the first.
    let priority = |host: &Namespace| {
        eventually("a rule for a source", PATIENCE, || {
            let rules = host.ip("-4 rule show");
            let rule = rules.lines().find(|rule| rule.contains("from 10.43.0.0/16"))?;
            rule.split(':').next()?.parse::<u32>().ok()
        })
    };
    let unless_told = priority(hosts[1].1);
    // Debian's babeld has this in its manual and does not read it; 100 is what there is without it.
    let statements = format!("{statements}\nfirst-rule-priority 500");
    let ours = &mut routers.all[1];
    ours.restart("TERM", Setup { statements: &statements, ..Setup::default() });
    assert_eq!(priority(&ours.namespace), unless_told + 400);
}

/// Goal: who starts a router beside a babeld, or on an interface that is not there, is told.
#[test]
fn a_router_tells_of_another_one_beside_it_and_of_an_interface_that_is_not_there() {
    let routers = pair("");
    appears(&routers.router(2).namespace, "10.9.0.1 ", "dev e1 proto babel", PATIENCE);
    for (number, is_beside) in [(1, true), (0, false)] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let alone = Namespace::new("alone");
        let host = if number == 0 { &alone } else { &routers.router(number).namespace };
        let arguments =
            ["babel", "run", "late", "--table", "142", "--socket", socket.to_str().unwrap()];
        let mut router = host.spawn(directory.path(), "re6st", RE6ST, &arguments);
        eventually("it tells what it waits for", PATIENCE, || {
            router.printed().contains("late is not there or not up yet").then_some(())
        });
        let told = router.printed().contains("another program uses UDP port 6696");
        assert_eq!(told, is_beside, "{}", router.printed());
        assert_eq!(router.stop(), Some(0));
    }
}

/// Goal: packets go one hop, from a link-local address and Babel's port (RFC 8966 §4); what comes from
/// another port is not heard.
/// Method: a neighbour of which nothing is there but its socket; whether our router says that it hears it.
#[test]
fn packets_go_one_hop_between_babels_ports_and_what_comes_from_others_is_not_heard() {
    let (host, other) = (Namespace::new("ours"), Namespace::new("other"));
    host.connect("e1", &other, "e2");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let arguments = ["babel", "run", "e1", "--table", "142", "--socket", socket.to_str().unwrap()];
    let mut router = host.spawn(directory.path(), "re6st", RE6ST, &arguments);
    other.enter(|| {
        let index = nix::net::if_::if_nametoindex("e2").unwrap();
        let listening = listen(index);
        let wrong = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT + 1)).unwrap();
        let right: UdpSocket = listening.try_clone().unwrap().into();
        eventually("it says Hello", PATIENCE, || receive(&listening).map(drop));
        for (socket, is_heard) in [(wrong, false), (right, true)] {
            socket.set_multicast_loop_v6(false).unwrap();
            let mut heard = false;
            for seqno in 0..10 {
                let hello = [42, 2, 0, 8, 4, 6, 0, 0, 0, seqno, 0, 100];
                let _ = socket.send_to(&hello, SocketAddrV6::new(GROUP, PORT, 0, index));
                std::thread::sleep(Duration::from_millis(200));
                while let Some(octets) = receive(&listening) {
                    let packet = Packet::parse(&octets).unwrap();
                    let mut tlvs = packet.tlvs(Ipv6Addr::LOCALHOST).flatten();
                    heard |= tlvs.any(|tlv| matches!(tlv, Tlv::Ihu(_)));
                }
            }
            assert_eq!(heard, is_heard);
        }
    });
    assert_eq!(router.stop(), Some(0));
}

/// A socket such as a Babel router has.
fn listen(interface: u32) -> Socket {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0).into()).unwrap();
    socket.join_multicast_v6(&GROUP, interface).unwrap();
    socket.set_recv_hoplimit_v6(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The next packet, which must come from where packets of Babel do.
fn receive(socket: &Socket) -> Option<Vec<u8>> {
    let (mut buffer, mut control) = (vec![0; 2000], nix::cmsg_space!(i32));
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::empty(),
    );
    let message = received.ok()?;
    let from: SocketAddrV6 = message.address.unwrap().into();
    assert!(from.ip().is_unicast_link_local() && from.port() == PORT, "{from}");
    let mut control = message.cmsgs().unwrap();
    let hops = control.find_map(|it| match it {
        ControlMessageOwned::Ipv6HopLimit(hops) => Some(hops),
        _ => None,
    });
    assert_eq!(hops, Some(1));
    let octets = message.bytes;
    buffer.truncate(octets);
    Some(buffer)
}
