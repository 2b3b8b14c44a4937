//! TCP connections that carry packets, each behind its length (two octets, big endian).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::proto::limits::TUNNEL_CONTROL_OCTETS_MAX;

/// Packets from a connection.
#[derive(Debug)]
pub struct PacketReader {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Octets of a packet; a longer one is dropped.
    packet_max: usize,
    /// Octets of a dropped packet that are still to come.
    dropping: usize,
}

/// Octets of a packet's length.
pub const LENGTH_OCTETS: usize = 2;

/// A peer's host that takes nothing for longer is gone, whatever else is allowed.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Octets that are read at once: the longest packet, and more.
const BUFFER_OCTETS: usize = 128 << 10;

/// The same before the tunnel is up, when a peer may be anybody.
const FIRST_BUFFER_OCTETS: usize = 2 * TUNNEL_CONTROL_OCTETS_MAX;

/// Waits for connections at `address`.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    if address.is_ipv6() {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// Sends small packets at once, and gives up when the peer's host takes nothing for `silence`.
pub fn prepare(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(silence.min(SILENCE_MAX)))
}

impl PacketReader {
    /// Reads from `stream`; packets that are longer than a control packet are dropped at first.
    pub fn new(stream: OwnedReadHalf) -> Self {
        let (buffer, packet_max) = (vec![0; FIRST_BUFFER_OCTETS], TUNNEL_CONTROL_OCTETS_MAX);
        Self { stream, buffer, from: 0, to: 0, packet_max, dropping: 0 }
    }

    /// From now on packets may have any length: the tunnel is up.
    pub fn expect_any_length(&mut self) {
        self.packet_max = usize::from(u16::MAX);
        self.buffer.resize(BUFFER_OCTETS, 0);
    }

    /// Waits for more octets; an error at the end of the connection. May be cancelled.
    pub async fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        match self.stream.read(&mut self.buffer[self.to..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.to += count;
                Ok(())
            }
        }
    }

    /// The next complete packet among the octets that are there.
    pub fn next_packet(&mut self) -> Option<&mut [u8]> {
        let (start, length) = loop {
            let dropped = self.dropping.min(self.to - self.from);
            self.dropping -= dropped;
            self.from += dropped;
            let unread = &self.buffer[self.from..self.to];
            let (length, rest) = unread.split_first_chunk::<LENGTH_OCTETS>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length > self.packet_max {
                self.from += LENGTH_OCTETS;
                self.dropping = length;
            } else if rest.len() < length {
                return None;
            } else {
                break (self.from + LENGTH_OCTETS, length);
            }
        };
        self.from = start + length;
        Some(&mut self.buffer[start..start + length])
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Packets as a reader gets them that are written in pieces of so many octets.
    async fn read_in_pieces(packets: &[Vec<u8>], octets: usize, any_length: bool) -> Vec<Vec<u8>> {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&sender, Duration::from_secs(1)).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (stream, _writer) = stream.into_split();
        let mut reader = PacketReader::new(stream);
        if any_length {
            reader.expect_any_length();
        }
        let framed = |packet: &Vec<u8>| [&(packet.len() as u16).to_be_bytes()[..], packet].concat();
        let stream: Vec<u8> = packets.iter().flat_map(framed).collect();
        let mut came = Vec::new();
        for piece in stream.chunks(octets) {
            sender.write_all(piece).await.unwrap();
            reader.fill().await.unwrap();
            while let Some(packet) = reader.next_packet() {
                came.push(packet.to_vec());
            }
        }
        drop(sender);
        while reader.fill().await.is_ok() {
            while let Some(packet) = reader.next_packet() {
                came.push(packet.to_vec());
            }
        }
        came
    }

    #[tokio::test]
    async fn packets_come_whole_however_the_connection_cuts_them() {
        let lengths = [1, 0, 7, 1_400, 2, 300];
        let mut packets: Vec<Vec<u8>> = lengths.map(|length| vec![length as u8; length]).to_vec();
        for octets in [1, 2, 3, 5, 400, 1 << 20] {
            assert_eq!(read_in_pieces(&packets, octets, true).await, packets, "{octets} at a time");
        }
        packets.push(vec![9; usize::from(u16::MAX)]);
        packets.push(vec![1]);
        assert_eq!(read_in_pieces(&packets, 1_000, true).await, packets, "the longest");
    }

    #[tokio::test]
    async fn long_packets_are_dropped_before_the_tunnel_is_up() {
        let lengths = [1, TUNNEL_CONTROL_OCTETS_MAX + 1, 7, 65_535, TUNNEL_CONTROL_OCTETS_MAX, 3];
        let packets = lengths.map(|length| vec![length as u8; length]).to_vec();
        let short: Vec<_> =
            packets.iter().filter(|it| it.len() <= TUNNEL_CONTROL_OCTETS_MAX).cloned().collect();
        for octets in [1_000, 4_096, 1 << 20] {
            assert_eq!(read_in_pieces(&packets, octets, false).await, short, "{octets} at a time");
        }
    }
}
