//! What the registry does for its administrators.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use crate::os::member_routes;
use crate::proto::prefix::Prefix;
use crate::proto::registry::request::{PrivateCall, Revoked};

use super::administration;
use super::applicants::{certificate_of, member};
use super::network;
use super::own_node::{OwnNode, Question};
use super::server::{Given, Refusal, Registry};

impl Registry {
    /// Answers an administrator.
    pub(super) async fn private(self: &Arc<Self>, call: PrivateCall) -> Given {
        match call {
            PrivateCall::Versions => self.versions().await,
            PrivateCall::Topology => self.topology().await,
            PrivateCall::Nodes => self.nodes().await,
            PrivateCall::Metrics => self.blocking(Self::metrics).await,
            PrivateCall::GetIpv4Information(email) => self.ipv4_information(email).await,
            PrivateCall::Revoke(revoked) => {
                let changed = self.blocking(move |registry| registry.revoke(revoked)).await?;
                self.announce_if(changed).await
            }
            PrivateCall::UpdateHmac => {
                self.blocking(Self::change_keys).await?;
                self.announce_if(true).await
            }
            call => self.blocking(move |registry| registry.look_up(call)).await,
        }
    }

    async fn announce_if(&self, changed: bool) -> Given {
        if changed {
            self.announce().await;
        }
        Ok(Vec::new())
    }

    fn look_up(&self, call: PrivateCall) -> Given {
        let text = match call {
            PrivateCall::IsToken(token) => self
                .read(|tables| Ok(tables.token(&token)?))?
                .map_or_else(String::new, |_| "1".into()),
            PrivateCall::AddToken { email, token } => {
                let drawn = self.add_token(&email, token.as_deref())?;
                // Stock gives a value only if it drew the token itself.
                if token.is_some() { String::new() } else { drawn }
            }
            PrivateCall::DeleteToken(token) => {
                self.write(|tables| Ok(tables.delete_token(&token)?))?;
                String::new()
            }
            PrivateCall::GetNodePrefix(email) => {
                self.node_of(&email)?.map_or_else(String::new, |node| node.to_string())
            }
            PrivateCall::GetIpv6Address(email) => {
                let node = self.node_of(&email)?;
                let address = node.and_then(|node| self.network().first_address(node));
                address.map_or_else(String::new, |address| address.to_string())
            }
            _ => return Err(Refusal::Bad("no such call")),
        };
        Ok(text.into_bytes())
    }

    fn node_of(&self, email: &str) -> Result<Option<Prefix>, Refusal> {
        let leaves = self.read(|tables| Ok(tables.leaves()?))?;
        let found = leaves.into_iter().find(|leaf| leaf.email.as_deref() == Some(email));
        Ok(found.map(|leaf| leaf.prefix))
    }

    async fn ipv4_information(self: &Arc<Self>, email: String) -> Given {
        let network = self.network();
        let node = self.blocking(move |registry| registry.node_of(&email)).await?;
        let routed = member_routes::routed(network).unwrap_or_default();
        let Some(node) = node.filter(|node| routed.contains(node)) else { return Ok(Vec::new()) };
        let addresses = OwnNode::ask_one(node, Question::Addresses).await.unwrap_or_default();
        Ok(addresses.split(',').next().unwrap_or_default().into())
    }

    /// Ends a certificate; whether the list of revoked ones changed.
    fn revoke(&self, revoked: Revoked) -> Result<bool, Refusal> {
        let now = Self::unix_time();
        let changed = self.write(|tables| {
            let own = network::registry_prefix(tables)?;
            let (serial, not_after) = match revoked {
                Revoked::Node(prefix) => {
                    if own == Some(prefix) {
                        return Err(Refusal::Bad("that is the registry's own node"));
                    }
                    let (_, certificate) = member(tables, prefix)?;
                    let not_after = certificate.not_after();
                    // Who gets the prefix next must not meet a certificate that still names it.
                    network::hold(tables, prefix, not_after)?;
                    (certificate.serial(), not_after)
                }
                Revoked::Serial(serial) => {
                    let mut leaves = tables.leaves()?.into_iter();
                    let found = leaves.find_map(|leaf| {
                        certificate_of(&leaf).filter(|found| found.serial() == Some(serial))
                    });
                    (Some(serial), found.ok_or(Refusal::Unknown)?.not_after())
                }
            };
            if now < not_after {
                tables.revoke(serial.ok_or(Refusal::Unknown)?, not_after)?;
            }
            network::refresh(tables, &self.issuer, &self.policy)
        })?;
        if let Revoked::Node(prefix) = revoked {
            self.state().sessions.end(prefix);
        }
        Ok(changed)
    }

    fn change_keys(&self) -> Result<(), Refusal> {
        let new = self.state().random.octets();
        self.write(|tables| network::change_keys(tables, &self.issuer, new, Self::unix_time()))
    }

    /// Every member; where it is, if it is routed and answers.
    async fn nodes(self: &Arc<Self>) -> Given {
        let leaves = self.blocking(|registry| registry.read(|tables| Ok(tables.leaves()?))).await?;
        let mut routed = member_routes::routed(self.network()).unwrap_or_default();
        routed.extend(self.read(network::registry_prefix)?);
        let addresses = OwnNode::ask_all(routed, Question::Addresses).await;
        let nodes = administration::describe(&leaves, self.network(), &addresses);
        Ok(json!(nodes).to_string().into_bytes())
    }

    /// What each routed node runs; null if it does not answer.
    async fn versions(&self) -> Given {
        let mut nodes = member_routes::routed(self.network()).unwrap_or_default();
        nodes.extend(self.read(network::registry_prefix)?);
        let answers = OwnNode::ask_all(nodes.iter().copied(), Question::Software).await;
        let versions: BTreeMap<String, _> =
            nodes.iter().map(|node| (node.to_bits(), answers.get(node))).collect();
        Ok(json!(versions).to_string().into_bytes())
    }

    /// Who has tunnels to whom: the nodes that each one connected to; under the empty name, who answered.
    async fn topology(&self) -> Given {
        let Some(own) = self.read(network::registry_prefix)? else { return Ok(b"{}".to_vec()) };
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut asked = BTreeSet::new();
        let mut next = VecDeque::from([own]);
        let Ok(node) = OwnNode::open().await else { return Ok(b"{}".to_vec()) };
        loop {
            while let Some(prefix) = next.pop_front() {
                if asked.insert(prefix) && node.ask(prefix, Question::Tunnels).await.is_err() {
                    break;
                }
            }
            if graph.get("").map_or(0, BTreeSet::len) == asked.len() {
                break;
            }
            let Some((from, text)) = node.answer(Question::Tunnels).await else { break };
            if asked.contains(&from) {
                next.extend(add_tunnels(&mut graph, from, &text));
            }
        }
        Ok(json!(graph).to_string().into_bytes())
    }
}

/// Adds what a node said: how many tunnels it made, then the peers of those, then the peers that made one
/// to it. Gives the peers.
fn add_tunnels(
    graph: &mut BTreeMap<String, BTreeSet<String>>,
    from: Prefix,
    text: &str,
) -> Vec<Prefix> {
    let mut words = text.split_whitespace();
    let made = words.next().and_then(|word| word.parse::<usize>().ok());
    let peers: Option<Vec<Prefix>> = words.map(|word| word.parse().ok()).collect();
    let (Some(made), Some(peers)) = (made, peers) else { return Vec::new() };
    if made > peers.len() || peers.contains(&from) {
        return Vec::new();
    }
    let (clients, served) = peers.split_at(made);
    graph.entry(from.to_string()).or_default().extend(clients.iter().map(ToString::to_string));
    for peer in served {
        graph.entry(peer.to_string()).or_default().insert(from.to_string());
    }
    graph.entry(String::new()).or_default().insert(from.to_string());
    peers
}

/// Reads the addresses from which administrators may ask.
pub(super) fn authorized(texts: &[String]) -> Result<Vec<IpAddr>, String> {
    texts.iter().map(|text| text.parse().map_err(|_| text.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_told_by_both_its_ends() {
        let mut graph = BTreeMap::new();
        let node = |name: &str| name.parse::<Prefix>().unwrap();
        let peers = add_tunnels(&mut graph, node("2/16"), "1 0/16 3/16");
        assert_eq!(peers, [node("0/16"), node("3/16")]);
        add_tunnels(&mut graph, node("3/16"), "1 2/16");
        add_tunnels(&mut graph, node("4/16"), "9 2/16");
        add_tunnels(&mut graph, node("5/16"), "rubbish");
        let text = json!(graph).to_string();
        assert_eq!(text, r#"{"":["2/16","3/16"],"2/16":["0/16"],"3/16":["2/16"]}"#);
    }
}
