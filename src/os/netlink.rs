//! A netlink socket for requests: many in one system call, each refusal told apart.

use std::io;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tracing::debug;

use crate::proto::limits;

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
            self.receive(|message| {
                let place = message.header.sequence_number.wrapping_sub(first);
                if let NetlinkPayload::Error(error) = message.payload
                    && place < count
                {
                    is_done |= place == count - 1;
                    if error.code.is_some() {
                        errors.push((place as usize, error.to_io()));
                    }
                }
            })?;
        }
        Ok(errors)
    }

    /// A list of the kernel's: what `take` makes of each entry. One that changed while it was told may lack
    /// some, and is asked for again; if it never rests, all that was told is taken, some of it several
    /// times. What a kernel was built without, it has none of.
    pub fn list<T>(
        &mut self,
        wanted: &RouteNetlinkMessage,
        mut take: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..limits::KERNEL_LISTS_MAX {
            let before = found.len();
            if self.list_once(wanted, |entry| found.extend(take(entry)))? == List::Whole {
                found.drain(..before);
                break;
            }
        }
        Ok(found)
    }

    /// A list of routes. Of IPv6 ones the kernel leaves some out if others come and go meanwhile, and does not
    /// say so: what it tells twice alike is believed, and if it never rests, all that was told is taken.
    pub fn list_routes<T: PartialEq>(
        &mut self,
        wanted: &RouteMessage,
        mut take: impl FnMut(RouteMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let wanted = RouteNetlinkMessage::GetRoute(wanted.clone());
        let mut all = Vec::new();
        let mut before = None;
        for _ in 0..limits::KERNEL_LISTS_MAX {
            let now = self.list(&wanted, |entry| match entry {
                RouteNetlinkMessage::NewRoute(route) => take(route),
                _ => None,
            })?;
            if before.as_ref() == Some(&now) {
                return Ok(now);
            }
            all.extend(before.replace(now).into_iter().flatten());
        }
        all.extend(before.into_iter().flatten());
        Ok(all)
    }

    fn list_once(
        &mut self,
        wanted: &RouteNetlinkMessage,
        mut take: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<List> {
        self.send(vec![(wanted.clone(), NLM_F_REQUEST | NLM_F_DUMP)])?;
        let sequence = self.sequence;
        let mut list = List::Whole;
        let mut end = None;
        while end.is_none() {
            self.receive(|message| {
                if message.header.sequence_number != sequence {
                    return;
                }
                if message.header.flags & NLM_F_DUMP_INTR != 0 {
                    list = List::Interrupted;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(entry) => take(entry),
                    NetlinkPayload::Done(done) => end = Some(done.code),
                    NetlinkPayload::Error(error) => end = Some(error.raw_code()),
                    _ => {}
                }
            })?;
        }
        match end.unwrap_or(0).saturating_neg() {
            error @ 1.. if !matches!(error, libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => {
                Err(io::Error::from_raw_os_error(error))
            }
            _ => Ok(list),
        }
    }

    fn send(&mut self, requests: Vec<Request>) -> io::Result<()> {
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

    /// Takes one datagram of answers.
    fn receive(&self, take: impl FnMut(NetlinkMessage<RouteNetlinkMessage>)) -> io::Result<()> {
        let (octets, _) = self.socket.recv_from_full()?;
        messages(&octets).for_each(take);
        Ok(())
    }
}

/// The messages of a datagram; what this program does not understand is left out.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> {
    let mut rest = datagram;
    let one = std::iter::from_fn(move || {
        let (length, _) = rest.split_first_chunk()?;
        let length = u32::from_ne_bytes(*length) as usize;
        if length < HEADER_OCTETS || length > rest.len() {
            return None;
        }
        let message = &rest[..length];
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    });
    one.filter_map(|octets| {
        let message = NetlinkMessage::deserialize(octets);
        message.inspect_err(|error| debug!("a netlink message makes no sense: {error}")).ok()
    })
}

/// How a list was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    /// As it was at one moment.
    Whole,
    /// It changed meanwhile.
    Interrupted,
}

const HEADER_OCTETS: usize = 16;
