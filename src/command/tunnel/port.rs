//! The UDP port of a listener: one socket for all clients, each found by its address or its number.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::tunnel::inward::{Lane, LaneOrder, RECEIVES_A_TURN, is_data};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::reception::{Received, Reception};
use crate::os::udp::{Path, Udp};
use crate::proto::limits::DATAGRAM_OCTETS_MAX;
use crate::proto::time::Instant;
use crate::proto::tunnel::cookie::{Acknowledged, Proven, Stranger};
use crate::proto::tunnel::packet::{Opcode, SessionId, kind, session_id};

struct Port {
    udp: Arc<Udp>,
    reception: Reception,
    lanes: HashMap<u32, Lane>,
    /// Where control packets and data V1 come from, with the client's session.
    addresses: HashMap<SocketAddr, (u32, SessionId)>,
    /// Clients whose ClientHello is awaited.
    acknowledged: Acknowledged,
    orders: mpsc::UnboundedSender<(u32, LaneOrder)>,
    /// The lane that received last, and may hold frames back.
    busy: Option<u32>,
}

/// Serves the port for ever.
pub async fn run(udp: Arc<Udp>, reception: Reception) {
    let (sender, mut orders) = mpsc::unbounded_channel();
    let socket = Arc::clone(&udp);
    let (lanes, addresses) = (HashMap::new(), HashMap::new());
    let acknowledged = Acknowledged::default();
    let mut port =
        Port { udp, reception, lanes, addresses, acknowledged, orders: sender, busy: None };
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    let mut control = Udp::control_buffer();
    loop {
        tokio::select! {
            biased;
            Some((lane, order)) = orders.recv() => {
                port.obey(lane, order);
                continue;
            }
            readable = socket.readable() => if readable.is_err() { return },
        }
        for _ in 0..RECEIVES_A_TURN {
            // Besides "nothing there" an error is what ICMP says of some client: not of the port.
            let Ok(received) = socket.try_receive(&mut buffer, &mut control) else { break };
            let now = port.reception.clock.now();
            for packet in buffer[..received.octets].chunks_mut(received.segment) {
                port.handle(packet, received.path, now).await;
            }
        }
        port.flush();
    }
}

impl Port {
    fn obey(&mut self, lane: u32, order: LaneOrder) {
        let Some(found) = self.lanes.get_mut(&lane) else { return };
        if !found.obey(order) {
            self.lanes.remove(&lane);
            self.addresses.retain(|_, &mut (other, _)| other != lane);
        }
    }

    async fn handle(&mut self, packet: &mut [u8], path: Path, now: Instant) {
        if !is_data(packet) {
            return self.handle_control(packet, path, now).await;
        }
        let lane = match kind(packet[0]).0 {
            Some(Opcode::DataV2) if packet.len() >= 4 => {
                Some(u32::from_be_bytes([0, packet[1], packet[2], packet[3]]))
            }
            _ => self.addresses.get(&path.remote).map(|&(lane, _)| lane),
        };
        if lane != self.busy {
            self.flush();
        }
        self.busy = lane;
        if let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(&lane)) {
            lane.receive(packet, path, now);
        }
    }

    fn flush(&mut self) {
        let busy = self.busy.take();
        if let Some(lane) = busy.and_then(|lane| self.lanes.get_mut(&lane)) {
            lane.flush();
        }
    }

    async fn handle_control(&mut self, packet: &[u8], path: Path, now: Instant) {
        if let Some(&(lane, session)) = self.addresses.get(&path.remote)
            && session_id(packet) == Some(session)
        {
            if let Some(lane) = self.lanes.get(&lane) {
                lane.tell_control(packet);
            }
            return;
        }
        let acknowledged = self.acknowledged.get(path.remote);
        match self.reception.cookies.judge(packet, path.remote, acknowledged, now) {
            Stranger::Asks(answer) => {
                // Lost is lost: the client asks again.
                let _ = self.udp.send(&answer, Some(path)).await;
            }
            Stranger::Acknowledges(client) => self.acknowledged.insert(path.remote, *client),
            Stranger::Proven(proven) => self.receive(packet, path, *proven),
            Stranger::Noise => {}
        }
    }

    fn receive(&mut self, packet: &[u8], path: Path, proven: Proven) {
        let link = Link::Udp(Arc::clone(&self.udp), Some(path));
        let session = proven.remote;
        let received = self.reception.receive(path, proven, link, self.orders.clone());
        let Some(Received { peer_id, lane }) = received else { return };
        lane.tell_control(packet);
        self.lanes.insert(peer_id, lane);
        self.addresses.insert(path.remote, (peer_id, session));
    }
}
