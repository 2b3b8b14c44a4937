//! The vocabulary of `--json`: one object a line, the same types on both sides of every pipe.
//!
//! Times are RFC 3339 in `time`; a unit ends a field's name; ratios are 0..1 and end in `_ratio`; a
//! prefix is CIDR text. Fields are added, never renamed or retyped.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::proto::endpoint::Endpoint;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Object {
    /// What happened to a tunnel.
    Tunnel(Tunnel),
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
