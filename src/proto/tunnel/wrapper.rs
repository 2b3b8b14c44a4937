//! The protection of one session's control packets: seals them with a number each, opens each once.

use crate::proto::time::{Instant, UnixTime};
use crate::proto::tunnel::control_keys::{
    ControlKeys, ControlProtection, Stamp, carries_wrapped_key, split_wrapped_key,
};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::packet::{KeyId, Opcode};
use crate::proto::tunnel::replay::ReplayWindow;

/// Both directions of one session.
#[derive(Debug)]
pub struct Wrapper {
    keys: Option<ControlKeys>,
    /// What a client's first packets end with, with tls-crypt-v2.
    wrapped_key: Vec<u8>,
    /// The server asks for it a second time, so as to keep nothing after the first.
    wants_key_again: bool,
    started: Option<u32>,
    unix_start: UnixTime,
    sent: u32,
    heard: u32,
    window: ReplayWindow,
}

/// A client that counts from here says that it can send its key twice.
const EARLY: u32 = 0x0f00_0000;

/// In a server's reset: flags of what it wants, and the one that wants the key again.
const WANTS_KEY_AGAIN: [u8; 6] = [0, 1, 0, 2, 0, 1];

impl Wrapper {
    /// A client's. `unix_start` is what the clock on the wall showed when ours read zero.
    pub fn client(protection: &ControlProtection, unix_start: UnixTime) -> Self {
        let wrapped_key = protection.wrapped_key().to_vec();
        let sent = if wrapped_key.is_empty() { 0 } else { EARLY };
        Self { wrapped_key, sent, ..Self::new(protection.keys(Role::Client), unix_start) }
    }

    /// A server's, for a client that was answered once with these keys.
    pub fn server(keys: Option<ControlKeys>, unix_start: UnixTime) -> Self {
        Self { sent: ANSWER.number, ..Self::new(keys, unix_start) }
    }

    fn new(keys: Option<ControlKeys>, unix_start: UnixTime) -> Self {
        Self {
            keys,
            wrapped_key: Vec::new(),
            wants_key_again: false,
            started: None,
            unix_start,
            sent: 0,
            heard: 0,
            window: ReplayWindow::default(),
        }
    }

    /// Octets that sealing adds to a packet, and to the first ones of a negotiation besides.
    pub fn overhead(&self) -> (usize, usize) {
        (self.keys.as_ref().map_or(0, ControlKeys::overhead), self.wrapped_key.len())
    }

    /// The opcode with which a client begins.
    pub const fn reset(&self) -> Opcode {
        if self.wrapped_key.is_empty() {
            Opcode::HardResetClient
        } else {
            Opcode::HardResetClientV3
        }
    }

    /// The opcode that a packet travels with.
    pub fn opcode(&self, opcode: Opcode, key_id: KeyId, packet_id: Option<u32>) -> Opcode {
        let is_first = opcode == Opcode::Control && key_id == 0 && packet_id == Some(1);
        if is_first && self.wants_key_again { Opcode::ControlWithKey } else { opcode }
    }

    /// Takes the payload of the server's reset.
    pub fn take_wishes(&mut self, payload: &[u8]) {
        self.wants_key_again = !self.wrapped_key.is_empty() && payload == WANTS_KEY_AGAIN;
    }

    /// Seals a control packet.
    pub fn seal(&mut self, packet: Vec<u8>, now: Instant) -> Vec<u8> {
        let Some(keys) = &self.keys else { return packet };
        let time = *self.started.get_or_insert_with(|| unix_seconds(self.unix_start, now));
        self.sent = self.sent.wrapping_add(1);
        let mut sealed = keys.seal(&packet, Stamp { time, number: self.sent });
        if carries_wrapped_key(&packet) {
            sealed.extend_from_slice(&self.wrapped_key);
        }
        sealed
    }

    /// Opens a packet that is not data, once. `None` if it does not authenticate or came before.
    pub fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Some(keys) = &self.keys else { return Some(packet.to_vec()) };
        let packet =
            if carries_wrapped_key(packet) { split_wrapped_key(packet)?.0 } else { packet };
        let (plain, stamp) = keys.open(packet)?;
        self.accept(stamp).then_some(plain)
    }

    /// A later time begins a new count, an earlier one is a replay.
    fn accept(&mut self, stamp: Stamp) -> bool {
        if stamp.time < self.heard {
            return false;
        }
        if stamp.time > self.heard {
            self.heard = stamp.time;
            self.window = ReplayWindow::default();
        }
        self.window.accept(stamp.number)
    }
}

/// The number of the answer that keeps nothing; its time is that of the answer.
const ANSWER: Stamp = Stamp { time: 0, number: 1 };

/// Seals the answer to a stranger, without keeping anything.
pub fn seal_answer(
    keys: &ControlKeys,
    packet: &[u8],
    unix_start: UnixTime,
    now: Instant,
) -> Vec<u8> {
    keys.seal(packet, Stamp { time: unix_seconds(unix_start, now), ..ANSWER })
}

/// What a server's reset says to a client whose key it wants again; nothing to others.
pub const fn wishes(wants_key_again: bool) -> &'static [u8] {
    if wants_key_again { &WANTS_KEY_AGAIN } else { &[] }
}

/// Whether the sender of a reset can send its key again.
pub const fn can_send_key_again(stamp: Stamp) -> bool {
    stamp.number & 0xff00_0000 == EARLY
}

/// Seconds since 1970, as far as 32 bits go.
#[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits; it ends in 2106")]
fn unix_seconds(unix_start: UnixTime, now: Instant) -> u32 {
    (unix_start.since_1970() + now.since_start()).as_secs() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::random::Random;
    use crate::proto::tunnel::control_keys::{Digest, Direction};
    use crate::proto::tunnel::key_file::StaticKey;

    fn key(seed: u64) -> Box<StaticKey> {
        let octets: [u8; 256] = Random::from_number(seed).octets();
        Box::new(StaticKey::from_octets(&octets).unwrap())
    }

    fn both(client: &ControlProtection, server: &ControlProtection) -> (Wrapper, Wrapper) {
        let start = UnixTime::from_secs(1_000);
        (Wrapper::client(client, start), Wrapper::server(server.keys(Role::Server), start))
    }

    fn kinds(seed: u64) -> Vec<(ControlProtection, ControlProtection)> {
        let auth =
            |direction, digest| ControlProtection::Auth { key: key(seed), direction, digest };
        let directed = |digest| {
            (auth(Some(Direction::Inverse), digest), auth(Some(Direction::Normal), digest))
        };
        vec![
            (auth(None, Digest::Sha1), auth(None, Digest::Sha1)),
            directed(Digest::Sha1),
            directed(Digest::Sha256),
            directed(Digest::Sha512),
            (ControlProtection::Crypt(key(seed)), ControlProtection::Crypt(key(seed))),
        ]
    }

    const PACKET: &[u8] = b"\x20sessionXthe rest of a packet";

    #[test]
    fn what_is_sealed_opens_once_and_no_change_or_truncation_does() {
        for (client, server) in kinds(1) {
            let (mut client, mut server) = both(&client, &server);
            let sealed = client.seal(PACKET.to_vec(), Instant::ZERO);
            assert_eq!(sealed.len(), PACKET.len() + client.overhead().0);
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 4;
                // Another opcode that ends with a key loses its end first.
                assert_eq!(server.open(&changed), None, "octet {at}");
                assert_eq!(server.open(&sealed[..at]), None, "{at} octets");
            }
            assert_eq!(server.open(&sealed).as_deref(), Some(PACKET));
            assert_eq!(server.open(&sealed), None, "a replay");
            let back = server.seal(PACKET.to_vec(), Instant::ZERO);
            assert_eq!(client.open(&back).as_deref(), Some(PACKET));
        }
    }

    #[test]
    fn other_keys_open_nothing() {
        for ((client, _), (_, server)) in kinds(1).into_iter().zip(kinds(2)) {
            let (mut client, mut server) = both(&client, &server);
            assert_eq!(server.open(&client.seal(PACKET.to_vec(), Instant::ZERO)), None);
        }
    }

    #[test]
    fn an_earlier_time_is_a_replay_and_a_later_one_a_new_count() {
        let mut wrapper = Wrapper::new(None, UnixTime::from_secs(0));
        let stamp = |time, number| Stamp { time, number };
        assert!(wrapper.accept(stamp(10, 7)));
        assert!(wrapper.accept(stamp(10, 6)));
        assert!(!wrapper.accept(stamp(10, 7)));
        assert!(!wrapper.accept(stamp(9, 8)));
        assert!(wrapper.accept(stamp(11, 1)));
        assert!(!wrapper.accept(stamp(10, 9)));
        assert!(!wrapper.accept(stamp(11, 0)));
    }
}
