//! A server's first answer keeps nothing: the number of the session is a secret function of the client's
//! address, so that who names it back has received our answer, and only then costs memory or RSA.
//!
//! ```text
//! client                      server
//! HARD_RESET_CLIENT id=C ───▶ (keeps nothing)
//!        ◀─── HARD_RESET_SERVER id=S(address, C, minute)
//! ACK naming S            ──▶ S fits: the address is remembered, in bounded memory
//! CONTROL, a ClientHello  ──▶ it names S, or its address is remembered: a session begins
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::hmac;

use crate::proto::limits::{TUNNEL_ACKNOWLEDGED_MAX, TUNNEL_CLIENT_HELLO_OCTETS_MAX};
use crate::proto::random::Random;
use crate::proto::time::{Instant, UnixTime};
use crate::proto::tunnel::control_keys::{ControlKeys, ControlProtection, carries_wrapped_key};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::packet::{Acks, ControlPacket, Opcode, SessionId};
use crate::proto::tunnel::wrapper::{can_send_key_again, seal_answer, wishes};

/// What makes session numbers, for one port.
pub struct Cookies {
    key: hmac::Key,
    protection: ControlProtection,
    /// The keys, unless each client has its own.
    keys: Option<ControlKeys>,
    unix_start: UnixTime,
}

/// What a packet from an address without a session is.
#[derive(Clone, Debug)]
pub enum Stranger {
    /// It asks for an answer that keeps nothing: send this.
    Asks(Vec<u8>),
    /// It acknowledges our answer: its ClientHello may come without naming our session.
    Acknowledges(Box<Proven>),
    /// It is a ClientHello of a client that has received our answer: begin a session, and give it this
    /// packet.
    Proven(Box<Proven>),
    /// Neither.
    Noise,
}

/// A client that is to have a session.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Our session.
    pub local: SessionId,
    /// The client's session.
    pub remote: SessionId,
    /// How its control packets are protected.
    pub keys: Option<ControlKeys>,
    /// It has received our reset. Otherwise it has a key that we must remember: OpenVPN 2.5 sends it
    /// only once.
    pub answered: bool,
}

/// An answer holds for so long, and once more.
const PERIOD: Duration = Duration::from_secs(60);

/// A packet without its protection.
struct Opened {
    packet: Vec<u8>,
    keys: Option<ControlKeys>,
    /// Its sender can send the key that came with it once more.
    can_send_key_again: Option<bool>,
}

impl Cookies {
    /// Draws a secret. `unix_start` is what the clock on the wall showed when ours read zero.
    pub fn new(protection: ControlProtection, unix_start: UnixTime, random: &mut Random) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random.octets::<32>());
        let keys = protection.keys(Role::Server);
        Self { key, protection, keys, unix_start }
    }

    /// Judges a packet that is not data. `acknowledged` is what the last [`Stranger::Acknowledges`] from
    /// there said.
    pub fn judge(
        &self,
        packet: &[u8],
        from: SocketAddr,
        acknowledged: Option<&Proven>,
        now: Instant,
    ) -> Stranger {
        self.open(packet)
            .and_then(|opened| self.judge_opened(opened, from, acknowledged, now))
            .unwrap_or(Stranger::Noise)
    }

    fn open(&self, packet: &[u8]) -> Option<Opened> {
        if let ControlProtection::CryptV2Server(server) = &self.protection {
            if !carries_wrapped_key(packet) {
                return None;
            }
            let (packet, keys) = server.open(packet)?;
            let (packet, stamp) = keys.open(packet)?;
            let can_send_key_again = Some(can_send_key_again(stamp));
            return Some(Opened { packet, keys: Some(keys), can_send_key_again });
        }
        let packet = match &self.keys {
            Some(keys) => keys.open(packet)?.0,
            None => packet.to_vec(),
        };
        Some(Opened { packet, keys: self.keys.clone(), can_send_key_again: None })
    }

    fn judge_opened(
        &self,
        opened: Opened,
        from: SocketAddr,
        acknowledged: Option<&Proven>,
        now: Instant,
    ) -> Option<Stranger> {
        let packet =
            ControlPacket::parse(&opened.packet).ok().filter(|packet| packet.key_id == 0)?;
        let remote = packet.session_id;
        let asks = |wants_key_again| {
            let answer = self.answer(remote, wants_key_again, from, now);
            Stranger::Asks(match &opened.keys {
                Some(keys) => seal_answer(keys, &answer, self.unix_start, now),
                None => answer,
            })
        };
        let proven = |local, answered| {
            Box::new(Proven { local, remote, keys: opened.keys.clone(), answered })
        };
        let begins = packet.packet_id == Some(1) && is_client_hello(packet.payload);
        match (packet.opcode, packet.remote_session_id, opened.can_send_key_again) {
            (Opcode::HardResetClient, _, None) => Some(asks(false)),
            (Opcode::HardResetClientV3, _, Some(true)) => Some(asks(true)),
            (Opcode::HardResetClientV3, _, Some(false)) => {
                let local = self.session_id(from, remote, period(now));
                Some(Stranger::Proven(proven(local, false)))
            }
            (Opcode::Ack | Opcode::Control | Opcode::ControlWithKey, Some(local), _) => {
                let period = period(now);
                let mut periods = [period, period.wrapping_sub(1)].into_iter();
                if !periods.any(|period| self.session_id(from, remote, period) == local) {
                    return None;
                }
                match packet.opcode {
                    Opcode::Ack => Some(Stranger::Acknowledges(proven(local, true))),
                    _ => begins.then(|| Stranger::Proven(proven(local, true))),
                }
            }
            // OpenVPN 2.4 names our session in its acknowledgement alone.
            (Opcode::Control | Opcode::ControlWithKey, None, _)
                if begins && acknowledged.is_some_and(|client| client.remote == remote) =>
            {
                let local = acknowledged?.local;
                Some(Stranger::Proven(proven(local, true)))
            }
            // The acknowledgement that named us was lost, and OpenVPN 2.4 does not repeat it unless
            // it hears our answer again.
            (Opcode::Control | Opcode::ControlWithKey, None, again)
                if packet.packet_id == Some(1) =>
            {
                Some(asks(again == Some(true)))
            }
            _ => None,
        }
    }

    /// Our reset, for a client that asks.
    fn answer(
        &self,
        remote: SessionId,
        wants_key_again: bool,
        to: SocketAddr,
        now: Instant,
    ) -> Vec<u8> {
        ControlPacket {
            opcode: Opcode::HardResetServer,
            key_id: 0,
            session_id: self.session_id(to, remote, period(now)),
            acks: Acks::of([0]),
            remote_session_id: Some(remote),
            packet_id: Some(0),
            payload: wishes(wants_key_again),
        }
        .to_bytes()
    }

    fn session_id(&self, address: SocketAddr, remote: SessionId, period: u64) -> SessionId {
        let mut context = hmac::Context::with_key(&self.key);
        match address.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&address.port().to_be_bytes());
        context.update(&remote.to_be_bytes());
        context.update(&period.to_be_bytes());
        let tag = context.sign();
        let octets = tag.as_ref().first_chunk().copied().unwrap_or_default();
        SessionId::from_be_bytes(octets).max(1)
    }
}

const fn period(now: Instant) -> u64 {
    now.since_start().as_secs() / PERIOD.as_secs()
}

/// Whether TLS begins with a ClientHello of a usual size: a handshake record (RFC 8446 §5.1) and in it the
/// header of a ClientHello (§4). OpenSSL would allocate what the header announces.
fn is_client_hello(tls: &[u8]) -> bool {
    let Some(&[22, 3, _, _, _, 1, high, middle, low]) = tls.first_chunk() else { return false };
    u32::from_be_bytes([0, high, middle, low]) <= TUNNEL_CLIENT_HELLO_OCTETS_MAX
}

/// Clients over UDP that have acknowledged our answer, until their ClientHello comes.
#[derive(Debug, Default)]
pub struct Acknowledged {
    clients: HashMap<SocketAddr, Proven>,
    /// The oldest first; an address may be in it again.
    order: VecDeque<SocketAddr>,
}

impl Acknowledged {
    /// Keeps what a client's acknowledgement proved; forgets the oldest if there are too many.
    pub fn insert(&mut self, from: SocketAddr, client: Proven) {
        if self.clients.insert(from, client).is_none() {
            self.order.push_back(from);
        }
        while self.order.len() > TUNNEL_ACKNOWLEDGED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.clients.remove(&oldest);
            }
        }
    }

    /// What the client at an address proved.
    pub fn get(&self, from: SocketAddr) -> Option<&Proven> {
        self.clients.get(&from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tunnel::control_keys::Stamp;
    use crate::proto::tunnel::key_file::StaticKey;

    /// The header of a record and of a ClientHello of 512 octets.
    const CLIENT_HELLO: &[u8] = &[22, 3, 1, 2, 4, 1, 0, 2, 0];

    fn client_packet(opcode: Opcode, acknowledged: Option<SessionId>, number: u32) -> Vec<u8> {
        client_packet_with(opcode, acknowledged, number, CLIENT_HELLO)
    }

    fn client_packet_with(
        opcode: Opcode,
        acknowledged: Option<SessionId>,
        number: u32,
        tls: &[u8],
    ) -> Vec<u8> {
        ControlPacket {
            opcode,
            key_id: 0,
            session_id: 7,
            acks: Acks::of(acknowledged.map(|_| 0)),
            remote_session_id: acknowledged,
            packet_id: (opcode != Opcode::Ack).then_some(number),
            payload: if opcode == Opcode::Control { tls } else { &[] },
        }
        .to_bytes()
    }

    #[test]
    fn only_who_received_the_answer_gets_a_session() {
        let cookies = cookies(ControlProtection::None);
        let (from, other) = ("192.0.2.1:9".parse().unwrap(), "192.0.2.2:9".parse().unwrap());
        let later = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let reset = client_packet(Opcode::HardResetClient, None, 0);
        let local = local_of(&cookies.judge(&reset, from, None, later(0)), None);
        for packet in [
            client_packet(Opcode::Ack, Some(local), 0),
            client_packet(Opcode::Control, Some(local), 1),
        ] {
            let judged = |from, at| match cookies.judge(&packet, from, None, later(at)) {
                Stranger::Proven(client) | Stranger::Acknowledges(client) => {
                    Some((client.local, client.remote, client.answered))
                }
                _ => None,
            };
            assert_eq!(judged(from, 0), Some((local, 7, true)));
            assert_eq!(judged(from, 70), Some((local, 7, true)));
            assert_eq!(judged(from, 130), None);
            assert_eq!(judged(other, 0), None);
        }
        let guess = client_packet(Opcode::Ack, Some(local ^ 1), 0);
        assert!(matches!(cookies.judge(&guess, from, None, later(0)), Stranger::Noise));
    }

    #[test]
    fn session_begins_with_a_client_hello_only() {
        let cookies = cookies(ControlProtection::None);
        let from = "192.0.2.1:9".parse().unwrap();
        let reset = client_packet(Opcode::HardResetClient, None, 0);
        let local = local_of(&cookies.judge(&reset, from, None, Instant::ZERO), None);
        let begins = |named, number, tls: &[u8], acknowledged: Option<&Proven>| {
            let packet = client_packet_with(Opcode::Control, named, number, tls);
            let judged = cookies.judge(&packet, from, acknowledged, Instant::ZERO);
            matches!(judged, Stranger::Proven(client) if client.local == local)
        };
        assert!(begins(Some(local), 1, CLIENT_HELLO, None));
        assert!(!begins(Some(local), 2, CLIENT_HELLO, None));
        for tls in [
            &[][..],
            &CLIENT_HELLO[..8],
            &[23, 3, 1, 2, 4, 1, 0, 2, 0],
            &[22, 3, 1, 2, 4, 2, 0, 2, 0],
            // It announces 128 KiB.
            &[22, 3, 1, 64, 0, 1, 2, 0, 0],
        ] {
            assert!(!begins(Some(local), 1, tls, None), "{tls:?}");
        }
        // OpenVPN 2.4 acknowledges first, and then names nothing.
        let ack = client_packet(Opcode::Ack, Some(local), 0);
        let judged = cookies.judge(&ack, from, None, Instant::ZERO);
        let Stranger::Acknowledges(client) = judged else { panic!("{judged:?}") };
        assert!(!begins(None, 1, CLIENT_HELLO, None));
        assert!(begins(None, 1, CLIENT_HELLO, Some(&client)));
        assert!(!begins(None, 1, &[23; 9], Some(&client)));
        let other = Proven { remote: 8, ..(*client).clone() };
        assert!(!begins(None, 1, CLIENT_HELLO, Some(&other)));
    }

    #[test]
    fn acknowledged_clients_are_bounded_and_the_oldest_forgotten() {
        let client = Proven { local: 1, remote: 7, keys: None, answered: true };
        let mut acknowledged = Acknowledged::default();
        let from = |number: usize| SocketAddr::from(([192, 0, 2, 1], number as u16));
        for number in 0..=TUNNEL_ACKNOWLEDGED_MAX {
            acknowledged.insert(from(number), client.clone());
            acknowledged.insert(from(number), client.clone());
        }
        assert!(acknowledged.get(from(0)).is_none());
        assert!(
            (1..=TUNNEL_ACKNOWLEDGED_MAX).all(|number| acknowledged.get(from(number)).is_some())
        );
        assert_eq!(acknowledged.order.len(), TUNNEL_ACKNOWLEDGED_MAX);
    }

    #[test]
    fn a_lost_acknowledgement_is_asked_for_again() {
        let cookies = cookies(ControlProtection::None);
        let from = "192.0.2.1:9".parse().unwrap();
        let hello = client_packet(Opcode::Control, None, 1);
        local_of(&cookies.judge(&hello, from, None, Instant::ZERO), None);
    }

    #[test]
    fn without_the_key_nobody_is_answered() {
        let key = |seed| {
            let octets: [u8; 256] = Random::from_number(seed).octets();
            Box::new(StaticKey::from_octets(&octets).unwrap())
        };
        let cookies = cookies(ControlProtection::Crypt(key(1)));
        let from = "192.0.2.1:9".parse().unwrap();
        let reset = client_packet(Opcode::HardResetClient, None, 0);
        let stamp = Stamp { time: 5, number: 1 };
        let [right, wrong] =
            [1, 2].map(|seed| ControlProtection::Crypt(key(seed)).keys(Role::Client).unwrap());
        for packet in [reset.clone(), wrong.seal(&reset, stamp)] {
            assert!(matches!(cookies.judge(&packet, from, None, Instant::ZERO), Stranger::Noise));
        }
        let judged = cookies.judge(&right.seal(&reset, stamp), from, None, Instant::ZERO);
        let local = local_of(&judged, Some(&right));
        let hello = client_packet(Opcode::Control, Some(local), 1);
        let judged = cookies.judge(&right.seal(&hello, stamp), from, None, Instant::ZERO);
        assert!(matches!(judged, Stranger::Proven(proven) if proven.local == local));
        assert!(matches!(cookies.judge(&hello, from, None, Instant::ZERO), Stranger::Noise));
    }

    fn cookies(protection: ControlProtection) -> Cookies {
        Cookies::new(protection, UnixTime::from_secs(0), &mut Random::from_number(1))
    }

    /// The session that an answer names.
    fn local_of(judged: &Stranger, keys: Option<&ControlKeys>) -> SessionId {
        let Stranger::Asks(answer) = judged else { panic!("{judged:?}") };
        let answer = match keys {
            Some(keys) => keys.open(answer).unwrap().0,
            None => answer.clone(),
        };
        let answer = ControlPacket::parse(&answer).unwrap();
        assert_eq!((answer.opcode, answer.remote_session_id), (Opcode::HardResetServer, Some(7)));
        answer.session_id
    }
}
