//! `re6st registry versions` and `topology`: what nodes say of themselves.

use std::collections::BTreeMap;

use clap::Args;
use comfy_table::Table;

use crate::command::Outcome;
use crate::command::json::{self, Object};
use crate::proto::prefix::Prefix;

use super::{Running, print_all};

/// Options of `re6st registry versions`.
#[derive(Debug, Args)]
pub struct Versions {
    #[command(flatten)]
    running: Running,
    /// Print JSON, one node a line
    #[arg(long)]
    json: bool,
}

/// Options of `re6st registry topology`.
#[derive(Debug, Args)]
pub struct Topology {
    #[command(flatten)]
    running: Running,
    /// Print JSON, one node a line
    #[arg(long)]
    json: bool,
}

impl Versions {
    /// Does what `re6st registry versions` was asked.
    pub fn run(&self) -> Outcome {
        let told: BTreeMap<String, Option<String>> = self.running.ask_json("versions")?;
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
            table.add_row([name, software.unwrap_or_else(|| "does not answer".into())]);
        }
        println!("{table}");
        Ok(())
    }
}

impl Topology {
    /// Does what `re6st registry topology` was asked.
    pub fn run(&self) -> Outcome {
        let mut told: BTreeMap<String, Vec<String>> = self.running.ask_json("topology")?;
        let answered = told.remove("").unwrap_or_default();
        for name in &answered {
            told.entry(name.clone()).or_default();
        }
        if self.json {
            return print_all(told.into_iter().map(|(name, peers)| {
                let common_name = Some(name.clone());
                Object::Node(json::Node { name, common_name, peers, ..json::Node::default() })
            }));
        }
        let mut table = Table::new();
        table.set_header(["node", "made tunnels to", "answers"]);
        for (name, peers) in told {
            let answers = if answered.contains(&name) { "yes" } else { "no" };
            table.add_row([name, peers.join(" "), answers.to_owned()]);
        }
        println!("{table}");
        Ok(())
    }
}
