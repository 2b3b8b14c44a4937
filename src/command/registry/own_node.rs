//! Asking nodes by way of the registry's own node, over UDP on the loopback interface.
//!
//! ```text
//!  question   PREFIX 00 CODE           PREFIX in zeros and ones
//!  answer     PREFIX 00 CODE TEXT      from the node with PREFIX, however far away
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};

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
        let mut datagram = prefix.to_bits().into_bytes();
        datagram.extend([0, question as u8]);
        self.0.send(&datagram).await.map(drop)
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
