//! The way to a peer, over either transport, and what goes it in one batch.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;

use crate::command::tunnel::particulars::Segments;
use crate::os::tcp::LENGTH_OCTETS;
use crate::os::udp::{Obstacle, Path, SEND_OCTETS_MAX, SEND_SEGMENTS_MAX, Udp};
use crate::proto::endpoint::Endpoint;

/// The way to a peer.
#[derive(Clone, Debug)]
pub enum Link {
    /// Datagrams, to the peer of a connected socket if there is no address.
    Udp(Arc<Udp>, Option<Path>),
    /// A connection; control and data take turns.
    Tcp(Arc<Mutex<OwnedWriteHalf>>),
}

/// Packets that are sent together.
#[derive(Debug)]
pub struct Batch {
    octets: Vec<u8>,
    used: usize,
    lengths: Vec<usize>,
    gap: usize,
    segments: bool,
}

/// Octets of a batch: two super-packets of the kernel, cut and sealed.
const BATCH_OCTETS: usize = 128 << 10;

/// Octets beyond which a batch waits for no more: nearly what one call sends. More would only leave the
/// processor's cache before it is sent.
const ENOUGH_OCTETS: usize = SEND_OCTETS_MAX / 4 * 3;

impl Link {
    /// Sends one control packet.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket, path) => socket.send(packet, *path).await,
            Self::Tcp(stream) => {
                let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
                let framed = [&length.to_be_bytes(), packet].concat();
                stream.lock().await.write_all(&framed).await
            }
        }
    }

    /// Sends a batch, which is empty then. What a full path does not take is lost, as on any link.
    pub async fn send_batch(&self, batch: &mut Batch) -> io::Result<()> {
        let sent = match self {
            Self::Udp(socket, path) => send_datagrams(socket, *path, batch).await,
            Self::Tcp(stream) => stream.lock().await.write_all(&batch.octets[..batch.used]).await,
        };
        batch.clear();
        sent
    }

    /// The path MTU towards a peer, if it matters here.
    pub fn path_mtu(&self, peer: Endpoint) -> Option<u32> {
        match self {
            Self::Udp(_, path) => path.unwrap_or(Path::to(peer.socket_address())).mtu().ok(),
            // TCP cuts what it carries itself.
            Self::Tcp(_) => None,
        }
    }

    /// Tells the kernel that the path takes datagrams of so many octets only, which nobody on it says: it
    /// cuts larger ones.
    pub fn tell_path_mtu(&self, peer: Endpoint, mtu: u32) -> io::Result<()> {
        match self {
            Self::Udp(socket, path) => {
                let path = path.unwrap_or(Path::to(peer.socket_address()));
                path.tell_mtu(socket.local_address()?.port(), mtu)
            }
            Self::Tcp(_) => Ok(()),
        }
    }

    /// Sends one packet whole, whatever the kernel was told of the path.
    pub async fn send_whole(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket, path) => socket.send_whole(packet, *path).await,
            Self::Tcp(_) => self.send(packet).await,
        }
    }

    /// What the kernel was told of the path is not so.
    pub fn forget_path_mtu(&self, peer: Endpoint) -> io::Result<()> {
        match self {
            Self::Udp(_, path) => path.unwrap_or(Path::to(peer.socket_address())).forget_mtu(),
            Self::Tcp(_) => Ok(()),
        }
    }

    /// An empty batch for this link.
    pub fn batch(&self, segments: Segments) -> Batch {
        let (gap, segments) = match self {
            Self::Udp(socket, _) => (0, segments == Segments::Auto && socket.can_segment()),
            Self::Tcp(_) => (LENGTH_OCTETS, false),
        };
        Batch { octets: vec![0; BATCH_OCTETS], used: 0, lengths: Vec::new(), gap, segments }
    }

    /// Datagrams go this way from now on.
    pub fn set_path(&mut self, path: Path) {
        if let Self::Udp(_, known) = self {
            *known = Some(path);
        }
    }
}

/// Neighbours of equal length go out in one call; a shorter one may be the last of them.
async fn send_datagrams(udp: &Udp, path: Option<Path>, batch: &mut Batch) -> io::Result<()> {
    let (mut from, mut at) = (0, 0);
    let mut failed = Ok(());
    while let Some(&segment) = batch.lengths.get(at) {
        let (mut octets, mut count) = (0, 0);
        while let Some(&length) = batch.lengths.get(at + count) {
            let full = count == SEND_SEGMENTS_MAX || octets + length > SEND_OCTETS_MAX;
            if length > segment || count > 0 && full {
                break;
            }
            octets += length;
            count += 1;
            if length < segment {
                break;
            }
        }
        let sent = send_equal(udp, path, batch, from..from + octets, segment).await;
        failed = failed.and(sent);
        from += octets;
        at += count;
    }
    failed
}

/// Sends datagrams of equal length: in one call, or one by one where the kernel, the device below or the
/// path does not allow that.
async fn send_equal(
    udp: &Udp,
    path: Option<Path>,
    batch: &mut Batch,
    octets: Range<usize>,
    segment: usize,
) -> io::Result<()> {
    if batch.segments && octets.len() > segment {
        let sent = udp.send_segments(&batch.octets[octets.clone()], segment, path).await;
        let Err(error) = sent else { return Ok(()) };
        match Obstacle::of(&error) {
            Some(Obstacle::Device) => {
                tracing::info!("the device below cannot segment UDP: one call for each packet");
                batch.segments = false;
            }
            // The kernel cuts each into fragments.
            Some(Obstacle::Path) => {}
            None => return Err(error),
        }
    }
    let mut failed = Ok(());
    for datagram in batch.octets[octets].chunks(segment) {
        failed = failed.and(udp.send(datagram, path).await);
    }
    failed
}

impl Batch {
    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Whether it is time to send it.
    pub const fn is_filling(&self) -> bool {
        self.used > ENOUGH_OCTETS
    }

    /// Room for a packet of `length` octets, which is part of the batch once committed; `None` when
    /// the batch must be sent first.
    pub fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let start = self.used + self.gap;
        self.octets.get_mut(start..start + length)
    }

    /// Makes the `length` octets in the room part of the batch.
    pub fn commit(&mut self, length: usize) {
        if self.gap == LENGTH_OCTETS {
            let prefix = u16::try_from(length).unwrap_or_default().to_be_bytes();
            self.octets[self.used..self.used + LENGTH_OCTETS].copy_from_slice(&prefix);
        }
        self.used += self.gap + length;
        self.lengths.push(length);
    }

    fn clear(&mut self) {
        self.used = 0;
        self.lengths.clear();
    }
}
