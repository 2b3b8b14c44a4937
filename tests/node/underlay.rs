//! Hosts on one Ethernet segment, a registry on the first, and nodes started and stopped on each.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use re6st::proto::certificate::{Certificate, Issuer, Terms};
use re6st::proto::time::UnixTime;
use serde_json::Value;

use crate::namespace::{Namespace, Process, RE6ST, eventually, run};

/// The hosts, joined by a bridge; host `i` is 10.99.0.(i+1) there and i/16 in the network.
pub struct Underlay {
    // Programs end before their hosts do, and say why a test failed while their logs are there.
    nodes: Vec<Option<Process>>,
    registry: Option<Process>,
    pub hosts: Vec<Namespace>,
    _bridge: Namespace,
    folder: tempfile::TempDir,
}

impl Underlay {
    /// Hosts that have certificates; the registry runs, with `options`.
    pub fn new(count: usize, options: &[&str]) -> Self {
        let bridge = Namespace::new("bridge");
        bridge.ip("link add br0 type bridge");
        bridge.ip("link set br0 up");
        let mut hosts = Vec::new();
        for at in 0..count {
            let host = Namespace::new(&format!("h{at}"));
            host.connect("eth0", &bridge, &format!("port{at}"));
            bridge.ip(&format!("link set port{at} master br0"));
            host.ip(&format!("addr add {}/24 dev eth0", underlay_address(at)));
            hosts.push(host);
        }
        let nodes = (0..count).map(|_| None).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut underlay = Self { hosts, _bridge: bridge, folder, registry: None, nodes };
        let registry = underlay.path("registry");
        let init = ["registry", "init", "--network", "2001:db8:42::/48", "--dir", &registry];
        run(RE6ST, &init);
        underlay.start_registry(options);
        for at in 0..count {
            underlay.join(at);
        }
        underlay
    }

    pub fn start_registry(&mut self, options: &[&str]) {
        let registry = self.path("registry");
        let serve = ["registry", "serve", "--dir", &registry, "--anonymous-prefix-length", "16"];
        let serve: Vec<&str> = serve.iter().chain(options).copied().collect();
        let process = self.hosts[0].spawn(self.folder.path(), "registry", RE6ST, &serve);
        self.registry = Some(process);
        let host = &self.hosts[0];
        eventually("the registry answers", Duration::from_secs(20), || {
            let got = host.output("curl", &["-sf", "-o", "/dev/null", "http://10.99.0.1/getCa"]);
            got.status.success().then_some(())
        });
    }

    pub fn stop_registry(&mut self) {
        self.registry = None;
    }

    fn join(&self, at: usize) {
        let folder = self.path(&format!("node{at}"));
        let join = ["cert", "join", "--registry", "http://10.99.0.1/", "--anonymous", "--dir"];
        let join: Vec<&str> = join.iter().copied().chain([folder.as_str()]).collect();
        self.hosts[at].run(RE6ST, &join);
    }

    /// The folder of a node, as `cert join` made it.
    pub fn node_folder(&self, at: usize) -> PathBuf {
        self.folder.path().join(format!("node{at}"))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Has a node's certificate end soon, as if it had been given long ago. The registry must not run.
    pub fn shorten_certificate(&self, at: usize, left: Duration) {
        let read = |path: PathBuf| std::fs::read(path).unwrap();
        let registry = self.folder.path().join("registry");
        let issuer =
            Issuer::from_pem(&read(registry.join("ca.crt")), &read(registry.join("ca.key")));
        let file = self.node_folder(at).join("cert.crt");
        let old = Certificate::from_pem(&read(file.clone())).unwrap();
        let prefix = old.prefix().unwrap();
        let terms = Terms {
            prefix,
            subject_serial: old.subject_serial().unwrap_or_default(),
            serial: old.serial().unwrap(),
            not_before: old.not_before(),
            not_after: re6st::os::clock::unix_time() + left,
        };
        let pem = issuer.unwrap().reissue(&old, terms).unwrap().to_pem().unwrap();
        std::fs::write(file, &pem).unwrap();
        let database = rusqlite::Connection::open(registry.join("registry.db")).unwrap();
        let text = String::from_utf8(pem).unwrap();
        let put = "UPDATE cert SET cert = ? WHERE prefix = ?";
        let done = database.execute(put, [text, prefix.to_bits()]).unwrap();
        assert_eq!(done, 1, "the registry knows the node");
    }

    /// Has the authority end soon, for the registry and one node. The registry is started again.
    pub fn shorten_authority(&mut self, at: usize, left: Duration) -> UnixTime {
        let registry = self.folder.path().join("registry");
        let read = |name: &str| std::fs::read(registry.join(name)).unwrap();
        let issuer = Issuer::from_pem(&read("ca.crt"), &read("ca.key")).unwrap();
        let end = re6st::os::clock::unix_time() + left;
        let pem = issuer.renew_authority(end).unwrap();
        self.stop_registry();
        std::fs::write(registry.join("ca.crt"), &pem).unwrap();
        std::fs::write(self.node_folder(at).join("ca.crt"), &pem).unwrap();
        self.start_registry(&[]);
        end
    }

    /// `re6st registry renew-ca`, while the registry runs.
    pub fn renew_authority(&self) {
        run(RE6ST, &["registry", "renew-ca", "--dir", &self.path("registry")]);
    }

    /// `re6st node up` on a host, not started yet.
    pub fn node_command(&self, at: usize, options: &[&str]) -> Command {
        let folder = self.node_folder(at);
        let part = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        self.up_command(at, &part("state"), &part("run"), options)
    }

    /// The same with folders of its own, as a second node on that host.
    pub fn other_node_command(&self, at: usize) -> Command {
        let part = |name: &str| self.node_folder(at).join(name).to_str().unwrap().to_owned();
        self.up_command(at, &part("other-state"), &part("other-run"), &[])
    }

    fn up_command(&self, at: usize, state: &str, run: &str, options: &[&str]) -> Command {
        let folder = self.node_folder(at);
        let part = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (ca, cert, key) = (part("ca.crt"), part("cert.crt"), part("cert.key"));
        let up = ["node", "up", "--registry", "http://10.99.0.1/", "--ca", &ca, "--cert", &cert];
        let up = up.into_iter().chain(["--key", &key, "--state", state, "--run", run]);
        let up: Vec<&str> = up.chain(["-v", "3"]).chain(options.iter().copied()).collect();
        self.hosts[at].command(RE6ST, &up)
    }

    pub fn start(&mut self, at: usize, options: &[&str]) {
        let address = underlay_address(at);
        let all: Vec<&str> =
            ["--ip", &address].iter().copied().chain(options.iter().copied()).collect();
        let command = self.node_command(at, &all);
        let process = Process::start(command, self.folder.path(), &format!("node{at}"));
        self.nodes[at] = Some(process);
    }

    /// Ends a node politely; it must do so by itself.
    pub fn stop(&mut self, at: usize) {
        let mut node = self.nodes[at].take().unwrap();
        assert_eq!(node.stop(), Some(0), "{}", node.printed());
    }

    /// Ends a node without giving it a chance.
    pub fn kill(&mut self, at: usize) {
        let mut node = self.nodes[at].take().unwrap();
        node.signal("KILL");
        node.stop();
    }

    /// The folder of the registry.
    pub fn registry_folder(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// The process of the registry.
    pub fn registry_pid(&self) -> u32 {
        self.registry.as_ref().unwrap().id()
    }

    /// What the registry printed.
    pub fn registry_printed(&self) -> String {
        self.registry.as_ref().unwrap().printed()
    }

    /// The process of a running node.
    pub fn pid(&self, at: usize) -> u32 {
        self.nodes[at].as_ref().unwrap().id()
    }

    /// The routes of a host that a Babel router put there.
    pub fn babel_routes(&self, at: usize) -> String {
        self.hosts[at].ip("-6 route show proto babel")
    }

    /// Asks a running node.
    pub fn ask(&self, at: usize, question: &str) -> Vec<Value> {
        let folder = self.node_folder(at).join("run");
        let ask = ["node", question, "--json", "--run", folder.to_str().unwrap()];
        let output = self.hosts[at].output(RE6ST, &ask);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until each of these reaches each other; how long that took.
    pub fn wait_for_all_pairs(&self, nodes: &[usize], patience: Duration) -> Duration {
        #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
        let start = std::time::Instant::now();
        let mut left: Vec<(usize, usize)> = Vec::new();
        for &from in nodes {
            left.extend(nodes.iter().filter(|&&to| to != from).map(|&to| (from, to)));
        }
        eventually(&format!("all pairs of {nodes:?} ping"), patience, || {
            left.retain(|&(from, to)| !self.pings_once(from, to));
            left.is_empty().then_some(())
        });
        start.elapsed()
    }

    /// Whether one echo request is answered.
    pub fn pings_once(&self, from: usize, to: usize) -> bool {
        let arguments = ["-c", "1", "-W", "1", "-q", &sdn_address(to)];
        self.hosts[from].output("ping", &arguments).status.success()
    }

    /// Pings in the background, twenty times a second; the loss is known when it is asked for.
    pub fn ping(&self, from: usize, to: usize) -> Process {
        let address = sdn_address(to);
        let arguments = ["-i", "0.05", "-W", "1", "-q", &address];
        self.hosts[from].spawn(self.folder.path(), &format!("ping-{from}-{to}"), "ping", &arguments)
    }

    /// An administrator's command on the registry's host.
    pub fn registry(&self, words: &[&str]) -> String {
        let words: Vec<&str> = ["registry"].iter().chain(words).copied().collect();
        self.hosts[0].run(RE6ST, &words)
    }

    /// What a running node printed, and earlier ones on that host.
    pub fn printed(&self, at: usize) -> String {
        self.nodes[at].as_ref().unwrap().printed()
    }

    /// Interfaces, addresses, routes and switches of a host, without what changes by itself.
    pub fn traces(&self, at: usize) -> String {
        let host = &self.hosts[at];
        let addresses = host.ip("-o addr");
        let routes = host.ip("-6 route show table all");
        let switches =
            ["ipv6.conf.all.forwarding", "ipv4.ip_forward", "ipv6.conf.all.accept_redirects"];
        let switches = host.run(
            "sysctl",
            &switches.map(|name| format!("net.{name}")).each_ref().map(String::as_str),
        );
        let lines = addresses.lines().chain(routes.lines()).chain(switches.lines());
        let lines = lines.filter(|line| !line.contains("fe80") && !line.contains("ff00"));
        let mut lines: Vec<String> = lines
            .map(|line| line.split("expires").next().unwrap().trim_end().to_owned())
            .map(|line| line.split(" valid_lft").next().unwrap().trim_end().to_owned())
            .collect();
        lines.sort();
        lines.dedup();
        lines.join("\n")
    }
}

pub fn underlay_address(at: usize) -> String {
    format!("10.99.0.{}", at + 1)
}

/// The address of the node on a host: prefixes are given in order.
pub fn sdn_address(at: usize) -> String {
    if at == 0 { "2001:db8:42::1".to_owned() } else { format!("2001:db8:42:{at:x}::1") }
}

/// Sent and received by a ping that runs; it is ended.
pub fn sent_and_received(mut ping: Process) -> (u32, u32) {
    ping.signal("INT");
    eventually("ping ends", Duration::from_secs(5), || (!ping.is_running()).then_some(()));
    let printed = ping.printed();
    let line = printed.lines().rfind(|line| line.contains("received"));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    let mut words = line.split_whitespace();
    let sent = words.next().unwrap().parse().unwrap();
    (sent, words.nth(2).unwrap().parse().unwrap())
}
