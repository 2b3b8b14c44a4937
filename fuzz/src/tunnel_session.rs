//! A tunnel's control channel: client and server, and a network that does what it likes to packets.

use std::sync::OnceLock;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509NameBuilder};
use re6st::proto::endpoint::Transport;
use re6st::proto::random::Random;
use re6st::proto::time::{Instant, UnixTime};
use re6st::proto::tunnel::cipher::Cipher;
use re6st::proto::tunnel::control_keys::ControlProtection;
use re6st::proto::tunnel::cookie::Proven;
use re6st::proto::tunnel::credentials::Credentials;
use re6st::proto::tunnel::kind::{Device, Underlay};
use re6st::proto::tunnel::liveness::Probe;
use re6st::proto::tunnel::session::{Admission, Input, Output, Session, SessionSettings};
use re6st::proto::tunnel::tls::{Expectation, TlsContext};

use super::choices::Choices;

/// Two sessions; packets between them arrive, get lost, come twice, late, changed, or from nowhere.
///
/// What must hold: nothing panics, time is used up, and nothing is said after the end.
pub fn tunnel_session(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let Some(mut world) = World::new() else { return };
    for _ in 0..STEPS {
        if choices.is_empty() {
            break;
        }
        world.next(&mut choices);
    }
    world.pass(Duration::from_secs(200));
}

/// Things that happen in one run, and renewals of the keys among them, each a whole handshake: more of them
/// would show nothing else, and make runs few.
const STEPS: usize = 100;
const RENEWALS: u32 = 3;

struct World {
    renewals: u32,
    ends: [Option<Session>; 2],
    over: [bool; 2],
    now: Instant,
    /// On their way, with the end they are for.
    flying: Vec<(usize, Vec<u8>)>,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl World {
    fn new() -> Option<Self> {
        let [ours, theirs] = contexts();
        let (now, mut out) = (Instant::ZERO, Vec::new());
        let (random, other) = (Random::from_number(1), Random::from_number(2));
        let client = Session::client(settings(), ours, random, now, &mut out).ok()?;
        let Some(Output::Send(reset)) = out.first() else { return None };
        // The server's first answer is not the session's: it begins as if that had been exchanged.
        let remote = u64::from_be_bytes(reset[1..9].try_into().ok()?);
        let proven = Proven { local: 9, remote, keys: None, answered: true };
        let server = Session::server(settings(), theirs, other, proven, now).ok()?;
        let answer = answer_to_reset(remote);
        let ends = [Some(client), Some(server)];
        Some(Self { renewals: 0, ends, over: [false; 2], now, flying: vec![(CLIENT, answer)] })
    }

    fn next(&mut self, choices: &mut Choices<'_>) {
        let end = usize::from(choices.below(2));
        match choices.below(16) {
            0 => self.handle(end, Input::Packet(choices.octets())),
            1 => self.corrupt(choices),
            2 => drop(self.take(choices)),
            3 => {
                if let Some(packet) = self.take(choices) {
                    self.flying.push(packet.clone());
                    self.flying.push(packet);
                }
            }
            4 => self.pass(choices.time()),
            5 => self.handle(end, Input::Heard(self.now)),
            6 => self.handle(end, Input::IntoSilence),
            7 if self.renewals < RENEWALS => {
                self.renewals += 1;
                self.handle(end, Input::Renegotiate);
            }
            8 => match choices.below(4) {
                0 => self.handle(end, Input::PeerExit),
                1 => self.handle(end, Input::Close),
                2 => self.handle(SERVER, Input::Refuse("refused")),
                _ => self.admit(),
            },
            9 => {
                if let Some(probe) = Probe::parse(choices.octets()) {
                    self.handle(end, Input::Probe(probe));
                }
            }
            _ => {
                // In order, as on a good day: that is how the handshake gets on.
                for _ in 0..8 {
                    if self.flying.is_empty() {
                        break;
                    }
                    let (to, packet) = self.flying.remove(0);
                    self.handle(to, Input::Packet(&packet));
                }
            }
        }
        self.flying.truncate(256);
    }

    fn take(&mut self, choices: &mut Choices<'_>) -> Option<(usize, Vec<u8>)> {
        let at = usize::from(choices.u8()) % self.flying.len().max(1);
        (at < self.flying.len()).then(|| self.flying.remove(at))
    }

    fn corrupt(&mut self, choices: &mut Choices<'_>) {
        let Some((to, mut packet)) = self.take(choices) else { return };
        let at = usize::from(choices.u16()) % packet.len().max(1);
        if let Some(octet) = packet.get_mut(at) {
            *octet ^= choices.u8();
        }
        if choices.flip() {
            packet.truncate(at);
        }
        self.handle(to, Input::Packet(&packet));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for end in [CLIENT, SERVER] {
            for turn in 0.. {
                let deadline = self.ends[end].as_ref().and_then(Session::deadline);
                if deadline.is_none_or(|due| due > self.now) {
                    break;
                }
                assert!(
                    turn < 100,
                    "end {end} at {:?}: the deadline stays at {deadline:?}",
                    self.now
                );
                self.handle(end, Input::Timer);
            }
        }
    }

    fn admit(&mut self) {
        let admission = Admission { peer_id: 5, external_ip: [192, 0, 2, 1].into() };
        self.handle(SERVER, Input::Admit(admission));
    }

    fn handle(&mut self, end: usize, input: Input<'_>) {
        let mut out = Vec::new();
        if let Some(session) = &mut self.ends[end] {
            session.handle(input, self.now, &mut out);
        }
        assert!(out.is_empty() || !self.over[end], "something is said after the end");
        let mut admit = false;
        for output in out {
            match output {
                Output::Send(packet) => self.flying.push((1 - end, packet)),
                Output::Authenticated(_) => admit = true,
                Output::Closed(reason) => {
                    let _ = reason.to_string();
                    self.over[end] = true;
                }
                _ => {}
            }
        }
        if admit {
            self.admit();
        }
    }
}

/// What a server says to a client's reset, from its session 9.
fn answer_to_reset(remote: u64) -> Vec<u8> {
    let mut packet = vec![0x40];
    packet.extend_from_slice(&9_u64.to_be_bytes());
    packet.extend_from_slice(&[1, 0, 0, 0, 0]);
    packet.extend_from_slice(&remote.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet
}

fn settings() -> SessionSettings {
    SessionSettings {
        underlay: Underlay { transport: Transport::Udp, ipv6: false },
        device: Device::Tap,
        ciphers: vec![Cipher::Aes256Gcm],
        expectation: Expectation::default(),
        handshake_timeout: Duration::from_secs(60),
        ping_exit: Duration::from_secs(60),
        renegotiate_after: Duration::from_secs(3_600),
        ping: None,
        control: ControlProtection::None,
        unix_start: UnixTime::default(),
    }
}

/// The client's and the server's, made once.
fn contexts() -> &'static [TlsContext; 2] {
    static CONTEXTS: OnceLock<[TlsContext; 2]> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        let authority = Issued::new("test", 1, None);
        [("1/16", 2), ("0/16", 3)].map(|(name, number)| {
            let issued = Issued::new(name, number, Some(&authority));
            TlsContext::new(&issued.credentials(&authority)).expect("a context")
        })
    })
}

/// A key and its certificate: Ed25519, of which a handshake costs a tenth of RSA's, and whose signatures have
/// one length, so that one input always goes one way.
struct Issued {
    key: PKey<Private>,
    certificate: X509,
}

impl Issued {
    fn new(name: &str, number: u8, authority: Option<&Self>) -> Self {
        Self::try_new(name, number, authority).expect("OpenSSL makes certificates")
    }

    fn try_new(name: &str, number: u8, authority: Option<&Self>) -> Result<Self, ErrorStack> {
        let key = PKey::private_key_from_raw_bytes(&[number; 32], Id::ED25519)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
        let subject = subject.build();
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let number = BigNum::from_u32(number.into())?.to_asn1_integer()?;
        builder.set_serial_number(&number)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(authority.map_or(&subject, |it| it.certificate.subject_name()))?;
        builder.set_not_before(Asn1Time::from_unix(0)?.as_ref())?;
        builder.set_not_after(Asn1Time::from_unix(4_000_000_000)?.as_ref())?;
        builder.set_pubkey(&key)?;
        if authority.is_none() {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        }
        builder.sign(authority.map_or(&key, |it| &it.key), MessageDigest::null())?;
        Ok(Self { certificate: builder.build(), key })
    }

    fn credentials(&self, authority: &Self) -> Credentials {
        let pem = |certificate: &X509| certificate.to_pem().expect("PEM");
        let key = self.key.private_key_to_pem_pkcs8().expect("PEM");
        Credentials::from_pem(&pem(&authority.certificate), &pem(&self.certificate), &key)
            .expect("what was made here fits")
    }
}
