//! Control packets arrive in order and once, or are repeated until they do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::proto::limits::{TUNNEL_BACKLOG_OCTETS, TUNNEL_RECEIVE_WINDOW, TUNNEL_SEND_WINDOW};
use crate::proto::time::{Instant, earliest};
use crate::proto::tunnel::packet::{ACKS_MAX, Acks, Opcode};

/// The first repetition; each further one waits twice as long.
const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// The longest wait between repetitions.
const LAST_REPEAT: Duration = Duration::from_secs(8);
/// A packet is repeated at once when so many later ones were acknowledged: it was lost, not late.
const OVERTAKEN: u8 = 2;
/// Acknowledgements that travel with a control packet; OpenVPN 2.4 reads no more there.
const ACKS_ABOARD: usize = 4;

/// Both directions of one negotiation's control packets.
#[derive(Debug, Default)]
pub struct Reliability {
    next_number: u32,
    waiting: VecDeque<(Opcode, Vec<u8>)>,
    waiting_octets: usize,
    in_flight: VecDeque<InFlight>,
    next_expected: u32,
    ahead: BTreeMap<u32, (Opcode, Vec<u8>)>,
    to_acknowledge: VecDeque<u32>,
    acknowledged_lately: VecDeque<u32>,
}

/// A packet to send now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// What it is.
    pub opcode: Opcode,
    /// Its number; none for a mere acknowledgement.
    pub packet_id: Option<u32>,
    /// What it acknowledges.
    pub acks: Acks,
    /// TLS.
    pub payload: Vec<u8>,
}

/// What became of a packet that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is new, and kept until [`Reliability::take`] gives it.
    New,
    /// It came before.
    Repeated,
    /// It is too far ahead of what is missing.
    TooEarly,
}

/// The peer acknowledges nothing, and more and more waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer acknowledges nothing")]
pub struct Clogged;

#[derive(Debug)]
struct InFlight {
    number: u32,
    opcode: Opcode,
    payload: Vec<u8>,
    due: Instant,
    wait: Duration,
    overtaken: u8,
}

impl Reliability {
    /// One whose first packets, the resets, have already gone both ways.
    pub fn after_resets() -> Self {
        Self { next_number: 1, next_expected: 1, ..Self::default() }
    }

    /// Takes a packet to send.
    pub fn push(&mut self, opcode: Opcode, payload: Vec<u8>) -> Result<(), Clogged> {
        self.waiting_octets += payload.len();
        if self.waiting_octets > TUNNEL_BACKLOG_OCTETS {
            return Err(Clogged);
        }
        self.waiting.push_back((opcode, payload));
        Ok(())
    }

    /// Takes what a peer acknowledged; numbers acknowledged before, or never sent, change nothing.
    pub fn acknowledged(&mut self, acks: &[u32], now: Instant) {
        for &number in acks {
            if !self.in_flight.iter().any(|packet| packet.number == number) {
                continue;
            }
            self.in_flight.retain(|packet| packet.number != number);
            for earlier in self.in_flight.iter_mut().filter(|packet| packet.number < number) {
                earlier.overtaken = earlier.overtaken.saturating_add(1);
                if earlier.overtaken == OVERTAKEN {
                    earlier.due = now;
                }
            }
        }
    }

    /// Takes a packet that arrived. Whatever came before is acknowledged again, for our first
    /// acknowledgement may have been lost.
    pub fn arrived(&mut self, number: u32, opcode: Opcode, payload: &[u8]) -> Arrival {
        if number >= self.next_expected.saturating_add(TUNNEL_RECEIVE_WINDOW) {
            return Arrival::TooEarly;
        }
        if self.to_acknowledge.len() < ACKS_MAX && !self.to_acknowledge.contains(&number) {
            self.to_acknowledge.push_back(number);
        }
        if number < self.next_expected || self.ahead.contains_key(&number) {
            return Arrival::Repeated;
        }
        self.ahead.insert(number, (opcode, payload.to_vec()));
        Arrival::New
    }

    /// The next packet in order, if it has arrived.
    pub fn take(&mut self) -> Option<(Opcode, Vec<u8>)> {
        let packet = self.ahead.remove(&self.next_expected)?;
        self.next_expected += 1;
        Some(packet)
    }

    /// Whether everything sent was acknowledged.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// What to send now: what is new, what is due again, and acknowledgements.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        for at in 0..self.in_flight.len() {
            if self.in_flight[at].due <= now {
                let acks = self.acks_aboard();
                let packet = &mut self.in_flight[at];
                packet.wait = (packet.wait * 2).min(LAST_REPEAT);
                packet.due = now + packet.wait;
                out.push(packet.outgoing(acks));
            }
        }
        while self.in_flight.len() < TUNNEL_SEND_WINDOW {
            let Some((opcode, payload)) = self.waiting.pop_front() else { break };
            self.waiting_octets -= payload.len();
            let (number, due) = (self.next_number, now + FIRST_REPEAT);
            self.next_number += 1;
            let packet =
                InFlight { number, opcode, payload, due, wait: FIRST_REPEAT, overtaken: 0 };
            out.push(packet.outgoing(self.acks_aboard()));
            self.in_flight.push_back(packet);
        }
        if !self.to_acknowledge.is_empty() {
            let acks = Acks::of(self.to_acknowledge.drain(..));
            self.remember(acks);
            out.push(Outgoing { opcode: Opcode::Ack, packet_id: None, acks, payload: Vec::new() });
        }
    }

    /// When [`Self::poll`] has something to repeat.
    pub fn deadline(&self) -> Option<Instant> {
        self.in_flight.iter().fold(None, |due, packet| earliest(due, Some(packet.due)))
    }

    /// New acknowledgements first, then those given lately: a server that keeps no state before it is
    /// acknowledged must find that in a packet that is repeated.
    fn acks_aboard(&mut self) -> Acks {
        let new: Vec<u32> =
            self.to_acknowledge.drain(..self.to_acknowledge.len().min(ACKS_ABOARD)).collect();
        let lately =
            self.acknowledged_lately.iter().copied().filter(|number| !new.contains(number));
        let acks = Acks::of(new.iter().copied().chain(lately).take(ACKS_ABOARD));
        self.remember(Acks::of(new));
        acks
    }

    fn remember(&mut self, acks: Acks) {
        for &number in acks.as_slice() {
            self.acknowledged_lately.retain(|&known| known != number);
            self.acknowledged_lately.push_front(number);
        }
        self.acknowledged_lately.truncate(ACKS_ABOARD);
    }
}

impl InFlight {
    fn outgoing(&self, acks: Acks) -> Outgoing {
        let (opcode, payload) = (self.opcode, self.payload.clone());
        Outgoing { opcode, packet_id: Some(self.number), acks, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn poll(reliability: &mut Reliability, now: Instant) -> Vec<Outgoing> {
        let mut out = Vec::new();
        reliability.poll(now, &mut out);
        out
    }

    fn numbers(out: &[Outgoing]) -> Vec<Option<u32>> {
        out.iter().map(|packet| packet.packet_id).collect()
    }

    #[test]
    fn four_are_in_flight_and_the_fifth_waits_for_an_acknowledgement() {
        let mut sender = Reliability::default();
        for octet in 0..6 {
            sender.push(Opcode::Control, vec![octet]).unwrap();
        }
        let four = [Some(0), Some(1), Some(2), Some(3)];
        assert_eq!(numbers(&poll(&mut sender, at(0))), four);
        assert!(poll(&mut sender, at(999)).is_empty());
        sender.acknowledged(&[1, 1, 77], at(999));
        assert_eq!(numbers(&poll(&mut sender, at(999))), [Some(4)]);
    }

    #[test]
    fn repetitions_come_after_one_two_four_and_eight_seconds() {
        let mut sender = Reliability::default();
        sender.push(Opcode::Control, vec![1]).unwrap();
        let mut sent = Vec::new();
        for second in 0..30 {
            if !poll(&mut sender, at(second * 1000)).is_empty() {
                sent.push(second);
            }
        }
        assert_eq!(sent, [0, 1, 3, 7, 15, 23]);
    }

    #[test]
    fn an_overtaken_packet_is_repeated_at_once() {
        let mut sender = Reliability::default();
        for octet in 0..3 {
            sender.push(Opcode::Control, vec![octet]).unwrap();
        }
        poll(&mut sender, at(0));
        sender.acknowledged(&[1, 2], at(50));
        assert_eq!(numbers(&poll(&mut sender, at(50))), [Some(0)]);
    }

    #[test]
    fn what_arrives_in_disorder_comes_out_in_order_and_once() {
        let mut receiver = Reliability::default();
        assert_eq!(receiver.arrived(1, Opcode::Control, b"b"), Arrival::New);
        assert_eq!(receiver.take(), None);
        assert_eq!(receiver.arrived(0, Opcode::Control, b"a"), Arrival::New);
        assert_eq!(receiver.arrived(1, Opcode::Control, b"b"), Arrival::Repeated);
        assert_eq!(receiver.arrived(8, Opcode::Control, b"z"), Arrival::TooEarly);
        assert_eq!(receiver.take(), Some((Opcode::Control, b"a".to_vec())));
        assert_eq!(receiver.take(), Some((Opcode::Control, b"b".to_vec())));
        assert_eq!(receiver.arrived(0, Opcode::Control, b"a"), Arrival::Repeated);
        let out = poll(&mut receiver, at(0));
        assert_eq!(out[0].opcode, Opcode::Ack);
        assert_eq!(out[0].acks.as_slice(), [1, 0]);
    }

    #[test]
    fn an_acknowledgement_travels_with_what_is_sent_and_again_with_its_repetition() {
        let mut end = Reliability::default();
        end.arrived(0, Opcode::HardResetServer, b"");
        end.push(Opcode::Control, vec![1]).unwrap();
        let out = poll(&mut end, at(0));
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].acks.as_slice(), [0]);
        let out = poll(&mut end, at(1000));
        assert_eq!(out[0].acks.as_slice(), [0]);
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_is_noticed() {
        let mut sender = Reliability::default();
        let clogged = (0..1000).find(|_| sender.push(Opcode::Control, vec![0; 1000]).is_err());
        assert_eq!(clogged, Some(TUNNEL_BACKLOG_OCTETS / 1000));
    }
}
