//! The registry and its own node, which is a script here: what is asked over UDP, what becomes of answers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use re6st::os::clock::unix_time;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::identity;
use crate::namespace::{Namespace, Process, RE6ST, eventually};

/// Says what it was asked, and answers for 0/16 to 3/16, except that 3/16 is silent.
const NODE: &str = r#"
import socket
node = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
node.bind(('::1', 326))
tunnels = {0: '1 1/16 2/16', 1: '1 2/16 0/16', 2: '1 0/16 1/16 3/16'}
print('ready', flush=True)
while True:
    question, source = node.recvfrom(65536)
    prefix, code = question.split(b'\0', 1)
    number = int(prefix, 2)
    print(number, code[0] if code else None, flush=True)
    # What another one asked, late: nobody may take it for an answer.
    node.sendto(b'1111111111111111\0' + code + b'10.9.9.9,1,udp', source)
    node.sendto(b'rubbish', source)
    # As upstream's node: what it does not know, and what is told it, it does not answer.
    if number < 3 and code[0] in (1, 4, 5):
        answer = {1: '10.0.0.%u,1194,udp,FR;10.0.0.%u,1194,tcp' % (number, number),
                  4: 'software %u' % number, 5: tunnels[number]}[code[0]]
        node.sendto(question + answer.encode(), source)
"#;

/// A registry on port 80 of its own host, with three members and a route to the second and the third.
pub struct Story {
    // Processes end before their host and folder do.
    node: Option<Process>,
    _registry: Process,
    pub host: Namespace,
    folder: TempDir,
}

impl Story {
    pub fn begin() -> Self {
        let host = Namespace::new("registry");
        let folder = TempDir::with_prefix("re6st-own-node-").unwrap();
        let dir = folder.path().to_str().unwrap();
        host.run(RE6ST, &["registry", "init", "--network", "2001:db8:42::/48", "--dir", dir]);
        let serve = ["registry", "serve", "--dir", dir, "--anonymous-prefix-length", "16"];
        let registry = host.spawn(folder.path(), "registry", RE6ST, &serve);
        eventually("the registry answers", Duration::from_secs(30), || {
            registry.printed().contains("[::]:80").then_some(())
        });
        for name in ["0", "1", "2"] {
            let target = folder.path().join(name);
            let url = "http://127.0.0.1/";
            let join = ["cert", "join", "--registry", url, "--anonymous", "--dir"];
            host.run(RE6ST, &[&join[..], &[target.to_str().unwrap()]].concat());
        }
        host.ip("link add mesh type veth peer name other");
        host.ip("link set other up");
        host.ip("link set mesh up");
        for prefix in ["1", "2"] {
            host.ip(&format!("route add 2001:db8:42:{prefix}::/64 dev mesh proto 42"));
        }
        Self { node: None, _registry: registry, host, folder }
    }

    pub fn start_node(&mut self) {
        let script = self.folder.path().join("node.py");
        fs::write(&script, NODE).unwrap();
        let arguments = [script.to_str().unwrap()];
        let node = self.host.spawn(self.folder.path(), "node", "python3", &arguments);
        eventually("the node is there", Duration::from_secs(30), || {
            node.printed().contains("ready").then_some(())
        });
        self.node = Some(node);
    }

    fn asked(&self) -> String {
        self.node.as_ref().map(Process::printed).unwrap_or_default()
    }

    fn json(&self, call: &str) -> Value {
        let url = format!("http://127.0.0.1/{call}");
        let printed = self.host.run("curl", &["-s", "-f", "-m", "20", &url]);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"))
    }

    /// getBootstrapPeer by the member in `folder`, as `re6st node` asks it.
    fn bootstrap(&self, folder: &str) -> Option<(String, String)> {
        let folder = self.folder.path().join(folder);
        bootstrap(&self.host, &folder)
    }
}

/// Runs a client inside the host's namespace, on a thread of its own that never leaves it.
fn bootstrap(host: &Namespace, folder: &Path) -> Option<(String, String)> {
    let namespace = fs::File::open(format!("/run/netns/{}", host.name)).unwrap();
    let identity = identity(folder, unix_time());
    let asked = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = "http://127.0.0.1/".parse().unwrap();
            let mut client = re6st::command::registry::client::RegistryClient::new(url, identity);
            client.get_bootstrap_peer().await.unwrap()
        })
    });
    let peer = asked.join().unwrap();
    peer.map(|(prefix, addresses)| (prefix.to_string(), addresses))
}

#[test]
fn members_are_sent_to_nodes_that_are_routed() {
    let mut story = Story::begin();
    assert_eq!(story.bootstrap("1"), None, "no node runs here yet");
    story.start_node();
    let mut peers: Vec<String> = Vec::new();
    for _ in 0..6 {
        let (peer, addresses) = story.bootstrap("1").expect("all of them answer");
        assert_ne!(peer, "1/16", "oneself is no use");
        let number = peer.chars().next().unwrap();
        let expected = format!("10.0.0.{number},1194,udp,FR;10.0.0.{number},1194,tcp");
        assert_eq!(addresses, expected);
        peers.push(peer);
    }
    peers.sort();
    peers.dedup();
    assert_eq!(peers, ["0/16", "2/16"], "each gets its turn");
}

#[test]
fn the_registrys_node_is_told_of_new_versions_and_asked_about_all() {
    let mut story = Story::begin();
    story.start_node();
    assert_eq!(
        story.json("versions"),
        json!({
            "0000000000000000": "software 0",
            "0000000000000001": "software 1",
            "0000000000000010": "software 2",
        })
    );
    // 2/16 says that 3/16, who is silent, made a tunnel to it.
    assert_eq!(
        story.json("topology"),
        json!({
            "": ["0/16", "1/16", "2/16"],
            "0/16": ["1/16"],
            "1/16": ["2/16"],
            "2/16": ["0/16"],
            "3/16": ["2/16"],
        })
    );
    let printed =
        story.host.run(RE6ST, &["registry", "nodes", "--json", "--registry", "http://[::1]/"]);
    let nodes: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(nodes.len(), 3);
    assert_eq!(
        (&nodes[2]["sdn"], &nodes[2]["ipv4"]),
        (&json!("2001:db8:42:2::1"), &json!("10.0.0.2"))
    );
    assert!(!story.asked().contains("0 0\n"), "{}", story.asked());
    story.host.run(RE6ST, &["registry", "rotate-key"]);
    eventually("the node hears of the new version", Duration::from_secs(10), || {
        story.asked().contains("0 0\n").then_some(())
    });
    let table = story.host.run(RE6ST, &["registry", "versions"]);
    assert!(table.contains("software 2"), "{table}");
    let lines = story.host.run(RE6ST, &["registry", "topology", "--json"]);
    assert_eq!(lines.lines().count(), 4, "{lines}");
}
