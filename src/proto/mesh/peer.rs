//! Sessions with other nodes: who knows whose certificate, which secret, which number comes next.
//!
//! ```text
//!  A ── 0 certificate ─────────────▶ B     A has something to say, and no session
//!  A ◀───────── 1 certificate ────── B     … which names A's: B knows it now
//!  A ── 2 secret ──────────────────▶ B     the greater secret wins if both propose one
//!  A ◀───────── 3 network version ── B
//!  A ── 3 what it had to say ──────▶ B
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::proto::certificate::{Certificate, Identity};
use crate::proto::limits;
use crate::proto::mesh::datagram::{Datagram, Secret};
use crate::proto::prefix::Prefix;
use crate::proto::random::Random;
use crate::proto::rate_limit::{Bucket, SourceLimit};
use crate::proto::time::{Instant, UnixTime};

/// Sessions with all peers.
pub struct Sessions {
    identity: Identity,
    own_der: Vec<u8>,
    own_fingerprint: [u8; 20],
    /// Calendar time when the monotonic clock read zero.
    epoch: UnixTime,
    /// What secrets must exceed: made at the start, so that a recording cannot be replayed.
    first_secret: Secret,
    revoked: BTreeSet<u64>,
    peers: BTreeMap<Prefix, Peer>,
    /// Certificates that are verified, by whom they come from.
    certificates: SourceLimit<Prefix>,
    /// Private-key operations, by whom they are for, and in all.
    handshakes: SourceLimit<Prefix>,
    all_handshakes: Bucket,
    random: Random,
}

/// One datagram to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where.
    pub to: Ipv6Addr,
    /// What.
    pub octets: Vec<u8>,
}

/// What a datagram turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing for anybody else.
    Nothing,
    /// The peer proposed a session and has it: it expects our network version.
    Established(Prefix),
    /// A message, empty if it only acknowledges.
    Message(Prefix, Vec<u8>),
}

struct Peer {
    certificate: Option<Known>,
    secret: Secret,
    sent: u32,
    received: u32,
    protocol: u64,
    contact: Contact,
    last_heard: Instant,
    greetings: u32,
    /// No handshake of ours before.
    greet_after: Instant,
    /// No answer to a handshake of the peer's before.
    answer_after: Instant,
    waiting: VecDeque<(Instant, Vec<u8>)>,
}

struct Known {
    certificate: Certificate,
    fingerprint: [u8; 20],
}

/// Whether a session is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contact {
    /// None agreed on.
    None,
    /// All we sent was answered.
    Answered,
    /// The first thing sent since the last answer.
    Unanswered(Instant),
}

impl Sessions {
    /// No sessions yet. `epoch` is the calendar time at [`Instant::ZERO`].
    pub fn new(identity: Identity, epoch: UnixTime, now: Instant, mut random: Random) -> Self {
        let own_der = identity.certificate.to_der().unwrap_or_default();
        let own_fingerprint = identity.certificate.sha1().unwrap_or_default();
        let first_secret = draw_secret(epoch + now.since_start(), &mut random);
        Self {
            identity,
            own_der,
            own_fingerprint,
            epoch,
            first_secret,
            revoked: BTreeSet::new(),
            peers: BTreeMap::new(),
            certificates: SourceLimit::new(
                limits::MESH_CERTIFICATES_PER_PEER,
                limits::MESH_SESSIONS_MAX,
            ),
            handshakes: SourceLimit::new(
                limits::MESH_HANDSHAKES_PER_PEER,
                limits::MESH_SESSIONS_MAX,
            ),
            all_handshakes: Bucket::default(),
            random,
        }
    }

    /// Who we are.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes a renewed certificate; sessions stay.
    pub fn set_identity(&mut self, identity: Identity) {
        self.own_der = identity.certificate.to_der().unwrap_or_default();
        self.own_fingerprint = identity.certificate.sha1().unwrap_or_default();
        self.identity = identity;
    }

    /// The calendar time at [`Instant::ZERO`] by the clock of now. If the clock was set, secrets must exceed
    /// what it says now: one of a future that never came would keep every peer out.
    pub fn set_epoch(&mut self, epoch: UnixTime, now: Instant) {
        let (old, new) = (self.epoch.since_1970(), epoch.since_1970());
        self.epoch = epoch;
        if old.abs_diff(new) < CLOCK_SET {
            return;
        }
        self.first_secret = draw_secret(epoch + now.since_start(), &mut self.random);
        for peer in self.peers.values_mut().filter(|peer| !peer.is_connected(now)) {
            peer.secret = self.first_secret;
        }
    }

    /// Whether a prefix is not a node's own, but inside one that a verified certificate names.
    pub fn is_part_of_another(&self, prefix: Prefix) -> bool {
        let own = self.identity.prefix;
        (own != prefix && own.covers(prefix))
            || self.verified_above(prefix).is_some_and(|whole| whole != prefix)
    }

    /// The peer with a verified certificate whose prefix covers this one.
    fn verified_above(&self, prefix: Prefix) -> Option<Prefix> {
        (1..=prefix.length())
            .rev()
            .map(|length| prefix.truncated(length))
            .find(|whole| self.peers.get(whole).is_some_and(|peer| peer.certificate.is_some()))
    }

    /// Ends the sessions of those whose certificate is listed.
    pub fn set_revoked(&mut self, revoked: BTreeSet<u64>) {
        self.peers.retain(|_, peer| {
            let serial = peer.certificate.as_ref().and_then(|known| known.certificate.serial());
            serial.is_none_or(|serial| !revoked.contains(&serial))
        });
        self.revoked = revoked;
    }

    /// What the peer speaks; 0 if that is not known.
    pub fn protocol_of(&self, prefix: Prefix) -> u64 {
        self.peers.get(&prefix).map_or(0, |peer| peer.protocol)
    }

    /// Whether a session with `prefix` is alive.
    pub fn is_connected(&self, prefix: Prefix, now: Instant) -> bool {
        self.peers.get(&prefix).is_some_and(|peer| peer.is_connected(now))
    }

    /// Says `message` to a peer, after a handshake if there is no session.
    pub fn send(
        &mut self,
        prefix: Prefix,
        message: Vec<u8>,
        now: Instant,
        out: &mut Vec<Transmit>,
    ) {
        let Some(to) = self.identity.authority.network().first_address(prefix) else { return };
        if self.is_part_of_another(prefix) {
            return;
        }
        let peer = self.peer(prefix, now);
        if peer.is_connected(now) {
            out.push(Transmit { to, octets: peer.seal(&message, now) });
            if !peer.is_doubtful(now) {
                return;
            }
        } else {
            if peer.waiting.len() >= limits::MESH_WAITING_MAX {
                peer.waiting.pop_front();
            }
            peer.waiting.push_back((now, message));
        }
        self.greet(prefix, now, out);
    }

    /// Answers what came from `to`; only sent while the session is the one it came in.
    pub fn answer(
        &mut self,
        prefix: Prefix,
        to: Ipv6Addr,
        message: &[u8],
        now: Instant,
        out: &mut Vec<Transmit>,
    ) {
        if let Some(peer) = self.peers.get_mut(&prefix).filter(|peer| peer.is_connected(now)) {
            out.push(Transmit { to, octets: peer.seal(message, now) });
        }
    }

    /// Takes a datagram that came from `from` over the network.
    pub fn receive(
        &mut self,
        from: Ipv6Addr,
        octets: &[u8],
        now: Instant,
        out: &mut Vec<Transmit>,
    ) -> Heard {
        match Datagram::parse(octets) {
            Ok(Datagram::Introduction { der }) => self.introduced(from, der, None, now, out),
            Ok(Datagram::Recognition { protocol, fingerprint, der }) => {
                self.introduced(from, der, Some((protocol, fingerprint)), now, out)
            }
            Ok(Datagram::Proposal { protocol, cipher, signature }) => {
                self.proposed(from, protocol, cipher, signature, now)
            }
            Ok(Datagram::Sealed { seqno }) => self.opened(from, seqno, octets, now, out),
            Err(_) => Heard::Nothing,
        }
    }

    /// When [`Sessions::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.peers.values().filter(|p| !p.waiting.is_empty()).map(|p| p.greet_after).min()
    }

    /// Repeats handshakes that were not answered, and forgets what waited too long for one.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Transmit>) {
        self.peers.retain(|_, peer| {
            peer.certificate.is_some()
                || !peer.waiting.is_empty()
                || now.since(peer.last_heard) < limits::MESH_UNVERIFIED_LASTS
        });
        let mut due = Vec::new();
        for (prefix, peer) in &mut self.peers {
            peer.waiting.retain(|(since, _)| now.since(*since) < PATIENCE);
            if !peer.waiting.is_empty() && peer.greet_after <= now {
                due.push(*prefix);
            }
        }
        for prefix in due {
            self.greet(prefix, now, out);
        }
    }

    /// Begins a handshake, unless one was begun a moment ago.
    fn greet(&mut self, prefix: Prefix, now: Instant, out: &mut Vec<Transmit>) {
        let Some(to) = self.identity.authority.network().first_address(prefix) else { return };
        let Some(peer) = self.peers.get_mut(&prefix) else { return };
        if now < peer.greet_after {
            return;
        }
        // Stock peers answer one in 60 s, and repeat one in 60 s: quicker repetitions only mend losses.
        peer.greet_after = now + (REPEAT * (1 << peer.greetings.min(8))).min(PATIENCE);
        peer.greetings += 1;
        let octets = peer.greeting(&self.own_der);
        out.push(Transmit { to, octets });
    }

    /// A 0 or a 1: the peer's certificate, perhaps with the fingerprint of one of ours.
    fn introduced(
        &mut self,
        from: Ipv6Addr,
        der: &[u8],
        recognised: Option<(u64, [u8; 20])>,
        now: Instant,
        out: &mut Vec<Transmit>,
    ) -> Heard {
        // A signature is checked, and another one made: a member must not keep us busy with either.
        let Some(source) = self.source(from) else { return Heard::Nothing };
        if !self.certificates.take(source, now) {
            return Heard::Nothing;
        }
        let Some((prefix, known)) = self.verify(from, der, now) else { return Heard::Nothing };
        // Whatever was thought to be a node's within this prefix, or around it, was none.
        self.peers.retain(|other, peer| {
            peer.certificate.is_some()
                || *other == prefix
                || !(prefix.covers(*other) || other.covers(prefix))
        });
        let ours = self.own_fingerprint;
        let is_ours = recognised.is_some_and(|(_, fingerprint)| fingerprint == ours);
        if is_ours && !self.may_use_key(prefix, now) {
            return Heard::Nothing;
        }
        let secret = draw_secret(self.epoch + now.since_start(), &mut self.random);
        let peer = self.peer(prefix, now);
        match recognised {
            Some((protocol, fingerprint)) if fingerprint == ours => {
                peer.protocol = protocol;
                let proposal = propose(&self.identity, &known, &secret);
                let peer = self.peer(prefix, now);
                peer.certificate = Some(known);
                if let Some(octets) = proposal {
                    peer.begin(secret, Contact::None, now);
                    out.push(Transmit { to: from, octets });
                }
            }
            _ => {
                peer.certificate = Some(known);
                if now >= peer.answer_after {
                    peer.answer_after = now + ANSWER_INTERVAL;
                    let octets = self.peers[&prefix].greeting(&self.own_der);
                    out.push(Transmit { to: from, octets });
                }
            }
        }
        Heard::Nothing
    }

    /// A 2: a new secret, if it is greater than the one we hold.
    fn proposed(
        &mut self,
        from: Ipv6Addr,
        protocol: u64,
        cipher: &[u8],
        signature: &[u8],
        now: Instant,
    ) -> Heard {
        let Some(prefix) = self.owner(from) else { return Heard::Nothing };
        let Some(peer) = self.peers.get_mut(&prefix) else { return Heard::Nothing };
        let Some(known) = &peer.certificate else { return Heard::Nothing };
        if known.certificate.verify(cipher, signature).is_err() || !self.may_use_key(prefix, now) {
            return Heard::Nothing;
        }
        let Some(peer) = self.peers.get_mut(&prefix) else { return Heard::Nothing };
        let Ok(secret) = self.identity.key.decrypt_secret(cipher) else { return Heard::Nothing };
        // One that was not well padded is zero, and takes this way as one that is too old does.
        if secret <= peer.secret || secret >= SECRETS_END {
            return Heard::Nothing;
        }
        peer.protocol = protocol;
        peer.begin(secret, Contact::Answered, now);
        // The network version goes first (the caller sends it), then what waited.
        Heard::Established(prefix)
    }

    /// Sends what waited for a session.
    pub fn flush(&mut self, prefix: Prefix, now: Instant, out: &mut Vec<Transmit>) {
        let Some(to) = self.identity.authority.network().first_address(prefix) else { return };
        let Some(peer) = self.peers.get_mut(&prefix).filter(|peer| peer.is_connected(now)) else {
            return;
        };
        while let Some((_, message)) = peer.waiting.pop_front() {
            out.push(Transmit { to, octets: peer.seal(&message, now) });
        }
    }

    /// A message, if its seal fits and its number is new.
    fn opened(
        &mut self,
        from: Ipv6Addr,
        seqno: u32,
        octets: &[u8],
        now: Instant,
        out: &mut Vec<Transmit>,
    ) -> Heard {
        let Some(prefix) = self.owner(from) else { return Heard::Nothing };
        let Some(peer) = self.peers.get_mut(&prefix) else { return Heard::Nothing };
        let Some(message) = Datagram::open(&peer.secret, octets) else {
            // One of us was restarted. Stock waits a minute; a handshake mends it at once.
            if !peer.is_connected(now) {
                self.greet(prefix, now, out);
            }
            return Heard::Nothing;
        };
        if seqno <= peer.received {
            return Heard::Nothing;
        }
        peer.received = seqno;
        peer.contact = Contact::Answered;
        peer.last_heard = now;
        peer.greetings = 0;
        Heard::Message(prefix, message.to_vec())
    }

    /// The peer that `from` belongs to, if we know a certificate of it.
    fn owner(&self, from: Ipv6Addr) -> Option<Prefix> {
        let network = self.identity.authority.network();
        if !network.contains(from) {
            return None;
        }
        // Only a verified certificate makes an address somebody's: a prefix that is merely routed does not.
        self.verified_above(network.prefix_at(from, 128 - network.cidr().length()))
    }

    /// Whom a datagram is counted against before its certificate is verified: the part of the network that
    /// is as large as our own prefix.
    fn source(&self, from: Ipv6Addr) -> Option<Prefix> {
        let network = self.identity.authority.network();
        let length = self.identity.prefix.length();
        network.contains(from).then(|| network.prefix_at(from, length))
    }

    /// Whether a private-key operation for a peer is within the rates.
    fn may_use_key(&mut self, peer: Prefix, now: Instant) -> bool {
        self.handshakes.take(peer, now) && self.all_handshakes.take(limits::MESH_HANDSHAKES, now)
    }

    /// Checks a certificate, and that its owner may speak from that address.
    fn verify(&self, from: Ipv6Addr, der: &[u8], now: Instant) -> Option<(Prefix, Known)> {
        let certificate = Certificate::from_der(der).ok()?;
        let at = self.epoch + now.since_start();
        let prefix = self.identity.authority.verify(&certificate, at).ok()?;
        let subnet = self.identity.authority.network().subnet(prefix)?;
        let revoked = certificate.serial().is_some_and(|serial| self.revoked.contains(&serial));
        if !subnet.contains(from.into()) || revoked || prefix == self.identity.prefix {
            return None;
        }
        let fingerprint = certificate.sha1().ok()?;
        Some((prefix, Known { certificate, fingerprint }))
    }

    fn peer(&mut self, prefix: Prefix, now: Instant) -> &mut Peer {
        if !self.peers.contains_key(&prefix) && self.peers.len() >= limits::MESH_SESSIONS_MAX {
            let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.last_heard);
            if let Some(oldest) = oldest.map(|(&prefix, _)| prefix) {
                self.peers.remove(&oldest);
            }
        }
        let secret = self.first_secret;
        self.peers.entry(prefix).or_insert_with(|| Peer {
            certificate: None,
            secret,
            sent: 2,
            received: 2,
            protocol: 0,
            contact: Contact::None,
            last_heard: now,
            greetings: 0,
            greet_after: now,
            answer_after: now,
            waiting: VecDeque::new(),
        })
    }
}

impl Peer {
    fn is_connected(&self, now: Instant) -> bool {
        match self.contact {
            Contact::None => false,
            Contact::Answered => true,
            Contact::Unanswered(since) => now.since(since) < PATIENCE,
        }
    }

    /// Unanswered for so long that the peer may have lost the session.
    fn is_doubtful(&self, now: Instant) -> bool {
        matches!(self.contact, Contact::Unanswered(since) if now.since(since) > DOUBT)
    }

    fn begin(&mut self, secret: Secret, contact: Contact, now: Instant) {
        self.secret = secret;
        self.sent = 2;
        self.received = 2;
        self.contact = contact;
        self.last_heard = now;
        self.greetings = 0;
    }

    fn seal(&mut self, message: &[u8], now: Instant) -> Vec<u8> {
        // A session would last four billion messages; then a handshake starts another one.
        self.sent = self.sent.saturating_add(1);
        if self.contact == Contact::Answered && !message.is_empty() {
            self.contact = Contact::Unanswered(now);
        }
        Datagram::seal(&self.secret, self.sent, message)
    }

    fn greeting(&self, own_der: &[u8]) -> Vec<u8> {
        match &self.certificate {
            Some(known) => Datagram::recognition(&known.fingerprint, own_der),
            None => Datagram::introduction(own_der),
        }
    }
}

/// A handshake 2; `None` if the peer's key cannot take the secret.
fn propose(identity: &Identity, to: &Known, secret: &Secret) -> Option<Vec<u8>> {
    let cipher = to.certificate.encrypt(secret).ok()?;
    let signature = identity.key.sign(&cipher).ok()?;
    Some(Datagram::proposal(&cipher, &signature))
}

/// Microseconds since 1970, so that a later one is greater, then twelve octets nobody can guess.
fn draw_secret(at: UnixTime, random: &mut Random) -> Secret {
    let mut secret = [0; 20];
    secret[..8].copy_from_slice(&at.as_micros().to_be_bytes());
    random.fill(&mut secret[8..]);
    secret
}

/// A clock that is this far from where it was has been set.
const CLOCK_SET: Duration = Duration::from_secs(60);

/// No clock shows that: 2112. A peer whose clock did could not replace its secret when it is mended, and
/// ciphers that somebody tries out are hardly ever good by chance.
const SECRETS_END: Secret = {
    let mut end = [0; 20];
    end[1] = 0x10;
    end
};

/// How long a session lasts without an answer, and a message waits for a session.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an unanswered message makes us doubt a session.
const DOUBT: Duration = Duration::from_secs(4);
/// After which a handshake without answer is repeated; doubled each time.
const REPEAT: Duration = Duration::from_secs(1);
/// One answer to a peer's handshake in so long.
const ANSWER_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mesh::vectors;

    /// When the captured certificates were valid.
    const EPOCH: UnixTime = UnixTime::from_secs(1_795_342_400);

    fn node(name: &str, epoch: UnixTime) -> Sessions {
        let identity = vectors::identity(name);
        let random = Random::from_number(identity.certificate.serial().unwrap());
        Sessions::new(identity, epoch, Instant::ZERO, random)
    }

    fn prefix(name: &str) -> Prefix {
        name.parse().unwrap()
    }

    fn address(sessions: &Sessions) -> Ipv6Addr {
        let identity = sessions.identity();
        identity.authority.network().node_address(identity.prefix).unwrap()
    }

    /// Carries datagrams between two nodes until none is left; what each heard.
    fn converse(a: &mut Sessions, b: &mut Sessions, to_b: Vec<Transmit>) -> Vec<Heard> {
        converse_at(1, a, b, to_b)
    }

    fn converse_at(
        second: u64,
        a: &mut Sessions,
        b: &mut Sessions,
        mut to_b: Vec<Transmit>,
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut to_a = Vec::new();
        let now = Instant::ZERO + Duration::from_secs(second);
        for _ in 0..10 {
            let (from_a, from_b) = (address(a), address(b));
            for packet in std::mem::take(&mut to_b) {
                heard.push(hear(b, from_a, &packet.octets, now, &mut to_a));
            }
            for packet in std::mem::take(&mut to_a) {
                heard.push(hear(a, from_b, &packet.octets, now, &mut to_b));
            }
        }
        heard.retain(|heard| *heard != Heard::Nothing);
        heard
    }

    /// What a node does with a datagram.
    fn hear(
        node: &mut Sessions,
        from: Ipv6Addr,
        octets: &[u8],
        now: Instant,
        out: &mut Vec<Transmit>,
    ) -> Heard {
        let heard = node.receive(from, octets, now, out);
        match heard {
            Heard::Established(peer) => {
                node.answer(peer, from, b"\0version", now, out);
                node.flush(peer, now, out);
            }
            Heard::Message(peer, _) => node.flush(peer, now, out),
            Heard::Nothing => {}
        }
        heard
    }

    #[test]
    fn what_is_said_without_a_session_arrives_after_a_handshake() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        assert_eq!(out[0].to, "2001:db8:42:2::".parse::<Ipv6Addr>().unwrap());
        let heard = converse(&mut a, &mut b, out);
        let expected = [
            Heard::Established(prefix("1/16")),
            Heard::Message(prefix("2/16"), b"\0version".to_vec()),
            Heard::Message(prefix("1/16"), b"\x01".to_vec()),
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn crossing_handshakes_end_in_one_session() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
        a.send(prefix("2/16"), b"\x01a".to_vec(), Instant::ZERO, &mut from_a);
        b.send(prefix("1/16"), b"\x01b".to_vec(), Instant::ZERO, &mut from_b);
        for packet in from_b {
            a.receive(address(&b), &packet.octets, Instant::ZERO, &mut from_a);
        }
        let heard = converse(&mut a, &mut b, from_a);
        let messages = heard.iter().filter(|h| matches!(h, Heard::Message(_, m) if m[0] == 1));
        assert_eq!(messages.count(), 2, "{heard:?}");
        assert!(a.is_connected(prefix("2/16"), Instant::ZERO));
        assert_eq!(a.peers[&prefix("2/16")].secret, b.peers[&prefix("1/16")].secret);
    }

    #[test]
    fn a_secret_from_before_our_start_is_refused() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH + Duration::from_secs(9)));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        assert_eq!(converse(&mut a, &mut b, out), []);
    }

    /// Goal: a member that tries ciphers on another learns nothing: what was sent to a third one, what is
    /// not padded, and a secret that is too old or of no age are all answered alike, by silence.
    #[test]
    fn a_secret_that_is_no_good_is_met_by_silence_whatever_is_wrong_with_it() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        converse(&mut a, &mut b, out);
        let (from, established) = (address(&a), b.peers[&prefix("1/16")].secret);
        let to_b = vectors::identity("h2").certificate;
        let mut old = established;
        old[19] = old[19].wrapping_sub(1);
        old[0] = 0;
        old[7] = old[7].wrapping_sub(1);
        let mut later = established;
        later[6] = later[6].wrapping_add(2);
        let ciphers = [
            ("of no age", to_b.encrypt(&[0xff; 20]).unwrap()),
            ("too old", to_b.encrypt(&old).unwrap()),
            ("the same", to_b.encrypt(&established).unwrap()),
            ("too short", to_b.encrypt(&later[..19]).unwrap()),
            ("empty", to_b.encrypt(&[]).unwrap()),
            ("for another", vectors::identity("h3").certificate.encrypt(&later).unwrap()),
            ("not padded", vec![1; 256]),
            ("beyond the modulus", vec![0xff; 256]),
        ];
        let propose = |cipher: &[u8]| {
            let signature = a.identity.key.sign(cipher).unwrap();
            Datagram::proposal(cipher, &signature)
        };
        let now = Instant::ZERO + Duration::from_secs(2);
        for (what, cipher) in ciphers {
            let mut out = Vec::new();
            let heard = b.receive(from, &propose(&cipher), now, &mut out);
            assert_eq!((heard, out.len()), (Heard::Nothing, 0), "{what}");
            assert_eq!(b.peers[&prefix("1/16")].secret, established, "{what}");
        }
        let good = propose(&to_b.encrypt(&later).unwrap());
        let heard = b.receive(from, &good, now, &mut Vec::new());
        assert_eq!(heard, Heard::Established(prefix("1/16")));
    }

    #[test]
    fn a_replayed_message_is_ignored() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        converse(&mut a, &mut b, out);
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x04".to_vec(), Instant::ZERO, &mut out);
        let again = out.clone();
        assert_eq!(converse(&mut a, &mut b, out).len(), 1);
        assert_eq!(converse(&mut a, &mut b, again), []);
    }

    #[test]
    fn a_revoked_peer_gets_no_session() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        b.set_revoked([2].into());
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        assert_eq!(converse(&mut a, &mut b, out), []);
        assert!(b.peers.is_empty());
    }

    #[test]
    fn a_certificate_from_another_nodes_address_is_refused() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        let elsewhere = "2001:db8:42:3::1".parse().unwrap();
        let mut answers = Vec::new();
        b.receive(elsewhere, &out[0].octets, Instant::ZERO, &mut answers);
        assert_eq!(answers, []);
    }

    #[test]
    fn an_unanswered_handshake_is_repeated_less_and_less_and_then_given_up() {
        let mut a = node("h1", EPOCH);
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        let mut seconds = Vec::new();
        while let Some(at) = a.deadline() {
            a.tick(at, &mut out);
            seconds.push(at.since_start().as_secs());
        }
        assert_eq!(seconds, [1, 3, 7, 15, 31, 63]);
        assert_eq!(out.len(), 6);
    }

    #[test]
    fn a_restarted_peer_is_recognised_at_once() {
        let (mut a, mut b) = (node("h1", EPOCH), node("h2", EPOCH));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x01".to_vec(), Instant::ZERO, &mut out);
        converse(&mut a, &mut b, out);
        let mut a = node("h1", EPOCH + Duration::from_secs(2));
        let mut out = Vec::new();
        a.send(prefix("2/16"), b"\x04".to_vec(), Instant::ZERO, &mut out);
        let heard = converse_at(3, &mut a, &mut b, out);
        assert_eq!(heard.last(), Some(&Heard::Message(prefix("1/16"), b"\x04".to_vec())));
    }

    #[test]
    fn the_sessions_of_a_stock_network_can_be_taken_part_in() {
        let mut proposals = 0;
        let packets = vectors::packets();
        for packet in packets.iter().filter(|p| p["kind"] == "hello") {
            let from: Ipv6Addr = packet["src"].as_str().unwrap().parse().unwrap();
            let to: Ipv6Addr = packet["dst"].as_str().unwrap().parse().unwrap();
            let names = ["reg", "h1", "h2", "h3", "h4"];
            let name = |address: Ipv6Addr| names[usize::from(address.segments()[3])];
            let mut receiver = node(name(to), EPOCH);
            let der = vectors::identity(name(from)).certificate.to_der().unwrap();
            let introduction = Datagram::introduction(&der);
            let mut out = Vec::new();
            receiver.receive(from, &introduction, Instant::ZERO, &mut out);
            let octets = vectors::octets(&packet["hex"]);
            let heard = receiver.receive(from, &octets, Instant::ZERO, &mut out);
            let Heard::Established(peer) = heard else { panic!("{heard:?}") };
            let secret = vectors::octets(&packet["secret"]);
            assert_eq!(receiver.peers[&peer].secret.to_vec(), secret);
            proposals += 1;
        }
        assert_eq!(proposals, 10);
    }
}
