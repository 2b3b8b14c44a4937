//! The mesh as the pages show it: what its nodes said when they were asked.

use std::collections::BTreeMap;

use crate::command::registry::picture::Known;
use crate::command::registry::told::Graph;
use crate::proto::time::UnixTime;

/// The mesh at some moment.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// When the nodes were asked.
    pub asked: UnixTime,
    /// Who made tunnels to whom; under the empty name, who answered.
    pub graph: Graph,
    /// What else they said.
    pub known: BTreeMap<String, Known>,
    /// Their addresses in the underlay, as they said.
    pub addresses: BTreeMap<String, String>,
}

impl Mesh {
    /// The tunnels that a node made, and those made to it.
    pub fn tunnels(&self, name: &str) -> (Vec<&str>, Vec<&str>) {
        let made = self.graph.get(name).into_iter().flatten().map(String::as_str).collect();
        let others = self.graph.iter().filter(|(from, _)| !from.is_empty());
        let served = others.filter(|(_, peers)| peers.contains(name));
        (made, served.map(|(from, _)| from.as_str()).collect())
    }
}
