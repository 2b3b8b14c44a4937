//! Tunnels over paths of every size, through every offload and none, and between hosts with several
//! addresses.
//!
//! ```text
//!   left ── e0 10.9.1.1 ── 10.9.1.2 middle 10.9.2.2 ── 10.9.2.1 e0 ── right
//!     server 10.77.0.1 ═════════════ tunnel ═════════════ 10.77.0.2 client
//! ```

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use openssl::sha::sha256;

use crate::interop::tunnel_lab::{authority, certificate, events, spawn};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of a stream that is long enough to become fast.
const BULK: usize = 12 << 20;

pub(super) struct Line {
    pub(super) left: Namespace,
    pub(super) middle: Namespace,
    pub(super) right: Namespace,
    folder: tempfile::TempDir,
}

impl Line {
    pub(super) fn new() -> Self {
        let [left, middle, right] = ["pl", "pm", "pr"].map(Namespace::new);
        left.connect("e0", &middle, "e1");
        right.connect("e0", &middle, "e2");
        middle.sysctl("net.ipv4.ip_forward=1");
        for (host, net) in [(&left, 1), (&right, 2)] {
            host.ip(&format!("address add 10.9.{net}.1/24 dev e0"));
            middle.ip(&format!("address add 10.9.{net}.2/24 dev e{net}"));
            host.ip(&format!("route add default via 10.9.{net}.2"));
        }
        let folder = tempfile::tempdir().unwrap();
        authority(folder.path());
        certificate(folder.path(), "server", "0/16", "1");
        certificate(folder.path(), "client", "1/16", "2");
        Self { left, middle, right, folder }
    }

    /// Sets the MTU of the link between middle and right; that of left is larger or equal.
    pub(super) fn set_mtu(&self, mtu: u32) {
        for (host, interface) in [(&self.left, "e0"), (&self.middle, "e1")] {
            host.ip(&format!("link set {interface} mtu {}", mtu.max(1500)));
        }
        for (host, interface) in [(&self.right, "e0"), (&self.middle, "e2")] {
            host.ip(&format!("link set {interface} mtu {mtu}"));
        }
    }

    pub(super) fn spawn(
        &self,
        host: &Namespace,
        name: &str,
        program: &str,
        words: &str,
        who: &str,
    ) -> Process {
        spawn(self.folder.path(), host, name, (program, words), who)
    }

    pub(super) fn listen(&self, more: &str) -> Process {
        let words = format!("tunnel listen --address 10.77.0.1/24 --json {more}");
        let listener = self.spawn(&self.left, "listen", RE6ST, &words, "server");
        eventually("a listener", PATIENCE, || {
            listener.printed().contains("listening").then_some(())
        });
        listener
    }

    pub(super) fn connect(&self, to: &str, more: &str) -> Process {
        let protocol = if to.contains(':') { "udp6" } else { "udp" };
        let words =
            format!("tunnel connect {to},1194,{protocol} --address 10.77.0.2/24 --json {more}");
        let connection = self.spawn(&self.right, "connect", RE6ST, &words, "client");
        eventually("an answer", PATIENCE, || self.right.pings("10.77.0.1").then_some(()));
        connection
    }

    /// Echo requests of sizes up to what the interface takes, and beyond it.
    pub(super) fn assert_every_size_passes(&self) {
        for size in [0, 56, 500, 1150, 1180, 1200, 1220, 1252, 1280, 1306, 1320, 1400, 2000, 8000] {
            let size = size.to_string();
            let words =
                ["-q", "-c", "2", "-i", "0.1", "-W", "1", "-M", "dont", "-s", &size, "10.77.0.1"];
            // The first that meets a smaller path may be lost: that is how it is found.
            let answered = (0..3).any(|_| self.right.output("ping", &words).status.success());
            assert!(answered, "no answer to {size} octets");
        }
    }

    /// Sends octets over TCP from one end to the other, and compares what came.
    fn assert_bulk_arrives(&self, from: &Namespace, to: &Namespace, address: &str, octets: usize) {
        let sent: Vec<u8> = (0..octets as u64).map(|at| ((at * at) >> 7) as u8).collect();
        let listener = to.enter(|| TcpListener::bind((address, 7000)).unwrap());
        let connecting = || TcpStream::connect((address, 7000)).unwrap();
        let mut outgoing = from.enter(connecting);
        let (mut incoming, _) = listener.accept().unwrap();
        for stream in [&outgoing, &incoming] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        let wanted = sha256(&sent);
        let sending = std::thread::spawn(move || {
            outgoing.write_all(&sent).unwrap();
            drop(outgoing);
        });
        let mut received = Vec::with_capacity(octets);
        incoming.read_to_end(&mut received).unwrap();
        sending.join().unwrap();
        assert_eq!((received.len(), sha256(&received)), (octets, wanted));
    }

    pub(super) fn assert_bulk_arrives_both_ways(&self, octets: usize) {
        self.assert_bulk_arrives(&self.right, &self.left, "10.77.0.1", octets);
        self.assert_bulk_arrives(&self.left, &self.right, "10.77.0.2", octets);
    }
}

#[test]
fn paths_of_every_size_carry_everything() {
    std::thread::scope(|scope| {
        for (path, mtu) in [(1280, 1280), (1400, 1334), (1500, 1348), (9000, 1348)] {
            scope.spawn(move || carries_everything(path, mtu));
        }
    });
}

fn carries_everything(path: u32, mtu: u32) {
    let line = Line::new();
    line.set_mtu(path);
    let mut listener = line.listen("");
    let mut connection = line.connect("10.9.1.1", "");
    line.assert_every_size_passes();
    line.assert_bulk_arrives_both_ways(2 << 20);
    let up = events(&connection, "up").pop().unwrap();
    assert_eq!(up["mtu_octets"], mtu, "the client's link is the narrow one");
    if path < 1500 {
        // The server is told by the router in the middle.
        let event = eventually("the server to learn", PATIENCE, || events(&listener, "mtu").pop());
        assert_eq!((&event["path_mtu_octets"], &event["mtu_octets"]), (&path.into(), &mtu.into()));
    }
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_path_that_shrinks_under_way_stops_nothing_and_openvpn_neither() {
    let line = Line::new();
    let mut listener = line.listen("");
    let words = "--client --dev-type tap --dev ovc --nobind --remote 10.9.1.1 1194 udp4 --verb 3 \
                 --ifconfig 10.77.0.2 255.255.255.0 --tun-mtu 1372";
    let mut openvpn = line.spawn(&line.right, "openvpn", "openvpn", words, "client");
    eventually("an answer", PATIENCE, || line.right.pings("10.77.0.1").then_some(()));
    line.assert_bulk_arrives_both_ways(1 << 20);
    line.set_mtu(1300);
    line.assert_bulk_arrives_both_ways(1 << 20);
    // Of a batch the router cuts each datagram; a large one that travels alone it sends word of.
    let words = ["-q", "-c", "3", "-i", "0.2", "-W", "1", "-s", "1320", "10.77.0.2"];
    line.left.output("ping", &words);
    let event = eventually("the server to learn", PATIENCE, || events(&listener, "mtu").pop());
    assert_eq!((&event["path_mtu_octets"], &event["mtu_octets"]), (&1300.into(), &1280.into()));
    openvpn.stop();
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn bulk_arrives_whole_through_offloads_and_without() {
    for options in ["", "--udp-gso off", "--device tun", "--cipher none"] {
        bulk_arrives(&Line::new(), options);
    }
}

#[test]
fn bulk_arrives_whole_where_the_device_below_cuts_no_udp() {
    let line = Line::new();
    for host in [&line.left, &line.right] {
        host.run("ethtool", &["-K", "e0", "tx-udp-segmentation", "off"]);
    }
    bulk_arrives(&line, "");
}

fn bulk_arrives(line: &Line, options: &str) {
    let mut listener = line.listen(options);
    let mut connection = line.connect("10.9.1.1", options);
    line.assert_bulk_arrives_both_ways(BULK);
    assert_eq!(connection.stop(), Some(0), "{options}");
    assert_eq!(listener.stop(), Some(0));
}

/// Goal: no system call for each packet. Method: count reads and writes of the interfaces, and what the
/// links below were given at a time.
#[test]
fn a_stream_passes_in_super_packets() {
    let line = Line::new();
    let mut ends = [line.listen(""), line.connect("10.9.1.1", "")];
    let before = ends.each_ref().map(calls);
    line.assert_bulk_arrives_both_ways(BULK);
    // Each end sends as many and receives as many, and acknowledges some. Half of a call for each leaves
    // room for a busy machine, on which a stream stays slow for long.
    let packets = BULK / 1348;
    for (end, before) in ends.iter().zip(before) {
        let calls = calls(end) - before;
        assert!(calls < packets, "{calls} calls for {} packets", 2 * packets);
    }
    for host in [&line.left, &line.right] {
        let given = sent(host);
        assert!(given < packets / 2, "{given} packets below for {packets}");
    }
    // A client whose server leaves has failed: it leaves first.
    for end in ends.iter_mut().rev() {
        assert_eq!(end.stop(), Some(0));
    }
}

/// Calls of read and write of a process since it began: those of its interface, mostly.
fn calls(process: &Process) -> usize {
    let counts = std::fs::read_to_string(format!("/proc/{}/io", process.id())).unwrap();
    let count = |line: &str| line.split_once(": ").unwrap().1.parse::<usize>().unwrap();
    counts.lines().filter(|line| line.starts_with("sysc")).map(count).sum()
}

/// Packets that a host has given its link; a super-packet is one.
fn sent(host: &Namespace) -> usize {
    let shown = host.run("ip", &["-json", "-statistics", "link", "show", "dev", "e0"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown[0]["stats64"]["tx"]["packets"].as_u64().unwrap() as usize
}

#[test]
fn a_host_with_several_addresses_answers_from_the_one_that_was_asked() {
    let line = Line::new();
    line.left.ip("address add 10.9.1.77/24 dev e0");
    let mut listener = line.listen("");
    let mut connection = line.connect("10.9.1.77", "");
    line.assert_bulk_arrives_both_ways(1 << 20);
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_client_that_moves_takes_its_tunnel_along() {
    let line = Line::new();
    let mut listener = line.listen("");
    let mut connection = line.connect("10.9.1.1", "");
    move_right(&line);
    let moved = "the peer moved to 10.9.2.50";
    eventually(moved, PATIENCE, || listener.printed().contains(moved).then_some(()));
    assert_eq!(events(&listener, "up").len(), 1, "{}", listener.printed());
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_client_that_moves_takes_its_tunnel_with_openvpn_along() {
    let line = Line::new();
    let words = "--mode server --tls-server --dh none --proto udp4 --dev-type tap --dev ovs --verb 3 \
                 --ifconfig 10.77.0.1 255.255.255.0 --tun-mtu 1372";
    let server = line.spawn(&line.left, "server", "openvpn", words, "server");
    let ready = "Initialization Sequence Completed";
    eventually(ready, PATIENCE, || server.printed().contains(ready).then_some(()));
    let mut connection = line.connect("10.9.1.1", "");
    move_right(&line);
    assert_eq!(connection.stop(), Some(0));
    let farewell = "OCC exit message received by peer";
    eventually(farewell, PATIENCE, || server.printed().contains(farewell).then_some(()));
    let printed = server.printed();
    let said = printed.lines().find(|line| line.contains(farewell)).unwrap();
    assert!(said.contains("1/16/10.9.2.50:"), "{said}");

    let line = Line::new();
    let mut listener = line.listen("");
    let words = "--client --dev-type tap --dev ovc --nobind --remote 10.9.1.1 1194 udp4 --verb 3 \
                 --ifconfig 10.77.0.2 255.255.255.0 --tun-mtu 1372";
    let _client = line.spawn(&line.right, "openvpn", "openvpn", words, "client");
    eventually("an answer", PATIENCE, || line.right.pings("10.77.0.1").then_some(()));
    move_right(&line);
    let moved = "the peer moved to 10.9.2.50";
    eventually(moved, PATIENCE, || listener.printed().contains(moved).then_some(()));
    assert_eq!(listener.stop(), Some(0));
}

/// The client's datagrams come from elsewhere now, as behind a NAT that forgot; its tunnel goes on.
fn move_right(line: &Line) {
    line.right.ip("address add 10.9.2.50/24 dev e0");
    let rules = "add table ip move; add chain ip move out { type nat hook postrouting priority 100; }; \
                 add rule ip move out udp dport 1194 snat to 10.9.2.50";
    line.right.run("nft", &[rules]);
    line.right.output("conntrack", &["-F"]);
    eventually("an answer", PATIENCE, || line.right.pings("10.77.0.1").then_some(()));
}
