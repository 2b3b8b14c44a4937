//! A listener under a flood of handshakes that nobody means to finish.

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::interop::openvpn::{authority, certificate};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// Handshakes begun a second.
const RATE: u32 = 10_000;
/// For so long.
const SECONDS: u32 = 3;

/// The flood is of the expensive kind: each handshake answers the server's cookie, so that a server
/// which does not count them would keep a session for each.
#[test]
fn ten_thousand_half_open_handshakes_a_second_hurt_nobody() {
    let (left, right) = (Namespace::new("fl"), Namespace::new("fr"));
    left.connect("e0", &right, "e0");
    left.ip("address add 10.9.0.1/24 dev e0");
    right.ip("address add 10.9.0.2/24 dev e0");
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    certificate(folder.path(), "server", "0/16", "1");
    certificate(folder.path(), "client", "1/16", "2");
    let f = folder.path().display();
    let spawn = |host: &Namespace, name: &str, words: &str, who: &str| {
        let words = format!("{words} --ca {f}/ca.crt --cert {f}/{who}.crt --key {f}/{who}.key");
        let words: Vec<&str> = words.split_whitespace().collect();
        host.spawn(folder.path(), name, RE6ST, &words)
    };
    let mut listener =
        spawn(&left, "listen", "tunnel listen --address 10.77.0.1/24 --json", "server");
    eventually("a listener", PATIENCE, || listener.printed().contains("listening").then_some(()));
    let words = "tunnel connect 10.9.0.1,1194,udp --address 10.77.0.2/24 --json";
    let mut connection = spawn(&right, "connect", words, "client");
    eventually("an answer", PATIENCE, || right.pings("10.77.0.1").then_some(()));

    let before = resident_mib(&listener);
    let words = ["-q", "-c", "60", "-i", "0.05", "-W", "3", "10.77.0.1"];
    let pings = right.command("ping", &words).stdout(Stdio::piped()).spawn().unwrap();
    let (begun, answered) = right.enter(flood);
    let pings = pings.wait_with_output().unwrap();
    let pings = String::from_utf8_lossy(&pings.stdout).into_owned();
    let after = resident_mib(&listener);
    println!("{begun} begun, {answered} answered; {before} MiB, then {after} MiB\n{pings}");
    assert!(begun >= RATE * SECONDS / 2, "only {begun} were begun");
    assert!(after < before + 16, "{before} MiB, then {after} MiB");
    assert!(pings.contains(" 0% packet loss"), "{pings}");
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

/// Begins handshakes, and answers what is answered; how many.
#[allow(clippy::disallowed_methods, reason = "a flood in real time")]
fn flood() -> (u32, u32) {
    let socket = UdpSocket::bind("10.9.0.2:0").unwrap();
    socket.connect("10.9.0.1:1194").unwrap();
    socket.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let (mut begun, mut answered) = (0_u32, 0_u32);
    let mut answer = [0; 1_500];
    while begun < RATE * SECONDS && start.elapsed().as_secs() < u64::from(SECONDS) * 3 {
        let due =
            u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX) / (1_000_000 / RATE);
        while begun < due.min(RATE * SECONDS) {
            begun += 1;
            let session = (0x7700_0000_0000_0000 + u64::from(begun)).to_be_bytes();
            // HARD_RESET_CLIENT: no acknowledgements, number 0.
            let _ = socket.send(&[&[7 << 3][..], &session, &[0; 5]].concat());
        }
        while let Ok(length) = socket.recv(&mut answer) {
            // HARD_RESET_SERVER: its session, one acknowledgement (4), our session, number 0.
            if length >= 26 && answer[0] == 8 << 3 {
                answered += 1;
                let (theirs, ours) = (&answer[1..9], &answer[14..22]);
                let parts = [&[5 << 3][..], ours, &[1, 0, 0, 0, 0], theirs];
                let _ = socket.send(&parts.concat());
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    (begun, answered)
}

/// MiB of memory that a process uses.
fn resident_mib(process: &Process) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u32>().unwrap() / 1_024
}
