//! Two sessions of ours, client and server, over a network that loses, delays and repeats, in virtual time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::endpoint::Transport;
use crate::proto::random::Random;
use crate::proto::time::{Instant, UnixTime, earliest};
use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::cookie::{Cookies, Proven, Stranger};
use crate::proto::tunnel::data::{Opener, Sealer};
use crate::proto::tunnel::kind::{Device, Role, Underlay};
use crate::proto::tunnel::liveness::Probe;
use crate::proto::tunnel::pki::pki;
use crate::proto::tunnel::session::{
    Admission, EXIT, Established, Input, Output, Reason, Session, SessionSettings,
};
use crate::proto::tunnel::tls::{Expectation, TlsContext};

/// What an underlay does to packets.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    loss: f64,
    repeat: f64,
    delay: Duration,
    jitter: Duration,
}

pub(super) const FINE: Weather =
    Weather { loss: 0.0, repeat: 0.0, delay: Duration::from_millis(20), jitter: Duration::ZERO };

pub(super) const STORMY: Weather = Weather {
    loss: 0.2,
    repeat: 0.1,
    delay: Duration::from_millis(40),
    jitter: Duration::from_millis(60),
};

/// One end: its session, and what it did.
#[derive(Default)]
pub(super) struct End {
    pub(super) session: Option<Session>,
    sealer: Option<Box<Sealer>>,
    openers: Vec<Opener>,
    pub(super) established: Option<Established>,
    pub(super) rekeyed: u32,
    pub(super) closed: Option<Reason>,
    frames: Vec<Vec<u8>>,
    silent: u32,
    recovered: u32,
}

pub(super) struct World {
    now: Instant,
    weather: Weather,
    random: Random,
    pub(super) client: End,
    pub(super) server: End,
    pub(super) contexts: (TlsContext, TlsContext),
    pub(super) settings: (SessionSettings, SessionSettings),
    cookies: Cookies,
    acknowledged: Option<Proven>,
    in_flight: Vec<(Instant, Role, Vec<u8>)>,
    admit: bool,
    asked: bool,
    /// An octet's place, and every how manieth packet is damaged there.
    pub(super) damage: Option<(usize, usize)>,
    /// A packet, counted from the first, and the octet that is changed in it.
    pub(super) damage_once: Option<(usize, usize)>,
    pub(super) record: bool,
    pub(super) recorded: Vec<(Role, Vec<u8>)>,
    sent: usize,
}

fn settings(cipher: &[Cipher]) -> SessionSettings {
    SessionSettings {
        underlay: Underlay { transport: Transport::Udp, ipv6: false },
        device: Device::Tap,
        ciphers: cipher.to_vec(),
        expectation: Expectation::default(),
        handshake_timeout: Duration::from_secs(60),
        ping_exit: Duration::from_secs(60),
        renegotiate_after: Duration::from_secs(3_600),
        ping: None,
        control: ControlProtection::None,
        unix_start: START,
    }
}

/// When the clocks of both ends began: long after 1970.
const START: UnixTime = UnixTime::from_secs(1_700_000_000);

fn address() -> SocketAddr {
    "192.0.2.1:40000".parse().unwrap()
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather, ciphers: &[Cipher]) -> Self {
        let mut random = Random::from_number(seed);
        let pki = pki();
        Self {
            now: Instant::ZERO,
            weather,
            client: End::default(),
            server: End::default(),
            contexts: (TlsContext::new(&pki[0]).unwrap(), TlsContext::new(&pki[1]).unwrap()),
            settings: (settings(ciphers), settings(ciphers)),
            cookies: Cookies::new(ControlProtection::None, START, &mut random),
            acknowledged: None,
            random,
            in_flight: Vec::new(),
            admit: true,
            asked: false,
            damage: None,
            damage_once: None,
            record: false,
            recorded: Vec::new(),
            sent: 0,
        }
    }

    /// Protects the control channel: the client's way, and the server's.
    pub(super) fn protect(&mut self, client: &ControlProtection, server: &ControlProtection) {
        self.settings.0.control = client.clone();
        self.settings.1.control = server.clone();
        self.cookies = Cookies::new(server.clone(), START, &mut self.random);
    }

    pub(super) fn connect(&mut self) {
        let mut out = Vec::new();
        let (settings, random) = (self.settings.0.clone(), self.random.fork());
        let session = Session::client(settings, &self.contexts.0, random, self.now, &mut out);
        self.client.session = Some(session.unwrap());
        self.perform(Role::Client, out);
    }

    /// Lets `time` pass, event by event.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let ends = [&self.client, &self.server];
            let timer = ends.iter().filter_map(|e| e.session.as_ref()?.deadline()).min();
            let packet = self.in_flight.iter().map(|&(at, ..)| at).min();
            let Some(at) = earliest(timer, packet).filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        while let Some(next) = self.in_flight.iter().position(|&(at, ..)| at <= self.now) {
            let (_, to, packet) = self.in_flight.remove(next);
            self.arrive(to, &packet);
        }
        for role in [Role::Client, Role::Server] {
            let now = self.now;
            if let Some(session) = &self.end(role).session
                && session.deadline().is_some_and(|at| at <= now)
            {
                self.give(role, Input::Timer);
            }
        }
    }

    fn arrive(&mut self, to: Role, packet: &[u8]) {
        if to == Role::Server && self.server.session.is_none() {
            match self.cookies.judge(packet, address(), self.acknowledged.as_ref(), self.now) {
                Stranger::Asks(answer) => self.send(Role::Client, answer),
                Stranger::Acknowledges(client) => self.acknowledged = Some(*client),
                Stranger::Proven(proven) => {
                    let (settings, random) = (self.settings.1.clone(), self.random.fork());
                    let session =
                        Session::server(settings, &self.contexts.1, random, *proven, self.now);
                    self.server.session = Some(session.unwrap());
                    self.give(to, Input::Packet(packet));
                }
                Stranger::Noise => {}
            }
            return;
        }
        match Probe::parse(packet) {
            Some(probe) => self.give(to, Input::Probe(probe)),
            None => self.give(to, Input::Packet(packet)),
        }
    }

    pub(super) fn give(&mut self, role: Role, input: Input<'_>) {
        let (now, mut out) = (self.now, Vec::new());
        if let Some(session) = &mut self.end(role).session {
            session.handle(input, now, &mut out);
        }
        self.perform(role, out);
    }

    fn perform(&mut self, role: Role, out: Vec<Output>) {
        let to = if role == Role::Client { Role::Server } else { Role::Client };
        for output in out {
            let admit = self.admit;
            self.asked |= matches!(output, Output::Authenticated(_));
            let end = self.end(role);
            match output {
                Output::Send(packet) => self.send(to, packet),
                Output::Authenticated(_) if admit => {
                    let admission = Admission { peer_id: 5, external_ip: address().ip() };
                    self.give(role, Input::Admit(admission));
                }
                Output::Authenticated(_) => self.give(role, Input::Refuse("unwanted")),
                Output::Established(established) => end.established = Some(established),
                Output::Opener(opener) => end.openers.push(*opener),
                Output::Sealer(sealer) => end.sealer = Some(sealer),
                Output::Forget(key_id) => end.openers.retain(|o| o.key_id() != key_id),
                Output::Frame(frame) => self.frame(to, frame),
                Output::Silent => end.silent += 1,
                Output::Recovered => end.recovered += 1,
                Output::Rekeyed => end.rekeyed += 1,
                Output::Closed(reason) => end.closed = Some(reason),
            }
        }
    }

    /// Frames of the sessions themselves travel as if sealed.
    fn frame(&mut self, to: Role, frame: Vec<u8>) {
        if Probe::parse(&frame).is_some() {
            self.send(to, frame.clone());
        }
        let from = if to == Role::Client { Role::Server } else { Role::Client };
        self.end(from).frames.push(frame);
    }

    fn send(&mut self, to: Role, mut packet: Vec<u8>) {
        self.sent += 1;
        if self.record {
            self.recorded.push((to, packet.clone()));
        }
        if let Some((at, every)) = self.damage
            && self.sent.is_multiple_of(every)
        {
            let length = packet.len();
            packet[at % length] ^= 0x41;
        }
        if let Some((number, at)) = self.damage_once
            && self.sent == number + 1
            && let Some(octet) = packet.get_mut(at)
        {
            *octet ^= 0x41;
        }
        let copies = if self.random.fraction() < self.weather.repeat { 2 } else { 1 };
        for _ in 0..copies {
            if self.random.fraction() >= self.weather.loss {
                let jitter = self.random.between(Duration::ZERO, self.weather.jitter);
                self.in_flight.push((self.now + self.weather.delay + jitter, to, packet.clone()));
            }
        }
    }

    /// Whether a frame sealed now by one end is opened by the other.
    fn passes(&mut self, from: Role) -> bool {
        let Some(sealer) = &mut self.end(from).sealer else { return false };
        let mut packet = [&vec![0; sealer.overhead()], &b"frame"[..]].concat();
        sealer.seal(&mut packet).unwrap();
        let to = if from == Role::Client { Role::Server } else { Role::Client };
        let mut openers = self.end(to).openers.iter_mut();
        openers.any(|o| o.key_id() == packet[0] & 7 && o.open(&mut packet.clone()).is_ok())
    }

    pub(super) fn passes_both_ways(&mut self) -> bool {
        self.passes(Role::Client) && self.passes(Role::Server)
    }

    fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }
}

#[test]
fn both_ends_come_up_and_frames_pass() {
    for ciphers in [&[Cipher::Aes256Gcm][..], &[Cipher::None], &Cipher::ENCRYPTING] {
        let mut world = World::new(1, FINE, ciphers);
        world.connect();
        world.run(Duration::from_secs(1));
        let client = world.client.established.clone().unwrap();
        assert_eq!(client.peer.common_name, "0/16");
        assert_eq!(client.cipher, ciphers[0]);
        assert_eq!(client.external_ip, Some(address().ip()));
        let server = world.server.established.clone().unwrap();
        assert_eq!((server.peer.common_name.as_str(), server.peer.serial), ("1/16", Some(7)));
        assert!(world.passes_both_ways());
    }
}

#[test]
fn they_come_up_in_a_storm_whatever_the_seed() {
    for seed in 0..20 {
        let mut world = World::new(seed, STORMY, &[Cipher::Aes256Gcm]);
        world.connect();
        world.run(Duration::from_secs(60));
        assert!(world.client.established.is_some(), "seed {seed}: {:?}", world.client.closed);
        assert!(world.passes_both_ways(), "seed {seed}");
    }
}

#[test]
fn keys_are_renewed_in_a_storm_and_frames_pass_all_the_time() {
    let mut world = World::new(3, STORMY, &[Cipher::None]);
    world.settings.0.renegotiate_after = Duration::from_secs(100);
    world.settings.1.renegotiate_after = Duration::from_secs(100);
    world.connect();
    world.run(Duration::from_secs(60));
    for second in 0..1_000 {
        assert!(world.passes_both_ways(), "second {second}");
        let now = world.now;
        world.give(Role::Client, Input::Heard(now));
        world.give(Role::Server, Input::Heard(now));
        world.run(Duration::from_secs(1));
    }
    // The number of a key goes from 7 back to 1.
    assert!(world.client.rekeyed > 8, "{}", world.client.rekeyed);
    assert!(world.server.rekeyed.abs_diff(world.client.rekeyed) <= 1);
}

/// The old key opens what is still under way, for an hour; then nobody has it any more.
#[test]
fn an_old_key_opens_for_an_hour_after_the_change_and_no_longer() {
    let mut world = World::new(1, FINE, &[Cipher::Aes256Gcm]);
    for settings in [&mut world.settings.0, &mut world.settings.1] {
        settings.renegotiate_after = Duration::from_secs(86_400);
    }
    world.connect();
    world.run(Duration::from_secs(1));
    let old = world.client.sealer.take();
    world.give(Role::Client, Input::Renegotiate);
    world.run(Duration::from_secs(1));
    assert!(world.client.sealer.is_some() && world.client.rekeyed == 1);
    world.client.sealer = old;
    for (minutes, opens) in [(58, true), (3, false)] {
        world.run(Duration::from_secs(60 * minutes));
        assert_eq!(world.passes(Role::Client), opens, "{minutes} minutes later");
    }
    assert!(world.client.closed.is_none() && world.server.closed.is_none());
}

#[test]
fn credentials_that_were_renewed_are_shown_at_the_next_renewal_of_keys() {
    let mut world = World::new(4, FINE, &[Cipher::Aes256Gcm]);
    world.connect();
    world.run(Duration::from_secs(1));
    // Credentials of another authority, which the server does not believe: so one sees that they are shown.
    world.contexts.0.renew(&pki()[2]).unwrap();
    assert!(world.passes_both_ways());
    world.give(Role::Client, Input::Renegotiate);
    world.run(Duration::from_secs(2));
    let reason = world.client.closed.clone().unwrap().to_string();
    assert_eq!(reason, "the peer's certificate names our authority, but was not signed by it");
}

#[test]
fn both_may_renew_at_the_same_moment() {
    let mut world = World::new(4, FINE, &[Cipher::Aes256Gcm]);
    world.connect();
    world.run(Duration::from_secs(1));
    for round in 1..=10 {
        world.give(Role::Client, Input::Renegotiate);
        world.give(Role::Server, Input::Renegotiate);
        world.run(Duration::from_secs(2));
        assert_eq!((world.client.rekeyed, world.server.rekeyed), (round, round));
        assert!(world.passes_both_ways());
    }
}

#[test]
fn a_server_of_another_name_or_authority_hears_nothing_more() {
    let mut world = World::new(5, FINE, &[Cipher::Aes256Gcm]);
    world.settings.0.expectation.name = Some("2/16".into());
    world.connect();
    world.run(Duration::from_secs(1));
    let reason = world.client.closed.clone().unwrap().to_string();
    assert_eq!(reason, "the peer's certificate names 0/16, not 2/16");
    assert!(world.server.established.is_none() && world.server.closed.is_none());

    let mut world = World::new(5, FINE, &[Cipher::Aes256Gcm]);
    world.contexts.1 = TlsContext::new(&pki()[2]).unwrap();
    world.connect();
    world.run(Duration::from_secs(1));
    let reason = world.client.closed.clone().unwrap().to_string();
    assert_eq!(reason, "the peer's certificate names our authority, but was not signed by it");
}

#[test]
fn a_client_of_another_authority_or_revoked_is_told() {
    let mut world = World::new(6, FINE, &[Cipher::Aes256Gcm]);
    world.settings.1.expectation.revoked = Arc::new(BTreeSet::from([7]));
    world.connect();
    world.run(Duration::from_secs(1));
    let reason = world.server.closed.clone().unwrap().to_string();
    assert_eq!(reason, "the peer's certificate with serial number 7 was revoked");
    assert!(world.client.established.is_none());

    let mut world = World::new(6, FINE, &[Cipher::Aes256Gcm]);
    world.admit = false;
    world.connect();
    world.run(Duration::from_secs(1));
    assert_eq!(world.server.closed, Some(Reason::NotAdmitted("unwanted")));
    assert_eq!(world.client.closed, Some(Reason::Refused("unwanted".into())));
}

#[test]
fn without_a_cipher_in_common_both_ends_say_so() {
    let (gcm, chacha) = (vec![Cipher::Aes256Gcm], vec![Cipher::ChaCha20Poly1305]);
    let none = vec![Cipher::None];
    let plain = |ours: &[Cipher]| Disagreement::PeerIsPlain(ours.to_vec());
    let unlike = |ours: &[Cipher]| Disagreement::Cipher(ours.to_vec());
    for (client, server, client_says, server_says) in [
        (&gcm, &none, plain(&gcm), Disagreement::PeerEncrypts),
        (&none, &gcm, Disagreement::PeerEncrypts, plain(&gcm)),
        (&gcm, &chacha, unlike(&gcm), unlike(&chacha)),
    ] {
        let mut world = World::new(7, FINE, client);
        world.settings.1.ciphers.clone_from(server);
        world.connect();
        world.run(Duration::from_secs(1));
        assert_eq!(world.client.closed, Some(client_says.into()));
        assert_eq!(world.server.closed, Some(server_says.into()));
        assert!(!world.asked, "nobody is disturbed for a client that comes to nothing");
    }
}

#[test]
fn frames_and_packets_do_not_mix() {
    let mut world = World::new(7, FINE, &[Cipher::Aes256Gcm]);
    world.settings.0.device = Device::Tun;
    world.connect();
    world.run(Duration::from_secs(1));
    assert_eq!(world.client.closed, Some(Disagreement::Device(Device::Tap).into()));
    assert_eq!(world.server.closed, Some(Disagreement::Device(Device::Tun).into()));
}

#[test]
fn silence_ends_a_tunnel_and_a_handshake_without_an_answer() {
    let mut world = World::new(8, FINE, &[Cipher::Aes256Gcm]);
    world.connect();
    world.run(Duration::from_secs(120));
    assert_eq!((world.client.closed.as_ref(), world.client.silent), (None, 0));
    world.weather.loss = 1.0;
    world.run(Duration::from_secs(61));
    assert_eq!(world.client.silent, 1);
    assert_eq!(world.client.closed, Some(Reason::Silence(Duration::from_secs(60))));
    assert_eq!(world.server.closed, Some(Reason::Silence(Duration::from_secs(60))));

    let mut world = World::new(8, Weather { loss: 1.0, ..FINE }, &[Cipher::Aes256Gcm]);
    world.connect();
    world.run(Duration::from_secs(61));
    assert_eq!(world.client.closed, Some(Reason::Unanswered(Duration::from_secs(60))));
}

#[test]
fn who_leaves_says_so() {
    let mut world = World::new(9, FINE, &[Cipher::Aes256Gcm]);
    world.connect();
    world.run(Duration::from_secs(1));
    world.give(Role::Client, Input::Close);
    assert_eq!(world.client.closed, Some(Reason::Closed));
    assert!(world.client.frames.ends_with(&[EXIT.to_vec(), EXIT.to_vec()]));
    world.give(Role::Server, Input::PeerExit);
    assert_eq!(world.server.closed, Some(Reason::PeerExit));
}

#[test]
fn garbage_and_spoofed_packets_change_nothing() {
    let mut world = World::new(10, FINE, &[Cipher::Aes256Gcm]);
    world.connect();
    let mut random = Random::from_number(77);
    for _ in 0..200 {
        world.run(Duration::from_millis(5));
        let mut garbage = vec![0; random.below(64)];
        random.fill(&mut garbage);
        world.give(Role::Client, Input::Packet(&garbage));
        world.give(Role::Server, Input::Packet(&garbage));
        // The right opcode and key, but a session nobody has.
        for opcode in 3..9_u8 {
            let mut spoofed = vec![opcode << 3];
            spoofed.extend_from_slice(&[9; 8]);
            spoofed.extend_from_slice(&[0, 0, 0, 0, 1, 22, 3, 1]);
            world.give(Role::Client, Input::Packet(&spoofed));
            world.give(Role::Server, Input::Packet(&spoofed));
        }
    }
    assert!(world.client.established.is_some() && world.passes_both_ways());
}

/// Who knows the sessions' numbers but puts another one beside an acknowledgement changes nothing.
#[test]
fn an_acknowledgement_that_names_another_session_counts_for_nothing() {
    for (is_forged, repeats) in [(true, true), (false, false)] {
        let mut world = World::new(11, FINE, &[Cipher::Aes256Gcm]);
        world.record = true;
        world.connect();
        world.run(Duration::from_secs(1));
        let recorded = std::mem::take(&mut world.recorded);
        let number = |receiver: Role| {
            let (_, packet) = recorded.iter().find(|&&(to, _)| to == receiver).unwrap();
            packet[1..9].to_vec()
        };
        let (server, mut client) = (number(Role::Client), number(Role::Server));
        world.weather.loss = 1.0;
        world.give(Role::Client, Input::Renegotiate);
        world.recorded.clear();
        client[7] ^= u8::from(is_forged);
        // P_ACK_V1 under key 1, of packet 0.
        let ack = [&[5 << 3 | 1][..], &server, &[1, 0, 0, 0, 0], &client].concat();
        world.give(Role::Client, Input::Packet(&ack));
        world.run(Duration::from_secs(2));
        let is_reset = |(_, packet): &(Role, Vec<u8>)| packet[0] == 3 << 3 | 1;
        assert_eq!(world.recorded.iter().any(is_reset), repeats, "forged: {is_forged}");
    }
}
