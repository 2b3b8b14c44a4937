//! One node of stock re6stnet: its programs, its certificate, its daemon.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pairs::Member;
use crate::namespace::{Namespace, Process, eventually};

/// The virtual environment that `scripts/test-setup` makes.
pub fn stock_venv() -> PathBuf {
    let venv = std::env::var_os("RE6ST_STOCK_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/stock-venv"),
        PathBuf::from,
    );
    let venv = std::path::absolute(venv).unwrap();
    assert!(
        venv.join("bin/re6stnet").exists(),
        "no re6stnet in {}: run scripts/test-setup",
        venv.display()
    );
    venv
}

/// A program of stock re6stnet in `namespace`, with the shims before Debian's programs, and before these
/// what is in a folder `bin` beside its own folder, `directory`.
pub fn stock_command(
    namespace: &Namespace,
    directory: &Path,
    program: &str,
    arguments: &[&str],
) -> Command {
    let venv = stock_venv();
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/stock/shim");
    let beside = directory.parent().unwrap_or(directory).join("bin");
    let path = format!(
        "{}:{}:{}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        beside.display(),
        shim.display(),
        venv.display()
    );
    let mut command = namespace.command(venv.join("bin").join(program), arguments);
    command.env_clear().env("PATH", path).env("HOME", "/root").env("LANG", "C.UTF-8");
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONWARNINGS", "ignore");
    command.current_dir(directory);
    command
}

/// How a node gets its certificate.
#[derive(Clone, Copy)]
pub enum Application<'a> {
    /// Without telling who asks.
    Anonymous,
    /// With a token got elsewhere.
    Token(&'a str),
    /// With the token that the registry sends to `NAME@example.com`: to this mailbox file.
    Email(&'a Path),
}

/// A node of stock re6stnet.
pub struct StockNode {
    // The daemon ends before its host does: fields are dropped in order.
    daemon: Option<Process>,
    pub namespace: Namespace,
    pub name: String,
    /// Its address in the mesh, `2001:db8:42:1::1`.
    pub address: String,
    /// Its name in its certificate, `1/16`.
    pub common_name: String,
    /// Its folder: certificate, `log/`, `run/`, `state/`.
    pub directory: PathBuf,
}

impl StockNode {
    /// Gets a certificate by `re6st-conf`; starts nothing.
    pub fn join(
        namespace: Namespace,
        directory: &Path,
        registry: &str,
        fingerprint: &str,
        application: Application<'_>,
    ) -> Self {
        let name = namespace.name.rsplit('-').next().unwrap().to_owned();
        for folder in ["run", "state", "log"] {
            fs::create_dir_all(directory.join(folder)).unwrap();
        }
        let printed = apply(&namespace, directory, &name, registry, fingerprint, application);
        let (subnet, common_name) =
            subnet_of(&printed).unwrap_or_else(|| panic!("re6st-conf of {name}: {printed}"));
        let address = format!("{subnet}1");
        Self { daemon: None, namespace, name, address, common_name, directory: directory.into() }
    }

    /// Starts `re6stnet` with its own options.
    pub fn start(&mut self, options: &str) {
        // babeld takes a word without a leading slash for a port, not for a socket.
        let folder = self.directory.display();
        let words = format!(
            "@re6stnet.conf -v 4 --ovpnlog --log {folder}/log --run {folder}/run \
             --state {folder}/state {options}"
        );
        let arguments: Vec<&str> = words.split_whitespace().collect();
        let command = stock_command(&self.namespace, &self.directory, "re6stnet", &arguments);
        self.daemon = Some(Process::start(command, &self.directory, "stdout"));
    }

    /// Asks the daemon to end without waiting for it.
    pub fn ask_to_stop(&self) {
        if let Some(daemon) = &self.daemon {
            daemon.signal("TERM");
        }
    }

    /// Ends the daemon.
    pub fn stop(&mut self) {
        self.daemon = None;
    }

    pub fn member(&self) -> Member<'_> {
        Member { name: &self.name, namespace: &self.namespace, address: &self.address }
    }

    /// What one of its logs says so far: `re6stnet`, `babeld` or an interface.
    pub fn log(&self, name: &str) -> String {
        let log = self.directory.join("log").join(format!("{name}.log"));
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }
}

impl Drop for StockNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log("re6stnet");
            let lines: Vec<&str> = log.lines().filter(|line| line.len() < 300).collect();
            let last = &lines[lines.len().saturating_sub(25)..];
            eprintln!("--- {}: the end of its log\n{}", self.name, last.join("\n"));
        }
    }
}

/// Runs `re6st-conf`; what it printed.
fn apply(
    namespace: &Namespace,
    directory: &Path,
    name: &str,
    registry: &str,
    fingerprint: &str,
    application: Application<'_>,
) -> String {
    let email = format!("{name}@example.com");
    let mut arguments = vec!["--registry", registry, "--fingerprint", fingerprint];
    match application {
        Application::Anonymous => arguments.push("--anonymous"),
        Application::Token(token) => arguments.extend(["--token", token]),
        Application::Email(_) => arguments.extend(["--email", &email]),
    }
    let mut command = stock_command(namespace, directory, "re6st-conf", &arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("re6st-conf");
    let mut input = child.stdin.take().unwrap();
    if let Application::Email(mailbox) = application {
        let token = token_for(&email, mailbox);
        writeln!(input, "{token}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).into_owned()
}

/// The token in the newest mail to `email`.
pub fn token_for(email: &str, mailbox: &Path) -> String {
    eventually(&format!("a token for {email}"), Duration::from_secs(20), || {
        let mails = fs::read_to_string(mailbox).ok()?;
        let (_, mail) = mails.rsplit_once(&format!("To: {email}"))?;
        let (_, rest) = mail.split_once("token to join")?;
        Some(rest.lines().next()?.split_whitespace().next_back()?.to_owned())
    })
}

/// `2001:db8:42:1::` and `1/16` from the last line of `re6st-conf`.
fn subnet_of(printed: &str) -> Option<(String, String)> {
    let (_, rest) = printed.split_once("Your subnet: ")?;
    let (subnet, rest) = rest.split_once('/')?;
    let (_, rest) = rest.split_once("(CN=")?;
    Some((subnet.to_owned(), rest.split_once(')')?.0.to_owned()))
}
