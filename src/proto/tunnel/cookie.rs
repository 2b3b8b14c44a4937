//! A server's first answer keeps nothing: the number of the session is a secret function of the client's
//! address, so that who names it back has received our answer, and only then costs memory or RSA.
//!
//! ```text
//! client                      server
//! HARD_RESET_CLIENT id=C ───▶ (keeps nothing)
//!        ◀─── HARD_RESET_SERVER id=S(address, C, minute)
//! ACK or CONTROL naming S ──▶ S fits: a session begins
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::hmac;

use crate::proto::random::Random;
use crate::proto::time::Instant;
use crate::proto::tunnel::packet::{Acks, ControlPacket, Opcode, SessionId};

/// What makes session numbers, for one port.
pub struct Cookies {
    key: hmac::Key,
}

/// What a packet from an address without a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stranger {
    /// It asks for an answer that keeps nothing: send [`Cookies::answer`].
    Asks {
        /// The client's session.
        remote: SessionId,
    },
    /// It has received our answer: begin a session, and give it this packet.
    Proven {
        /// Our session.
        local: SessionId,
        /// The client's session.
        remote: SessionId,
    },
    /// Neither.
    Noise,
}

/// An answer holds for so long, and once more.
const PERIOD: Duration = Duration::from_secs(60);

impl Cookies {
    /// Draws a secret.
    pub fn new(random: &mut Random) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random.octets::<32>()) }
    }

    /// Judges a packet that is not data.
    pub fn judge(&self, packet: &[u8], from: SocketAddr, now: Instant) -> Stranger {
        let Ok(packet) = ControlPacket::parse(packet) else { return Stranger::Noise };
        if packet.key_id != 0 {
            return Stranger::Noise;
        }
        let remote = packet.session_id;
        match (packet.opcode, packet.remote_session_id, packet.packet_id) {
            (Opcode::HardResetClient, ..) => Stranger::Asks { remote },
            (Opcode::Ack | Opcode::Control, Some(local), _) => {
                let period = period(now);
                let fits = [period, period.wrapping_sub(1)]
                    .into_iter()
                    .any(|period| self.session_id(from, remote, period) == local);
                if fits { Stranger::Proven { local, remote } } else { Stranger::Noise }
            }
            // The acknowledgement that named us was lost, and OpenVPN 2.4 does not repeat it unless
            // it hears our answer again.
            (Opcode::Control, None, Some(1)) => Stranger::Asks { remote },
            _ => Stranger::Noise,
        }
    }

    /// Our reset, for a client that asks.
    pub fn answer(&self, remote: SessionId, to: SocketAddr, now: Instant) -> Vec<u8> {
        ControlPacket {
            opcode: Opcode::HardResetServer,
            key_id: 0,
            session_id: self.session_id(to, remote, period(now)),
            acks: Acks::of([0]),
            remote_session_id: Some(remote),
            packet_id: Some(0),
            payload: &[],
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client_packet(opcode: Opcode, acknowledged: Option<SessionId>, number: u32) -> Vec<u8> {
        ControlPacket {
            opcode,
            key_id: 0,
            session_id: 7,
            acks: Acks::of(acknowledged.map(|_| 0)),
            remote_session_id: acknowledged,
            packet_id: (opcode != Opcode::Ack).then_some(number),
            payload: &[],
        }
        .to_bytes()
    }

    #[test]
    fn only_who_received_the_answer_gets_a_session() {
        let cookies = Cookies::new(&mut Random::from_number(1));
        let (from, other) = ("192.0.2.1:9".parse().unwrap(), "192.0.2.2:9".parse().unwrap());
        let later = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let reset = client_packet(Opcode::HardResetClient, None, 0);
        assert_eq!(cookies.judge(&reset, from, later(0)), Stranger::Asks { remote: 7 });

        let answer = cookies.answer(7, from, later(0));
        let local = ControlPacket::parse(&answer).unwrap().session_id;
        let proven = Stranger::Proven { local, remote: 7 };
        for packet in [
            client_packet(Opcode::Ack, Some(local), 0),
            client_packet(Opcode::Control, Some(local), 1),
        ] {
            assert_eq!(cookies.judge(&packet, from, later(0)), proven);
            assert_eq!(cookies.judge(&packet, from, later(70)), proven);
            assert_eq!(cookies.judge(&packet, from, later(130)), Stranger::Noise);
            assert_eq!(cookies.judge(&packet, other, later(0)), Stranger::Noise);
        }
        let guess = client_packet(Opcode::Ack, Some(local ^ 1), 0);
        assert_eq!(cookies.judge(&guess, from, later(0)), Stranger::Noise);
    }

    #[test]
    fn a_lost_acknowledgement_is_asked_for_again() {
        let cookies = Cookies::new(&mut Random::from_number(1));
        let from = "192.0.2.1:9".parse().unwrap();
        let hello = client_packet(Opcode::Control, None, 1);
        assert_eq!(cookies.judge(&hello, from, Instant::ZERO), Stranger::Asks { remote: 7 });
    }
}
