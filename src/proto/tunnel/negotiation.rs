//! One negotiation of keys: resets, TLS, what both ends contribute.
//!
//! ```text
//! Reset ──the peer's reset──▶ Handshake ──TLS finished──▶ Exchange ──the peer's part──▶ Agreed
//! ```
//!
//! The client is always TLS's client, whoever began. It gives its part as soon as TLS is finished, the
//! server when it has the client's.

use crate::proto::limits::{TUNNEL_CONTROL_OCTETS, TUNNEL_HANDSHAKE_OCTETS_MAX};
use crate::proto::random::Random;
use crate::proto::time::Instant;
use crate::proto::tunnel::exchange::{ClientExchange, ExchangeError, ServerExchange};
use crate::proto::tunnel::keys::{ClientSource, EXPORTER_LABEL, KEYS_OCTETS, Keys, ServerSource};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::packet::{ControlPacket, KeyId, Opcode, SessionId};
use crate::proto::tunnel::reliability::{Clogged, Outgoing, Reliability};
use crate::proto::tunnel::tls::{Tls, TlsError};

/// How far a negotiation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Our reset is on its way, the peer's is awaited.
    Reset,
    /// TLS is shaking hands.
    Handshake,
    /// TLS is finished; the peer's part of the keys is awaited.
    Exchange,
    /// Both parts are known.
    Agreed,
}

/// What brings a negotiation forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    PeerReset,
    TlsFinished,
    PeerExchange,
}

/// The whole table. Whatever is not listed is ignored.
const fn next(stage: Stage, event: Event) -> Option<Stage> {
    match (stage, event) {
        (Stage::Reset, Event::PeerReset) => Some(Stage::Handshake),
        (Stage::Handshake, Event::TlsFinished) => Some(Stage::Exchange),
        (Stage::Exchange, Event::PeerExchange) => Some(Stage::Agreed),
        _ => None,
    }
}

/// Why a negotiation failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NegotiationError {
    /// TLS refuses.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The peer's part of the keys is none.
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    /// Our packets are not acknowledged.
    #[error("{0}")]
    Clogged(#[from] Clogged),
    /// No chain of certificates is as long.
    #[error("the peer's TLS handshake has more than {TUNNEL_HANDSHAKE_OCTETS_MAX} octets")]
    TooLong,
    /// OpenSSL could not derive keys.
    #[error("OpenSSL cannot derive the keys")]
    Derivation,
}

/// Our part of the keys, and what is said with it.
pub enum Ours {
    /// A client's.
    Client(ClientExchange),
    /// A server's.
    Server(ServerExchange),
}

/// The peer's part of the keys, and what it said with it.
enum Theirs {
    Client(ClientExchange),
    Server(ServerExchange),
}

/// One negotiation.
pub struct Negotiation {
    /// The number of the keys it is about.
    pub key_id: KeyId,
    /// When it began.
    pub began: Instant,
    /// How far it is.
    pub stage: Stage,
    /// Its control packets.
    pub reliability: Reliability,
    tls: Tls,
    ours: Ours,
    theirs: Option<Theirs>,
    room: Room,
    /// Octets of TLS that came in order.
    received: usize,
}

/// What protection takes of a control packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Octets of every packet.
    pub every: usize,
    /// Octets of the first packet besides.
    pub first: usize,
}

/// Octets of TLS that fit a control packet without protection.
const CHUNK: usize = TUNNEL_CONTROL_OCTETS - ControlPacket::HEADER_MAX;
/// Octets of TLS in a control packet, however much of it protection takes.
const CHUNK_MIN: usize = 64;

impl Ours {
    /// Draws our part, to be sent with `options` and, by a client, `peer_information`.
    pub fn draw(
        role: Role,
        options: String,
        peer_information: String,
        random: &mut Random,
    ) -> Self {
        match role {
            Role::Client => {
                let source = ClientSource::draw(random);
                Self::Client(ClientExchange { source, options, peer_information })
            }
            Role::Server => {
                Self::Server(ServerExchange { source: ServerSource::draw(random), options })
            }
        }
    }
}

impl Negotiation {
    /// Begins, or answers, with a reset of our own.
    pub fn begin(key_id: KeyId, reset: Opcode, tls: Tls, ours: Ours, now: Instant) -> Self {
        let mut reliability = Reliability::default();
        reliability.push(reset, Vec::new()).expect("a reset is empty");
        Self::new(key_id, Stage::Reset, reliability, tls, ours, now)
    }

    /// Goes on after hard resets that were exchanged without keeping anything.
    pub fn after_resets(tls: Tls, ours: Ours, now: Instant) -> Self {
        let reliability = Reliability::after_resets();
        Self::new(0, Stage::Handshake, reliability, tls, ours, now)
    }

    fn new(
        key_id: KeyId,
        stage: Stage,
        reliability: Reliability,
        tls: Tls,
        ours: Ours,
        now: Instant,
    ) -> Self {
        let (theirs, room) = (None, Room::default());
        Self { key_id, began: now, stage, reliability, tls, ours, theirs, room, received: 0 }
    }

    /// A client says something else of itself, as other programs do.
    #[cfg(test)]
    pub fn say_of_ourselves(&mut self, information: &str) {
        if let Ours::Client(exchange) = &mut self.ours {
            information.clone_into(&mut exchange.peer_information);
        }
    }

    /// Leaves room for protection in each packet.
    pub const fn with_room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    /// Takes a packet of this negotiation; `acks` are those that concern us. What the peer said in
    /// words is put into `texts`.
    pub fn handle(
        &mut self,
        packet: &ControlPacket<'_>,
        acks: &[u32],
        now: Instant,
        texts: &mut Vec<String>,
    ) -> Result<(), NegotiationError> {
        self.reliability.acknowledged(acks, now);
        if let Some(number) = packet.packet_id {
            self.reliability.arrived(number, packet.opcode, packet.payload);
        }
        while let Some((opcode, payload)) = self.reliability.take() {
            match opcode {
                Opcode::Control | Opcode::ControlWithKey => {
                    self.received += payload.len();
                    if self.stage < Stage::Exchange && self.received > TUNNEL_HANDSHAKE_OCTETS_MAX {
                        return Err(NegotiationError::TooLong);
                    }
                    self.tls.receive(&payload);
                }
                _ => self.step(Event::PeerReset),
            }
        }
        self.advance(texts)
    }

    /// Sends words over TLS.
    pub fn say(&mut self, text: &str) -> Result<(), NegotiationError> {
        self.tls.write(&[text.as_bytes(), b"\0"].concat())?;
        self.flush()
    }

    /// What is to be sent now.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        self.reliability.poll(now, out);
    }

    /// Sends what TLS still has to say, be it an alert.
    pub fn flush(&mut self) -> Result<(), NegotiationError> {
        let output = self.tls.take_output();
        let mut rest = &output[..];
        while !rest.is_empty() {
            let taken = self.room.every + std::mem::take(&mut self.room.first);
            let chunk = rest.len().min(CHUNK.saturating_sub(taken).max(CHUNK_MIN));
            let (chunk, after) = rest.split_at(chunk);
            self.reliability.push(Opcode::Control, chunk.to_vec())?;
            rest = after;
        }
        Ok(())
    }

    /// How far the peer has brought the negotiation: octets of TLS that came in order.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// The TLS connection.
    pub const fn tls(&self) -> &Tls {
        &self.tls
    }

    /// What the client said about itself, to a server: its option string and its information.
    pub fn client_said(&self) -> Option<(&str, &str)> {
        match &self.theirs {
            Some(Theirs::Client(exchange)) => Some((&exchange.options, &exchange.peer_information)),
            _ => None,
        }
    }

    /// What the server said about itself, to a client: its option string.
    pub fn server_said(&self) -> Option<&str> {
        match &self.theirs {
            Some(Theirs::Server(exchange)) => Some(&exchange.options),
            _ => None,
        }
    }

    /// The keys, once agreed; from TLS's exporter if `export`. `sessions` are the client's and the
    /// server's.
    pub fn keys(
        &self,
        export: bool,
        sessions: (SessionId, SessionId),
    ) -> Result<Keys, NegotiationError> {
        if export {
            let mut octets = [0; KEYS_OCTETS];
            let exported = self.tls.export(EXPORTER_LABEL, &mut octets);
            return exported
                .map(|()| Keys::split(&octets))
                .map_err(|_| NegotiationError::Derivation);
        }
        let (client, server) = match (&self.ours, &self.theirs) {
            (Ours::Client(ours), Some(Theirs::Server(theirs))) => (&ours.source, &theirs.source),
            (Ours::Server(ours), Some(Theirs::Client(theirs))) => (&theirs.source, &ours.source),
            _ => return Err(NegotiationError::Derivation),
        };
        Keys::derive(client, server, sessions).map_err(|_| NegotiationError::Derivation)
    }

    fn advance(&mut self, texts: &mut Vec<String>) -> Result<(), NegotiationError> {
        if self.stage == Stage::Handshake && self.tls.handshake()? {
            self.step(Event::TlsFinished);
            if let Ours::Client(exchange) = &self.ours {
                self.tls.write(&exchange.to_bytes())?;
            }
        }
        if matches!(self.stage, Stage::Exchange | Stage::Agreed) {
            while let Some(record) = self.tls.read()? {
                self.read(&record, texts)?;
            }
        }
        self.flush()
    }

    fn read(&mut self, record: &[u8], texts: &mut Vec<String>) -> Result<(), NegotiationError> {
        if self.stage == Stage::Agreed {
            let said = record.split(|&octet| octet == 0).filter(|text| !text.is_empty());
            texts.extend(said.map(|text| String::from_utf8_lossy(text).into_owned()));
            return Ok(());
        }
        self.theirs = Some(match &self.ours {
            Ours::Client(_) => Theirs::Server(ServerExchange::parse(record)?),
            Ours::Server(ours) => {
                let theirs = ClientExchange::parse(record)?;
                self.tls.write(&ours.to_bytes())?;
                Theirs::Client(theirs)
            }
        });
        self.step(Event::PeerExchange);
        Ok(())
    }

    fn step(&mut self, event: Event) {
        self.stage = next(self.stage, event).unwrap_or(self.stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        let stages = [Stage::Reset, Stage::Handshake, Stage::Exchange, Stage::Agreed];
        let events = [Event::PeerReset, Event::TlsFinished, Event::PeerExchange];
        let mut table = String::new();
        for stage in stages {
            for event in events {
                if let Some(to) = next(stage, event) {
                    table.push_str(&format!("{stage:?} + {event:?} = {to:?}\n"));
                }
            }
        }
        let expected = "Reset + PeerReset = Handshake\nHandshake + TlsFinished = Exchange\n\
                        Exchange + PeerExchange = Agreed\n";
        assert_eq!(table, expected);
    }
}
