//! From the peers to the interfaces: receive, find the tunnel, open, write.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::runtime;
use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::entry::Entry;
use crate::os::clock::Clock;
use crate::os::tap::Tap;
use crate::os::tcp::PacketReader;
use crate::os::udp::{Path, Udp};
use crate::proto::limits::{DATAGRAM_OCTETS_MAX, TUNNEL_CONTROL_OCTETS_MAX};
use crate::proto::time::Instant;
use crate::proto::tunnel::data::{Opener, Refused};
use crate::proto::tunnel::liveness::{MAGIC, PROBE_OCTETS, Probe};
use crate::proto::tunnel::mss;
use crate::proto::tunnel::packet::{KeyId, Opcode, kind};
use crate::proto::tunnel::session::{EXIT, PING};

/// What a tunnel's control loop hears from its data path.
#[derive(Debug)]
pub enum Heard {
    /// A packet that is not data.
    Packet(Vec<u8>),
    /// A native peer's probe.
    Probe(Probe),
    /// The peer leaves.
    Exit,
    /// The peer's data comes, authentic, from another address.
    Moved(Path),
    /// The connection ended.
    Disconnected,
}

/// What a control loop wants of its lane, in order.
#[derive(Debug)]
pub enum LaneOrder {
    /// Open with this, too.
    Opener(Box<Opener>),
    /// Open no more under this key.
    Forget(KeyId),
    /// Write frames there.
    Interface(Arc<Tap>),
    /// Packets have at most so many octets on the way back.
    PacketOctets(u32),
    /// End.
    Close,
}

/// Orders for one lane among all that one task serves.
#[derive(Clone, Debug)]
pub struct LaneOrders {
    /// The lane's number.
    pub lane: u32,
    /// Where the task takes orders.
    pub orders: mpsc::UnboundedSender<(u32, LaneOrder)>,
}

impl LaneOrders {
    /// Gives an order.
    pub fn send(&self, order: LaneOrder) {
        // The task is gone when everything ends: then nobody needs the lane.
        let _ = self.orders.send((self.lane, order));
    }
}

/// One tunnel's way in.
pub struct Lane {
    openers: [Option<Box<Opener>>; 8],
    entry: Option<Entry>,
    counters: Arc<Counters>,
    heard: mpsc::Sender<Heard>,
    /// Packets that the peer sealed under keys that are forgotten.
    expected_before: u64,
    packet_octets: u32,
    /// Where the peer is, and to which of our addresses it sends.
    pub path: Path,
}

impl Lane {
    /// One that opens nothing yet.
    pub fn new(path: Path, counters: Arc<Counters>, heard: mpsc::Sender<Heard>) -> Self {
        Self {
            openers: Default::default(),
            entry: None,
            counters,
            heard,
            expected_before: 0,
            packet_octets: u32::MAX,
            path,
        }
    }

    /// Does what the control loop wants; whether to go on.
    pub fn obey(&mut self, order: LaneOrder) -> bool {
        match order {
            LaneOrder::Opener(opener) => {
                let key_id = opener.key_id();
                self.forget(key_id);
                self.openers[usize::from(key_id)] = Some(opener);
            }
            LaneOrder::Forget(key_id) => self.forget(key_id),
            LaneOrder::PacketOctets(octets) => self.packet_octets = octets,
            LaneOrder::Interface(tap) => self.entry = Some(Entry::new(tap)),
            LaneOrder::Close => return false,
        }
        true
    }

    /// Hands something to the control loop. What does not fit is lost: a packet is repeated.
    pub fn tell(&self, heard: Heard) {
        let _ = self.heard.try_send(heard);
    }

    /// Hands a control packet to the control loop, unless it is longer than any.
    pub fn tell_control(&self, packet: &[u8]) {
        if packet.len() <= TUNNEL_CONTROL_OCTETS_MAX {
            self.tell(Heard::Packet(packet.to_vec()));
        }
    }

    /// Takes a data packet that came some way.
    pub fn receive(&mut self, packet: &mut [u8], path: Path, now: Instant) {
        let Some(&first) = packet.first() else { return };
        let length = packet.len();
        // Without a key, nobody can tell whose packet it is: at most it came too early.
        let Some(opener) = &mut self.openers[usize::from(first & 7)] else { return };
        let frame = match opener.open(packet) {
            Ok(frame) => frame.len(),
            Err(refused) => return self.refuse(refused),
        };
        if path != self.path {
            self.path = path;
            self.tell(Heard::Moved(path));
        }
        self.counters.received(1, frame as u64, now);
        runtime::carry(1);
        let start = length - frame;
        match &mut packet[start..] {
            frame if *frame == PING => {}
            frame if *frame == EXIT => self.tell(Heard::Exit),
            frame if frame.len() >= PROBE_OCTETS && frame.starts_with(&MAGIC) => {
                if let Some(probe) = Probe::parse(frame) {
                    self.tell(Heard::Probe(probe));
                }
            }
            frame => {
                if let Some(entry) = &mut self.entry {
                    mss::clamp(frame, entry.device(), self.packet_octets);
                    entry.push(frame);
                }
            }
        }
    }

    fn forget(&mut self, key_id: KeyId) {
        let old = self.openers[usize::from(key_id & 7)].take();
        self.expected_before += old.map_or(0, |old| u64::from(old.expected()));
    }

    /// Ends a turn: nothing more is at hand.
    pub fn flush(&mut self) {
        let openers = self.openers.iter().flatten();
        let expected: u64 = openers.map(|opener| u64::from(opener.expected())).sum();
        self.counters.expect(self.expected_before + expected);
        if let Some(entry) = &mut self.entry {
            entry.flush();
        }
    }

    fn refuse(&self, refused: Refused) {
        self.counters.refused();
        tracing::trace!("a packet from {} {refused}", self.path.remote);
    }
}

/// Serves the one lane of a connected socket, until it is closed.
pub async fn run_connected(
    udp: Arc<Udp>,
    mut lane: Lane,
    mut orders: mpsc::UnboundedReceiver<(u32, LaneOrder)>,
    clock: Clock,
) {
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    let mut control = Udp::control_buffer();
    let path = lane.path;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some((_, order)) = order else { return };
                if !lane.obey(order) {
                    return;
                }
                continue;
            }
            readable = udp.readable() => if readable.is_err() { return },
        }
        for _ in 0..RECEIVES_A_TURN {
            let received = match udp.try_receive(&mut buffer, &mut control) {
                Ok(received) => received,
                // Besides "nothing there" this is what ICMP says, which anybody can send: ignored.
                Err(_) => break,
            };
            let now = clock.now();
            for packet in buffer[..received.octets].chunks_mut(received.segment) {
                if is_data(packet) {
                    lane.receive(packet, path, now);
                } else {
                    lane.tell_control(packet);
                }
            }
        }
        lane.flush();
    }
}

/// Serves the one lane of a TCP connection, until it is closed or the connection ends.
pub async fn run_stream(
    mut reader: PacketReader,
    mut lane: Lane,
    mut orders: mpsc::UnboundedReceiver<(u32, LaneOrder)>,
    clock: Clock,
) {
    let path = lane.path;
    loop {
        let now = clock.now();
        while let Some(packet) = reader.next_packet() {
            if is_data(packet) {
                lane.receive(packet, path, now);
            } else {
                lane.tell_control(packet);
            }
        }
        lane.flush();
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some((_, order)) = order else { return };
                if matches!(order, LaneOrder::Interface(_)) {
                    reader.expect_any_length();
                }
                if !lane.obey(order) {
                    return;
                }
            }
            filled = reader.fill() => if filled.is_err() {
                return lane.tell(Heard::Disconnected);
            },
        }
    }
}

/// Whether a packet is a frame, and not of the control channel.
pub fn is_data(packet: &[u8]) -> bool {
    let opcode = packet.first().and_then(|&first| kind(first).0);
    matches!(opcode, Some(Opcode::DataV1 | Opcode::DataV2))
}

/// How often a task receives before it looks at its orders again.
pub const RECEIVES_A_TURN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tunnel::cipher::Cipher;
    use crate::proto::tunnel::data::{DirectionKey, Sealer};

    /// Who only knows a client's number cannot have its packets sent to him.
    #[test]
    fn a_tunnel_moves_to_where_its_packets_come_from_and_not_for_forged_or_repeated_ones() {
        let key = DirectionKey { cipher: [7; 64], hmac: [9; 64] };
        let mut sealer = Sealer::new(Cipher::Aes256Gcm, &key, 0, Some(3));
        let (heard, mut told) = mpsc::channel(8);
        let path = |text: &str| Path::to(text.parse().unwrap());
        let (home, away) = (path("192.0.2.1:9"), path("192.0.2.2:9"));
        let mut lane = Lane::new(home, Arc::new(Counters::default()), heard);
        lane.obey(LaneOrder::Opener(Box::new(Opener::new(Cipher::Aes256Gcm, &key, 0))));
        let mut sealed = || {
            let mut packet = vec![0; sealer.overhead() + PING.len()];
            packet[sealer.overhead()..].copy_from_slice(&PING);
            sealer.seal(&mut packet).unwrap();
            packet
        };
        let first = sealed();
        lane.receive(&mut first.clone(), home, Instant::ZERO);
        let mut forged = sealed();
        *forged.last_mut().unwrap() ^= 1;
        for mut packet in [forged, first] {
            lane.receive(&mut packet, away, Instant::ZERO);
            assert!(lane.path == home && told.try_recv().is_err());
        }
        lane.receive(&mut sealed(), away, Instant::ZERO);
        assert!(lane.path == away);
        assert!(matches!(told.try_recv(), Ok(Heard::Moved(path)) if path == away));
    }
}
