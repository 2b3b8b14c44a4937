//! Asking nodes by way of the registry's own node, over UDP on the loopback interface.
//!
//! ```text
//!  question   PREFIX 00 CODE           PREFIX in zeros and ones
//!  answer     PREFIX 00 CODE TEXT      from the node with PREFIX, however far away
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::proto::limits::{DATAGRAM_OCTETS_MAX, REGISTRY_NODE_PATIENCE};
use crate::proto::prefix::Prefix;
use crate::proto::registry::passed_on;

/// Where the node listens.
const NODE: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 326, 0, 0);

/// What a node can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// Nothing: there is a new network version. Has no answer.
    NewVersion = 0,
    /// Its addresses in the underlay.
    Addresses = 1,
    /// What software it runs.
    Software = 4,
    /// Its tunnels.
    Tunnels = 5,
    /// Nothing: here is a newer revocation list. Upstream's node ignores it.
    Crl = 64,
    /// Hand the present version to every node; how many have it? Upstream's node does not answer.
    HandOut = 65,
}

/// How far a version has come, as the registry's own node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandedOut {
    /// The number of the version.
    pub version: u64,
    /// Nodes that have it.
    pub nodes: usize,
    /// Nodes that are routed.
    pub routed: usize,
}

impl HandedOut {
    /// Reads `<version> <nodes> <routed>`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let version = words.next()?.parse().ok()?;
        let (nodes, routed) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(Self { version, nodes, routed })
    }

    /// Whether all have it.
    pub const fn is_complete(&self) -> bool {
        self.nodes >= self.routed
    }
}

/// One conversation, on a socket of its own, so that late answers disturb nobody.
pub struct OwnNode(UdpSocket);

impl OwnNode {
    /// Begins a conversation.
    pub async fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0)).await?;
        // Connected, so that the kernel tells at once if no node runs here.
        socket.connect(NODE).await?;
        Ok(Self(socket))
    }

    /// Asks the node with `prefix`.
    pub async fn ask(&self, prefix: Prefix, question: Question) -> io::Result<()> {
        self.tell(prefix, question, &[]).await
    }

    /// Tells the node with `prefix` something.
    pub async fn tell(&self, prefix: Prefix, question: Question, body: &[u8]) -> io::Result<()> {
        let mut datagram = prefix.to_bits().into_bytes();
        datagram.extend([0, question as u8]);
        datagram.extend(body);
        self.0.send(&datagram).await.map(drop)
    }

    /// Has the registry's own node hand a version to every node, until all have it or the time is over; how
    /// far that came. `None` if no node of re6st runs on this host.
    pub async fn hand_out(own: Prefix, version: u64, patience: Duration) -> Option<HandedOut> {
        let mut last = None;
        let handing = async {
            loop {
                let answer = timeout(HAND_OUT_ANSWER, Self::ask_one(own, Question::HandOut)).await;
                let answer = answer.ok().flatten();
                let Some(state) = answer.and_then(|text| HandedOut::parse(&text)) else { return };
                last = Some(state);
                if state.version >= version && state.is_complete() {
                    return;
                }
                tokio::time::sleep(HAND_OUT_LOOK).await;
            }
        };
        let _ = timeout(patience, handing).await;
        last
    }

    /// The next answer to `question`; `None` if there is none within the patience.
    pub async fn answer(&self, question: Question) -> Option<(Prefix, String)> {
        timeout(REGISTRY_NODE_PATIENCE, async {
            let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
            loop {
                let length = self.0.recv(&mut buffer).await.ok()?;
                if let Some(answer) = read(&buffer[..length], question) {
                    return Some(answer);
                }
            }
        })
        .await
        .ok()
        .flatten()
    }

    /// Asks one node and waits for its answer.
    pub async fn ask_one(prefix: Prefix, question: Question) -> Option<String> {
        let conversation = Self::open().await.ok()?;
        conversation.ask(prefix, question).await.ok()?;
        loop {
            let (from, text) = conversation.answer(question).await?;
            if from == prefix {
                return Some(text);
            }
        }
    }

    /// Asks several nodes at once; the first of them that answers with something.
    pub async fn ask_first(prefixes: &[Prefix], question: Question) -> Option<(Prefix, String)> {
        let conversation = Self::open().await.ok()?;
        for &prefix in prefixes {
            let _ = conversation.ask(prefix, question).await;
        }
        let first = async {
            loop {
                let (from, text) = conversation.answer(question).await?;
                if prefixes.contains(&from) && !text.is_empty() {
                    return Some((from, text));
                }
            }
        };
        timeout(REGISTRY_NODE_PATIENCE, first).await.ok().flatten()
    }

    /// Asks many nodes at once; those that do not answer are missing.
    pub async fn ask_all(
        prefixes: impl IntoIterator<Item = Prefix>,
        question: Question,
    ) -> BTreeMap<Prefix, String> {
        let mut answers = BTreeMap::new();
        let Ok(conversation) = Self::open().await else { return answers };
        let mut asked = BTreeSet::new();
        for prefix in prefixes {
            if conversation.ask(prefix, question).await.is_ok() {
                asked.insert(prefix);
            }
        }
        while answers.len() < asked.len() {
            let Some((from, text)) = conversation.answer(question).await else { break };
            if asked.contains(&from) {
                answers.insert(from, text);
            }
        }
        answers
    }
}

/// How long the node on this host may take to say how far a version has come.
const HAND_OUT_ANSWER: Duration = Duration::from_secs(1);
/// How often it is asked.
const HAND_OUT_LOOK: Duration = Duration::from_millis(100);

fn read(datagram: &[u8], question: Question) -> Option<(Prefix, String)> {
    let end = datagram.iter().position(|&octet| octet == 0)?;
    let prefix = Prefix::from_bits(std::str::from_utf8(&datagram[..end]).ok()?).ok()?;
    let (&code, text) = datagram[end + 1..].split_first()?;
    let text = std::str::from_utf8(text).ok()?;
    (code == question as u8).then(|| (prefix, passed_on::plain(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_stock_nodes_write_them() {
        let datagram = b"0000000000000000\x00\x0110.77.0.2,1194,udp;10.77.0.2,1194,tcp";
        let (prefix, text) = read(datagram, Question::Addresses).unwrap();
        assert_eq!(prefix.to_string(), "0/16");
        assert_eq!(text, "10.77.0.2,1194,udp;10.77.0.2,1194,tcp");
        assert_eq!(read(datagram, Question::Software), None);
        for length in 0..18 {
            assert_eq!(read(&datagram[..length], Question::Addresses), None);
        }
        assert_eq!(read(b"012\x00\x01", Question::Addresses), None);
        assert_eq!(read(b"01\x00\x01\xff", Question::Addresses), None);
    }
}
