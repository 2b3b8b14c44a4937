//! A netlink socket for requests: many in one system call, each refusal told apart.

use std::io;

use rtnetlink::packet_core::{NLM_F_ACK, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A request to the kernel, with its flags.
pub type Request = (RouteNetlinkMessage, u16);

/// A socket to the kernel of the network namespace it was opened in.
#[derive(Debug)]
pub struct Requests {
    socket: Socket,
    port: u32,
    sequence: u32,
}

impl Requests {
    /// Opens a netlink socket.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self { socket, port, sequence: 0 })
    }

    /// The number that the kernel knows it by.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Sends requests at once and waits for the last to be done; the errors and their places.
    pub fn request(&mut self, mut requests: Vec<Request>) -> io::Result<Vec<(usize, io::Error)>> {
        let Some(last) = requests.last_mut() else { return Ok(Vec::new()) };
        last.1 |= NLM_F_ACK;
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let first = self.sequence.wrapping_add(1);
        self.send(requests)?;
        let mut errors = Vec::new();
        let mut is_done = false;
        while !is_done {
            self.receive(|sequence, payload| {
                let place = sequence.wrapping_sub(first);
                if let NetlinkPayload::Error(message) = payload
                    && place < count
                {
                    is_done |= place == count - 1;
                    if message.code.is_some() {
                        errors.push((place as usize, message.to_io()));
                    }
                }
            })?;
        }
        Ok(errors)
    }

    /// Sends requests, of which answers to the last are awaited with [`receive`](Self::receive).
    pub fn send(&mut self, requests: Vec<Request>) -> io::Result<()> {
        let mut octets = Vec::new();
        for (payload, flags) in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::from(payload);
            message.header.flags = flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let start = octets.len();
            octets.resize((start + message.buffer_len()).next_multiple_of(4), 0);
            message.serialize(&mut octets[start..start + message.buffer_len()]);
        }
        self.socket.send(&octets, 0).map(drop)
    }

    /// Takes one datagram of answers; whether more of a list follow.
    pub fn receive(
        &self,
        mut take: impl FnMut(u32, NetlinkPayload<RouteNetlinkMessage>),
    ) -> io::Result<bool> {
        let (octets, _) = self.socket.recv_from_full()?;
        let mut rest = octets.as_slice();
        let mut more = true;
        while rest.len() >= HEADER_OCTETS {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let length = (message.header.length as usize).next_multiple_of(4);
            more &= !matches!(message.payload, NetlinkPayload::Done(_));
            take(message.header.sequence_number, message.payload);
            if length == 0 || length > rest.len() {
                break;
            }
            rest = &rest[length..];
        }
        Ok(more)
    }
}

const HEADER_OCTETS: usize = 16;
