//! What a session is told, and what it wants done.

use std::net::IpAddr;

use crate::proto::time::Instant;
use crate::proto::tunnel::assigned::Assigned;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::data::{Opener, Sealer};
use crate::proto::tunnel::liveness::Probe;
use crate::proto::tunnel::packet::KeyId;
use crate::proto::tunnel::session::Reason;
use crate::proto::tunnel::tls::PeerName;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A packet that is not data arrived from the peer's address.
    Packet(&'a [u8]),
    /// The deadline came.
    Timer,
    /// Data authenticated at that moment.
    Heard(Instant),
    /// A server's driver lets the client in.
    Admit(Admission),
    /// A server's driver does not let the client in, and tells it why.
    Refuse(&'static str),
    /// The keys are to be renewed now.
    Renegotiate,
    /// The peer said in a frame that it leaves.
    PeerExit,
    /// A frame was a probe of a native peer.
    Probe(Probe),
    /// Frames are sent, and nothing was heard for [`SILENCE`](crate::proto::tunnel::liveness::SILENCE).
    IntoSilence,
    /// We leave.
    Close,
}

/// What an admitted client is told.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// The number its data packets carry.
    pub peer_id: u32,
    /// Its address as we see it.
    pub external_ip: IpAddr,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Send a control packet.
    Send(Vec<u8>),
    /// A client proved who it is: decide, with [`Input::Admit`] or [`Input::Refuse`].
    Authenticated(PeerName),
    /// The tunnel is up.
    Established(Established),
    /// Open with this, too.
    Opener(Box<Opener>),
    /// Seal with this from now on.
    Sealer(Box<Sealer>),
    /// Open no more under this key.
    Forget(KeyId),
    /// Seal and send this.
    Frame(Vec<u8>),
    /// Nothing comes through any more; the tunnel stays until that has lasted for long.
    Silent,
    /// Something comes through again.
    Recovered,
    /// New keys are agreed.
    Rekeyed,
    /// The tunnel is over; nothing comes after.
    Closed(Reason),
}

/// What is known of a tunnel when it comes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Established {
    /// Who the peer is.
    pub peer: PeerName,
    /// How frames are protected.
    pub cipher: Cipher,
    /// Our address as the server sees it; only a client is told.
    pub external_ip: Option<IpAddr>,
    /// The peer is re6st, too, and the path is watched.
    pub native: bool,
    /// What else the server pushed; nothing for a server.
    pub assigned: Assigned,
}

/// A frame that only says that its sender is there. It is not for the interface.
pub const PING: [u8; 16] = [
    0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48,
];

/// A frame that says that its sender leaves.
pub const EXIT: [u8; 17] = [
    0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c,
    0x06,
];
