//! The vocabulary of `--json`: one object a line, the same types on both sides of every pipe.
//!
//! Times are RFC 3339 in `time`; a unit ends a field's name; ratios are 0..1 and end in `_ratio`; a
//! prefix is CIDR text. Fields are added, never renamed or retyped.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::proto::cidr::Cidr;
use crate::proto::endpoint::Endpoint;
use crate::proto::matrix::ping::Ping;
use crate::proto::matrix::verdict::Verdict;
use crate::proto::terminal;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Object {
    /// What happened to a tunnel.
    Tunnel(Tunnel),
    /// A member of the network.
    Node(Node),
    /// A certificate.
    Certificate(Certificate),
    /// What is worth one certificate.
    Token(Token),
    /// A network, as its registry knows it.
    Network(Network),
    /// A certificate that was ended.
    Revoked(Revoked),
    /// What is wrong with a database.
    Problem(Problem),
    /// How a running node is.
    NodeStatus(NodeStatus),
    /// Another node, as a running node knows it.
    Peer(Peer),
    /// A way to another node, as a running node has it.
    NodeRoute(NodeRoute),
    /// A link that a router runs on.
    Interface(Interface),
    /// A router heard on a link.
    Neighbour(Neighbour),
    /// A way to a prefix.
    Route(Route),
    /// A prefix that a router originates.
    Announcement(Announcement),
    /// What one source measured to one target over one plane.
    Ping(Ping),
    /// What all measurements say, summed up.
    Verdict(Verdict),
}

/// What became of something since it was shown last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is there now.
    Added,
    /// It is other than it was.
    Changed,
    /// It is there no longer.
    Removed,
}

/// A link that a router runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// What became of it; absent where the present is shown, not its changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<Change>,
    /// Its name.
    pub interface: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Our link-local address on it.
    pub address: Ipv6Addr,
}

/// A router heard on a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// What became of it; absent where the present is shown, not its changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<Change>,
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// The link.
    pub interface: String,
    /// Which of its last 16 Hellos arrived, the latest in the highest of 16 bits.
    pub reach: u16,
    /// What it costs it to reach us; null if it cannot.
    pub rxcost: Option<u16>,
    /// What it says it costs to reach it, delay apart; null if it does not hear us.
    pub txcost: Option<u16>,
    /// What it costs to reach it in all; null if that is not possible.
    pub cost: Option<u16>,
    /// The smoothed round trip; null if it was not measured.
    pub rtt_us: Option<u32>,
    /// What its cost is multiplied with; 0 if it is not to be used.
    pub multiplier_ratio: f64,
}

/// A way to a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What became of it; absent where the present is shown, not its changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<Change>,
    /// Where it leads.
    pub prefix: Cidr,
    /// Which packets take it; absent if all do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Cidr>,
    /// How far it is; null if it was retracted or its neighbour cannot be reached.
    pub metric: Option<u16>,
    /// How far it is for the neighbour; 0 if that originates it, null if it was retracted.
    pub refmetric: Option<u16>,
    /// Who originates it.
    pub router_id: String,
    /// How fresh the originator's announcement is.
    pub seqno: u16,
    /// Where packets are sent.
    pub next_hop: IpAddr,
    /// The link.
    pub interface: String,
    /// Whether packets take it.
    pub installed: bool,
    /// Whether taking it could not cause a loop.
    pub feasible: bool,
}

/// A prefix that a router originates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// What became of it; absent where the present is shown, not its changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<Change>,
    /// Where it leads.
    pub prefix: Cidr,
    /// Which packets take it; absent if all do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Cidr>,
    /// How far it is said to be.
    pub metric: u16,
}

/// How a running node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// When: RFC 3339, UTC.
    pub time: String,
    /// Its name in its certificate, `1/16`.
    pub common_name: String,
    /// Its part of the network.
    pub prefix: Option<Cidr>,
    /// Its address in the network.
    pub sdn: Option<Ipv6Addr>,
    /// The network.
    pub network: Cidr,
    /// Where the registry is.
    pub registry: String,
    /// Whether the registry's node is in sight, or believed to be well.
    pub connected: bool,
    /// The number of the network's configuration.
    pub network_version: Option<u64>,
    /// Tunnels that it opened, that are up and not silent.
    pub tunnels_opened: usize,
    /// Tunnels that others opened, that are up and not silent.
    pub tunnels_accepted: usize,
    /// Tunnels through which nothing comes, or not yet.
    #[serde(default)]
    pub tunnels_waiting: usize,
    /// Nodes one link away.
    pub neighbours: usize,
    /// Nodes it has a way to.
    pub nodes_routed: usize,
    /// Where others are told it is reached.
    pub endpoints: Vec<Endpoint>,
    /// Seconds since it was started.
    pub uptime_s: u64,
    /// When its certificate ends: RFC 3339, UTC.
    pub not_after: String,
    /// Whether its certificate was revoked, or the registry does not know it any more.
    #[serde(default)]
    pub certificate_revoked: bool,
    /// Whether its certificate ends soon and was not renewed yet.
    #[serde(default)]
    pub certificate_due: bool,
    /// When its authority's certificate ends, and the network with it: RFC 3339, UTC.
    #[serde(default)]
    pub authority_not_after: String,
    /// Whether that is soon, and the registry has no newer one yet.
    #[serde(default)]
    pub authority_due: bool,
    /// Why one of them was not renewed.
    #[serde(default)]
    pub renewal_failure: Option<String>,
    /// Kernel parameters that the node has changed, and sets back when it ends.
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
    /// The chain of the host's firewall that drops forwarded packets by its policy, as `ip6 filter FORWARD`;
    /// null if none does.
    #[serde(default)]
    pub forward_dropped_by: Option<String>,
}

/// A kernel parameter that a node has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Its name, as sysctl(8) takes it: `net/ipv6/conf/all/forwarding`.
    pub name: String,
    /// Its value before.
    pub before: String,
    /// The value that the node has set.
    pub value: String,
}

/// Another node, as a running node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name in its certificate, `1/16`.
    pub common_name: String,
    /// Its part of the network.
    pub prefix: Option<Cidr>,
    /// Its address in the network.
    pub sdn: Option<Ipv6Addr>,
    /// Where it is reached, the best first.
    pub endpoints: Vec<Endpoint>,
    /// Whether there is a way to it through the network.
    pub routed: bool,
    /// Whether it is one link away.
    pub neighbour: bool,
    /// Whether it did not answer lately and is left alone for a while.
    pub resting: bool,
}

/// A way to another node, as a running node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoute {
    /// The node's name in its certificate, `1/16`.
    pub common_name: String,
    /// Its part of the network.
    pub prefix: Cidr,
    /// The interface that packets take.
    pub interface: String,
    /// The name of the node at the other end of it, if it is a tunnel.
    pub via: Option<String>,
    /// Babel's metric.
    pub metric: u16,
}

/// A member of the network, or any host that can be a target of the ping matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What people call it; its common name if nothing better is known.
    pub name: String,
    /// Its name in its certificate, `1/16`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub common_name: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
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
    /// The software it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub software: Option<String>,
    /// The nodes it made tunnels to.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub peers: Vec<String>,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its subject's common name: `1/16`, or the authority's name.
    pub common_name: Option<String>,
    /// The node's part of the network, if the network is known; an authority's is the network.
    pub prefix: Option<Cidr>,
    /// Its serial number; null for an authority's, which carries the network.
    pub serial: Option<u64>,
    /// The number in its subject, from which the IPv4 subnet is made.
    pub subject_serial: Option<u32>,
    /// The first moment of its validity: RFC 3339, UTC.
    pub not_before: String,
    /// The last moment of its validity: RFC 3339, UTC.
    pub not_after: String,
    /// Who issued it.
    pub issuer: String,
    /// All of its subject.
    pub subject: String,
    /// `sha256:` and the digest of its DER.
    pub fingerprint: String,
}

/// What is wrong with a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The node, or `network`.
    pub subject: String,
    /// What is wrong, in words.
    pub problem: String,
}

/// A network, as its registry knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its addresses: CIDR text.
    pub prefix: String,
    /// Its version, raised at every change.
    pub version: u64,
    /// The registry's own node.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registry_node: Option<String>,
    /// When its authority ends: RFC 3339, UTC.
    pub not_after: String,
}

/// A certificate that was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number.
    pub serial: u64,
    /// When it would have ended by itself: RFC 3339, UTC.
    pub not_after: String,
}

/// What is worth one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its letters.
    pub token: String,
    /// Whose it is.
    pub email: String,
    /// Bits of the prefix that it is worth.
    pub prefix_length: u8,
    /// When it was made: RFC 3339, UTC. That of an invitation is earlier, so that it ends in time.
    pub time: String,
    /// When it ends: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// What happened to a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Which end we are: `client` or `server`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// The serial number of the peer's certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serial: Option<u64>,
    /// Our address as the server sees it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external_ip: Option<IpAddr>,
    /// Octets of the interface's largest packet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtu_octets: Option<u32>,
    /// Octets of the largest datagram on the way to the peer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path_mtu_octets: Option<u32>,
    /// How frames are protected: OpenVPN's name of the cipher, or `none`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cipher: Option<String>,
    /// Packets from the peer so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub packets_in: Option<u64>,
    /// Packets to the peer so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub packets_out: Option<u64>,
    /// Octets of frames from the peer so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub octets_in: Option<u64>,
    /// Octets of frames to the peer so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub octets_out: Option<u64>,
    /// Packets that did not authenticate, or came twice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<u64>,
    /// Whether the peer is re6st, too.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub native: Option<bool>,
    /// The median of the latest round trips.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rtt_us: Option<u64>,
    /// The share of the peer's packets that was lost since the last statistics.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss_in_ratio: Option<f64>,
    /// The share of our packets that the peer says was lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss_out_ratio: Option<f64>,
}

/// What can happen to a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelEvent {
    /// A handshake began.
    #[default]
    Connecting,
    /// Frames pass.
    Up,
    /// No frame passes any more.
    Down,
    /// New keys are in use.
    Rekeyed,
    /// What passed so far.
    Statistics,
    /// Nothing comes through any more, though the tunnel is up.
    Silent,
    /// Something comes through again.
    Recovered,
    /// The path takes datagrams of another size.
    Mtu,
}

/// Reads objects, one a line. Lines that are empty or begin with `#` are skipped, and so are objects of
/// types that this version does not know; the error says which line is no object at all.
pub fn parse_lines(text: &str) -> Result<Vec<Object>, LineError> {
    let mut objects = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(object) => objects.push(object),
            // A type, or a value of a field, that a later version has.
            Err(cause) if cause.to_string().starts_with("unknown variant") => {}
            Err(cause) => return Err(LineError { line: at + 1, cause }),
        }
    }
    Ok(objects)
}

/// Which line is not an object of this vocabulary, and why.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct LineError {
    line: usize,
    #[source]
    cause: serde_json::Error,
}

/// Writes one object as one line on standard output, at once.
pub fn print(object: &Object) -> io::Result<()> {
    let line = serde_json::to_string(object).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", terminal::json(&line))?;
    out.flush()
}
