//! A tunnel of our own through a network that loses, repeats, delays and changes datagrams, and looks at
//! each of them for what should not be there.
//!
//! ```text
//!   right: client ── e0 ── e0 left: relay 10.9.0.1:2194 ── 127.0.0.1:1194 server
//! ```

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use re6st::proto::random::Random;

use crate::interop::tunnel_lab::{KINDS, Lab, events};
use crate::namespace::{Namespace, Process, RE6ST, eventually, run};

const PATIENCE: Duration = Duration::from_secs(40);

/// What every echo request is filled with: 16 octets, as `ping -p` has them.
const MARK: &[u8; 16] = b"secret in a ping";

/// What the relay does, in percent of datagrams.
const LOST: u32 = 20;
const REPEATED: u32 = 10;
const DELAYED: u32 = 20;
const CHANGED: u32 = 10;

/// Datagrams that the relay saw, changed, and in which it found the mark.
#[derive(Default)]
struct Seen {
    datagrams: AtomicU32,
    changed: AtomicU32,
    marked: AtomicU32,
    calm: AtomicBool,
    over: AtomicBool,
}

#[test]
fn a_storm_ends_no_session_and_nothing_leaks_into_it() {
    let lab = Lab::new();
    let key = lab.file("ta.key");
    run("openvpn", &["--genkey", "secret", &key]);
    let seen = Seen::default();
    let (relay, outside) = lab.left.enter(|| {
        (UdpSocket::bind("10.9.0.1:2194").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
    });
    std::thread::scope(|scope| {
        scope.spawn(|| blow(&relay, &outside, &seen));
        // Also when an assertion fails, the relay ends.
        let _over = Ending(&seen);
        let protection = format!("--tls-crypt {key} --renegotiate-after 3s");
        let words = format!("--address 10.77.0.1/24 {protection}");
        let mut listener = lab.listen(KINDS[0], &words);
        let words =
            format!("tunnel connect 10.9.0.1,2194,udp --address 10.77.0.2/24 --json {protection}");
        let mut connection = lab.spawn(&lab.right, "connect", RE6ST, &words, "client");
        eventually("a tunnel", PATIENCE, || events(&connection, "up").pop());
        assert_alive(&lab.right, &listener, &connection, &seen);
        for process in [&listener, &connection] {
            assert_eq!(events(process, "up").len(), 1, "{}", process.printed());
            assert!(events(process, "down").is_empty(), "{}", process.printed());
        }
        assert_eq!(connection.stop(), Some(0));
        assert_eq!(listener.stop(), Some(0));
    });
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let (datagrams, changed) = (count(&seen.datagrams), count(&seen.changed));
    println!("{datagrams} datagrams, {changed} of them changed");
    assert!(datagrams > 400 && changed > 20, "{datagrams} datagrams, {changed} changed");
    assert_eq!(count(&seen.marked), 0, "frames are on the wire as they are");
}

/// Traffic and new keys in the storm, and after it.
fn assert_alive(right: &Namespace, listener: &Process, connection: &Process, seen: &Seen) {
    let mark: String = MARK.iter().map(|octet| format!("{octet:02x}")).collect();
    let words = ["-q", "-c", "200", "-i", "0.05", "-s", "600", "-p", &mark, "10.77.0.1"];
    let pings = right.output("ping", &words);
    let pings = String::from_utf8_lossy(&pings.stdout).into_owned();
    println!("{pings}");
    eventually("new keys", PATIENCE, || (events(connection, "rekeyed").len() >= 3).then_some(()));
    let refused = events(listener, "statistics").pop().unwrap()["refused"].as_u64().unwrap();
    assert!(refused > 0, "nothing that was changed or came twice was refused");

    // The session that was there all the time carries everything again.
    seen.calm.store(true, Ordering::Relaxed);
    let words = ["-q", "-c", "40", "-i", "0.05", "-p", &mark, "10.77.0.1"];
    eventually("calm", PATIENCE, || {
        let pings = right.output("ping", &words);
        String::from_utf8_lossy(&pings.stdout).contains(" 0% packet loss").then_some(())
    });
}

/// Ends the relay.
struct Ending<'a>(&'a Seen);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Carries datagrams both ways, badly.
#[allow(clippy::disallowed_methods, reason = "weather in real time")]
fn blow(relay: &UdpSocket, outside: &UdpSocket, seen: &Seen) {
    let mut random = Random::from_number(20);
    let mut client = None;
    let mut late: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
    let mut buffer = [0; 2_000];
    relay.set_nonblocking(true).unwrap();
    outside.set_nonblocking(true).unwrap();
    while !seen.over.load(Ordering::Relaxed) {
        let now = Instant::now();
        for (socket, to_server) in [(relay, true), (outside, false)] {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                client = if to_server { Some(from) } else { client };
                let mut packet = buffer[..length].to_vec();
                seen.datagrams.fetch_add(1, Ordering::Relaxed);
                if packet.windows(MARK.len()).any(|octets| octets == MARK) {
                    seen.marked.fetch_add(1, Ordering::Relaxed);
                }
                let calm = seen.calm.load(Ordering::Relaxed);
                let mut happens = |percent: u32| !calm && random.below(100) < percent as usize;
                if happens(LOST) {
                    continue;
                }
                let (changed, late_by) = (happens(CHANGED), if happens(DELAYED) { 80 } else { 0 });
                let copies = if happens(REPEATED) { 2 } else { 1 };
                if changed {
                    seen.changed.fetch_add(1, Ordering::Relaxed);
                    packet[random.below(length)] ^= 1 << random.below(8);
                }
                for _ in 0..copies {
                    late.push((now + Duration::from_millis(late_by), to_server, packet.clone()));
                }
            }
        }
        let (due, rest): (Vec<_>, Vec<_>) = late.drain(..).partition(|&(at, ..)| at <= now);
        late = rest;
        for (_, to_server, packet) in due {
            // What is not taken is lost, too.
            let _ = match (to_server, client) {
                (true, _) => outside.send_to(&packet, "127.0.0.1:1194"),
                (false, Some(client)) => relay.send_to(&packet, client),
                (false, None) => Ok(0),
            };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
