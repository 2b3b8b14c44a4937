//! New keys every few seconds, under load, with OpenVPN in either role and between ends of our own: not
//! one packet may be lost.
//!
//! `scripts/soak tunnel-rekey` goes on for ten minutes: `RE6ST_REKEY_SECONDS`.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::interop::tunnel_lab::{KINDS, Lab, authority, certificate, events, expect_event};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

/// Packets a second, each way.
const RATE: u32 = 500;
/// Octets of each.
const OCTETS: usize = 1_000;

/// Who speaks with whom: what the server is, and what the client.
const PAIRS: [(Program, Program); 3] = [
    (Program::Ours, Program::OpenVpn),
    (Program::OpenVpn, Program::Ours),
    (Program::Ours, Program::Ours),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Program {
    Ours,
    OpenVpn,
}

#[test]
fn keys_change_every_few_seconds_and_no_packet_is_lost() {
    let seconds = std::env::var("RE6ST_REKEY_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: u32 = seconds.unwrap_or(12);
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    certificate(folder.path(), "server", "0/16", "1");
    certificate(folder.path(), "client", "1/16", "2");
    std::thread::scope(|scope| {
        for (server, client) in PAIRS {
            let folder = folder.path();
            scope.spawn(move || under_load(server, client, folder, seconds));
        }
    });
}

fn under_load(server: Program, client: Program, folder: &Path, seconds: u32) {
    let label = format!("{server:?}-{client:?}");
    let (left, right) = (Namespace::new("kl"), Namespace::new("kr"));
    left.connect("e0", &right, "e0");
    left.ip("address add 10.9.0.1/24 dev e0");
    right.ip("address add 10.9.0.2/24 dev e0");
    let (serving, connected) = start(server, client, &left, &right, folder);
    eventually("an answer", PATIENCE, || right.pings("10.77.0.1").then_some(()));
    let ours = if server == Program::Ours { &serving } else { &connected };
    let before = events(ours, "rekeyed").len();
    let missing = std::thread::scope(|scope| {
        let to_right = scope.spawn(|| missing(&left, &right, "10.77.0.2", seconds));
        let to_left = missing(&right, &left, "10.77.0.1", seconds);
        (to_left, to_right.join().unwrap())
    });
    let rekeyed = events(ours, "rekeyed").len() - before;
    let sent = RATE * seconds;
    // A program that waits for a processor reads too late what the kernel then has no room for.
    let unread = (unread(&left), unread(&right));
    println!(
        "{label}: {rekeyed} new keys in {seconds} s, {missing:?} of {sent} packets missing, \
         {unread:?} datagrams not read in time"
    );
    assert!(missing.0 <= unread.0 && missing.1 <= unread.1, "{label}: {missing:?}, {unread:?}");
    assert!(rekeyed >= seconds as usize / 6, "{label}: {rekeyed} new keys");
    assert!(events(ours, "down").is_empty(), "{label}");
}

/// Starts server and client.
fn start(
    server: Program,
    client: Program,
    left: &Namespace,
    right: &Namespace,
    folder: &Path,
) -> (Process, Process) {
    let spawn = |host: &Namespace, who: &str, program: Program, words: &str| {
        let f = folder.display();
        let words = format!("{words} --ca {f}/ca.crt --cert {f}/{who}.crt --key {f}/{who}.key");
        let words: Vec<&str> = words.split_whitespace().collect();
        let program = if program == Program::Ours { RE6ST } else { "openvpn" };
        host.spawn(folder, &format!("{server:?}-{client:?}-{who}"), program, &words)
    };
    let (words, ready) = match server {
        Program::Ours => {
            ("tunnel listen --address 10.77.0.1/24 --renegotiate-after 3s --json", "listening")
        }
        Program::OpenVpn => (
            "--mode server --tls-server --dh none --port 1194 --proto udp4 --dev-type tap --dev ovpn0 \
             --ifconfig 10.77.0.1 255.255.255.0 --tun-mtu 1372",
            "Initialization Sequence Completed",
        ),
    };
    let serving = spawn(left, "server", server, words);
    eventually(ready, PATIENCE, || serving.printed().contains(ready).then_some(()));
    let words = match client {
        Program::Ours => {
            "tunnel connect 10.9.0.1,1194,udp --address 10.77.0.2/24 --renegotiate-after 3s --json"
        }
        Program::OpenVpn => {
            "--client --nobind --remote 10.9.0.1 1194 udp4 --dev-type tap --dev ovpn0 \
             --ifconfig 10.77.0.2 255.255.255.0 --tun-mtu 1372 --reneg-sec 3 --verb 3"
        }
    };
    let connected = spawn(right, "client", client, words);
    (serving, connected)
}

/// Datagrams that a host's kernel dropped because their socket was full.
fn unread(host: &Namespace) -> u32 {
    let counters = host.run("cat", &["/proc/net/snmp"]);
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut counters = names.split(' ').zip(values.split(' '));
    counters.find(|&(name, _)| name == "RcvbufErrors").unwrap().1.parse().unwrap()
}

/// Sends numbered datagrams; how many did not come.
#[allow(clippy::disallowed_methods, reason = "packets at a pace of real time")]
fn missing(from: &Namespace, to: &Namespace, address: &str, seconds: u32) -> u32 {
    let receiver = to.enter(|| UdpSocket::bind((address, 7_000)).unwrap());
    // A receiver that waits for a processor must not be what loses them.
    setsockopt(&receiver, sockopt::RcvBufForce, &(32 << 20)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let sender = from.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let count = RATE * seconds;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            let mut octets = vec![7; OCTETS];
            for number in 0..count {
                octets[..4].copy_from_slice(&number.to_be_bytes());
                let due = start + Duration::from_secs(1) / RATE * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                sender.send_to(&octets, (address, 7_000)).unwrap();
            }
        });
        let mut came = vec![false; count as usize];
        let mut left = count;
        let mut octets = vec![0; OCTETS + 1];
        while left > 0 {
            // What is not there five seconds after the one before is lost.
            let Ok(length) = receiver.recv(&mut octets) else { break };
            assert_eq!(length, OCTETS);
            let number = u32::from_be_bytes(octets[..4].try_into().unwrap());
            if !std::mem::replace(&mut came[number as usize], true) {
                left -= 1;
            }
        }
        left
    })
}

/// The server's file says how much a key may protect, which is little.
#[test]
fn keys_change_when_they_protected_as_much_as_they_may() {
    let lab = Lab::new();
    std::fs::write(lab.file("server.ovpn"), "reneg-bytes 100000\n").unwrap();
    let mut listener = lab.listen(KINDS[0], &format!("--config {}", lab.file("server.ovpn")));
    let mut connection = lab.connect(KINDS[0], "client", "--address 10.77.0.2/24");
    expect_event(&connection, "up");
    lab.left.ip("address add 10.77.0.1/24 dev re6st-1-16");
    let words = ["-c", "150", "-i", "0.005", "-s", "1000", "10.77.0.1"];
    lab.right.run("ping", &words);
    expect_event(&listener, "rekeyed");
    expect_event(&connection, "rekeyed");
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}
