//! The hosts of the demo: what is started on them, and what they are asked.

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::command::Failure;
use crate::command::json::{self, Node, Object};
use crate::command::lab::{Lab, status, up};
use crate::command::node::control::{self, Question};
use crate::proto::lab::scenario::{Host, Scenario};
use crate::proto::matrix::ping::Ping;

/// The hosts, and the programs that were started on them.
pub struct Hosts {
    lab: Lab,
    scenario: Scenario,
    registry: usize,
    nodes: RefCell<Vec<Child>>,
}

/// What the nodes know of each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routes {
    /// Ways from a node to another one.
    pub count: usize,
    /// The sum of their metrics.
    pub metric: u64,
    /// Tunnels that are up.
    pub tunnels: usize,
}

impl Hosts {
    /// The hosts of a scenario, not made yet.
    pub fn new(lab: Lab, scenario: Scenario) -> Self {
        let registry = scenario.registry.as_ref().and_then(|name| scenario.host(name).ok());
        Self { lab, scenario, registry: registry.unwrap_or(0), nodes: RefCell::default() }
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.scenario.hosts.len()
    }

    /// The host that runs the registry.
    pub fn registry_name(&self) -> &str {
        &self.scenario.hosts[self.registry].name
    }

    /// Where their keys, caches and logs are.
    pub fn folder(&self) -> PathBuf {
        self.lab.folder()
    }

    /// Makes them.
    pub fn up(&self) -> Result<(), Failure> {
        let folder = self.folder();
        let failed = |error: std::io::Error| {
            Failure::failed(format!("cannot write to {}: {error}", folder.display()))
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let text = toml::to_string(&self.scenario);
        let text = text.map_err(|error| Failure::failed(error.to_string()))?;
        let file = folder.join("demo.toml");
        fs::write(&file, text).map_err(failed)?;
        let file = file.display().to_string();
        up::spawn(&self.lab, ["lab", "up", &file, "--name", &self.lab.name])?;
        for host in &self.scenario.hosts {
            fs::create_dir_all(self.path(host, "")).map_err(failed)?;
        }
        Ok(())
    }

    /// Founds a network and serves it.
    pub async fn start_registry(&self) -> Result<(), Failure> {
        let host = &self.scenario.hosts[self.registry];
        let folder = self.path(host, "registry");
        let words = ["registry", "init", "--network", NETWORK, "--dir", &folder];
        succeeded("registry init", &self.exec(host, &words).output_async().await)?;
        let words = [
            "registry",
            "serve",
            "--dir",
            &folder,
            "--anonymous-prefix-length",
            "16",
            "--hello",
            "4",
        ];
        self.start(host, "registry.log", &words)?;
        Ok(())
    }

    /// Asks for a certificate for every host; `tell` hears how many have one. The registry takes the first
    /// one that it gives for that of its own node: its host comes first, then all others at once.
    pub async fn join(&self, mut tell: impl FnMut(usize)) -> Result<(), Failure> {
        let (url, registry) = (self.registry_url(), &self.scenario.hosts[self.registry]);
        self.join_one(&url, registry).await?;
        tell(1);
        let others = self.scenario.hosts.iter().filter(|host| host.name != registry.name);
        let mut joining: FuturesUnordered<_> =
            others.map(|host| self.join_one(&url, host)).collect();
        for joined in 2.. {
            let Some(done) = joining.next().await else { break };
            done?;
            tell(joined);
        }
        Ok(())
    }

    async fn join_one(&self, url: &str, host: &Host) -> Result<(), Failure> {
        let folder = self.path(host, "etc");
        let words = ["cert", "join", "--registry", url, "--anonymous", "--dir", &folder];
        let mut outcome = Ok(());
        for _ in 0..JOIN_ATTEMPTS {
            let output = self.exec(host, &words).output_async().await;
            outcome = succeeded(&format!("cert join on {}", host.name), &output).map(|_| ());
            if outcome.is_ok() {
                break;
            }
            // The registry may not be listening yet.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        outcome
    }

    /// Starts a node on every host.
    pub fn start_nodes(&self) -> Result<(), Failure> {
        let url = self.registry_url();
        for host in &self.scenario.hosts {
            let file = |name: &str| self.path(host, &format!("etc/{name}"));
            let (ca, cert, key) = (file("ca.crt"), file("cert.crt"), file("cert.key"));
            let (state, run) = (self.path(host, "state"), self.path(host, "run"));
            let mut words = vec!["node", "up", "--registry", &url, "--ca", &ca, "--cert", &cert];
            words.extend(["--key", &key, "--state", &state, "--run", &run]);
            let address = host.ipv4.filter(|_| host.nat.is_none()).map(|ipv4| ipv4.to_string());
            if let Some(address) = &address {
                words.extend(["--ip", address]);
            }
            if host.lan.is_some() {
                words.extend(["--interface", "lan"]);
            }
            let child = self.start(host, "node.log", &words)?;
            self.nodes.borrow_mut().push(child);
        }
        Ok(())
    }

    /// Whether every node still runs.
    pub fn check_nodes(&self) -> Result<(), Failure> {
        for (host, node) in self.scenario.hosts.iter().zip(self.nodes.borrow_mut().iter_mut()) {
            if let Ok(Some(_)) = node.try_wait() {
                let log = fs::read_to_string(self.path(host, "node.log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(Failure::failed(format!("the node on {} ended: {last}", host.name)));
            }
        }
        Ok(())
    }

    /// What the nodes know of each other now.
    pub async fn routes(&self) -> Routes {
        let mut routes = Routes::default();
        for host in &self.scenario.hosts {
            let run = PathBuf::from(self.path(host, "run"));
            for object in control::ask(&run, Question::Routes).await.unwrap_or_default() {
                if let Object::NodeRoute(route) = object {
                    routes.count += 1;
                    routes.metric += u64::from(route.metric);
                }
            }
            if let Some(status) = self.status(host).await {
                routes.tunnels += status.tunnels_opened;
            }
        }
        routes
    }

    /// Probes every pair over every plane.
    pub async fn measure(&self) -> Result<Vec<Ping>, Failure> {
        let targets = self.folder().join("targets.jsonl");
        let mut lines = String::new();
        for host in &self.scenario.hosts {
            let sdn = self.status(host).await.and_then(|status| status.sdn);
            let node = Object::Node(Node { sdn, ..status::node(host) });
            lines += &serde_json::to_string(&node).unwrap_or_default();
            lines.push('\n');
        }
        fs::write(&targets, lines)
            .map_err(|error| Failure::failed(format!("{}: {error}", targets.display())))?;
        let targets = targets.display().to_string();
        let mut measuring = tokio::task::JoinSet::new();
        for host in &self.scenario.hosts {
            let mut words = vec!["ping-matrix", "run", "--targets", &targets, "--json"];
            words.extend(["--source", &host.name, "--count", "10", "--interval", "500ms"]);
            let (command, name) = (self.exec(host, &words), host.name.clone());
            measuring.spawn(async move {
                succeeded(&format!("ping-matrix on {name}"), &command.output_async().await)
            });
        }
        let mut pings = Vec::new();
        while let Some(done) = measuring.join_next().await {
            let lines =
                done.map_err(|_| Failure::failed("ping-matrix ended by a bug of ours"))??;
            let objects = json::parse_lines(&lines);
            let objects = objects.map_err(|error| Failure::failed(error.to_string()))?;
            pings.extend(objects.into_iter().filter_map(|object| match object {
                Object::Ping(ping) => Some(ping),
                _ => None,
            }));
        }
        let place = |name: &str| self.scenario.host(name).ok();
        pings.sort_by_key(|ping| (place(&ping.source), place(&ping.target), ping.plane));
        Ok(pings)
    }

    async fn status(&self, host: &Host) -> Option<json::NodeStatus> {
        let run = PathBuf::from(self.path(host, "run"));
        let objects = control::ask(&run, Question::Status).await.ok()?;
        objects.into_iter().find_map(|object| match object {
            Object::NodeStatus(status) => Some(status),
            _ => None,
        })
    }

    fn registry_url(&self) -> String {
        let host = &self.scenario.hosts[self.registry];
        match (host.ipv4, host.ipv6) {
            (Some(ipv4), _) => format!("http://{ipv4}/"),
            (None, Some(ipv6)) => format!("http://[{ipv6}]/"),
            (None, None) => "http://localhost/".to_owned(),
        }
    }

    fn path(&self, host: &Host, name: &str) -> String {
        self.folder().join(&host.name).join(name).display().to_string()
    }

    /// This program with these arguments, on a host, not started yet.
    fn exec(&self, host: &Host, words: &[&str]) -> Exec {
        let program = std::env::current_exe().unwrap_or_else(|_| "re6st".into());
        let mut command = Command::new(&program);
        command.args(["lab", "exec", "--name", &self.lab.name, &host.name, "--"]);
        command.arg(program).args(words).stdin(Stdio::null());
        // A Ctrl-C is for us: what runs on hosts is ended with them.
        command.process_group(0);
        Exec(command)
    }

    /// Starts a program that stays; its outputs go to a file in the host's folder.
    fn start(&self, host: &Host, log: &str, words: &[&str]) -> Result<Child, Failure> {
        let failed = |error: std::io::Error| {
            Failure::failed(format!("cannot start {} on {}: {error}", words.join(" "), host.name))
        };
        let log = File::create(self.path(host, log)).map_err(failed)?;
        let mut command = self.exec(host, words).0;
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        command.spawn().map_err(failed)
    }
}

/// A command that runs to its end.
struct Exec(Command);

impl Exec {
    async fn output_async(self) -> std::io::Result<Output> {
        tokio::process::Command::from(self.0).output().await
    }
}

/// What a program printed, if it succeeded.
fn succeeded(what: &str, output: &std::io::Result<Output>) -> Result<String, Failure> {
    let failed = |reason: &str| Failure::failed(format!("{what}: {reason}"));
    let output = output.as_ref().map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it said nothing");
        return Err(failed(last.trim_start_matches("re6st: ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The network of the demo.
const NETWORK: &str = "2001:db8:42::/48";

const JOIN_ATTEMPTS: usize = 20;
