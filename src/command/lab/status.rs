//! `re6st lab status`: the hosts, and what became of their packets.

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::command::json::{self, Node, Object};
use crate::command::lab::Lab;
use crate::command::lab::control::{self, Reply, Request};
use crate::command::lab::emulator::Status;
use crate::command::{Failure, Outcome, print, printed};
use crate::proto::lab::internet::Counters;
use crate::proto::lab::scenario::{Host, Scenario};

/// What to show
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    lab: Lab,
    /// Print a `node` object for each host, which `re6st ping-matrix run --targets -` reads
    #[arg(long)]
    json: bool,
}

/// Shows a running lab.
pub fn run(options: &Options) -> Outcome {
    let status = match control::ask(&options.lab, &Request::Status)? {
        Reply::Status(status) => status,
        Reply::Refused { reason } => return Err(Failure::failed(reason)),
        Reply::Done => Status::default(),
    };
    let scenario = options.lab.scenario()?;
    if options.json {
        for host in &scenario.hosts {
            printed(json::print(&Object::Node(node(host))))?;
        }
        return Ok(());
    }
    print(format_args!("{}\n", table(&options.lab, &scenario)))?;
    for change in &status.changes {
        print(format_args!("changed: {change}"))?;
    }
    print(format_args!("packets: {}", sentence(&status.counters)))
}

/// A host as others find it: behind NAT, by the address of the NAT.
pub fn node(host: &Host) -> Node {
    Node {
        name: host.name.clone(),
        ipv4: host.nat.or(host.ipv4),
        ipv6: host.ipv6,
        ..Node::default()
    }
}

fn table(lab: &Lab, scenario: &Scenario) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["host", "region", "ipv4", "ipv6", "namespace", ""]);
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    for host in &scenario.hosts {
        let mut remarks = Vec::new();
        if let Some(nat) = host.nat {
            remarks.push(format!("behind NAT {nat}"));
        }
        if host.udp_dropped {
            remarks.push("UDP dropped".to_owned());
        }
        if let Some(lan) = &host.lan {
            remarks.push(format!("on LAN {lan}"));
        }
        table.add_row([
            host.name.clone(),
            text(host.region.clone()),
            text(host.ipv4.map(|address| address.to_string())),
            text(host.ipv6.map(|address| address.to_string())),
            lab.namespace_name(&host.name),
            remarks.join(", "),
        ]);
    }
    table
}

fn sentence(counters: &Counters) -> String {
    let Counters { delivered, cut, lost, queue_full, too_big, udp_dropped, nat, nowhere } =
        counters;
    let mut parts = vec![format!("{delivered} delivered")];
    let others = [
        (cut, "on cut paths"),
        (lost, "lost"),
        (queue_full, "dropped by full queues"),
        (too_big, "too big"),
        (udp_dropped, "UDP where it is dropped"),
        (nat, "not translated"),
        (nowhere, "for nobody"),
    ];
    let others = others.iter().filter(|(count, _)| **count > 0);
    parts.extend(others.map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}
