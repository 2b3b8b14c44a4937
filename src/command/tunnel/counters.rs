//! What a tunnel's data path counts, for its control loop to read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::command::tunnel::event::Statistics;
use crate::proto::time::Instant;
use crate::proto::tunnel::liveness::SILENCE;

/// Counters that one side writes and others read.
#[derive(Debug, Default)]
pub struct Counters {
    packets_in: AtomicU64,
    packets_out: AtomicU64,
    octets_in: AtomicU64,
    octets_out: AtomicU64,
    refused: AtomicU64,
    heard_micros: AtomicU64,
    expected: AtomicU64,
    into_silence: AtomicBool,
    silence: Notify,
    interface_gone: Notify,
}

impl Counters {
    /// Frames came from the peer and authenticated.
    pub fn received(&self, packets: u64, octets: u64, now: Instant) {
        add(&self.packets_in, packets);
        add(&self.octets_in, octets);
        let micros = u64::try_from(now.since_start().as_micros()).unwrap_or(u64::MAX);
        self.heard_micros.store(micros, Ordering::Relaxed);
    }

    /// Frames went to the peer.
    pub fn sent(&self, packets: u64, octets: u64) {
        add(&self.packets_out, packets);
        add(&self.octets_out, octets);
    }

    /// A packet did not authenticate, or came again.
    pub fn refused(&self) {
        add(&self.refused, 1);
    }

    /// So many packets were sealed by the peer, as far as is known.
    pub fn expect(&self, packets: u64) {
        self.expected.store(packets, Ordering::Relaxed);
    }

    /// Frames are sent: points out, once until [`Self::watch_again`], that nothing is heard.
    pub fn sending(&self, now: Instant) {
        if now - self.heard() > SILENCE && !self.into_silence.swap(true, Ordering::Relaxed) {
            self.silence.notify_one();
        }
    }

    /// Waits until frames are sent and nothing is heard.
    pub async fn into_silence(&self) {
        self.silence.notified().await;
    }

    /// Somebody removed the interface.
    pub fn lose_interface(&self) {
        self.interface_gone.notify_one();
    }

    /// Waits until somebody removed the interface.
    pub async fn interface_gone(&self) {
        self.interface_gone.notified().await;
    }

    /// Silence may be pointed out again.
    pub fn watch_again(&self) {
        self.into_silence.store(false, Ordering::Relaxed);
    }

    /// When the peer was heard last.
    pub fn heard(&self) -> Instant {
        Instant::ZERO + Duration::from_micros(self.heard_micros.load(Ordering::Relaxed))
    }

    /// All of them, as an event tells.
    pub fn statistics(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            packets_in: read(&self.packets_in),
            packets_out: read(&self.packets_out),
            octets_in: read(&self.octets_in),
            octets_out: read(&self.octets_out),
            refused: read(&self.refused),
            expected_in: read(&self.expected),
            ..Statistics::default()
        }
    }
}

/// Each counter has one writer: adding need not be atomic, only visible.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
