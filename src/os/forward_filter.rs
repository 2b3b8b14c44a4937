//! What packets out of tunnels may reach through this host: an nftables table of our own, and a look at the
//! chains of others that drop what is forwarded.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::proto::cidr::Cidr;

/// Where packets out of tunnels may go besides tunnels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// The node's own prefixes.
    pub prefixes: Vec<Cidr>,
    /// Interfaces on which other nodes are found.
    pub interfaces: Vec<String>,
}

/// The name of our table, of the family inet.
const TABLE: &str = "re6st";

/// Names of the interfaces of a node's tunnels.
const TUNNELS: [&str; 3] = ["re6c-*", "re6u*", "re6t*"];

/// Installs the table in one transaction, in the place of one that a killed node left.
pub fn install(allowed: &Allowed) -> io::Result<()> {
    nft(&["-f", "-"], &ruleset(allowed)).map(drop)
}

/// Removes the table.
pub fn remove() -> io::Result<()> {
    nft(&["-f", "-"], &format!("delete table inet {TABLE}\n")).map(drop)
}

/// The first chain, not ours, that drops forwarded IPv6 packets unless a rule of it accepts them:
/// `ip6 filter FORWARD`. Docker sets that policy. `None` also where nft(8) is missing.
pub fn dropping_chain() -> Option<String> {
    let listed = nft(&["-j", "list", "chains"], "").ok()?;
    dropping(&serde_json::from_slice(&listed).ok()?)
}

fn dropping(listed: &Value) -> Option<String> {
    let chains = listed["nftables"].as_array()?.iter().filter_map(|object| object.get("chain"));
    let word = |chain: &Value, name: &str| chain[name].as_str().unwrap_or_default().to_owned();
    let mut dropping = chains.filter(|chain| {
        let family = word(chain, "family");
        word(chain, "hook") == "forward"
            && word(chain, "policy") == "drop"
            && (family == "ip6" || family == "inet")
            && word(chain, "table") != TABLE
    });
    dropping.next().map(|chain| ["family", "table", "name"].map(|name| word(chain, name)).join(" "))
}

fn ruleset(allowed: &Allowed) -> String {
    // A table is declared so that it can be deleted whether or not it is there.
    let mut text = format!("table inet {TABLE} {{ }}\ndelete table inet {TABLE}\n");
    let _ = writeln!(text, "table inet {TABLE} {{");
    text.push_str(
        "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n",
    );
    for tunnel in TUNNELS {
        let _ = writeln!(text, "\t\tiifname \"{tunnel}\" jump from_tunnel");
    }
    text.push_str("\t}\n\tchain from_tunnel {\n");
    let interfaces = allowed.interfaces.iter().map(String::as_str);
    for interface in TUNNELS.into_iter().chain(interfaces) {
        let _ = writeln!(text, "\t\toifname \"{interface}\" accept");
    }
    for prefix in &allowed.prefixes {
        let family = if prefix.is_ipv4() { "ip" } else { "ip6" };
        let _ = writeln!(text, "\t\t{family} daddr {prefix} accept");
    }
    text.push_str("\t\tcounter drop\n\t}\n}\n");
    text
}

/// Runs nft(8); what it prints.
fn nft(arguments: &[&str], input: &str) -> io::Result<Vec<u8>> {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.lines().next().unwrap_or("nft fails").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_out_of_tunnels_reach_tunnels_lans_and_own_prefixes() {
        let allowed = Allowed {
            prefixes: vec!["2001:db8:42:1::/64".parse().unwrap(), "10.42.1.0/24".parse().unwrap()],
            interfaces: vec!["eth1".into()],
        };
        let text = ruleset(&allowed);
        let rules: Vec<&str> = text.lines().skip(2).map(str::trim).collect();
        assert_eq!(
            rules,
            [
                "table inet re6st {",
                "chain forward {",
                "type filter hook forward priority filter; policy accept;",
                "iifname \"re6c-*\" jump from_tunnel",
                "iifname \"re6u*\" jump from_tunnel",
                "iifname \"re6t*\" jump from_tunnel",
                "}",
                "chain from_tunnel {",
                "oifname \"re6c-*\" accept",
                "oifname \"re6u*\" accept",
                "oifname \"re6t*\" accept",
                "oifname \"eth1\" accept",
                "ip6 daddr 2001:db8:42:1::/64 accept",
                "ip daddr 10.42.1.0/24 accept",
                "counter drop",
                "}",
                "}",
            ]
        );
    }

    #[test]
    fn chain_that_drops_forwarded_packets_is_named() {
        let chain = |family: &str, table: &str, hook: &str, policy: &str| {
            serde_json::json!({ "chain": { "family": family, "table": table, "name": "FORWARD",
                                           "hook": hook, "policy": policy } })
        };
        let listed = |chains: &[Value]| serde_json::json!({ "nftables": chains });
        let harmless = [
            chain("ip", "filter", "forward", "drop"),
            chain("ip6", "filter", "input", "drop"),
            chain("ip6", "filter", "forward", "accept"),
            chain("inet", "re6st", "forward", "drop"),
            serde_json::json!({ "chain": { "family": "ip6", "table": "filter", "name": "DOCKER" } }),
        ];
        assert_eq!(dropping(&listed(&harmless)), None);
        let docker = chain("ip6", "filter", "forward", "drop");
        let all = [&harmless[..], &[docker]].concat();
        assert_eq!(dropping(&listed(&all)).as_deref(), Some("ip6 filter FORWARD"));
    }
}
