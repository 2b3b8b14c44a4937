//! Babel routers of every make in namespaces, joined by Ethernet links.
//!
//! Router N has the addresses `2001:db8:0:N::1` and `10.9.0.N` on its loopback interface; its interface to
//! router M is called `eM`. They say Hello every second.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::namespace::{Namespace, Process, RE6ST, eventually};

/// Whose router it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    Ours,
    Babeld,
    Bird,
    Frr,
}

/// How a network of routers is set up besides its links.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// The hash and the hexadecimal secret that all packets are signed with.
    pub key: Option<(&'a str, &'a str)>,
    /// Statements of babeld's language, for ours and babeld.
    pub statements: &'a str,
    /// Further protocols of BIRD.
    pub bird: &'a str,
}

/// A host with a router on it.
pub struct Router {
    // The programs end before their host does: fields are dropped in order.
    processes: Vec<Process>,
    pub namespace: Namespace,
    pub number: usize,
    pub make: Make,
    directory: TempDir,
    /// The numbers of the routers it has links to.
    pub peers: Vec<usize>,
}

impl Router {
    fn new(number: usize, make: Make) -> Self {
        let namespace = Namespace::new(&format!("{make:?}{number}").to_lowercase());
        for setting in ["net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1"] {
            namespace.sysctl(setting);
        }
        namespace.ip(&format!("address add 2001:db8:0:{number}::1/128 dev lo"));
        namespace.ip(&format!("address add 10.9.0.{number}/32 dev lo"));
        let directory = tempfile::Builder::new().prefix("re6st-router-").tempdir().unwrap();
        Self { processes: Vec::new(), namespace, number, make, directory, peers: Vec::new() }
    }

    /// Starts the router's programs.
    pub fn start(&mut self, setup: Setup<'_>) {
        match self.make {
            Make::Ours | Make::Babeld => self.start_babeld(setup),
            Make::Bird => self.start_bird(setup),
            Make::Frr => self.start_frr(),
        }
    }

    /// Ends the router's programs by a signal.
    pub fn stop(&mut self, signal: &str) {
        for process in &mut self.processes {
            process.signal(signal);
            process.stop();
        }
        self.processes.clear();
    }

    /// Ends them, and starts them again.
    pub fn restart(&mut self, signal: &str, setup: Setup<'_>) {
        self.stop(signal);
        self.start(setup);
    }

    /// Changes what our configuration says, and has it read again.
    pub fn reload(&self, change: impl FnOnce(String) -> String) -> std::process::Output {
        let file = self.path("babeld.conf");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
        self.namespace.output(RE6ST, &["babel", "reload", "--socket", &self.path("socket")])
    }

    /// Sends its programs a signal.
    pub fn signal(&self, signal: &str) {
        self.processes.iter().for_each(|process| process.signal(signal));
    }

    /// What its programs said.
    pub fn printed(&self) -> String {
        self.processes.iter().map(Process::printed).collect()
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn spawn(&mut self, name: &str, program: &str, arguments: &[&str]) {
        let process = self.namespace.spawn(self.directory.path(), name, program, arguments);
        self.processes.push(process);
    }

    fn start_babeld(&mut self, setup: Setup<'_>) {
        // FRR refuses a next hop that it knows as a Babel route: addresses on links stay there.
        let mut text = format!("redistribute local ip 10.8.0.0/16 deny\n{}", setup.statements);
        text.push_str("\ndefault type wired hello-interval 1 update-interval 4");
        if let Some((hash, secret)) = setup.key {
            let _ = write!(text, " key shared\nkey id shared type {hash} value {secret}");
            // babeld wants a key before it is used.
            text = text.lines().rev().collect::<Vec<_>>().join("\n");
        }
        for peer in &self.peers {
            let _ = write!(text, "\ninterface e{peer}");
        }
        let file = self.path("babeld.conf");
        fs::write(&file, text + "\n").unwrap();
        if self.make == Make::Ours {
            let socket = self.path("socket");
            let arguments = ["babel", "run", "--config", &file, "--socket", &socket];
            self.spawn("re6st", RE6ST, &arguments);
        } else {
            let state = self.path("state");
            self.spawn("babeld", "babeld", &["-I", "", "-S", &state, "-c", &file]);
        }
    }

    fn start_bird(&mut self, setup: Setup<'_>) {
        let authentication = setup.key.map_or_else(String::new, |(hash, secret)| {
            let algorithm = if hash == "blake2s128" { hash } else { "hmac sha256" };
            let octets: Vec<&str> =
                (0..secret.len()).step_by(2).map(|at| &secret[at..at + 2]).collect();
            let secret = octets.join(":");
            format!("authentication mac; password {secret} {{ algorithm {algorithm}; }};")
        });
        let sadr = if setup.bird.contains("sadr") { "ipv6 sadr" } else { "ipv6" };
        let text = format!(
            "router id 1.1.1.{number};\n\
             ipv6 sadr table sadr6;\n\
             protocol device {{ scan time 1; }}\n\
             protocol direct {{ {sadr}; ipv4; }}\n\
             protocol kernel {{ {sadr} {{ export where source != RTS_DEVICE; import none; }}; }}\n\
             protocol kernel {{ ipv4 {{ export where source != RTS_DEVICE; import none; }}; }}\n\
             protocol babel babel1 {{\n\
               ipv4 {{ import all; export all; }};\n\
               {sadr} {{ import all; export all; }};\n\
               interface \"e*\" {{ type wired; hello interval 1 s; update interval 4 s; {authentication} }};\n\
             }}\n{}\n",
            setup.bird,
            number = self.number,
        );
        let file = self.path("bird.conf");
        fs::write(&file, text).unwrap();
        let (socket, pid) = (self.path("bird.ctl"), self.path("bird.pid"));
        self.spawn("bird", "bird", &["-f", "-c", &file, "-s", &socket, "-P", &pid]);
    }

    fn start_frr(&mut self) {
        // Its programs give up root for this user.
        crate::namespace::run("chown", &["-R", "frr:frr", self.directory.path().to_str().unwrap()]);
        let folder = self.directory.path().to_str().unwrap().to_owned();
        let api = self.path("zserv.api");
        for program in ["zebra", "babeld"] {
            let (pid, file) =
                (self.path(&format!("{program}.pid")), self.path(&format!("{program}.conf")));
            let path = format!("/usr/lib/frr/{program}");
            let arguments = [
                "--vty_socket",
                &folder,
                "-z",
                &api,
                "-i",
                &pid,
                "-f",
                &file,
                "-A",
                "127.0.0.1",
                "-P",
                "0",
            ];
            self.spawn(program, &path, &arguments);
            let socket = self.directory.path().join(format!("{program}.vty"));
            eventually(program, Duration::from_secs(10), || socket.exists().then_some(()));
        }
        let mut text = String::from(
            "router babel\n redistribute ipv4 connected\n redistribute ipv6 connected\n",
        );
        for peer in &self.peers {
            let _ = writeln!(text, " network e{peer}");
        }
        for peer in &self.peers {
            let lines = " babel wired\n babel hello-interval 1000\n babel update-interval 4000\n";
            let _ = write!(text, "interface e{peer}\n{lines}");
        }
        let file = self.path("frr.conf");
        fs::write(&file, text).unwrap();
        // In its configuration file they would stall it after the first Hello.
        self.namespace.run("vtysh", &["--vty_socket", &folder, "-f", &file]);
    }

    /// What BIRD answers to a command.
    pub fn birdc(&self, command: &str) -> String {
        let socket = self.path("bird.ctl");
        let words: Vec<&str> = ["-s", &socket].into_iter().chain(command.split(' ')).collect();
        self.namespace.run("birdc", &words)
    }

    /// Whether it reaches another router over both families, between the addresses on their loopbacks.
    fn reaches(&self, to: &Self) -> bool {
        let (from, to) = (self.number, to.number);
        let pings = |source: &str, address: &str| {
            let ping = ["-n", "-q", "-c1", "-W1", "-I", source, address];
            self.namespace.output("ping", &ping).status.success()
        };
        pings(&format!("2001:db8:0:{from}::1"), &format!("2001:db8:0:{to}::1"))
            && pings(&format!("10.9.0.{from}"), &format!("10.9.0.{to}"))
    }
}

/// Routers and the links between them.
pub struct Routers {
    pub all: Vec<Router>,
}

impl Routers {
    /// Routers of these makes, numbered from 1, and links between the numbers given; started.
    pub fn start(makes: &[Make], links: &[(usize, usize)], setup: Setup<'_>) -> Self {
        let mut all: Vec<Router> =
            makes.iter().enumerate().map(|(at, &make)| Router::new(at + 1, make)).collect();
        for (at, &(a, b)) in links.iter().enumerate() {
            let (one, other) = (&all[a - 1].namespace, &all[b - 1].namespace);
            one.connect(&format!("e{b}"), other, &format!("e{a}"));
            one.ip(&format!("address add 10.8.{at}.{a}/24 dev e{b}"));
            other.ip(&format!("address add 10.8.{at}.{b}/24 dev e{a}"));
            all[a - 1].peers.push(b);
            all[b - 1].peers.push(a);
        }
        for router in &mut all {
            router.start(setup);
        }
        Self { all }
    }

    /// The router with this number.
    pub fn router(&self, number: usize) -> &Router {
        &self.all[number - 1]
    }

    /// The pairs that do not reach each other over both families.
    pub fn unreachable(&self) -> Vec<(usize, usize)> {
        let pairs = self.all.iter().flat_map(|from| self.all.iter().map(move |to| (from, to)));
        let silent = pairs.filter(|(from, to)| from.number != to.number && !from.reaches(to));
        silent.map(|(from, to)| (from.number, to.number)).collect()
    }

    /// Waits until every pair reaches each other; how long that took.
    pub fn wait_until_whole(&self, patience: Duration) -> Duration {
        #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
        let start = std::time::Instant::now();
        loop {
            let silent = self.unreachable();
            let took = start.elapsed();
            if silent.is_empty() {
                return took;
            }
            assert!(took < patience, "not within {patience:?}: {silent:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Takes the link between two routers down at the end of the first, without a word to the second
    /// but that its Ethernet has no carrier.
    pub fn cut(&self, a: usize, b: usize) {
        self.router(a).namespace.ip(&format!("link set e{b} down"));
    }

    /// Brings it up again.
    pub fn mend(&self, a: usize, b: usize) {
        self.router(a).namespace.ip(&format!("link set e{b} up"));
        // An interface that was down has lost nothing but its IPv6 link-local address, which comes back.
    }
}
