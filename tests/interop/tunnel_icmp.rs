//! Paths of which ICMP says nothing, and paths of which it lies.

use std::net::{IpAddr, SocketAddr};

use re6st::os::icmp::too_big;
use socket2::{Domain, Protocol, Socket, Type};

use crate::interop::tunnel_lab::{PATIENCE, events};
use crate::interop::tunnel_paths::Line;
use crate::namespace::{Namespace, eventually};

impl Line {
    /// IPv6 on the path, beside IPv4.
    fn add_ipv6(&self) {
        self.middle.sysctl("net.ipv6.conf.all.forwarding=1");
        for (host, net) in [(&self.left, 1), (&self.right, 2)] {
            host.ip(&format!("address add fd00:9:{net}::1/64 dev e0 nodad"));
            self.middle.ip(&format!("address add fd00:9:{net}::2/64 dev e{net} nodad"));
            host.ip(&format!("route add default via fd00:9:{net}::2"));
        }
    }

    /// The router in the middle drops what is too large, and its word about that arrives nowhere.
    fn become_a_black_hole(&self) {
        let rules = "add table inet hole; \
                     add chain inet hole out { type filter hook output priority 0; }; \
                     add rule inet hole out icmp type destination-unreachable drop; \
                     add rule inet hole out icmpv6 type packet-too-big drop";
        self.middle.run("nft", &[rules]);
        for net in [1, 2] {
            self.middle.ip(&format!("route change 10.9.{net}.0/24 dev e{net} mtu lock 1300"));
        }
    }
}

/// Both ends find out by themselves, and connections from before go on.
fn is_found_out(line: &Line, server: &str, listen: &str) {
    let mut listener = line.listen(listen);
    let mut connection = line.connect(server, "");
    line.become_a_black_hole();
    if server.contains(':') {
        for net in [1, 2] {
            let route = format!("fd00:9:{net}::/64 dev e{net}");
            line.middle
                .ip(&format!("-6 route change {route} proto kernel metric 256 mtu lock 1300"));
        }
    }
    line.assert_bulk_arrives_both_ways(1 << 20);
    for process in [&listener, &connection] {
        let event = eventually("an end to learn", PATIENCE, || {
            // Probes are sent while packets are.
            line.right.pings("10.77.0.1");
            events(process, "mtu").pop()
        });
        assert_eq!((&event["path_mtu_octets"], &event["mtu_octets"]), (&1300.into(), &1280.into()));
    }
    line.assert_bulk_arrives_both_ways(1 << 20);
    line.assert_every_size_passes();
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_path_that_shrinks_in_silence_is_found_out() {
    is_found_out(&Line::new(), "10.9.1.1", "");
}

#[test]
fn an_ipv6_path_that_shrinks_in_silence_is_found_out() {
    let line = Line::new();
    line.add_ipv6();
    is_found_out(&line, "fd00:9:1::1", "--protocol udp6");
}

/// Goal: nobody outside makes packets smaller. Method: somebody on the path forges word of a smaller one, at
/// both ends, until both kernels believe it; whoever asks the other end finds that more passes.
struct Lie {
    server: &'static str,
    client: &'static str,
    listen: &'static str,
    mtu: u32,
    /// Whether a kernel can be told otherwise afterwards; else it forgets by itself.
    can_be_undone: bool,
}

impl Lie {
    fn is_not_believed(&self, line: &Line) {
        let mut listener = line.listen(self.listen);
        let mut connection = line.connect(self.server, "");
        let up = eventually("a tunnel", PATIENCE, || events(&listener, "up").pop());
        let port = up["endpoint"]["port"].as_u64().unwrap() as u16;
        let [left, right] = [(self.server, 1194), (self.client, port)]
            .map(|(address, port)| SocketAddr::new(address.parse().unwrap(), port));
        for (process, host, from, to) in
            [(&listener, &line.left, left, right), (&connection, &line.right, right, left)]
        {
            line.middle.enter(|| forge_too_big(from, to, self.mtu));
            assert_eq!(kernel_believes(host, to.ip()), Some(self.mtu), "the lie has no effect");
            let seen = format!("somebody says the path takes only {} octets", self.mtu);
            eventually(&seen, PATIENCE, || {
                line.right.pings("10.77.0.1");
                process.printed().contains(&seen).then_some(())
            });
            let left_over = (!self.can_be_undone).then_some(self.mtu);
            assert_eq!(kernel_believes(host, to.ip()), left_over);
        }
        line.assert_bulk_arrives_both_ways(1 << 20);
        for process in [&listener, &connection] {
            assert!(events(process, "mtu").is_empty(), "{}", process.printed());
        }
        assert_eq!(connection.stop(), Some(0));
        assert_eq!(listener.stop(), Some(0));
    }
}

#[test]
fn forged_word_of_a_smaller_path_is_not_believed() {
    let (server, client) = ("10.9.1.1", "10.9.2.1");
    let lie = Lie { server, client, listen: "", mtu: 600, can_be_undone: true };
    lie.is_not_believed(&Line::new());
}

/// Linux itself takes nobody's word for less than 1280 octets (RFC 8201 §4), and for the rest it cannot be told
/// otherwise for ten minutes: until then it cuts what we send.
#[test]
fn forged_word_of_a_smaller_ipv6_path_is_not_believed() {
    let line = Line::new();
    line.add_ipv6();
    let (server, client) = ("fd00:9:1::1", "fd00:9:2::1");
    let listen = "--protocol udp6";
    let lie = Lie { server, client, listen, mtu: 1300, can_be_undone: false };
    lie.is_not_believed(&line);
}

/// Sends word to `from`, as if a router could not pass on what it sends to `to`.
fn forge_too_big(from: SocketAddr, to: SocketAddr, mtu: u32) {
    let protocol = if from.is_ipv6() { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
    let socket = Socket::new(Domain::for_address(from), Type::RAW, Some(protocol)).unwrap();
    let address = SocketAddr::new(from.ip(), 0);
    socket.send_to(&too_big(from, to, mtu), &address.into()).unwrap();
}

/// What a kernel was told of a path.
fn kernel_believes(host: &Namespace, to: IpAddr) -> Option<u32> {
    let shown = host.ip(&format!("route get {to}"));
    let (_, rest) = shown.split_once("mtu ")?;
    rest.split_whitespace().next()?.parse().ok()
}
