//! From the interface to the peer: read, seal, send.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::link::{Batch, Link};
use crate::os::tap::{HEADER_OCTETS, Tap};
use crate::proto::limits::DATAGRAM_OCTETS_MAX;
use crate::proto::tunnel::data::Sealer;

/// What the control loop wants of this direction, in order.
#[derive(Debug)]
pub enum OutwardOrder {
    /// Seal with this from now on.
    Sealer(Box<Sealer>),
    /// Seal and send this frame.
    Frame(&'static [u8]),
    /// The peer has moved.
    Address(SocketAddr),
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
    batch: Batch,
    frame: Vec<u8>,
}

/// Frames that are read before the batch is sent, so that the first does not wait for long.
const FRAMES_A_BATCH: usize = 64;

impl Outward {
    /// One that is to be run.
    pub fn new(
        tap: Arc<Tap>,
        link: Link,
        sealer: Box<Sealer>,
        orders: mpsc::UnboundedReceiver<OutwardOrder>,
        counters: Arc<Counters>,
    ) -> Self {
        let batch = link.batch();
        let frame = vec![0; HEADER_OCTETS + DATAGRAM_OCTETS_MAX];
        Self { tap, link, sealer, orders, counters, batch, frame }
    }

    /// Runs until it is told to stop, or the interface is gone.
    pub async fn run(mut self) {
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if !self.obey(order).await {
                    return;
                }
            }
            if self.read_batch().await.is_err() {
                return;
            }
            if self.batch.is_empty() {
                tokio::select! {
                    order = self.orders.recv() => {
                        let Some(order) = order else { return };
                        if !self.obey(order).await {
                            return;
                        }
                    }
                    readable = self.tap.readable() => if readable.is_err() { return },
                }
            } else {
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
                seal(&mut self.sealer, &mut self.batch, frame);
                self.flush().await;
            }
            OutwardOrder::Address(address) => self.link.set_address(address),
            OutwardOrder::Stop => return false,
        }
        true
    }

    async fn read_batch(&mut self) -> std::io::Result<()> {
        let (mut packets, mut octets) = (0, 0);
        for _ in 0..FRAMES_A_BATCH {
            let length = match self.tap.try_read(&mut self.frame) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let Some(frame) = self.frame.get(HEADER_OCTETS..length) else { continue };
            octets += frame.len() as u64;
            packets += 1;
            if !seal(&mut self.sealer, &mut self.batch, frame) {
                break;
            }
        }
        self.counters.sent(packets, octets);
        Ok(())
    }

    async fn flush(&mut self) {
        if let Err(error) = self.link.send_batch(&mut self.batch).await {
            tracing::debug!("{}: cannot send: {error}", self.tap.name());
        }
    }
}

/// Adds a sealed frame to the batch; whether another one fits.
fn seal(sealer: &mut Sealer, batch: &mut Batch, frame: &[u8]) -> bool {
    let overhead = sealer.overhead();
    let length = overhead + frame.len();
    let Some(packet) = batch.room(length) else { return false };
    packet[overhead..].copy_from_slice(frame);
    // A key that is used up sends nothing: the next one is on its way.
    if sealer.seal(packet).is_ok() {
        batch.commit(length);
    }
    batch.room(overhead + DATAGRAM_OCTETS_MAX).is_some()
}
