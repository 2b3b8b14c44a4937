//! From the interface to the peer: read, seal, send.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::runtime;
use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::link::{Batch, Link};
use crate::os::clock::Clock;
use crate::os::tap::Tap;
use crate::os::udp::Path;
use crate::proto::limits::TUNNEL_SUPER_FRAME_OCTETS_MAX;
use crate::proto::tunnel::data::Sealer;
use crate::proto::tunnel::mss;
use crate::proto::tunnel::segment::Segments;
use crate::proto::tunnel::virtio::VirtioHeader;

/// What the control loop wants of this direction, in order.
#[derive(Debug)]
pub enum OutwardOrder {
    /// Seal with this from now on.
    Sealer(Box<Sealer>),
    /// Seal and send this frame.
    Frame(Vec<u8>),
    /// Seal this frame and send it whole, whatever the kernel was told of the path.
    Whole(Vec<u8>),
    /// The peer has moved.
    Path(Path),
    /// Packets have at most so many octets on the way.
    PacketOctets(u32),
    /// Send what is under way, and end.
    Stop,
}

/// One tunnel's way out.
pub struct Outward {
    tap: Arc<Tap>,
    link: Link,
    sealer: Box<Sealer>,
    orders: mpsc::UnboundedReceiver<OutwardOrder>,
    counters: Arc<Counters>,
    clock: Clock,
    batch: Batch,
    frame: Vec<u8>,
    packet_octets: u32,
}

/// Reads before the batch is sent, so that the first frame does not wait for long.
const READS_A_BATCH: usize = 64;

impl Outward {
    /// One that is to be run.
    pub fn new(
        tap: Arc<Tap>,
        link: Link,
        sealer: Box<Sealer>,
        orders: mpsc::UnboundedReceiver<OutwardOrder>,
        counters: Arc<Counters>,
        clock: Clock,
        batch: Batch,
    ) -> Self {
        let frame = vec![0; VirtioHeader::OCTETS + TUNNEL_SUPER_FRAME_OCTETS_MAX];
        let packet_octets = u32::MAX;
        Self { tap, link, sealer, orders, counters, clock, batch, frame, packet_octets }
    }

    /// Runs until it is told to stop. When the interface is gone, that is pointed out, and what the
    /// control loop still has to say is sent.
    pub async fn run(mut self) {
        if self.carry().await.is_ok() {
            return;
        }
        self.counters.lose_interface();
        while let Some(order) = self.orders.recv().await {
            if !self.obey(order).await {
                return;
            }
        }
    }

    /// Carries frames until it is told to stop.
    async fn carry(&mut self) -> io::Result<()> {
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if !self.obey(order).await {
                    return Ok(());
                }
            }
            self.read_batch().await?;
            if self.batch.is_empty() {
                tokio::select! {
                    order = self.orders.recv() => {
                        let Some(order) = order else { return Ok(()) };
                        if !self.obey(order).await {
                            return Ok(());
                        }
                    }
                    readable = self.tap.readable() => readable?,
                }
            } else {
                self.counters.sending(self.clock.now());
                self.flush().await;
                tokio::task::consume_budget().await;
            }
        }
    }

    /// Whether to go on.
    async fn obey(&mut self, order: OutwardOrder) -> bool {
        match order {
            OutwardOrder::Sealer(sealer) => self.sealer = sealer,
            OutwardOrder::Frame(frame) => {
                self.seal(&frame);
                self.flush().await;
            }
            OutwardOrder::Whole(frame) => self.send_whole(&frame).await,
            OutwardOrder::Path(path) => self.link.set_path(path),
            OutwardOrder::PacketOctets(octets) => self.packet_octets = octets,
            OutwardOrder::Stop => return false,
        }
        true
    }

    async fn read_batch(&mut self) -> io::Result<()> {
        for _ in 0..READS_A_BATCH {
            let length = match self.tap.try_read(&mut self.frame) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.seal_read(length).await;
            if self.batch.is_filling() {
                break;
            }
        }
        Ok(())
    }

    /// Cuts what was read, and seals each segment where it is sent from.
    async fn seal_read(&mut self, length: usize) {
        let Self { tap, link, sealer, counters, batch, frame, packet_octets, .. } = self;
        let (mut packets, mut octets) = (0_u32, 0);
        let mut segments = match Segments::of(&frame[..length], tap.device()) {
            Ok(segments) => segments,
            Err(error) => return tracing::debug!("{}: a frame is dropped: {error}", tap.name()),
        };
        // A SYN is never part of a super-frame.
        let is_single = segments.is_single();
        let overhead = sealer.overhead();
        let longest = overhead + segments.longest();
        loop {
            let Some(packet) = batch.room(longest) else {
                if batch.is_empty() {
                    return;
                }
                send(link, batch, tap).await;
                continue;
            };
            let Some(length) = segments.write_next(&mut packet[overhead..]) else { break };
            if is_single {
                let frame = &mut packet[overhead..overhead + length];
                mss::clamp(frame, tap.device(), *packet_octets);
            }
            // A key that is used up sends nothing: the next one is on its way.
            if sealer.seal(&mut packet[..overhead + length]).is_ok() {
                batch.commit(overhead + length);
                octets += length as u64;
                packets += 1;
            }
        }
        counters.sent(u64::from(packets), octets);
        runtime::carry(packets);
    }

    fn seal(&mut self, frame: &[u8]) {
        let overhead = self.sealer.overhead();
        let length = overhead + frame.len();
        let Some(packet) = self.batch.room(length) else { return };
        packet[overhead..].copy_from_slice(frame);
        if self.sealer.seal(packet).is_ok() {
            self.batch.commit(length);
        }
    }

    async fn send_whole(&mut self, frame: &[u8]) {
        let mut packet = [&vec![0; self.sealer.overhead()], frame].concat();
        if self.sealer.seal(&mut packet).is_ok() {
            // Whether it arrived is what this is about.
            let _ = self.link.send_whole(&packet).await;
        }
    }

    async fn flush(&mut self) {
        send(&self.link, &mut self.batch, &self.tap).await;
    }
}

async fn send(link: &Link, batch: &mut Batch, tap: &Tap) {
    if let Err(error) = link.send_batch(batch).await {
        tracing::debug!("{}: cannot send: {error}", tap.name());
    }
}
