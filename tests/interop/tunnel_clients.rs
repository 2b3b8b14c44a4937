//! One listener with very many clients: cores of ours on sockets of their own, all driven by one thread.
//!
//! ```text
//!   server 10.9.0.1 ── 10.9.0.2 clients 10.9.4.1, 10.9.4.2, …: an address and a socket each
//!     re6st-1-16, re6st-2-16, …: 10.77.0.1/16 on each
//! ```
//!
//! `scripts/soak tunnel-clients` has 500 of them: `RE6ST_TUNNEL_CLIENTS`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509NameBuilder};
use re6st::os::clock::Clock;
use re6st::proto::endpoint::Transport;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;
use re6st::proto::tunnel::cipher::Cipher;
use re6st::proto::tunnel::control_keys::ControlProtection;
use re6st::proto::tunnel::credentials::Credentials;
use re6st::proto::tunnel::data::{Opener, Sealer};
use re6st::proto::tunnel::kind::{Device, Underlay};
use re6st::proto::tunnel::liveness::Probe;
use re6st::proto::tunnel::session::{EXIT, Input, Output, PING, Reason, Session, SessionSettings};
use re6st::proto::tunnel::tls::{Expectation, TlsContext};

use crate::interop::tunnel_lab::{authority, certificate, events};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// All of them come at once, answer each other's server, one is closed, and one too many is told so.
#[test]
fn many_clients_share_a_port_and_one_may_go_without_the_others() {
    let count = std::env::var("RE6ST_TUNNEL_CLIENTS").ok().and_then(|text| text.parse().ok());
    let count: u16 = count.unwrap_or(50);
    let (left, right) = hosts();
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    certificate(folder.path(), "server", "0/16", "1");
    let mut listener = listen(&left, folder.path(), count);
    let idle = Usage::of(&listener);
    let issuer = Issuer::new(folder.path());
    right.enter(|| {
        let mut crowd = Crowd::new(&issuer, count);
        let began = crowd.clock.now();
        crowd.run("all clients", |clients| clients.iter().all(Client::is_up));
        let took = crowd.clock.now() - began;
        let after = Usage::of(&listener);
        println!(
            "{count} clients: up after {took:?}; {:?} of CPU and {} KiB for each",
            (after.cpu - idle.cpu) / u32::from(count),
            after.resident_kib.saturating_sub(idle.resident_kib) / u64::from(count),
        );
        crowd.assert_all_answered(1);

        // One too many.
        let extra = crowd.add(&issuer, count + 1);
        crowd.run("a refusal", |clients| clients[extra].over.is_some());
        let full = Reason::Refused("there are as many clients as are allowed".to_owned());
        assert_eq!(crowd.clients[extra].over, Some(full));
        crowd.clients.truncate(extra);

        // One is closed, by whoever may remove interfaces.
        left.ip("link delete re6st-7-16");
        crowd.run("a farewell", |clients| clients[6].over.is_some());
        assert_eq!(crowd.clients[6].over, Some(Reason::PeerExit));
        crowd.clients.remove(6);
        crowd.assert_all_answered(2);
        assert!(crowd.clients.iter().all(|client| client.over.is_none()));

        // There is room for another now.
        let extra = crowd.add(&issuer, count + 1);
        crowd.run("another client", |clients| clients[extra].is_up());

        // Nobody needs the processor to be idle.
        let (before, began) = (Usage::of(&listener), crowd.clock.now());
        crowd.pass(Duration::from_secs(5));
        let (after, took) = (Usage::of(&listener), crowd.clock.now() - began);
        let share = (after.cpu - before.cpu).as_secs_f64() / took.as_secs_f64();
        println!("idle: {:.1} % of a processor", share * 100.0);
        assert!(crowd.clients.iter().all(|client| client.over.is_none()));
    });
    let down = events(&listener, "down");
    assert_eq!(down.len(), 1, "{down:?}");
    assert_eq!(down[0]["reason"], "its interface was removed");
    assert_eq!(events(&listener, "up").len(), usize::from(count) + 1);
    assert_eq!(listener.stop(), Some(0));
    assert!(!left.ip("-brief link show").contains("re6st-"), "interfaces are left behind");
}

fn hosts() -> (Namespace, Namespace) {
    let (left, right) = (Namespace::new("cl"), Namespace::new("cr"));
    left.connect("e0", &right, "e0");
    left.ip("address add 10.9.0.1/24 dev e0");
    right.ip("address add 10.9.0.2/24 dev e0");
    left.ip("route add 10.9.4.0/22 via 10.9.0.2");
    right.ip("route add local 10.9.4.0/22 dev lo");
    // Every interface of the server has the same address: all but one would be no way back.
    for interface in ["all", "default"] {
        left.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter=0"));
    }
    (left, right)
}

fn listen(host: &Namespace, folder: &Path, count: u16) -> Process {
    let f = folder.display();
    let words = format!(
        "tunnel listen --max-clients {count} --address 10.77.0.1/16 --json --ca {f}/ca.crt \
         --cert {f}/server.crt --key {f}/server.key"
    );
    let words: Vec<&str> = words.split_whitespace().collect();
    let listener = host.spawn(folder, "listen", RE6ST, &words);
    eventually("a listener", PATIENCE, || listener.printed().contains("listening").then_some(()));
    listener
}

/// What a process has used.
struct Usage {
    cpu: Duration,
    resident_kib: u64,
}

impl Usage {
    fn of(process: &Process) -> Self {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap();
        let stat = read("stat");
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime, in hundredths: the 14th and 15th of all.
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let status = read("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident_kib = resident.trim().trim_end_matches(" kB").trim().parse().unwrap();
        Self { cpu: Duration::from_millis(ticks * 10), resident_kib }
    }
}

/// Makes certificates for one key: that the key is the same is nothing to the server.
struct Issuer {
    ca: X509,
    ca_key: PKey<Private>,
    key: PKey<Private>,
}

impl Issuer {
    fn new(folder: &Path) -> Self {
        let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
        let ca = X509::from_pem(&read("ca.crt")).unwrap();
        let key = |file: &str| PKey::private_key_from_pem(&read(file)).unwrap();
        Self { ca, ca_key: key("ca.key"), key: key("server.key") }
    }

    fn credentials(&self, number: u16) -> Credentials {
        let mut builder = X509::builder().unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_nid(Nid::COMMONNAME, &format!("{number}/16")).unwrap();
        builder.set_subject_name(&subject.build()).unwrap();
        builder.set_issuer_name(self.ca.subject_name()).unwrap();
        let serial = BigNum::from_u32(u32::from(number) + 1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.set_pubkey(&self.key).unwrap();
        builder.sign(&self.ca_key, MessageDigest::sha256()).unwrap();
        let (ca, certificate) = (self.ca.to_pem().unwrap(), builder.build().to_pem().unwrap());
        let key = self.key.private_key_to_pem_pkcs8().unwrap();
        Credentials::from_pem(&ca, &certificate, &key).unwrap()
    }
}

/// Many clients and their clock.
struct Crowd {
    clock: Clock,
    clients: Vec<Client>,
}

impl Crowd {
    fn new(issuer: &Issuer, count: u16) -> Self {
        let mut crowd = Self { clock: Clock::start(), clients: Vec::new() };
        for number in 1..=count {
            crowd.add(issuer, number);
        }
        crowd
    }

    fn add(&mut self, issuer: &Issuer, number: u16) -> usize {
        self.clients.push(Client::new(number, &issuer.credentials(number), &self.clock));
        self.clients.len() - 1
    }

    /// Lets the clients live until something is so.
    fn run(&mut self, what: &str, until: impl Fn(&[Client]) -> bool) {
        let began = self.clock.now();
        let patience = Duration::from_secs(60 + self.clients.len() as u64 / 2);
        while !until(&self.clients) {
            let up = self.clients.iter().filter(|client| client.is_up()).count();
            assert!(self.clock.now() - began < patience, "not in time: {what}; {up} are up");
            self.turn();
        }
    }

    fn pass(&mut self, time: Duration) {
        let began = self.clock.now();
        while self.clock.now() - began < time {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut idle = true;
        for client in &mut self.clients {
            idle &= !client.turn(self.clock.now());
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Each asks for the server's address, as often as it takes: who was heard is counted.
    fn assert_all_answered(&mut self, round: u32) {
        let mut asked = Instant::ZERO;
        let began = self.clock.now();
        while self.clients.iter().any(|client| client.answers < round) {
            let now = self.clock.now();
            assert!(now - began < PATIENCE, "not everyone is answered");
            if asked == Instant::ZERO || now - asked > Duration::from_millis(500) {
                asked = now;
                let waiting = self.clients.iter_mut().filter(|client| client.answers < round);
                waiting.for_each(Client::ask);
            }
            self.turn();
        }
    }
}

/// One client: its core, its socket and its keys.
struct Client {
    number: u16,
    socket: UdpSocket,
    session: Session,
    sealer: Option<Box<Sealer>>,
    openers: Vec<Opener>,
    is_established: bool,
    answers: u32,
    over: Option<Reason>,
}

impl Client {
    fn new(number: u16, credentials: &Credentials, clock: &Clock) -> Self {
        let [high, low] = number.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(10, 9, 4 + high, low), 0)).unwrap();
        socket.connect("10.9.0.1:1194".parse::<SocketAddr>().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let context = TlsContext::new(credentials).unwrap();
        let random = Random::from_number(u64::from(number));
        let mut out = Vec::new();
        let session =
            Session::client(settings(clock), &context, random, clock.now(), &mut out).unwrap();
        let mut client = Self {
            number,
            socket,
            session,
            sealer: None,
            openers: Vec::new(),
            is_established: false,
            answers: 0,
            over: None,
        };
        client.perform(out);
        client
    }

    fn is_up(&self) -> bool {
        self.is_established && self.over.is_none()
    }

    /// Does what is due; whether there was anything.
    fn turn(&mut self, now: Instant) -> bool {
        let mut packet = [0; 2_000];
        let mut busy = false;
        while let Ok(length) = self.socket.recv(&mut packet) {
            busy = true;
            self.receive(&mut packet[..length], now);
        }
        if self.session.deadline().is_some_and(|due| due <= now) {
            busy = true;
            self.give(Input::Timer, now);
        }
        busy
    }

    fn receive(&mut self, packet: &mut [u8], now: Instant) {
        // P_DATA_V1 and P_DATA_V2.
        if !matches!(packet.first().map(|first| first >> 3), Some(6 | 9)) {
            return self.give(Input::Packet(packet), now);
        }
        let key_id = packet[0] & 7;
        let Some(opener) = self.openers.iter_mut().find(|o| o.key_id() == key_id) else { return };
        let Ok(frame) = opener.open(packet) else { return };
        let frame = frame.to_vec();
        self.give(Input::Heard(now), now);
        if let Some(probe) = Probe::parse(&frame) {
            self.give(Input::Probe(probe), now);
        } else if frame == EXIT {
            self.give(Input::PeerExit, now);
        } else if frame != PING && frame.get(12..22) == Some(&ANSWER) && frame[..6] == self.mac() {
            self.answers += 1;
        }
    }

    fn give(&mut self, input: Input<'_>, now: Instant) {
        let mut out = Vec::new();
        self.session.handle(input, now, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                // What the kernel does not take is lost, as on any network.
                Output::Send(packet) => drop(self.socket.send(&packet)),
                Output::Frame(frame) => self.send(&frame),
                Output::Opener(opener) => self.openers.push(*opener),
                Output::Sealer(sealer) => self.sealer = Some(sealer),
                Output::Forget(key_id) => self.openers.retain(|o| o.key_id() != key_id),
                Output::Established(_) => self.is_established = true,
                Output::Closed(reason) => self.over = Some(reason),
                _ => {}
            }
        }
    }

    fn send(&mut self, frame: &[u8]) {
        let Some(sealer) = &mut self.sealer else { return };
        let mut packet = [&vec![0; sealer.overhead()], frame].concat();
        sealer.seal(&mut packet).unwrap();
        let _ = self.socket.send(&packet);
    }

    fn mac(&self) -> [u8; 6] {
        let [high, low] = self.number.to_be_bytes();
        [2, 0, 0, 0, high, low]
    }

    /// Who has 10.77.0.1? (ARP, RFC 826)
    fn ask(&mut self) {
        let [high, low] = self.number.to_be_bytes();
        let mac = self.mac();
        let ours = [&mac[..], &[10, 77, 1 + high, low]].concat();
        let theirs = [0, 0, 0, 0, 0, 0, 10, 77, 0, 1];
        let frame = [&[0xff; 6][..], &mac, &QUESTION, &ours, &theirs].concat();
        self.send(&frame);
    }
}

/// From the type of the frame on: ARP about IPv4 over Ethernet, a request.
const QUESTION: [u8; 10] = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
/// The same, a reply.
const ANSWER: [u8; 10] = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];

fn settings(clock: &Clock) -> SessionSettings {
    SessionSettings {
        underlay: Underlay { transport: Transport::Udp, ipv6: false },
        device: Device::Tap,
        ciphers: Cipher::ENCRYPTING.to_vec(),
        expectation: Expectation { name: Some("0/16".into()), ..Expectation::default() },
        handshake_timeout: Duration::from_secs(300),
        ping_exit: Duration::from_secs(60),
        renegotiate_after: Duration::from_secs(3_600),
        ping: None,
        control: ControlProtection::None,
        unix_start: clock.unix_start(),
    }
}
