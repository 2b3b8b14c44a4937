//! A listener under a flood of handshakes that nobody means to finish.

use std::net::UdpSocket;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events};
use crate::namespace::{Process, eventually};

/// Handshakes begun a second.
const RATE: u32 = 10_000;
/// For so long.
const SECONDS: u32 = 3;

/// The flood is of the expensive kind: each handshake answers the server's cookie, so that a server
/// which does not count them would keep a session for each.
#[test]
fn ten_thousand_half_open_handshakes_a_second_hurt_nobody() {
    let lab = Lab::new();
    lab.right.ip("address add 10.9.0.3/24 dev e0");
    let mut listener = lab.listen(KINDS[0], "--address 10.77.0.1/24");
    let mut connection = lab.connect(KINDS[0], "client", "--address 10.77.0.2/24");
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));

    let before = resident_mib(&listener);
    let words = ["-q", "-c", "60", "-i", "0.05", "-W", "3", "10.77.0.1"];
    let pings = lab.right.command("ping", &words).stdout(Stdio::piped()).spawn().unwrap();
    let over = AtomicBool::new(false);
    let (begun, answered) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| lab.right.enter(|| flood(&over)));
        // Who comes from elsewhere meanwhile is let in.
        let mut newcomer = lab.connect(KINDS[0], "other", "--interface late");
        let up = eventually("a newcomer", PATIENCE, || events(&newcomer, "up").pop());
        over.store(true, Ordering::Relaxed);
        assert_eq!(up["peer"], "0/16");
        assert_eq!(newcomer.stop(), Some(0));
        flood.join().unwrap()
    });
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

/// Begins handshakes, and answers what is answered, until it is over and enough were begun; how many.
#[allow(clippy::disallowed_methods, reason = "a flood in real time")]
fn flood(over: &AtomicBool) -> (u32, u32) {
    let socket = UdpSocket::bind("10.9.0.3:0").unwrap();
    socket.connect("10.9.0.1:1194").unwrap();
    socket.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let (mut begun, mut answered) = (0_u32, 0_u32);
    let mut answer = [0; 1_500];
    while begun < RATE * SECONDS || !over.load(Ordering::Relaxed) {
        if start.elapsed() > PATIENCE {
            break;
        }
        let due =
            u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX) / (1_000_000 / RATE);
        while begun < due {
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
