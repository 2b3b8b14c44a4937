//! A listener under floods of handshakes and connections that are not meant to finish.

use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events};
use crate::namespace::{Process, eventually};

/// Handshakes begun a second.
const RATE: u32 = 10_000;
/// For so long.
const SECONDS: u32 = 3;

/// The flood is of the expensive kind: each handshake answers the server's cookie and begins a ClientHello,
/// so that a server which does not count them would keep a session for each.
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
        let flood = scope.spawn(|| lab.right.enter(|| flood("10.9.0.3", RATE, &over)));
        // A client from another address gets in meanwhile.
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
    assert!(answered > 0, "no handshake came as far as a ClientHello");
    assert!(after < before + 16, "{before} MiB, then {after} MiB");
    // On a busy machine a socket buffer may overflow once.
    let received = pings
        .lines()
        .find_map(|line| line.split(" received").next()?.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(received.is_some_and(|received| received >= 57), "{pings}");
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

/// A dozen addresses begin handshakes as fast as is allowed and leave them, more than there are places:
/// each ClientHello announces more than it brings.
#[test]
fn stalled_handshakes_give_way_to_a_member() {
    const SOURCES: u8 = 12;
    let lab = Lab::new();
    for source in 0..SOURCES {
        lab.right.ip(&format!("address add 10.9.0.{}/24 dev e0", 100 + source));
    }
    let mut listener = lab.listen(KINDS[0], "");
    let before = resident_mib(&listener);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for source in 0..SOURCES {
            let (right, over) = (&lab.right, &over);
            let address = format!("10.9.0.{}", 100 + source);
            scope.spawn(move || right.enter(|| flood(&address, 50, over)));
        }
        // At first, and when the places have long been taken.
        for (who, seconds) in [("client", 0), ("other", 3)] {
            std::thread::sleep(Duration::from_secs(seconds));
            let mut member = lab.connect(KINDS[0], who, "--interface member");
            eventually("the member", PATIENCE, || events(&member, "up").pop());
            assert_eq!(member.stop(), Some(0));
        }
        let after = resident_mib(&listener);
        over.store(true, Ordering::Relaxed);
        println!("{before} MiB, then {after} MiB");
        assert!(after < before + 12, "{before} MiB, then {after} MiB");
    });
    assert!(listener.printed().contains("a new handshake took its place"), "no place was short");
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn silent_tcp_connections_keep_no_client_out() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[2], "");
    let silent = lab.right.enter(|| {
        let address = "10.9.0.1:1194".parse().unwrap();
        let open = |_| TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        (0..300).map(open).collect::<Vec<_>>()
    });
    // From the same address; the silent ones have had their second.
    std::thread::sleep(Duration::from_millis(1_200));
    let mut client = lab.connect(KINDS[2], "client", "--interface late");
    let up = eventually("a client", Duration::from_secs(8), || events(&client, "up").pop());
    assert_eq!(up["peer"], "0/16");
    assert_eq!(client.stop(), Some(0));
    drop(silent);
    assert_eq!(listener.stop(), Some(0));
}

/// Begins `rate` handshakes a second from an address, and answers what is answered, until it is over and
/// enough were begun; how many.
#[allow(clippy::disallowed_methods, reason = "a flood in real time")]
fn flood(from: &str, rate: u32, over: &AtomicBool) -> (u32, u32) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect("10.9.0.1:1194").unwrap();
    socket.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let (mut begun, mut answered) = (0_u32, 0_u32);
    let mut answer = [0; 1_500];
    while begun < rate * SECONDS || !over.load(Ordering::Relaxed) {
        if start.elapsed() > PATIENCE * 3 {
            break;
        }
        let due =
            u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX) / (1_000_000 / rate);
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
                let ack = [&[5 << 3][..], ours, &[1, 0, 0, 0, 0], theirs];
                let _ = socket.send(&ack.concat());
                // CONTROL: no acknowledgements, number 1, the headers of a record and of a ClientHello.
                let hello = [22, 3, 1, 2, 4, 1, 0, 2, 0];
                let _ = socket.send(&[&[4 << 3][..], ours, &[0, 0, 0, 0, 1], &hello].concat());
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
