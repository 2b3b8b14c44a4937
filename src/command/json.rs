//! The vocabulary of `--json`: one object a line, the same types on both sides of every pipe.
//!
//! Times are RFC 3339 in `time`; a unit ends a field's name; ratios are 0..1 and end in `_ratio`; a
//! prefix is CIDR text. Fields are added, never renamed or retyped.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::proto::cidr::Cidr;
use crate::proto::endpoint::Endpoint;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Object {
    /// What happened to a tunnel.
    Tunnel(Tunnel),
    /// A member of the network.
    Node(Node),
}

/// A member of the network, or any host that can be a target of the ping matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What people call it; its common name if nothing better is known.
    pub name: String,
    /// Its name in its certificate, `1/16`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub common_name: Option<String>,
    /// Its part of the network.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prefix: Option<Cidr>,
    /// Its address in the network.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sdn: Option<Ipv6Addr>,
    /// Its IPv4 address in the underlay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address in the underlay.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ipv6: Option<Ipv6Addr>,
    /// The serial number of its certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serial: Option<u64>,
    /// When its certificate ends: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_after: Option<String>,
}

/// What happened to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// When: RFC 3339, UTC.
    pub time: String,
    /// The interface it has, or will have.
    pub interface: String,
    /// What happened.
    pub event: TunnelEvent,
    /// The peer's common name, once it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// Where the peer is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub endpoint: Option<Endpoint>,
    /// Why it went down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// What can happen to a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelEvent {
    /// A handshake began.
    Connecting,
    /// Frames pass.
    Up,
    /// No frame passes any more.
    Down,
}

/// Writes one object as one line on standard output, at once.
pub fn print(object: &Object) -> io::Result<()> {
    let mut line = serde_json::to_vec(object).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
