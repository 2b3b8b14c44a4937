//! Hosts for tests: network namespaces, links between them, processes inside them; all gone at the end,
//! also when a test fails.
#![allow(dead_code, reason = "not every host is used in every way")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The executable under test.
pub const RE6ST: &str = env!("CARGO_BIN_EXE_re6st");

static COUNT: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// A network namespace with its loopback interface up.
pub struct Namespace {
    /// Its name, for `ip netns exec`: `r6t-<pid of the test>-<count>-<label>`.
    pub name: String,
}

impl Namespace {
    pub fn new(label: &str) -> Self {
        SWEPT.call_once(sweep);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("r6t-{}-{count}-{label}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Joins two namespaces by a pair of Ethernet interfaces, up, without addresses.
    pub fn connect(&self, interface: &str, other: &Self, other_interface: &str) {
        run(
            "ip",
            &[
                "link",
                "add",
                interface,
                "netns",
                &self.name,
                "type",
                "veth",
                "peer",
                "name",
                other_interface,
                "netns",
                &other.name,
            ],
        );
        self.ip(&format!("link set {interface} up"));
        other.ip(&format!("link set {other_interface} up"));
    }

    /// `ip -n THIS words…`, which must succeed; its output.
    pub fn ip(&self, words: &str) -> String {
        let words = words.split_whitespace();
        let arguments: Vec<&str> = ["-n", &self.name].into_iter().chain(words).collect();
        run("ip", &arguments)
    }

    /// A program in this namespace, not started yet.
    pub fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref()).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a program here to its end; its output, whatever its exit code.
    pub fn output(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let program = program.as_ref();
        self.command(program, arguments)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
    }

    /// Runs a program here, which must succeed; its standard output.
    pub fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> String {
        let program = program.as_ref();
        succeeded(&format!("{} {arguments:?}", program.display()), &self.output(program, arguments))
    }

    /// Starts a program here; both its outputs go to `DIR/NAME.log`.
    pub fn spawn(
        &self,
        directory: &Path,
        name: &str,
        program: impl AsRef<Path>,
        arguments: &[&str],
    ) -> Process {
        Process::start(self.command(program, arguments), directory, name)
    }

    /// Whether one of three echo requests to `address` is answered.
    pub fn pings(&self, address: &str) -> bool {
        let arguments = ["-c", "3", "-i", "0.2", "-W", "1", "-q", address];
        let output = self.output("ping", &arguments);
        output.status.success()
    }
}

impl Namespace {
    /// Sends a signal to every process in it; how many there were.
    pub fn signal(&self, signal: &str) -> usize {
        signal_all(&self.name, signal)
    }

    /// Does `work` on a thread inside it: for sockets that the test itself opens.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    /// Sets a kernel parameter, `net.ipv4.ip_forward=1`.
    pub fn sysctl(&self, setting: &str) {
        self.run("sysctl", &["-q", "-w", setting]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Ends what runs in a namespace of ours, politely first, and removes it.
fn remove(name: &str) {
    for attempt in 0..100 {
        // Whatever did not end within four seconds of being asked is not asked any more.
        if signal_all(name, if attempt < 40 { "TERM" } else { "KILL" }) == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).status();
}

/// Sends a signal to every process in a namespace of ours; how many there were.
fn signal_all(name: &str, signal: &str) -> usize {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else {
        return 0;
    };
    let pids = String::from_utf8_lossy(&output.stdout).into_owned();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    if !pids.is_empty() {
        let mut kill = Command::new("kill");
        // A process may have ended since.
        let _ = kill.args(["-s", signal]).args(&pids).stderr(Stdio::null()).status();
    }
    pids.len()
}

/// Removes the namespaces of tests that were killed before they could.
fn sweep() {
    let listed = run("ip", &["netns", "list"]);
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(maker) = name.strip_prefix("r6t-").and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !Path::new("/proc").join(maker).exists() {
            remove(name);
        }
    }
}

/// A running program; ended when dropped, politely first.
pub struct Process {
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts `command`; both its outputs go to `DIR/NAME.log`.
    pub fn start(mut command: Command, directory: &Path, name: &str) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child, log }
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id; `ip netns exec` becomes the program it starts.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
    }

    /// Asks it to end and waits up to ten seconds; its exit code, `None` if a signal ended it.
    pub fn stop(&mut self) -> Option<i32> {
        if self.is_running() {
            self.signal("TERM");
        }
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        self.child.wait().ok().and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.printed());
        }
    }
}

/// Asks every 100 ms until there is an answer; panics with `what` after `patience`.
pub fn eventually<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a program to its end, which must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    succeeded(&format!("{program} {arguments:?}"), &output)
}

fn succeeded(what: &str, output: &Output) -> String {
    let text = |octets| String::from_utf8_lossy(octets).into_owned();
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
