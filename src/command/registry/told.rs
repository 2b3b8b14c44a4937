//! What nodes say of themselves, by way of the registry's own node: their software, their tunnels.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::os::member_routes;
use crate::proto::prefix::{Network, Prefix};

use super::own_node::{OwnNode, Question};

/// Who has tunnels to whom: the nodes that each one connected to; under the empty name, who answered.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// What each routed node runs, by the bits of its prefix; `None` if it does not answer.
pub(super) async fn versions(
    network: Network,
    own: Option<Prefix>,
) -> BTreeMap<String, Option<String>> {
    let mut nodes = member_routes::routed(network).unwrap_or_default();
    nodes.extend(own);
    let mut answers = OwnNode::ask_all(nodes.iter().copied(), Question::Software).await;
    nodes.iter().map(|node| (node.to_bits(), answers.remove(node))).collect()
}

/// Asks `own` for its tunnels, then those it names, and so on.
pub(super) async fn topology(own: Option<Prefix>) -> Graph {
    let mut graph = Graph::new();
    let (Some(own), Ok(node)) = (own, OwnNode::open().await) else { return graph };
    let mut asked = BTreeSet::new();
    let mut next = VecDeque::from([own]);
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
    graph
}

/// Adds what a node said: how many tunnels it made, then the peers of those, then the peers that made one
/// to it. Gives the peers.
fn add_tunnels(graph: &mut Graph, from: Prefix, text: &str) -> Vec<Prefix> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
