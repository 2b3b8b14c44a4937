//! What a running node answered, as tables for people or as JSON Lines.

use std::io::{self, Write};

use comfy_table::{Table, presets};

use crate::command::json::{self, NodeStatus, Object};
use crate::command::node::control::Question;
use crate::proto::terminal;

/// Prints the answer to a question.
pub fn print(question: Question, objects: &[Object], as_json: bool) -> io::Result<()> {
    if as_json {
        return objects.iter().try_for_each(json::print);
    }
    let text = match question {
        Question::Down => String::new(),
        Question::Status => status(objects),
        Question::Peers => peers(objects),
        Question::Tunnels => tunnels(objects),
        Question::Routes => routes(objects),
    };
    io::stdout().lock().write_all(terminal::text(&text).as_bytes())
}

fn status(objects: &[Object]) -> String {
    let mut text = String::new();
    for object in objects {
        let Object::NodeStatus(status) = object else { continue };
        let mut table = plain();
        let endpoints: Vec<String> = status.endpoints.iter().map(ToString::to_string).collect();
        let optional = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
        let connected = if status.connected { "connected" } else { "not connected" };
        table.add_row(["node", &status.common_name]);
        table.add_row(["state", connected]);
        table.add_row(["address", &optional(status.sdn.map(|address| address.to_string()))]);
        table.add_row(["network", &status.network.to_string()]);
        table.add_row(["version", &optional(status.network_version.map(|v| v.to_string()))]);
        table.add_row(["registry", &status.registry]);
        table.add_row(["tunnels", &tunnels_up(status)]);
        table.add_row(["neighbours", &status.neighbours.to_string()]);
        table.add_row(["nodes in reach", &status.nodes_routed.to_string()]);
        table.add_row(["reached at", &endpoints.join("\n")]);
        table.add_row(["up for", &format!("{} s", status.uptime_s)]);
        table.add_row(["certificate", &certificate(status)]);
        if let Some(chain) = &status.forward_dropped_by {
            let warning = format!("dropped by the firewall of this host: the policy of {chain}");
            table.add_row(["forwarding", &warning]);
        }
        if !status.sysctls.is_empty() {
            let changed = status
                .sysctls
                .iter()
                .map(|it| format!("{} = {} (was {})", it.name, it.value, it.before));
            table.add_row(["sysctls changed", &changed.collect::<Vec<_>>().join("\n")]);
        }
        if status.authority_due {
            let until = &status.authority_not_after;
            table.add_row([
                "authority",
                &format!(
                    "ends soon, on {until}, and the network with it: its operator should run `re6st \
                     registry renew-ca`"
                ),
            ]);
        }
        text += &format!("{table}\n");
    }
    text
}

/// `3 up: 2 opened by us, 1 by others; 1 is not`.
fn tunnels_up(status: &NodeStatus) -> String {
    let (ours, theirs) = (status.tunnels_opened, status.tunnels_accepted);
    let mut text = format!("{} up: {ours} opened by us, {theirs} by others", ours + theirs);
    match status.tunnels_waiting {
        0 => {}
        1 => text += "; 1 is not",
        waiting => text += &format!("; {waiting} are not"),
    }
    text
}

fn certificate(status: &NodeStatus) -> String {
    let until = &status.not_after;
    if status.certificate_revoked {
        return format!("revoked (it would last until {until}): join the network anew");
    }
    match (status.certificate_due, &status.renewal_failure) {
        (false, _) => format!("until {until}"),
        (true, None) => format!("ends soon, on {until}: being renewed"),
        (true, Some(why)) => format!("ends soon, on {until}, and is not renewed: {why}"),
    }
}

fn peers(objects: &[Object]) -> String {
    let mut table = plain();
    table.set_header(["node", "address", "state", "reached at"]);
    for object in objects {
        let Object::Peer(peer) = object else { continue };
        let endpoints: Vec<String> = peer.endpoints.iter().map(ToString::to_string).collect();
        let state = match (peer.neighbour, peer.routed, peer.resting) {
            (true, _, _) => "neighbour",
            (false, true, _) => "in reach",
            (false, false, true) => "does not answer",
            (false, false, false) => "out of reach",
        };
        let address = peer.sdn.map(|address| address.to_string()).unwrap_or_default();
        table.add_row([&peer.common_name, &address, state, &endpoints.join(" ")]);
    }
    format!("{table}\n")
}

fn tunnels(objects: &[Object]) -> String {
    let mut table = plain();
    table.set_header([
        "node",
        "opened by",
        "state",
        "interface",
        "endpoint",
        "cipher",
        "in",
        "out",
    ]);
    for object in objects {
        let Object::Tunnel(tunnel) = object else { continue };
        let opened_by = match tunnel.role.as_deref() {
            Some("client") => "us",
            _ => "them",
        };
        let state = match tunnel.event {
            json::TunnelEvent::Connecting => "connecting",
            json::TunnelEvent::Silent => "silent",
            _ => "up",
        };
        let octets = |octets: Option<u64>| octets.map(|n| n.to_string()).unwrap_or_default();
        table.add_row([
            tunnel.peer.as_deref().unwrap_or_default(),
            opened_by,
            state,
            &tunnel.interface,
            &tunnel.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
            tunnel.cipher.as_deref().unwrap_or_default(),
            &octets(tunnel.octets_in),
            &octets(tunnel.octets_out),
        ]);
    }
    format!("{table}\n")
}

fn routes(objects: &[Object]) -> String {
    let mut table = plain();
    table.set_header(["node", "prefix", "via", "interface", "metric"]);
    for object in objects {
        let Object::NodeRoute(route) = object else { continue };
        table.add_row([
            &route.common_name,
            &route.prefix.to_string(),
            route.via.as_deref().unwrap_or("LAN"),
            &route.interface,
            &route.metric.to_string(),
        ]);
    }
    format!("{table}\n")
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
