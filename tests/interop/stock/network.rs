//! A whole network of stock re6stnet: a registry and five nodes, one of them behind NAT.
//!
//! ```text
//!   reg  10.77.0.2    registry on port 80, and its node     udp and tcp 1194   token by e-mail
//!   h1   10.77.0.11   as re6stnet is out of the box         tcp 1194           token by e-mail
//!   h2   10.77.0.12                                         udp 1194           anonymous
//!   h3   10.77.0.13                                         udp and tcp 1195   anonymous
//!   h4   192.168.9.2  behind 10.77.0.9, NAT                 not reachable      anonymous
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::node::{Application, StockNode};
use super::pairs::{self, Member};
use super::registry::{Authority, StockRegistry};
use crate::internet::{Gateway, Internet};
use crate::namespace::{Namespace, RE6ST};

/// A running stock network; drop it to end it.
pub struct StockNetwork {
    // In the order of ending: the registry runs in the namespace of the first node.
    registry: StockRegistry,
    nodes: Vec<StockNode>,
    gateway: Gateway,
    internet: Internet,
    authority: Authority,
    directory: TempDir,
}

/// Where the registry is.
pub const REGISTRY: &str = "http://10.77.0.2/";

/// Where a host is.
#[derive(Clone, Copy)]
pub enum Place {
    /// At 10.77.0.x.
    Public(u8),
    /// At 192.168.9.x, behind the gateway.
    BehindNat(u8),
}

/// Name, place and re6stnet's options of the nodes besides the registry's.
const NODES: [(&str, Place, &str); 4] = [
    ("h1", Place::Public(11), "--ip 10.77.0.11"),
    ("h2", Place::Public(12), "--ip 10.77.0.12 --pp 1194 udp --disable-proto none"),
    ("h3", Place::Public(13), "--ip 10.77.0.13 --pp 1195 udp --pp 1195 tcp --disable-proto none"),
    ("h4", Place::BehindNat(2), "--ip any --disable-proto none"),
];

impl StockNetwork {
    /// Starts registry and nodes; they need about 40 s to find each other. `registry_options` go to
    /// `re6st-registry`, whose hello interval is 4 s here instead of 15 s.
    pub fn start(registry_options: &[&str]) -> Self {
        Self::start_in(new_directory(), registry_options)
    }

    /// The same, with our executable where the nodes look for babeld.
    pub fn start_on_our_babel(registry_options: &[&str]) -> Self {
        let directory = new_directory();
        let programs = directory.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(RE6ST, programs.join("babeld")).unwrap();
        Self::start_in(directory, registry_options)
    }

    fn start_in(directory: TempDir, registry_options: &[&str]) -> Self {
        let authority = Authority::new(directory.path());
        let internet = Internet::new();
        let gateway = internet.gateway(9);
        let host = internet.host("reg", 2);
        let options = [&["--hello", "4"], registry_options].concat();
        let registry = StockRegistry::start(&host, directory.path(), &authority, &options);
        let by_mail = Application::Email(&registry.mailbox);
        let join = |host, name: &str, url, application| {
            let folder = directory.path().join(name);
            StockNode::join(host, &folder, url, &authority.fingerprint, application)
        };
        // The first certificate of a registry makes its holder the registry's node.
        let mut node = join(host, "reg", "http://127.0.0.1/", by_mail);
        node.start("--ip 10.77.0.2 --pp 1194 udp --pp 1194 tcp --disable-proto none");
        let mut nodes = vec![node];
        for (name, place, options) in NODES {
            let host = match place {
                Place::Public(octet) => internet.host(name, octet),
                Place::BehindNat(octet) => gateway.host(name, octet),
            };
            let application = if name == "h1" { by_mail } else { Application::Anonymous };
            let mut node = join(host, name, REGISTRY, application);
            node.start(options);
            nodes.push(node);
        }
        Self { registry, nodes, gateway, internet, authority, directory }
    }

    /// A further host, with nothing on it.
    pub fn add_host(&self, label: &str, place: Place) -> Namespace {
        match place {
            Place::Public(octet) => self.internet.host(label, octet),
            Place::BehindNat(octet) => self.gateway.host(label, octet),
        }
    }

    /// Waits until all stock nodes and `others` reach each other; how long that took.
    pub fn wait_for_all_pairs(&self, others: &[Member<'_>], patience: Duration) -> Duration {
        let mut members: Vec<Member<'_>> = self.nodes.iter().map(StockNode::member).collect();
        members.extend(others);
        pairs::wait_for_all(&members, patience)
    }

    /// The answer to one of the registry's private calls, `topology` or `revoke?cn_or_serial=2/16`.
    pub fn call(&self, call: &str) -> String {
        let url = format!("http://127.0.0.1/{call}");
        self.nodes[0].namespace.run("curl", &["-s", "-S", "-f", "-m", "40", &url])
    }

    /// A stock node by its name.
    pub fn node(&self, name: &str) -> &StockNode {
        self.nodes.iter().find(|node| node.name == name).expect("a node of the network")
    }

    /// All stock nodes, the registry's first.
    pub fn nodes(&self) -> &[StockNode] {
        &self.nodes
    }

    /// Where mails of the registry go.
    pub fn mailbox(&self) -> &Path {
        &self.registry.mailbox
    }

    /// `sha256:` and the digest of the CA's certificate.
    pub fn fingerprint(&self) -> &str {
        &self.authority.fingerprint
    }

    /// A folder for a further member.
    pub fn directory(&self, name: &str) -> PathBuf {
        let directory = self.directory.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }
}

impl Drop for StockNetwork {
    fn drop(&mut self) {
        // All at once: each takes some seconds.
        self.registry.ask_to_stop();
        self.nodes.iter().for_each(StockNode::ask_to_stop);
    }
}

fn new_directory() -> TempDir {
    tempfile::Builder::new().prefix("re6st-stock-").tempdir().unwrap()
}
