//! `re6st registry versions` and `topology`: what nodes say of themselves.

use std::collections::BTreeMap;

use clap::Args;
use comfy_table::Table;

use crate::command::json::{self, Object};
use crate::command::{Outcome, print};
use crate::proto::prefix::Prefix;
use crate::proto::terminal;

use super::{Place, Reach, block_on, print_all};
use crate::command::registry::network::registry_prefix;
use crate::command::registry::picture::Picture;
use crate::command::registry::told;

/// Options of `re6st registry versions`.
#[derive(Debug, Args)]
pub struct Versions {
    #[command(flatten)]
    place: Place,
    /// Print JSON, one node a line
    #[arg(long)]
    json: bool,
}

/// Options of `re6st registry topology`.
#[derive(Debug, Args)]
pub struct Topology {
    #[command(flatten)]
    place: Place,
    /// Print JSON, one node a line
    #[arg(long, conflicts_with_all = ["dot", "svg"])]
    json: bool,
    /// Print a graph for Graphviz
    #[arg(long, conflicts_with = "svg")]
    dot: bool,
    /// Print a picture
    #[arg(long)]
    svg: bool,
}

impl Versions {
    /// Does what `re6st registry versions` was asked.
    pub fn run(&self) -> Outcome {
        let told: BTreeMap<String, Option<String>> = match self.place.reach() {
            Reach::Running(running) => running.ask_json("versions")?,
            Reach::Folder(folder) => {
                let own = folder.read(registry_prefix)?;
                block_on(told::versions(folder.authority()?.network(), own))?
            }
        };
        let nodes = told.into_iter().map(|(bits, software)| {
            let name = Prefix::from_bits(&bits).map_or(bits, |prefix| prefix.to_string());
            (name, software)
        });
        if self.json {
            return print_all(nodes.map(|(name, software)| {
                Object::Node(json::Node { name, software, ..json::Node::default() })
            }));
        }
        let mut table = Table::new();
        table.set_header(["node", "software"]);
        for (name, software) in nodes {
            let software = software.unwrap_or_else(|| "does not answer".into());
            table.add_row([terminal::line(&name), terminal::line(&software)]);
        }
        print(table)
    }
}

impl Topology {
    /// Does what `re6st registry topology` was asked.
    pub fn run(&self) -> Outcome {
        let mut told: told::Graph = match self.place.reach() {
            Reach::Running(running) => running.ask_json("topology")?,
            Reach::Folder(folder) => block_on(told::topology(folder.read(registry_prefix)?))?,
        };
        if self.dot || self.svg {
            let picture = Picture { graph: &told, known: &BTreeMap::new(), link: "" };
            let text = if self.svg { picture.svg() } else { picture.dot_text() };
            return print(text.trim_end());
        }
        let answered = told.remove("").unwrap_or_default();
        for name in &answered {
            told.entry(name.clone()).or_default();
        }
        if self.json {
            return print_all(told.into_iter().map(|(name, peers)| {
                let (common_name, peers) = (Some(name.clone()), peers.into_iter().collect());
                Object::Node(json::Node { name, common_name, peers, ..json::Node::default() })
            }));
        }
        let mut table = Table::new();
        table.set_header(["node", "made tunnels to", "answers"]);
        for (name, peers) in told {
            let answers = if answered.contains(&name) { "yes" } else { "no" };
            let peers = Vec::from_iter(peers).join(" ");
            table.add_row([terminal::line(&name), terminal::line(&peers), answers.into()]);
        }
        print(table)
    }
}
