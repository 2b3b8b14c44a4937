//! TCP connections that carry packets, each behind its length (two octets, big endian).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Packets from a connection.
#[derive(Debug)]
pub struct PacketReader {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

/// Octets of a packet's length.
pub const LENGTH_OCTETS: usize = 2;

/// A peer's host that takes nothing for longer is gone, whatever else is allowed.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Octets that are read at once: the longest packet, and more.
const BUFFER_OCTETS: usize = 128 << 10;

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
    /// Reads from `stream`.
    pub fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, buffer: vec![0; BUFFER_OCTETS], from: 0, to: 0 }
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
        let unread = &self.buffer[self.from..self.to];
        let (length, rest) = unread.split_first_chunk::<LENGTH_OCTETS>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if rest.len() < length {
            return None;
        }
        let start = self.from + LENGTH_OCTETS;
        self.from = start + length;
        Some(&mut self.buffer[start..start + length])
    }
}
