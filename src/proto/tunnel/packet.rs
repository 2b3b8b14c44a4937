//! The frame of every packet: opcode and key, and in control packets session, acknowledgements and number.
//!
//! ```text
//! control: opcode<<3|key id (1)  session id (8)  n (1)  n × acknowledged (4)  [peer's session id (8)]
//!          [packet number (4)  payload]
//! data V1: opcode<<3|key id (1)  …
//! data V2: opcode<<3|key id (1)  peer id (3)  …
//! ```
//!
//! The peer's session id is there only if something is acknowledged; a mere acknowledgement ends after it.

use crate::proto::bytes::{Reader, Short, Writer};
use crate::proto::limits::TUNNEL_CONTROL_OCTETS_MAX;

/// What a packet is, the upper five bits of its first octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// Begins a renegotiation.
    SoftReset = 3,
    /// Carries TLS.
    Control = 4,
    /// Acknowledges, and nothing else.
    Ack = 5,
    /// A frame.
    DataV1 = 6,
    /// A client begins.
    HardResetClient = 7,
    /// A server answers.
    HardResetServer = 8,
    /// A frame, with the number of the client it is from or for.
    DataV2 = 9,
    /// A client begins, whose key for the control channel comes with the packet.
    HardResetClientV3 = 10,
    /// Carries TLS, and that key once more.
    ControlWithKey = 11,
}

/// How many packets one packet can acknowledge.
pub const ACKS_MAX: usize = 8;

/// A key's number: 0 at first, then 1 to 7 in turn.
pub type KeyId = u8;

/// One end's number of a session; never zero.
pub type SessionId = u64;

/// A control packet. What it borrows is the TLS in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlPacket<'a> {
    /// What it is; not data.
    pub opcode: Opcode,
    /// The negotiation it belongs to.
    pub key_id: KeyId,
    /// Its sender's session.
    pub session_id: SessionId,
    /// The packets it acknowledges, of the session `remote_session_id`.
    pub acks: Acks,
    /// Its receiver's session, if it acknowledges something.
    pub remote_session_id: Option<SessionId>,
    /// Its number; a mere acknowledgement has none.
    pub packet_id: Option<u32>,
    /// TLS.
    pub payload: &'a [u8],
}

/// Numbers of acknowledged packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Acks {
    numbers: [u32; ACKS_MAX],
    count: usize,
}

/// Why octets are not a control packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// It ends too early.
    #[error("ends too early: {0}")]
    Short(#[from] Short),
    /// Its opcode is none that is spoken here.
    #[error("has opcode {0}")]
    Opcode(u8),
    /// It acknowledges more than a packet can.
    #[error("acknowledges {0} packets")]
    Acks(u8),
    /// A session is never zero.
    #[error("has session id 0")]
    Session,
    /// No OpenVPN sends one of so many octets.
    #[error("has {0} octets")]
    Long(usize),
}

/// What the first octet says: the opcode, `None` if unknown, and the key.
pub fn kind(first: u8) -> (Option<Opcode>, KeyId) {
    let opcode = match first >> 3 {
        3 => Some(Opcode::SoftReset),
        4 => Some(Opcode::Control),
        5 => Some(Opcode::Ack),
        6 => Some(Opcode::DataV1),
        7 => Some(Opcode::HardResetClient),
        8 => Some(Opcode::HardResetServer),
        9 => Some(Opcode::DataV2),
        10 => Some(Opcode::HardResetClientV3),
        11 => Some(Opcode::ControlWithKey),
        _ => None,
    };
    (opcode, first & 7)
}

/// The first octet of a packet.
pub const fn first_octet(opcode: Opcode, key_id: KeyId) -> u8 {
    (opcode as u8) << 3 | key_id & 7
}

/// The session of whoever sent a packet that is not data, however it is protected.
pub fn session_id(packet: &[u8]) -> Option<SessionId> {
    let octets = packet.get(1..9)?.try_into().ok()?;
    Some(SessionId::from_be_bytes(octets)).filter(|&id| id != 0)
}

impl<'a> ControlPacket<'a> {
    /// Octets before the payload, with the most acknowledgements that travel with one.
    pub const HEADER_MAX: usize = 1 + 8 + 1 + 4 * ACKS_MAX + 8 + 4;

    /// Reads a packet that is not data.
    pub fn parse(packet: &'a [u8]) -> Result<Self, PacketError> {
        if packet.len() > TUNNEL_CONTROL_OCTETS_MAX {
            return Err(PacketError::Long(packet.len()));
        }
        let mut reader = Reader::new(packet);
        let first = reader.u8()?;
        let (opcode, key_id) = kind(first);
        let opcode = match opcode {
            None | Some(Opcode::DataV1 | Opcode::DataV2) => {
                return Err(PacketError::Opcode(first >> 3));
            }
            Some(opcode) => opcode,
        };
        let session_id = reader.u64()?;
        if session_id == 0 {
            return Err(PacketError::Session);
        }
        let acks = Acks::parse(&mut reader)?;
        let remote_session_id = if acks.is_empty() { None } else { Some(reader.u64()?) };
        let packet_id = if opcode == Opcode::Ack { None } else { Some(reader.u32()?) };
        let payload = reader.rest();
        Ok(Self { opcode, key_id, session_id, acks, remote_session_id, packet_id, payload })
    }

    /// Writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(Self::HEADER_MAX + self.payload.len());
        packet.put_u8(first_octet(self.opcode, self.key_id));
        packet.put_u64(self.session_id);
        packet.push(self.acks.count as u8);
        for &number in self.acks.as_slice() {
            packet.put_u32(number);
        }
        if let Some(remote) = self.remote_session_id.filter(|_| !self.acks.is_empty()) {
            packet.put_u64(remote);
        }
        if let Some(packet_id) = self.packet_id {
            packet.put_u32(packet_id);
        }
        packet.put(self.payload);
        packet
    }
}

impl Acks {
    /// The first [`ACKS_MAX`] of `numbers`.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut acks = Self::default();
        for number in numbers.into_iter().take(ACKS_MAX) {
            acks.numbers[acks.count] = number;
            acks.count += 1;
        }
        acks
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[u32] {
        &self.numbers[..self.count]
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let count = reader.u8()?;
        if usize::from(count) > ACKS_MAX {
            return Err(PacketError::Acks(count));
        }
        let mut acks = Self { count: usize::from(count), ..Self::default() };
        for number in &mut acks.numbers[..usize::from(count)] {
            *number = reader.u32()?;
        }
        Ok(acks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_answer_of_a_real_server_is_read_and_written() {
        let octets = hex("4079f07568d2e8a0670100000000b613d253e2dd171900000000");
        let packet = ControlPacket::parse(&octets).unwrap();
        assert_eq!(packet.opcode, Opcode::HardResetServer);
        assert_eq!(packet.session_id, 0x79f0_7568_d2e8_a067);
        assert_eq!(packet.acks.as_slice(), [0]);
        assert_eq!(packet.remote_session_id, Some(0xb613_d253_e2dd_1719));
        assert_eq!(packet.packet_id, Some(0));
        assert!(packet.payload.is_empty());
        assert_eq!(packet.to_bytes(), octets);
    }

    #[test]
    fn every_truncation_is_refused_without_panic() {
        let octets = hex("2079f07568d2e8a0670100000001b613d253e2dd171900000001160303");
        for length in 0..octets.len() {
            let parsed = ControlPacket::parse(&octets[..length]);
            assert_eq!(parsed.is_ok(), length >= 26, "{length} octets: {parsed:?}");
        }
    }

    #[test]
    fn what_is_no_control_packet_says_why() {
        let error = |text: &str| ControlPacket::parse(&hex(text)).unwrap_err();
        assert_eq!(error("48000000"), PacketError::Opcode(9));
        assert_eq!(error("00"), PacketError::Opcode(0));
        assert_eq!(error("380000000000000000"), PacketError::Session);
        assert_eq!(error("38000000000000000109"), PacketError::Acks(9));
    }

    proptest! {
        #[test]
        fn any_octets_parse_or_are_refused_and_what_parses_is_written_back(
            octets in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            if let Ok(packet) = ControlPacket::parse(&octets) {
                prop_assert_eq!(packet.to_bytes(), octets);
            }
        }
    }
}
