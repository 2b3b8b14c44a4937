//! Babel routers of every make in namespaces, joined by Ethernet links.
//!
//! Router N has the addresses `2001:db8:0:N::1` and `10.9.0.N` on its loopback interface; its interface to
//! router M is called `eM`. They say Hello every second.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
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
    /// How often it came back under another name.
    lives: u8,
}

impl Router {
    fn new(number: usize, make: Make) -> Self {
        let namespace = Namespace::new(&format!("{make:?}{number}").to_lowercase());
        namespace.ip(&format!("address add 2001:db8:0:{number}::1/128 dev lo"));
        namespace.ip(&format!("address add 10.9.0.{number}/32 dev lo"));
        let directory = tempfile::Builder::new().prefix("re6st-router-").tempdir().unwrap();
        let router = Self {
            processes: Vec::new(),
            namespace,
            number,
            make,
            directory,
            peers: Vec::new(),
            lives: 0,
        };
        router.forward(true);
        router
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

    /// A file of its programs.
    pub fn path(&self, name: &str) -> String {
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
        if self.make == Make::Ours {
            fs::write(&file, text + "\n").unwrap();
            let socket = self.path("socket");
            let arguments = ["babel", "run", "--config", &file, "--socket", &socket];
            self.spawn("re6st", RE6ST, &arguments);
        } else {
            let state = self.path("state");
            let local = self.path("local");
            // Of hardware addresses that are set locally, as here, it makes none, and draws one each time.
            let name =
                format!("router-id 02:00:00:00:00:{:02x}:00:{:02x}\n", self.lives, self.number);
            text.insert_str(0, &name);
            fs::write(&file, text + "\n").unwrap();
            // A babeld that was killed left it behind, and the next one does not start over it.
            let _ = fs::remove_file(&local);
            let arguments = ["-I", "", "-S", &state, "-G", &local, "-c", &file];
            self.spawn("babeld", "babeld", &arguments);
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
            let socket = self.directory.path().join(format!("{program}.vty"));
            // One that was killed left it behind.
            let _ = fs::remove_file(&socket);
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

    /// Changes what BIRD's configuration says, and has it read again.
    pub fn reconfigure_bird(&self, change: impl FnOnce(String) -> String) {
        let file = self.path("bird.conf");
        let before = fs::read_to_string(&file).unwrap();
        let after = change(before.clone());
        assert_ne!(after, before);
        fs::write(&file, after).unwrap();
        let answer = self.birdc("configure");
        assert!(answer.contains("Reconfigur"), "{answer}");
    }

    /// Gives babeld a statement while it runs.
    pub fn tell_babeld(&self, statement: &str) {
        let mut socket = UnixStream::connect(self.path("local")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "ok"), "no greeting");
        writeln!(socket, "{statement}").unwrap();
        assert_eq!(lines.next().as_deref(), Some("ok"), "{statement}");
    }

    fn forward(&self, does: bool) {
        let does = u8::from(does);
        self.namespace.sysctl(&format!("net.ipv6.conf.all.forwarding={does}"));
        self.namespace.sysctl(&format!("net.ipv4.ip_forward={does}"));
    }

    /// Its IPv6 route to another router.
    pub fn route_to(&self, to: usize) -> Option<String> {
        let routes = self.namespace.ip(&format!("-6 route show 2001:db8:0:{to}::1"));
        routes.lines().next().map(str::to_owned)
    }

    /// Gives its interfaces other hardware addresses: from them FRR makes its name. Links that are down
    /// stay down.
    fn replace_hardware(&self) {
        for peer in &self.peers {
            let host = &self.namespace;
            let shown = host.ip(&format!("-o link show dev e{peer}"));
            host.ip(&format!("link set e{peer} down"));
            let life = self.lives;
            host.ip(&format!(
                "link set e{peer} address 02:00:00:{life:02x}:{:02x}:{peer:02x}",
                self.number
            ));
            if shown.split('>').next().is_some_and(|flags| flags.contains(",UP")) {
                host.ip(&format!("link set e{peer} up"));
            }
        }
    }

    /// The number of the router by which packets to another one go first; 0 if none.
    pub fn way_to(&self, to: usize) -> usize {
        let route = self.route_to(to).unwrap_or_default();
        let interface = route.split(' ').skip_while(|word| *word != "dev").nth(1);
        interface.and_then(|name| name.strip_prefix('e')?.parse().ok()).unwrap_or(0)
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

    /// The pairs that do not reach each other over both families, one router left out.
    fn unreachable_but(&self, left_out: usize) -> Vec<(usize, usize)> {
        let all = || self.all.iter().filter(move |router| router.number != left_out);
        let silent = |from: &Router| -> Vec<(usize, usize)> {
            let others = all().filter(|to| to.number != from.number && !from.reaches(to));
            others.map(|to| (from.number, to.number)).collect()
        };
        // Side by side: each that is silent takes a second or two.
        std::thread::scope(|scope| {
            let asked: Vec<_> = all().map(|from| scope.spawn(move || silent(from))).collect();
            asked.into_iter().flat_map(|from| from.join().unwrap()).collect()
        })
    }

    /// Waits until every pair reaches each other; how long that took.
    pub fn wait_until_whole(&self, patience: Duration) -> Duration {
        self.wait_until_others_are_whole(0, patience)
    }

    /// The same, one router left out.
    pub fn wait_until_others_are_whole(&self, left_out: usize, patience: Duration) -> Duration {
        #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
        let start = std::time::Instant::now();
        loop {
            let silent = self.unreachable_but(left_out);
            let took = start.elapsed();
            if silent.is_empty() {
                return took;
            }
            assert!(took < patience, "not within {patience:?}: {silent:?}\n{}", self.dumps());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until every router goes to those it has a link to by that link: babeld and FRR take their time
    /// to return to a better way, and what fails meanwhile is not found out by the one that it is for.
    pub fn wait_until_direct(&self, patience: Duration) {
        eventually("the shortest ways are taken", patience, || {
            let is_direct =
                |router: &Router| router.peers.iter().all(|&peer| router.way_to(peer) == peer);
            self.all.iter().all(is_direct).then_some(())
        });
    }

    /// What the kernels know, and the routers that can be asked.
    fn dumps(&self) -> String {
        let dump = |router: &Router| {
            let host = &router.namespace;
            let routes = host.ip("-6 route") + &host.ip("-4 route");
            let socket = router.path("socket");
            let (bird, frr) = (router.path("bird.ctl"), router.path(""));
            let known = match router.make {
                Make::Ours => host.output(RE6ST, &["babel", "dump", "--socket", &socket]).stdout,
                Make::Bird => host.output("birdc", &["-s", &bird, "show babel routes"]).stdout,
                Make::Frr => {
                    host.output("vtysh", &["--vty_socket", &frr, "-c", "show babel route"]).stdout
                }
                Make::Babeld => Vec::new(),
            };
            let known = String::from_utf8_lossy(&known);
            format!("--- {} {:?}\n{routes}{known}", router.number, router.make)
        };
        self.all.iter().map(dump).collect()
    }

    /// Takes the link between two routers down at the end of the first, without a word to the second
    /// but that its Ethernet has no carrier.
    pub fn cut(&self, a: usize, b: usize) {
        self.router(a).namespace.ip(&format!("link set e{b} down"));
    }

    /// Has a router say and forward nothing any more, as if its host had lost its power.
    pub fn kill(&mut self, number: usize) {
        self.router(number).forward(false);
        self.all[number - 1].stop("KILL");
    }

    /// Starts it again. Ours finds and removes the routes that it left; babeld would keep them, even where
    /// it knows better, so the others' host begins without.
    ///
    /// Killed, babeld and FRR draw a number (ended by TERM, they keep it). Under the old name, half of all
    /// numbers are older than what the others know: ours and BIRD refuse them for 300 s, babeld and FRR for
    /// up to 200 s, and in vain they ask for a newer one, as it is more than a hundred away. So they get
    /// another name. BIRD keeps its own, and is asked for one number after the other.
    pub fn revive(&mut self, number: usize, setup: Setup<'_>) {
        let router = self.router(number);
        if router.make != Make::Ours {
            for words in ["-4 route flush proto babel", "-6 route flush proto babel"] {
                // There may be none, or one that went with another.
                let words: Vec<&str> = words.split(' ').collect();
                router.namespace.output("ip", &words);
            }
        }
        router.forward(true);
        let router = &mut self.all[number - 1];
        router.lives += 1;
        if router.make == Make::Frr {
            router.replace_hardware();
        }
        router.start(setup);
    }

    /// Brings it up again.
    pub fn mend(&self, a: usize, b: usize) {
        self.router(a).namespace.ip(&format!("link set e{b} up"));
        // An interface that was down has lost nothing but its IPv6 link-local address, which comes back.
    }
}

/// Packets from one router to another, ten a second.
pub struct Stream {
    ping: Process,
    // Holds what it prints.
    _directory: TempDir,
}

/// What became of them.
pub struct Summary(String);

impl Stream {
    /// Starts it.
    pub fn start(from: &Router, to: &Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = format!("2001:db8:0:{}::1", from.number);
        let destination = format!("2001:db8:0:{}::1", to.number);
        let arguments = ["-n", "-i", "0.1", "-I", &source, &destination];
        let ping = from.namespace.spawn(directory.path(), "ping", "ping", &arguments);
        Self { ping, _directory: directory }
    }

    /// Ends it.
    pub fn end(mut self) -> Summary {
        self.ping.signal("INT");
        eventually("ping ends", Duration::from_secs(5), || (!self.ping.is_running()).then_some(()));
        Summary(self.ping.printed())
    }
}

impl Summary {
    /// None was killed by its hop limit, as a loop would do, and the others were lost for less than that.
    pub fn lost_less_than(&self, time: Duration) {
        let Self(printed) = self;
        assert!(!printed.contains("exceeded"), "{printed}");
        let summary = printed.lines().find(|line| line.contains(" packets transmitted, "));
        let summary = summary.unwrap_or_else(|| panic!("no summary: {printed}"));
        let counts: Vec<u32> =
            summary.split(' ').filter_map(|word| word.parse().ok()).take(2).collect();
        let lost = Duration::from_millis(100) * (counts[0] - counts[1]);
        println!("{summary}: gone for {lost:?}");
        assert!(counts[1] > 0 && lost < time, "{summary}");
    }
}
