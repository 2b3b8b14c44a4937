//! One node of ours among stock ones, and a registry of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::node::{Application, token_for};
use super::pairs::Member;
use crate::namespace::{Namespace, Process, RE6ST, eventually};

/// A node of ours.
pub struct OurNode {
    // The daemon ends before its host does: fields are dropped in order.
    daemon: Option<Process>,
    pub namespace: Namespace,
    pub name: String,
    /// Its address in the mesh, `2001:db8:42:5::1`.
    pub address: String,
    /// Its name in its certificate, `5/16`.
    pub common_name: String,
    pub directory: PathBuf,
}

impl OurNode {
    /// Gets a certificate by `re6st cert join`; starts nothing.
    pub fn join(
        namespace: Namespace,
        directory: &Path,
        registry: &str,
        fingerprint: &str,
        application: Application<'_>,
    ) -> Self {
        let name = namespace.name.rsplit('-').next().unwrap().to_owned();
        let folder = directory.to_str().unwrap();
        let mut arguments = vec!["cert", "join", "--registry", registry, "--dir", folder];
        arguments.extend(["--fingerprint", fingerprint]);
        let token;
        match application {
            Application::Anonymous => arguments.push("--anonymous"),
            Application::Token(token) => arguments.extend(["--token", token]),
            Application::Email(mailbox) => {
                let email = format!("{name}@example.com");
                ask_for_token(&namespace, registry, fingerprint, &email, directory);
                token = token_for(&email, mailbox);
                arguments.extend(["--token", &token]);
            }
        }
        namespace.run(RE6ST, &arguments);
        let certificate = directory.join("cert.crt");
        let shown =
            namespace.run(RE6ST, &["cert", "show", certificate.to_str().unwrap(), "--json"]);
        let shown: Value = serde_json::from_str(&shown).expect("cert show prints JSON");
        let prefix = shown["prefix"].as_str().expect("a prefix").split('/').next().unwrap();
        let address = format!("{prefix}1");
        let common_name = shown["common_name"].as_str().expect("a common name").to_owned();
        Self { daemon: None, namespace, name, address, common_name, directory: directory.into() }
    }

    /// Starts `re6st node up` with the options file that joining wrote, and these.
    pub fn start(&mut self, options: &str) {
        let folder = self.directory.display();
        let words = format!(
            "node up @re6stnet.conf --run {folder}/run --state {folder}/state --log {folder}/log \
             {options}"
        );
        for folder in ["run", "state", "log"] {
            fs::create_dir_all(self.directory.join(folder)).unwrap();
        }
        let arguments: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.namespace.command(RE6ST, &arguments);
        command.current_dir(&self.directory);
        self.daemon = Some(Process::start(command, &self.directory, "node"));
    }

    /// Ends the daemon politely; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.daemon.take().and_then(|mut daemon| daemon.stop())
    }

    /// Ends the daemon without a chance to clean up.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal("KILL");
            daemon.stop();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(Process::is_running)
    }

    pub fn member(&self) -> Member<'_> {
        Member { name: &self.name, namespace: &self.namespace, address: &self.address }
    }

    /// What the daemon said on standard error.
    pub fn printed(&self) -> String {
        self.daemon.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// `re6st node WHAT --json`: one object a line.
    pub fn ask(&self, what: &str) -> Vec<Value> {
        let run = self.directory.join("run");
        let arguments = ["node", what, "--run", run.to_str().unwrap(), "--json"];
        // `status` fails where the node is not connected.
        let output = self.namespace.output(RE6ST, &arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Role, transport and peer of every tunnel that is up: `client udp 2/16`.
    pub fn tunnels(&self) -> Vec<String> {
        let up = |tunnel: &Value| tunnel["event"] == "up";
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let describe = |tunnel: &Value| {
            let (role, peer) = (word(&tunnel["role"]), word(&tunnel["peer"]));
            format!("{role} {} {peer}", word(&tunnel["endpoint"]["protocol"]))
        };
        let mut tunnels: Vec<_> =
            self.ask("tunnels").iter().filter(|t| up(t)).map(describe).collect();
        tunnels.sort();
        tunnels
    }

    /// Waits until a tunnel is up that `is_wanted`; which.
    pub fn wait_for_tunnel(
        &self,
        what: &str,
        patience: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) -> String {
        eventually(&format!("{}: {what}", self.name), patience, || {
            self.tunnels().into_iter().find(|tunnel| is_wanted(tunnel))
        })
    }
}

/// Has the registry mail a token: `cert join --email` does that, then waits for the token to be typed.
fn ask_for_token(
    namespace: &Namespace,
    registry: &str,
    fingerprint: &str,
    email: &str,
    directory: &Path,
) {
    let folder = directory.to_str().unwrap();
    let join = ["cert", "join", "--registry", registry, "--fingerprint", fingerprint];
    let arguments = [&join[..], &["--email", email, "--dir", folder]].concat();
    // Whether it ends well without an answer is its own affair.
    namespace.output(RE6ST, &arguments);
}

/// A running registry of ours.
pub struct OurRegistry {
    process: Process,
    /// `sha256:` and the digest of the CA's certificate.
    pub fingerprint: String,
}

impl OurRegistry {
    /// Makes an authority for 2001:db8:42::/48 and serves on port 80 of `host`.
    pub fn start(host: &Namespace, directory: &Path, options: &[&str]) -> Self {
        let folder = directory.join("registry");
        let folder = folder.to_str().unwrap();
        host.run(RE6ST, &["registry", "init", "--network", "2001:db8:42::/48", "--dir", folder]);
        let ca = format!("{folder}/ca.crt");
        let fingerprint = host.run(RE6ST, &["cert", "fingerprint", &ca]).trim().to_owned();
        let mut arguments = vec!["registry", "serve", "--dir", folder];
        arguments.extend(["--anonymous-prefix-length", "16"]);
        arguments.extend(options);
        let process = host.spawn(directory, "registry", RE6ST, &arguments);
        eventually("our registry answers", Duration::from_secs(30), || {
            let get = ["-s", "-f", "-o", "/dev/null", "http://127.0.0.1/getCa"];
            host.output("curl", &get).status.success().then_some(())
        });
        Self { process, fingerprint }
    }

    /// What it said on standard error.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}
